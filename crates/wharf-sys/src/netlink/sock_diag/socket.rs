//! One socket, as the kernel tells of it: `inet_diag_msg` and its attributes.

use wharf_table::rows::{CongestionState, End, State, TcpDetail};
use wharf_table::{Addr, Endpoint};

use super::super::receive::{array, attributes};

/// Bytes of `inet_diag_msg`.
pub(super) const MESSAGE_BYTES: usize = 72;

/// Attributes, by their number in `linux/inet_diag.h`. Those up to 8 are asked for, the others come by themselves.
pub(super) const INET_DIAG_INFO: u16 = 2;
pub(super) const INET_DIAG_CONG: u16 = 4;
const INET_DIAG_SHUTDOWN: u16 = 8;
const INET_DIAG_SKV6ONLY: u16 = 11;
const INET_DIAG_CGROUP_ID: u16 = 21;

/// The timer of a socket in TIME-WAIT (`idiag_timer`).
const TIMER_TIME_WAIT: u8 = 3;

/// A socket in the bytes that the kernel wrote.
#[derive(Clone, Copy, Debug)]
pub struct Socket<'a> {
    message: &'a [u8; MESSAGE_BYTES],
    attributes: &'a [u8],
}

/// What the kernel adds to a socket, as far as it did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras<'a> {
    /// The number of its control group.
    pub cgroup: Option<u64>,
    /// Whether it takes IPv6 only; told of bound and listening sockets.
    pub v6_only: Option<bool>,
    /// Which halves were shut down: 1 receiving, 2 sending.
    pub shutdown: u8,
    /// `tcp_info`.
    pub info: Option<TcpInfo<'a>>,
    /// The name of its congestion control.
    pub algorithm: &'a [u8],
}

impl<'a> Socket<'a> {
    /// Reads the body of a message. `None` where there is too little of it, or it is of another family.
    pub(super) fn parse(body: &'a [u8]) -> Option<Socket<'a>> {
        let (message, attributes) = body.split_first_chunk()?;
        let socket = Socket { message, attributes };
        matches!(socket.family(), libc::AF_INET | libc::AF_INET6).then_some(socket)
    }

    fn family(&self) -> i32 {
        self.message[0].into()
    }

    fn word(&self, at: usize) -> u32 {
        array(self.message.as_slice(), at).map_or(0, u32::from_ne_bytes)
    }

    /// The state by its number (`include/net/tcp_states.h`).
    pub fn state(&self) -> u8 {
        self.message[1]
    }

    /// How often what it waits for was sent again.
    pub fn retransmits(&self) -> u8 {
        self.message[3]
    }

    /// The local end; its zone is the interface that the socket is tied to.
    pub fn local(&self) -> End {
        End { zone: self.interface(), ..self.end(4, 8) }
    }

    /// The remote end; `None` where there is none.
    pub fn remote(&self) -> Option<End> {
        let end = self.end(6, 24);
        if end.port == 0 && end.addr.is_unspecified() {
            return None;
        }
        let zoned = !end.addr.is_v4() && end.addr.is_link_local();
        Some(End { zone: if zoned { self.interface() } else { 0 }, ..end })
    }

    fn interface(&self) -> u32 {
        self.word(40)
    }

    fn end(&self, port_at: usize, address_at: usize) -> End {
        let bytes = self.message.as_slice();
        let port = array(bytes, port_at).map_or(0, u16::from_be_bytes);
        let octets: [u8; 16] = array(bytes, address_at).unwrap_or_default();
        let [a, b, c, d, ..] = octets;
        let addr = if self.family() == libc::AF_INET { Addr::v4([a, b, c, d]) } else { Addr::v6(octets) };
        End::new(Endpoint { addr, port })
    }

    /// Whether it is an IPv6 socket, whatever address it has.
    pub fn is_v6(&self) -> bool {
        self.family() == libc::AF_INET6
    }

    /// The number that tells it from all others of its network.
    pub fn cookie(&self) -> u64 {
        u64::from(self.word(44)) | u64::from(self.word(48)) << 32
    }

    /// In TIME-WAIT, the milliseconds until it is gone. The kernel keeps no program for such a socket.
    pub fn time_wait_left_ms(&self) -> Option<u32> {
        (self.message[2] == TIMER_TIME_WAIT && self.inode() == 0).then(|| self.word(52))
    }

    /// Bytes that wait to be read; of a listener, the connections that wait.
    pub fn receive_queue(&self) -> u32 {
        self.word(56)
    }

    /// Bytes that are not acknowledged; of a listener, the connections that may wait.
    pub fn send_queue(&self) -> u32 {
        self.word(60)
    }

    /// The user who made it.
    pub fn uid(&self) -> u32 {
        self.word(64)
    }

    /// Its number among the files; 0 where no program has it.
    pub fn inode(&self) -> u32 {
        self.word(68)
    }

    /// What the kernel added.
    pub fn extras(&self) -> Extras<'a> {
        let mut extras = Extras::default();
        for (kind, value) in attributes(self.attributes) {
            match kind {
                INET_DIAG_CGROUP_ID => extras.cgroup = array(value, 0).map(u64::from_ne_bytes),
                INET_DIAG_SKV6ONLY => extras.v6_only = value.first().map(|&only| only != 0),
                INET_DIAG_SHUTDOWN => extras.shutdown = value.first().copied().unwrap_or_default(),
                INET_DIAG_INFO => extras.info = Some(TcpInfo(value)),
                INET_DIAG_CONG => extras.algorithm = value,
                _ => {}
            }
        }
        extras
    }
}

