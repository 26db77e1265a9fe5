//! What an owner may choose about a connection.

use core::time::Duration;

use super::congestion::CongestionKind;
use super::ecn::EcnMode;
use super::pacing::UNLIMITED;

/// The largest payload of a segment that a device cuts: 65,535 bytes less an IPv4 header and the longest TCP header (20 and
/// 60), so that the whole still fits the length field of either family, whatever the peer makes us say in options.
pub const MAX_OFFLOAD_SEGMENT: u16 = 65_455;

/// How a connection behaves. [`Settings::default`] behaves like Linux.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The largest payload that the link takes, in bytes, TCP options counted as payload (RFC 9293, section 3.7.1): what we
    /// announce, and the most that we send.
    pub mss: u16,
    /// What the link takes when `mss` is less because the owner wants it so; no less than `mss` in any case.
    pub link_mss: u16,
    /// The most payload bytes of one [`SegmentOut`](super::SegmentOut): up to [`MAX_OFFLOAD_SEGMENT`] when the device cuts
    /// segments; no more than a segment is sent when this is not more than `mss`.
    pub max_segment: u16,
    /// The most bytes that wait for the owner to read them, at least 4096; at the beginning where the buffer may grow.
    pub receive_buffer: u32,
    /// The receive buffer grows to so many bytes with what is read in a round trip; it does not when this is not more than
    /// `receive_buffer`.
    pub receive_buffer_max: u32,
    /// The sizes of receive buffers are Linux', which reckons what segments cost it in memory: then the window follows from
    /// the size of those that come.
    pub segments_cost: bool,
    /// The window scale is chosen for so many bytes at least, though the buffer may never become so large; 0 for the buffer.
    pub receive_scale_for: u32,
    /// The most that is offered to the peer at once, in bytes; 0 leaves it to the buffer.
    pub window_clamp: u32,
    /// The most bytes that wait for the peer to acknowledge them, at least 4096; at the beginning where the buffer may grow.
    pub send_buffer: u32,
    /// The send buffer grows to so many bytes with the congestion window, of which it holds two; it does not when this is not
    /// more than `send_buffer`.
    pub send_buffer_max: u32,
    /// With so many bytes queued and never sent there is no room for more; 0 for no limit (TCP_NOTSENT_LOWAT of Linux).
    pub not_sent_low_water: u32,
    /// Hold a small segment back while another one is on its way (RFC 9293, section 3.7.4).
    pub nagle: bool,
    /// Acknowledge every second segment at once and others after 40 ms (RFC 9293, section 3.8.6.3), or everything at once.
    pub delayed_ack: bool,
    /// Ask an idle peer whether it is there (RFC 9293, section 3.8.4); off by default as it MUST be.
    pub keepalive: Option<Keepalive>,
    /// Who decides how much may be on its way.
    pub congestion: CongestionKind,
    /// A congestion window that was not used for a retransmission time-out, or only in part, shrinks, as it should (RFC
    /// 5681, section 4.1).
    pub slow_start_after_idle: bool,
    /// The most bytes a second that leave; `u64::MAX` for no limit.
    pub max_pacing_rate: u64,
    /// Explicit congestion notification (RFC 3168).
    pub ecn: EcnMode,
    /// Offer timestamps (RFC 7323).
    pub timestamps: bool,
    /// Offer selective acknowledgment (RFC 2018).
    pub sack: bool,
    /// Report what came twice, where both sides do SACK (RFC 2883).
    pub duplicate_sack: bool,
    /// Offer window scaling (RFC 7323).
    pub window_scale: bool,
    /// So many segments at least leave as one train, where there are so many to leave (Linux: `tcp_min_tso_segs`).
    pub train_min: u8,
    /// Probe for the loss of the end of a flight before the retransmission time-out (RFC 8985, section 7).
    pub tail_loss_probe: bool,
    /// Added to the clock in timestamps, so that they don't tell how long the caller's clock runs. One number for all
    /// connections of a stack: timestamps of one tuple must never go back.
    pub timestamp_offset: u32,
    /// How long TIME-WAIT lasts: 2 MSL.
    pub time_wait: Duration,
    /// How long nothing was heard in a TIME-WAIT before a socket's connection may begin with its tuple, where both sides use
    /// timestamps (RFC 6191, section 2; `tcp_tw_reuse` and `tcp_tw_reuse_delay` of Linux); `None`: never.
    pub time_wait_reuse: Option<Duration>,
    /// How long FIN-WAIT-2 lasts after [`close`](super::Connection::close), as nobody will read what the peer sends (Linux:
    /// `tcp_fin_timeout`). Zero: it is not entered, and the peer gets a RST.
    pub fin_wait: Duration,
    /// When a connection is given up whose peer acknowledges nothing: after as long as so many retransmissions take with a
    /// round trip of next to nothing, or so many probes of a window. 15 are 15 minutes (R2 of RFC 9293, section 3.8.3).
    pub max_retries: u8,
    /// The same once nobody owns it any more ([`close`](super::Connection::close)): 8 are 102 s (Linux:
    /// `tcp_orphan_retries`).
    pub orphan_retries: u8,
    /// The same for SYN: 7 are 247 s, and at least 180 s they have to be (RFC 9293, section 3.8.3, MUST-23); Linux has 6,
    /// which are 127 s.
    pub syn_retries: u8,
    /// How often the SYN-ACK of a listener is repeated (Linux: `tcp_synack_retries`). 5 are 63 s in all; RFC 9293, section
    /// 3.8.3 asks for 180 s only of who opens.
    pub syn_ack_retries: u8,
    /// So many SYNs are repeated before the time-out begins to double, beyond those that are counted
    /// (tcp_syn_linear_timeouts of Linux); 0 doubles it from the first (RFC 6298, section 5, rule 5.5).
    pub syn_linear: u8,
    /// How long data may wait for its acknowledgment before the connection is given up, however often it is sent again
    /// meanwhile; `None` leaves it to `max_retries`.
    pub user_timeout: Option<Duration>,
    /// Tell the peer of a user time-out, and hear the peer's (RFC 5482).
    pub user_timeout_option: Option<UserTimeoutOption>,
    /// What becomes of a segment without timestamps where both sides had agreed on them.
    pub missing_timestamps: MissingTimestamps,
    /// What is known of the path: the largest segment that gets through, counted as `mss` is; 0 when nothing is.
    pub path_mss: u16,
    /// Whether packets may not be cut on their way and ICMP is heard that says that they are too large for it (RFC 1191,
    /// section 3); over IPv6 it always is so.
    pub path_discovery: bool,
    /// Whether the size that the path takes is searched for without the help of ICMP.
    pub mtu_probing: MtuProbing,
    /// Hops that its packets may take (RFC 9293, section 3.9.2, MUST-49).
    pub hop_limit: u8,
    /// The differentiated services codepoint of its packets, 0 to 63 (RFC 9293, section 3.9.2, MUST-48).
    pub dscp: u8,
}

