//! Netlink, as far as wharf needs it: requests to rtnetlink, many in one message to the kernel, and lists of what the
//! kernel has (`sock_diag`, `interfaces`), read message by message from one buffer.
//!
//! An encoder of our own: what a run asks for is a dozen fixed requests, and its start-up time counts.

pub mod destroyed;
mod interfaces;
pub mod lookup;
pub mod nftables;
mod receive;
pub mod route;
pub mod rule;
pub mod sock_diag;

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::call::{check, check_size, error};

/// Bytes of `nlmsghdr`.
const HEADER_BYTES: usize = 16;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
/// A new object is to be made, and it is an error if there is one already.
pub(crate) const CREATE: u16 = 0x400 | 0x200;

pub use receive::Listing;

/// A socket to rtnetlink, or to sock_diag, of the network namespace in which it was opened.
#[derive(Debug)]
pub struct Netlink(OwnedFd);

/// A request that the kernel refused.
#[derive(Debug)]
pub struct Refusal {
    /// Its number in the batch, from 0.
    pub request: usize,
    /// Why.
    pub error: io::Error,
}

impl Netlink {
    /// Opens the socket.
    ///
    /// # Errors
    /// A sandbox forbids it, or no descriptor is left.
    pub fn open() -> io::Result<Netlink> {
        Netlink::open_family(libc::NETLINK_ROUTE)
    }

    /// Takes a socket of this kind that was opened elsewhere.
    pub(crate) fn from_socket(socket: OwnedFd) -> Netlink {
        Netlink(socket)
    }

    fn open_family(family: libc::c_int) -> io::Result<Netlink> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: the call takes integers only.
        let fd = check(unsafe { libc::socket(libc::AF_NETLINK, kind, family) })?;
        // SAFETY: the descriptor is new and nobody else's.
        Ok(Netlink(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Hands a batch to the kernel, which works through it in order, and returns what it refused. A refusal does not
    /// keep the later requests from being done.
    ///
    /// # Errors
    /// The socket itself failed.
    pub fn run(&self, batch: &mut Batch) -> io::Result<Vec<Refusal>> {
        if batch.starts.is_empty() {
            return Ok(Vec::new());
        }
        batch.ask_for_the_end();
        self.send(batch)?;
        self.refusals(batch.starts.len())
    }

    /// Hands a batch to the kernel.
    fn send(&self, batch: &Batch) -> io::Result<()> {
        // SAFETY: the address is plain integers, for which zero is valid; zero names the kernel.
        let mut kernel: libc::sockaddr_nl = unsafe { mem::zeroed() };
        kernel.nl_family = libc::AF_NETLINK as u16;
        let size = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        let bytes = &batch.bytes;
        // SAFETY: pointers and sizes describe the batch and the address, which the kernel only reads.
        check_size(unsafe {
            libc::sendto(
                self.0.as_raw_fd(),
                bytes.as_ptr().cast(),
                bytes.len(),
                0,
                (&raw const kernel).cast(),
                size,
            )
        })?;
        Ok(())
    }

    /// Reads until the answer to the last of `count` requests, the only one that is answered when it succeeds.
    fn refusals(&self, count: usize) -> io::Result<Vec<Refusal>> {
        let mut refusals = Vec::new();
        let mut room = vec![0; 32 * 1024];
        loop {
            let length = rustix::net::recv(&self.0, &mut room[..], rustix::net::RecvFlags::empty())?.0;
            let mut rest = room.get(..length).unwrap_or_default();
            while let Some((kind, request, number, next)) = split_answer(rest) {
                rest = next;
                if kind != NLMSG_ERROR {
                    continue;
                }
                if number != 0 {
                    refusals.push(Refusal { request, error: error(-number) });
                }
                if request + 1 == count {
                    return Ok(refusals);
                }
            }
        }
    }
}

/// Kind, number of the request and error number of the first answer, and what stands behind it.
fn split_answer(bytes: &[u8]) -> Option<(u16, usize, i32, &[u8])> {
    let field = |at: usize| bytes.get(at..at + 4).and_then(|four| <[u8; 4]>::try_from(four).ok());
    let length = u32::from_ne_bytes(field(0)?) as usize;
    let kind = u16::from_ne_bytes([*bytes.get(4)?, *bytes.get(5)?]);
    let request = u32::from_ne_bytes(field(8)?) as usize;
    let number = field(HEADER_BYTES).map_or(0, i32::from_ne_bytes);
    let next = length.max(HEADER_BYTES).next_multiple_of(4);
    Some((kind, request, number, bytes.get(next..).unwrap_or_default()))
}

/// Requests to be handed over together.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    /// Where each request starts.
    starts: Vec<usize>,
}

impl Batch {
    /// No requests.
    pub fn new() -> Batch {
        Batch { bytes: Vec::with_capacity(2048), starts: Vec::with_capacity(16) }
    }

