//! What `iptables` puts into rules as it is: its own matches and targets, whose data are the structures of `linux/netfilter`.
//! Those that decide most are read; of the others the name is told.

use std::net::{IpAddr, SocketAddr};

use wharf_sys::netlink::nftables::{Reject, Verdict};
use wharf_table::Protocol;

use super::rule::{Deed, Outcome, goes_if, redirected};
use super::{Hook, Packet, Phase, Surroundings};

fn half(info: &[u8], at: usize) -> Option<u16> {
    info.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn word(info: &[u8], at: usize) -> Option<u32> {
    info.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

/// Whether a match lets the rule go on.
pub(super) fn fits(
    name: &str,
    revision: u32,
    info: &[u8],
    packet: &Packet,
    around: &dyn Surroundings,
) -> Outcome {
    let known = match name {
        "comment" => Some(true),
        "tcp" => ports(info, 11, packet).map(|fits| fits && packet.protocol == Protocol::Tcp),
        "udp" => ports(info, 8, packet).map(|fits| fits && packet.protocol == Protocol::Udp),
        "state" => word(info, 0).map(|mask| mask & state_bit(packet) != 0),
        "conntrack" if revision > 0 => conntrack(info, packet),
        "addrtype" if revision == 1 => address_types(info, packet, around),
        _ => None,
    };
    known.map_or_else(|| unknown("match", name), goes_if)
}

fn unknown(what: &str, name: &str) -> Outcome {
    Outcome::Unknown(format!("wharf does not know the {what} `{name}` of iptables"))
}

/// `xt_tcp` and `xt_udp`: two ranges, and behind them what is inverted.
fn ports(info: &[u8], inverted_at: usize, packet: &Packet) -> Option<bool> {
    let inverted = *info.get(inverted_at)?;
    let within = |at: usize, port: u16| Some(half(info, at)? <= port && port <= half(info, at + 2)?);
    let source = within(0, packet.source.port())? != (inverted & 1 != 0);
    let destination = within(4, packet.destination.port())? != (inverted & 2 != 0);
    let flags = match packet.protocol {
        Protocol::Tcp => {
            let sent = if packet.phase == Phase::First { 0x02 } else { 0x12 };
            (sent & info.get(9)? == *info.get(10)?) != (inverted & 4 != 0)
        }
        _ => true,
    };
    Some(source && destination && flags)
}

/// `XT_CONNTRACK_STATE_BIT`.
fn state_bit(packet: &Packet) -> u32 {
    match packet.phase {
        _ if !packet.is_tracked => 1 << 6,
        Phase::First => 1 << 3,
        Phase::Reply => 1 << 1,
    }
}

/// `xt_conntrack_mtinfo3`, as far as it asks for a state.
fn conntrack(info: &[u8], packet: &Packet) -> Option<bool> {
    const STATE: u16 = 1;
    let (asked, inverted) = (half(info, 146)?, half(info, 148)?);
    let mask = u32::from(half(info, 150)?);
    (asked == STATE).then(|| (mask & state_bit(packet) != 0) != (inverted & STATE != 0))
}

/// `xt_addrtype_info_v1`: masks of the kinds of source and destination.
fn address_types(info: &[u8], packet: &Packet, around: &dyn Surroundings) -> Option<bool> {
    let inverted = word(info, 4)?;
    let fits = |mask: u16, address: IpAddr, bit: u32| {
        if mask == 0 {
            return Some(true);
        }
        let kind = around.kind_of(address)?;
        Some((mask & 1 << kind != 0) != (inverted & bit != 0))
    };
    Some(fits(half(info, 0)?, packet.source.ip(), 1)? && fits(half(info, 2)?, packet.destination.ip(), 2)?)
}

/// What a target does.
pub(super) fn does(
    name: &str,
    revision: u32,
    info: &[u8],
    hook: Hook,
    packet: &Packet,
    around: &dyn Surroundings,
) -> Outcome {
    let translate = |to| Outcome::Does(Deed::Translate(to));
    match name {
        "ACCEPT" => Outcome::Does(Deed::Verdict(Verdict::Accept)),
        "DROP" => Outcome::Does(Deed::Verdict(Verdict::Drop)),
        "LOG" | "NFLOG" | "CHECKSUM" | "TCPMSS" => Outcome::Goes,
        "MASQUERADE" | "SNAT" => Outcome::Does(Deed::Mask(None)),
        "REJECT" => match word(info, 0) {
            Some(7) => Outcome::Does(Deed::Reject(Reject::Reset)),
            Some(kind) => Outcome::Does(Deed::Reject(Reject::Icmp(icmp_code(kind)))),
            None => unknown("target", name),
        },
        "DNAT" => match range(info, revision, packet) {
            Some(to) => translate(to),
            None => unknown("target", name),
        },
        "REDIRECT" => match (range(info, revision, packet), redirected(hook, packet, around)) {
            (Some(to), Some(own)) => translate(SocketAddr::new(own, to.port())),
            _ => unknown("target", name),
        },
        _ => unknown("target", name),
    }
}

/// The ICMP code of `ipt_reject_with`.
const fn icmp_code(kind: u32) -> u8 {
    match kind {
        0..=3 => kind as u8,
        5 => 9,
        6 => 10,
        8 => 13,
        _ => 3,
    }
}

/// The first address and port of `nf_nat_range2`, or of the form before it.
fn range(info: &[u8], revision: u32, packet: &Packet) -> Option<SocketAddr> {
    const ADDRESSES: u32 = 1;
    const PORTS: u32 = 2;
    let (flags_at, address_at, port_at) = if revision == 0 { (4, 8, 16) } else { (0, 4, 36) };
    let flags = word(info, flags_at)?;
    let is_v4 = packet.destination.is_ipv4();
    let address = if flags & ADDRESSES == 0 {
        packet.destination.ip()
    } else if is_v4 {
        <[u8; 4]>::try_from(info.get(address_at..address_at + 4)?).ok()?.into()
    } else {
        <[u8; 16]>::try_from(info.get(address_at..address_at + 16)?).ok()?.into()
    };
    let port = if flags & PORTS == 0 {
        packet.destination.port()
    } else {
        u16::from_be_bytes(info.get(port_at..port_at + 2)?.try_into().ok()?)
    };
    Some(SocketAddr::new(address, port))
}
