//! What the stack has to say, told to the socket that it is about.

use alloc::collections::VecDeque;

use wharf_table::Instant;

use super::entry::{Body, Socket};
use super::errno::Errno;
use super::{Host, NOBODY, SocketId};
use crate::stack::places::Places;
use crate::stack::{ConnId, DatagramError, DatagramIn, DatagramSink, Event};
use crate::tcp::{CloseReason, Events};

/// Puts a socket into the list of those whose readiness may have changed.
pub(super) fn wake(sockets: &mut Places<Socket>, ready: &mut VecDeque<u32>, index: u32) {
    let Some(socket) = sockets.value_mut(index) else { return };
    let marks = socket.body.marks_mut();
    if !marks.queued {
        marks.queued = true;
        ready.push_back(index);
    }
}

/// Where datagrams go that arrive.
pub(super) struct Inbox<'a> {
    pub(super) now: Instant,
    pub(super) sockets: &'a mut Places<Socket>,
    pub(super) ready: &'a mut VecDeque<u32>,
    /// Datagrams that found their queue full.
    pub(super) lost: u64,
}

impl DatagramSink for Inbox<'_> {
    fn datagram(&mut self, datagram: DatagramIn<'_>) {
        let Some(index) = datagram.binding else { return };
        if let Some(Socket { options, body: Body::Datagram(datagrams) }) = self.sockets.value_mut(index) {
            let lost = datagrams.take(self.now, options, &datagram);
            self.lost += lost;
            wake(self.sockets, self.ready, index);
        }
    }

    fn takes(&self, binding: u32, datagram: &DatagramIn<'_>) -> bool {
        match self.sockets.value(binding).map(|socket| &socket.body) {
            Some(Body::Datagram(datagrams)) => datagrams.hears(datagram.source),
            _ => false,
        }
    }

    fn error(&mut self, error: DatagramError<'_>) {
        let index = error.binding;
        if let Some(Socket { options, body: Body::Datagram(datagrams) }) = self.sockets.value_mut(index)
            && datagrams.take_error(options, &error)
        {
            wake(self.sockets, self.ready, index);
        }
    }
}

impl Host {
    pub(super) fn on_event(&mut self, event: Event) {
        match event {
            // A host accepts by itself.
            Event::Incoming(_) => {}
            Event::Acceptable { token, .. } => self.on_acceptable(token),
            Event::Connected(conn) => {
                if let Some(id) = self.socket_of(conn) {
                    self.wake(id);
                }
            }
            Event::Progress(conn, events) => {
                if let Some(id) = self.socket_of(conn) {
                    self.on_progress(id, events);
                }
            }
            Event::Closed(conn, reason) => {
                if let Some(id) = self.socket_of(conn) {
                    self.on_closed(id, reason);
                }
            }
        }
    }

    /// The socket of a connection; `None` while it waits to be accepted.
    fn socket_of(&self, conn: ConnId) -> Option<SocketId> {
        self.by_conn.get(conn.index()).filter(|&&index| index != NOBODY).map(|&index| SocketId(index))
    }

    /// Notes whose connection it is, or that it is nobody's any more.
    pub(super) fn set_socket_of(&mut self, conn: ConnId, id: Option<SocketId>) {
        if conn.index() >= self.by_conn.len() {
            self.by_conn.resize(conn.index() + 1, NOBODY);
        }
        self.by_conn[conn.index()] = id.map_or(NOBODY, |id| id.0);
    }

    fn on_progress(&mut self, id: SocketId, events: Events) {
        if let Some(Socket { body: Body::Stream(stream), .. }) = self.sockets.value_mut(id.0) {
            stream.marks.peer_finished |= events.contains(Events::PEER_FINISHED);
            stream.marks.urgent_read &= !events.contains(Events::URGENT);
        }
        self.wake(id);
    }

    fn on_closed(&mut self, id: SocketId, reason: CloseReason) {
        if let Some(Socket { body: Body::Stream(stream), .. }) = self.sockets.value_mut(id.0) {
            let v4 = self.stack.tuple(stream.conn()).remote.addr.is_v4();
            stream.marks.over = true;
            stream.error = match reason {
                // Linux says so when the peer had finished before.
                CloseReason::ResetByPeer if stream.marks.peer_finished && !stream.marks.write_shut => {
                    Some(Errno::BrokenPipe)
                }
                // Where both had opened at once: to Linux only an answer to a SYN refuses.
                CloseReason::Refused if self.stack.connection(stream.conn()).has_heard_syn() => {
                    Some(Errno::ConnectionReset)
                }
                reason => Errno::of_close(reason, v4).or(stream.error),
            };
        }
        self.wake(id);
    }
}
