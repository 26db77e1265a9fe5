//! Neighbour discovery (RFC 4861): who has this IPv6 address, and who is the router?
//!
//! A message comes in as [`crate::icmpv6::Icmpv6Repr::Other`] with a type in [`KINDS`]; its checksum has been verified
//! there. The caller checks that its hop limit is [`HOP_LIMIT`], and that a solicitation from `::` went to a
//! solicited-node address (RFC 4861, section 7.1.1): both are in the IP header. Not here: redirects, and options that
//! nobody reads (nonce, route information, search list).

pub mod option;

use arrayvec::ArrayVec;
use wharf_table::Addr;

use crate::icmpv6::fill_checksum;
use crate::{HardwareAddr, Malformed};

use option::{Options, Writer};
pub use option::{PrefixInfo, RecursiveDns};

/// The types of the messages that [`NdpRepr::parse`] reads.
pub const KINDS: core::ops::RangeInclusive<u8> = ROUTER_SOLICIT..=NEIGHBOR_ADVERT;
/// The hop limit of every message, so that none comes from beyond the link (RFC 4861, section 3.1).
pub const HOP_LIMIT: u8 = 255;
/// All nodes on the link, `ff02::1` (RFC 4291, section 2.7.1).
pub const ALL_NODES: Addr = Addr::v6([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
/// All routers on the link, `ff02::2` (RFC 4291, section 2.7.1).
pub const ALL_ROUTERS: Addr = Addr::v6([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
/// Prefixes of one advertisement that are kept; more are passed over.
pub const MAX_PREFIXES: usize = 4;

const ROUTER_SOLICIT: u8 = 133;
const ROUTER_ADVERT: u8 = 134;
const NEIGHBOR_SOLICIT: u8 = 135;
const NEIGHBOR_ADVERT: u8 = 136;

/// The group to which a solicitation for `target` is sent (RFC 4291, section 2.7.1).
pub const fn solicited_node(target: Addr) -> Addr {
    let [.., a, b, c] = target.octets();
    Addr::v6([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

/// What a router tells of itself and the link (RFC 4861, section 4.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouterAdvert {
    /// The hop limit that hosts should use; 0 for unsaid.
    pub hop_limit: u8,
    /// Addresses are to be had by DHCPv6.
    pub managed: bool,
    /// Other configuration is to be had by DHCPv6.
    pub other_config: bool,
    /// For how many seconds this is a default router; 0 for not at all.
    pub lifetime_s: u16,
    /// For how many milliseconds a neighbour is held reachable; 0 for unsaid.
    pub reachable_ms: u32,
    /// Milliseconds between solicitations; 0 for unsaid.
    pub retransmit_ms: u32,
    /// The router's hardware address.
    pub source_hardware: Option<HardwareAddr>,
    /// What the link carries, in bytes of an IP packet.
    pub mtu: Option<u32>,
    /// The link's prefixes.
    pub prefixes: ArrayVec<PrefixInfo, MAX_PREFIXES>,
    /// Name servers (RFC 8106).
    pub dns: Option<RecursiveDns>,
}

/// What a neighbour discovery message means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NdpRepr {
    /// Is there a router?
    RouterSolicit {
        /// Who asks; `None` when it has no address yet.
        source_hardware: Option<HardwareAddr>,
    },
    /// Here is a router.
    RouterAdvert(RouterAdvert),
    /// Who has this address?
    NeighborSolicit {
        /// The address.
        target: Addr,
        /// Who asks; `None` in duplicate address detection (RFC 4862, section 5.4.2).
        source_hardware: Option<HardwareAddr>,
    },
    /// I have this address.
    NeighborAdvert {
        /// The address.
        target: Addr,
        /// How it is meant.
        flags: NeighborFlags,
        /// The hardware address that belongs to it.
        target_hardware: Option<HardwareAddr>,
    },
}

/// How a neighbour advertisement is meant (RFC 4861, section 4.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NeighborFlags {
    /// The sender is a router.
    pub router: bool,
    /// It answers a solicitation.
    pub solicited: bool,
    /// It replaces what was known.
    pub overrides: bool,
}

impl NdpRepr {
    /// Reads `message`, the whole payload of its IP packet. Unknown options are passed over; of options that may stand once
    /// the last one counts.
    ///
    /// # Errors
    /// [`Malformed::TooShort`]; [`Malformed::Operation`] for another type, a code other than 0 or a multicast target;
    /// [`Malformed::Option`] for an option of length 0 or beyond the message (RFC 4861, section 4.6).
    pub fn parse(message: &[u8]) -> Result<NdpRepr, Malformed> {
        let (header, rest) = message.split_first_chunk::<8>().ok_or(Malformed::TooShort)?;
        if header[1] != 0 {
            return Err(Malformed::Operation);
        }
        match header[0] {
            ROUTER_SOLICIT => {
                Ok(NdpRepr::RouterSolicit { source_hardware: Options::parse(rest)?.source_hardware })
            }
            ROUTER_ADVERT => RouterAdvert::parse(header, rest).map(NdpRepr::RouterAdvert),
            NEIGHBOR_SOLICIT => {
                let (target, options) = target(rest)?;
                Ok(NdpRepr::NeighborSolicit { target, source_hardware: options.source_hardware })
            }
            NEIGHBOR_ADVERT => {
                let (target, options) = target(rest)?;
                let flags = NeighborFlags {
                    router: header[4] & 0x80 != 0,
                    solicited: header[4] & 0x40 != 0,
                    overrides: header[4] & 0x20 != 0,
                };
                Ok(NdpRepr::NeighborAdvert { target, flags, target_hardware: options.target_hardware })
            }
            _ => Err(Malformed::Operation),
        }
    }

    /// Bytes that [`NdpRepr::emit`] writes, a multiple of 8.
    #[expect(clippy::len_without_is_empty, reason = "a message is never empty")]
    pub fn len(&self) -> usize {
        match self {
            NdpRepr::RouterSolicit { source_hardware } => 8 + option::hardware_len(*source_hardware),
            NdpRepr::RouterAdvert(advert) => advert.len(),
            NdpRepr::NeighborSolicit { source_hardware, .. } => 24 + option::hardware_len(*source_hardware),
            NdpRepr::NeighborAdvert { target_hardware, .. } => 24 + option::hardware_len(*target_hardware),
        }
    }

    /// Writes the whole message to the front of `buf`, with the checksum for a packet from `src` to `dst`.
    ///
    /// # Panics
    /// When `buf` is shorter than [`NdpRepr::len`].
    pub fn emit(&self, src: Addr, dst: Addr, buf: &mut [u8]) {
        let buf = &mut buf[..self.len()];
        let mut writer = Writer::new(buf);
        match self {
            NdpRepr::RouterSolicit { source_hardware } => {
                writer.put(&[ROUTER_SOLICIT, 0, 0, 0, 0, 0, 0, 0]);
                writer.source_hardware(*source_hardware);
            }
            NdpRepr::RouterAdvert(advert) => advert.emit(&mut writer),
            NdpRepr::NeighborSolicit { target, source_hardware } => {
                writer.put(&[NEIGHBOR_SOLICIT, 0, 0, 0, 0, 0, 0, 0]);
                writer.put(&target.octets());
                writer.source_hardware(*source_hardware);
            }
            NdpRepr::NeighborAdvert { target, flags, target_hardware } => {
                let flags = bit(flags.router, 0x80) | bit(flags.solicited, 0x40) | bit(flags.overrides, 0x20);
                writer.put(&[NEIGHBOR_ADVERT, 0, 0, 0, flags, 0, 0, 0]);
                writer.put(&target.octets());
                writer.target_hardware(*target_hardware);
            }
        }
        fill_checksum(src, dst, buf);
    }
}

impl RouterAdvert {
    fn parse(header: &[u8; 8], rest: &[u8]) -> Result<RouterAdvert, Malformed> {
        let (timers, rest) = rest.split_first_chunk::<8>().ok_or(Malformed::TooShort)?;
        let options = Options::parse(rest)?;
        Ok(RouterAdvert {
            hop_limit: header[4],
            managed: header[5] & 0x80 != 0,
            other_config: header[5] & 0x40 != 0,
            lifetime_s: u16::from_be_bytes([header[6], header[7]]),
            reachable_ms: u32::from_be_bytes([timers[0], timers[1], timers[2], timers[3]]),
            retransmit_ms: u32::from_be_bytes([timers[4], timers[5], timers[6], timers[7]]),
            source_hardware: options.source_hardware,
            mtu: options.mtu,
            prefixes: options.prefixes,
            dns: options.dns,
        })
    }

    fn len(&self) -> usize {
        16 + option::hardware_len(self.source_hardware)
            + if self.mtu.is_some() { option::MTU_LEN } else { 0 }
            + self.prefixes.len() * option::PREFIX_LEN
            + self.dns.as_ref().map_or(0, RecursiveDns::len)
    }

    fn emit(&self, writer: &mut Writer<'_>) {
        let flags = bit(self.managed, 0x80) | bit(self.other_config, 0x40);
        writer.put(&[ROUTER_ADVERT, 0, 0, 0, self.hop_limit, flags]);
        writer.put(&self.lifetime_s.to_be_bytes());
        writer.put(&self.reachable_ms.to_be_bytes());
        writer.put(&self.retransmit_ms.to_be_bytes());
        writer.source_hardware(self.source_hardware);
        if let Some(mtu) = self.mtu {
            writer.mtu(mtu);
        }
        for prefix in &self.prefixes {
            prefix.emit(writer);
        }
        if let Some(dns) = &self.dns {
            dns.emit(writer);
        }
    }
}

fn bit(set: bool, mask: u8) -> u8 {
    if set { mask } else { 0 }
}

/// The target of a neighbour message, which must be one station, and the options behind it.
fn target(rest: &[u8]) -> Result<(Addr, Options), Malformed> {
    let (target, options) = rest.split_first_chunk::<16>().ok_or(Malformed::TooShort)?;
    let target = Addr::v6(*target);
    if target.is_multicast() {
        return Err(Malformed::Operation);
    }
    Ok((target, Options::parse(options)?))
}

#[cfg(test)]
mod tests;
