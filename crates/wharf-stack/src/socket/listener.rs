//! Listening sockets: listen(2), accept(2), and the queue between them.

use alloc::boxed::Box;
use alloc::sync::Arc;

use wharf_table::{Endpoint, Instant};

use super::address::refused;
use super::entry::{Body, Claimed, Idle, Marks, Socket, Stream};
use super::errno::Errno;
use super::{Host, SocketId};
use crate::tcp::State;

/// net.core.somaxconn: the longest queue.
const BACKLOG_MAX: i32 = 4_096;

/// A socket that listens.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) marks: Marks,
    pub(super) error: Option<Errno>,
    pub(super) claim: Claimed,
    backlog: u32,
    /// How many connections wait in the stack to be accepted.
    waiting: usize,
}

impl Listener {
    pub(super) fn is_ready(&self) -> bool {
        self.waiting > 0
    }

    /// Connections that wait, and how many may.
    pub(super) fn backlog(&self) -> (usize, u32) {
        (self.waiting, self.backlog)
    }
}

impl Host {
    /// Lets a stream socket take connections, up to `backlog` that nobody has accepted; a port is chosen where none is bound.
    /// A socket that listens already gets another backlog.
    ///
    /// # Errors
    /// [`Errno::NotSupported`] for datagrams, [`Errno::Invalid`] for a socket with a connection, [`Errno::AddressInUse`].
    pub fn listen(&mut self, now: Instant, id: SocketId, backlog: i32) -> Result<(), Errno> {
        self.settle(now);
        let limit = if backlog < 0 { BACKLOG_MAX } else { backlog.min(BACKLOG_MAX) } as u32;
        match &mut self.entry_mut(id)?.body {
            Body::Datagram(_) => return Err(Errno::NotSupported),
            Body::Stream(_) => return Err(Errno::Invalid),
            Body::Listener(listener) => {
                listener.backlog = limit;
                let binding = listener.claim.binding;
                return self.stack.listen_on(binding, id.0, Some(limit)).map_err(refused);
            }
            Body::Idle(idle) if idle.marks.connecting => return Err(Errno::Invalid),
            Body::Idle(idle) if idle.claim.is_some() => {}
            Body::Idle(idle) => {
                let any = Endpoint { addr: idle.marks.domain().any(), port: 0 };
                self.claim(id, any)?;
            }
        }
        if let Body::Idle(idle) = &self.entry(id)?.body
            && let Some(claim) = idle.claim
        {
            self.stack.listen_on(claim.binding, id.0, Some(limit)).map_err(refused)?;
        }
        let body = &mut self.entry_mut(id)?.body;
        if let Body::Idle(idle) = body
            && let Some(claim) = idle.claim
        {
            let Idle { marks, error, .. } = **idle;
            let listener = Listener { marks, error, claim, backlog: limit, waiting: 0 };
            *body = Body::Listener(Box::new(listener));
        }
        self.shape_listener(id);
        Ok(())
    }

    /// Takes the oldest connection that waits at a listener, and tells who it is from. The new socket has the listener's
    /// options.
    ///
    /// # Errors
    /// [`Errno::Again`] when none waits, [`Errno::Invalid`] when the socket does not listen, [`Errno::NotSupported`] for
    /// datagrams, [`Errno::TooManyOpen`].
    pub fn accept(&mut self, now: Instant, id: SocketId) -> Result<(SocketId, Endpoint), Errno> {
        self.settle(now);
        let full = self.sockets.len() >= self.max_sockets;
        let Socket { options, body } = self.entry_mut(id)?;
        let listener = match body {
            Body::Listener(listener) => listener,
            Body::Datagram(_) => return Err(Errno::NotSupported),
            Body::Idle(_) | Body::Stream(_) => return Err(Errno::Invalid),
        };
        if full && listener.is_ready() {
            return Err(Errno::TooManyOpen);
        }
        let (binding, domain) = (listener.claim.binding, listener.marks.domain());
        let options = Arc::clone(options);
        let conn = self.stack.accept_next(now, binding).ok_or(Errno::Again)?;
        let waiting = self.stack.acceptable_count(binding);
        if let Body::Listener(listener) = &mut self.entry_mut(id)?.body {
            listener.waiting = waiting;
        }
        let mut stream = Stream::new(conn, Marks::new(domain));
        let peer = self.stack.tuple(conn).remote;
        match self.stack.state(conn) {
            State::Closed => {
                stream.marks.over = true;
                stream.error = Errno::of_close(self.stack.connection(conn).closed_by(), peer.addr.is_v4());
            }
            state => stream.marks.peer_finished = !state.may_receive(),
        }
        let id = self.insert(Socket { options, body: Body::Stream(stream) })?;
        self.set_socket_of(conn, Some(id));
        self.apply_options(now, id);
        self.wake(id);
        Ok((id, peer))
    }

    /// Connections that wait at a listener, and its backlog.
    ///
    /// # Errors
    /// [`Errno::Invalid`] when it does not listen.
    pub fn backlog(&self, id: SocketId) -> Result<(usize, u32), Errno> {
        match &self.entry(id)?.body {
            Body::Listener(listener) => Ok(listener.backlog()),
            _ => Err(Errno::Invalid),
        }
    }

    /// Connections wait at a listener.
    pub(super) fn on_acceptable(&mut self, listener: u32) {
        if let Some(Socket { body: Body::Listener(at), .. }) = self.sockets.value_mut(listener) {
            at.waiting = self.stack.acceptable_count(at.claim.binding);
            self.wake(SocketId(listener));
        }
    }

    /// Nobody will accept what waits.
    pub(super) fn close_listener(&mut self, now: Instant, listener: Listener) {
        self.stack.close_listener(now, listener.claim.binding);
    }

    /// SHUT_RD ends the listening; the port stays bound.
    pub(super) fn stop_listening(&mut self, now: Instant, id: SocketId) -> Result<(), Errno> {
        let body = &mut self.entry_mut(id)?.body;
        let Body::Listener(listener) = body else { return Err(Errno::Invalid) };
        let claim = listener.claim;
        let idle = Idle { marks: listener.marks, error: listener.error, claim: Some(claim), last_port: 0 };
        *body = Body::Idle(Box::new(idle));
        self.stack.stop_listening(now, claim.binding);
        self.settle(now);
        self.wake(id);
        Ok(())
    }
}
