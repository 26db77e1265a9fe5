//! A NAT between two TUNs: the port table and the wire formats, without sockets. As root:
//!
//!     cargo run --release --example nat -- nat0 nat1 198.51.100.7 &
//!     ip netns add inside; ip link set nat0 netns inside; ip -n inside address add 10.0.0.2/24 dev nat0
//!     ip -n inside link set nat0 up; ip -n inside route add default dev nat0
//!     ip netns add outside; ip link set nat1 netns outside; ip -n outside address add 198.51.100.1/24 dev nat1
//!     ip -n outside link set nat1 up; ip netns exec outside python3 -m http.server 80 &
//!     ip netns exec inside curl http://198.51.100.1/
//!
//! TCP and UDP over IPv4; new flows from inside only; a flow unused for five minutes goes. No fragments, no ICMP.

use std::error::Error;
use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::time::{Duration, Instant as Clock};

use wharf_sys::epoll::{Interest, Poller};
use wharf_table::{Addr, Endpoint, Far, FlowId, Found, HashKey, Instant, Origin, PortRange, Protocol};
use wharf_table::{Silent, Table, Tuple};
use wharf_wire::{checksum::Sum, ipv4::Ipv4Repr, protocol, tcp, udp};

const INSIDE: usize = 0;

/// A flow for a tuple of the inside that has none: its far side leaves from a port of ours (RFC 6056).
fn open(table: &mut Table, near: Tuple, address: Addr, now: Instant) -> Option<FlowId> {
    let port = table.choose_to_open(near.protocol, address, near.local, PortRange::DYNAMIC)?;
    let far = Tuple { local: Endpoint::new(address, port.number()), remote: near.local, ..near };
    println!("{near} is {far} outside");
    table.open(near, Far::Wire(far), Origin::Transit, now).ok()
}

/// Gives a packet the addresses and ports of its flow's other side. `None`: it goes nowhere.
fn translate(table: &mut Table, packet: &mut [u8], side: usize, address: Addr, now: Instant) -> Option<()> {
    let (ip, ..) = Ipv4Repr::parse(packet).ok().filter(|(ip, ..)| !ip.is_fragment() && ip.hop_limit > 1)?;
    let header = usize::from(packet[0] & 15) * 4;
    let (protocol, field) = match ip.protocol {
        protocol::TCP => (Protocol::Tcp, header + tcp::CHECKSUM_OFFSET),
        protocol::UDP => (Protocol::Udp, header + udp::CHECKSUM_OFFSET),
        _ => return None,
    };
    let ports = packet.get(header..field + 2)?.first_chunk::<4>()?;
    let (from, to) = (u16::from_be_bytes([ports[0], ports[1]]), u16::from_be_bytes([ports[2], ports[3]]));
    let tuple = Tuple { protocol, local: Endpoint::new(ip.dst, to), remote: Endpoint::new(ip.src, from) };
    let flow = match table.find(&tuple, &mut Silent) {
        Found::Flow(flow) => flow,
        _ if side == INSIDE => open(table, tuple, address, now)?,
        _ => return None,
    };
    table.flow_mut(flow)?.used = now;
    let Far::Wire(other) = table.other_side(flow, &tuple)? else { return None };
    // The transport checksum changes by what changes under it (RFC 1624, section 3); none stays none (RFC 768).
    let sum = u16::from_be_bytes([packet[field], packet[field + 1]]);
    let mut delta = Sum::new();
    delta.add_u16(!sum);
    for bytes in [&packet[12..20], &packet[header..header + 4]] {
        bytes.chunks(2).for_each(|word| delta.add_u16(!u16::from_be_bytes([word[0], word[1]])));
    }
    packet[12..16].copy_from_slice(&other.local.addr.v4_octets()?);
    packet[16..20].copy_from_slice(&other.remote.addr.v4_octets()?);
    packet[header..header + 2].copy_from_slice(&other.local.port.to_be_bytes());
    packet[header + 2..header + 4].copy_from_slice(&other.remote.port.to_be_bytes());
    if protocol == Protocol::Tcp || sum != 0 {
        let sum = delta.with(&packet[12..20]).with(&packet[header..header + 4]).finish();
        packet[field..field + 2].copy_from_slice(&sum.to_be_bytes());
    }
    packet[8] -= 1;
    packet[10..12].fill(0);
    let sum = Sum::new().with(&packet[..header]).finish();
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    Some(())
}

/// Closes the flows that nobody has used for five minutes (RFC 4787, section 4.3).
fn forget(table: &mut Table, now: Instant) {
    let is_old = |used: Instant| now.since(used) > Duration::from_secs(300);
    let old: Vec<FlowId> =
        table.flows_after(None).filter(|(_, flow)| is_old(flow.used)).map(|(id, _)| id).collect();
    old.into_iter().for_each(|id| drop(table.close(id)));
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [inside, outside, address] = &arguments[..] else { return Err("give INSIDE OUTSIDE ADDRESS".into()) };
    let address = Addr::from(address.parse::<std::net::IpAddr>()?);
    let open = |name: &String| wharf_sys::tap::open_tun(&CString::new(name.as_str())?, 0).map(File::from);
    let mut sides = [open(inside)?, open(outside)?];
    let (start, mut swept, mut packet, mut key) = (Clock::now(), Instant::ZERO, [0; 65_536], [0; 16]);
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    let (mut table, mut poller) = (Table::new(HashKey::new(key)), Poller::new(2)?);
    sides.iter().try_for_each(|side| poller.add(side, 0, Interest::Read))?;
    loop {
        poller.wait(Some(Duration::from_secs(60)))?;
        let now = Instant::from_micros(start.elapsed().as_micros() as u64);
        for side in [0, 1] {
            while let Ok(length) = sides[side].read(&mut packet) {
                if translate(&mut table, &mut packet[..length], side, address, now).is_some() {
                    // A device that is down loses packets, as any link.
                    let _ = sides[1 - side].write(&packet[..length]);
                }
            }
        }
        if now.since(swept) > Duration::from_secs(60) {
            forget(&mut table, now);
            swept = now;
        }
    }
}
