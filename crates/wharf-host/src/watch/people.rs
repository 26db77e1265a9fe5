//! Processes by their number, looked up at once: by the time that a sample is taken they may have ended.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wharf_sys::proc::descriptors::Walk;
use wharf_table::owner::Owner;

use crate::snapshot::processes::Reader;

/// So long a process that connects again and again is not looked up again.
const FRESH: Duration = Duration::from_millis(100);
/// Walks over all descriptors take a tenth of the time at most.
const REST: u32 = 9;

/// A process, and the number of its network; `None` where it had ended already or is hidden.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) owner: Arc<Owner>,
    pub(super) network: Option<u64>,
}

/// Looks processes up.
pub(super) struct People {
    reader: Reader,
    known: HashMap<u32, (Instant, Person)>,
    walk: Option<Walk>,
    /// No walk before this.
    rests_until: Instant,
}

impl People {
    pub(super) fn new() -> People {
        People {
            reader: Reader::new(),
            known: HashMap::new(),
            walk: Walk::open(),
            rests_until: Instant::now(),
        }
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
        let person = Person { owner: Arc::new(self.reader.owner(pid)), network };
        let now = Instant::now();
        self.known.retain(|_, (at, _)| now.duration_since(*at) < FRESH);
        self.known.insert(pid, (now, person.clone()));
        person
    }

    /// Who holds the sockets with these numbers, as pairs of a socket's number and an owner with its descriptor. The youngest
    /// processes are asked first, and none when everything is found. `None` while walks rest.
    pub(super) fn holders(&mut self, mut inodes: Vec<u32>) -> Option<Vec<(u32, Owner, u32)>> {
        let begun = Instant::now();
        if begun < self.rests_until {
            return None;
        }
        let walk = self.walk.as_mut()?;
        let mut found = Vec::new();
        for pid in walk.processes().into_iter().rev() {
            if inodes.is_empty() {
                break;
            }
            let mut held = Vec::new();
            // One that has ended or is hidden holds nothing that could be told.
            let _ = walk.sockets(pid, |descriptor, inode| {
                if inodes.contains(&inode) && !held.iter().any(|(other, _)| *other == inode) {
                    held.push((inode, descriptor));
                }
            });
            for (inode, descriptor) in held {
                found.push((inode, self.reader.owner(pid), descriptor));
                inodes.retain(|other| *other != inode);
            }
        }
        let now = Instant::now();
        self.rests_until = now + now.duration_since(begun) * REST;
        Some(found)
    }
}
