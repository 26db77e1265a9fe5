//! A packet socket on one end of a veth pair: the link where there is no TAP.
//!
//! The socket and its end stand in a network namespace that nothing else uses; the program has the other end. Frames
//! carry virtio-net headers (`PACKET_VNET_HDR`), so that large ones pass whole in both directions. Several sockets on the
//! same end share the flows among them.

mod fanout;

use std::ffi::CStr;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::c_int;

use crate::call::{check, option, set_option};
use crate::frame::FrameBuffers;
use crate::link::LinkCapabilities;

/// What is asked for as room for frames that wait to be read. Without `CAP_NET_ADMIN` on the host the kernel cuts it
/// to twice `net.core.rmem_max`.
const RECEIVE_BUFFER_BYTES: c_int = 16 << 20;

/// The most frames of one read.
const MOST_FRAMES: usize = 64;

/// A packet socket that belongs to no interface yet.
#[derive(Debug)]
pub struct PacketSocket(OwnedFd);

impl PacketSocket {
    /// A packet socket in the network namespace of this process.
    ///
    /// # Errors
    /// No `CAP_NET_RAW` here, the kernel has no packet sockets, or a sandbox forbids them.
    pub fn open() -> io::Result<PacketSocket> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: the call takes integers only.
        let fd = check(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })?;
        // SAFETY: the descriptor is new and nobody else's.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let socket = fd.as_fd();
        set_option(socket, libc::SOL_PACKET, libc::PACKET_VNET_HDR, &1)?;
        set_option(socket, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1)?;
        // Straight to the device: its queue would only delay.
        let _ = set_option(socket, libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, &1);
        enlarge_receive_buffer(socket);
        Ok(PacketSocket(fd))
    }

    /// Takes frames from and to the interface with this number, which must be in the namespace that the socket was
    /// opened in.
    ///
    /// # Errors
    /// There is no such interface.
    pub fn bind(&self, index: u32) -> io::Result<()> {
        // SAFETY: the address is plain integers, for which zero is valid.
        let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = index as c_int;
        let size = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        // SAFETY: the pointer and the size describe `address`, which the kernel only reads.
        check(unsafe { libc::bind(self.0.as_raw_fd(), (&raw const address).cast(), size) })?;
        Ok(())
    }

    /// Makes the sockets, bound to one interface in this order, share the frames of it: each TCP flow has one of them, and
    /// the first has TCP from the ports in `first`, and everything else. One socket alone has all.
    ///
    /// # Errors
    /// One is bound to no interface, or the kernel is older than 4.3.
    pub fn share(sockets: &[PacketSocket], first: &[(u16, u16)]) -> io::Result<()> {
        let [leader, _, ..] = sockets else { return Ok(()) };
        sockets.iter().try_for_each(|socket| fanout::join(socket.0.as_fd()))?;
        fanout::steer(leader.0.as_fd(), first)
    }

    /// The descriptor.
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }
}

/// What the link can do on this kernel: it reads frames of many datagrams since 6.2.
pub fn capabilities() -> LinkCapabilities {
    let release = rustix::system::uname();
    let release = release.release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|word| word.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    LinkCapabilities { checksum: true, tso: true, uso: version >= (6, 2) }
}

/// `struct ethtool_value`.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

const ETHTOOL_SET_TX_CHECKSUM: u32 = 0x17;
const ETHTOOL_SET_TSO: u32 = 0x1f;
const ETHTOOL_SET_GSO: u32 = 0x24;

/// Makes the kernel send complete frames no larger than the MTU through the interface `name` of this network
/// namespace.
///
/// # Errors
/// There is no such interface.
pub fn refuse_offload(name: &CStr) -> io::Result<()> {
    let socket = crate::socket::udp(crate::socket::Family::V4)?;
    for command in [ETHTOOL_SET_TSO, ETHTOOL_SET_GSO, ETHTOOL_SET_TX_CHECKSUM] {
        let mut value = EthtoolValue { command, data: 0 };
        let mut request = crate::tap::request_for(name);
        request.ifr_ifru.ifru_data = (&raw mut value).cast();
        // SAFETY: the request and the value it points to are valid for the call, and the kernel touches no more.
        check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request) })?;
    }
    Ok(())
}

/// Gives frames that wait more room, beyond the host's usual limit when this process may.
pub fn enlarge_receive_buffer(socket: BorrowedFd<'_>) {
    for option in [libc::SO_RCVBUFFORCE, libc::SO_RCVBUF] {
        if set_option(socket, libc::SOL_SOCKET, option, &RECEIVE_BUFFER_BYTES).is_ok() {
            return;
        }
    }
}

/// How many frames had no room since the last time that this was asked.
pub(crate) fn newly_dropped(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let statistics: libc::tpacket_stats = option(socket, libc::SOL_PACKET, libc::PACKET_STATISTICS)?;
    Ok(statistics.tp_drops)
}

/// Reads the frames that wait, as many as there is room for. 0 when none waits.
pub(crate) fn receive(socket: BorrowedFd<'_>, frames: &mut FrameBuffers) -> io::Result<usize> {
    // SAFETY: both are plain integers and pointers, for which zero is valid.
    let (mut messages, mut slices): ([libc::mmsghdr; MOST_FRAMES], [libc::iovec; MOST_FRAMES]) =
        unsafe { (mem::zeroed(), mem::zeroed()) };
    let mut count = 0;
    let worthwhile = frames.worthwhile();
    for ((slot, slice), message) in frames.slots().zip(&mut slices).zip(&mut messages).take(worthwhile) {
        *slice = libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: slot.len() };
        message.msg_hdr.msg_iov = slice;
        message.msg_hdr.msg_iovlen = 1;
        count += 1;
    }
    // SAFETY: the first `count` messages each point to one slice, which describes a slot of `frames`; all outlive the
    // call, and the kernel writes within them. No time-out is given.
    let got = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            messages.as_mut_ptr(),
            count,
            libc::MSG_DONTWAIT as _,
            std::ptr::null_mut(),
        )
    };
    let got = match check(got) {
        Ok(got) => got as usize,
        Err(error) => {
            frames.clear();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            };
        }
    };
    let whole = |message: &libc::mmsghdr| match message.msg_hdr.msg_flags & libc::MSG_TRUNC {
        0 => message.msg_len as usize,
        // Cut off: of no use.
        _ => 0,
    };
    frames.fill(messages.iter().take(got).map(whole), count as usize);
    Ok(got)
}