/// What is said and heard of user time-outs (RFC 5482, section 3.1). A time-out that the owner chose is not changed by what
/// the peer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserTimeoutOption {
    /// What the peer is told (ADV_UTO), in whole seconds.
    pub advertised: Duration,
    /// The least that is made of what the peer says (L_LIMIT).
    pub least: Duration,
    /// The most (U_LIMIT).
    pub most: Duration,
}

impl Default for UserTimeoutOption {
    /// Five minutes (RFC 9293, section 3.9.1.1), from 100 s to a day.
    fn default() -> UserTimeoutOption {
        UserTimeoutOption {
            advertised: Duration::from_secs(300),
            least: Duration::from_secs(100),
            most: Duration::from_secs(86_400),
        }
    }
}

/// When the size that the path takes is searched for (RFC 4821; tcp_mtu_probing of Linux).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MtuProbing {
    /// Never: ICMP will say.
    #[default]
    Off,
    /// Once nothing comes back although something should.
    OnBlackhole,
    /// From the start, at a size that every path takes.
    Always,
}

/// What becomes of a segment without timestamps on a connection that has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingTimestamps {
    /// It is dropped without an answer, as it should be (RFC 7323, section 3.2).
    #[default]
    Dropped,
    /// It is taken, as Linux does, for the sake of boxes on the way that lose options.
    Tolerated,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            mss: 1460,
            link_mss: 1460,
            max_segment: 1460,
            receive_buffer: 1 << 20,
            receive_buffer_max: 0,
            segments_cost: false,
            receive_scale_for: 0,
            window_clamp: 0,
            send_buffer: 1 << 20,
            send_buffer_max: 0,
            not_sent_low_water: 0,
            nagle: true,
            delayed_ack: true,
            keepalive: None,
            congestion: CongestionKind::Cubic,
            slow_start_after_idle: true,
            max_pacing_rate: UNLIMITED,
            ecn: EcnMode::Passive,
            timestamps: true,
            sack: true,
            duplicate_sack: true,
            window_scale: true,
            train_min: 2,
            tail_loss_probe: true,
            timestamp_offset: 0,
            time_wait: Duration::from_secs(60),
            time_wait_reuse: None,
            fin_wait: Duration::from_secs(60),
            max_retries: 15,
            orphan_retries: 8,
            syn_retries: 7,
            syn_ack_retries: 5,
            syn_linear: 4,
            user_timeout: None,
            user_timeout_option: None,
            missing_timestamps: MissingTimestamps::Dropped,
            path_mss: 0,
            path_discovery: true,
            mtu_probing: MtuProbing::Off,
            hop_limit: 64,
            dscp: 0,
        }
    }
}

/// When an idle peer is asked whether it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// How long nothing was heard before the first probe.
    pub idle: Duration,
    /// How long each probe waits for its answer.
    pub interval: Duration,
    /// Probes without an answer after which the connection is given up.
    pub probes: u8,
}

impl Default for Keepalive {
    /// Two hours, then nine probes 75 s apart.
    fn default() -> Keepalive {
        Keepalive { idle: Duration::from_secs(7_200), interval: Duration::from_secs(75), probes: 9 }
    }
}

