//! Socket options: their names, their values, and what a socket remembers of them.
//!
//! A listener's options are shared by the sockets that it accepts, until one of them changes its own.

use alloc::sync::Arc;
use core::time::Duration;

use wharf_table::{Port, PortRange};

use super::entry::User;
use super::errno::Errno;
use crate::stack::DatagramFields;
use crate::tcp::{Change, CongestionKind, Keepalive, Settings};

/// Levels of getsockopt(2).
mod level {
    pub(super) const IP: i32 = 0;
    pub(super) const SOCKET: i32 = 1;
    pub(super) const TCP: i32 = 6;
    pub(super) const UDP: i32 = 17;
    pub(super) const IPV6: i32 = 41;
}

macro_rules! options {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal $level:ident $number:literal,)+) => {
        /// An option of a socket.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum OptionName { $($(#[doc = $doc])+ $name,)+ }

        impl OptionName {
            /// Every option.
            pub const ALL: &'static [OptionName] = &[$(OptionName::$name,)+];

            /// The name that programs know: `SO_REUSEADDR`.
            pub const fn name(self) -> &'static str {
                match self { $(OptionName::$name => $text,)+ }
            }

            /// The level and the number that Linux gives it.
            pub const fn number(self) -> (i32, i32) {
                match self { $(OptionName::$name => (level::$level, $number),)+ }
            }
        }
    };
}

