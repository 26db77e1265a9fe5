//! From C's return values to [`io::Result`], and socket options of plain types.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{c_int, c_long, socklen_t};

/// The value, or the error that `errno` names when it is -1.
pub(crate) fn check(result: c_int) -> io::Result<c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The value, or the error that `errno` names when it is -1.
pub(crate) fn check_long(result: c_long) -> io::Result<c_long> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The count, or the error that `errno` names when it is negative.
pub(crate) fn check_size(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// A type that the kernel may read from and write to byte by byte.
///
/// # Safety
/// Every pattern of bytes is a valid value, and there are no padding bytes.
pub(crate) unsafe trait Plain: Copy {}

// SAFETY: integers have no padding and no invalid values.
unsafe impl Plain for c_int {}
// SAFETY: two integers of the same size, so no padding.
unsafe impl Plain for libc::linger {}
// SAFETY: three fields of four bytes each, without padding.
unsafe impl Plain for libc::in_pktinfo {}
// SAFETY: sixteen bytes and an integer of four: no padding.
unsafe impl Plain for libc::in6_pktinfo {}
// SAFETY: four bytes, then three integers of four bytes: no padding.
unsafe impl Plain for libc::sock_extended_err {}
// SAFETY: an integer.
unsafe impl Plain for u16 {}
// SAFETY: an integer.
unsafe impl Plain for u32 {}
// SAFETY: two integers of the same size, so no padding.
unsafe impl Plain for libc::tpacket_stats {}
// SAFETY: three integers of four bytes: no padding.
unsafe impl Plain for libc::ucred {}
// SAFETY: integers of one size, so no padding.
unsafe impl<const N: usize> Plain for [u64; N] {}

/// Sets a socket option.
pub(crate) fn set_option<T: Plain>(
    socket: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    value: &T,
) -> io::Result<()> {
    let size = size_of::<T>() as socklen_t;
    // SAFETY: the pointer and the size describe `value`, which outlives the call; the kernel only reads it.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const *value).cast(), size) })?;
    Ok(())
}

/// Reads a socket option.
pub(crate) fn option<T: Plain>(socket: BorrowedFd<'_>, level: c_int, name: c_int) -> io::Result<T> {
    let mut value = MaybeUninit::<T>::zeroed();
    let mut size = size_of::<T>() as socklen_t;
    // SAFETY: the pointer and the size describe `value`, and the kernel writes no more than `size` bytes.
    check(unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &raw mut size)
    })?;
    // SAFETY: it was zeroed, the kernel overwrote a part, and every pattern of bytes is a value (`Plain`).
    Ok(unsafe { value.assume_init() })
}

/// The error that an error number stands for.
pub(crate) fn error(number: c_int) -> io::Error {
    io::Error::from_raw_os_error(number)
}
