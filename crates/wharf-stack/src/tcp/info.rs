//! What a connection knows of itself, as Linux' `TCP_INFO` tells it.
//!
//! Names, units and meaning are those of `struct tcp_info` in Linux' `include/uapi/linux/tcp.h`. What Linux counts in
//! segments is derived from bytes here, a full segment being [`TcpInfo::snd_mss`] bytes: many small segments count as the full ones
//! that they would fill. RFC 4898 has much of the same as a MIB.

use core::time::Duration;

use wharf_table::Instant;

use super::recovery::Phase;
use super::state::State;
use super::{CongestionKind, Connection};

/// Where a sender stands with losses (`tcpi_ca_state`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum CaState {
    /// Everything arrives in order.
    #[default]
    Open = 0,
    /// Duplicate acknowledgments or SACK blocks come.
    Disorder = 1,
    /// The window is being reduced though nothing was lost (ECN).
    Cwr = 2,
    /// Fast recovery.
    Recovery = 3,
    /// Recovery after a time-out.
    Loss = 4,
}

/// What both sides have agreed on (`tcpi_options`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InfoOptions {
    /// Timestamps (`TCPI_OPT_TIMESTAMPS`, 1).
    pub timestamps: bool,
    /// Selective acknowledgment (`TCPI_OPT_SACK`, 2).
    pub sack: bool,
    /// Window scaling (`TCPI_OPT_WSCALE`, 4).
    pub window_scale: bool,
    /// Explicit congestion notification (`TCPI_OPT_ECN`, 8).
    pub ecn: bool,
    /// A packet with ECT or CE has come (`TCPI_OPT_ECN_SEEN`, 16).
    pub ecn_seen: bool,
}

impl InfoOptions {
    /// As the bits of Linux' `tcpi_options`.
    pub const fn bits(self) -> u8 {
        self.timestamps as u8
            | (self.sack as u8) << 1
            | (self.window_scale as u8) << 2
            | (self.ecn as u8) << 3
            | (self.ecn_seen as u8) << 4
    }
}

