//! Forking into namespaces, executing a program, limits.

use std::ffi::{CStr, CString, OsString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::call::{check_long, error};
use crate::namespace::Namespaces;
use crate::pidfd::Pidfd;

/// A child process.
#[derive(Debug)]
pub struct Child {
    /// Its number in the process namespace of its parent.
    pub pid: u32,
    /// The process itself.
    pub process: Pidfd,
}

/// Forks a child that is born into new namespaces, runs `child` there and ends with the code it returns. With
/// [`Namespaces::PID`] it is process 1 of its namespace.
///
/// The child owns a copy of everything, and destructors do not run at its end. Of descriptors it has all but those in
/// `parents`, which `child` must not use.
///
/// # Errors
/// `EDEADLK` when this process has more than one thread: a copy could be waiting for a lock that nobody holds any
/// more. Otherwise the kernel's: no rights to make namespaces, or a limit is reached.
pub fn fork_into(
    namespaces: Namespaces,
    parents: &[BorrowedFd<'_>],
    child: impl FnOnce() -> u8,
) -> io::Result<Child> {
    if threads()? > 1 {
        return Err(error(libc::EDEADLK));
    }
    let mut pidfd: libc::c_int = -1;
    let flags = libc::c_long::from(namespaces.flags() | libc::CLONE_PIDFD | libc::SIGCHLD);
    // SAFETY: without CLONE_VM and with no new stack this is a fork: the child goes on here on a copy of all memory.
    // As there is one thread only, no lock of the allocator or the runtime is held by another. The kernel writes the
    // child's descriptor to `pidfd` in the parent's memory; the last two arguments are unused.
    let pid = check_long(unsafe {
        libc::syscall(
            libc::SYS_clone,
            flags,
            0 as libc::c_long,
            &raw mut pidfd,
            0 as libc::c_long,
            0 as libc::c_long,
        )
    })?;
    if pid == 0 {
        for descriptor in parents {
            // SAFETY: in the child this descriptor is a copy; its owner, in the frames of the callers, is never
            // reached again, as the child ends below.
            unsafe { libc::close(descriptor.as_raw_fd()) };
        }
        let code = catch_unwind(AssertUnwindSafe(child)).unwrap_or(101);
        end(code);
    }
    // SAFETY: the kernel has just made this descriptor for us.
    let fd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    let pid = u32::try_from(pid).expect("the kernel's process numbers are positive");
    Ok(Child { pid, process: Pidfd::new(fd) })
}

/// Ends this process at once, without destructors and without flushing anything.
pub fn end(code: u8) -> ! {
    // SAFETY: the call takes an integer and does not return.
    unsafe { libc::_exit(code.into()) }
}

/// How many threads this process has: the directory of them has a link for each, and two more.
fn threads() -> io::Result<u64> {
    Ok(std::fs::metadata("/proc/self/task")?.nlink().saturating_sub(2))
}

/// Asks the kernel to kill this process when the thread that forked it ends. One that has ended before is not
/// noticed: ask for a sign of life afterwards.
///
/// # Errors
/// None that a caller can do anything about.
pub fn die_with_parent() -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?)
}

/// Sets the name that process lists show.
pub fn set_name(name: &CStr) {
    // Only cosmetic, so a failure is of no interest.
    let _ = rustix::thread::set_name(name);
}

