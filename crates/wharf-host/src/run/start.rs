//! From a plan to a running loop: the order in which everything is made.
//!
//! The sandbox first (the fork wants a single thread and nothing open), then what can fail on the host's side, the program
//! last: it finds everything in place.

use std::io;
use std::time::Duration;

use rustix::process::Signal;
use wharf_stack::stack::{Config, Gateway, GatewayAddresses, Medium, Role, Stack};
use wharf_stack::tcp::Settings;
use wharf_sys::epoll::Poller;
use wharf_sys::frame::FrameBuffers;
use wharf_sys::link::Link;
use wharf_sys::netlink::route::Prefix;
use wharf_sys::process::OpenFiles;
use wharf_sys::signal::{Inherited, Signals};
use wharf_sys::tap::Offload;
use wharf_table::policy::{Judge, Policy};
use wharf_table::{Addr, HashKey, Port, PortRange, Protocol};

use super::config::{Lowered, PastLink};
use super::pump::DNS_TOKEN;
use super::spawn::{RouterAdvertisements, SandboxConfig, SocketSupply, Subnet};
use super::wire::Wire;

/// Signals that go on to the program when a process sends them to wharf; those of a terminal reach the program by themselves,
/// and must not end wharf before it.
const FORWARDED: [Signal; 8] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::USR1,
    Signal::USR2,
    Signal::TERM,
    Signal::WINCH,
    Signal::CONT,
];
/// The signal of a closed terminal.
pub(crate) const HANG_UP: i32 = Signal::HUP.as_raw();
/// Those that end who has nobody to hand them on to.
pub(crate) const ENDING: [i32; 4] =
    [Signal::HUP.as_raw(), Signal::INT.as_raw(), Signal::QUIT.as_raw(), Signal::TERM.as_raw()];
/// The hardware addresses of the two ends of the link: locally administered, and nobody else is there.
const PROGRAM_HARDWARE: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
const GATEWAY_HARDWARE: [u8; 6] = [0x02, 0, 0, 0, 0, 0x02];
/// A flow's buffers begin with so much, in bytes, and grow with what moves in a round trip where the run allows more.
const FLOW_BUFFER: u32 = 1 << 20;
/// The most data that waits in all flows together, in bytes.
const BUFFER_LIMIT: usize = 512 << 20;
/// How long a tuple rests that both sides have closed. The link is memory: nothing on it is older than that.
const TIME_WAIT: Duration = Duration::from_secs(1);
/// Ports of clients that can't be shown with their own: none that a [spliced](super::spliced) client may have.
const OWN_PORTS: PortRange = match (Port::new(PortRange::LINUX.last().number() + 1), Port::new(u16::MAX)) {
    (Some(first), Some(last)) => match PortRange::new(first, last) {
        Some(range) => range,
        None => unreachable!(),
    },
    _ => unreachable!(),
};
/// Frames of one batch from the link.
pub(super) const LINK_BATCH: usize = 32;

