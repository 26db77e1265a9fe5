//! The inside of the sandbox: what init does, in order, and the program's last steps before it is itself.
//!
//! All of this runs in forked copies of wharf, on the other side of the channel to the parent.

use std::ffi::CString;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use wharf_sys::control::{Channel, Wait};
use wharf_sys::link::{LinkCapabilities, LinkKind};
use wharf_sys::mount::{self, Overlay};
use wharf_sys::namespace::{self, Namespaces};
use wharf_sys::netlink::route::{Hop, Prefix, VethEnd};
use wharf_sys::netlink::{Batch, Netlink};
use wharf_sys::packet_socket::{self, PacketSocket};
use wharf_sys::process::{self, Program};
use wharf_sys::signal;
use wharf_sys::tap::{self, Offload, Queues};

use super::identity::{Identity, Mapped};
use super::report::{Report, Step, emit_error};
use super::{INTERFACE, LinkChoice, RouterAdvertisements, SandboxConfig, Subnet};

/// The number of the program's interface. `lo` is 1 in every network namespace.
const INTERFACE_INDEX: u32 = 2;
const LOOPBACK_INDEX: u32 = 1;
/// Name and number of the far end of a veth pair, in the network namespace between.
const FAR_NAME: &str = "wharf";
const FAR_INDEX: u32 = 2;
/// Its hardware address: nothing is ever sent to it, so that the kernel there takes every frame for somebody else's.
const FAR_HARDWARE: [u8; 6] = [0x02, 0x77, 0x68, 0x66, 0x61, 0x72];

/// The congestion control of the program's connections. A new network namespace has the host's default, and bbr on a
/// link that never loses nor delays only costs speed; a route is where an ordinary user can say so.
const CONGESTION: &str = "cubic";
/// How many frames of the program wait in its interface while the loop is elsewhere; 500 is the kernel's usual number for a
/// TAP, which one datagram after the other fills in two milliseconds.
const QUEUE_FRAMES: u32 = 4096;

/// The code of init when it could not do its work; the report says more.
const FAILED: u8 = 125;

/// A step that failed.
type Failure = (Step, io::Error);

/// Names the step in which an error came up.
trait At<T> {
    fn at(self, step: Step) -> Result<T, Failure>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, step: Step) -> Result<T, Failure> {
        self.map_err(|error| (step, error))
    }
}

/// What init needs to know.
pub(super) struct Setup<'a> {
    pub(super) config: &'a SandboxConfig,
    pub(super) program: &'a Program,
    pub(super) identity: &'a Identity,
    pub(super) control: &'a Channel,
    /// The program's channel, for the word to start and for what exec says.
    pub(super) launch: &'a Channel,
}

