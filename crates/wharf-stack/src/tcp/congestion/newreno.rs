//! Congestion avoidance as in RFC 5681, section 3.1, counted in bytes (RFC 3465).

use super::{Ack, CongestionControl, Window};

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
}

impl CongestionControl for NewReno {
    fn on_ack(&mut self, window: &mut Window, ack: &Ack) {
        let rest = window.slow_start(ack.acked);
        self.acked = self.acked.saturating_add(rest);
        let mut cwnd = window.cwnd.max(1);
        while self.acked >= cwnd {
            self.acked -= cwnd;
            cwnd = cwnd.saturating_add(ack.mss);
        }
        window.cwnd = cwnd;
    }

    fn on_loss(&mut self, _cwnd: u32, flight: u32) -> u32 {
        flight / 2
    }
}

crate::tcp::park::packed!(struct NewReno { acked });