/// Closes every descriptor of this process but `kept`, runs `rest` and ends with the code it returns.
///
/// What stands outside of `rest` and owns a descriptor is never used again, as this does not return.
pub fn end_with_only(kept: &[BorrowedFd<'_>], rest: impl FnOnce() -> u8) -> ! {
    let mut kept: Vec<u32> = kept.iter().map(|fd| fd.as_raw_fd().unsigned_abs()).collect();
    kept.sort_unstable();
    let mut first = 0;
    for keep in kept.into_iter().chain([u32::MAX]) {
        if first < keep {
            // SAFETY: the owners of these descriptors are never reached again: this function ends the process.
            unsafe { libc::syscall(libc::SYS_close_range, first, keep - 1, 0) };
        }
        first = keep.saturating_add(1);
    }
    end(catch_unwind(AssertUnwindSafe(rest)).unwrap_or(101))
}

/// Kills every other process in the process namespace of which this is process 1, and waits until they are gone.
///
/// # Panics
/// When this is not process 1: then it would be the host's processes.
pub fn end_namespace() {
    assert_eq!(std::process::id(), 1, "only the first process of a namespace ends it");
    // SAFETY: the call takes integers; the assertion keeps it within the namespace.
    unsafe { libc::kill(-1, libc::SIGKILL) };
    while reap_any().is_some() {}
}

/// The limit on open files, soft and hard; `None` is without limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFiles {
    /// What applies.
    pub soft: Option<u64>,
    /// How far the soft one may be raised.
    pub hard: Option<u64>,
}

impl OpenFiles {
    /// The limit of this process.
    pub fn current() -> OpenFiles {
        let limit = getrlimit(Resource::Nofile);
        OpenFiles { soft: limit.current, hard: limit.maximum }
    }

    /// Makes this the limit of this process.
    ///
    /// # Errors
    /// The hard limit would rise without the right to do so.
    pub fn set(self) -> io::Result<()> {
        Ok(setrlimit(Resource::Nofile, Rlimit { current: self.soft, maximum: self.hard })?)
    }

    /// Raises the limit of this process as far as it is allowed, and returns what it was.
    pub fn raise() -> OpenFiles {
        let before = OpenFiles::current();
        let ceiling = crate::proc::limits::open_files_ceiling();
        // With CAP_SYS_RESOURCE the hard limit goes up to the kernel's; otherwise the soft one goes up to the hard.
        let most = OpenFiles { soft: ceiling, hard: ceiling };
        if before.hard >= ceiling || ceiling.is_none() || most.set().is_err() {
            let _ = OpenFiles { soft: before.hard, hard: before.hard }.set();
        }
        before
    }
}

/// A program to be executed, with its arguments and the places where it may stand.
#[derive(Clone, Debug)]
pub struct Program {
    candidates: Vec<PathBuf>,
    arguments: Vec<CString>,
}

/// Where the shell looks when PATH is not set (`confstr(_CS_PATH)`).
const DEFAULT_PATH: &str = "/bin:/usr/bin";

impl Program {
    /// The program that `command` names: as a path when there is a slash in it, else in the directories of `path`.
    /// `None` for an empty command, and for an argument with a NUL byte in it.
    pub fn find(command: &[OsString], path: Option<OsString>) -> Option<Program> {
        let name = command.first()?;
        let to_c = |word: &OsString| CString::new(word.clone().into_vec()).ok();
        let arguments = command.iter().map(to_c).collect::<Option<Vec<_>>>()?;
        let candidates = if name.as_bytes().contains(&b'/') {
            vec![PathBuf::from(name)]
        } else if name.is_empty() {
            Vec::new()
        } else {
            let path = path.unwrap_or_else(|| DEFAULT_PATH.into());
            // An empty entry is the working directory.
            std::env::split_paths(&path).map(|directory| Path::new(".").join(directory).join(name)).collect()
        };
        Some(Program { candidates, arguments })
    }

    /// The places where it may stand, in order.
    pub fn candidates(&self) -> &[PathBuf] {
        &self.candidates
    }

    /// Becomes the program, with the environment of this process, and returns only the reason why not: `ENOENT` when
    /// it stands nowhere, else what the kernel said of the first that could not be executed. As with `execvp`, a
    /// file of no known format is given to the shell.
    pub fn exec(&self) -> io::Error {
        let mut denied = None;
        let path_given = self.arguments.first().is_some_and(|name| name.to_bytes().contains(&b'/'));
        for candidate in &self.candidates {
            let Ok(path) = CString::new(candidate.as_os_str().as_bytes()) else { continue };
            let reason = execute(&path, &self.arguments);
            match reason.raw_os_error() {
                Some(libc::ENOENT | libc::ENOTDIR) => {}
                // A directory of PATH that is closed to us holds nothing that we could be asked for.
                Some(libc::EACCES) if !path_given && !candidate.exists() => {}
                Some(libc::EACCES) => denied = denied.or(Some(reason)),
                Some(libc::ENOEXEC) => return self.exec_in_shell(path),
                _ => return reason,
            }
        }
        denied.unwrap_or_else(|| error(libc::ENOENT))
    }

