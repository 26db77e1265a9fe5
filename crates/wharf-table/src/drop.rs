//! Why a packet went nowhere. One enum in the whole program, so that a counter, a trace and an explanation
//! use the same word.

use core::fmt;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident => $text:literal,)+) => {
        /// The named reason for which a packet was not delivered.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum DropReason { $($(#[doc = $doc])+ $name,)+ }

        impl DropReason {
            /// Every reason, in the order of [`DropReason::index`].
            pub const ALL: &'static [DropReason] = &[$(DropReason::$name,)+];

            /// The stable name, snake_case, as JSON and counters print it.
            pub const fn name(self) -> &'static str {
                match self { $(DropReason::$name => $text,)+ }
            }
        }
    };
}

reasons! {
    /// The frame is shorter than an Ethernet header.
    FrameTooShort => "frame_too_short",
    /// The frame is for another hardware address.
    NotOurHardwareAddress => "not_our_hardware_address",
    /// The EtherType is neither ARP, IPv4 nor IPv6.
    UnknownEtherType => "unknown_ether_type",
    /// The ARP message is malformed or asks for nothing that we answer.
    ArpIgnored => "arp_ignored",
    /// The IP header is malformed: version, length, header length or an option.
    IpMalformed => "ip_malformed",
    /// The IPv4 header checksum is wrong (RFC 1122, section 3.2.1.2).
    IpChecksum => "ip_checksum",
    /// The source address can't be a source: multicast, broadcast, loopback, unspecified.
    SourceInvalid => "source_invalid",
    /// The destination address is not for a gateway to carry: loopback, unspecified, multicast.
    DestinationInvalid => "destination_invalid",
    /// The destination is refused by the network's own rules (loopback of the host, link-local, metadata).
    DestinationDenied => "destination_denied",
    /// The destination is ours and the packet's address is not one of our own addresses.
    NotOurAddress => "not_our_address",
    /// No route leads to the destination.
    NoRoute => "no_route",
    /// The hop limit ran out here.
    HopLimitExceeded => "hop_limit_exceeded",
    /// The next header is one that nobody here takes.
    UnknownProtocol => "unknown_protocol",
    /// An IPv6 extension header is malformed, out of place or repeated without end (RFC 8200, section 4).
    ExtensionHeader => "extension_header",
    /// A fragment is malformed, overlaps another (RFC 5722) or ends beyond 65,535 bytes.
    FragmentInvalid => "fragment_invalid",
    /// A fragment was kept until its datagram would have been whole, and the time ran out.
    FragmentTimeout => "fragment_timeout",
    /// No room is left to keep fragments.
    FragmentNoRoom => "fragment_no_room",
    /// The transport header is malformed.
    TransportMalformed => "transport_malformed",
    /// The transport checksum is wrong.
    TransportChecksum => "transport_checksum",
    /// Port 0 stands where a port must.
    PortZero => "port_zero",
    /// Nobody has bound this port.
    NoListener => "no_listener",
    /// The listener's queue is full.
    ListenQueueFull => "listen_queue_full",
    /// A segment for no connection.
    NoConnection => "no_connection",
    /// A segment outside the receive window (RFC 9293, section 3.10.7.4, first check).
    OutOfWindow => "out_of_window",
    /// A timestamp from the past (RFC 7323, section 5).
    PawsRejected => "paws_rejected",
    /// A segment without the timestamps that both sides had agreed on (RFC 7323, section 3.2).
    TimestampMissing => "timestamp_missing",
    /// An acknowledgment of something never sent or long acknowledged (RFC 5961, section 5).
    AckInvalid => "ack_invalid",
    /// A RST or SYN that was answered with a challenge ACK (RFC 5961, sections 3 and 4).
    Challenged => "challenged",
    /// A segment that the state does not take.
    StateMismatch => "state_mismatch",
    /// A segment without ACK where one is due.
    AckMissing => "ack_missing",
    /// Data that was received before.
    Duplicate => "duplicate",
    /// No buffer is left for the data.
    NoBuffer => "no_buffer",
    /// No flow can be opened: the table or the descriptors are used up.
    NoFlow => "no_flow",
    /// The ICMP message is malformed or quotes nothing that we sent.
    IcmpInvalid => "icmp_invalid",
    /// An ICMP type that nobody here takes.
    IcmpIgnored => "icmp_ignored",
    /// A limit on the rate of replies held one back (RFC 1812, section 4.3.2.8; RFC 4443, section 2.4).
    RateLimited => "rate_limited",
    /// The packet is larger than the link and must not be fragmented.
    TooBig => "too_big",
    /// The link's queue was full.
    LinkFull => "link_full",
    /// The link lost it on purpose (`--link loss=...`).
    LinkLoss => "link_loss",
    /// No neighbour answers for the next hop.
    NeighborUnresolved => "neighbor_unresolved",
    /// The host would not take it.
    HostRefused => "host_refused",
    /// A socket of the host had no room left: for what arrived there, or for what was to be sent.
    HostQueueFull => "host_queue_full",
    /// The program sent faster than its link was read, and its own kernel dropped the frames.
    ProgramQueueFull => "program_queue_full",
}

impl DropReason {
    /// The position in [`DropReason::ALL`], for an array of counters.
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A counter for each [`DropReason`].
#[derive(Clone, Debug)]
pub struct DropCounters([u64; DropReason::ALL.len()]);

impl Default for DropCounters {
    fn default() -> Self {
        DropCounters([0; DropReason::ALL.len()])
    }
}

impl DropCounters {
    /// Counts one more packet dropped for `reason`.
    pub fn count(&mut self, reason: DropReason) {
        self.count_many(reason, 1);
    }

    /// Counts more packets dropped for `reason`.
    pub fn count_many(&mut self, reason: DropReason, count: u64) {
        self.0[reason.index()] += count;
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &DropCounters) {
        self.0.iter_mut().zip(other.0).for_each(|(count, more)| *count += more);
    }

    /// How many were dropped for `reason`.
    pub fn of(&self, reason: DropReason) -> u64 {
        self.0[reason.index()]
    }

    /// The reasons that occurred, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> {
        DropReason::ALL.iter().copied().zip(self.0).filter(|&(_, count)| count > 0)
    }
}