options! {
    /// The port may be shared with sockets that say so too, and with TIME-WAIT.
    ReuseAddress = "SO_REUSEADDR" SOCKET 2,
    /// The port is shared with sockets of the same user that say so too.
    ReusePort = "SO_REUSEPORT" SOCKET 15,
    /// What kind of socket it is: 1 for a stream, 2 for datagrams. To be read only.
    Type = "SO_TYPE" SOCKET 3,
    /// The error that waits, which reading takes away. To be read only.
    Error = "SO_ERROR" SOCKET 4,
    /// Packets don't go through a router: taken and of no effect.
    DontRoute = "SO_DONTROUTE" SOCKET 5,
    /// Datagrams may be sent to a broadcast address.
    Broadcast = "SO_BROADCAST" SOCKET 6,
    /// Bytes that may wait to be sent; reading gives twice what was set.
    SendBuffer = "SO_SNDBUF" SOCKET 7,
    /// Bytes that may wait to be read; reading gives twice what was set.
    ReceiveBuffer = "SO_RCVBUF" SOCKET 8,
    /// An idle peer is asked whether it is there.
    KeepAlive = "SO_KEEPALIVE" SOCKET 9,
    /// Urgent data stays in the stream.
    OobInline = "SO_OOBINLINE" SOCKET 10,
    /// The priority of packets: kept for who asks.
    Priority = "SO_PRIORITY" SOCKET 12,
    /// What close does with data that is not sent.
    Linger = "SO_LINGER" SOCKET 13,
    /// Bytes that must be there before it is readable.
    ReceiveLowWater = "SO_RCVLOWAT" SOCKET 18,
    /// Bytes of room before it is writable: always 1. To be read only.
    SendLowWater = "SO_SNDLOWAT" SOCKET 19,
    /// How long the caller waits for data: kept for who waits.
    ReceiveTimeout = "SO_RCVTIMEO" SOCKET 20,
    /// How long the caller waits for room: kept for who waits.
    SendTimeout = "SO_SNDTIMEO" SOCKET 21,
    /// Datagrams come with the time of their arrival.
    Timestamp = "SO_TIMESTAMP" SOCKET 29,
    /// The mark of packets: kept for who asks.
    Mark = "SO_MARK" SOCKET 36,
    /// Who sends with MSG_ZEROCOPY is told when the bytes are free.
    ZeroCopy = "SO_ZEROCOPY" SOCKET 60,
    /// Whether it listens. To be read only.
    AcceptConnections = "SO_ACCEPTCONN" SOCKET 30,
    /// The protocol's number. To be read only.
    Protocol = "SO_PROTOCOL" SOCKET 38,
    /// The address family: 2 or 10. To be read only.
    Family = "SO_DOMAIN" SOCKET 39,
    /// Small segments are not held back (no Nagle).
    NoDelay = "TCP_NODELAY" TCP 1,
    /// The largest segment, in bytes.
    MaxSegment = "TCP_MAXSEG" TCP 2,
    /// Only full segments leave.
    Cork = "TCP_CORK" TCP 3,
    /// Seconds of silence before the first keepalive.
    KeepIdle = "TCP_KEEPIDLE" TCP 4,
    /// Seconds between keepalives.
    KeepInterval = "TCP_KEEPINTVL" TCP 5,
    /// Keepalives without an answer before the connection is given up.
    KeepCount = "TCP_KEEPCNT" TCP 6,
    /// SYNs before a connection attempt is given up.
    SynCount = "TCP_SYNCNT" TCP 7,
    /// Seconds in FIN-WAIT-2 after close.
    Linger2 = "TCP_LINGER2" TCP 8,
    /// Seconds for which a listener waits for data before it announces a connection.
    DeferAccept = "TCP_DEFER_ACCEPT" TCP 9,
    /// The largest window that is offered, in bytes.
    WindowClamp = "TCP_WINDOW_CLAMP" TCP 10,
    /// How the connection fares: see [`Host::info`](super::Host::info). To be read only.
    Info = "TCP_INFO" TCP 11,
    /// Acknowledgments are not delayed, for now.
    QuickAck = "TCP_QUICKACK" TCP 12,
    /// Who decides how much may be on its way.
    Congestion = "TCP_CONGESTION" TCP 13,
    /// Milliseconds for which data may stay unacknowledged (RFC 5482).
    UserTimeout = "TCP_USER_TIMEOUT" TCP 18,
    /// Unsent bytes below which it is writable.
    NotSentLowWater = "TCP_NOTSENT_LOWAT" TCP 25,
    /// What is sent is gathered into one datagram, which leaves when this ends.
    GatherDatagram = "UDP_CORK" UDP 1,
    /// Type of service of IPv4.
    TypeOfService = "IP_TOS" IP 1,
    /// Hop limit of IPv4.
    TimeToLive = "IP_TTL" IP 2,
    /// Datagrams come with the address to which they were sent.
    PacketInfo = "IP_PKTINFO" IP 8,
    /// Whether datagrams may be fragmented, IPv4: 0 they may, 1 as large as the path takes, 2 they may not, 3 probe.
    MtuDiscover = "IP_MTU_DISCOVER" IP 10,
    /// ICMP errors are kept in the error queue, IPv4.
    ReceiveError = "IP_RECVERR" IP 11,
    /// Datagrams come with their hop limit, IPv4.
    ReceiveTimeToLive = "IP_RECVTTL" IP 12,
    /// Datagrams come with their type of service, IPv4.
    ReceiveTypeOfService = "IP_RECVTOS" IP 13,
    /// The path's MTU, of a connected socket. To be read only.
    Mtu = "IP_MTU" IP 14,
    /// Binding without a port leaves the choice to connect: kept for who asks.
    BindAddressNoPort = "IP_BIND_ADDRESS_NO_PORT" IP 24,
    /// The ports from which one is chosen: the first in the lower 16 bits, the last in the upper; 0 for the host's.
    LocalPortRange = "IP_LOCAL_PORT_RANGE" IP 51,
    /// An address may be bound that the host does not have.
    FreeBind = "IP_FREEBIND" IP 15,
    /// Hop limit of IPv6; -1 for the host's own choice.
    UnicastHops = "IPV6_UNICAST_HOPS" IPV6 16,
    /// Whether datagrams may be fragmented, IPv6.
    MtuDiscover6 = "IPV6_MTU_DISCOVER" IPV6 23,
    /// The path's MTU, of a connected socket, IPv6. To be read only.
    Mtu6 = "IPV6_MTU" IPV6 24,
    /// ICMPv6 errors are kept in the error queue.
    ReceiveError6 = "IPV6_RECVERR" IPV6 25,
    /// An IPv6 socket does without IPv4.
    V6Only = "IPV6_V6ONLY" IPV6 26,
    /// Datagrams come with the address to which they were sent, IPv6.
    ReceivePacketInfo6 = "IPV6_RECVPKTINFO" IPV6 49,
    /// Datagrams come with their hop limit, IPv6.
    ReceiveHopLimit = "IPV6_RECVHOPLIMIT" IPV6 51,
    /// Datagrams come with their traffic class.
    ReceiveTrafficClass = "IPV6_RECVTCLASS" IPV6 66,
    /// Traffic class of IPv6.
    TrafficClass = "IPV6_TCLASS" IPV6 67,
}

