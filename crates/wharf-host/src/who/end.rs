//! Ending those who hold a port: a process is asked, and made to after a time; one connection is closed by the kernel.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
pub use wharf_sys::netlink::sock_diag::Destroyed as Closed;
use wharf_sys::netlink::sock_diag::{Diag, Kind, Wanted};
use wharf_sys::pidfd::Pidfd;
use wharf_table::rows::{Row, Transport};

use super::process::{Process, Stat};

/// How long a killed process may take to go: the kernel closes its files first.
const DEATH: Duration = Duration::from_secs(2);

/// What became of a process that was to end.
#[derive(Debug)]
pub enum Outcome {
    /// It ended when it was asked.
    Ended,
    /// It was killed after its time.
    Killed,
    /// It had ended already.
    Gone,
    /// It is there still: the kernel holds it in a call that can't be interrupted.
    Remains,
    /// It must not be asked.
    Refused(io::Error),
}

/// A process that is about to be ended.
#[derive(Debug)]
struct Condemned {
    place: usize,
    pidfd: Pidfd,
}

/// Asks processes to end (SIGTERM), kills those that have not after `patience`, and says of each what became of it. Never hits
/// another process that got the same number.
pub fn stop(processes: &[Process], patience: Duration) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> = Vec::with_capacity(processes.len());
    let mut waiting = Vec::new();
    for (place, process) in processes.iter().enumerate() {
        outcomes.push(match ask(process) {
            Ok(Some(pidfd)) => {
                waiting.push(Condemned { place, pidfd });
                Outcome::Remains
            }
            Ok(None) => Outcome::Gone,
            Err(error) => Outcome::Refused(error),
        });
    }
    for place in wait(&mut waiting, patience) {
        outcomes[place] = Outcome::Ended;
    }
    for condemned in &waiting {
        // One that has ended in between is found by the wait.
        let _ = condemned.pidfd.signal(Signal::KILL.as_raw());
    }
    for place in wait(&mut waiting, DEATH) {
        outcomes[place] = Outcome::Killed;
    }
    outcomes
}

/// Asks a process to end; `None` when it has already.
fn ask(process: &Process) -> io::Result<Option<Pidfd>> {
    let is_gone = |error: &io::Error| error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error());
    let pid = process.owner.pid.unwrap_or_default();
    let pidfd = match Pidfd::open(pid) {
        Ok(pidfd) => pidfd,
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    // The descriptor is of whoever has the number now: is that the one that was seen?
    if process.started_ticks.is_none()
        || Stat::read(pid).map(|stat| stat.started_ticks) != process.started_ticks
    {
        return Ok(None);
    }
    match pidfd.signal(Signal::TERM.as_raw()) {
        Ok(()) => Ok(Some(pidfd)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Waits for processes to end, at most so long; takes those that have from the list and gives back their places.
fn wait(waiting: &mut Vec<Condemned>, patience: Duration) -> BTreeSet<usize> {
    let end = Instant::now() + patience;
    let mut ended = BTreeSet::new();
    while !waiting.is_empty() {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let mut wanted: Vec<PollFd<'_>> = waiting
            .iter()
            .map(|condemned| PollFd::from_borrowed_fd(condemned.pidfd.as_fd(), PollFlags::IN))
            .collect();
        if poll(&mut wanted, Some(&timeout)).is_err_and(|error| error != rustix::io::Errno::INTR) {
            return ended;
        }
        let is_over: Vec<bool> = wanted.iter().map(|wanted| !wanted.revents().is_empty()).collect();
        let mut places = is_over.iter();
        waiting.retain(|condemned| {
            let is_over = places.next() == Some(&true);
            if is_over {
                ended.insert(condemned.place);
            }
            !is_over
        });
        if left.is_zero() {
            return ended;
        }
    }
    ended
}

/// Closes one socket of the network of this process as if its network had failed: its program is told ECONNABORTED, the peer of a
/// TCP connection is reset. Says whether it was there.
///
/// # Errors
/// `EPERM` without CAP_NET_ADMIN, `EOPNOTSUPP` where the kernel can't.
pub fn close(row: &Row) -> io::Result<Closed> {
    let kind = match row.transport {
        Transport::Tcp => Kind::Tcp,
        Transport::Udp => Kind::Udp,
        Transport::UdpLite => Kind::UdpLite,
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    Diag::open()?.destroy(&Wanted { kind, local: row.local, remote: row.remote, cookie: row.cookie })
}
