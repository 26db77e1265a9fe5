//! Who holds which row.

use std::collections::HashMap;

use wharf_sys::proc::descriptors::{Unread, Walk};
use wharf_table::rows::{OwnerLink, OwnerSpan, Ownerless, ProcessId, Rows};

use crate::snapshot::{kernel, processes};

/// What a walk over all descriptors found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Processes with sockets.
    pids: Vec<u32>,
    /// Sockets: number, place in `pids`, descriptor.
    held: Vec<(u32, u32, u32)>,
    /// How many processes are hidden.
    hidden: usize,
}

/// Looks at every process.
pub(super) fn walk() -> Found {
    let mut found = Found::default();
    let Some(mut walk) = Walk::open() else { return found };
    for pid in walk.processes() {
        let place = found.pids.len() as u32;
        let before = found.held.len();
        let held = &mut found.held;
        if walk.sockets(pid, |descriptor, inode| held.push((inode, place, descriptor))) == Err(Unread::Hidden)
        {
            found.hidden += 1;
        }
        if found.held.len() > before {
            found.pids.push(pid);
        }
    }
    found.held.sort_unstable();
    // Several descriptors of one socket in one process are one owner.
    found.held.dedup_by_key(|&mut (inode, process, _)| (inode, process));
    found
}

/// Says that nobody asked.
pub(super) fn unasked(rows: &mut Rows) {
    kernel::roles(rows);
    for row in &mut rows.rows {
        row.ownerless.get_or_insert(Ownerless::Unasked);
    }
}

/// Gives every row its owners, or the reason why it has none.
pub(super) fn join(found: Found, rows: &mut Rows) {
    kernel::roles(rows);
    let mut spans: HashMap<u32, OwnerSpan> = HashMap::with_capacity(found.held.len());
    for (at, &(inode, ..)) in found.held.iter().enumerate() {
        spans.entry(inode).or_insert(OwnerSpan { first: at as u32, count: 0 }).count += 1;
    }
    let mut known: Vec<Option<ProcessId>> = vec![None; found.pids.len()];
    let mut reader = processes::Reader::new();
    for row in &mut rows.rows {
        let inode = row.inode.and_then(|inode| u32::try_from(inode.get()).ok());
        let Some(span) = inode.and_then(|inode| spans.get(&inode)) else {
            let reason = match (row.inode, found.hidden) {
                (None, _) => Ownerless::Kernel,
                (Some(_), 0) => Ownerless::Kernel,
                (Some(_), _) => Ownerless::Hidden,
            };
            row.ownerless.get_or_insert(reason);
            continue;
        };
        let first = rows.links.len() as u32;
        let held =
            found.held.get(span.first as usize..(span.first + span.count) as usize).unwrap_or_default();
        for &(_, place, descriptor) in held {
            let Some(slot) = known.get_mut(place as usize) else { continue };
            let pid = found.pids.get(place as usize).copied().unwrap_or_default();
            let process = *slot.get_or_insert_with(|| {
                rows.processes.push(reader.owner(pid));
                ProcessId(rows.processes.len() as u32 - 1)
            });
            rows.links.push(OwnerLink { process, descriptor });
        }
        row.owners = OwnerSpan { first, count: rows.links.len() as u32 - first };
    }
    if found.hidden > 0 {
        rows.hidden.push(format!(
            "the descriptors of {} processes of other users (needs CAP_SYS_PTRACE, or root)",
            found.hidden
        ));
    }
}
