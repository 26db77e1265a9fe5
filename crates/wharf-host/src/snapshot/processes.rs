//! What is known of a process.

use std::collections::BTreeMap;
use std::fs;

use wharf_table::owner::Owner;

/// Reads what `/proc` tells of processes, and the names of users once.
pub(crate) struct Reader {
    users: BTreeMap<u32, String>,
}

impl Reader {
    pub(crate) fn new() -> Reader {
        let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let users = text.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            Some((fields.nth(1)?.parse().ok()?, name.to_owned()))
        });
        Reader { users: users.collect() }
    }

    /// The process as an owner.
    pub(crate) fn owner(&mut self, pid: u32) -> Owner {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let field = |name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        let uid = field("Uid").and_then(|ids| ids.split_whitespace().next()?.parse().ok());
        Owner {
            pid: Some(pid),
            command: field("Name").map(str::to_owned),
            user: uid.and_then(|uid| self.users.get(&uid).cloned()),
            uid,
            parent: field("PPid").and_then(|pid| pid.parse().ok()).filter(|&pid| pid != 0),
            unit: None,
            container: None,
        }
    }
}
