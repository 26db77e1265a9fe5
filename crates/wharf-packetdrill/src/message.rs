//! Scattered buffers and message headers: what sendmsg(2) and recvmsg(2) pass.

use libc::{c_int, c_void, cmsghdr, iovec, msghdr};

use crate::address;
use crate::errno::{Errno, Result};
use crate::world::World;

/// No message is larger: a caller that says so made a slip.
const LEN_MAX: usize = 1 << 30;
/// IOV_MAX of Linux.
const BUFFERS_MAX: c_int = 1_024;

/// What a call took in, as the caller hears of it.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) bytes: Vec<u8>,
    /// What the call returns: the bytes, or the whole length of a datagram that was asked for with MSG_TRUNC.
    pub(crate) answer: i64,
    pub(crate) from: Option<(wharf_stack::socket::Domain, wharf_table::Endpoint)>,
    /// MSG_TRUNC, MSG_OOB, MSG_ERRQUEUE as they come back.
    pub(crate) flags: c_int,
    pub(crate) control: Vec<Control>,
}

/// One control message.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) level: c_int,
    pub(crate) kind: c_int,
    pub(crate) data: Vec<u8>,
}

/// The buffers of a caller.
#[derive(Debug)]
pub(crate) struct Buffers<'a>(&'a [iovec]);

impl<'a> Buffers<'a> {
    /// The buffers of readv(2) and its kin.
    ///
    /// # Safety
    /// `buffers` points to `count` of them, each to as many bytes as it says.
    pub(crate) unsafe fn new(buffers: *const iovec, count: c_int) -> Result<Buffers<'a>> {
        if !(0..=BUFFERS_MAX).contains(&count) {
            return Err(Errno::INVALID);
        }
        if count == 0 {
            return Ok(Buffers(&[]));
        }
        if buffers.is_null() {
            return Err(Errno::FAULT);
        }
        // SAFETY: as the caller says.
        let buffers = unsafe { std::slice::from_raw_parts(buffers, count as usize) };
        let total = buffers.iter().try_fold(0_usize, |sum, it| sum.checked_add(it.iov_len));
        match total {
            Some(total) if total <= LEN_MAX => Ok(Buffers(buffers)),
            _ => Err(Errno::INVALID),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|it| it.iov_len).sum()
    }

    /// All bytes, one after the other.
    pub(crate) fn gather(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len());
        for it in self.0.iter().filter(|it| it.iov_len > 0) {
            // SAFETY: `Buffers::new` was told that so many bytes are there.
            bytes.extend_from_slice(unsafe {
                std::slice::from_raw_parts(it.iov_base.cast::<u8>(), it.iov_len)
            });
        }
        bytes
    }

    /// Fills the buffers in order, and says how much there was.
    pub(crate) fn scatter(&self, bytes: &[u8]) -> i64 {
        let mut rest = bytes;
        for it in self.0 {
            // SAFETY: `Buffers::new` was told that so many bytes are there.
            let count = unsafe { address::put(it.iov_base, it.iov_len, rest) };
            rest = &rest[count..];
        }
        (bytes.len() - rest.len()) as i64
    }
}

/// recvmsg(2).
///
/// # Safety
/// `header` and what it points to are those of recvmsg(2).
pub(crate) unsafe fn receive(world: &World, fd: c_int, header: *mut msghdr, flags: c_int) -> Result<i64> {
    if header.is_null() {
        return Err(Errno::FAULT);
    }
    // SAFETY: the caller's header.
    let header = unsafe { &mut *header };
    // SAFETY: the caller's buffers.
    let buffers = unsafe { Buffers::new(header.msg_iov, header.msg_iovlen as c_int)? };
    let received = world.receive(fd, buffers.len(), flags)?;
    buffers.scatter(&received.bytes);
    header.msg_flags = received.flags;
    match received.from {
        Some((domain, from)) => {
            // SAFETY: the caller's buffer for a name.
            unsafe { address::write(header.msg_name.cast(), &mut header.msg_namelen, domain, from) };
        }
        None => header.msg_namelen = 0,
    }
    // SAFETY: the caller's buffer for control messages.
    unsafe { write_control(header, &received.control) };
    Ok(received.answer)
}

/// Puts control messages one after the other, each at a multiple of a word; MSG_CTRUNC when they don't fit.
unsafe fn write_control(header: &mut msghdr, control: &[Control]) {
    let room = if header.msg_control.is_null() { 0 } else { header.msg_controllen };
    let mut used = 0;
    for message in control {
        // SAFETY: arithmetic only.
        let (len, space) = unsafe {
            (libc::CMSG_LEN(message.data.len() as u32), libc::CMSG_SPACE(message.data.len() as u32))
        };
        if used + len as usize > room {
            header.msg_flags |= libc::MSG_CTRUNC;
            break;
        }
        // SAFETY: there is room for the message behind `used`.
        unsafe {
            let at = header.msg_control.cast::<u8>().add(used);
            let head = cmsghdr { cmsg_len: len as usize, cmsg_level: message.level, cmsg_type: message.kind };
            at.cast::<cmsghdr>().write_unaligned(head);
            let data = at.add(size_of::<cmsghdr>()).cast::<c_void>();
            address::put(data, message.data.len(), &message.data);
        }
        used = (used + space as usize).min(room);
    }
    header.msg_controllen = used;
}

/// sendmsg(2). Control messages are not looked at: none that is known changes what is sent here.
///
/// # Safety
/// `header` and what it points to are those of sendmsg(2).
pub(crate) unsafe fn send(world: &World, fd: c_int, header: *const msghdr, flags: c_int) -> Result<i64> {
    if header.is_null() {
        return Err(Errno::FAULT);
    }
    // SAFETY: the caller's header, buffers and name.
    unsafe {
        let header = &*header;
        let buffers = Buffers::new(header.msg_iov, header.msg_iovlen as c_int)?;
        let to = match header.msg_name.is_null() || header.msg_namelen == 0 {
            true => None,
            false => Some(address::read(header.msg_name.cast(), header.msg_namelen)?),
        };
        world.send(fd, &buffers.gather(), flags, to)
    }
}