/// The state of a socket. `None` for a number that is new. The numbers are TCP's, for others as well: a UDP socket is
/// bound, or established when it is connected.
pub fn tcp_state(number: u8) -> Option<State> {
    Some(match number {
        1 => State::Established,
        2 => State::SynSent,
        3 | 12 => State::SynReceived,
        4 => State::FinWait1,
        5 => State::FinWait2,
        6 => State::TimeWait,
        8 => State::CloseWait,
        9 => State::LastAck,
        10 => State::Listen,
        11 => State::Closing,
        // What is listed as closed has a port; it is asked for by the other number.
        7 | 13 => State::Bound,
        _ => return None,
    })
}

/// The bits that ask the kernel for TCP sockets in this state.
pub fn state_bits(state: State) -> u32 {
    (1..=13).filter(|&number| tcp_state(number) == Some(state)).fold(0, |bits, number| bits | 1 << number)
}

/// `tcp_info` in the bytes that the kernel wrote. It has grown with the kernel, at its end.
#[derive(Clone, Copy, Debug)]
pub struct TcpInfo<'a>(&'a [u8]);

impl TcpInfo<'_> {
    fn word(&self, at: usize) -> u32 {
        array(self.0, at).map_or(0, u32::from_ne_bytes)
    }

    fn long(&self, at: usize) -> u64 {
        array(self.0, at).map_or(0, u64::from_ne_bytes)
    }

    /// The figures, in wharf's terms. What an older kernel does not tell is 0.
    pub fn detail(&self, algorithm: &[u8]) -> TcpDetail {
        let again = self.long(208);
        let sent = self.long(200).saturating_sub(again);
        let mut name = [0; 8];
        let letters = algorithm.split(|&byte| byte == 0).next().unwrap_or_default();
        for (to, from) in name.iter_mut().zip(letters) {
            *to = *from;
        }
        let known = |value, unknown| if value == unknown { 0 } else { value };
        TcpDetail {
            sent_bytes: sent,
            // The kernel counts SYN and FIN among what was acknowledged.
            acknowledged_bytes: self.long(120).min(sent),
            received_bytes: self.long(128),
            retransmitted_bytes: again,
            pacing_rate: if self.long(104) == u64::MAX { 0 } else { self.long(104) },
            delivery_rate: self.long(160),
            rtt_us: self.word(68),
            rtt_variation_us: self.word(72),
            rtt_least_us: known(self.word(148), u32::MAX),
            rto_us: self.word(8),
            retransmissions: self.word(100),
            lost: self.word(32),
            congestion_window: self.word(80),
            slow_start_threshold: self.word(76),
            segment_bytes: u16::try_from(self.word(16)).unwrap_or(u16::MAX),
            algorithm: name,
            congestion: match self.0.get(1) {
                Some(1) => CongestionState::Disorder,
                Some(2) => CongestionState::Reduced,
                Some(3) => CongestionState::Recovery,
                Some(4) => CongestionState::Loss,
                _ => CongestionState::Open,
            },
        }
    }
}
