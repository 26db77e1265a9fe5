//! Control messages of `sendmsg` and `recvmsg` (cmsg(3)).

use std::mem;
use std::ptr;

use libc::{c_int, cmsghdr, msghdr};

use crate::call::Plain;

/// Room for the control messages of one datagram: a queued error with two addresses is the largest.
pub(super) const CONTROL_BYTES: usize = 256;

/// The room, aligned as control messages must be.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Control([u8; CONTROL_BYTES]);

impl Control {
    pub(super) const fn new() -> Control {
        Control([0; CONTROL_BYTES])
    }

    /// Gives `message` this room, all of it.
    pub(super) fn lend(&mut self, message: &mut msghdr) {
        message.msg_control = self.0.as_mut_ptr().cast();
        message.msg_controllen = CONTROL_BYTES as _;
    }
}

/// Control messages to be sent, one behind the other.
pub(super) struct Writer<'a> {
    control: &'a mut Control,
    used: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(control: &'a mut Control) -> Writer<'a> {
        Writer { control, used: 0 }
    }

    /// Appends one message; there is room for all that this crate ever sends together.
    pub(super) fn put<T: Plain>(&mut self, level: c_int, kind: c_int, value: T) {
        let size = size_of::<T>();
        // SAFETY: both only compute.
        let (space, length) =
            unsafe { (libc::CMSG_SPACE(size as u32) as usize, libc::CMSG_LEN(size as u32)) };
        assert!(self.used + space <= CONTROL_BYTES, "control messages fit their room");
        // SAFETY: the assertion makes sure of `space` bytes from here, and the offset is a sum of aligned spaces, so
        // header and data are within the room; the header is written whole before it is used.
        unsafe {
            let header: *mut cmsghdr = self.control.0.as_mut_ptr().add(self.used).cast();
            let mut head: cmsghdr = mem::zeroed();
            head.cmsg_len = length as _;
            head.cmsg_level = level;
            head.cmsg_type = kind;
            header.write(head);
            libc::CMSG_DATA(header).cast::<T>().write_unaligned(value);
        }
        self.used += space;
    }

    /// Gives what was written to `message`.
    pub(super) fn finish(self, message: &mut msghdr) {
        if self.used > 0 {
            message.msg_control = self.control.0.as_mut_ptr().cast();
            message.msg_controllen = self.used as _;
        }
    }
}

/// One received control message.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) level: c_int,
    pub(super) kind: c_int,
    pub(super) data: &'a [u8],
}

impl Part<'_> {
    /// The data as a plain value; `None` when there is too little of it.
    pub(super) fn value<T: Plain>(&self) -> Option<T> {
        if self.data.len() < size_of::<T>() {
            return None;
        }
        // SAFETY: there are enough bytes, and every pattern of them is a value (`Plain`).
        Some(unsafe { self.data.as_ptr().cast::<T>().read_unaligned() })
    }
}

/// The control messages that the kernel wrote to the room of `message`.
pub(super) fn parts(message: &msghdr) -> impl Iterator<Item = Part<'_>> {
    let mut next = match message.msg_control.is_null() {
        true => ptr::null_mut(),
        // SAFETY: the message has room for control messages, as checked, and the kernel has set how much is used.
        false => unsafe { libc::CMSG_FIRSTHDR(message) },
    };
    std::iter::from_fn(move || {
        if next.is_null() {
            return None;
        }
        // SAFETY: `next` is a whole header within the room that the message borrows, as CMSG_FIRSTHDR and CMSG_NXTHDR
        // see to; the kernel wrote it, and its length lies within the room.
        unsafe {
            let header = next.read_unaligned();
            let data = libc::CMSG_DATA(next);
            let length =
                (header.cmsg_len as usize).saturating_sub(data.offset_from(next.cast()).unsigned_abs());
            next = libc::CMSG_NXTHDR(message, next);
            let data = std::slice::from_raw_parts(data, length);
            Some(Part { level: header.cmsg_level, kind: header.cmsg_type, data })
        }
    })
}
