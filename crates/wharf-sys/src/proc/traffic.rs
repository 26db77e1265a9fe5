//! What the kernel of a network namespace counts at its interfaces (`/proc/PID/net/dev`, proc(5)).

use std::fs::File;
use std::io::{self, Read, Seek};

/// Where "drop" of the transmit half stands behind the interface's name, and the beginnings of both halves.
const SENT_DROPPED: usize = SENT + 3;
const RECEIVED: usize = 0;
const SENT: usize = 8;

/// What an interface has counted since it was made, frames with their headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Bytes that left by it.
    pub sent_bytes: u64,
    /// Packets that did.
    pub sent_packets: u64,
    /// Packets that were to leave and were dropped.
    pub sent_dropped: u64,
    /// Bytes that came.
    pub received_bytes: u64,
    /// Packets that did.
    pub received_packets: u64,
}

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
        self.totals(interface).map(|totals| totals.sent_dropped)
    }

    /// What an interface has counted. `None` when it is not there.
    pub fn totals(&mut self, interface: &str) -> Option<Totals> {
        let mut text = String::new();
        self.0.rewind().ok()?;
        self.0.read_to_string(&mut text).ok()?;
        totals(&text, interface)
    }
}

fn totals(text: &str, interface: &str) -> Option<Totals> {
    let (_, fields) =
        text.lines().filter_map(|line| line.split_once(':')).find(|(name, _)| name.trim() == interface)?;
    let field = |at| fields.split_whitespace().nth(at)?.parse().ok();
    Some(Totals {
        sent_bytes: field(SENT)?,
        sent_packets: field(SENT + 1)?,
        sent_dropped: field(SENT_DROPPED)?,
        received_bytes: field(RECEIVED)?,
        received_packets: field(RECEIVED + 1)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_transmit_half() {
        let text = "Inter-|   Receive  |  Transmit\n face |bytes packets errs drop | bytes packets errs drop\n    \
                    lo:  1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n  eth0:21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36\n";
        let sent_dropped = |interface| totals(text, interface).map(|totals| totals.sent_dropped);
        assert_eq!(sent_dropped("eth0"), Some(32));
        assert_eq!(sent_dropped("lo"), Some(12));
        assert_eq!(sent_dropped("eth"), None);
        assert_eq!(totals("eth0: 1 2", "eth0"), None);
        let Some(Totals {
            sent_bytes: 29, sent_packets: 30, received_bytes: 21, received_packets: 22, ..
        }) = totals(text, "eth0")
        else {
            panic!("the halves begin with bytes and packets");
        };
    }

    #[test]
    fn every_namespace_has_a_loopback() {
        assert_eq!(Traffic::of(std::process::id()).unwrap().sent_dropped("lo"), Some(0));
        assert!(Traffic::of(u32::MAX).is_err());
    }
}