impl OptionName {
    /// The option that Linux knows by this level and number.
    pub fn from_number(level: i32, number: i32) -> Option<OptionName> {
        OptionName::ALL.iter().copied().find(|name| name.number() == (level, number))
    }

    /// The option of this name.
    pub fn from_name(name: &str) -> Option<OptionName> {
        OptionName::ALL.iter().copied().find(|known| known.name() == name)
    }

    /// Whether only streams have it.
    pub(super) fn is_of_streams(self) -> bool {
        self.number().0 == level::TCP
    }

    /// Whether only datagram sockets have it.
    pub(super) fn is_of_datagrams(self) -> bool {
        self.number().0 == level::UDP
    }

    /// Whether only IPv6 sockets have it.
    pub(super) fn is_of_v6(self) -> bool {
        self.number().0 == level::IPV6
    }
}

/// The value of an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionValue {
    /// A number, or 0 and 1 for no and yes.
    Number(i32),
    /// Seconds that close waits; `None` when it does not ([`OptionName::Linger`]).
    Linger(Option<u16>),
    /// How long the caller waits; `None` for ever.
    Timeout(Option<Duration>),
    /// [`OptionName::Congestion`].
    Congestion(CongestionKind),
    /// [`OptionName::Error`].
    Error(Option<Errno>),
}

impl OptionValue {
    /// The number; a yes or no is 1 or 0.
    ///
    /// # Errors
    /// [`Errno::Invalid`] when it is something else.
    pub fn as_number(&self) -> Result<i32, Errno> {
        match self {
            OptionValue::Number(number) => Ok(*number),
            OptionValue::Error(error) => Ok(error.map_or(0, Errno::number)),
            _ => Err(Errno::Invalid),
        }
    }
}

/// Yes-or-no options, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags(u32);

/// The bit of a yes-or-no option that is only kept.
pub(super) const fn bit(name: OptionName) -> Option<u32> {
    Some(match name {
        OptionName::ReuseAddress => 1,
        OptionName::ReusePort => 1 << 1,
        OptionName::Broadcast => 1 << 2,
        OptionName::KeepAlive => 1 << 3,
        OptionName::OobInline => 1 << 4,
        OptionName::Timestamp => 1 << 5,
        OptionName::NoDelay => 1 << 6,
        OptionName::Cork => 1 << 7,
        OptionName::QuickAck => 1 << 8,
        OptionName::ReceiveError => 1 << 9,
        OptionName::ReceiveError6 => 1 << 10,
        OptionName::FreeBind => 1 << 11,
        OptionName::V6Only => 1 << 12,
        OptionName::PacketInfo => 1 << 13,
        OptionName::ReceivePacketInfo6 => 1 << 14,
        OptionName::ReceiveTimeToLive => 1 << 15,
        OptionName::ReceiveHopLimit => 1 << 16,
        OptionName::ReceiveTypeOfService => 1 << 17,
        OptionName::ReceiveTrafficClass => 1 << 18,
        OptionName::DontRoute => 1 << 19,
        OptionName::GatherDatagram => 1 << 20,
        OptionName::ZeroCopy => 1 << 21,
        OptionName::BindAddressNoPort => 1 << 22,
        _ => return None,
    })
}

impl Flags {
    pub(super) const fn has(self, name: OptionName) -> bool {
        match bit(name) {
            Some(bit) => self.0 & bit != 0,
            None => false,
        }
    }

    fn set(&mut self, name: OptionName, value: bool) {
        let bit = bit(name).unwrap_or(0);
        self.0 = if value { self.0 | bit } else { self.0 & !bit };
    }
}

