//! What `/proc` tells of a process.

use std::collections::BTreeMap;
use std::fs;

use wharf_table::owner::Owner;

use crate::snapshot::groups;

/// Names of users by their numbers, out of `/etc/passwd`.
pub(crate) fn users() -> BTreeMap<u32, String> {
    let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let users = text.lines().rev().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        Some((fields.nth(1)?.parse().ok()?, name.to_owned()))
    });
    // From the last to the first: of two with one number the first counts.
    users.collect()
}

/// The process as an owner.
pub(crate) fn owner(pid: u32, users: &BTreeMap<u32, String>) -> Owner {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    // Real, effective, saved, and that for files: it acts as the second.
    let uid = field("Uid").and_then(|ids| ids.split_whitespace().nth(1)?.parse().ok());
    let group = groups::of_process(&fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default());
    Owner {
        pid: Some(pid),
        command: field("Name").map(str::to_owned),
        user: uid.and_then(|uid| users.get(&uid).cloned()),
        uid,
        parent: field("PPid").and_then(|pid| pid.parse().ok()).filter(|&pid| pid != 0),
        unit: group.unit,
        container: group.container,
    }
}

/// The nearest relations of a process: its children, its parent, its siblings. The first process is nobody's relation: it takes
/// in whoever has lost a parent.
pub(super) fn kin(pid: u32) -> Vec<u32> {
    let mut kin = children(pid);
    let parent = parent(pid).filter(|&parent| parent > 1);
    kin.extend(parent);
    kin.extend(parent.into_iter().flat_map(children).filter(|&sibling| sibling != pid));
    kin
}

/// The fourth field of `/proc/PID/stat`, behind a name that can hold anything.
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Those that the kernel lists as children of its first thread (`CONFIG_PROC_CHILDREN`).
fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_known() {
        let owner = owner(std::process::id(), &users());
        assert_eq!(owner.pid, Some(std::process::id()));
        assert_eq!(owner.parent, Some(std::os::unix::process::parent_id()));
        assert!(owner.command.is_some() && owner.uid.is_some());
        assert_eq!(users().get(&0).map(String::as_str), Some("root"));
        let parent = std::os::unix::process::parent_id();
        assert!(parent <= 1 || kin(std::process::id()).contains(&parent));
        assert_eq!(super::owner(u32::MAX, &users()).command, None);
    }
}
