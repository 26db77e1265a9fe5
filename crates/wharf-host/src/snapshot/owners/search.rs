//! Owners of a few sockets, without a walk over everything.
//!
//! Who asks about one port waits for milliseconds, however many descriptors the host has. So few links of each process are read:
//! the lowest descriptors, where listeners are, and those between which the socket must lie if its process opened its sockets in
//! order. Processes of the socket's control group come first. Once an owner is known, every process is asked for the same
//! descriptor, which a fork leaves in place, and its kin is looked through for descriptors that were passed on. What is not found
//! so is found by the walk.

use std::collections::{BTreeMap, BTreeSet};

use wharf_sys::proc::descriptors::{Descriptors, Walk};
use wharf_table::rows::{Ownerless, Rows};

use super::{Hit, Index, Look, Part, link_all};
use crate::snapshot::{groups, processes, roles};

/// Up to so many descriptors on the whole host all are read: that costs no more than searching.
const FEW_DESCRIPTORS: u32 = 4096;
/// So many descriptors of kin are read at most.
const KIN_DESCRIPTORS: u32 = 2048;
/// A process with no more descriptors is read whole.
const SMALL_PROCESS: u32 = 16;
/// The descriptors that are tried first, behind the three standard ones.
const LOWEST: std::ops::Range<u32> = 3..12;
/// So many sockets are searched for; of more, the rest is left to chance and to [`Search::All`].
const MOST_WANTED: usize = 8;
/// Where a descriptor is no socket, so many behind it are tried.
const NEIGHBOURS: u32 = 3;

/// How far owners are searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// Until one is found, and then among its kin: parent, children, siblings, and whoever has the same descriptor.
    Kin,
    /// Everywhere.
    All,
}

/// How far owners were searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Searched {
    /// A process that is no kin of the owners, and was passed a socket, may be missing.
    Kin,
    /// Everywhere: no owner that this user may see is missing.
    All,
}

/// Finds the owners of rows that were listed without. Rows that serve come first: their owners are found if there are any. With
/// [`Search::Kin`] a row of a connection may be left [`Ownerless::Unasked`].
pub fn find_owners(rows: &mut Rows, search: Search) -> Searched {
    let found = if search == Search::Kin { Hunt::of(rows).and_then(Hunt::run) } else { None };
    let Some((part, index)) = found else {
        let users = std::mem::take(&mut rows.users);
        let Ok(()) = Look::new(&users).around(rows, |_| Ok::<(), std::convert::Infallible>(()));
        rows.users = users;
        return Searched::All;
    };
    link_all(vec![part], rows);
    index.share_owners(&mut rows.rows);
    for row in rows.rows.iter_mut().filter(|row| row.owners.count > 0) {
        if row.ownerless == Some(Ownerless::Unasked) {
            row.ownerless = None;
        }
    }
    Searched::Kin
}

/// A search for a few sockets.
struct Hunt<'a> {
    rows: &'a Rows,
    walk: Walk,
    index: Index,
    /// The sockets that must be found, and are not yet.
    wanted: BTreeSet<u32>,
    /// Their rows.
    sought: BTreeSet<u32>,
    /// What was found: rows and descriptors by process.
    found: BTreeMap<u32, BTreeSet<(u32, u32)>>,
    pids: Vec<u32>,
}

