//! Processes by their number, looked up at once: by the time that a sample is taken they may have ended.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wharf_sys::proc::descriptors::Walk;
use wharf_table::owner::Owner;

use crate::snapshot::processes;

/// So long a process that connects again and again is not looked up again.
const FRESH: Duration = Duration::from_millis(100);
/// So long one that has ended is remembered: its number is not soon another's.
const REMEMBERED: Duration = Duration::from_secs(5);
/// So long the holders of sockets are looked for at once. Who asks must not be late; the next whole sample finds the others.
const PATIENCE: Duration = Duration::from_millis(5);
/// So many of those that held something lately are asked first.
const RECENT: usize = 8;

/// A process, and the number of its network; `None` where it had ended already or is hidden.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) owner: Arc<Owner>,
    pub(super) network: Option<u64>,
}

/// Looks processes up.
pub(super) struct People {
    users: BTreeMap<u32, String>,
    known: HashMap<u32, (Instant, Person)>,
    walk: Option<Walk>,
    /// Processes that were there when holders were last looked for.
    old: HashSet<u32>,
    /// Processes that lately held what was looked for, the last one at the end.
    recent: Vec<u32>,
}

impl People {
    pub(super) fn new() -> People {
        let mut walk = Walk::open();
        let old = walk.as_mut().map(Walk::processes).unwrap_or_default().into_iter().collect();
        People { users: processes::users(), known: HashMap::new(), walk, old, recent: Vec::new() }
    }

    /// The name of a user.
    pub(super) fn user(&self, uid: u32) -> Option<&String> {
        self.users.get(&uid)
    }

    /// The process `pid`, as it is now or was a moment ago.
    pub(super) fn recent(&mut self, pid: u32) -> Person {
        match self.known.get(&pid) {
            Some((at, person)) if at.elapsed() < FRESH => person.clone(),
            _ => self.now(pid),
        }
    }

    /// The process `pid` as it is now.
    pub(super) fn now(&mut self, pid: u32) -> Person {
        let network = std::fs::metadata(format!("/proc/{pid}/ns/net")).ok().map(|file| file.ino());
        let person = Person { owner: Arc::new(processes::owner(pid, &self.users)), network };
        let now = Instant::now();
        self.known.retain(|_, (at, _)| now.duration_since(*at) < REMEMBERED);
        // One that has ended is what it was a moment ago.
        if person.owner.command.is_none()
            && let Some((_, before)) = self.known.get(&pid)
        {
            return before.clone();
        }
        self.known.insert(pid, (now, person.clone()));
        person
    }

    /// Who holds the sockets with these numbers, as far as that can be found quickly: a socket's number, an owner, its descriptor.
    /// New processes are asked first, then those that held something lately, then the others.
    pub(super) fn holders(&mut self, mut inodes: Vec<u32>) -> Vec<(u32, Owner, u32)> {
        let begun = Instant::now();
        let mut found = Vec::new();
        let Some(walk) = &mut self.walk else { return found };
        let pids = walk.processes();
        let (fresh, others): (Vec<u32>, Vec<u32>) =
            pids.iter().rev().partition(|pid| !self.old.contains(pid));
        let likely = fresh.into_iter().chain(self.recent.clone().into_iter().rev()).chain(others);
        for pid in likely {
            if inodes.is_empty() || begun.elapsed() > PATIENCE {
                break;
            }
            let mut held: Vec<(u32, u32)> = Vec::new();
            // One that has ended or is hidden holds nothing that could be told.
            let _ = walk.sockets(pid, |descriptor, inode| {
                if inodes.contains(&inode) && !held.iter().any(|(other, _)| *other == inode) {
                    held.push((inode, descriptor));
                }
            });
            if !held.is_empty() {
                self.recent.retain(|other| *other != pid);
                self.recent.push(pid);
            }
            for (inode, descriptor) in held {
                found.push((inode, processes::owner(pid, &self.users), descriptor));
                inodes.retain(|other| *other != inode);
            }
        }
        self.recent.drain(..self.recent.len().saturating_sub(RECENT));
        self.old = pids.into_iter().collect();
        found
    }
}