impl Setup<'_> {
    /// Init's whole life. Returns only when it failed.
    pub(super) fn run(&self) -> u8 {
        match self.set_up() {
            Ok((program, queues)) => {
                let kept: Vec<_> =
                    queues.iter().map(|queue| queue.as_fd()).chain([self.control.as_fd()]).collect();
                process::end_with_only(&kept, || self.reap_until_end_of(program))
            }
            Err((step, error)) => {
                self.tell(&Report::Failed { step, error }, None);
                FAILED
            }
        }
    }

    /// Everything up to the fork of the program, whose number it returns, with the queues of the link.
    fn set_up(&self) -> Result<(u32, Vec<OwnedFd>), Failure> {
        process::die_with_parent().at(Step::Lifeline)?;
        process::set_name(c"wharf-init");
        signal::keep_children();
        let queues = self.set_up_network()?;
        // The parent tells what it has mapped; before all is mapped, no file can be made. Should it have died before
        // the lifeline was tied, this finds the channel closed.
        let Ok(Some(message)) = self.control.receive(Wait::Block) else { process::end(FAILED) };
        let mapped = Mapped::from_byte(message.bytes().first().copied().unwrap_or_default());
        self.identity.complete(mapped).at(Step::Identity)?;
        self.set_up_ids(mapped);
        self.set_up_mounts()?;
        let child = process::fork_into(Namespaces::NONE, &[self.control.as_fd()], || self.become_program());
        let child = child.at(Step::Fork)?;
        self.tell(&Report::Ready, Some(child.process.as_fd()));
        Ok((child.pid, queues))
    }

    /// Init's work once the program is forked: it answers for orphans, and when the program ends it ends the rest.
    ///
    /// Then it waits until the parent is done. Whoever closes a link last waits tens of milliseconds for the kernel to
    /// take the interface down; so init holds it as well, and the parent does not wait.
    fn reap_until_end_of(&self, program: u32) -> u8 {
        while let Some((pid, ended)) = process::reap_any() {
            if pid == program {
                process::end_namespace();
                self.tell(&Report::Ended(ended), None);
                break;
            }
        }
        while let Ok(Some(_)) = self.control.receive(Wait::Block) {}
        0
    }

    /// The program's process, up to its exec. Returns only when that failed.
    fn become_program(&self) -> u8 {
        if let Some(limit) = self.config.open_files {
            // Lowering a limit is always allowed.
            let _ = limit.set();
        }
        if !matches!(self.launch.receive(Wait::Block), Ok(Some(_))) {
            return FAILED;
        }
        self.config.signals.restore();
        let error = self.program.exec();
        // When the parent is gone, nobody waits for the reason.
        let _ = self.launch.send(&emit_error(&error), None);
        FAILED
    }

    fn tell(&self, report: &Report, descriptor: Option<std::os::fd::BorrowedFd<'_>>) {
        // When the parent is gone, so is this process in a moment.
        let _ = self.control.send(&report.emit(), descriptor);
    }

    /// Reports a failure that not every program minds.
    fn warn_of(&self, step: Step, result: io::Result<()>) {
        if let Err(error) = result {
            self.tell(&Report::Warning { step, error }, None);
        }
    }

    fn set_up_network(&self) -> Result<Vec<OwnedFd>, Failure> {
        let choice = self.config.link;
        if choice != LinkChoice::Packet {
            self.set_up_defaults();
            let queues = if self.config.queues > 1 { Queues::Many } else { Queues::One };
            match tap::open(&interface_name(), INTERFACE_INDEX, self.config.offload, queues) {
                Ok((first, capabilities)) => return self.set_up_tap(first, capabilities),
                Err(error) if choice == LinkChoice::Tap => return Err((Step::Tap, error)),
                Err(error) => self.tell(&Report::NoTap { error }, None),
            }
        }
        self.set_up_packet_link()
    }

    fn set_up_tap(&self, first: OwnedFd, capabilities: LinkCapabilities) -> Result<Vec<OwnedFd>, Failure> {
        let mut queues = vec![first];
        for _ in 1..self.config.queues {
            queues.push(tap::open_queue(&interface_name()).at(Step::Queue)?);
        }
        self.hand_over(&queues, LinkKind::Tap, capabilities);
        self.configure(&Netlink::open().at(Step::Netlink)?)?;
        Ok(queues)
    }

    /// Leaves the present network namespace to the far end of a veth pair and moves on into another.
    fn set_up_packet_link(&self) -> Result<Vec<OwnedFd>, Failure> {
        let sockets: io::Result<Vec<_>> = (0..self.config.queues).map(|_| PacketSocket::open()).collect();
        let sockets = sockets.at(Step::PacketSocket)?;
        let between = Netlink::open().at(Step::Netlink)?;
        namespace::unshare(Namespaces::NETWORK).at(Step::SecondNetwork)?;
        self.set_up_defaults();
        let SandboxConfig { mtu, hardware, .. } = *self.config;
        let far = VethEnd { index: FAR_INDEX, name: FAR_NAME, address: FAR_HARDWARE, mtu };
        let near = VethEnd { index: INTERFACE_INDEX, name: INTERFACE, address: hardware, mtu };
        let mut batch = Batch::new();
        batch.veth(far, near, std::process::id());
        batch.no_own_address(FAR_INDEX);
        batch.up_without_arp(FAR_INDEX);
        run(&between, &mut batch, |_| Step::Veth)?;
        sockets.iter().try_for_each(|socket| socket.bind(FAR_INDEX)).at(Step::PacketSocket)?;
        PacketSocket::share(&sockets, &self.config.first_queue_ports).at(Step::Queue)?;
        let capabilities = match self.config.offload {
            Offload::Full => packet_socket::capabilities(),
            Offload::None => {
                packet_socket::refuse_offload(&interface_name()).at(Step::RefuseOffload)?;
                LinkCapabilities::default()
            }
        };
        let queues: Vec<OwnedFd> = sockets.into_iter().map(PacketSocket::into_fd).collect();
        self.hand_over(&queues, LinkKind::Packet, capabilities);
        self.configure(&Netlink::open().at(Step::Netlink)?)?;
        Ok(queues)
    }

    fn hand_over(&self, queues: &[OwnedFd], kind: LinkKind, capabilities: LinkCapabilities) {
        let mut report = Report::Link { kind, capabilities };
        for queue in queues {
            self.tell(&report, Some(queue.as_fd()));
            report = Report::Queue;
        }
    }

    /// What an interface inherits when it is made.
    fn set_up_defaults(&self) {
        let settings: &[(&str, &str)] = match (self.config.v6, self.config.router_advertisements) {
            (None, _) => &[("disable_ipv6", "1")],
            (Some(_), RouterAdvertisements::Ignore) => &[("accept_ra", "0")],
            // Nobody else is on this link: no address has to be asked for before it is used.
            (Some(_), RouterAdvertisements::Accept) => &[("accept_ra", "1"), ("accept_dad", "0")],
        };
        let set = |(name, value): &(&str, &str)| {
            namespace::set_sysctl(&format!("net/ipv6/conf/default/{name}"), value)
        };
        match settings.iter().try_for_each(set) {
            // A kernel without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => self.warn_of(Step::Ipv6Settings, result),
        }
    }

    /// Addresses, routes and neighbours, in one message to the kernel.
    fn configure(&self, netlink: &Netlink) -> Result<(), Failure> {
        let mut plan = Plan { batch: Batch::new(), steps: Vec::new(), congestion: Some(CONGESTION) };
        plan.interface(self.config);
        let refused = netlink.run(&mut plan.batch).at(Step::Interface)?;
        // A kernel without this congestion control refuses the routes, and only them: once more without.
        let Some(first) = refused.into_iter().next() else { return Ok(()) };
        let step = plan.steps.get(first.request).copied().unwrap_or(Step::Interface);
        if !matches!(step, Step::Route4 | Step::Route6) {
            return Err((step, first.error));
        }
        let mut plan = Plan { batch: Batch::new(), steps: Vec::new(), congestion: None };
        plan.routes(self.config);
        let steps = plan.steps;
        run(netlink, &mut plan.batch, |request| steps.get(request).copied().unwrap_or(Step::Route4))
    }

    /// Settings that name ids or that only some programs need.
    fn set_up_ids(&self, mapped: Mapped) {
        let low_ports = namespace::set_sysctl("net/ipv4/ip_unprivileged_port_start", "0");
        self.warn_of(Step::LowPorts, low_ports);
        let (first, last) = self.identity.ping_groups(mapped);
        let range = namespace::set_sysctl("net/ipv4/ping_group_range", &format!("{first} {last}"));
        self.warn_of(Step::PingSockets, range);
    }

    fn set_up_mounts(&self) -> Result<(), Failure> {
        mount::separate().at(Step::Mounts)?;
        let Some(content) = &self.config.resolv_conf else {
            self.warn_of(Step::Proc, mount::fresh_proc());
            return Ok(());
        };
        match Overlay::open() {
            Ok(overlay) => {
                let covered = overlay.cover(Path::new("/etc/resolv.conf"), content.as_bytes());
                self.warn_of(Step::ResolvConf, covered);
                self.warn_of(Step::Proc, overlay.close());
            }
            Err(error) => {
                self.warn_of(Step::Overlay, Err(error));
                self.warn_of(Step::Proc, mount::fresh_proc());
            }
        }
        Ok(())
    }
}

