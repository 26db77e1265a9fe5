//! The networks of this host, as far as they can be looked into: their interfaces, addresses and rules, and how a command is
//! typed that is to work in one.
//!
//! A network is entered by a thread that is gone afterwards, so that this process stays where it is. Only an ordinary user who
//! asks about a run of its own moves for good, into the run's user namespace: there it has the rights to look.

use std::cell::OnceCell;
use std::fs::{self, File};
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use wharf_sys::namespace;
use wharf_sys::netlink::Netlink;
use wharf_sys::netlink::lookup::{Barrier, Interface, InterfaceAddress, Neighbor, Packet, RouteKind, Way};
use wharf_sys::netlink::nftables::{self, Ruleset};
use wharf_table::rows::{NetworkId, Row, Rows, Transport};

use super::WhyError;
use super::firewall::{Device, Surroundings};
use crate::runs::{self, Run};
use crate::snapshot::{self, Ask, Networks};

/// How a network is entered.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Door {
    /// We are in it.
    Here,
    /// By this file.
    File(PathBuf),
}

/// A network.
#[derive(Debug)]
pub(super) struct Net {
    pub(super) id: NetworkId,
    pub(super) name: String,
    /// The run whose network it is.
    pub(super) run: Option<Run>,
    inode: u64,
    pid: Option<u32>,
    door: Door,
    links: OnceCell<Vec<Interface>>,
    addresses: OnceCell<Vec<InterfaceAddress>>,
    rules: OnceCell<Result<Ruleset, String>>,
}

/// All of them, and what is open there.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) rows: Rows,
    pub(super) nets: Vec<Net>,
    /// Where the question is asked from.
    pub(super) start: usize,
}

impl Ground {
    /// Looks around. `from` is the run or the network where the question is asked.
    ///
    /// # Errors
    /// There is no such network, or the kernel lists no sockets.
    pub(super) fn survey(from: Option<&str>) -> Result<Ground, WhyError> {
        let runs = runs::list().unwrap_or_default();
        let ask = Ask { networks: Networks::All, ..Ask::default() };
        let mut rows = snapshot::take(&ask)?;
        let own = number(Path::new("/proc/self/ns/net")).unwrap_or_default();
        let mut nets: Vec<Net> =
            rows.networks.iter().enumerate().map(|(at, network)| net(at, network, own, &runs)).collect();
        for (net, network) in nets.iter().zip(&mut rows.networks) {
            network.name.clone_from(&net.name);
        }
        let start = match from {
            None => nets.iter().position(|net| net.door == Door::Here),
            Some(name) => find(&nets, name),
        };
        let Some(start) = start else {
            let name = from.unwrap_or("host").to_owned();
            nets.retain(|net| net.door != Door::Here);
            return Err(WhyError::NoNetwork { name, there: nets.into_iter().map(|net| net.name).collect() });
        };
        let ground = Ground { rows, nets, start };
        ground.gain_rights();
        Ok(ground)
    }

    /// An ordinary user's run is entered by its user namespace.
    fn gain_rights(&self) {
        if rustix::process::geteuid().is_root() || self.start().door == Door::Here {
            return;
        }
        let pid = self.start().pid.or_else(|| self.start().run.as_ref()?.init_pid());
        let Some(pid) = pid else { return };
        // Where that is refused, so will be what follows, which then says why.
        let _ = namespace::enter_user(Path::new(&format!("/proc/{pid}/ns/user")));
    }

    pub(super) fn start(&self) -> &Net {
        &self.nets[self.start]
    }

    /// The rows of a network and a transport.
    pub(super) fn rows_of(&self, net: usize, transport: Transport) -> impl Iterator<Item = &Row> {
        let id = self.nets[net].id;
        let is_tcp = transport == Transport::Tcp;
        self.rows.rows.iter().filter(move |row| {
            row.network == id && (row.transport == transport || (is_tcp && row.transport == Transport::Mptcp))
        })
    }

    /// The network that has this address on one of its interfaces, `lo` aside unless it is not a loopback address.
    pub(super) fn home_of(&self, address: IpAddr) -> Option<usize> {
        if address.is_loopback() {
            return None;
        }
        (0..self.nets.len()).find(|&at| self.nets[at].addresses().iter().any(|own| own.address == address))
    }

    /// The network of a process, where its wharf dials from.
    pub(super) fn network_of(&self, pid: u32) -> Option<usize> {
        let inode = number(Path::new(&format!("/proc/{pid}/ns/net")))?;
        self.nets.iter().position(|net| net.inode == inode)
    }

