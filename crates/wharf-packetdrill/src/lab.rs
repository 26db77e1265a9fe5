//! The same world for Rust: the laboratory's scripts run on it, through the very calls that packetdrill makes, but with
//! values in place of pointers.
//!
//! The thread that makes a [`Lab`] moves its clock; others may make calls that block.

use std::net::SocketAddr;
use std::sync::Arc;

use libc::{c_int, c_uint, c_ulong, epoll_event, pollfd};
use wharf_stack::socket::Domain;
use wharf_table::{Endpoint, Instant};

use crate::address::Named;
use crate::errno::Result;
use crate::world::World;
use crate::{flags, readiness};

/// What a call returns, or the number of its error.
pub type Outcome<T> = core::result::Result<T, i32>;

/// A host and its virtual time, in microseconds.
#[derive(Clone)]
pub struct Lab(Arc<World>);

/// What a call took in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// What the call returns.
    pub answer: i64,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Who sent a datagram.
    pub from: Option<SocketAddr>,
    /// As recvmsg(2) leaves them.
    pub flags: i32,
    /// Control messages: level, type, data.
    pub control: Vec<(i32, i32, Vec<u8>)>,
}

fn number<T>(result: Result<T>) -> Outcome<T> {
    result.map_err(|errno| errno.0)
}

fn named(address: Option<SocketAddr>) -> Named {
    match address {
        None => Named::Nobody,
        Some(at @ SocketAddr::V4(_)) => Named::Endpoint(Domain::V4, at.into()),
        Some(at @ SocketAddr::V6(_)) => Named::Endpoint(Domain::V6, at.into()),
    }
}

/// An address as a socket of `domain` shows it.
fn shown(domain: Domain, at: Endpoint) -> SocketAddr {
    match (domain, at.socket_addr()) {
        (Domain::V6, SocketAddr::V4(v4)) => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()),
        (_, address) => address,
    }
}

impl Lab {
    /// A host of these [flags](crate::packetdrill_interface_init); this thread moves its clock.
    ///
    /// # Errors
    /// A flag that is not understood.
    pub fn new(flags: &str) -> core::result::Result<Lab, String> {
        Ok(Lab(Arc::new(World::new(flags::parse(flags)?))))
    }

    /// The time now.
    pub fn now(&self) -> u64 {
        self.0.look(|state| state.now().micros())
    }

    /// Lets time pass to what happens next, or to `until` if that is earlier.
    pub fn step(&self, until: u64) {
        self.0.step(Instant::from_micros(until));
    }

    /// How many calls of other threads wait.
    pub fn waiting(&self) -> usize {
        self.0.look(|state| state.waiting_calls())
    }

    /// A packet arrives.
    pub fn receive_packet(&self, packet: &[u8]) {
        self.0.deliver(packet);
    }

    /// The oldest packet that has left, and when.
    pub fn sent_packet(&self) -> Option<(u64, Vec<u8>)> {
        let (at, packet) = self.0.look(|state| state.sent_packet())?;
        Some((at.micros(), packet))
    }

    /// Changes a setting (`net.ipv4.tcp_sack`); it holds for sockets that are made from now on.
    pub fn set_sysctl(&self, name: &str, value: &str) {
        self.0.look(|state| state.settings.sysctls.push((name.to_owned(), value.to_owned())));
    }

    /// socket(2).
    ///
    /// # Errors
    /// Its errors, like those of all calls here.
    pub fn socket(&self, domain: i32, kind: i32, protocol: i32) -> Outcome<i64> {
        number(self.0.socket(domain, kind, protocol))
    }

    /// bind(2).
    ///
    /// # Errors
    /// Its errors.
    pub fn bind(&self, fd: i32, address: SocketAddr) -> Outcome<i64> {
        number(self.0.bind(fd, named(Some(address))))
    }

    /// listen(2).
    ///
    /// # Errors
    /// Its errors.
    pub fn listen(&self, fd: i32, backlog: i32) -> Outcome<i64> {
        number(self.0.listen(fd, backlog))
    }

    /// accept(2).
    ///
    /// # Errors
    /// Its errors.
    pub fn accept(&self, fd: i32) -> Outcome<(i32, SocketAddr)> {
        number(self.0.accept(fd)).map(|(fd, domain, peer)| (fd, shown(domain, peer)))
    }

    /// connect(2); `None` is AF_UNSPEC.
    ///
    /// # Errors
    /// Its errors.
    pub fn connect(&self, fd: i32, address: Option<SocketAddr>) -> Outcome<i64> {
        number(self.0.connect(fd, named(address)))
    }