    fn exec_in_shell(&self, script: CString) -> io::Error {
        let mut arguments = vec![c"sh".to_owned(), script];
        arguments.extend(self.arguments.iter().skip(1).cloned());
        execute(c"/bin/sh", &arguments)
    }
}

fn execute(path: &CStr, arguments: &[CString]) -> io::Error {
    let pointers: Vec<_> =
        arguments.iter().map(|word| word.as_ptr()).chain(std::iter::once(std::ptr::null())).collect();
    // SAFETY: the path and the words end with NUL, the list of words with a null pointer, and all outlive the call.
    unsafe { libc::execv(path.as_ptr(), pointers.as_ptr()) };
    io::Error::last_os_error()
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this code.
    Code(u8),
    /// By this signal.
    Signal(i32),
}

/// Waits for any child of this process to end, and tells which one and how. `None` when there is none.
pub fn reap_any() -> Option<(u32, Ended)> {
    reap(libc::__WALL)
}

/// Tells which child of this process has ended and how; `None` when none has.
pub fn reap_ended() -> Option<(u32, Ended)> {
    reap(libc::__WALL | libc::WNOHANG)
}

fn reap(options: libc::c_int) -> Option<(u32, Ended)> {
    loop {
        let mut status: libc::c_int = 0;
        // SAFETY: the kernel writes one integer to the pointer, which is valid.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, options) };
        if pid == 0 {
            return None;
        }
        let Ok(pid) = u32::try_from(pid) else {
            if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted {
                continue;
            }
            return None;
        };
        if libc::WIFEXITED(status) {
            // The kernel keeps eight bits of the code.
            return Some((pid, Ended::Code(libc::WEXITSTATUS(status) as u8)));
        }
        if libc::WIFSIGNALED(status) {
            return Some((pid, Ended::Signal(libc::WTERMSIG(status))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(command: &str, path: Option<&str>) -> Vec<String> {
        let program = Program::find(&[command.into()], path.map(OsString::from)).unwrap();
        program.candidates().iter().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn a_name_is_searched_and_a_path_is_not() {
        assert_eq!(candidates("ls", Some("/usr/bin:/bin")), ["/usr/bin/ls", "/bin/ls"]);
        assert_eq!(candidates("ls", None), ["/bin/ls", "/usr/bin/ls"]);
        // An empty entry and a relative one start at the working directory.
        assert_eq!(candidates("ls", Some(":bin")), ["./ls", "./bin/ls"]);
        assert_eq!(candidates("./ls", Some("/bin")), ["./ls"]);
        assert_eq!(candidates("", Some("/bin")), [""; 0]);
    }

    #[test]
    fn words_with_nul_are_refused() {
        assert!(Program::find(&[], None).is_none());
        assert!(Program::find(&["ls".into(), "a\0b".into()], None).is_none());
    }

    #[test]
    fn with_threads_no_fork() {
        // The harness has more than one thread; one more makes sure.
        let (_keep, wait) = std::sync::mpsc::channel::<()>();
        let _thread = std::thread::spawn(move || wait.recv());
        let error = fork_into(Namespaces::NONE, &[], || 0).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EDEADLK));
    }

    #[test]
    fn the_limit_on_files_goes_up_and_back() {
        let before = OpenFiles::raise();
        let raised = OpenFiles::current();
        assert!(raised.soft >= before.soft && raised.soft == raised.hard, "{before:?} {raised:?}");
        before.set().unwrap();
        assert_eq!(OpenFiles::current(), before);
    }
}