    /// How many requests there are: the number of the next.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Adds a request: its kind, further flags, its fixed part, and whatever `attributes` appends.
    pub(crate) fn request(
        &mut self,
        kind: u16,
        flags: u16,
        fixed: &[u8],
        attributes: impl FnOnce(&mut Attributes<'_>),
    ) {
        let start = self.bytes.len();
        let number = self.starts.len() as u32;
        self.starts.push(start);
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&(NLM_F_REQUEST | flags).to_ne_bytes());
        self.bytes.extend_from_slice(&number.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(fixed);
        attributes(&mut Attributes { bytes: &mut self.bytes });
        let length = (self.bytes.len() - start) as u32;
        self.set_field(start, length.to_ne_bytes());
    }

    fn set_field<const N: usize>(&mut self, at: usize, value: [u8; N]) {
        if let Some(field) = self.bytes.get_mut(at..at + N) {
            field.copy_from_slice(&value);
        }
    }

    /// Failures are always reported; success only of the last request.
    fn ask_for_the_end(&mut self) {
        if let Some(&last) = self.starts.last() {
            let flags = self.bytes.get(last + 6..last + 8).and_then(|two| <[u8; 2]>::try_from(two).ok());
            let flags = u16::from_ne_bytes(flags.unwrap_or_default());
            self.set_field(last + 6, (flags | NLM_F_ACK).to_ne_bytes());
        }
    }
}

/// Where the attributes of a request are appended.
pub(crate) struct Attributes<'a> {
    bytes: &'a mut Vec<u8>,
}

impl Attributes<'_> {
    /// Appends one attribute, padded to four bytes.
    pub(crate) fn put(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.nest(kind, |inner| inner.raw(value))
    }

    /// Appends an attribute that holds what `inner` appends.
    pub(crate) fn nest(&mut self, kind: u16, inner: impl FnOnce(&mut Attributes<'_>)) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        inner(&mut Attributes { bytes: self.bytes });
        let length = (self.bytes.len() - start) as u16;
        if let Some(field) = self.bytes.get_mut(start..start + 2) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// Appends bytes that are no attribute: the fixed part of a nested message.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_nested() {
        let mut batch = Batch::new();
        batch.request(16, 0, &[0; 16], |put| {
            put.nest(18, |inner| {
                inner.put(1, b"veth");
            });
            put.put(3, b"e\0\0\0\0");
        });
        let bytes = &batch.bytes;
        assert_eq!(bytes.len(), 16 + 16 + 12 + 12);
        assert_eq!(u32::from_ne_bytes(bytes[..4].try_into().unwrap()), 56);
        assert_eq!(bytes[32..34], 12u16.to_ne_bytes());
        assert_eq!(bytes[36..38], 8u16.to_ne_bytes());
        assert_eq!(bytes[44..46], 9u16.to_ne_bytes());
    }

    #[test]
    fn the_kernel_refuses_by_number_and_goes_on() {
        let netlink = Netlink::open().unwrap();
        let mut batch = Batch::new();
        // Interfaces that don't exist.
        for index in [0x7fff_fff0u32, 0x7fff_fff1] {
            batch.up(index);
        }
        let refused: Vec<_> = netlink.run(&mut batch).unwrap();
        let numbers: Vec<_> = refused.iter().map(|refusal| refusal.request).collect();
        assert_eq!(numbers, [0, 1]);
    }
}
