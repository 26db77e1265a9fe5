//! A network namespace seen from outside: what can be asked of it was opened inside and is used from anywhere.
//!
//! Who is root of the host enters with a thread. An ordinary user may enter networks of its own user namespaces (rootless
//! containers, runs of wharf), and only by a process that enters the user namespace first: a child does that, and hands back
//! what it opened there.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::{Pid, WaitOptions, waitpid};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::call::{check, check_long, error};
use crate::control::{Channel, Wait};
use crate::netlink::Netlink;
use crate::netlink::sock_diag::Diag;
use crate::proc::socket_table::{self, Entry, Table};
use crate::process;

/// `NS_GET_USERNS`: the user namespace that another namespace belongs to (ioctl_nsfs(2)).
const OWNING_USER_NAMESPACE: libc::Ioctl = 0xb701;

/// What can be asked of one network namespace.
#[derive(Debug)]
pub struct Vantage {
    /// Its sockets.
    pub diag: Diag,
    route: Netlink,
    /// In the order of [`Table::ALL`]; without those that are not there.
    tables: Vec<(Table, OwnedFd)>,
}

impl Vantage {
    /// That of this thread's network.
    ///
    /// # Errors
    /// A sandbox forbids it, or no descriptor is left.
    pub fn here() -> io::Result<Vantage> {
        let [diag, route] = sockets()?;
        let tables = Table::ALL.into_iter().filter_map(|table| Some((table, open(table)?)));
        Ok(Vantage {
            diag: Diag::from_socket(diag),
            route: Netlink::from_socket(route),
            tables: tables.collect(),
        })
    }

    /// That of another network, by its file (`/proc/PID/ns/net`, `/run/netns/NAME`).
    ///
    /// # Errors
    /// `EPERM`: it belongs neither to this user nor to one whom this user may be. `EINVAL`: it is no network.
    pub fn of(network: BorrowedFd<'_>) -> io::Result<Vantage> {
        let enter = || {
            move_into_link_name_space(network, Some(LinkNameSpaceType::Network))?;
            Vantage::here()
        };
        let entered = std::thread::scope(|scope| scope.spawn(enter).join());
        match entered.unwrap_or_else(|_| Err(error(libc::EIO))) {
            Err(refused) if refused.raw_os_error() == Some(libc::EPERM) => Vantage::through_child(network),
            entered => entered,
        }
    }

    /// Lets a child enter the user namespace of the network, and then the network.
    fn through_child(network: BorrowedFd<'_>) -> io::Result<Vantage> {
        // SAFETY: the call takes integers, and makes a descriptor that is nobody else's.
        let user =
            unsafe { OwnedFd::from_raw_fd(check(libc::ioctl(network.as_raw_fd(), OWNING_USER_NAMESPACE))?) };
        let (ours, theirs) = Channel::pair()?;
        // SAFETY: without CLONE_VM and with no new stack this is a fork, without a signal at its end. This process may have
        // other threads, so the child only makes system calls: it takes no lock and allocates nothing.
        let pid = check_long(unsafe { libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0) })?;
        if pid == 0 {
            process::end(hand_over(&theirs, user.as_fd(), network));
        }
        drop(theirs);
        let mut received = Vec::with_capacity(2 + Table::ALL.len());
        let said = ours.receive_all(Wait::Block, |fd| received.push(fd));
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            // Gone already where somebody waits for all children.
            let _ = waitpid(Some(pid), WaitOptions::from_bits_retain(libc::__WALL as u32));
        }
        let said = said?.ok_or_else(|| error(libc::EPERM))?;
        let mut received = received.into_iter();
        let (Some(diag), Some(route)) = (received.next(), received.next()) else {
            return Err(error(libc::EPERM));
        };
        let present = Table::ALL.into_iter().zip(said.bytes()).filter(|&(_, &there)| there != 0);
        let tables = present.map(|(table, _)| table).zip(received).collect();
        Ok(Vantage { diag: Diag::from_socket(diag), route: Netlink::from_socket(route), tables })
    }

    /// Names of all interfaces by their numbers.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn interfaces(&self) -> io::Result<BTreeMap<u32, String>> {
        self.route.interfaces()
    }

    /// The rows of a table in `/proc/net`; none where the kernel has no such table.
    pub fn table(&self, table: Table) -> Vec<Entry> {
        let file = self.tables.iter().find(|(known, _)| *known == table);
        file.map(|(_, file)| socket_table::read(file)).unwrap_or_default()
    }
}

