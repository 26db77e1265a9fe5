//! The runs that are there: who is running, and what one says when it is asked.
//!
//! A command's way: a verb calls [`list`] or [`find`], which look for the control sockets of runs in this network namespace
//! (`/proc/net/unix`) and ask each for its status, all at once. [`flows`] asks for their flows.
//!
//! # Invariants
//! - A run is believed to be a user's only where the kernel says so: the socket's name, and who listens at it, agree.
//! - Of another process a run is believed only what the kernel confirms: its init is a child of its wharf.
//! - A run that does not answer in time, or answers without end, holds up nobody; it is listed with what the kernel tells.

mod conversation;
mod flow;
mod owners;
mod policy;
mod status;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use thiserror::Error;
use wharf_sys::socket::unix;

pub use self::flow::{End, Ends, Flow, FlowOwner};
pub use self::policy::{Change, Judgement, Policy, RuleHits, decide, policy};
pub use self::status::{Published, Status};
use crate::run::control::socket_name;

/// How long all runs together may take to tell their status, and their flows.
const STATUS_PATIENCE: Duration = Duration::from_secs(2);
const FLOWS_PATIENCE: Duration = Duration::from_secs(60);
/// The longest of such answers, in bytes.
const STATUS_MAX: usize = 1 << 20;
const FLOWS_MAX: usize = 1 << 30;

/// What a run's init is called.
const INIT_NAME: &[u8] = b"wharf-init";
/// Where the kernel lists the UNIX sockets of this network namespace.
const SOCKETS: &str = "/proc/net/unix";
/// `__SO_ACCEPTCON`: the socket listens (include/linux/net.h).
const LISTENS: u32 = 0x1_0000;

/// A run that is there.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its name.
    pub name: String,
    /// The process of its wharf.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// What it tells of itself; `None` where it does not answer (it is stopped, say).
    pub status: Option<Status>,
    /// The name of its control socket.
    socket: String,
}

/// Why a run can't be asked.
#[derive(Debug, Error)]
pub enum RunsError {
    /// The runs can't be found.
    #[error("read {SOCKETS}: {0} (is /proc mounted?)")]
    Unlisted(io::Error),
    /// There is no such run.
    #[error("no run {name:?} ({})", there(.runs))]
    NoRun {
        /// What it was called.
        name: String,
        /// The names of those that there are.
        runs: Vec<String>,
    },
    /// It does not answer.
    #[error("ask run {name:?}: it does not answer within {} s (is process {pid} stopped?)", .patience.as_secs())]
    Silent {
        /// Its name.
        name: String,
        /// The process of its wharf.
        pid: u32,
        /// How long that was waited for.
        patience: Duration,
    },
    /// It does not do what it was asked.
    #[error("ask run {name:?}: {why}")]
    Refused {
        /// Its name.
        name: String,
        /// What it says.
        why: String,
    },
    /// What it answers can't be read.
    #[error("ask run {name:?}: its answer can't be read: {why} (is process {pid} another version of wharf?)")]
    Unreadable {
        /// Its name.
        name: String,
        /// The process of its wharf.
        pid: u32,
        /// What is wrong.
        why: String,
    },
}

fn there(runs: &[String]) -> String {
    match runs {
        [] => "none is running".to_owned(),
        [one] => format!("there is {one}"),
        many => format!("there are {}", many.join(", ")),
    }
}

impl Run {
    /// The run's init, process 1 of its own processes: the way into its namespaces. Only this is believed that the kernel
    /// confirms; also a run that does not answer has one.
    pub fn init_pid(&self) -> Option<u32> {
        match &self.status {
            Some(status) => (parent_of(status.init_pid) == Some(self.pid)).then_some(status.init_pid),
            None => init_of(self.pid),
        }
    }

    /// The number of the run's network namespace, as [`Network::inode`](wharf_table::rows::Network) has it. Only the run's user
    /// and root are told.
    pub fn network_inode(&self) -> Option<u64> {
        fs::metadata(format!("/proc/{}/ns/net", self.init_pid()?)).ok().map(|file| file.ino())
    }