/// What a socket remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Options {
    /// In whose name the socket was made; what it accepts is made in the same.
    pub(super) user: User,
    pub(super) flags: Flags,
    pub(super) linger: Option<u16>,
    /// Set by the program, doubled as Linux does; `None` while the host decides.
    pub(super) send_buffer: Option<u32>,
    pub(super) receive_buffer: Option<u32>,
    pub(super) receive_low_water: u32,
    pub(super) receive_timeout: Option<Duration>,
    pub(super) send_timeout: Option<Duration>,
    pub(super) priority: i32,
    pub(super) mark: i32,
    pub(super) max_segment: u16,
    pub(super) keep_idle: u32,
    pub(super) keep_interval: u32,
    pub(super) keep_count: u8,
    pub(super) syn_count: u8,
    pub(super) linger2: i32,
    pub(super) defer_accept: u32,
    pub(super) window_clamp: u32,
    pub(super) user_timeout: u32,
    pub(super) not_sent_low_water: u32,
    pub(super) congestion: CongestionKind,
    pub(super) time_to_live: u8,
    pub(super) type_of_service: u8,
    /// `None` for the host's own choice.
    pub(super) unicast_hops: Option<u8>,
    pub(super) traffic_class: u8,
    pub(super) local_ports: u32,
    pub(super) mtu_discover: u8,
    pub(super) mtu_discover6: u8,
}

/// Hop limit of what sockets send, unless they say otherwise.
const HOP_LIMIT: u8 = 64;
/// IP_PMTUDISC_WANT: as large as the path takes.
const PMTUDISC_WANT: u8 = 1;
/// IP_PMTUDISC_DO: never in fragments.
pub(super) const PMTUDISC_DO: u8 = 2;
/// IP_PMTUDISC_PROBE: whatever is known of the path.
pub(super) const PMTUDISC_PROBE: u8 = 3;
/// The largest of IP_MTU_DISCOVER's numbers, IP_PMTUDISC_OMIT.
const PMTUDISC_MAX: i32 = 5;
/// net.core.rmem_max and wmem_max.
const BUFFER_MAX: i32 = 212_992;
/// SOCK_MIN_SNDBUF and SOCK_MIN_RCVBUF.
const SEND_BUFFER_MIN: u32 = 4_608;
const RECEIVE_BUFFER_MIN: u32 = 2_304;
/// The bounds of TCP_KEEPIDLE and TCP_KEEPINTVL, in seconds, and of TCP_KEEPCNT and TCP_SYNCNT.
const KEEPALIVE_SECONDS_MAX: i32 = 32_767;
const COUNT_MAX: i32 = 127;
/// TCP_MIN_MSS and MAX_TCP_WINDOW.
const MAX_SEGMENT_BOUNDS: (i32, i32) = (88, 32_767);
/// TCP_FIN_TIMEOUT_MAX, in seconds.
const LINGER2_MAX: i32 = 120;
/// SOCK_MIN_RCVBUF / 2, the least window clamp.
const WINDOW_CLAMP_MIN: i32 = 1_152;

impl Options {
    pub(super) fn new(user: User, settings: &Settings) -> Options {
        let keepalive = settings.keepalive.unwrap_or_default();
        let mut options = Options {
            user,
            flags: Flags::default(),
            linger: None,
            send_buffer: None,
            receive_buffer: None,
            receive_low_water: 1,
            receive_timeout: None,
            send_timeout: None,
            priority: 0,
            mark: 0,
            max_segment: 0,
            keep_idle: keepalive.idle.as_secs() as u32,
            keep_interval: keepalive.interval.as_secs() as u32,
            keep_count: keepalive.probes,
            syn_count: settings.syn_retries,
            linger2: settings.fin_wait.as_secs() as i32,
            defer_accept: 0,
            window_clamp: 0,
            user_timeout: 0,
            not_sent_low_water: 0,
            congestion: settings.congestion,
            time_to_live: HOP_LIMIT,
            type_of_service: 0,
            unicast_hops: None,
            traffic_class: 0,
            local_ports: 0,
            mtu_discover: PMTUDISC_WANT,
            mtu_discover6: PMTUDISC_WANT,
        };
        options.flags.set(OptionName::KeepAlive, settings.keepalive.is_some());
        options.flags.set(OptionName::NoDelay, !settings.nagle);
        options.flags.set(OptionName::QuickAck, true);
        options
    }

    pub(super) const fn has(&self, name: OptionName) -> bool {
        self.flags.has(name)
    }

