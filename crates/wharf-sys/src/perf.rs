//! Tracepoints as input of a loop: perf_event_open(2) without BPF, one ring for each processor.
//!
//! The rings are memory that the kernel writes to and this process reads; they and what fills them end with the descriptors,
//! however the process ends. When a ring is full the kernel counts what it drops and says so.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::call::{check, check_long};
use crate::tracepoint::Tracepoint;

const PERF_TYPE_TRACEPOINT: u32 = 2;
const PERF_SAMPLE_TID: u64 = 1 << 1;
const PERF_SAMPLE_TIME: u64 = 1 << 2;
const PERF_SAMPLE_RAW: u64 = 1 << 10;
/// `use_clockid` among the flags.
const USE_CLOCKID: u64 = 1 << 25;
const PERF_FLAG_FD_OUTPUT: libc::c_ulong = 1 << 1;
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 1 << 3;
const PERF_RECORD_LOST: u32 = 2;
const PERF_RECORD_SAMPLE: u32 = 9;
/// Where the head and the tail of the data stand in the first page.
const DATA_HEAD: usize = 1024;
const DATA_TAIL: usize = 1032;
/// Bytes of `perf_event_header`.
const HEADER_BYTES: usize = 8;

/// `perf_event_attr` in its third version, which is the first with a clock.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    breakpoint_type: u32,
    config1: u64,
    config2: u64,
    branch_sample_type: u64,
    sample_regs_user: u64,
    sample_stack_user: u32,
    clock: i32,
}

/// A tracepoint that was passed.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// The process that ran at that moment, by its number here; 0 when it has none here. What the kernel does for no
    /// process is counted to the one that it interrupts.
    pub pid: u32,
    /// When, in nanoseconds of `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// The record, in which [`Tracepoint::field`] finds the fields.
    pub record: &'a [u8],
}

impl Sample<'_> {
    /// Whether it was this tracepoint.
    pub fn is_of(&self, point: &Tracepoint) -> bool {
        let number = self.record.get(..2).and_then(|two| <[u8; 2]>::try_from(two).ok());
        number.is_some_and(|two| u64::from(u16::from_ne_bytes(two)) == point.id())
    }
}

/// Rings that are filled with the passing of tracepoints, on all processors.
#[derive(Debug)]
pub struct Rings {
    rings: Vec<Ring>,
    room: Vec<u8>,
}

impl Rings {
    /// Starts to listen to tracepoints. Each processor's ring has `pages` pages, a power of two.
    ///
    /// # Errors
    /// `EACCES` or `EPERM` without CAP_PERFMON (or root), `ENOENT` or `ENOSYS` where the kernel has no such events.
    pub fn open(points: &[&Tracepoint], pages: usize) -> io::Result<Rings> {
        let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_else(|_| "0".into());
        let rings =
            processors(&online).map(|cpu| Ring::open(points, cpu, pages)).collect::<Result<_, _>>()?;
        Ok(Rings { rings, room: Vec::new() })
    }

    /// What to wait for: readable when there is something in a ring.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.rings.iter().filter_map(|ring| Some(ring.events.first()?.as_fd()))
    }

    /// Hands out what came since the last time, processor after processor, and returns how many the kernel had to drop.
    pub fn read(&mut self, mut each: impl FnMut(Sample<'_>)) -> u64 {
        let mut dropped = 0;
        for ring in &self.rings {
            ring.read(&mut self.room);
            let mut rest = &self.room[..];
            while let Some((kind, body, next)) = split_record(rest) {
                match kind {
                    PERF_RECORD_SAMPLE => sample(body).into_iter().for_each(&mut each),
                    // The number of the event, then how many.
                    PERF_RECORD_LOST => dropped += number(body, 8).unwrap_or_default(),
                    _ => {}
                }
                rest = next;
            }
        }
        dropped
    }
}

/// The ring of one processor.
#[derive(Debug)]
struct Ring {
    /// The first event has the ring, the others write into it.
    events: Vec<OwnedFd>,
    memory: NonNull<u8>,
    page: usize,
    /// Bytes of data, behind the first page.
    length: usize,
}

// SAFETY: the mapping belongs to this value alone and is not tied to a thread.
unsafe impl Send for Ring {}