    fn silent(&self) -> RunsError {
        RunsError::Silent { name: self.name.clone(), pid: self.pid, patience: FLOWS_PATIENCE }
    }

    fn unreadable(&self, error: &serde_json::Error) -> RunsError {
        RunsError::Unreadable { name: self.name.clone(), pid: self.pid, why: error.to_string() }
    }

    /// Whether it is meant by a name or the number of its process.
    fn is_called(&self, name: &str) -> bool {
        self.name == name || name.parse() == Ok(self.pid)
    }
}

/// The runs of this user, for root those of all, as far as they are in the same network namespace; by their age, the oldest first.
///
/// # Errors
/// [`RunsError::Unlisted`].
pub fn list() -> Result<Vec<Run>, RunsError> {
    let (mut runs, sockets): (Vec<Run>, Vec<OwnedFd>) = found()?.into_iter().unzip();
    let call = |socket| conversation::Call::new(socket, "{\"do\":\"status\"}\n", STATUS_MAX);
    let calls = sockets.into_iter().map(call).collect();
    let answers = conversation::hold(calls, STATUS_PATIENCE);
    for (run, answer) in runs.iter_mut().zip(answers) {
        run.status = answer.and_then(|answer| Status::parse(&answer));
    }
    runs.sort_by_key(|run| (run.status.as_ref().map(|status| status.since.clone()), run.pid));
    Ok(runs)
}

/// The runs of this user, for root those of all, none of which was asked anything yet, each with a connection to it.
fn found() -> Result<Vec<(Run, OwnedFd)>, RunsError> {
    let me = rustix::process::geteuid();
    let list = fs::read(SOCKETS).map_err(RunsError::Unlisted)?;
    let mut runs = Vec::new();
    for name in names_in(&String::from_utf8_lossy(&list)) {
        let Some((uid, run)) = parse_name(&name) else { continue };
        if !me.is_root() && uid != me.as_raw() {
            continue;
        }
        let Ok(socket) = unix::connect(name.as_bytes()) else { continue };
        let Ok(unix::Peer { pid: Some(pid), uid: owner }) = unix::peer(&socket) else { continue };
        // Whoever listens there under another's number is no run.
        if owner == uid {
            runs.push((Run { name: run.to_owned(), pid, uid, status: None, socket: name }, socket));
        }
    }
    Ok(runs)
}

/// The runs that are called so: by their name, of which there may be several, or by the number of the process of wharf.
///
/// # Errors
/// [`RunsError::NoRun`] names those that there are.
pub fn find(name: &str) -> Result<Vec<Run>, RunsError> {
    let runs = list()?;
    let (found, others): (Vec<Run>, Vec<Run>) = runs.into_iter().partition(|run| run.is_called(name));
    if found.is_empty() {
        let runs = others.into_iter().map(|run| run.name).collect();
        return Err(RunsError::NoRun { name: name.to_owned(), runs });
    }
    Ok(found)
}

/// The flows of these runs, run after run, with the processes that hold them as far as this user may see them.
///
/// # Errors
/// [`RunsError::Silent`] and [`RunsError::Unreadable`], of a run that is still there. One that has ended meanwhile has no flows.
pub fn flows(runs: &[Run]) -> Result<Vec<Flow>, RunsError> {
    let call = |run: &Run| {
        let socket = unix::connect(run.socket.as_bytes()).ok()?;
        // Somebody else may have the name by now.
        let same =
            unix::peer(&socket).is_ok_and(|peer| peer == unix::Peer { pid: Some(run.pid), uid: run.uid });
        same.then(|| conversation::Call::new(socket, "{\"do\":\"flows\"}\n", FLOWS_MAX))
    };
    let called: Vec<(&Run, conversation::Call)> =
        runs.iter().filter_map(|run| Some((run, call(run)?))).collect();
    let (called, calls): (Vec<&Run>, Vec<_>) = called.into_iter().unzip();
    let mut flows = Vec::new();
    for (run, answer) in called.iter().zip(conversation::hold(calls, FLOWS_PATIENCE)) {
        flows.push(match answer {
            Some(answer) => flow::parse(&answer).map_err(|error| run.unreadable(&error))?,
            // It has ended meanwhile.
            None if parent_of(run.pid).is_none() => Vec::new(),
            None => return Err(run.silent()),
        });
    }
    owners::find(&called, &mut flows);
    Ok(flows.into_iter().flatten().collect())
}

