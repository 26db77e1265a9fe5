//! MSG_ZEROCOPY: a program that lends its bytes hears by the error queue when they are free. Here they are copied at once,
//! which the notice says (SO_EE_CODE_ZEROCOPY_COPIED); it comes all the same when the peer has acknowledged them, as Linux'
//! does, so that a program that waits for it goes on.
//!
//! Each send has a number, from 0; notices of numbers that follow each other are one.

use alloc::collections::VecDeque;

use super::entry::{Body, Socket};
use super::errno::Errno;
use super::options::OptionName;
use super::{Host, SocketId};
use crate::tcp::SeqNum;

/// The sends of one socket.
#[derive(Debug, Default)]
pub(super) struct ZeroCopies {
    next: u32,
    /// Where each ends that is not acknowledged.
    waiting: VecDeque<(SeqNum, u32)>,
    /// First and last numbers of which nobody has been told.
    told: VecDeque<(u32, u32)>,
}

impl ZeroCopies {
    /// Moves what `is_free` to what is to be told; whether there was any.
    fn release(&mut self, is_free: impl Fn(SeqNum) -> bool) -> bool {
        let before = self.waiting.len();
        while let Some(&(end, number)) = self.waiting.front()
            && is_free(end)
        {
            self.waiting.pop_front();
            match self.told.back_mut() {
                Some((_, last)) if last.wrapping_add(1) == number => *last = number,
                _ => self.told.push_back((number, number)),
            }
        }
        self.waiting.len() < before
    }
}

impl Host {
    /// What was sent last was lent (MSG_ZEROCOPY): a notice follows when the peer has it, if the socket has
    /// [`OptionName::ZeroCopy`]. [`Readiness::ERR`](super::Readiness::ERR) tells of it, and [`Host::receive_zero_copy`] gives it.
    ///
    /// # Errors
    /// [`Errno::BadDescriptor`].
    pub fn note_zero_copy(&mut self, id: SocketId) -> Result<(), Errno> {
        let Socket { options, body } = self.entry(id)?;
        if let Body::Stream(stream) = body
            && options.has(OptionName::ZeroCopy)
        {
            let end = self.stack.connection(stream.conn()).queued_end();
            let copies = self.zero_copies.entry(id.0).or_default();
            copies.waiting.push_back((end, copies.next));
            copies.next = copies.next.wrapping_add(1);
        }
        Ok(())
    }

    /// The oldest notice: the first and the last number of sends that are free.
    ///
    /// # Errors
    /// [`Errno::Again`] when there is none.
    pub fn receive_zero_copy(&mut self, id: SocketId) -> Result<(u32, u32), Errno> {
        self.zero_copies.get_mut(&id.0).and_then(|copies| copies.told.pop_front()).ok_or(Errno::Again)
    }

    /// Whether there is a notice.
    pub(super) fn has_zero_copy(&self, id: SocketId) -> bool {
        self.zero_copies.get(&id.0).is_some_and(|copies| !copies.told.is_empty())
    }

    /// Something may have been acknowledged.
    pub(super) fn look_at_zero_copies(&mut self) {
        let Host { stack, sockets, ready, zero_copies, .. } = self;
        for (&index, copies) in zero_copies.iter_mut().filter(|(_, copies)| !copies.waiting.is_empty()) {
            let released = match sockets.value(index).map(|socket| &socket.body) {
                Some(Body::Stream(stream)) => {
                    let conn = stack.connection(stream.conn());
                    copies.release(|end| conn.is_closed() || conn.has_acknowledged(end))
                }
                _ => copies.release(|_| true),
            };
            if released {
                super::events::wake(sockets, ready, index);
            }
        }
    }
}
