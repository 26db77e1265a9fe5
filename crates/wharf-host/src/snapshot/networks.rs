//! Which networks there are, what they are called, and how they are entered.
//!
//! A network is found through the processes in it and through the names in `/run/netns`. It is called `host` if it is that of the
//! first process (or of this one, where that can't be told), by its name in `/run/netns`, by the run whose it is, by the
//! container in it, and else `net:` and the number of its namespace.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use wharf_sys::vantage::Vantage;
use wharf_table::rows::Network;

use crate::snapshot::{Networks, SnapshotError, groups};

/// Where others keep names of network namespaces.
const NAMED: &str = "/run/netns";
/// Where Docker keeps namespaces by numbers of its own, which are no names.
const NAMELESS: [&str; 2] = ["/run/docker/netns", "/var/run/docker/netns"];
/// The file system of namespaces (`NSFS_MAGIC`).
const NAMESPACE_FILES: u64 = 0x6e73_6673;
/// The number of the first network, since kernels give it a fixed one (`NET_NS_INIT_INO`); no other has it in older ones.
const FIRST: u64 = 0xEFFF_FFF9;
/// What the first network is called.
const HOST: &str = "host";

/// A network that was entered.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) network: Network,
    pub(crate) vantage: Vantage,
}

/// A network that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    name: String,
    pid: Option<u32>,
    file: PathBuf,
}

/// Enters the networks that are asked for, and says which could not be entered.
///
/// # Errors
/// One that was asked for by name is not there, or can't be entered.
pub(crate) fn open(networks: &Networks, hidden: &mut Vec<String>) -> Result<Vec<Place>, SnapshotError> {
    match networks {
        Networks::Here => Ok(vec![here()?]),
        Networks::All => all(hidden),
        Networks::Named(names) => {
            let mut places: Vec<Place> = Vec::new();
            let mut known = None;
            for name in names {
                let place = named(name, &mut known)?;
                if places.iter().all(|other| other.network.inode != place.network.inode) {
                    places.push(place);
                }
            }
            Ok(places)
        }
    }
}

fn here() -> Result<Place, SnapshotError> {
    let own = number(Path::new("/proc/self/ns/net")).unwrap_or_default();
    let name = match number(Path::new("/proc/1/ns/net")) {
        Some(first) if first != own => netns_names().remove(&own).unwrap_or_else(|| format!("net:{own}")),
        _ => HOST.into(),
    };
    let vantage =
        Vantage::here().map_err(|error| SnapshotError::Unlisted { network: name.clone(), error })?;
    Ok(Place { network: network(name, own, Some(std::process::id()), &vantage), vantage })
}

fn all(hidden: &mut Vec<String>) -> Result<Vec<Place>, SnapshotError> {
    let mut own = here()?;
    let (mut found, unread) = discover();
    if let Some(known) = found.remove(&own.network.inode) {
        own.network.name = known.name;
    }
    let mut places = vec![own];
    let mut closed = Vec::new();
    for (inode, found) in found {
        match enter(inode, &found) {
            Ok(place) => places.push(place),
            // It has ended meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => closed.push(found.name),
        }
    }
    places.sort_by(|one, other| order(&one.network).cmp(&order(&other.network)));
    if !closed.is_empty() {
        hidden.push(format!(
            "networks that can't be entered: {} (needs CAP_SYS_ADMIN, or root)",
            closed.join(", ")
        ));
    }
    if unread > 0 {
        hidden.push(format!("the networks of {} are hidden (needs CAP_SYS_PTRACE, or root)", others(unread)));
    }
    Ok(places)
}

/// `3 processes of other users`.
pub(super) fn others(count: usize) -> String {
    match count {
        1 => "1 process of another user".to_owned(),
        _ => format!("{count} processes of other users"),
    }
}

/// The host's comes first, then by name.
fn order(network: &Network) -> (bool, &str) {
    (network.name != HOST, &network.name)
}

