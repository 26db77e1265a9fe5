//! Signals as input of a loop, and giving a program the signals as they were.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use libc::{c_int, sigset_t};

use crate::call::check;

/// Whether SIGPIPE was ignored when this process began, before the runtime of the language ignored it.
static PIPE_IGNORED_AT_START: AtomicBool = AtomicBool::new(false);

extern "C" fn remember_sigpipe() {
    PIPE_IGNORED_AT_START.store(is_ignored(libc::SIGPIPE), Ordering::Relaxed);
}

// SAFETY: the linker collects this section into the list of functions that are called before `main`; the entry has
// the type that the list holds, and the function uses nothing that would have to be set up first.
#[used]
#[unsafe(link_section = ".init_array")]
static AT_START: extern "C" fn() = remember_sigpipe;

fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: with no new action the call only writes the present one to the pointer, which is valid.
    let result = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: the structure was zeroed, which is a valid value, and perhaps overwritten by the kernel's.
    result == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

fn set_disposition(signal: c_int, disposition: libc::sighandler_t) {
    // SAFETY: the disposition is SIG_DFL or SIG_IGN, never a function.
    unsafe { libc::signal(signal, disposition) };
}

fn empty_set() -> sigset_t {
    let mut set = MaybeUninit::<sigset_t>::zeroed();
    // SAFETY: the call writes a whole set to the pointer, which is valid.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}

/// What a program inherits of its parent's signals: the mask and what is ignored.
#[derive(Clone, Copy)]
pub struct Inherited {
    mask: sigset_t,
    child_ignored: bool,
}

impl Inherited {
    /// As it is now. To be taken before [`Signals::take`] changes the mask.
    pub fn current() -> Inherited {
        let mut mask = empty_set();
        // SAFETY: with no new mask the call only writes the present one to the pointer, which is valid.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, std::ptr::null(), &raw mut mask) };
        Inherited { mask, child_ignored: is_ignored(libc::SIGCHLD) }
    }

    /// Sets everything back, SIGPIPE to what it was when the process began. For a child that is about to exec.
    pub fn restore(&self) {
        if !PIPE_IGNORED_AT_START.load(Ordering::Relaxed) {
            set_disposition(libc::SIGPIPE, libc::SIG_DFL);
        }
        if self.child_ignored {
            set_disposition(libc::SIGCHLD, libc::SIG_IGN);
        }
        // SAFETY: the pointer is to a valid set, which the kernel only reads.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const self.mask, std::ptr::null_mut()) };
    }
}

impl std::fmt::Debug for Inherited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inherited").field("child_ignored", &self.child_ignored).finish_non_exhaustive()
    }
}

/// Makes ended children wait to be asked for, whatever the parent of this process chose.
pub fn keep_children() {
    set_disposition(libc::SIGCHLD, libc::SIG_DFL);
}

/// Where a signal came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The kernel: a key at the terminal, the terminal's end, a child's end, a timer. The terminal sends to every
    /// process of the foreground group by itself.
    Kernel,
    /// Another process, by its number here (0 when it has none here).
    Process {
        /// The sender.
        pid: u32,
    },
}

/// A signal that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its number.
    pub number: i32,
    /// Who sent it.
    pub origin: Origin,
}

/// Signals that are read from a descriptor instead of interrupting.
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
}

impl Signals {
    /// Blocks these signals for this thread and those it starts, and reads them from now on.
    ///
    /// # Errors
    /// No descriptor is left, or a number is no signal.
    pub fn take(numbers: &[i32]) -> io::Result<Signals> {
        let mut set = empty_set();
        for &number in numbers {
            // SAFETY: the set is initialized; a number that is no signal is refused with an error.
            check(unsafe { libc::sigaddset(&raw mut set, number) })?;
        }
        // SAFETY: the pointer is to a valid set, which the kernel only reads.
        check(unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) })?;
        // SAFETY: -1 asks for a new descriptor; the set is valid.
        let fd =
            check(unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) })?;
        // SAFETY: the descriptor is new and nobody else's.
        Ok(Signals { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// The next signal; `None` when none waits. Never blocks.
    ///
    /// # Errors
    /// None that a caller can do anything about.
    pub fn read(&self) -> io::Result<Option<Received>> {
        const SIZE: usize = size_of::<libc::signalfd_siginfo>();
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
        // SAFETY: the pointer and the size describe `info`, to which the kernel writes.
        let length = unsafe { libc::read(self.fd.as_raw_fd(), info.as_mut_ptr().cast(), SIZE) };
        if length != SIZE as isize {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(None),
                _ => Err(error),
            };
        }
        // SAFETY: the structure is plain integers, zeroed first and then written by the kernel.
        let info = unsafe { info.assume_init() };
        let origin = match info.ssi_code {
            libc::SI_USER | libc::SI_QUEUE | libc::SI_TKILL => Origin::Process { pid: info.ssi_pid },
            _ => Origin::Kernel,
        };
        Ok(Some(Received { number: info.ssi_signo as i32, origin }))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_read_with_its_origin() {
        let signals = Signals::take(&[libc::SIGUSR2]).unwrap();
        assert_eq!(signals.read().unwrap(), None);
        // SAFETY: the call takes an integer; it signals this thread, which has blocked the signal.
        unsafe { libc::raise(libc::SIGUSR2) };
        let received = signals.read().unwrap().unwrap();
        assert_eq!(received.number, libc::SIGUSR2);
        assert_eq!(received.origin, Origin::Process { pid: std::process::id() });
        assert_eq!(signals.read().unwrap(), None);
    }

    #[test]
    fn what_is_no_signal_is_refused() {
        assert!(Signals::take(&[1000]).is_err());
    }
}
