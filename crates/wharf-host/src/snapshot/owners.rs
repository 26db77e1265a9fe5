//! Who holds which row: the descriptors of all processes, looked through by several threads ([`look`]), and put together with the
//! rows here.

mod index;
mod look;
mod search;

use wharf_table::owner::Owner;
use wharf_table::rows::{OwnerLink, OwnerSpan, Ownerless, ProcessId, Rows};

use index::Index;

use super::networks::others;

pub(super) use look::Look;
pub use search::{Search, Searched, find_owners};

/// A descriptor of a row's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Hit {
    row: u32,
    /// Its place in [`Part::processes`].
    process: u32,
    descriptor: u32,
}

/// What one thread found.
#[derive(Debug, Default)]
pub(super) struct Part {
    processes: Vec<Owner>,
    hits: Vec<Hit>,
    /// How many processes are hidden.
    hidden: usize,
}

/// Says that nobody asked.
pub(super) fn unasked(rows: &mut Rows) {
    for row in &mut rows.rows {
        row.ownerless.get_or_insert(Ownerless::Unasked);
    }
}

/// Gives every row its owners, or the reason why it has none.
fn join(parts: Vec<Part>, index: &Index, rows: &mut Rows) {
    let hidden = parts.iter().map(|part| part.hidden).sum::<usize>();
    link_all(parts, rows);
    index.share_owners(&mut rows.rows);
    let seen = Sight::of_proc();
    let why = if hidden > 0 || seen != Sight::Whole { Ownerless::Hidden } else { Ownerless::Kernel };
    for row in &mut rows.rows {
        match row.ownerless {
            None | Some(Ownerless::Unasked) => row.ownerless = (row.owners.count == 0).then_some(why),
            Some(_) => {}
        }
    }
    // Where every row has an owner nobody misses those of others.
    if hidden > 0 && rows.rows.iter().any(|row| row.ownerless == Some(Ownerless::Hidden)) {
        let needs = "(needs CAP_SYS_PTRACE, or root)";
        rows.hidden.push(format!("the sockets of {} are hidden {needs}", others(hidden)));
    }
    rows.hidden.extend(seen.sentence().map(str::to_owned));
}

/// Puts processes and links of all threads together, processes in the order of their numbers.
fn link_all(parts: Vec<Part>, rows: &mut Rows) {
    let mut order: Vec<(u32, usize, usize)> = Vec::new();
    for (part, found) in parts.iter().enumerate() {
        let pids = found.processes.iter().enumerate();
        order.extend(pids.map(|(place, owner)| (owner.pid.unwrap_or_default(), part, place)));
    }
    order.sort_unstable();
    let mut ids: Vec<Vec<u32>> = parts.iter().map(|part| vec![0; part.processes.len()]).collect();
    let (mut processes, mut hits): (Vec<_>, Vec<_>) =
        parts.into_iter().map(|part| (part.processes, part.hits)).unzip();
    let mut last = None;
    for (pid, part, place) in order {
        let owner = processes.get_mut(part).and_then(|of| of.get_mut(place)).map(std::mem::take);
        // One that was looked at twice is still one.
        if last != Some(pid) {
            last = Some(pid);
            rows.processes.extend(owner);
        }
        if let Some(id) = ids.get_mut(part).and_then(|ids| ids.get_mut(place)) {
            *id = rows.processes.len() as u32 - 1;
        }
    }
    for (hits, ids) in hits.iter_mut().zip(&ids) {
        for hit in hits {
            hit.process = ids.get(hit.process as usize).copied().unwrap_or_default();
        }
    }
    link(&hits, rows);
}

/// Writes the links of all hits, those of a row side by side, and a process once in each.
fn link(hits: &[Vec<Hit>], rows: &mut Rows) {
    for hit in hits.iter().flatten() {
        if let Some(row) = rows.rows.get_mut(hit.row as usize) {
            row.owners.count += 1;
        }
    }
    let mut next = rows.links.len() as u32;
    for row in rows.rows.iter_mut().filter(|row| row.owners.count > 0) {
        // The count grows again as links are written.
        let count = std::mem::take(&mut row.owners.count);
        row.owners.first = next;
        next += count;
    }
    let nobody = OwnerLink { process: ProcessId(u32::MAX), descriptor: 0 };
    rows.links.resize(next as usize, nobody);
    for hit in hits.iter().flatten() {
        let Some(row) = rows.rows.get_mut(hit.row as usize) else { continue };
        if let Some(slot) = rows.links.get_mut((row.owners.first + row.owners.count) as usize) {
            *slot = OwnerLink { process: ProcessId(hit.process), descriptor: hit.descriptor };
            row.owners.count += 1;
        }
    }
    for row in rows.rows.iter_mut().filter(|row| row.owners.count > 1) {
        row.owners.count = each_process_once(&mut rows.links, row.owners);
    }
}

/// Sorts the links of a row and keeps one of each process, that of the lowest descriptor. Says how many are left.
fn each_process_once(links: &mut [OwnerLink], span: OwnerSpan) -> u32 {
    let of_row = links.get_mut(span.first as usize..(span.first + span.count) as usize).unwrap_or_default();
    of_row.sort_unstable();
    let mut kept = 0;
    for at in 0..of_row.len() {
        let same = kept > 0
            && of_row.get(kept - 1).map(|link| link.process) == of_row.get(at).map(|link| link.process);
        if !same {
            of_row.swap(kept, at);
            kept += 1;
        }
    }
    kept as u32
}

/// How much of the host's processes `/proc` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    /// All of them.
    Whole,
    /// Those of one process namespace.
    Namespace,
    /// Not those of others.
    Own,
}

impl Sight {
    fn of_proc() -> Sight {
        use std::os::unix::fs::MetadataExt;
        /// The first process namespace always has this number (`PROC_PID_INIT_INO`).
        const FIRST: u64 = 0xEFFF_FFFC;
        let own = std::fs::metadata("/proc/self/ns/pid").map(|file| file.ino());
        match own {
            Ok(FIRST) if std::path::Path::new("/proc/1").exists() => Sight::Whole,
            Ok(FIRST) => Sight::Own,
            _ => Sight::Namespace,
        }
    }

    const fn sentence(self) -> Option<&'static str> {
        match self {
            Sight::Whole => None,
            Sight::Namespace => {
                Some("only processes of this process namespace are seen, not those of the whole host")
            }
            Sight::Own => {
                Some("processes of other users are hidden (/proc is mounted with hidepid; needs root)")
            }
        }
    }
}

#[cfg(test)]
mod tests;
