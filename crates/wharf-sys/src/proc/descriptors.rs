//! Which process holds which socket: a walk over `/proc/PID/fd` (proc_pid_fd(5)).
//!
//! Two system calls a descriptor would be one too many, so directories are read in large pieces, links relative to their
//! directory, and the names of sockets without making text of them.

use std::ffi::CStr;
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, RawDir, SeekFrom, openat, readlinkat_raw};
use rustix::io::Errno;

/// Room for the entries of a directory.
const ENTRIES_BYTES: usize = 32 * 1024;
/// Room for a link's text: `socket:[4294967295]` fits, and what is longer is no socket.
const LINK_BYTES: usize = 40;

/// Where the first descriptor stands in its directory, behind `.` and `..`.
const DESCRIPTORS_BEGIN_AT: u32 = 2;
/// So many gaps between descriptors are passed over, and one for every eight descriptors.
const GAPS: u32 = 8;

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
    pub fn sockets(&mut self, pid: u32, each: impl FnMut(u32, u32)) -> Result<(), Unread> {
        let directory = self.of(pid)?;
        self.sockets_in(&directory, each)
    }

    /// Opens the descriptors of a process.
    ///
    /// # Errors
    /// [`Unread`].
    pub fn of(&self, pid: u32) -> Result<Descriptors, Unread> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut path = [0; 16];
        let directory = openat(&self.proc, written(pid, b"/fd", &mut path), flags, Mode::empty());
        Ok(Descriptors(directory.map_err(unread)?))
    }

    /// Hands every socket of a process to `each`, as [`Walk::sockets`].
    ///
    /// # Errors
    /// [`Unread`].
    pub fn sockets_in(&mut self, of: &Descriptors, mut each: impl FnMut(u32, u32)) -> Result<(), Unread> {
        // To ask for descriptors by their numbers costs a fifth less than to list them first, as long as there are few gaps.
        let asked = of.count().map_or(Ok(0), |count| of.ask_in_turn(count, &mut each))?;
        if asked > 0 {
            let place = asked + DESCRIPTORS_BEGIN_AT;
            rustix::fs::seek(&of.0, SeekFrom::Start(place.into())).map_err(unread)?;
        }
        let mut entries = RawDir::new(&of.0, &mut self.entries);
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(unread)?;
            let Some(descriptor) = number(entry.file_name().to_bytes()) else { continue };
            match of.socket_at(entry.file_name()) {
                Ok(Some(inode)) => each(descriptor, inode),
                // Of some processes the descriptors are shown, and not what they are.
                Err(error) if unread(error) == Unread::Hidden => return Err(Unread::Hidden),
                Ok(None) | Err(_) => {}
            }
        }
        Ok(())
    }
}

/// The descriptors of one process.
#[derive(Debug)]
pub struct Descriptors(OwnedFd);

impl Descriptors {
    /// How many there are; `None` where the kernel does not tell (before Linux 6.2).
    pub fn count(&self) -> Option<u32> {
        let size = rustix::fs::fstat(&self.0).ok()?.st_size;
        u32::try_from(size).ok().filter(|&count| count > 0)
    }

    /// The number of the socket that this descriptor is, if it is one.
    pub fn socket(&self, descriptor: u32) -> Option<u32> {
        let mut name = [0; 16];
        self.socket_at(written(descriptor, b"", &mut name)).ok().flatten()
    }

    /// Looks at one descriptor after the other until `count` were there, or too many were not. Says at which it has stopped. What
    /// lies beyond is still to be listed: others may have been opened meanwhile.
    fn ask_in_turn(&self, count: u32, each: &mut impl FnMut(u32, u32)) -> Result<u32, Unread> {
        let (mut there, mut missing) = (0, 0);
        let mut name = [0; 16];
        let mut descriptor = 0;
        while there < count && missing <= GAPS + count / 8 {
            match self.socket_at(written(descriptor, b"", &mut name)) {
                Ok(found) => {
                    there += 1;
                    found.into_iter().for_each(|inode| each(descriptor, inode));
                }
                Err(error) if unread(error) == Unread::Hidden => return Err(Unread::Hidden),
                Err(_) => missing += 1,
            }
            descriptor += 1;
        }
        Ok(descriptor)
    }

    fn socket_at(&self, name: &CStr) -> Result<Option<u32>, Errno> {
        let mut room = [MaybeUninit::<u8>::uninit(); LINK_BYTES];
        let (target, _) = readlinkat_raw(&self.0, name, &mut room)?;
        Ok(socket_number(target))
    }
}

/// Writes a number and what follows it, without text on the heap: this is done for every process.
fn written<'a>(number: u32, rest: &[u8], room: &'a mut [u8; 16]) -> &'a CStr {
    let mut digits = [0; 10];
    let mut first = digits.len();
    let mut left = number;
    loop {
        first -= 1;
        digits[first] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    let length = digits.len() - first;
    room[..length].copy_from_slice(&digits[first..]);
    room[length..length + rest.len()].copy_from_slice(rest);
    room[length + rest.len()] = 0;
    CStr::from_bytes_until_nul(room).expect("ten digits, three letters and a zero fit the room")
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

/// All processes that `/proc` shows; none where there is no `/proc`.
pub fn processes() -> Vec<u32> {
    Walk::open().map(|mut walk| walk.processes()).unwrap_or_default()
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
        let own = walk.of(std::process::id()).unwrap();
        assert_eq!(own.socket(socket.as_raw_fd() as u32).map(u64::from), Some(inode));
        assert_eq!(own.socket(u32::MAX), None);
        assert!(own.count().is_none_or(|count| count >= 5));
    }

    #[test]
    fn gaps_between_descriptors_hide_nothing() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let copies: Vec<_> = (0..60).map(|_| socket.try_clone().unwrap()).collect();
        let (kept, closed): (Vec<_>, Vec<_>) =
            copies.into_iter().enumerate().partition(|(at, _)| at % 5 == 0);
        drop(closed);
        let far = rustix::io::fcntl_dupfd_cloexec(&socket, 900).unwrap();
        let inode = std::fs::metadata(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap().ino();
        let mut found = Vec::new();
        let mut walk = Walk::open().unwrap();
        let looked = walk.sockets(std::process::id(), |descriptor, number| {
            found.extend((u64::from(number) == inode).then_some(descriptor));
        });
        looked.unwrap();
        found.sort_unstable();
        let mut expected: Vec<_> = kept.iter().map(|(_, copy)| copy.as_raw_fd() as u32).collect();
        expected.extend([socket.as_raw_fd() as u32, far.as_raw_fd() as u32]);
        expected.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn numbers_are_written() {
        let mut room = [b'x'; 16];
        assert_eq!(written(0, b"", &mut room), c"0");
        assert_eq!(written(u32::MAX, b"/fd", &mut room), c"4294967295/fd");
        assert_eq!(written(1203, b"/fd", &mut room), c"1203/fd");
    }

    #[test]
    fn only_sockets_are_sockets() {
        assert_eq!(socket_number(b"socket:[4711]"), Some(4711));
        for other in ["socket:[]", "socket:[x]", "pipe:[1]", "/tmp/socket:[1]", "socket:[99999999999]"] {
            assert_eq!(socket_number(other.as_bytes()), None, "{other}");
        }
    }
}
