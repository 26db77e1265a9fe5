//! Control groups: which one a number stands for, and which systemd unit and container a path does.
//!
//! The kernel tells the group of a socket by the number of the group's directory, even to those from whom the process is hidden.
//! Paths are read as systemd and the container runtimes write them; none of them is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};

use wharf_table::rows::Group;

/// So many letters of a container's number are shown, as its runtime does.
const NUMBER_LETTERS: usize = 12;
/// A container's number has 64 hexadecimal digits.
const NUMBER_LENGTH: usize = 64;

/// The groups with these numbers, as far as they are still there.
pub(super) fn by_number(mut wanted: BTreeSet<u64>) -> BTreeMap<u64, Group> {
    let mut found = BTreeMap::new();
    let Some(root) = hierarchy() else { return found };
    if let Ok(number) = fs::metadata(&root).map(|directory| directory.ino())
        && wanted.remove(&number)
    {
        found.insert(number, of_path("/"));
    }
    let mut directories = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        if wanted.is_empty() {
            break;
        }
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if wanted.remove(&entry.ino())
                && let Some(path) = below(&root, &entry.path())
            {
                found.insert(entry.ino(), of_path(&path));
            }
            directories.push(entry.path());
        }
    }
    found
}

/// The processes in the groups with these numbers. Of the root group it is none: everything else is there.
pub(super) fn members(numbers: BTreeSet<u64>) -> Vec<u32> {
    let Some(root) = hierarchy() else { return Vec::new() };
    let groups = by_number(numbers).into_values().filter(|group| group.path != "/");
    let lists = groups.filter_map(|group| {
        fs::read_to_string(root.join(group.path.trim_start_matches('/')).join("cgroup.procs")).ok()
    });
    lists.flat_map(|list| list.lines().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()).collect()
}

/// Where the one hierarchy of version 2 is mounted.
fn hierarchy() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    mounts.lines().find_map(mount_of).map(PathBuf::from)
}

/// The place of a mount, if it is one of `cgroup2`: `30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw`.
fn mount_of(line: &str) -> Option<&str> {
    let (mount, kind) = line.split_once(" - ")?;
    (kind.split(' ').next() == Some("cgroup2")).then_some(())?;
    mount.split(' ').nth(4)
}

fn below(root: &Path, directory: &Path) -> Option<String> {
    Some(format!("/{}", directory.strip_prefix(root).ok()?.to_str()?))
}

/// The group of a process, out of `/proc/PID/cgroup`: a line for each hierarchy, `0::/system.slice/nginx.service`.
pub(super) fn of_process(text: &str) -> Group {
    let mut group = Group::default();
    for line in text.lines() {
        let Some((controllers, path)) = line.split_once(':').and_then(|(_, rest)| rest.split_once(':'))
        else {
            continue;
        };
        let here = of_path(path);
        // Version 2 has the last word on the path, or systemd's own hierarchy where that is not used.
        if controllers.is_empty()
            || group.path.is_empty()
            || controllers == "name=systemd" && group.path == "/"
        {
            group.path = here.path;
        }
        group.unit = group.unit.or(here.unit);
        group.container = group.container.or(here.container);
    }
    group
}

/// What a path stands for.
pub(super) fn of_path(path: &str) -> Group {
    Group { path: path.to_owned(), unit: unit(path), container: container(path) }
}

/// The systemd unit: the first that is no slice; in a user's manager the user's unit, where there is one.
fn unit(path: &str) -> Option<String> {
    let is_unit = |part: &&str| {
        [".service", ".scope", ".socket", ".mount", ".swap"].iter().any(|end| part.ends_with(end))
    };
    let mut units = path.split('/').filter(|part| !part.ends_with(".slice"));
    let first = units.by_ref().find(|part| !part.is_empty()).filter(is_unit)?;
    let of_user = if first.starts_with("user@") { units.next().filter(is_unit) } else { None };
    Some(unescaped(of_user.unwrap_or(first)))
}

/// The container, by its name or by the first letters of its number.
fn container(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    // The innermost one, where one runs in another.
    (0..parts.len()).rev().find_map(|at| {
        let part = parts.get(at)?;
        let before = at.checked_sub(1).and_then(|before| parts.get(before)).copied().unwrap_or_default();
        numbered(part).or_else(|| named(part, before))
    })
}

/// `docker-NUMBER.scope`, `libpod-NUMBER`, `cri-containerd-NUMBER.scope`, or a bare `NUMBER`. What watches over a container is
/// none itself (`libpod-conmon-NUMBER.scope`).
fn numbered(part: &str) -> Option<String> {
    let name = part.strip_suffix(".scope").unwrap_or(part);
    // Some runtimes put the pod in front: `kubepods-pod1-x:cri-containerd:NUMBER`.
    let (runtime, number) = name.rsplit_once(['-', ':']).unwrap_or(("", name));
    let is_number = number.len() == NUMBER_LENGTH && number.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_number || runtime.ends_with("conmon") {
        return None;
    }
    number.get(..NUMBER_LETTERS).map(str::to_owned)
}

/// `lxc.payload.NAME`, `lxc/NAME`, `systemd-nspawn@NAME.service`, `machine-NAME.scope`.
fn named(part: &str, before: &str) -> Option<String> {
    let nspawn = || part.strip_prefix("systemd-nspawn@")?.strip_suffix(".service");
    let machine = || {
        let name = part.strip_prefix("machine-")?.strip_suffix(".scope")?;
        // A virtual machine's sockets are those of its emulator, on the host.
        (!name.starts_with("qemu\\x2d")).then(|| name.strip_prefix("lxc\\x2d").unwrap_or(name))
    };
    let lxc = || part.strip_prefix("lxc.payload.");
    let old_lxc = || (before == "lxc" || before == "lxc.payload").then_some(part);
    nspawn().or_else(machine).or_else(lxc).or_else(old_lxc).filter(|name| !name.is_empty()).map(unescaped)
}

/// systemd writes what a name may not hold as `\x2d`.
fn unescaped(name: &str) -> String {
    let mut parts = name.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(part.get(2..).unwrap_or_default().as_bytes());
            }
            None => bytes.extend([b"\\x", part.as_bytes()].concat()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
