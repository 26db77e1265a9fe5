//! The sandbox of a run: namespaces, the link into them, and the program in them.
//!
//! # Theory of operation
//! The parent stays where it is. It forks a child straight into a new user, network, mount and process namespace; as
//! process 1 there the child is the run's *init*. While the parent writes the id maps, the child makes the link and
//! hands its descriptor over; then it sets up addresses, routes, sysctls, `/proc` and `resolv.conf`, and forks once more:
//! process 2 waits for the word to start and becomes the program. From there on init only reaps. When the program has
//! ended, init ends whatever it left, tells the parent how it ended, and keeps the network until the parent is done: what the
//! program sent last may still be under way in it.
//!
//! | who dies | what follows |
//! |---|---|
//! | the program | init kills the rest, reports, and ends when its channel closes |
//! | init | the kernel kills everything in its process namespace |
//! | the parent | init has asked to be killed then; before it could ask, it finds its channel closed |
//!
//! # Invariants
//! - Between [`SandboxConfig::spawn`] and [`Prepared::start`] everything is up but the program: the parent can claim
//!   what it needs of the host and fail early.
//! - The parent is single-threaded until the fork, which refuses otherwise.
//! - No file is written outside of memory that goes with the namespaces.

mod child;
mod error;
mod identity;
mod report;
mod sockets;

use std::ffi::OsString;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use wharf_sys::control::{Channel, Wait};
use wharf_sys::link::{Link, LinkKind};
use wharf_sys::namespace::Namespaces;
use wharf_sys::netlink::route::Prefix;
use wharf_sys::packet_socket;
use wharf_sys::pidfd::Pidfd;
use wharf_sys::process::{self, Child, OpenFiles, Program};
use wharf_sys::signal::Inherited;
use wharf_sys::tap::Offload;

pub use error::SpawnError;
use identity::Identity;
use report::Report;
pub use report::Step;
pub use sockets::{SocketSupply, Sockets};

/// Who the program is in its own namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootMap {
    /// Who it was outside. For root, every other id stays what it was as well.
    Keep,
    /// Root, with every right over its own namespaces.
    Root,
}

/// Which device the link is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkChoice {
    /// A TAP, and where there is none a packet socket.
    Auto,
    /// A TAP.
    Tap,
    /// A packet socket on a veth pair.
    Packet,
}

/// Whether the program's kernel believes router advertisements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouterAdvertisements {
    /// It takes addresses and routes from them.
    Accept,
    /// It has what it needs and ignores them.
    Ignore,
}

/// The program's address of one family, and where its packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// The program's address and the length of its network's prefix.
    pub prefix: Prefix,
    /// The default route's gateway: an address of the same network, or a link-local one. `None` for no default route.
    pub gateway: Option<IpAddr>,
}

/// The name of the program's interface.
pub const INTERFACE: &str = "eth0";

/// What a sandbox is to be like.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// Who the program is inside.
    pub root: RootMap,
    /// The device of the link.
    pub link: LinkChoice,
    /// Whether frames may be large and without checksum.
    pub offload: Offload,
    /// How many queues the link has; 1 at least.
    pub queues: usize,
    /// Ports of the program, first and last, whose TCP shall come in the first queue where the device can see to that.
    pub first_queue_ports: Vec<(u16, u16)>,
    /// The largest IP packet on the link.
    pub mtu: u32,
    /// The hardware address of the program's interface.
    pub hardware: [u8; 6],
    /// The hardware address behind which everything else is.
    pub gateway_hardware: [u8; 6],
    /// The IPv4 address; `None` for a network without IPv4.
    pub v4: Option<Subnet>,
    /// The IPv6 address; `None` for a network without IPv6.
    pub v6: Option<Subnet>,
    /// Neighbours whose hardware address the program's kernel knows from the start to be `gateway_hardware`; those of a
    /// family that the network is without don't count.
    pub neighbors: Vec<IpAddr>,
    /// Whether router advertisements count.
    pub router_advertisements: RouterAdvertisements,
    /// What the program reads in `/etc/resolv.conf`; `None` leaves the host's.
    pub resolv_conf: Option<String>,
    /// The limit on open files that the program gets; `None` leaves the present one.
    pub open_files: Option<OpenFiles>,
    /// Whether [`Prepared::sockets`] has sockets in the program's network to give.
    pub sockets: SocketSupply,
    /// The signals as the program shall find them.
    pub signals: Inherited,
}

