//! Sockets in the program's network for the parent, which is not there itself.
//!
//! Init makes them when it is asked to, many at a time, and hands their descriptors over. Each may be bound to any
//! address, and its packets carry [`MARK`]; a rule leads what carries the mark back over `lo`, and the kernel answers
//! with the mark it was asked with. So a connection of such a socket to the program comes from whatever address it was
//! bound to, and never touches the link.
//!
//! Invariant: init makes nothing that was not asked for, and holds none of the sockets it made.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use wharf_sys::control::{Channel, DESCRIPTORS, Wait};
use wharf_sys::namespace;
use wharf_sys::netlink::Batch;
use wharf_sys::netlink::rule::RuleFamily;
use wharf_sys::process;
use wharf_sys::signal::Signals;
use wharf_sys::socket::Family;
use wharf_sys::socket::foreign;

use super::child::CONGESTION;

/// The mark of what belongs to a socket of the parent: "whrf".
const MARK: u32 = 0x7768_7266;
/// The table in which everything is local, and the priority of the rule that leads there: before the main table.
const TABLE: u8 = 119;
const PRIORITY: u32 = 119;
/// SIGCHLD, the same on every architecture but MIPS and Alpha, for which wharf isn't built.
const CHILD_ENDED: i32 = 17;

/// Whether the parent will ask for sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketSupply {
    /// It never will, and nothing is set up for it.
    None,
    /// It may.
    Offered,
}

/// The requests that lead marked packets of a family back.
pub(super) fn lead_back(batch: &mut Batch, family: RuleFamily) {
    batch.everything_is_local(family, TABLE, CONGESTION);
    batch.rule_for_mark(family, MARK, TABLE, PRIORITY);
}

/// Lets the kernel answer with the mark it was asked with, and keep no TIME-WAIT: one that a connection of such a socket left would
/// answer, with the mark, to the SYN of the same client over the link, which would never hear of it. Nothing is under way for
/// longer than a moment on `lo` and the link.
///
/// # Errors
/// It has no such setting.
pub(super) fn answer_with_mark(v6: bool) -> io::Result<()> {
    namespace::set_sysctl("net/ipv4/tcp_fwmark_accept", "1")?;
    namespace::set_sysctl("net/ipv4/fwmark_reflect", "1")?;
    namespace::set_sysctl("net/ipv4/tcp_max_tw_buckets", "0")?;
    if v6 { namespace::set_sysctl("net/ipv6/fwmark_reflect", "1") } else { Ok(()) }
}

/// The parent's end: where sockets are asked for and come.
#[derive(Debug)]
pub struct Sockets {
    channel: Channel,
}

impl Sockets {
    pub(super) fn new(channel: Channel) -> Sockets {
        Sockets { channel }
    }

    /// The most sockets that can be asked for at once.
    pub const MOST: usize = DESCRIPTORS;

    /// Asks for `count` sockets of a family, up to [`Sockets::MOST`]. Each request has one answer.
    ///
    /// # Errors
    /// Init is gone, or its program has ended.
    pub fn ask(&self, family: Family, count: usize) -> io::Result<()> {
        let count = u8::try_from(count.min(Sockets::MOST)).expect("a message carries fewer than 256");
        self.channel.send(&[family_byte(family), count], None)
    }

    /// Takes an answer: the family, and each socket by `take`, which may be fewer than were asked for. `None` when none has
    /// come. Never blocks.
    ///
    /// # Errors
    /// Init is gone, or its program has ended: no more will come.
    pub fn receive(&self, mut take: impl FnMut(OwnedFd)) -> io::Result<Option<Family>> {
        match self.channel.receive_all(Wait::Never, &mut take) {
            Ok(Some(message)) => Ok(message.bytes().first().copied().and_then(byte_family)),
            Ok(None) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Sockets {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

const fn family_byte(family: Family) -> u8 {
    match family {
        Family::V4 => 4,
        Family::V6 => 6,
    }
}

const fn byte_family(byte: u8) -> Option<Family> {
    match byte {
        4 => Some(Family::V4),
        6 => Some(Family::V6),
        _ => None,
    }
}

/// Init's part: answers the parent, and tells `on_end` of each child that has ended, until that says that it was the program.
///
/// # Errors
/// Children can't be waited for in this way.
pub(super) fn serve(
    channel: &Channel,
    mut on_end: impl FnMut(u32, process::Ended) -> Served,
) -> io::Result<()> {
    let children = Signals::take(&[CHILD_ENDED])?;
    let mut asks = true;
    loop {
        while children.read()?.is_some() {}
        // One signal stands for many ends, and one that ended before signals were taken has left none.
        while let Some((pid, ended)) = process::reap_ended() {
            if on_end(pid, ended) == Served::Program {
                return Ok(());
            }
        }
        let mut polled = [PollFd::new(&children, PollFlags::IN), PollFd::new(channel, PollFlags::IN)];
        // A channel that the parent has closed would never leave the call waiting, whatever is asked of it.
        let awaited = if asks { &mut polled[..] } else { &mut polled[..1] };
        match rustix::event::poll(awaited, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if asks && !polled[1].revents().is_empty() {
            // When the parent needs no more, its other channel tells when it is gone.
            asks = answer(channel);
        }
    }
}

/// Whose end was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Served {
    /// The program's.
    Program,
    /// Another one's.
    Orphan,
}

/// Answers what the parent asks for; `false` when it will ask no more.
fn answer(channel: &Channel) -> bool {
    let message = match channel.receive(Wait::Never) {
        Ok(Some(message)) => message,
        Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        Ok(None) => return false,
    };
    let &[byte, count] = message.bytes() else { return false };
    let Some(family) = byte_family(byte) else { return false };
    let count = usize::from(count).min(DESCRIPTORS);
    // Where one can't be made, the next can't either.
    let made = (0..count).map_while(|_| foreign::foreign(family, MARK, CONGESTION).ok());
    let made: Vec<OwnedFd> = made.collect();
    let descriptors: Vec<BorrowedFd<'_>> = made.iter().map(AsFd::as_fd).collect();
    // Too many descriptors on their way: an empty answer is an answer.
    channel.send_all(&[byte], &descriptors).or_else(|_| channel.send(&[byte], None)).is_ok()
}
