//! What a kernel or a stack tells of one TCP connection (RFC 4898 has the terms).

use core::fmt;

/// Figures of a TCP connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpDetail {
    /// Bytes that were sent, those sent again not counted.
    pub sent_bytes: u64,
    /// Bytes that the peer has acknowledged.
    pub acknowledged_bytes: u64,
    /// Bytes that came in order.
    pub received_bytes: u64,
    /// Bytes that were sent again.
    pub retransmitted_bytes: u64,
    /// Bytes a second at which it sends.
    pub pacing_rate: u64,
    /// Bytes a second that lately arrived.
    pub delivery_rate: u64,
    /// Smoothed round-trip time, in microseconds (RFC 6298).
    pub rtt_us: u32,
    /// Its variation, in microseconds.
    pub rtt_variation_us: u32,
    /// The least round-trip time seen, in microseconds.
    pub rtt_least_us: u32,
    /// Retransmission time-out, in microseconds.
    pub rto_us: u32,
    /// Segments that were sent again, from the beginning.
    pub retransmissions: u32,
    /// Segments that are taken for lost now.
    pub lost: u32,
    /// Congestion window, in segments.
    pub congestion_window: u32,
    /// Slow-start threshold, in segments.
    pub slow_start_threshold: u32,
    /// The largest segment that it sends, in bytes.
    pub segment_bytes: u16,
    /// The name of the congestion control, filled up with zeros.
    pub algorithm: [u8; 8],
    /// Where it stands in recovery.
    pub congestion: CongestionState,
}

impl TcpDetail {
    /// The name of the congestion control; empty where it is unknown. Longer ones are cut at eight letters.
    pub fn algorithm(&self) -> &str {
        let end = self.algorithm.iter().position(|&byte| byte == 0).unwrap_or(self.algorithm.len());
        self.algorithm.get(..end).and_then(|name| core::str::from_utf8(name).ok()).unwrap_or_default()
    }
}

/// Where a sender stands in recovery (Linux's `tcp_ca_state`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CongestionState {
    /// Nothing is amiss.
    #[default]
    Open,
    /// Duplicate acknowledgments came.
    Disorder,
    /// ECN asked for less.
    Reduced,
    /// What was lost is sent again.
    Recovery,
    /// A retransmission time-out.
    Loss,
}

impl CongestionState {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            CongestionState::Open => "open",
            CongestionState::Disorder => "disorder",
            CongestionState::Reduced => "reduced",
            CongestionState::Recovery => "recovery",
            CongestionState::Loss => "loss",
        }
    }
}

impl fmt::Display for CongestionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