/// How the program ended.
pub type ProgramExit = process::Ended;

impl SandboxConfig {
    /// Makes the namespaces and the link. The program is not started yet.
    ///
    /// To be called by a thread that lives as long as the sandbox: the kernel ends the sandbox with it.
    ///
    /// # Errors
    /// Each with the reason and what to do about it.
    pub fn spawn(&self) -> Result<Prepared, SpawnError> {
        let program = Program::find(&self.command, std::env::var_os("PATH")).ok_or(SpawnError::Command)?;
        let identity = Identity::of_this_process(self.root).map_err(SpawnError::Identity)?;
        let (control, childs_control) = Channel::pair().map_err(SpawnError::Channel)?;
        let (launch, childs_launch) = Channel::pair().map_err(SpawnError::Channel)?;
        let supply = match self.sockets {
            SocketSupply::Offered => Some(Channel::pair().map_err(SpawnError::Channel)?),
            SocketSupply::None => None,
        };
        let (sockets, childs_sockets) = supply.unzip();
        let mut ours = vec![control.as_fd(), launch.as_fd()];
        ours.extend(sockets.as_ref().map(AsFd::as_fd));
        let all = Namespaces::USER | Namespaces::NETWORK | Namespaces::MOUNT | Namespaces::PID;
        let init = process::fork_into(all, &ours, || {
            child::Setup {
                config: self,
                program: &program,
                identity: &identity,
                control: &childs_control,
                launch: &childs_launch,
                sockets: childs_sockets.as_ref(),
            }
            .run()
        })
        .map_err(SpawnError::namespaces)?;
        drop((childs_control, childs_launch, childs_sockets));
        let init = Init { child: init, control, state: State::Up };
        let mapped = identity.give_to(init.child.pid);
        // When init is gone already, the reports say why.
        let _ = init.control.send(&[mapped as u8], None);
        let prepared = init.prepare(launch, program)?;
        let sockets = sockets.filter(|_| prepared.past_link == PastLink::Open).map(Sockets::new);
        Ok(Prepared { sockets, ..prepared })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There may be processes.
    Up,
    /// Init alone is left, and ends by itself when its channel is closed.
    Over,
}

/// Process 1 of the sandbox. Dropping it ends the sandbox.
#[derive(Debug)]
struct Init {
    child: Child,
    control: Channel,
    state: State,
}

impl Init {
    /// Takes reports until everything is up.
    fn prepare(self, launch: Channel, program: Program) -> Result<Prepared, SpawnError> {
        let (mut link, mut queues, mut warnings, mut tap_error) = (None, Vec::new(), Vec::new(), None);
        let mut past_link = PastLink::Open;
        loop {
            let message = self.control.receive(Wait::Block).map_err(SpawnError::Channel)?;
            let message = message.ok_or(SpawnError::InitGone)?;
            match Report::parse(message.bytes()) {
                Some(Report::Link { kind, capabilities }) => {
                    let fd = message.descriptor.ok_or(SpawnError::InitGone)?;
                    enlarge(&fd, kind);
                    // Init sees its channel closed only after the link is.
                    let companion = self.control.as_fd().try_clone_to_owned().map_err(SpawnError::Channel)?;
                    link = Some(Link::new(fd, kind, capabilities).with_companion(companion));
                }
                Some(Report::Queue) => {
                    let (fd, first) = message.descriptor.zip(link.as_ref()).ok_or(SpawnError::InitGone)?;
                    queues.push(another_queue(first, fd));
                }
                Some(Report::NoTap { error }) => tap_error = Some(error),
                Some(Report::Warning { step, error }) => {
                    warnings.push(step.warning(&error));
                    if step == Step::PastLink {
                        past_link = PastLink::Shut;
                    }
                }
                Some(Report::Failed { step, error }) => {
                    return Err(SpawnError::setup(step, error, tap_error));
                }
                Some(Report::Ready) => {
                    let (fd, link) = message.descriptor.zip(link).ok_or(SpawnError::InitGone)?;
                    return Ok(Prepared {
                        link,
                        queues,
                        init: self,
                        launch,
                        program: Pidfd::new(fd),
                        what: program,
                        warnings,
                        past_link,
                        sockets: None,
                    });
                }
                Some(Report::Ended(_)) | None => return Err(SpawnError::InitGone),
            }
        }
    }