    /// The network and the interface at the other end of a veth pair.
    pub(super) fn peer_of(&self, net: usize, link: &Interface) -> Option<(usize, &Interface)> {
        let peer = link.peer.filter(|_| link.kind == "veth")?;
        let find =
            |at: usize| self.nets[at].links().iter().find(|other| other.index == peer).map(|link| (at, link));
        let Some(number) = link.peer_network else { return find(net) };
        let is_there = |&at: &usize| at != net && self.nets[net].number_of(&self.nets[at]) == Some(number);
        (0..self.nets.len()).find(is_there).and_then(find)
    }
}

fn number(namespace: &Path) -> Option<u64> {
    fs::metadata(namespace).ok().map(|file| file.ino())
}

fn net(at: usize, network: &wharf_table::rows::Network, own: u64, runs: &[Run]) -> Net {
    let run = runs.iter().find(|run| run.network_inode() == Some(network.inode)).cloned();
    let named = PathBuf::from(format!("/run/netns/{}", network.name));
    let door = if network.inode == own {
        Door::Here
    } else if number(&named) == Some(network.inode) {
        Door::File(named)
    } else {
        Door::File(PathBuf::from(format!("/proc/{}/ns/net", network.pid.unwrap_or_default())))
    };
    let name = match &run {
        Some(run) if network.inode != own => run.name.clone(),
        _ => network.name.clone(),
    };
    Net {
        id: NetworkId(at as u16),
        name,
        run: run.filter(|_| network.inode != own),
        inode: network.inode,
        pid: network.pid,
        door,
        links: OnceCell::new(),
        addresses: OnceCell::new(),
        rules: OnceCell::new(),
    }
}

/// The network that is meant by a name: a run, a network, `pid:N`, a path, the number of a namespace.
fn find(nets: &[Net], name: &str) -> Option<usize> {
    let file = match name.strip_prefix("pid:") {
        Some(pid) => Some(format!("/proc/{pid}/ns/net")),
        None => name.contains('/').then(|| name.to_owned()),
    };
    if let Some(inode) = file.and_then(|file| number(Path::new(&file))) {
        return nets.iter().position(|net| net.inode == inode);
    }
    let is_run =
        |net: &Net| net.run.as_ref().is_some_and(|run| run.name == name || name.parse() == Ok(run.pid));
    let named = |net: &Net| net.name == name || name.trim_start_matches("net:").parse() == Ok(net.inode);
    nets.iter().position(is_run).or_else(|| nets.iter().position(named))
}