/// The one network that is meant by what was typed.
fn named(name: &str, known: &mut Option<BTreeMap<u64, Found>>) -> Result<Place, SnapshotError> {
    let missing = || SnapshotError::NoNetwork { name: name.to_owned() };
    let file = match name.strip_prefix("pid:") {
        Some(pid) => {
            Some(PathBuf::from(format!("/proc/{}/ns/net", pid.parse::<u32>().map_err(|_| missing())?)))
        }
        None if name.contains('/') => Some(PathBuf::from(name)),
        None => None,
    };
    let found = known.get_or_insert_with(|| discover().0);
    let entry = match file {
        Some(file) => {
            let refused = |error| SnapshotError::Closed { network: name.to_owned(), error };
            let inode = fs::metadata(&file).map(|file| file.ino()).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => missing(),
                _ => refused(error),
            })?;
            let pid = name.strip_prefix("pid:").and_then(|pid| pid.parse().ok());
            let called = found.get(&inode).map_or_else(|| format!("net:{inode}"), |known| known.name.clone());
            (inode, Found { name: called, pid, file })
        }
        None => {
            let inode =
                name.trim_start_matches("net:").trim_start_matches('[').trim_end_matches(']').parse().ok();
            let matches = |entry: &(&u64, &Found)| entry.1.name == name || Some(*entry.0) == inode;
            found.iter().find(matches).map(|(inode, found)| (*inode, found.clone())).ok_or_else(missing)?
        }
    };
    enter(entry.0, &entry.1).map_err(|error| SnapshotError::Closed { network: name.to_owned(), error })
}

fn enter(inode: u64, found: &Found) -> io::Result<Place> {
    let vantage = match number(Path::new("/proc/self/ns/net")) {
        Some(own) if own == inode => Vantage::here()?,
        _ => Vantage::of(File::open(&found.file)?.as_fd())?,
    };
    Ok(Place { network: network(found.name.clone(), inode, found.pid, &vantage), vantage })
}

fn network(name: String, inode: u64, pid: Option<u32>, vantage: &Vantage) -> Network {
    Network { name, inode, interfaces: vantage.interfaces().unwrap_or_default(), pid }
}

/// All networks by their numbers, and how many processes don't show theirs.
fn discover() -> (BTreeMap<u64, Found>, usize) {
    let mut found: BTreeMap<u64, Found> = BTreeMap::new();
    let mut unread = 0;
    for pid in wharf_sys::proc::descriptors::processes() {
        let file = PathBuf::from(format!("/proc/{pid}/ns/net"));
        match fs::metadata(&file) {
            Ok(namespace) => {
                let unnamed = || Found { name: String::new(), pid: Some(pid), file };
                found.entry(namespace.ino()).or_insert_with(unnamed);
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => unread += 1,
            Err(_) => {}
        }
    }
    for directory in NAMELESS.into_iter().chain([NAMED]) {
        for (inode, _, file) in namespaces_in(directory) {
            found.entry(inode).or_insert_with(|| Found { name: String::new(), pid: None, file });
        }
    }
    name_all(&mut found);
    (found, unread)
}

/// Gives every network a name of its own.
fn name_all(found: &mut BTreeMap<u64, Found>) {
    let fixed = || found.contains_key(&FIRST).then_some(FIRST);
    let first =
        number(Path::new("/proc/1/ns/net")).or_else(fixed).or_else(|| number(Path::new("/proc/self/ns/net")));
    let (mut names, mut runs) = (netns_names(), crate::runs::network_names());
    let mut taken = vec![HOST.to_owned()];
    for (&inode, network) in found {
        if Some(inode) == first {
            network.name = HOST.into();
            continue;
        }
        let container = || {
            let text = fs::read_to_string(format!("/proc/{}/cgroup", network.pid?)).ok()?;
            groups::of_process(&text).container
        };
        let name = names
            .remove(&inode)
            .or_else(|| runs.remove(&inode))
            .or_else(container)
            .filter(|name| !taken.contains(name));
        network.name = name.unwrap_or_else(|| format!("net:{inode}"));
        taken.push(network.name.clone());
    }
}

/// Names in `/run/netns` by the numbers of their networks.
fn netns_names() -> BTreeMap<u64, String> {
    namespaces_in(NAMED).map(|(inode, name, _)| (inode, name)).collect()
}

fn namespaces_in(directory: &str) -> impl Iterator<Item = (u64, String, PathBuf)> {
    fs::read_dir(directory).into_iter().flatten().flatten().filter_map(|entry| {
        let file = entry.path();
        let name = entry.file_name().to_str()?.to_owned();
        // What is left of a name when its namespace is gone is an ordinary file.
        let is_namespace = rustix::fs::statfs(&file).is_ok_and(|of| of.f_type as u64 == NAMESPACE_FILES);
        if is_namespace { Some((number(&file)?, name, file)) } else { None }
    })
}

fn number(namespace: &Path) -> Option<u64> {
    fs::metadata(namespace).ok().map(|file| file.ino())
}
