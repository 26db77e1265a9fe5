//! A TAP device with virtio-net headers: the program's interface, whose frames are read and written here.
//!
//! Never with `IFF_NAPI`: it halved the speed of writes. With several queues the kernel gives a flow to the queue to which it was
//! last written, or else to one that its hash chooses; a queue that nobody reads stalls its flows.

use std::ffi::{CStr, c_int, c_uint};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use crate::call::check;
use crate::frame::VNET_HEADER_BYTES;
use crate::link::LinkCapabilities;

/// Where the device that makes TAPs stands.
pub const TUN_DEVICE: &str = "/dev/net/tun";

/// Whether the program's kernel may leave work to us and we to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offload {
    /// Checksums and segmentation, as far as the kernel knows them.
    Full,
    /// Every frame is complete and no larger than the MTU.
    None,
}

/// How many queues an interface may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queues {
    /// One.
    One,
    /// More: see [`open_queue`].
    Many,
}

impl Queues {
    const fn flags(self) -> c_int {
        let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
        match self {
            Queues::One => flags,
            Queues::Many => flags | libc::IFF_MULTI_QUEUE,
        }
    }
}

/// Makes the interface `name` with the number `index` in the network namespace of this process, and returns its
/// other side. The interface goes when the descriptor is closed.
///
/// # Errors
/// Opening the device: it is missing or closed to this user. Making the interface: no `CAP_NET_ADMIN` here, or the
/// name or number is taken.
pub fn open(
    name: &CStr,
    index: u32,
    offload: Offload,
    queues: Queues,
) -> io::Result<(OwnedFd, LinkCapabilities)> {
    let fd = open_device()?;
    set_index(&fd, index)?;
    make(&fd, name, queues.flags())?;
    let capabilities = prepare(&fd, offload)?;
    Ok((fd, capabilities))
}

/// One more queue of the interface `name`, which was opened for [`Queues::Many`] and lies in the network namespace of this
/// process. It carries what the first one does. The interface goes when the last queue is closed.
///
/// # Errors
/// As [`open`]; `E2BIG` when it has 256 queues.
pub fn open_queue(name: &CStr) -> io::Result<OwnedFd> {
    let fd = open_device()?;
    make(&fd, name, Queues::Many.flags())?;
    Ok(fd)
}

fn open_device() -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open(TUN_DEVICE, flags, Mode::empty())?)
}

/// What an interface carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Ethernet frames: a TAP.
    Ethernet,
    /// Bare IP packets: a TUN.
    Ip,
}

/// Makes the interface `name`, or takes an existing one of this kind that is persistent and that nobody holds, and returns
/// its other side, with virtio-net headers. An interface that was made here goes when the descriptor is closed.
///
/// # Errors
/// As [`open`]; `EBUSY` when somebody holds it, `EINVAL` when it is of another kind.
pub fn attach(name: &CStr, layer: Layer, offload: Offload) -> io::Result<(OwnedFd, LinkCapabilities)> {
    let fd = open_device()?;
    let kind = match layer {
        Layer::Ethernet => libc::IFF_TAP,
        Layer::Ip => libc::IFF_TUN,
    };
    make(&fd, name, kind | libc::IFF_NO_PI | libc::IFF_VNET_HDR)?;
    let capabilities = prepare(&fd, offload)?;
    Ok((fd, capabilities))
}

/// Sets the size of the header, and what the kernel may leave undone.
fn prepare(fd: &OwnedFd, offload: Offload) -> io::Result<LinkCapabilities> {
    let size = VNET_HEADER_BYTES as c_int;
    // SAFETY: the kernel reads one integer from the pointer, which is valid for the call.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETVNETHDRSZ, &raw const size) })?;
    match offload {
        Offload::Full => negotiate(fd),
        Offload::None => {
            set_offload(fd, 0)?;
            Ok(LinkCapabilities::default())
        }
    }
}

/// Makes a TUN interface, and returns its other side: bare IP packets, one a read or write, complete and without any
/// header before them. The interface goes when the descriptor is closed.
///
/// # Errors
/// As [`open`].
pub fn open_tun(name: &CStr, index: u32) -> io::Result<OwnedFd> {
    let fd = open_device()?;
    set_index(&fd, index)?;
    make(&fd, name, libc::IFF_TUN | libc::IFF_NO_PI)?;
    Ok(fd)
}

fn set_index(fd: &OwnedFd, index: u32) -> io::Result<()> {
    // SAFETY: the kernel reads one integer from the pointer, which is valid for the call.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETIFINDEX, &raw const index) })?;
    Ok(())
}

/// A request about the interface `name`; one too long is cut, as the kernel does.
pub(crate) fn request_for(name: &CStr) -> libc::ifreq {
    // SAFETY: `ifreq` is plain integers and arrays of them, for which zero is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let room = request.ifr_name.len() - 1;
    for (place, byte) in request.ifr_name.iter_mut().take(room).zip(name.to_bytes()) {
        *place = *byte as libc::c_char;
    }
    request
}

fn make(fd: &OwnedFd, name: &CStr, flags: c_int) -> io::Result<()> {
    let mut request = request_for(name);
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: the request is valid for the call; the kernel reads it and writes the name back into it.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })?;
    Ok(())
}

/// Asks for everything, then for less, down to nothing: kernels before 6.2 don't know UDP segmentation. TCP's is one with that of
/// segments that carry ECN's CWR, as long as anybody has it.
fn negotiate(fd: &OwnedFd) -> io::Result<LinkCapabilities> {
    const CHECKSUM: c_uint = libc::TUN_F_CSUM;
    const TCP: c_uint = CHECKSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
    const ALL: c_uint = TCP | libc::TUN_F_USO4 | libc::TUN_F_USO6;
    let offers = [
        (ALL, LinkCapabilities { checksum: true, tso: true, uso: true }),
        (TCP, LinkCapabilities { checksum: true, tso: true, uso: false }),
        (CHECKSUM, LinkCapabilities { checksum: true, tso: false, uso: false }),
    ];
    for (flags, capabilities) in offers {
        if set_offload(fd, flags).is_ok() {
            return Ok(capabilities);
        }
    }
    set_offload(fd, 0)?;
    Ok(LinkCapabilities::default())
}

fn set_offload(fd: &OwnedFd, flags: c_uint) -> io::Result<()> {
    // SAFETY: this request takes its argument by value.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETOFFLOAD, libc::c_ulong::from(flags)) })?;
    Ok(())
}
