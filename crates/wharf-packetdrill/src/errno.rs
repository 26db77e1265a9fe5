//! Errors as the C interface tells them: -1 and a number in `errno`.

use wharf_stack::socket;

/// A Linux error number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

impl Errno {
    pub(crate) const AGAIN: Errno = Errno(libc::EAGAIN);
    pub(crate) const BAD_DESCRIPTOR: Errno = Errno(libc::EBADF);
    pub(crate) const DEADLOCK: Errno = Errno(libc::EDEADLK);
    pub(crate) const FAULT: Errno = Errno(libc::EFAULT);
    pub(crate) const INVALID: Errno = Errno(libc::EINVAL);
    pub(crate) const NOT_A_SOCKET: Errno = Errno(libc::ENOTSOCK);

    /// What the last system call of this thread left.
    pub(crate) fn last() -> Errno {
        Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
    }
}

impl From<socket::Errno> for Errno {
    fn from(errno: socket::Errno) -> Errno {
        Errno(errno.number())
    }
}

pub(crate) type Result<T> = core::result::Result<T, Errno>;

/// What a function of the table returns: a count or number, or -1 with `errno` set.
pub(crate) fn answer<T: TryFrom<i64> + From<i8>>(result: Result<i64>) -> T {
    match result {
        Ok(value) => T::try_from(value).unwrap_or_else(|_| T::from(i8::MAX)),
        Err(Errno(number)) => {
            // SAFETY: the location of this thread's `errno` is always valid.
            unsafe { *libc::__errno_location() = number };
            T::from(-1)
        }
    }
}
