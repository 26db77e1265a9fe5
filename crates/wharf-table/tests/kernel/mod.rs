//! Sockets of the kernel and of the table that do the same.

#![allow(clippy::unwrap_used, reason = "a test")]

pub(crate) mod cases;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketType, sockopt};
use rustix::process::Uid;
use rustix::thread::set_thread_res_uid;
use wharf_table::{
    Addr, BindError, BindingId, Claim, Endpoint, Far, FlowId, HashKey, Instant, OpenError, Origin, Port,
    PortRange, Protocol, Sharing, Table, Tuple, User, WaitingPayload,
};

use cases::{Act, Case, Family, Options, Place, Proto, Step};

/// What this place allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct World {
    pub own_network: bool,
    pub users: bool,
}

/// The other user: any number that is not ours.
const OTHER: u32 = 54_321;
const RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
const OWN_RANGE: &str = "61000 65000";
const SERVER: u16 = 1_500;

/// An answer: nothing, or an error number.
type Answer = Result<(), Errno>;

pub(crate) struct Lab {
    world: World,
    /// Where connections go: over IPv4 and over IPv6.
    servers: [(OwnedFd, SocketAddr); 2],
    pub asked: usize,
    pub refused: usize,
    /// How many privileged ports were used.
    privileged: u16,
}

/// A case under way: what it holds open, and the table.
struct Run {
    table: Table,
    port: u16,
    held: Vec<OwnedFd>,
}

fn loopback(family: Family, port: u16) -> SocketAddr {
    match family {
        Family::V4 => (Ipv4Addr::LOCALHOST, port).into(),
        Family::V6 => (Ipv6Addr::LOCALHOST, port).into(),
    }
}

fn endpoint(at: SocketAddr) -> Endpoint {
    Endpoint::new(at.ip(), at.port())
}

fn name_of(socket: &OwnedFd) -> Endpoint {
    endpoint(net::getsockname(socket).unwrap().try_into().unwrap())
}

fn peer_of(socket: &OwnedFd) -> Endpoint {
    endpoint(net::getpeername(socket).unwrap().unwrap().try_into().unwrap())
}

/// Closes with a RST, so that nothing is left.
fn vanish(socket: OwnedFd) {
    let _ = sockopt::set_socket_linger(&socket, Some(Duration::ZERO));
}

impl Drop for Run {
    fn drop(&mut self) {
        self.held.drain(..).for_each(vanish);
    }
}

impl Lab {
    pub(crate) fn new(world: World) -> Lab {
        if world.own_network {
            std::fs::write(RANGE, OWN_RANGE).unwrap();
        }
        let servers = [Family::V4, Family::V6].map(|family| {
            let domain = if family == Family::V4 { AddressFamily::INET } else { AddressFamily::INET6 };
            let server = net::socket(domain, SocketType::STREAM, None).unwrap();
            let port = if world.own_network { SERVER } else { 0 };
            net::bind(&server, &loopback(family, port)).unwrap();
            net::listen(&server, 128).unwrap();
            let at = net::getsockname(&server).unwrap().try_into().unwrap();
            (server, at)
        });
        Lab { world, servers, asked: 0, refused: 0, privileged: 0 }
    }

    /// Runs a case on a port that no other case uses.
    pub(crate) fn run(&mut self, number: usize, case: &Case) -> Result<(), String> {
        let first = if self.world.own_network { 2_000 } else { 12_000 };
        let privileged = case.0.iter().any(|step| step.privileged);
        self.privileged += u16::from(privileged);
        let port = if privileged { self.privileged } else { first + number as u16 };
        let mut run = Run { table: Table::new(HashKey::new([9; 16])), port, held: Vec::new() };
        for (at, step) in case.0.iter().enumerate() {
            self.step(&mut run, step).map_err(|difference| format!("step {at}: {difference}"))?;
        }
        Ok(())
    }

    fn compare(&mut self, what: &str, kernel: Answer, table: Answer) -> Result<bool, String> {
        self.asked += 1;
        self.refused += usize::from(kernel.is_err());
        if kernel != table {
            return Err(format!("{what}: the kernel says {kernel:?}, the table {table:?}"));
        }
        Ok(kernel.is_ok())
    }

    fn socket(&self, step: &Step) -> OwnedFd {
        let domain = if step.place.is_v4_socket() { AddressFamily::INET } else { AddressFamily::INET6 };
        let kind = if step.proto == Proto::Tcp { SocketType::STREAM } else { SocketType::DGRAM };
        let socket = net::socket(domain, kind, None).unwrap();
        if !step.place.is_v4_socket() {
            sockopt::set_ipv6_v6only(&socket, step.place == Place::Only6).unwrap();
        }
        set_options(&socket, step.options);
        socket
    }

    fn step(&mut self, run: &mut Run, step: &Step) -> Result<(), String> {
        if step.other {
            become_user(OTHER);
        }
        let result = self.step_as_user(run, step);
        if step.other {
            become_user(0);
        }
        result
    }