impl Net {
    /// Does something in it.
    ///
    /// # Errors
    /// It can't be entered.
    pub(super) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        match &self.door {
            Door::Here => Ok(work()),
            Door::File(file) => namespace::in_network(file, work),
        }
    }

    fn ask<T: Send>(&self, question: impl FnOnce(&Netlink) -> io::Result<T> + Send) -> io::Result<T> {
        self.inside(|| question(&Netlink::open()?))?
    }

    /// Its interfaces.
    pub(super) fn links(&self) -> &[Interface] {
        self.links.get_or_init(|| self.ask(Netlink::links).unwrap_or_default())
    }

    /// Its addresses.
    pub(super) fn addresses(&self) -> &[InterfaceAddress] {
        self.addresses.get_or_init(|| self.ask(Netlink::addresses).unwrap_or_default())
    }

    /// Its neighbours.
    pub(super) fn neighbors(&self) -> Vec<Neighbor> {
        self.ask(Netlink::neighbors).unwrap_or_default()
    }

    /// Its packet filter, or why it can't be read.
    pub(super) fn rules(&self) -> Result<&Ruleset, &str> {
        let read = || {
            let read = self.inside(nftables::read).and_then(|read| read);
            read.map_err(|error| match error.kind() {
                io::ErrorKind::PermissionDenied => "needs CAP_NET_ADMIN, or root".to_owned(),
                _ => error.to_string(),
            })
        };
        self.rules.get_or_init(read).as_ref().map_err(String::as_str)
    }

    /// Tables of the packet filter before nf_tables, which has no way to be read but by its own program.
    pub(super) fn old_tables(&self) -> Vec<String> {
        let read = || {
            let files = ["/proc/thread-self/net/ip_tables_names", "/proc/thread-self/net/ip6_tables_names"];
            files.map(|file| fs::read_to_string(file).unwrap_or_default()).concat()
        };
        let text = self.inside(read).unwrap_or_default();
        let mut tables: Vec<String> = text.lines().map(str::to_owned).collect();
        tables.sort();
        tables.dedup();
        tables
    }

    /// Routes that keep packets from a destination, the most exact first.
    pub(super) fn barriers(&self, to: IpAddr) -> Vec<Barrier> {
        let mut barriers = self.ask(Netlink::barriers).unwrap_or_default();
        barriers.retain(|barrier| barrier.network.covers(to));
        barriers.sort_by_key(|barrier| std::cmp::Reverse(barrier.network.prefix));
        barriers
    }

    /// The way that a packet would take.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub(super) fn way(&self, packet: Packet) -> io::Result<Way> {
        self.ask(move |netlink| netlink.way(&packet))
    }

    /// The way that a packet to `destination` takes that is made here.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub(super) fn way_to(&self, destination: IpAddr) -> io::Result<Way> {
        self.way(Packet { destination, source: None, leaves_by: None, came_by: None })
    }

    fn number_of(&self, other: &Net) -> Option<i32> {
        let file = match &other.door {
            Door::Here => PathBuf::from("/proc/self/ns/net"),
            Door::File(file) => file.clone(),
        };
        let file = File::open(file).ok()?;
        self.ask(|netlink| netlink.number_of(file.as_fd())).ok()?
    }

    /// A setting below `/proc/sys/net`, as this network has it.
    pub(super) fn sysctl(&self, name: &str) -> Option<String> {
        let file = format!("/proc/sys/net/{name}");
        let text = self.inside(|| fs::read_to_string(file)).ok()?.ok()?;
        Some(text.trim().to_owned())
    }

    /// The same as a number.
    pub(super) fn sysctl_number(&self, name: &str) -> Option<u64> {
        self.sysctl(name)?.parse().ok()
    }

    /// The interface with a number.
    pub(super) fn link(&self, index: u32) -> Option<&Interface> {
        self.links().iter().find(|link| link.index == index)
    }

    /// The same, for the firewall.
    pub(super) fn device(&self, index: u32) -> Device {
        let name = self.link(index).map_or_else(|| format!("#{index}"), |link| link.name.clone());
        Device { index, name }
    }

    /// The name of its namespace, where it has one.
    pub(super) fn netns(&self) -> Option<&str> {
        match &self.door {
            Door::File(file) => file.strip_prefix("/run/netns").ok()?.to_str(),
            Door::Here => None,
        }
    }

    /// A command as it is typed here to work there.
    pub(super) fn command(&self, command: &str) -> String {
        match (&self.door, self.netns()) {
            (Door::Here, _) => command.to_owned(),
            (_, Some(name)) => format!("ip netns exec {name} {command}"),
            (Door::File(file), None) => {
                let pid = self.pid.or_else(|| self.run.as_ref()?.init_pid());
                match pid {
                    Some(pid) if rustix::process::geteuid().is_root() => {
                        format!("nsenter -t {pid} -n {command}")
                    }
                    Some(pid) => format!("nsenter -t {pid} -U --preserve-credentials -n {command}"),
                    None => format!("nsenter --net={} {command}", file.display()),
                }
            }
        }
    }

    /// How it is called in a sentence.
    pub(super) fn called(&self) -> String {
        match (&self.run, self.name.as_str()) {
            (Some(run), _) => format!("run {}", run.name),
            (None, "host") => "this host".to_owned(),
            (None, name) => format!("network {name}"),
        }
    }

    /// Where files of it are: those of the first process of a run or a container, or those that `ip netns exec` puts in place.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        if self.door == Door::Here {
            return PathBuf::from(name);
        }
        if let Some(netns) = self.netns() {
            let own = PathBuf::from(format!("/etc/netns/{netns}")).join(name.trim_start_matches("/etc/"));
            return if own.exists() { own } else { PathBuf::from(name) };
        }
        let pid = self.run.as_ref().and_then(Run::init_pid).or(self.pid);
        pid.map_or_else(|| PathBuf::from(name), |pid| PathBuf::from(format!("/proc/{pid}/root{name}")))
    }
}

impl Surroundings for Net {
    fn kind_of(&self, address: IpAddr) -> Option<u8> {
        Some(match self.way_to(address).ok()?.kind {
            RouteKind::Unicast => 1,
            RouteKind::Local => 2,
            RouteKind::Broadcast => 3,
            RouteKind::Multicast => 5,
            RouteKind::Other(other) => other,
        })
    }

    fn address_of(&self, device: Option<&Device>, like: IpAddr) -> Option<IpAddr> {
        let index = device?.index;
        let fits =
            |own: &&InterfaceAddress| own.interface == index && own.address.is_ipv4() == like.is_ipv4();
        self.addresses().iter().find(fits).map(|own| own.address)
    }
}