    /// How a connection of a socket with these options behaves, on top of what the host's connections do.
    pub(super) fn settings(&self, host: &Settings) -> Settings {
        let keepalive = self.keepalive();
        Settings {
            mss: match self.max_segment {
                0 => host.mss,
                own => host.mss.min(own),
            },
            // SO_RCVBUF and SO_SNDBUF end the growth, and leave the scale of the window as it was.
            receive_buffer: self.receive_buffer.map_or(host.receive_buffer, |bytes| bytes / 2),
            receive_buffer_max: if self.receive_buffer.is_some() { 0 } else { host.receive_buffer_max },
            receive_scale_for: host.receive_scale_for.max(host.receive_buffer_max),
            window_clamp: if self.window_clamp > 0 { self.window_clamp } else { host.window_clamp },
            send_buffer: self.send_buffer.map_or(host.send_buffer, |bytes| bytes / 2),
            send_buffer_max: if self.send_buffer.is_some() { 0 } else { host.send_buffer_max },
            not_sent_low_water: match self.not_sent_low_water {
                0 => host.not_sent_low_water,
                own => own,
            },
            nagle: !self.has(OptionName::NoDelay),
            keepalive,
            congestion: self.congestion,
            syn_retries: self.syn_count,
            user_timeout: self.user_timeout().or(host.user_timeout),
            fin_wait: self.fin_wait(host.fin_wait),
            // TCP_SYNCNT counts the SYN-ACKs of a listener, too.
            syn_ack_retries: match self.syn_count {
                count if count == host.syn_retries => host.syn_ack_retries,
                own => own,
            },
            path_discovery: host.path_discovery && self.discovers_path(),
            hop_limit: self.time_to_live,
            dscp: self.type_of_service >> 2,
            ..host.clone()
        }
    }

    /// What an option means for a connection that lives; `None` when it means nothing to it.
    pub(super) fn change(&self, name: OptionName) -> Option<Change> {
        Some(match name {
            OptionName::NoDelay => Change::Nagle(!self.has(OptionName::NoDelay)),
            OptionName::Cork => Change::Cork(self.has(OptionName::Cork)),
            OptionName::QuickAck => Change::QuickAck(self.has(OptionName::QuickAck)),
            OptionName::KeepAlive
            | OptionName::KeepIdle
            | OptionName::KeepInterval
            | OptionName::KeepCount => Change::Keepalive(self.keepalive()),
            OptionName::SynCount => Change::SynRetries(self.syn_count),
            OptionName::UserTimeout => Change::UserTimeout(self.user_timeout()),
            OptionName::Linger2 if self.linger2 != 0 => Change::FinWait(self.fin_wait(Duration::ZERO)),
            OptionName::MaxSegment if self.max_segment > 0 => Change::MaxSegment(self.max_segment),
            OptionName::SendBuffer => Change::SendBuffer(self.send_buffer? / 2),
            OptionName::ReceiveBuffer => Change::ReceiveBuffer(self.receive_buffer? / 2),
            OptionName::WindowClamp if self.window_clamp > 0 => Change::WindowClamp(self.window_clamp),
            OptionName::NotSentLowWater => Change::NotSentLowWater(self.not_sent_low_water),
            OptionName::Congestion => Change::Congestion(self.congestion),
            OptionName::TimeToLive => Change::HopLimit(self.time_to_live),
            OptionName::MtuDiscover => Change::PathDiscovery(self.discovers_path()),
            OptionName::UnicastHops => Change::HopLimit(self.unicast_hops.unwrap_or(HOP_LIMIT)),
            OptionName::TypeOfService => Change::Dscp(self.type_of_service >> 2),
            OptionName::TrafficClass => Change::Dscp(self.traffic_class >> 2),
            _ => return None,
        })
    }

    /// Whether a connection may not be cut on its way and hears ICMP say that it is too large (IP_MTU_DISCOVER).
    const fn discovers_path(&self) -> bool {
        PMTUDISC_WANT <= self.mtu_discover && self.mtu_discover <= PMTUDISC_PROBE
    }

