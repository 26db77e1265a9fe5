//! Congestion avoidance as in RFC 5681, section 3.1, counted in bytes (RFC 3465).

/// One segment a round trip.
#[derive(Clone, Debug)]
pub(super) struct NewReno {
    /// Acknowledged bytes that have not made a segment's growth yet.
    acked: u32,
}

impl NewReno {
    pub(super) const fn new() -> NewReno {
        NewReno { acked: 0 }
    }

    /// The window after `acked` more bytes.
    pub(super) fn on_ack(&mut self, cwnd: u32, acked: u32, mss: u32) -> u32 {
        self.acked = self.acked.saturating_add(acked);
        let mut cwnd = cwnd.max(1);
        while self.acked >= cwnd {
            self.acked -= cwnd;
            cwnd = cwnd.saturating_add(mss);
        }
        cwnd
    }
}

crate::tcp::park::packed!(struct NewReno { acked });
