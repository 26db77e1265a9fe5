//! Datagrams, many in one call, with the address they came to and cut or joined by the kernel
//! (`UDP_SEGMENT` and `UDP_GRO` in udp(7)).

use std::io::{self, IoSlice};
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

use libc::{in_pktinfo, in6_pktinfo, iovec, mmsghdr, msghdr, socklen_t};

use super::SO_RXQ_OVFL;
use super::address::CAddress;
use super::control_message::{Control, Writer, parts};
use crate::call::{check, check_size};

/// The most datagrams of one call.
pub const MOST_DATAGRAMS: usize = 64;

/// One of the host's addresses, and the interface that a datagram came through or is to leave by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketInfo {
    /// The address.
    pub address: IpAddr,
    /// The interface; 0 leaves the choice to the host.
    pub interface: u32,
}

/// A datagram that arrived, or several of one size that the kernel joined.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Its payload.
    pub bytes: &'a [u8],
    /// Who sent it.
    pub from: SocketAddr,
    /// The address it came to, where [`set_packet_info`](super::set_packet_info) asked for it.
    pub to: Option<PacketInfo>,
    /// Payload bytes of each datagram but the last, when there is more than one.
    pub segment: Option<u16>,
    /// Whether it was longer than the room for it.
    pub truncated: bool,
    /// How many were dropped at this socket before it, ever (modulo 2^32), where
    /// [`count_overflow`](super::count_overflow) asked for it and there were any.
    pub overflowed: Option<u32>,
}

/// Room for a batch of datagrams, made once.
pub struct DatagramBuffers {
    room: Vec<u8>,
    each: usize,
    addresses: Vec<CAddress>,
    controls: Vec<Control>,
    slices: Vec<iovec>,
    messages: Vec<mmsghdr>,
    count: usize,
}

// SAFETY: the raw pointers within are set anew before each call and point only into the vectors beside them, which move
// to the other thread with them.
unsafe impl Send for DatagramBuffers {}

impl std::fmt::Debug for DatagramBuffers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatagramBuffers")
            .field("each", &self.each)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl DatagramBuffers {
    /// Room for `count` datagrams (at most [`MOST_DATAGRAMS`]) of up to `each` bytes.
    pub fn new(count: usize, each: usize) -> DatagramBuffers {
        let count = count.clamp(1, MOST_DATAGRAMS);
        let each = each.max(1);
        // SAFETY: both are plain integers and pointers, for which zero is valid.
        let (slice, message): (iovec, mmsghdr) = unsafe { (mem::zeroed(), mem::zeroed()) };
        DatagramBuffers {
            room: vec![0; count * each],
            each,
            addresses: vec![CAddress::room().0; count],
            controls: vec![Control::new(); count],
            slices: vec![slice; count],
            messages: vec![message; count],
            count: 0,
        }
    }

    /// Reads the datagrams that wait, as many as there is room for, and returns how many. 0 when none waits.
    ///
    /// # Errors
    /// An error about something sent before (`ECONNREFUSED` on a connected socket); the next call goes on.
    pub fn receive(&mut self, socket: impl AsFd) -> io::Result<usize> {
        self.count = 0;
        self.prepare();
        // SAFETY: each message points to room of its own in `self`, prepared just now and not moved since; no time-out
        // is given.
        let got = unsafe {
            libc::recvmmsg(
                socket.as_fd().as_raw_fd(),
                self.messages.as_mut_ptr(),
                self.messages.len() as _,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        match check(got) {
            Ok(got) => self.count = got as usize,
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            },
        }
        Ok(self.count)
    }

    fn prepare(&mut self) {
        let places = self.room.chunks_exact_mut(self.each).zip(&mut self.addresses).zip(&mut self.controls);
        let headers = self.slices.iter_mut().zip(&mut self.messages);
        for (((room, address), control), (slice, message)) in places.zip(headers) {
            *slice = iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
            let header = &mut message.msg_hdr;
            header.msg_name = address.pointer_mut().cast();
            header.msg_namelen = size_of::<libc::sockaddr_storage>() as socklen_t;
            header.msg_iov = slice;
            header.msg_iovlen = 1;
            header.msg_flags = 0;
            control.lend(header);
        }
    }

    /// The datagrams of the last read, in the order of arrival.
    pub fn iter(&self) -> impl Iterator<Item = Received<'_>> {
        let filled = self.messages.iter().zip(&self.addresses).zip(self.room.chunks_exact(self.each));
        filled.take(self.count).filter_map(|((message, address), room)| {
            let header = &message.msg_hdr;
            let mut received = Received {
                bytes: room.get(..message.msg_len as usize).unwrap_or(room),
                from: address.read(header.msg_namelen)?,
                to: None,
                segment: None,
                truncated: header.msg_flags & libc::MSG_TRUNC != 0,
                overflowed: None,
            };
            note_control(header, &mut received);
            Some(received)
        })
    }
}