    /// getsockname(2).
    ///
    /// # Errors
    /// Its errors.
    pub fn local(&self, fd: i32) -> Outcome<SocketAddr> {
        number(self.0.look(|state| {
            let socket = state.descriptors.socket(fd)?;
            Ok(shown(socket.domain, state.host.local(socket.id)?))
        }))
    }

    /// getpeername(2).
    ///
    /// # Errors
    /// Its errors.
    pub fn peer(&self, fd: i32) -> Outcome<SocketAddr> {
        number(self.0.look(|state| {
            let socket = state.descriptors.socket(fd)?;
            Ok(shown(socket.domain, state.host.peer(socket.id)?))
        }))
    }

    /// recvmsg(2) and its kin.
    ///
    /// # Errors
    /// Its errors.
    pub fn receive(&self, fd: i32, len: usize, flags: i32) -> Outcome<Received> {
        let received = number(self.0.receive(fd, len, flags))?;
        let control = received.control.into_iter();
        Ok(Received {
            answer: received.answer,
            bytes: received.bytes,
            from: received.from.map(|(domain, from)| shown(domain, from)),
            flags: received.flags,
            control: control.map(|part| (part.level, part.kind, part.data)).collect(),
        })
    }

    /// sendmsg(2) and its kin.
    ///
    /// # Errors
    /// Its errors.
    pub fn send(&self, fd: i32, bytes: &[u8], flags: i32, to: Option<SocketAddr>) -> Outcome<i64> {
        number(self.0.send(fd, bytes, flags, to.map(|to| named(Some(to)))))
    }

    /// fcntl(2).
    ///
    /// # Errors
    /// Its errors.
    pub fn fcntl(&self, fd: i32, command: i32, argument: i32) -> Outcome<i64> {
        number(self.0.fcntl(fd, command, argument))
    }

    /// ioctl(2) of a request that gives a number.
    ///
    /// # Errors
    /// Its errors.
    pub fn ioctl(&self, fd: i32, request: u64) -> Outcome<i32> {
        number(self.0.ioctl(fd, request as c_ulong))
    }

    /// close(2).
    ///
    /// # Errors
    /// Its errors.
    pub fn close(&self, fd: i32) -> Outcome<i64> {
        number(self.0.close(fd))
    }

    /// shutdown(2).
    ///
    /// # Errors
    /// Its errors.
    pub fn shutdown(&self, fd: i32, how: i32) -> Outcome<i64> {
        number(self.0.shutdown(fd, how))
    }

    /// getsockopt(2): the whole value.
    ///
    /// # Errors
    /// Its errors.
    pub fn option(&self, fd: i32, level: i32, name: i32) -> Outcome<Vec<u8>> {
        number(self.0.option(fd, level, name))
    }

    /// setsockopt(2).
    ///
    /// # Errors
    /// Its errors.
    pub fn set_option(&self, fd: i32, level: i32, name: i32, value: &[u8]) -> Outcome<i64> {
        number(self.0.set_option(fd, level, name, value))
    }

    /// poll(2): what was found for each, and how many there are of which something was.
    ///
    /// # Errors
    /// Its errors.
    pub fn poll(&self, waits: &[(i32, i16)], timeout: i32) -> Outcome<(i64, Vec<i16>)> {
        let mut fds: Vec<pollfd> =
            waits.iter().map(|(fd, events)| pollfd { fd: *fd, events: *events, revents: 0 }).collect();
        let count = number(readiness::poll(&self.0, &mut fds, timeout))?;
        Ok((count, fds.iter().map(|it| it.revents).collect()))
    }

    /// epoll_create(2).
    ///
    /// # Errors
    /// Its errors.
    pub fn epoll_create(&self) -> Outcome<i64> {
        number(readiness::epoll_create(&self.0, 1))
    }

    /// epoll_ctl(2).
    ///
    /// # Errors
    /// Its errors.
    pub fn epoll_control(&self, set: i32, operation: i32, fd: i32, events: u32, data: u64) -> Outcome<i64> {
        let event = epoll_event { events, u64: data };
        number(readiness::epoll_ctl(&self.0, set, operation, fd, Some(event)))
    }

    /// epoll_wait(2): events and data.
    ///
    /// # Errors
    /// Its errors.
    pub fn epoll_wait(&self, set: i32, room: i32, timeout: i32) -> Outcome<Vec<(u32, u64)>> {
        let found = number(readiness::epoll_wait(&self.0, set, room as c_int, timeout))?;
        Ok(found.iter().map(|event| ({ event.events }, { event.u64 })).collect())
    }

    /// splice(2).
    ///
    /// # Errors
    /// Its errors.
    pub fn splice(&self, from: i32, to: i32, len: usize, flags: u32) -> Outcome<i64> {
        number(self.0.splice(from, to, len, flags as c_uint))
    }
}
