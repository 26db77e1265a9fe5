//! Which program of a run opens a flow: its socket by its ends, and the process that holds it.
//!
//! That costs two calls to the kernel and a look at the descriptors of the run's processes, so it is asked where a rule names a
//! program, and for what is told of a denial; never for a packet. The run's network is entered when it is first asked.
//!
//! A program counts under its own name and under those of the programs that started it, up to the first one of the run:
//! `git` opens no connection itself, but by a helper or by `ssh`. A name is what the program calls its file; whoever can write
//! files inside can have any.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::Path;

use wharf_sys::netlink::sock_diag::{ANY_COOKIE, Extra, Kind, Wanted};
use wharf_sys::proc::descriptors::Walk;
use wharf_sys::vantage::Vantage;
use wharf_table::rows::End;
use wharf_table::{Protocol, Tuple};

/// The most processes of a run that are looked at.
const PROCESSES_MAX: usize = 4096;
/// The most programs in the line of those that started one another.
const LINE_MAX: usize = 32;

/// A program inside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::run) struct Program {
    /// Its process, as the host numbers it.
    pub(in crate::run) pid: u32,
    /// Its name, and those of the programs that started it, nearest first.
    pub(super) names: Vec<String>,
}

impl Program {
    /// Its own name.
    pub(in crate::run) fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }
}

/// Finds programs of a run.
pub(super) struct Programs {
    /// The process from which all others of the run descend.
    init: u32,
    vantage: Option<Vantage>,
    walk: Option<Walk>,
}

impl Programs {
    pub(super) const fn of(init: u32) -> Programs {
        Programs { init, vantage: None, walk: None }
    }

    /// The program whose socket has these ends; `local` is the program's. `None` where it can't be told: it has closed the socket
    /// already, or made its packets by hand.
    pub(super) fn find(&mut self, tuple: &Tuple) -> Option<Program> {
        let inode = self.inode(tuple)?;
        if self.walk.is_none() {
            self.walk = Walk::open();
        }
        let walk = self.walk.as_mut()?;
        let mut line = descendants(self.init).into_iter().filter(|(pid, _)| {
            let mut holds = false;
            // A process that has ended meanwhile holds nothing.
            let _ = walk.sockets(*pid, |_, found| holds |= found == inode);
            holds
        });
        let (pid, parents) = line.next()?;
        let names = std::iter::once(pid).chain(parents).take(LINE_MAX).filter_map(name_of).collect();
        Some(Program { pid, names })
    }

    fn inode(&mut self, tuple: &Tuple) -> Option<u32> {
        let kind = match tuple.protocol {
            Protocol::Tcp => Kind::Tcp,
            Protocol::Udp => Kind::Udp,
            Protocol::Icmp => return None,
        };
        if self.vantage.is_none() {
            let network = File::open(format!("/proc/{}/ns/net", self.init)).ok()?;
            self.vantage = Vantage::of(network.as_fd()).ok();
        }
        let diag = &mut self.vantage.as_mut()?.diag;
        let (local, remote) = (End::new(tuple.local), Some(End::new(tuple.remote)));
        let wanted = |remote| Wanted { kind, local, remote, cookie: ANY_COOKIE };
        let mut find = |wanted| diag.find(&wanted, Extra::None, |socket| socket.inode()).ok().flatten();
        let connected = find(wanted(remote));
        let found = if kind == Kind::Udp { connected.or_else(|| find(wanted(None))) } else { connected };
        found.filter(|&inode| inode != 0)
    }
}

/// Every process below `init`, each with those that started it, nearest first; without `init` itself.
fn descendants(init: u32) -> Vec<(u32, Vec<u32>)> {
    let mut found: Vec<(u32, Vec<u32>)> = vec![(init, Vec::new())];
    let mut at = 0;
    while at < found.len() && found.len() < PROCESSES_MAX {
        let (pid, line) = found[at].clone();
        let below: Vec<u32> = if pid == init { line } else { std::iter::once(pid).chain(line).collect() };
        found.extend(children(pid).into_iter().map(|child| (child, below.clone())));
        at += 1;
    }
    found.remove(0);
    found
}

/// Those that each thread of a process has started (`CONFIG_PROC_CHILDREN`).
fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists =
        threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>())
        .collect()
}

/// The name of a program's file, else what the kernel calls it.
fn name_of(pid: u32) -> Option<String> {
    let file = fs::read_link(format!("/proc/{pid}/exe")).ok();
    let name = file.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    name.or_else(|| {
        fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|name| name.trim_end().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_socket_of_a_child_is_found_with_those_that_started_it() {
        // Children of this process play the run: what they hold is found below it, and this process is its init.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let client = TcpStream::connect(at).unwrap();
        let own = client.local_addr().unwrap();
        let fd: std::os::fd::OwnedFd = client.into();
        let mut child = std::process::Command::new("sh")
            .args(["-c", "read line; :"])
            .stdout(std::process::Stdio::from(fd))
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut programs = Programs::of(std::process::id());
        let tuple = Tuple { protocol: Protocol::Tcp, local: own.into(), remote: at.into() };
        let found = programs.find(&tuple);
        drop(child.stdin.take());
        child.wait().unwrap();
        let found = found.expect("the child holds it");
        assert_eq!(found.pid, child.id());
        assert!(found.name().contains("sh"), "{found:?}");
        let other = Tuple { local: "127.0.0.1:1".parse().unwrap(), ..tuple };
        assert_eq!(programs.find(&other), None);
    }
}