/// The six bits of a codepoint (RFC 2474, section 3).
pub(super) const DSCP_MASK: u8 = 0x3f;
/// The least that a buffer may be set to.
const MIN_BUFFER: u32 = 4_096;
/// The most: windows are below 2^30 (RFC 7323, section 2.3).
const MAX_BUFFER: u32 = 1 << 28;

/// What a connection keeps of its [`Settings`], small because every connection keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Limits {
    pub(super) send_buffer: u32,
    pub(super) send_buffer_max: u32,
    pub(super) not_sent_low_water: u32,
    pub(super) max_segment: u16,
    pub(super) mss: u16,
    pub(super) link_mss: u16,
    time_wait_ms: u32,
    fin_wait_s: u16,
    keepalive_idle_ms: u32,
    keepalive_interval_ms: u32,
    pub(super) keepalive_probes: u8,
    pub(super) max_retries: u8,
    pub(super) orphan_retries: u8,
    pub(super) syn_retries: u8,
    pub(super) syn_linear: u8,
    pub(super) path_mss: u16,
    pub(super) path_discovery: bool,
    pub(super) mtu_probing: MtuProbing,
    pub(super) duplicate_sack: bool,
    pub(super) segments_cost: bool,
    pub(super) train_min: u8,
    pub(super) hop_limit: u8,
    pub(super) dscp: u8,
    pub(super) nagle: bool,
    pub(super) delayed_ack: bool,
    pub(super) tail_loss_probe: bool,
    pub(super) drops_missing_timestamps: bool,
    pub(super) slow_start_after_idle: bool,
}

impl Limits {
    pub(super) fn new(settings: &Settings) -> Limits {
        let mut limits = Limits {
            send_buffer: bounded(settings.send_buffer),
            send_buffer_max: settings.send_buffer_max.min(MAX_BUFFER),
            not_sent_low_water: settings.not_sent_low_water,
            max_segment: settings.max_segment.min(MAX_OFFLOAD_SEGMENT),
            mss: settings.mss,
            link_mss: settings.link_mss.max(settings.mss),
            time_wait_ms: millis(settings.time_wait),
            fin_wait_s: seconds(settings.fin_wait),
            keepalive_idle_ms: 0,
            keepalive_interval_ms: 0,
            keepalive_probes: 0,
            max_retries: settings.max_retries,
            orphan_retries: settings.orphan_retries,
            syn_retries: settings.syn_retries,
            syn_linear: settings.syn_linear,
            nagle: settings.nagle,
            delayed_ack: settings.delayed_ack,
            tail_loss_probe: settings.tail_loss_probe,
            path_mss: settings.path_mss,
            path_discovery: settings.path_discovery,
            duplicate_sack: settings.duplicate_sack,
            segments_cost: settings.segments_cost,
            train_min: settings.train_min.max(1),
            mtu_probing: settings.mtu_probing,
            hop_limit: settings.hop_limit.max(1),
            dscp: settings.dscp & DSCP_MASK,
            slow_start_after_idle: settings.slow_start_after_idle,
            drops_missing_timestamps: settings.missing_timestamps == MissingTimestamps::Dropped,
        };
        limits.set_keepalive(settings.keepalive);
        limits
    }

    pub(super) fn set_keepalive(&mut self, keepalive: Option<Keepalive>) {
        self.keepalive_idle_ms = keepalive.map_or(0, |keepalive| millis(keepalive.idle).max(1));
        self.keepalive_interval_ms = keepalive.map_or(0, |keepalive| millis(keepalive.interval).max(1));
        self.keepalive_probes = keepalive.map_or(0, |keepalive| keepalive.probes);
    }

    /// In whole seconds.
    pub(super) const fn set_fin_wait(&mut self, span: Duration) {
        self.fin_wait_s = seconds(span);
    }

    /// `None` when FIN-WAIT-2 is nothing to be waited in.
    pub(super) const fn fin_wait(&self) -> Option<Duration> {
        match self.fin_wait_s {
            0 => None,
            span => Some(Duration::from_secs(span as u64)),
        }
    }

    pub(super) const fn time_wait(&self) -> Duration {
        Duration::from_millis(self.time_wait_ms as u64)
    }

    /// How long nothing was heard before the first probe; `None` when keepalive is off.
    pub(super) const fn keepalive_idle(&self) -> Option<Duration> {
        match self.keepalive_idle_ms {
            0 => None,
            idle => Some(Duration::from_millis(idle as u64)),
        }
    }

    pub(super) const fn keepalive_interval(&self) -> Duration {
        Duration::from_millis(self.keepalive_interval_ms as u64)
    }
}

pub(super) fn bounded(buffer: u32) -> u32 {
    buffer.clamp(MIN_BUFFER, MAX_BUFFER)
}

/// Rounded up.
const fn seconds(span: Duration) -> u16 {
    let whole = span.as_secs().saturating_add((span.subsec_nanos() > 0) as u64);
    if whole > u16::MAX as u64 { u16::MAX } else { whole as u16 }
}

fn millis(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}