fn interface_name() -> CString {
    CString::new(INTERFACE).expect("the interface's name has no NUL byte")
}

/// Runs a batch; the first refusal, other than for want of IPv6, is the failure of the step that `step` names by the request's number.
fn run(netlink: &Netlink, batch: &mut Batch, step: impl Fn(usize) -> Step) -> Result<(), Failure> {
    let harmless = |error: &io::Error| Errno::from_io_error(error) == Some(Errno::AFNOSUPPORT);
    match netlink.run(batch).at(step(0))?.into_iter().find(|refusal| !harmless(&refusal.error)) {
        None => Ok(()),
        Some(refusal) => Err((step(refusal.request), refusal.error)),
    }
}

/// Requests, and which step each belongs to.
struct Plan {
    batch: Batch,
    steps: Vec<Step>,
    congestion: Option<&'static str>,
}

impl Plan {
    fn note(&mut self, step: Step) {
        self.steps.resize(self.batch.len(), step);
    }

    fn interface(&mut self, config: &SandboxConfig) {
        self.batch.up(LOOPBACK_INDEX);
        if config.v6.is_some() {
            self.batch.no_own_address(INTERFACE_INDEX);
        }
        self.batch.configure(INTERFACE_INDEX, config.hardware, config.mtu, QUEUE_FRAMES);
        self.note(Step::Interface);
        for prefix in prefixes(config) {
            self.batch.address(INTERFACE_INDEX, prefix);
            if let IpAddr::V6(address) = prefix.address {
                self.batch.take_in(INTERFACE_INDEX, address);
            }
            self.note(if prefix.address.is_ipv4() { Step::Address4 } else { Step::Address6 });
        }
        // Routes stand last, but for neighbours: they may be refused and given again.
        let reachable = |neighbor: &&IpAddr| match neighbor {
            IpAddr::V4(_) => config.v4.is_some(),
            IpAddr::V6(_) => config.v6.is_some(),
        };
        for &neighbor in config.neighbors.iter().filter(reachable) {
            self.batch.neighbor(INTERFACE_INDEX, neighbor, config.gateway_hardware);
            self.note(Step::Neighbor);
        }
        self.routes(config);
    }

    fn routes(&mut self, config: &SandboxConfig) {
        for prefix in prefixes(config) {
            let source = prefix.address;
            self.batch.route(INTERFACE_INDEX, prefix, Hop::OnLink { source }, self.congestion);
            self.note(if source.is_ipv4() { Step::Route4 } else { Step::Route6 });
        }
        for Subnet { prefix, gateway } in config.v4.into_iter().chain(config.v6) {
            let Some(gateway) = gateway else { continue };
            let everything = Prefix { address: unspecified_like(prefix.address), length: 0 };
            self.batch.route(INTERFACE_INDEX, everything, Hop::Gateway(gateway), self.congestion);
            self.note(if gateway.is_ipv4() { Step::Route4 } else { Step::Route6 });
        }
    }
}

/// The addresses of the interface. The kernel's own way to a link-local address would leave it tentative for a moment.
fn prefixes(config: &SandboxConfig) -> impl Iterator<Item = Prefix> {
    let link_local = config.v6.map(|_| Prefix::link_local(config.hardware));
    let subnets = config.v4.into_iter().chain(config.v6);
    subnets.map(|subnet| subnet.prefix).chain(link_local)
}

fn unspecified_like(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    }
}