    fn step_as_user(&mut self, run: &mut Run, step: &Step) -> Result<(), String> {
        let socket = self.socket(step);
        if step.act == Act::Implicit {
            return self.connect_implicitly(run, step, socket);
        }
        let port = if step.act == Act::Zero { 0 } else { run.port };
        let claim = claim_of(step, port);
        let kernel = net::bind(&socket, &place_of(step.place, port));
        let bound = run.table.bind(&claim);
        if !self.compare("bind", kernel, bound.map(drop).map_err(number_of))? {
            return Ok(());
        }
        let id = bound.expect("both said so");
        match step.act {
            Act::Toggle(options) => {
                set_options(&socket, options);
                run.table.set_sharing(id, sharing_of(options));
            }
            Act::Listen => {
                let kernel = net::listen(&socket, 8);
                self.compare("listen", kernel, run.table.listen(id).map_err(number_of))?;
            }
            Act::Connect => return self.connect(run, step, socket, id),
            Act::Child(family) | Act::Server(family) | Act::Left(family) => {
                return self.serve(run, step, (socket, id), family);
            }
            Act::Bind | Act::Zero | Act::Implicit => {}
        }
        run.held.push(socket);
        Ok(())
    }

    /// The family over which a socket connects or is connected to.
    fn family(step: &Step, wanted: Family) -> Family {
        match step.place {
            Place::Any4 | Place::One | Place::Two | Place::Mapped => Family::V4,
            Place::Only6 | Place::One6 => Family::V6,
            Place::Dual => wanted,
        }
    }

    fn server_for(&self, step: &Step) -> (usize, SocketAddr) {
        let family = Self::family(step, Family::V6);
        let at = usize::from(family == Family::V6);
        let to = self.servers[at].1;
        let to = match to {
            SocketAddr::V4(to) if step.place == Place::Mapped => (to.ip().to_ipv6_mapped(), to.port()).into(),
            to => to,
        };
        (at, to)
    }

    fn connect(&mut self, run: &mut Run, step: &Step, socket: OwnedFd, id: BindingId) -> Result<(), String> {
        let (at, to) = self.server_for(step);
        let kernel = net::connect(&socket, &to);
        let local = match (kernel, step.place) {
            (Ok(()), _) => name_of(&socket),
            (Err(_), Place::Two) => Endpoint::new(Ipv4Addr::new(127, 0, 0, 2), run.port),
            (Err(_), _) => Endpoint::new(loopback(Self::family(step, Family::V6), 0).ip(), run.port),
        };
        let protocol = if step.proto == Proto::Tcp { Protocol::Tcp } else { Protocol::Udp };
        let tuple = Tuple { protocol, local, remote: endpoint(to) };
        let opened = run.table.open(tuple, Far::Application(0), Origin::Bound(id), Instant::ZERO);
        // UDP sockets may have the same peer; the kernel delivers to one of them. The table has one flow.
        let opened = match (step.proto, opened) {
            (Proto::Udp, Err(OpenError::InUse { .. })) => {
                run.table.connect_binding(id, local.addr).unwrap();
                Ok(())
            }
            (_, opened) => opened.map(drop).map_err(|_| Errno::ADDRNOTAVAIL),
        };
        if self.compare("connect", kernel, opened)? && step.proto == Proto::Tcp {
            run.held.push(net::accept(&self.servers[at].0).unwrap());
        }
        run.held.push(socket);
        Ok(())
    }

    fn connect_implicitly(&mut self, run: &mut Run, step: &Step, socket: OwnedFd) -> Result<(), String> {
        let (at, to) = self.server_for(step);
        become_user(0);
        std::fs::write(RANGE, format!("{0} {0}", run.port)).unwrap();
        let kernel = net::connect(&socket, &to);
        std::fs::write(RANGE, OWN_RANGE).unwrap();
        let local = loopback(Self::family(step, Family::V6), 0).ip();
        let port = Port::new(run.port).unwrap();
        let range = PortRange::single(port);
        let chosen = run.table.choose_to_open(Protocol::Tcp, local.into(), endpoint(to), range);
        if let Some(port) = chosen {
            let local = Endpoint::new(local, port.number());
            let tuple = Tuple { protocol: Protocol::Tcp, local, remote: endpoint(to) };
            let v6_only = step.place == Place::Only6;
            let origin = Origin::Implicit { user: user_of(step), sharing: sharing_of(step.options), v6_only };
            run.table.open(tuple, Far::Application(0), origin, Instant::ZERO).unwrap();
        }
        if self.compare("connect without a bind", kernel, chosen.map(drop).ok_or(Errno::ADDRNOTAVAIL))? {
            run.held.push(net::accept(&self.servers[at].0).unwrap());
        }
        run.held.push(socket);
        Ok(())
    }