/// What a connection knows of itself. Times are microseconds and the `last_` ones milliseconds, windows of segments are in
/// segments of `snd_mss` bytes, rates in bytes a second, as in Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpInfo {
    /// The state.
    pub state: State,
    /// Where it stands with losses.
    pub ca_state: CaState,
    /// Time-outs without an answer since.
    pub retransmits: u8,
    /// Probes (of a window, or keepalive) without an answer.
    pub probes: u8,
    /// How often the time-out has doubled.
    pub backoff: u8,
    /// What both sides have agreed on.
    pub options: InfoOptions,
    /// How far the peer's window fields are shifted.
    pub snd_wscale: u8,
    /// How far ours are.
    pub rcv_wscale: u8,
    /// The delivery rate was measured while the application had no more to send.
    pub delivery_rate_app_limited: bool,
    /// The retransmission time-out, in microseconds.
    pub rto: u32,
    /// How long an acknowledgment waits for company, in microseconds.
    pub ato: u32,
    /// Payload of a full segment as it leaves, in bytes, options not counted.
    pub snd_mss: u32,
    /// The same as the peer was seen to send.
    pub rcv_mss: u32,
    /// Segments sent and not acknowledged.
    pub unacked: u32,
    /// Of them, those reported by SACK.
    pub sacked: u32,
    /// Those lost, sent again or not.
    pub lost: u32,
    /// Those sent again and not acknowledged.
    pub retrans: u32,
    /// Milliseconds since data left last.
    pub last_data_sent: u32,
    /// Milliseconds since data came last.
    pub last_data_recv: u32,
    /// Milliseconds since an acknowledgment came last.
    pub last_ack_recv: u32,
    /// The largest packet of the path, in bytes, IP and TCP headers included.
    pub pmtu: u32,
    /// What we offer to take at once, if there is so much room, in bytes.
    pub rcv_ssthresh: u32,
    /// The smoothed round trip, in microseconds; 0 before the first measurement.
    pub rtt: u32,
    /// Its variation, in microseconds.
    pub rttvar: u32,
    /// Where slow start ends, in segments; Linux' "infinite" (0x7fffffff) before the first loss.
    pub snd_ssthresh: u32,
    /// The congestion window, in segments.
    pub snd_cwnd: u32,
    /// The segment size that we announce, in bytes.
    pub advmss: u32,
    /// How many segments the path is taken to reorder by.
    pub reordering: u32,
    /// The round trip as the receiver sees it, in microseconds; 0 when it is not known.
    pub rcv_rtt: u32,
    /// What the owner has read in the best round trip so far, in bytes.
    pub rcv_space: u32,
    /// Segments sent again, in all.
    pub total_retrans: u32,
    /// How fast segments may leave, in bytes a second: kept to when [`TcpInfo::max_pacing_rate`] or BBR asks for it, else
    /// what would be.
    pub pacing_rate: u64,
    /// How fast the owner lets segments leave, in bytes a second; all ones for no limit.
    pub max_pacing_rate: u64,
    /// Sequence numbers that the peer has acknowledged: for who opened the connection, the SYN is one.
    pub bytes_acked: u64,
    /// Sequence numbers received in order; the FIN is one.
    pub bytes_received: u64,
    /// Segments sent, pure acknowledgments included.
    pub segs_out: u32,
    /// Segments received.
    pub segs_in: u32,
    /// Bytes queued and never sent.
    pub notsent_bytes: u32,
    /// The least round trip of the last minutes, in microseconds; all ones before the first measurement.
    pub min_rtt: u32,
    /// Segments received that brought data.
    pub data_segs_in: u32,
    /// Segments sent with data.
    pub data_segs_out: u32,
    /// How fast data was delivered when last measured, in bytes a second.
    pub delivery_rate: u64,
    /// For how long data waited to be sent or acknowledged, in microseconds.
    pub busy_time: u64,
    /// How long of that the peer's window held it back.
    pub rwnd_limited: u64,
    /// How long of that the send buffer did.
    pub sndbuf_limited: u64,
    /// Segments delivered, those reported by SACK included.
    pub delivered: u32,
    /// Those whose acknowledgment echoed a mark.
    pub delivered_ce: u32,
    /// Payload bytes sent, those sent again included.
    pub bytes_sent: u64,
    /// Payload bytes sent again.
    pub bytes_retrans: u64,
    /// Duplicates that the peer has reported (RFC 2883).
    pub dsack_dups: u32,
    /// How often reordering was seen.
    pub reord_seen: u32,
    /// Segments that came out of order.
    pub rcv_ooopack: u32,
    /// The window that we offer now, in bytes.
    pub rcv_wnd: u32,
    /// The window that the peer offers, in bytes.
    pub snd_wnd: u32,
    /// Who decides how much may be on its way.
    pub congestion: CongestionKind,
}

/// Linux' TCP_INFINITE_SSTHRESH.
const INFINITE_SSTHRESH: u32 = 0x7fff_ffff;

