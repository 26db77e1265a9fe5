//! The receiving side: what the kernel answers to a request for a list, message by message.

use std::io;

use rustix::io::Errno;
use rustix::net::RecvFlags;

use super::{Batch, HEADER_BYTES, NLMSG_ERROR, Netlink};
use crate::call::error;

const NLMSG_NOOP: u16 = 1;
const NLMSG_DONE: u16 = 3;
/// All objects, not one (`NLM_F_ROOT | NLM_F_MATCH`).
pub(super) const DUMP: u16 = 0x300;
/// The list changed while it was read, so that it can lack something (`NLM_F_DUMP_INTR`).
const INTERRUPTED: u16 = 0x10;
/// The kernel makes its answers as long as the buffer that it sees, and at most 32 KiB.
const ROOM_BYTES: usize = 32 * 1024;

/// How a list came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// Whole.
    Whole,
    /// It changed while it was read: it can lack something, or have something twice.
    Changed,
    /// The kernel has no such list: a protocol that it does not know, or can't list.
    Absent,
}

/// One message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) body: &'a [u8],
}

/// Where answers are received, kept from one request to the next.
#[derive(Debug)]
pub(super) struct Room(Vec<u8>);

impl Room {
    pub(super) fn new() -> Room {
        Room(vec![0; ROOM_BYTES])
    }

    /// What the kernel answers next.
    fn receive(&mut self, from: &Netlink) -> io::Result<&[u8]> {
        loop {
            match rustix::net::recv(&from.0, &mut self.0[..], RecvFlags::empty()) {
                Ok((length, _)) => return Ok(self.0.get(..length).unwrap_or_default()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Netlink {
    /// Asks for a list and hands every message of the answer to `each`. Nothing is allocated for a message.
    ///
    /// # Errors
    /// The kernel's refusal: `ENOENT` or `EOPNOTSUPP` where it has no such list.
    pub(super) fn list(
        &self,
        request: &Batch,
        room: &mut Room,
        mut each: impl FnMut(Message<'_>),
    ) -> io::Result<Listing> {
        self.send(request)?;
        let mut listing = Listing::Whole;
        loop {
            let mut rest = room.receive(self)?;
            while let Some((message, next)) = split_message(rest) {
                rest = next;
                if message.flags & INTERRUPTED != 0 {
                    listing = Listing::Changed;
                }
                match message.kind {
                    NLMSG_NOOP => {}
                    NLMSG_DONE | NLMSG_ERROR => {
                        let number = array(message.body, 0).map_or(0, i32::from_ne_bytes);
                        return if number < 0 { Err(error(-number)) } else { Ok(listing) };
                    }
                    _ => each(message),
                }
            }
        }
    }

    /// Asks for one object, or for one deed that is acknowledged, and hands the answer to `read`. `None` where there is none.
    ///
    /// # Errors
    /// The kernel's refusal, `ENOENT` aside.
    pub(super) fn one<T>(
        &self,
        request: &Batch,
        room: &mut Room,
        read: impl FnOnce(Message<'_>) -> Option<T>,
    ) -> io::Result<Option<T>> {
        self.send(request)?;
        let bytes = room.receive(self)?;
        let Some((message, _)) = split_message(bytes) else { return Ok(None) };
        if message.kind != NLMSG_ERROR {
            return Ok(read(message));
        }
        match array(message.body, 0).map_or(0, i32::from_ne_bytes) {
            0 => Ok(read(message)),
            number if number == -libc::ENOENT => Ok(None),
            number => Err(error(-number)),
        }
    }
}

/// The first message, and what stands behind it. `None` where there is no whole one.
pub(super) fn split_message(bytes: &[u8]) -> Option<(Message<'_>, &[u8])> {
    let length = u32::from_ne_bytes(array(bytes, 0)?) as usize;
    let message = Message {
        kind: u16::from_ne_bytes(array(bytes, 4)?),
        flags: u16::from_ne_bytes(array(bytes, 6)?),
        body: bytes.get(HEADER_BYTES..length)?,
    };
    Some((message, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

/// The attributes in `bytes`: kind and value of each.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(array(rest, 0)?));
        let kind = u16::from_ne_bytes(array(rest, 2)?);
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The `N` bytes from `at` on.
pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_off_is_no_message() {
        assert!(split_message(&[0xff; 20]).is_none());
        assert!(split_message(&[4, 0, 0, 0, 20, 0, 0, 0]).is_none());
        assert!(split_message(&[]).is_none());
        let mut two = [0; 40];
        two[0] = 18;
        two[4] = 7;
        two[20] = 20;
        let (first, rest) = split_message(&two).unwrap();
        assert_eq!((first.kind, first.body.len(), rest.len()), (7, 2, 20));
        let (second, rest) = split_message(rest).unwrap();
        assert_eq!((second.body.len(), rest.len()), (4, 0));
    }

    #[test]
    fn attributes_end_where_the_bytes_do() {
        let bytes = [5, 0, 1, 0, 9, 0, 0, 0, 4, 0, 2, 0, 200, 0, 3, 0, 1];
        let found: Vec<_> = attributes(&bytes).collect();
        assert_eq!(found, [(1, &[9][..]), (2, &[][..])]);
        assert_eq!(attributes(&[1, 0, 0, 0, 0, 0, 0, 0]).count(), 0);
    }
}