/// A source of keys: the kernel's.
pub(crate) fn random_u64() -> io::Result<u64> {
    let mut bytes = [0; 8];
    random_bytes(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

/// The same for who has asked before: a kernel that has given random numbers once always does.
pub(super) fn random_u64_or_die() -> u64 {
    random_u64().expect("the kernel's random source does not dry up once it is seeded")
}

fn random_bytes(bytes: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        match rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

pub(crate) fn random_key() -> io::Result<HashKey> {
    let mut bytes = [0; 16];
    random_bytes(&mut bytes)?;
    Ok(HashKey::new(bytes))
}

/// How many processors this process may use.
pub(super) fn processors() -> usize {
    rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count() as usize).max(1)
}

/// What the stack of a run's gateway is to be like, in each of the lanes.
pub(super) fn gateway(config: &Lowered, link: &Link, max_connections: usize) -> io::Result<Config> {
    let Lowered { v4, v6, .. } = *config;
    let mut link_local = [0; 16];
    link_local[..2].copy_from_slice(&[0xfe, 0x80]);
    link_local[15] = 2;
    let tcp = Settings {
        receive_buffer: config.buffer.min(FLOW_BUFFER),
        receive_buffer_max: if config.buffer > FLOW_BUFFER { config.buffer } else { 0 },
        send_buffer: config.buffer.min(FLOW_BUFFER),
        send_buffer_max: config.buffer,
        // What the host's peer sent in one piece goes on in one piece; nobody waits for more.
        nagle: false,
        time_wait: TIME_WAIT,
        timestamp_offset: random_u64()? as u32,
        ..Settings::default()
    };
    Ok(Config {
        role: Role::Gateway(Gateway {
            peer_hardware: PROGRAM_HARDWARE,
            v4,
            v6,
            link_local: Addr::v6(link_local),
            policy: policy(config),
        }),
        medium: Medium::Ethernet,
        hardware_address: GATEWAY_HARDWARE,
        mtu: config.mtu,
        capabilities: Wire::capabilities(link, config.link.is_some()),
        tcp,
        buffer_limit: BUFFER_LIMIT / config.queues,
        max_connections,
        ephemeral_ports: OWN_PORTS,
        table_key: random_key()?,
        isn_key: random_key()?,
    })
}

/// What is closed by itself in a run.
pub(super) fn policy(config: &Lowered) -> Policy {
    let host = [config.v4, config.v6].into_iter().flatten().map(|of| of.host).collect();
    let judge = if config.guard.is_idle() { Judge::Policy } else { Judge::Owner };
    Policy { host, allow_host: config.allow_host.clone(), judge }
}

/// Opens the name server's ports in a new stack.
pub(super) fn serve_names(config: &Lowered, stack: &mut Stack) {
    let port = Port::new(53).expect("53 is a port");
    for of in [config.v4, config.v6].into_iter().flatten() {
        let bound =
            stack.listen(Some(of.dns), port, DNS_TOKEN).and(stack.bind_udp(Some(of.dns), port, DNS_TOKEN));
        debug_assert!(bound.is_ok(), "a new stack has no bindings");
    }
}

/// The sandbox that a run asks for.
pub(super) fn sandbox(config: &Lowered, open_files: OpenFiles, signals: Inherited) -> SandboxConfig {
    let subnet = |of: GatewayAddresses| Subnet {
        prefix: Prefix { address: of.program.addr().ip(), length: of.program.prefix_len() },
        gateway: Some(of.gateway.ip()),
    };
    let networks = [config.v4, config.v6].into_iter().flatten();
    SandboxConfig {
        command: config.command.clone(),
        root: config.root,
        link: config.device,
        // A bad line needs frames as they would be on a wire.
        offload: if config.link.is_some() { Offload::None } else { config.offload },
        queues: config.queues,
        first_queue_ports: published_tcp(config),
        mtu: config.mtu.into(),
        hardware: PROGRAM_HARDWARE,
        gateway_hardware: GATEWAY_HARDWARE,
        v4: config.v4.map(subnet),
        v6: config.v6.map(subnet),
        neighbors: networks.flat_map(|of| [of.gateway.ip(), of.dns.ip(), of.host.ip()]).collect(),
        router_advertisements: RouterAdvertisements::Ignore,
        resolv_conf: Some(config.resolv_conf()),
        open_files: Some(open_files),
        sockets: sockets(config),
        signals,
    }
}

/// The program's ports that are published over TCP, first and last: the first lane makes those connections.
fn published_tcp(config: &Lowered) -> Vec<(u16, u16)> {
    let tcp = config.publish.iter().filter(|spec| spec.protocol() == Protocol::Tcp);
    tcp.map(|spec| (spec.inside().first().number(), spec.inside().last().number())).collect()
}

/// Sockets inside are for clients of published TCP ports, and not for a line whose delays and losses they would not see.
fn sockets(config: &Lowered) -> SocketSupply {
    let publishes = config.publish.iter().any(|spec| spec.protocol() != Protocol::Udp);
    match config.past_link {
        PastLink::Allowed if publishes && config.link.is_none() => SocketSupply::Offered,
        _ => SocketSupply::None,
    }
}

/// Blocks the signals that the loop forwards, and reads them from now on.
pub(crate) fn take_signals() -> io::Result<Signals> {
    Signals::take(&FORWARDED.map(Signal::as_raw))
}

/// The poller and the buffers of a loop.
pub(crate) fn engine() -> io::Result<(Poller, FrameBuffers)> {
    Ok((Poller::new(1024)?, FrameBuffers::new(LINK_BATCH)))
}