impl Connection {
    /// What the connection knows of itself, at `now`. Costs a walk over what was reported and lost, if anything was.
    pub fn info(&self, now: Instant) -> TcpInfo {
        let segment = self.segment_size();
        let segments = |bytes: u32| bytes.div_ceil(segment);
        let (ca_state, [sacked, lost, retrans]) = self.losses();
        let [busy, rwnd, sndbuf] = self.tally.busy.totals(now);
        let ssthresh = self.congestion.ssthresh();
        let tally = &self.tally;
        TcpInfo {
            state: self.state,
            ca_state,
            retransmits: if self.snd.flight() > 0 { self.retries } else { 0 },
            probes: self.keepalives + if self.snd.flight() > 0 { 0 } else { self.retries },
            backoff: self.rtt.backoff(),
            options: self.info_options(),
            snd_wscale: self.snd.scale,
            rcv_wscale: self.rcv.scale,
            delivery_rate_app_limited: self.tally.rate.was_app_limited(),
            rto: micros(self.rtt.rto()),
            ato: micros(self.delayed_ack.ato()),
            snd_mss: segment,
            rcv_mss: self.rcv_mss.into(),
            unacked: segments(self.snd.flight()),
            sacked: segments(sacked),
            lost: segments(
                lost + if matches!(ca_state, CaState::Recovery | CaState::Loss) { retrans } else { 0 },
            ),
            retrans: segments(retrans),
            last_data_sent: millis(now.since(self.last_sent)),
            last_data_recv: millis(now.since(tally.data_arrived)),
            last_ack_recv: millis(now.since(tally.ack_arrived)),
            pmtu: u32::from(self.path_mss()) + if self.tuple.remote.addr.is_v4() { 40 } else { 60 },
            rcv_ssthresh: self.rcv.threshold(),
            rtt: self.rtt.srtt().map_or(0, micros),
            rttvar: self.rtt.rttvar(),
            snd_ssthresh: if ssthresh >= INFINITE_SSTHRESH { INFINITE_SSTHRESH } else { ssthresh / segment },
            snd_cwnd: (self.congestion.window() / segment).max(1),
            advmss: self.limits.mss.into(),
            reordering: self.reordering(),
            rcv_rtt: tally.round.rtt(),
            rcv_space: self.rcv.space(self.limits.mss),
            total_retrans: tally.segments_resent,
            pacing_rate: self.pacing_rate(),
            max_pacing_rate: self.max_pacing_rate(),
            bytes_acked: tally.bytes_acked,
            bytes_received: tally.bytes_received,
            segs_out: tally.segments_sent,
            segs_in: tally.segments_received,
            notsent_bytes: self.data_end().since(self.snd.snd_nxt.earliest(self.data_end())),
            min_rtt: tally.min_rtt.get(),
            data_segs_in: tally.data_segments_received,
            data_segs_out: tally.data_segments_sent,
            delivery_rate: tally.rate.rate(),
            busy_time: busy + rwnd + sndbuf,
            rwnd_limited: rwnd,
            sndbuf_limited: sndbuf,
            delivered: (tally.bytes_delivered / u64::from(segment)) as u32,
            delivered_ce: tally.bytes_delivered_marked / segment,
            bytes_sent: tally.bytes_sent,
            bytes_retrans: tally.bytes_resent,
            dsack_dups: tally.duplicates_reported,
            reord_seen: tally.reorderings_seen,
            rcv_ooopack: tally.segments_out_of_order,
            rcv_wnd: self.rcv.edge().since(self.rcv.rcv_nxt),
            snd_wnd: self.snd.snd_wnd,
            congestion: self.congestion.kind(),
        }
    }

    fn info_options(&self) -> InfoOptions {
        let known = self.state.is_synchronized() || self.state == State::SynReceived;
        InfoOptions {
            timestamps: known && self.timestamps.enabled,
            sack: known && self.sack,
            window_scale: known && self.scaling,
            ecn: self.ecn.is_agreed(),
            ecn_seen: self.ecn.has_seen(),
        }
    }

    /// Where it stands with losses, and bytes reported, lost and not resent, resent.
    fn losses(&self) -> (CaState, [u32; 3]) {
        let census = self.board.as_ref().map_or([0; 3], |board| board.census());
        let Some(recovery) = &self.recovery else { return (CaState::Open, census) };
        let state = match recovery.phase {
            Phase::Settled => CaState::Open,
            Phase::Disorder => CaState::Disorder,
            Phase::Reduced => CaState::Cwr,
            Phase::Fast => CaState::Recovery,
            Phase::Timeout => CaState::Loss,
        };
        (state, census)
    }

    /// In segments; three is where every path begins (RFC 6675, section 2).
    fn reordering(&self) -> u32 {
        u32::from(self.reordering.depth).max(super::recovery::DUP_THRESH)
    }
}

fn micros(span: Duration) -> u32 {
    u32::try_from(span.as_micros()).unwrap_or(u32::MAX)
}

fn millis(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}