fn note_control(header: &msghdr, received: &mut Received<'_>) {
    for part in parts(header) {
        match (part.level, part.kind) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                received.to = part.value::<in_pktinfo>().map(|info| PacketInfo {
                    address: Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()).into(),
                    interface: info.ipi_ifindex as u32,
                });
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                received.to = part.value::<in6_pktinfo>().map(|info| PacketInfo {
                    address: Ipv6Addr::from(info.ipi6_addr.s6_addr).into(),
                    interface: info.ipi6_ifindex,
                });
            }
            (libc::SOL_SOCKET, SO_RXQ_OVFL) => received.overflowed = part.value::<u32>(),
            (libc::SOL_UDP, libc::UDP_GRO) => {
                let size = part.value::<i32>().and_then(|size| u16::try_from(size).ok());
                received.segment = size.filter(|&size| size > 0 && received.bytes.len() > size.into());
            }
            _ => {}
        }
    }
}

/// A datagram to be sent, or several of one size that the kernel cuts apart.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Its payload.
    pub parts: &'a [IoSlice<'a>],
    /// Where to; `None` on a connected socket.
    pub to: Option<SocketAddr>,
    /// The address to send from; `None` leaves the choice to the host.
    pub from: Option<PacketInfo>,
    /// Payload bytes of each datagram but the last, when there is more than one.
    pub segment: Option<u16>,
}