/// Sockets to sock_diag and to rtnetlink of this thread's network.
fn sockets() -> io::Result<[OwnedFd; 2]> {
    let open = |family| -> io::Result<OwnedFd> {
        // SAFETY: the call takes integers, and makes a descriptor that is nobody else's.
        Ok(unsafe {
            let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
            OwnedFd::from_raw_fd(check(libc::socket(libc::AF_NETLINK, kind, family))?)
        })
    };
    Ok([open(libc::NETLINK_SOCK_DIAG)?, open(libc::NETLINK_ROUTE)?])
}

/// Opens a table of this thread's network. Allocates nothing.
fn open(table: Table) -> Option<OwnedFd> {
    rustix::fs::openat(CWD, table.path(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// What the child does: enters, opens, and sends what it opened, with a byte for each table that is there. Allocates nothing.
fn hand_over(to: &Channel, user: BorrowedFd<'_>, network: BorrowedFd<'_>) -> u8 {
    let handed = || -> io::Result<()> {
        move_into_link_name_space(user, Some(LinkNameSpaceType::User))?;
        move_into_link_name_space(network, Some(LinkNameSpaceType::Network))?;
        let [diag, route] = sockets()?;
        let tables = Table::ALL.map(open);
        let mut descriptors = [diag.as_fd(); 2 + Table::ALL.len()];
        let there = std::iter::once(route.as_fd()).chain(tables.iter().flatten().map(AsFd::as_fd));
        let mut count = 1;
        for (slot, descriptor) in descriptors.iter_mut().skip(1).zip(there) {
            *slot = descriptor;
            count += 1;
        }
        let present = tables.each_ref().map(|table| u8::from(table.is_some()));
        to.send_all(&present, descriptors.get(..count).unwrap_or_default())
    };
    u8::from(handed().is_err())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespace::{Namespaces, unshare};
    use crate::netlink::sock_diag::{Extra, Kind, Query};
    use std::fs::File;
    use std::net::UdpSocket;

    fn ports(vantage: &mut Vantage) -> Vec<u16> {
        let every = &[(0, u16::MAX)];
        let query = Query { kind: Kind::Udp, states: u32::MAX, extra: Extra::None, local_ports: every };
        let mut ports = Vec::new();
        vantage.diag.list(&query, |socket| ports.push(socket.local().port)).unwrap();
        ports
    }

    #[test]
    fn another_network_is_seen_from_here() {
        // A thread of its own, which leaves its network and takes a port in the new one.
        let made = std::thread::spawn(|| {
            unshare(Namespaces::NETWORK)?;
            let socket = UdpSocket::bind("0.0.0.0:4711")?;
            io::Result::Ok((File::open("/proc/thread-self/ns/net")?, socket))
        });
        let (network, _socket) = match made.join().unwrap() {
            Ok(made) => made,
            Err(error) => return println!("skipped: {error}"),
        };
        let mut there = Vantage::of(network.as_fd()).unwrap();
        assert_eq!(ports(&mut there), [4711]);
        assert_eq!(there.interfaces().unwrap().into_values().collect::<Vec<_>>(), ["lo"]);
        assert!(there.table(Table::Raw).is_empty());
        assert!(!ports(&mut Vantage::here().unwrap()).contains(&4711));
        let file = File::open("/dev/null").unwrap();
        assert!(Vantage::of(file.as_fd()).is_err());
    }
}
