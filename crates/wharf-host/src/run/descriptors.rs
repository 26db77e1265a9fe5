//! Descriptors of the host for flows: each flow has one at most, and there are only so many.
//!
//! When all are in use, the newcomer is refused at once, as by a host that has no room, and those that are there go on. A few
//! are kept back for what all of them need: the questions of the name server, and files that are read again.

use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::io::Errno;
use wharf_sys::process::OpenFiles;

/// The most that are kept back from flows. A name server is asked with a descriptor for each question that is under way.
const KEPT_MOST: usize = 32;
/// Of few descriptors, one of so many is kept back.
const KEPT_PART: usize = 4;

/// How many descriptors flows may still have, of all that this process may open.
#[derive(Clone, Debug)]
pub(super) struct Descriptors(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    left: AtomicUsize,
    most: usize,
    /// The limit of this process.
    limit: u64,
    refused: AtomicBool,
}

/// The right to one descriptor, given back when dropped.
#[derive(Debug)]
pub(super) struct Descriptor(Arc<Shared>);

impl Descriptors {
    /// What this process has left: `newest` was opened just now, so that everything below its number is in use, and `more` are
    /// still to be opened.
    pub(super) fn beyond(newest: &OwnedFd, more: u32) -> Descriptors {
        let newest = newest.as_raw_fd().unsigned_abs();
        Descriptors::of(OpenFiles::current().soft.unwrap_or(u64::MAX), newest + more)
    }

    fn of(limit: u64, newest: u32) -> Descriptors {
        let free = usize::try_from(limit.saturating_sub(u64::from(newest) + 1)).unwrap_or(usize::MAX);
        let most = free - KEPT_MOST.min(free / KEPT_PART);
        let (left, refused) = (AtomicUsize::new(most), AtomicBool::new(false));
        Descriptors(Arc::new(Shared { left, most, limit, refused }))
    }

    /// How many flows may have one at a time.
    pub(super) fn most(&self) -> usize {
        self.0.most
    }

    /// Takes one, if there is one, for what can do without.
    pub(super) fn try_take(&self) -> Option<Descriptor> {
        let less = |left: usize| left.checked_sub(1);
        let taken = self.0.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        taken.is_ok().then(|| Descriptor(Arc::clone(&self.0)))
    }

    /// Takes one for a flow, which is refused without.
    ///
    /// # Errors
    /// `EMFILE`: all are in use.
    pub(super) fn take(&self) -> io::Result<Descriptor> {
        self.try_take().ok_or_else(|| {
            let error = Errno::MFILE.into();
            self.note(&error);
            error
        })
    }

    /// Notes why a newcomer was refused, where it was for want of a descriptor: the host as a whole may have none left either.
    pub(super) fn note(&self, error: &io::Error) {
        if is_shortage(error) {
            self.0.refused.store(true, Ordering::Relaxed);
        }
    }

    /// Whether there is something to be told.
    pub(super) fn has_advice(&self) -> bool {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// What is to be told of newcomers that were refused since the last call; `None` where none was.
    pub(super) fn advice(&self) -> Option<String> {
        let Shared { most, limit, ref refused, .. } = *self.0;
        if !refused.load(Ordering::Relaxed) {
            return None;
        }
        refused.store(false, Ordering::Relaxed);
        Some(format!(
            "no descriptor is left for new flows, which are refused until others end ({most} flows may be open \
             under the limit of {limit}; ulimit -Hn raises it)"
        ))
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        self.0.left.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether a call failed because this process, or the host, has no descriptor left.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_leave_some_for_others() {
        assert_eq!(Descriptors::of(1 << 20, 15).most(), (1 << 20) - 16 - 32);
        assert_eq!(Descriptors::of(64, 15).most(), 36);
        assert_eq!(Descriptors::of(16, 15).most(), 0);
        assert_eq!(Descriptors::of(10, 15).most(), 0);
    }

    #[test]
    fn what_is_taken_comes_back() {
        let descriptors = Descriptors::of(20, 15);
        let taken: Vec<_> = std::iter::from_fn(|| descriptors.take().ok()).collect();
        assert_eq!(taken.len(), 3);
        assert!(is_shortage(&descriptors.take().unwrap_err()));
        drop(taken);
        assert!(descriptors.take().is_ok());
        assert!(descriptors.advice().unwrap().contains("3 flows"));
    }

    #[test]
    fn other_failures_are_no_shortage() {
        let descriptors = Descriptors::of(1024, 15);
        descriptors.note(&Errno::CONNREFUSED.into());
        assert_eq!(descriptors.advice(), None);
        descriptors.note(&Errno::NFILE.into());
        assert!(descriptors.advice().is_some());
    }
}
