//! What uses a connection: bytes to send, an appetite for bytes that come, and a memory of what happened.

use wharf_stack::stack::{ConnId, Stack};
use wharf_stack::tcp::{CloseReason, Events};
use wharf_table::Instant;

/// How an application reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Everything, at once.
    Eager,
    /// Nothing: the window closes.
    Paused,
    /// So many bytes each time something happens.
    Sips(usize),
}

/// One connection as its application sees it.
#[derive(Debug)]
pub struct Stream {
    pub(crate) conn: ConnId,
    outbox: Vec<u8>,
    sent: usize,
    finish: bool,
    finished: bool,
    inbox: Vec<u8>,
    reading: Reading,
    connected: bool,
    peer_finished: bool,
    closed: Option<CloseReason>,
    pub(crate) released: bool,
}

impl Stream {
    pub(crate) fn new(conn: ConnId) -> Stream {
        Stream {
            conn,
            outbox: Vec::new(),
            sent: 0,
            finish: false,
            finished: false,
            inbox: Vec::new(),
            reading: Reading::Eager,
            connected: false,
            peer_finished: false,
            closed: None,
            released: false,
        }
    }

    /// Everything that was read.
    pub fn received(&self) -> &[u8] {
        &self.inbox
    }

    /// Bytes that the stack has taken.
    pub fn sent(&self) -> usize {
        self.sent
    }

    /// Whether it was established at some time.
    pub fn was_connected(&self) -> bool {
        self.connected
    }

    /// Whether everything that the peer will ever send has been read.
    pub fn reached_end(&self) -> bool {
        self.peer_finished
    }

    /// Why it is over, once it is.
    pub fn closed(&self) -> Option<CloseReason> {
        self.closed
    }

    pub(crate) fn queue(&mut self, bytes: &[u8]) {
        self.outbox.extend_from_slice(bytes);
    }

    pub(crate) fn finish(&mut self) {
        self.finish = true;
    }

    pub(crate) fn read(&mut self, reading: Reading) {
        self.reading = reading;
    }

    pub(crate) fn on_connected(&mut self) {
        assert!(!self.connected, "a connection is announced once");
        self.connected = true;
    }

    pub(crate) fn on_closed(&mut self, reason: CloseReason) {
        assert_eq!(self.closed, None, "a connection ends once");
        self.closed = Some(reason);
    }

    pub(crate) fn on_progress(&mut self, events: Events) {
        assert!(!events.is_empty(), "progress says what it is");
    }

    /// Reads and sends as much as the stack gives and takes.
    pub(crate) fn work(&mut self, now: Instant, stack: &mut Stack) {
        if self.released {
            return;
        }
        self.take(now, stack);
        if self.closed.is_some() {
            return;
        }
        if self.sent < self.outbox.len() {
            self.sent += stack.send(now, self.conn, &self.outbox[self.sent..]);
        }
        if self.finish && !self.finished && self.sent == self.outbox.len() {
            self.finished = true;
            stack.shutdown(now, self.conn);
        }
    }

    fn take(&mut self, now: Instant, stack: &mut Stack) {
        let most = match self.reading {
            Reading::Eager => usize::MAX,
            Reading::Paused => return,
            Reading::Sips(most) => most,
        };
        let (slices, len) = stack.received(self.conn);
        let count = len.min(most);
        let mut left = count;
        for slice in slices {
            let part = left.min(slice.len());
            self.inbox.extend_from_slice(&slice[..part]);
            left -= part;
        }
        assert_eq!(left, 0, "the slices hold what their length says");
        if count > 0 {
            stack.consume(now, self.conn, count);
        }
        let connection = stack.connection(self.conn);
        self.peer_finished = connection.peer_has_finished() && connection.received_len() == 0;
    }
}
