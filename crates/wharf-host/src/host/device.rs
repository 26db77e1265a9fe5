//! The link of a host: an interface of some network namespace, or that of a network of its own with a program in it.

use std::ffi::CString;
use std::io;

use wharf_stack::stack::Medium;
use wharf_sys::link::{Link, LinkKind};
use wharf_sys::namespace;
use wharf_sys::netlink::route::{Hop, Prefix};
use wharf_sys::netlink::{Batch, Netlink};
use wharf_sys::process::OpenFiles;
use wharf_sys::signal::Inherited;
use wharf_sys::tap::{self, Offload};
use wharf_table::notation::Cidr;

use super::config::{Layer, Lowered, Place};
use super::error::HostError;
use crate::run::spawn::{
    LinkChoice, Prepared, RootMap, RouterAdvertisements, SandboxConfig, SocketSupply, Subnet,
};

/// The hardware address of the program's interface; the host's is another one for each host, so that many may share a bridge.
const PROGRAM_HARDWARE: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];

/// A link, and what stands behind it.
pub(super) enum Device {
    /// An interface, which goes with the link if it was made for it.
    Interface(Link, Medium),
    /// A network in which a program is about to start.
    Program(Box<Prepared>),
}

/// Makes the link.
pub(super) fn open(
    config: &Lowered,
    hardware: [u8; 6],
    signals: Inherited,
    files: OpenFiles,
) -> Result<Device, HostError> {
    match &config.place {
        Place::Program(command) => {
            let subnet = |v4: bool| {
                let peer = config.peers.iter().find(|peer| peer.addr().is_v4() == v4)?;
                Some(Subnet { prefix: prefix(*peer), gateway: None })
            };
            let sandbox = SandboxConfig {
                command: command.clone(),
                // What looks at ports from below (hping3, tcpdump, nmap -sS) needs rights over its own network.
                root: RootMap::Root,
                link: LinkChoice::Auto,
                offload: offload(config),
                queues: 1,
                first_queue_ports: Vec::new(),
                mtu: config.mtu.into(),
                hardware: PROGRAM_HARDWARE,
                gateway_hardware: hardware,
                v4: subnet(true),
                v6: subnet(false),
                neighbors: Vec::new(),
                router_advertisements: RouterAdvertisements::Ignore,
                resolv_conf: None,
                open_files: Some(files),
                sockets: SocketSupply::None,
                signals,
            };
            Ok(Device::Program(Box::new(sandbox.spawn()?)))
        }
        Place::Interface { layer, name, namespace } => {
            if let Some(path) = namespace {
                let error = |source| HostError::Namespace { path: path.clone(), source };
                namespace::enter_network(path).map_err(error)?;
            }
            interface(config, *layer, name)
        }
    }
}

fn offload(config: &Lowered) -> Offload {
    if config.no_offload { Offload::None } else { Offload::Full }
}

fn interface(config: &Lowered, layer: Layer, name: &str) -> Result<Device, HostError> {
    let error = |source| HostError::Device { name: name.to_owned(), source };
    let exists = namespace::interface_index(name).is_ok();
    if exists && !config.peers.is_empty() {
        return Err(HostError::PeerOfExisting { name: name.to_owned() });
    }
    let (kind, medium) = match layer {
        Layer::Tap => (tap::Layer::Ethernet, Medium::Ethernet),
        Layer::Tun => (tap::Layer::Ip, Medium::Ip),
    };
    let c_name = CString::new(name).map_err(|_| error(io::ErrorKind::InvalidInput.into()))?;
    let (fd, capabilities) = tap::attach(&c_name, kind, offload(config)).map_err(error)?;
    let link = Link::new(fd, LinkKind::Tap, capabilities);
    if !exists {
        let index = namespace::interface_index(name).map_err(error)?;
        configure(config, index, name, medium)?;
    }
    Ok(Device::Interface(link, medium))
}

/// Sets up the kernel's side of an interface that is ours: its MTU, and its addresses if there are any.
fn configure(config: &Lowered, index: u32, name: &str, medium: Medium) -> Result<(), HostError> {
    let error = |what| move |source| HostError::Peer { what, name: name.to_owned(), source };
    let netlink = Netlink::open().map_err(error("open a netlink socket for the addresses"))?;
    let mut batch = Batch::new();
    batch.mtu(index, config.mtu.into());
    let run = |mut batch: Batch, what: &'static str| {
        let refused = netlink.run(&mut batch).map_err(error(what))?;
        refused.into_iter().next().map_or(Ok(()), |refusal| Err(error(what)(refusal.error)))
    };
    run(batch, "set the MTU")?;
    if config.peers.is_empty() {
        return Ok(());
    }
    let v6 = config.peers.iter().any(|peer| !peer.addr().is_v4());
    // A kernel without IPv6 refuses this, and needs it not.
    let mut batch = Batch::new();
    batch.no_own_address(index);
    let _ = netlink.run(&mut batch).map_err(error("keep addresses"))?;
    let mut batch = Batch::new();
    batch.up(index);
    run(batch, "bring up the interface")?;
    let own = config.peers.iter().map(|peer| prefix(*peer));
    let link_local = (v6 && medium == Medium::Ethernet).then(|| Prefix::link_local(PROGRAM_HARDWARE));
    for prefix in own.chain(link_local) {
        let mut batch = Batch::new();
        batch.address(index, prefix);
        run(batch, "set an address")?;
        let mut batch = Batch::new();
        batch.route(index, prefix, Hop::OnLink { source: prefix.address }, None);
        run(batch, "set a route")?;
    }
    Ok(())
}

fn prefix(cidr: Cidr) -> Prefix {
    Prefix { address: cidr.addr().ip(), length: cidr.prefix_len() }
}