    /// How the program ended, when it has.
    fn poll_ended(&mut self) -> Option<ProgramExit> {
        let ended = match self.control.receive(Wait::Never) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            Ok(Some(message)) => match Report::parse(message.bytes()) {
                Some(Report::Ended(ended)) => Some(ended),
                _ => None,
            },
            Ok(None) | Err(_) => None,
        };
        if ended.is_some() {
            self.state = State::Over;
        }
        // Without a report, init was killed from outside, and the program with it.
        Some(ended.unwrap_or(ProgramExit::Signal(SIGKILL)))
    }
}

/// Here, unlike in the sandbox, root may go beyond the host's limit.
fn enlarge(queue: &OwnedFd, kind: LinkKind) {
    if kind == LinkKind::Packet {
        packet_socket::enlarge_receive_buffer(queue.as_fd());
    }
}

/// One more queue of the link of which `first` is the first.
fn another_queue(first: &Link, queue: OwnedFd) -> Link {
    enlarge(&queue, first.kind());
    Link::new(queue, first.kind(), first.capabilities())
}

/// The number of SIGKILL, the same on every architecture.
const SIGKILL: i32 = 9;

impl Drop for Init {
    fn drop(&mut self) {
        if self.state == State::Up {
            // It may have been killed before. Waiting makes sure that nothing is left when this returns.
            let _ = self.child.process.signal(SIGKILL);
            let _ = self.child.process.reap();
        }
    }
}

/// Whether sockets of the parent reach the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PastLink {
    /// They do, if they are asked for.
    Open,
    /// The kernel lacks something for it.
    Shut,
}

/// A sandbox in which everything is up but the program. Dropping it takes everything down.
#[derive(Debug)]
pub struct Prepared {
    /// The link into the sandbox, with its first queue. To be dropped after the others: init takes its end for that of all.
    pub link: Link,
    /// Its other queues.
    pub queues: Vec<Link>,
    /// What could not be set up and is not needed by every program, in sentences.
    pub warnings: Vec<String>,
    /// Where sockets in the program's network are to be had, when they were asked for and the kernel can lead them there.
    pub sockets: Option<Sockets>,
    past_link: PastLink,
    init: Init,
    launch: Channel,
    program: Pidfd,
    what: Program,
}

impl Prepared {
    /// Starts the program, and returns when it runs, with the link into its network.
    ///
    /// # Errors
    /// [`SpawnError::NotFound`] and [`SpawnError::NotExecutable`].
    pub fn start(self) -> Result<(Sandbox, Link), SpawnError> {
        let Prepared { link, init, launch, program, what, .. } = self;
        launch.send(&[0], None).map_err(|_| SpawnError::InitGone)?;
        // The channel closes with a successful exec; otherwise the reason comes through it.
        match launch.receive(Wait::Block).map_err(SpawnError::Channel)? {
            None => Ok((Sandbox { init, program }, link)),
            Some(message) => Err(SpawnError::exec(&what, report::parse_error(message.bytes()))),
        }
    }
}

/// A sandbox whose program runs, or has run. Dropping it takes everything down; where the program still runs, that
/// waits until all is gone.
#[derive(Debug)]
pub struct Sandbox {
    init: Init,
    program: Pidfd,
}

impl Sandbox {
    /// The descriptor that becomes readable when the program has ended.
    pub fn status_fd(&self) -> BorrowedFd<'_> {
        self.init.control.as_fd()
    }

    /// How the program ended; `None` while it runs. When it has ended, every process it left is gone as well, and the
    /// interface goes as soon as sandbox and link are dropped, in any order, which takes no time then.
    pub fn poll_status(&mut self) -> Option<ProgramExit> {
        self.init.poll_ended()
    }

    /// Once the program has ended: whether its network is kept until this is dropped. Init does that, unless it was killed.
    pub fn has_network(&self) -> bool {
        self.init.state == State::Over
    }

    /// Sends a signal to the program. One that has ended takes none.
    ///
    /// # Errors
    /// The number is no signal, or the program is another user's by now.
    pub fn signal(&self, number: i32) -> io::Result<()> {
        match self.program.signal(number) {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => Ok(()),
            result => result,
        }
    }

    /// The number of the run's init on the host.
    pub fn init_pid(&self) -> u32 {
        self.init.child.pid
    }

    /// The program's process number on the host; `None` when it has ended.
    pub fn program_pid(&self) -> Option<u32> {
        self.program.pid()
    }

    /// Ends everything in the sandbox at once.
    pub fn kill(self) {
        drop(self);
    }
}