impl<'a> Hunt<'a> {
    /// `None` where everything may as well be looked at.
    fn of(rows: &'a Rows) -> Option<Hunt<'a>> {
        let index = Index::of(&rows.rows);
        let mut walk = Walk::open()?;
        let serving = rows.rows.iter().filter(|row| row.state == roles::serving(row.transport));
        let inode = |row: &wharf_table::rows::Row| u32::try_from(row.inode?.get()).ok();
        let mut wanted: BTreeSet<u32> = serving.filter_map(inode).collect();
        if wanted.is_empty() {
            wanted = index.inodes().collect();
        }
        if wanted.len() > MOST_WANTED {
            return None;
        }
        let pids = walk.processes();
        let total = pids.iter().try_fold(0_u32, |total, &pid| {
            let count = walk.of(pid).map_or(Some(0), |descriptors| descriptors.count());
            count.and_then(|count| total.checked_add(count)).filter(|&total| total <= FEW_DESCRIPTORS)
        });
        match total {
            Some(_) => None,
            None => {
                let sought = wanted.iter().filter_map(|&inode| index.row(inode)).collect();
                Some(Hunt { rows, walk, index, wanted, sought, found: BTreeMap::new(), pids })
            }
        }
    }

    /// `None` where a socket was not found.
    fn run(mut self) -> Option<(Part, Index)> {
        for pid in self.likely_first() {
            if self.wanted.is_empty() {
                break;
            }
            self.glance(pid);
        }
        if !self.wanted.is_empty() {
            return None;
        }
        self.same_descriptors();
        self.kin();
        let mut part = Part::default();
        for (pid, held) in self.found {
            let process = part.processes.len() as u32;
            part.processes.push(processes::owner(pid, &self.rows.users));
            part.hits.extend(held.into_iter().map(|(row, descriptor)| Hit { row, process, descriptor }));
        }
        Some((part, self.index))
    }

    /// All processes, those first that are in a control group of the sockets.
    fn likely_first(&self) -> Vec<u32> {
        let numbers = self.rows.rows.iter().filter_map(|row| Some(row.cgroup?.get())).collect();
        let members: BTreeSet<u32> = groups::members(numbers).into_iter().collect();
        let (first, others): (Vec<u32>, Vec<u32>) = self.pids.iter().partition(|pid| members.contains(pid));
        [first, others].concat()
    }

    /// Looks at few descriptors of a process.
    fn glance(&mut self, pid: u32) {
        let Ok(descriptors) = self.walk.of(pid) else { return };
        let count = descriptors.count();
        if count.is_some_and(|count| count <= SMALL_PROCESS) {
            return self.look_through(pid, &descriptors);
        }
        for descriptor in LOWEST {
            self.note(pid, descriptor, descriptors.socket(descriptor));
        }
        if let Some(count) = count {
            for inode in self.wanted.clone() {
                let at = between(inode, LOWEST.end, count + LOWEST.end, &descriptors);
                self.note(pid, at.unwrap_or_default(), at.map(|_| inode));
            }
        }
    }

    /// Looks at all descriptors of a process.
    fn look_through(&mut self, pid: u32, descriptors: &Descriptors) {
        let mut seen = Vec::new();
        // One that has ended has no sockets any more.
        let _ = self.walk.sockets_in(descriptors, |descriptor, inode| {
            seen.extend(self.index.row(inode).map(|_| (descriptor, inode)));
        });
        for (descriptor, inode) in seen {
            self.note(pid, descriptor, Some(inode));
        }
    }

    fn note(&mut self, pid: u32, descriptor: u32, inode: Option<u32>) {
        if let Some((inode, row)) = inode.and_then(|inode| Some((inode, self.index.row(inode)?))) {
            self.found.entry(pid).or_default().insert((row, descriptor));
            self.wanted.remove(&inode);
        }
    }

    /// Asks every process for the descriptors that are known: a fork leaves them in place.
    fn same_descriptors(&mut self) {
        let sought = |row: &u32| self.sought.contains(row);
        let known =
            self.found.values().flatten().filter(|(row, _)| sought(row)).map(|&(_, descriptor)| descriptor);
        let known: BTreeSet<u32> = known.collect();
        for pid in self.pids.clone() {
            let Ok(descriptors) = self.walk.of(pid) else { continue };
            for &descriptor in &known {
                self.note(pid, descriptor, descriptors.socket(descriptor));
            }
        }
    }

    /// Looks through the owners themselves, and their relations as far as that is cheap.
    fn kin(&mut self) {
        let owners: Vec<u32> = self.found.keys().copied().collect();
        let mut left = KIN_DESCRIPTORS;
        let mut looked = BTreeSet::new();
        let kin = owners.iter().flat_map(|&owner| processes::kin(owner));
        for pid in owners.iter().copied().chain(kin) {
            if left == 0 {
                break;
            }
            if !looked.insert(pid) {
                continue;
            }
            let Ok(descriptors) = self.walk.of(pid) else { continue };
            let count = descriptors.count().unwrap_or(KIN_DESCRIPTORS);
            if count <= left {
                left -= count;
                self.look_through(pid, &descriptors);
            }
        }
    }
}

/// The descriptor of a socket between two others, if they were opened in the order of their numbers.
fn between(inode: u32, mut low: u32, mut high: u32, descriptors: &Descriptors) -> Option<u32> {
    while low < high {
        let middle = low + (high - low) / 2;
        let near = (middle..high.min(middle + NEIGHBOURS)).find_map(|at| Some((at, descriptors.socket(at)?)));
        match near {
            Some((at, number)) if number == inode => return Some(at),
            Some((at, number)) if number < inode => low = at + 1,
            // Beyond the last one, or too late.
            Some(_) | None => high = middle,
        }
    }
    None
}
