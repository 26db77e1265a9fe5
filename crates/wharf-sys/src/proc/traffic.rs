//! What the kernel of a network namespace counts at its interfaces (`/proc/PID/net/dev`, proc(5)).

use std::fs::File;
use std::io::{self, Read, Seek};

/// Where "drop" of the transmit half stands behind the interface's name.
const SENT_DROPPED: usize = 11;

/// The counters of the namespace of a process. They can be read when the process has long ended; the namespace stays until
/// this is dropped.
#[derive(Debug)]
pub struct Traffic(File);

impl Traffic {
    /// Those of the process `pid`.
    ///
    /// # Errors
    /// There is no such process, or `/proc` hides it.
    pub fn of(pid: u32) -> io::Result<Traffic> {
        File::open(format!("/proc/{pid}/net/dev")).map(Traffic)
    }

    /// How many frames that were to leave by an interface were dropped before that. `None` when it is not there.
    pub fn sent_dropped(&mut self, interface: &str) -> Option<u64> {
        let mut text = String::new();
        self.0.rewind().ok()?;
        self.0.read_to_string(&mut text).ok()?;
        sent_dropped(&text, interface)
    }
}

fn sent_dropped(text: &str, interface: &str) -> Option<u64> {
    let fields =
        text.lines().filter_map(|line| line.split_once(':')).find(|(name, _)| name.trim() == interface);
    fields?.1.split_whitespace().nth(SENT_DROPPED)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_transmit_half() {
        let text = "Inter-|   Receive  |  Transmit\n face |bytes packets errs drop | bytes packets errs drop\n    \
                    lo:  1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n  eth0:21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36\n";
        assert_eq!(sent_dropped(text, "eth0"), Some(32));
        assert_eq!(sent_dropped(text, "lo"), Some(12));
        assert_eq!(sent_dropped(text, "eth"), None);
        assert_eq!(sent_dropped("eth0: 1 2", "eth0"), None);
    }

    #[test]
    fn every_namespace_has_a_loopback() {
        assert_eq!(Traffic::of(std::process::id()).unwrap().sent_dropped("lo"), Some(0));
        assert!(Traffic::of(u32::MAX).is_err());
    }
}