    /// Listens, and takes a connection.
    fn serve(
        &mut self,
        run: &mut Run,
        step: &Step,
        (socket, id): (OwnedFd, BindingId),
        family: Family,
    ) -> Result<(), String> {
        let kernel = net::listen(&socket, 8);
        let listening = run.table.listen(id).map_err(number_of);
        if !self.compare("listen", kernel, listening)? {
            run.held.push(socket);
            return Ok(());
        }
        let family = Self::family(step, family);
        let ip = if step.place == Place::Two {
            Ipv4Addr::new(127, 0, 0, 2).into()
        } else {
            loopback(family, 0).ip()
        };
        let client = client_of(family, (ip, run.port).into());
        // Where another socket listens as well, it may be that one that was asked.
        let _ = rustix::fs::fcntl_setfl(&socket, rustix::fs::OFlags::NONBLOCK);
        let Ok(child) = net::accept(&socket) else {
            vanish(client);
            run.held.push(socket);
            return Ok(());
        };
        let tuple = Tuple { protocol: Protocol::Tcp, local: name_of(&child), remote: peer_of(&child) };
        let flow = run.table.open(tuple, Far::Application(0), Origin::Child(id), Instant::ZERO).unwrap();
        match step.act {
            Act::Left(_) => self.leave_behind(run, flow, child, client),
            _ => run.held.extend([child, client]),
        }
        if matches!(step.act, Act::Server(_)) {
            run.held.push(socket);
        } else {
            run.table.unbind(id);
        }
        Ok(())
    }

    /// The server closes first, so it keeps TIME-WAIT.
    fn leave_behind(&mut self, run: &mut Run, flow: FlowId, child: OwnedFd, client: OwnedFd) {
        drop(child);
        // What the client reads is the end, so the FIN is there; its own FIN ends the server's side.
        let mut buffer = [0; 1];
        assert_eq!(rustix::io::read(&client, &mut buffer), Ok(0));
        drop(client);
        run.table.to_waiting(flow, WaitingPayload::default(), Instant::from_millis(60_000)).unwrap();
    }
}

fn client_of(family: Family, to: SocketAddr) -> OwnedFd {
    let domain = if family == Family::V4 { AddressFamily::INET } else { AddressFamily::INET6 };
    let client = net::socket(domain, SocketType::STREAM, None).unwrap();
    net::connect(&client, &to).unwrap();
    client
}

fn set_options(socket: &OwnedFd, options: Options) {
    sockopt::set_socket_reuseaddr(socket, options.address).unwrap();
    sockopt::set_socket_reuseport(socket, options.port).unwrap();
}

fn sharing_of(options: Options) -> Sharing {
    Sharing { reuse_address: options.address, reuse_port: options.port }
}

fn user_of(step: &Step) -> User {
    User(if step.other { OTHER } else { 0 })
}

fn claim_of(step: &Step, port: u16) -> Claim {
    let protocol = if step.proto == Proto::Tcp { Protocol::Tcp } else { Protocol::Udp };
    let address = match step.place {
        Place::Any4 => Some(Addr::ANY_V4),
        Place::One | Place::Mapped => Some(Addr::from(Ipv4Addr::LOCALHOST)),
        Place::Two => Some(Addr::v4([127, 0, 0, 2])),
        Place::Dual => None,
        Place::Only6 => Some(Addr::ANY_V6),
        Place::One6 => Some(Addr::from(Ipv6Addr::LOCALHOST)),
    };
    let claim =
        Claim { mapped: step.place == Place::Mapped, ..Claim::new(protocol, address, Port::new(port), 0) };
    claim.of(user_of(step), !step.other).sharing(sharing_of(step.options))
}

fn place_of(place: Place, port: u16) -> SocketAddr {
    match place {
        Place::Any4 => (Ipv4Addr::UNSPECIFIED, port).into(),
        Place::One => (Ipv4Addr::LOCALHOST, port).into(),
        Place::Two => (Ipv4Addr::new(127, 0, 0, 2), port).into(),
        Place::Dual | Place::Only6 => (Ipv6Addr::UNSPECIFIED, port).into(),
        Place::One6 => (Ipv6Addr::LOCALHOST, port).into(),
        Place::Mapped => (Ipv4Addr::LOCALHOST.to_ipv6_mapped(), port).into(),
    }
}

fn number_of(error: BindError) -> Errno {
    match error {
        BindError::InUse { .. } | BindError::NoPortLeft => Errno::ADDRINUSE,
        BindError::Privileged => Errno::ACCESS,
        BindError::NotLocal => Errno::ADDRNOTAVAIL,
        BindError::Invalid => Errno::INVAL,
    }
}

/// This thread's effective user; the real one stays, so that it can come back.
fn become_user(user: u32) {
    if !rustix::process::getuid().is_root() {
        return;
    }
    let root = Uid::from_raw(0);
    set_thread_res_uid(root, Uid::from_raw(user), root).unwrap();
}
