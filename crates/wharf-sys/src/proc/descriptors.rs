//! Which process holds which socket: a walk over `/proc/PID/fd` (proc_pid_fd(5)).
//!
//! Two system calls a descriptor would be one too many, so directories are read in large pieces, links relative to their
//! directory, and the names of sockets without making text of them.

use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::fs::{CWD, Mode, OFlags, RawDir, openat, readlinkat_raw};
use rustix::io::Errno;

/// Room for the entries of a directory.
const ENTRIES_BYTES: usize = 32 * 1024;
/// Room for a link's text: `socket:[4294967295]` fits, and what is longer is no socket.
const LINK_BYTES: usize = 40;

/// Why the descriptors of a process can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It has ended.
    Gone,
    /// It is another user's, and CAP_SYS_PTRACE is missing.
    Hidden,
}

/// Reads the descriptors of processes.
pub struct Walk {
    proc: OwnedFd,
    entries: Box<[MaybeUninit<u8>]>,
}

impl Walk {
    /// Opens `/proc`. `None` where there is none.
    pub fn open() -> Option<Walk> {
        let proc = File::open("/proc").ok()?.into();
        Some(Walk { proc, entries: vec![MaybeUninit::uninit(); ENTRIES_BYTES].into() })
    }

    /// All processes that `/proc` shows, in the order of their numbers.
    pub fn processes(&mut self) -> Vec<u32> {
        let mut pids = Vec::new();
        let Ok(proc) = openat(&self.proc, ".", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) else {
            return pids;
        };
        let mut entries = RawDir::new(proc, &mut self.entries);
        while let Some(Ok(entry)) = entries.next() {
            pids.extend(number(entry.file_name().to_bytes()));
        }
        pids
    }

    /// Hands every socket of a process to `each`: its descriptor, and its number among the files.
    ///
    /// # Errors
    /// [`Unread`].
    pub fn sockets(&mut self, pid: u32, mut each: impl FnMut(u32, u32)) -> Result<(), Unread> {
        let path = format!("{pid}/fd");
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(&self.proc, &path, flags, Mode::empty()).map_err(unread)?;
        let mut entries = RawDir::new(&directory, &mut self.entries);
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(unread)?;
            let mut room = [MaybeUninit::<u8>::uninit(); LINK_BYTES];
            let Some(descriptor) = number(entry.file_name().to_bytes()) else { continue };
            let Ok((target, _)) = readlinkat_raw(&directory, entry.file_name(), &mut room) else { continue };
            if let Some(inode) = socket_number(target) {
                each(descriptor, inode);
            }
        }
        Ok(())
    }
}

fn unread(error: Errno) -> Unread {
    match error {
        Errno::ACCESS | Errno::PERM => Unread::Hidden,
        _ => Unread::Gone,
    }
}

/// The number in `socket:[4711]`.
fn socket_number(link: &[u8]) -> Option<u32> {
    number(link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?)
}

fn number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u32, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Whether `/proc` is there and shows this process.
pub fn is_mounted() -> bool {
    rustix::fs::statat(CWD, "/proc/self", rustix::fs::AtFlags::empty()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn sockets_of_this_process_are_found() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let again = socket.try_clone().unwrap();
        let inode = std::fs::metadata(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap().ino();
        let mut walk = Walk::open().unwrap();
        assert!(walk.processes().contains(&std::process::id()));
        let mut found = Vec::new();
        walk.sockets(std::process::id(), |descriptor, number| {
            if u64::from(number) == inode {
                found.push(descriptor);
            }
        })
        .unwrap();
        found.sort_unstable();
        let mut expected = [socket.as_raw_fd() as u32, again.as_raw_fd() as u32];
        expected.sort_unstable();
        assert_eq!(found, expected);
        assert_eq!(walk.sockets(u32::MAX, |_, _| {}), Err(Unread::Gone));
        assert!(is_mounted());
    }

    #[test]
    fn only_sockets_are_sockets() {
        assert_eq!(socket_number(b"socket:[4711]"), Some(4711));
        for other in ["socket:[]", "socket:[x]", "pipe:[1]", "/tmp/socket:[1]", "socket:[99999999999]"] {
            assert_eq!(socket_number(other.as_bytes()), None, "{other}");
        }
    }
}