impl Outgoing<'_> {
    /// Fills the header, with the address and the control room lent to it.
    fn describe(&self, header: &mut msghdr, address: &mut CAddress, control: &mut Control) {
        if let Some(to) = self.to {
            let size;
            (*address, size) = CAddress::new(to);
            header.msg_name = address.pointer_mut().cast();
            header.msg_namelen = size;
        }
        // The kernel only reads through this pointer.
        header.msg_iov = self.parts.as_ptr().cast_mut().cast();
        header.msg_iovlen = self.parts.len() as _;
        let mut writer = Writer::new(control);
        match self.from {
            Some(PacketInfo { address: IpAddr::V4(ip), interface }) => {
                let source = libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
                let info = in_pktinfo {
                    ipi_ifindex: interface as i32,
                    ipi_spec_dst: source,
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                writer.put(libc::IPPROTO_IP, libc::IP_PKTINFO, info);
            }
            Some(PacketInfo { address: IpAddr::V6(ip), interface }) => {
                let source = libc::in6_addr { s6_addr: ip.octets() };
                let info = in6_pktinfo { ipi6_addr: source, ipi6_ifindex: interface as _ };
                writer.put(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
            }
            None => {}
        }
        if let Some(size) = self.segment {
            writer.put(libc::SOL_UDP, libc::UDP_SEGMENT, size);
        }
        writer.finish(header);
    }
}

/// Sends one datagram, and returns how many bytes of payload went.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] when the socket's buffer is full; `EMSGSIZE` when it is too long; an error about
/// something sent before.
pub fn send(socket: impl AsFd, datagram: &Outgoing<'_>) -> io::Result<usize> {
    let (mut address, _) = CAddress::room();
    let mut control = Control::new();
    // SAFETY: `msghdr` is plain integers and pointers, for which zero is valid.
    let mut header: msghdr = unsafe { mem::zeroed() };
    datagram.describe(&mut header, &mut address, &mut control);
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the header describes the payload, the address and the control room, which all outlive the call; `IoSlice`
    // has the layout of `iovec`.
    check_size(unsafe { libc::sendmsg(socket.as_fd().as_raw_fd(), &raw const header, flags) })
}

/// Sends the first of `datagrams` (at most [`MOST_DATAGRAMS`] in one call) in their order, and returns how many went.
///
/// # Errors
/// As [`send`], about the first; about a later one with the next call.
pub fn send_many(socket: impl AsFd, datagrams: &[Outgoing<'_>]) -> io::Result<usize> {
    let count = datagrams.len().min(MOST_DATAGRAMS);
    // Room for these and no more: that of the most would be 30 KB to clear.
    let mut addresses = vec![CAddress::room().0; count];
    let mut controls = vec![Control::new(); count];
    // SAFETY: `mmsghdr` is plain integers and pointers, for which zero is valid.
    let mut messages: Vec<mmsghdr> = vec![unsafe { mem::zeroed() }; count];
    let places = messages.iter_mut().zip(&mut addresses).zip(&mut controls);
    for (datagram, ((message, address), control)) in datagrams.iter().zip(places) {
        datagram.describe(&mut message.msg_hdr, address, control);
    }
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the first `count` messages describe payload, address and control room, which all outlive the call.
    let sent = check(unsafe {
        libc::sendmmsg(socket.as_fd().as_raw_fd(), messages.as_mut_ptr(), count as _, flags as _)
    })?;
    Ok(sent as usize)
}

#[cfg(test)]
mod tests {
    use super::super::{Family, set_packet_info, set_udp_gro};
    use super::*;
    use std::net::UdpSocket;

    fn pair(loopback: &str) -> (UdpSocket, UdpSocket, SocketAddr) {
        let receiver = UdpSocket::bind((loopback, 0)).unwrap();
        let at = receiver.local_addr().unwrap();
        (UdpSocket::bind((loopback, 0)).unwrap(), receiver, at)
    }

    fn both_families(loopback: &str, family: Family) {
        let (sender, receiver, at) = pair(loopback);
        set_packet_info(&receiver, family).unwrap();
        let payloads =
            [[IoSlice::new(b"one"), IoSlice::new(b"!")], [IoSlice::new(b"two"), IoSlice::new(b"?")]];
        let from = Some(PacketInfo { address: at.ip(), interface: 0 });
        let datagrams =
            payloads.each_ref().map(|parts| Outgoing { parts, to: Some(at), from, segment: None });
        assert_eq!(send_many(&sender, &datagrams).unwrap(), 2);
        let mut buffers = DatagramBuffers::new(8, 100);
        assert_eq!(buffers.receive(&receiver).unwrap(), 2);
        let got: Vec<_> = buffers.iter().collect();
        assert_eq!(got[0].bytes, b"one!");
        assert_eq!(got[1].bytes, b"two?");
        assert_eq!(got[1].from, sender.local_addr().unwrap());
        assert_eq!(got[1].to.unwrap().address, at.ip());
        assert!(!got[1].truncated);
        assert_eq!(buffers.receive(&receiver).unwrap(), 0);
    }

    #[test]
    fn a_batch_arrives_whole_with_its_addresses() {
        both_families("127.0.0.1", Family::V4);
        both_families("::1", Family::V6);
    }

    #[test]
    fn the_kernel_cuts_and_joins() {
        let (sender, receiver, at) = pair("127.0.0.1");
        set_udp_gro(&receiver).unwrap();
        let payload = [7; 2500];
        let parts = [IoSlice::new(&payload)];
        let datagram = Outgoing { parts: &parts, to: Some(at), from: None, segment: Some(1000) };
        assert_eq!(send(&sender, &datagram).unwrap(), 2500);
        let mut buffers = DatagramBuffers::new(4, 65536);
        buffers.receive(&receiver).unwrap();
        let got: Vec<_> = buffers.iter().map(|one| (one.bytes.len(), one.segment)).collect();
        // Loopback hands the joined datagram over as it is.
        assert_eq!(got, [(2500, Some(1000))]);
    }

    #[test]
    fn overflow_is_told_with_the_next_one() {
        let (sender, receiver, at) = pair("127.0.0.1");
        super::super::count_overflow(&receiver).unwrap();
        super::super::set_buffers(&receiver, 4096, 4096).unwrap();
        for _ in 0..100 {
            sender.send_to(&[0; 1000], at).unwrap();
        }
        let mut buffers = DatagramBuffers::new(64, 2000);
        let before = buffers.receive(&receiver).unwrap();
        assert!(before < 100);
        assert!(
            buffers.iter().all(|one| one.overflowed.is_none_or(|count| count == 0)),
            "they came before it"
        );
        sender.send_to(b"next", at).unwrap();
        buffers.receive(&receiver).unwrap();
        let lost = buffers.iter().next().unwrap().overflowed;
        assert_eq!(lost.map(|count| count as usize), Some(100 - before));
    }

    #[test]
    fn too_long_is_told() {
        let (sender, receiver, at) = pair("127.0.0.1");
        sender.send_to(&[0; 50], at).unwrap();
        let mut buffers = DatagramBuffers::new(1, 10);
        buffers.receive(&receiver).unwrap();
        let got = buffers.iter().next().unwrap();
        assert!(got.truncated);
        assert_eq!(got.bytes.len(), 10);
    }
}