    /// TCP_LINGER2: below zero nothing is waited for, and zero stands for what the host does.
    fn fin_wait(&self, host: Duration) -> Duration {
        match self.linger2 {
            0 => host,
            seconds => Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
        }
    }

    /// The ports from which one is chosen (IP_LOCAL_PORT_RANGE); `None` for the host's.
    pub(super) fn port_range(&self) -> Option<PortRange> {
        let port = |number: u32, open: Port| Port::new(number as u16).unwrap_or(open);
        let (first, last) = (self.local_ports & 0xffff, self.local_ports >> 16);
        let range = PortRange::LINUX;
        let chosen = PortRange::new(port(first, range.first()), port(last, range.last()));
        chosen.filter(|_| self.local_ports != 0)
    }

    fn user_timeout(&self) -> Option<Duration> {
        (self.user_timeout > 0).then(|| Duration::from_millis(self.user_timeout.into()))
    }

    /// What stands in the IP header of a datagram: one that fits the link is not to be cut on its way, unless the program
    /// doesn't mind (IP_PMTUDISC_DONT and above IP_PMTUDISC_PROBE; RFC 1191, section 6).
    pub(super) fn datagram_fields(&self, v4: bool, fits: bool) -> DatagramFields {
        let (hop_limit, traffic_class, discover) = match v4 {
            true => (self.time_to_live, self.type_of_service, self.mtu_discover),
            false => (self.unicast_hops.unwrap_or(HOP_LIMIT), self.traffic_class, self.mtu_discover6),
        };
        let dont_fragment = fits && (PMTUDISC_WANT..=PMTUDISC_PROBE).contains(&discover);
        DatagramFields { hop_limit, traffic_class, dont_fragment }
    }

    pub(super) fn keepalive(&self) -> Option<Keepalive> {
        self.has(OptionName::KeepAlive).then(|| Keepalive {
            idle: Duration::from_secs(self.keep_idle.into()),
            interval: Duration::from_secs(self.keep_interval.into()),
            probes: self.keep_count,
        })
    }

    /// Takes a value as it is, or says why not.
    pub(super) fn set(&mut self, name: OptionName, value: &OptionValue) -> Result<(), Errno> {
        if bit(name).is_some() {
            let number = value.as_number()?;
            self.flags.set(name, number != 0);
            return Ok(());
        }
        match (name, value) {
            (OptionName::Linger, OptionValue::Linger(linger)) => self.linger = *linger,
            (OptionName::ReceiveTimeout, OptionValue::Timeout(timeout)) => self.receive_timeout = *timeout,
            (OptionName::SendTimeout, OptionValue::Timeout(timeout)) => self.send_timeout = *timeout,
            (OptionName::Congestion, OptionValue::Congestion(kind)) => self.congestion = *kind,
            _ => return self.set_number(name, value.as_number()?),
        }
        Ok(())
    }