impl Ring {
    fn open(points: &[&Tracepoint], cpu: u32, pages: usize) -> io::Result<Ring> {
        let mut events: Vec<OwnedFd> = Vec::new();
        for point in points {
            let event = open_event(point, cpu, events.first())?;
            events.push(event);
        }
        let first = events.first().ok_or(io::ErrorKind::InvalidInput)?;
        let page = rustix::param::page_size();
        let length = pages.next_power_of_two() * page;
        // SAFETY: a new mapping of a descriptor of ours at an address of the kernel's choice.
        let memory = unsafe {
            libc::mmap(
                ptr::null_mut(),
                page + length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                first.as_raw_fd(),
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let memory = NonNull::new(memory.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Ring { events, memory, page, length })
    }

    /// The head, which the kernel moves, or the tail, which is ours.
    fn place(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: the first page is mapped as long as `self` lives, the offset lies within it and is a multiple of eight;
        // all access to these words is atomic.
        unsafe { self.memory.add(offset).cast::<AtomicU64>().as_ref() }
    }

    /// Moves what is there to `room`.
    fn read(&self, room: &mut Vec<u8>) {
        room.clear();
        let head = self.place(DATA_HEAD).load(Ordering::Acquire);
        let tail = self.place(DATA_TAIL).load(Ordering::Relaxed);
        let count = (head.wrapping_sub(tail) as usize).min(self.length);
        let start = tail as usize & (self.length - 1);
        let first = count.min(self.length - start);
        for (at, bytes) in [(start, first), (0, count - first)] {
            // SAFETY: `at` and `bytes` lie within the data behind the first page, which is mapped as long as `self` lives; the
            // kernel writes only what lies outside of head and tail.
            room.extend_from_slice(unsafe {
                std::slice::from_raw_parts(self.memory.as_ptr().add(self.page + at), bytes)
            });
        }
        self.place(DATA_TAIL).store(head, Ordering::Release);
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this length and nobody has a reference into it.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.page + self.length) };
    }
}

fn open_event(point: &Tracepoint, cpu: u32, output: Option<&OwnedFd>) -> io::Result<OwnedFd> {
    let attributes = Attributes {
        kind: PERF_TYPE_TRACEPOINT,
        size: size_of::<Attributes>() as u32,
        config: point.id(),
        sample_period: 1,
        sample_type: PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_RAW,
        flags: USE_CLOCKID,
        wakeup_events: 1,
        clock: libc::CLOCK_MONOTONIC,
        ..Attributes::default()
    };
    let group = output.map_or(-1, AsRawFd::as_raw_fd);
    let flags = PERF_FLAG_FD_CLOEXEC | if output.is_some() { PERF_FLAG_FD_OUTPUT } else { 0 };
    let any_process: libc::pid_t = -1;
    // SAFETY: the structure says its own size and outlives the call, which only reads it; all else are integers.
    let fd = check_long(unsafe {
        libc::syscall(libc::SYS_perf_event_open, &raw const attributes, any_process, cpu, group, flags)
    })?;
    let fd = check(fd as libc::c_int)?;
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The kind and the body of the first record, and what stands behind it.
fn split_record(bytes: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let kind = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?);
    let size = usize::from(u16::from_ne_bytes(bytes.get(6..8)?.try_into().ok()?));
    Some((kind, bytes.get(HEADER_BYTES..size)?, bytes.get(size..)?))
}

/// Process and thread, time, length and bytes of the record: the order of the `PERF_SAMPLE_` bits.
fn sample(body: &[u8]) -> Option<Sample<'_>> {
    let pid = u32::from_ne_bytes(body.get(..4)?.try_into().ok()?);
    let length = u32::from_ne_bytes(body.get(16..20)?.try_into().ok()?) as usize;
    // A process of a namespace above ours is -1.
    let pid = if pid == u32::MAX { 0 } else { pid };
    Some(Sample { pid, at_ns: number(body, 8)?, record: body.get(20..20 + length)? })
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// The numbers of a list such as `0-3,6`.
fn processors(list: &str) -> impl Iterator<Item = u32> {
    list.trim().split(',').flat_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (first.parse::<u32>(), last.parse::<u32>()) {
            (Ok(first), Ok(last)) => first..last.saturating_add(1),
            _ => 0..0,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn lists_of_processors() {
        assert_eq!(processors("0-3,6\n").collect::<Vec<_>>(), [0, 1, 2, 3, 6]);
        assert_eq!(processors("0").collect::<Vec<_>>(), [0]);
        assert_eq!(processors("none").count(), 0);
    }

    #[test]
    fn a_listener_of_ours_passes_the_tracepoint() {
        let opened = Tracepoint::find("sock", "inet_sock_set_state")
            .and_then(|point| Ok((Rings::open(&[&point], 16)?, point)));
        let (mut rings, point) = match opened {
            Ok(opened) => opened,
            Err(error) => return println!("skipped: no events of the kernel: {error}"),
        };
        let field = |name| point.field(name).unwrap();
        let (sport, newstate) = (field("sport"), field("newstate"));
        // Enough to go around a ring of 64 KiB.
        for _ in 0..1_000 {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            drop(listener);
            let mut states = Vec::new();
            let dropped = rings.read(|sample| {
                if sample.pid == std::process::id() && sport.number(sample.record) == port.into() {
                    assert!(sample.is_of(&point) && sample.at_ns > 0);
                    states.push(newstate.number(sample.record));
                }
            });
            // LISTEN, then CLOSE.
            assert_eq!((&states[..], dropped), (&[10, 7][..], 0));
        }
    }
}
