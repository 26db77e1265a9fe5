//! Socket addresses as the C interface passes them.

use libc::{c_void, sockaddr, sockaddr_in, sockaddr_in6, socklen_t};
use wharf_stack::socket::Domain;
use wharf_table::{Addr, Endpoint};

use crate::errno::{Errno, Result};

/// What a caller says as an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// AF_UNSPEC: nobody.
    Nobody,
    /// An address and port of this family.
    Endpoint(Domain, Endpoint),
}

/// Reads an address of a caller.
///
/// # Safety
/// `address` is null or points to `len` readable bytes.
pub(crate) unsafe fn read(address: *const sockaddr, len: socklen_t) -> Result<Named> {
    let len = len as usize;
    if address.is_null() {
        return Err(Errno::FAULT);
    }
    if len < size_of::<libc::sa_family_t>() {
        return Err(Errno::INVALID);
    }
    // SAFETY: at least the family is there.
    let family = i32::from(unsafe { (*address).sa_family });
    match family {
        libc::AF_UNSPEC => Ok(Named::Nobody),
        libc::AF_INET if len >= size_of::<sockaddr_in>() => {
            // SAFETY: as many bytes are there; they need not be aligned.
            let it = unsafe { address.cast::<sockaddr_in>().read_unaligned() };
            let addr = Addr::v4(it.sin_addr.s_addr.to_ne_bytes());
            Ok(Named::Endpoint(Domain::V4, Endpoint::new(addr, u16::from_be(it.sin_port))))
        }
        libc::AF_INET6 if len >= 24 => {
            let mut whole = [0_u8; size_of::<sockaddr_in6>()];
            let count = len.min(whole.len());
            // SAFETY: as many bytes are there, and `whole` has room for them.
            unsafe { std::ptr::copy_nonoverlapping(address.cast::<u8>(), whole.as_mut_ptr(), count) };
            // SAFETY: any bytes are a `sockaddr_in6`.
            let it = unsafe { whole.as_ptr().cast::<sockaddr_in6>().read_unaligned() };
            let addr = Addr::v6(it.sin6_addr.s6_addr);
            Ok(Named::Endpoint(Domain::V6, Endpoint::new(addr, u16::from_be(it.sin6_port))))
        }
        libc::AF_INET | libc::AF_INET6 => Err(Errno::INVALID),
        _ => Err(Errno(libc::EAFNOSUPPORT)),
    }
}

/// The bytes of an address as a socket of `domain` shows it.
pub(crate) fn bytes(domain: Domain, endpoint: Endpoint) -> Vec<u8> {
    let port = endpoint.port.to_be_bytes();
    match domain {
        Domain::V4 => {
            let mut bytes = (libc::AF_INET as u16).to_ne_bytes().to_vec();
            bytes.extend(port);
            bytes.extend(&endpoint.addr.octets()[12..]);
            bytes.extend([0; 8]);
            bytes
        }
        Domain::V6 => {
            let mut bytes = (libc::AF_INET6 as u16).to_ne_bytes().to_vec();
            bytes.extend(port);
            bytes.extend([0; 4]);
            bytes.extend(endpoint.addr.octets());
            bytes.extend([0; 4]);
            bytes
        }
    }
}

/// Writes an address into a caller's buffer, cut to its size, and says how long it is.
///
/// # Safety
/// `address` is null or points to `*len` writable bytes; `len` is null or points to a number.
pub(crate) unsafe fn write(address: *mut sockaddr, len: *mut socklen_t, domain: Domain, endpoint: Endpoint) {
    if address.is_null() || len.is_null() {
        return;
    }
    let bytes = bytes(domain, endpoint);
    // SAFETY: the caller's buffer has `*len` bytes.
    unsafe {
        put(address.cast(), *len as usize, &bytes);
        *len = bytes.len() as socklen_t;
    }
}

/// Copies as much of `bytes` as there is room for, and says how much that was.
///
/// # Safety
/// `target` points to `room` writable bytes.
pub(crate) unsafe fn put(target: *mut c_void, room: usize, bytes: &[u8]) -> usize {
    let count = room.min(bytes.len());
    // SAFETY: as the caller says.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), target.cast::<u8>(), count) };
    count
}