    fn set_number(&mut self, name: OptionName, number: i32) -> Result<(), Errno> {
        let unsigned = || u32::try_from(number).map_err(|_| Errno::Invalid);
        match name {
            OptionName::SendBuffer => self.send_buffer = Some(doubled(number, SEND_BUFFER_MIN)),
            OptionName::ReceiveBuffer => self.receive_buffer = Some(doubled(number, RECEIVE_BUFFER_MIN)),
            OptionName::ReceiveLowWater => {
                self.receive_low_water = if number < 0 { i32::MAX as u32 } else { unsigned()?.max(1) };
            }
            OptionName::Priority => self.priority = number,
            OptionName::Mark => self.mark = number,
            OptionName::MaxSegment => self.max_segment = within(number, MAX_SEGMENT_BOUNDS)? as u16,
            OptionName::KeepIdle => self.keep_idle = within(number, (1, KEEPALIVE_SECONDS_MAX))?,
            OptionName::KeepInterval => self.keep_interval = within(number, (1, KEEPALIVE_SECONDS_MAX))?,
            OptionName::KeepCount => self.keep_count = within(number, (1, COUNT_MAX))? as u8,
            OptionName::SynCount => self.syn_count = within(number, (1, COUNT_MAX))? as u8,
            OptionName::Linger2 => self.linger2 = number.clamp(-1, LINGER2_MAX),
            OptionName::DeferAccept => self.defer_accept = number.max(0) as u32,
            OptionName::WindowClamp => {
                self.window_clamp = if number == 0 { 0 } else { number.max(WINDOW_CLAMP_MIN) as u32 };
            }
            OptionName::UserTimeout => self.user_timeout = unsigned()?,
            OptionName::NotSentLowWater => self.not_sent_low_water = number as u32,
            OptionName::TypeOfService => self.type_of_service = number as u8,
            OptionName::TimeToLive if number == -1 => self.time_to_live = HOP_LIMIT,
            OptionName::TimeToLive => self.time_to_live = within(number, (1, 255))? as u8,
            OptionName::UnicastHops if number == -1 => self.unicast_hops = None,
            OptionName::UnicastHops => self.unicast_hops = Some(within(number, (0, 255))? as u8),
            OptionName::TrafficClass if number == -1 => self.traffic_class = 0,
            OptionName::TrafficClass => self.traffic_class = within(number, (0, 255))? as u8,
            OptionName::LocalPortRange => {
                let (first, last) = (number as u32 & 0xffff, number as u32 >> 16);
                if first > last && last > 0 {
                    return Err(Errno::Invalid);
                }
                self.local_ports = number as u32;
            }
            OptionName::MtuDiscover => self.mtu_discover = within(number, (0, PMTUDISC_MAX))? as u8,
            OptionName::MtuDiscover6 => self.mtu_discover6 = within(number, (0, PMTUDISC_MAX))? as u8,
            _ => return Err(Errno::NoProtocolOption),
        }
        Ok(())
    }

    /// The value as it was set; `None` for what only the socket knows.
    pub(super) fn value(&self, name: OptionName) -> Option<OptionValue> {
        if bit(name).is_some() {
            return Some(OptionValue::Number(self.has(name).into()));
        }
        let number = match name {
            OptionName::Linger => return Some(OptionValue::Linger(self.linger)),
            OptionName::ReceiveTimeout => return Some(OptionValue::Timeout(self.receive_timeout)),
            OptionName::SendTimeout => return Some(OptionValue::Timeout(self.send_timeout)),
            OptionName::Congestion => return Some(OptionValue::Congestion(self.congestion)),
            OptionName::SendBuffer => self.send_buffer?,
            OptionName::ReceiveBuffer => self.receive_buffer?,
            OptionName::ReceiveLowWater => self.receive_low_water,
            OptionName::SendLowWater => 1,
            OptionName::Priority => return Some(OptionValue::Number(self.priority)),
            OptionName::Mark => return Some(OptionValue::Number(self.mark)),
            OptionName::KeepIdle => self.keep_idle,
            OptionName::KeepInterval => self.keep_interval,
            OptionName::KeepCount => self.keep_count.into(),
            OptionName::SynCount => self.syn_count.into(),
            OptionName::Linger2 => return Some(OptionValue::Number(self.linger2)),
            OptionName::DeferAccept => self.defer_accept,
            OptionName::WindowClamp => self.window_clamp,
            OptionName::UserTimeout => self.user_timeout,
            OptionName::NotSentLowWater => self.not_sent_low_water,
            OptionName::TypeOfService => self.type_of_service.into(),
            OptionName::TimeToLive => self.time_to_live.into(),
            OptionName::UnicastHops => self.unicast_hops.unwrap_or(HOP_LIMIT).into(),
            OptionName::TrafficClass => self.traffic_class.into(),
            OptionName::LocalPortRange => self.local_ports,
            OptionName::MtuDiscover => self.mtu_discover.into(),
            OptionName::MtuDiscover6 => self.mtu_discover6.into(),
            _ => return None,
        };
        Some(OptionValue::Number(number as i32))
    }
}

/// The options as sockets hold them.
pub(super) type Shared = Arc<Options>;

fn doubled(number: i32, min: u32) -> u32 {
    // A negative number is a large one to Linux.
    let asked = if number < 0 { BUFFER_MAX } else { number.min(BUFFER_MAX) };
    (asked as u32 * 2).max(min)
}

fn within(number: i32, (first, last): (i32, i32)) -> Result<u32, Errno> {
    if (first..=last).contains(&number) { Ok(number as u32) } else { Err(Errno::Invalid) }
}