/// The names of control sockets in the kernel's list of UNIX sockets.
fn names_in(list: &str) -> Vec<String> {
    let name = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let flags = u32::from_str_radix(words.nth(3)?, 16).ok()?;
        let path = words.nth(3)?.strip_prefix('@')?;
        (flags & LISTENS != 0 && words.next().is_none()).then(|| path.to_owned())
    };
    let mut names: Vec<String> =
        list.lines().skip(1).filter_map(name).filter(|name| parse_name(name).is_some()).collect();
    names.sort();
    names.dedup();
    names
}

/// The user and the run's name in the name of a control socket.
fn parse_name(socket: &str) -> Option<(u32, &str)> {
    let mut parts = socket.splitn(4, '/');
    let (first, uid, pid, name) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let (uid, pid) = (uid.parse().ok()?, pid.parse().ok()?);
    // As wharf writes it, and no other way.
    (first == "wharf" && is_name(name) && socket_name(uid, pid, name) == socket).then_some((uid, name))
}

/// The names of the runs of this user, for root of all, by the numbers of their network namespaces. Nobody is asked anything, so
/// that a run which is stopped holds up nobody.
pub fn network_names() -> BTreeMap<u64, String> {
    let mut names: BTreeMap<u64, String> = BTreeMap::new();
    let found = found().unwrap_or_default();
    for run in found.into_iter().map(|(run, _)| run) {
        let Some(inode) = run.network_inode() else { continue };
        // Of two that are called the same, the second is told from the first.
        let is_taken = names.values().any(|name| *name == run.name);
        let name = if is_taken { format!("{}-{}", run.name, run.pid) } else { run.name };
        names.insert(inode, name);
    }
    names
}

/// The init of the wharf with this number: its child of that name.
fn init_of(wharf: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{wharf}/task/{wharf}/children")).ok()?;
    let is_init = |pid: &u32| {
        fs::read(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim_ascii_end() == INIT_NAME)
    };
    children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).find(is_init)
}

/// The parent of a process; `None` when it is gone.
fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the command, in parentheses, may hold anything.
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listening_sockets_with_such_a_name_are_runs() {
        let list = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 4711 @wharf/1000/812/web\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 4712 @wharf/1000/813/connected\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 4713 /run/wharf/1000/814/file\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 4714 @wharf/1000/815/a b\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 4715 @wharf/+1000/816/sign\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 4716 @wharf/1000/817/\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 4717\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 4718 @wharf/0/818/sh-818\n";
        assert_eq!(names_in(list), ["wharf/0/818/sh-818", "wharf/1000/812/web"]);
        assert_eq!(parse_name("wharf/1000/812/web"), Some((1000, "web")));
    }

    #[test]
    fn a_process_has_its_parent() {
        assert_eq!(parent_of(std::process::id()), Some(std::os::unix::process::parent_id()));
        assert_eq!(parent_of(u32::MAX), None);
    }

    #[test]
    fn who_is_missing_is_told_who_is_there() {
        let said = |runs: &[&str]| {
            let runs = runs.iter().map(ToString::to_string).collect();
            RunsError::NoRun { name: "wbe".into(), runs }.to_string()
        };
        assert_eq!(said(&[]), "no run \"wbe\" (none is running)");
        assert_eq!(said(&["web"]), "no run \"wbe\" (there is web)");
        assert_eq!(said(&["web", "db"]), "no run \"wbe\" (there are web, db)");
    }
}
