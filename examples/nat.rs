//! A NAT between two TUNs: the port table and the wire formats, without sockets. TCP and UDP over IPv4, new flows from inside
//! only; fragments, options and ICMP go nowhere. `examples/try.sh nat` shows it with curl in two namespaces.
//!
//!     cargo run --release --example nat -- nat0 nat1 198.51.100.7

use std::time::{Duration, Instant as Clock};
use std::{error::Error, fs::File, io::IoSlice, io::Read, net::IpAddr};

use wharf_sys::{epoll::Interest, epoll::Poller, tun::Tun};
use wharf_table::{Addr, Endpoint, Far, FlowId, Found, HashKey, Instant, Origin, PortRange, Protocol};
use wharf_table::{Silent, Table, Tuple};
use wharf_wire::{checksum::checksum, checksum::replaced, ipv4::Ipv4Repr, protocol, tcp, udp};

/// How long a flow stays that nobody uses (RFC 4787, section 4.3).
const IDLE: Duration = Duration::from_secs(300);

/// The flow of a new tuple of the inside: its far side leaves from a port of ours.
fn open(table: &mut Table, near: Tuple, address: Addr, now: Instant) -> Option<FlowId> {
    let port = table.choose_to_open(near.protocol, address, near.local, PortRange::DYNAMIC)?;
    let far = Tuple { local: Endpoint::new(address, port.number()), remote: near.local, ..near };
    println!("{near} is {far} outside");
    table.open(near, Far::Wire(far), Origin::Transit, now).ok()
}

/// Gives a packet the addresses and ports of its flow's other side. `None`: it goes nowhere.
fn translate(table: &mut Table, packet: &mut [u8], inside: bool, address: Addr, now: Instant) -> Option<()> {
    let (ip, options, _) = Ipv4Repr::parse(packet).ok()?;
    let (protocol, field) = match ip.protocol {
        protocol::TCP => (Protocol::Tcp, 20 + tcp::CHECKSUM_OFFSET),
        protocol::UDP => (Protocol::Udp, 20 + udp::CHECKSUM_OFFSET),
        _ => return None,
    };
    let fits = !ip.is_fragment() && options.is_empty() && ip.hop_limit > 1 && packet.len() > field + 1;
    let old: [u8; 12] = *packet[12..].first_chunk().filter(|_| fits)?; // Addresses and ports, side by side.
    let end = |addr, at: usize| Endpoint::new(addr, u16::from_be_bytes([old[at], old[at + 1]]));
    let tuple = Tuple { protocol, local: end(ip.dst, 10), remote: end(ip.src, 8) };
    let flow = match table.find(&tuple, &mut Silent) {
        Found::Flow(flow) => flow,
        _ => inside.then(|| open(table, tuple, address, now)).flatten()?,
    };
    table.flow_mut(flow)?.used = now;
    let Far::Wire(Tuple { local, remote, .. }) = table.other_side(flow, &tuple)? else { return None };
    packet[12..20].copy_from_slice(&[local.addr.v4_octets()?, remote.addr.v4_octets()?].concat());
    packet[20..24].copy_from_slice(&[local.port.to_be_bytes(), remote.port.to_be_bytes()].concat());
    let sum = u16::from_be_bytes([packet[field], packet[field + 1]]);
    let sum = if sum == 0 && protocol == Protocol::Udp { 0 } else { replaced(sum, &old, &packet[12..24]) };
    packet[field..field + 2].copy_from_slice(&sum.to_be_bytes());
    packet[8] -= 1;
    packet[10..12].fill(0);
    let sum = checksum(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    Some(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [inside, outside, address] = &arguments[..] else { return Err("give INSIDE OUTSIDE ADDRESS".into()) };
    let (address, sides) =
        (Addr::from(address.parse::<IpAddr>()?), [Tun::open(inside)?, Tun::open(outside)?]);
    let (start, mut packet, mut key, mut hand) = (Clock::now(), [0; 65_536], [0; 16], None);
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    let (mut table, mut poller) = (Table::new(HashKey::new(key)), Poller::new(2)?);
    sides.iter().try_for_each(|side| poller.add(side, 0, Interest::Read))?;
    loop {
        drop(poller.wait(None)?);
        let now = Instant::from_micros(start.elapsed().as_micros() as u64);
        for side in [0, 1] {
            while let Some(length) = sides[side].read(&mut packet)? {
                if translate(&mut table, &mut packet[..length], side == 0, address, now).is_some() {
                    let _ = sides[1 - side].write(&[IoSlice::new(&packet[..length])]); // What it can't take is lost.
                }
            }
        }
        // The hand goes round the flows, one with each turn, and closes those that are idle.
        let next = table.flows_after(hand).next().map(|(id, flow)| (id, now.since(flow.used)));
        hand = next.map(|(id, _)| id);
        next.filter(|&(_, idle)| idle > IDLE).and_then(|(id, _)| table.close(id));
    }
}
