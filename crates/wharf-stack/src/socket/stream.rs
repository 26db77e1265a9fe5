//! Stream sockets: connect(2), send(2), recv(2), shutdown(2), close(2) over TCP.

use alloc::boxed::Box;
use core::time::Duration;

use wharf_table::claim;
use wharf_table::flow::Origin;
use wharf_table::{Endpoint, Instant};

use super::address::{check_family, sharing};
use super::entry::{Body, Idle, Marks, Socket, Stream};
use super::errno::Errno;
use super::options::{OptionName, Options};
use super::{Host, How, ReceiveFlags, Received, SendFlags, SocketId};
use crate::stack::{ConnId, Stack};
use crate::tcp::{Change, State};

impl Host {
    /// Connects a socket. A stream's connection begins; [`Readiness::OUT`](super::Readiness::OUT) says that it is decided,
    /// and a second call or [`OptionName::Error`] how. A datagram socket only notes the peer.
    ///
    /// # Errors
    /// [`Errno::InProgress`] when a connection has begun, [`Errno::Already`] while it goes on, [`Errno::IsConnected`],
    /// [`Errno::NetworkUnreachable`], [`Errno::AddressNotAvailable`] when no port is left for this destination; what the
    /// attempt has come to, once.
    pub fn connect(&mut self, now: Instant, id: SocketId, to: Endpoint) -> Result<(), Errno> {
        self.settle(now);
        let result = match &mut self.entry_mut(id)?.body {
            Body::Datagram(_) => self.connect_datagrams(now, id, to),
            Body::Listener(_) => Err(Errno::IsConnected),
            Body::Stream(stream) if !stream.marks.connecting => Err(Errno::IsConnected),
            Body::Stream(_) => self.conclude_connect(now, id),
            Body::Idle(idle) if idle.marks.connecting => {
                idle.marks.connecting = false;
                Err(idle.error.take().unwrap_or(Errno::ConnectionAborted))
            }
            Body::Idle(_) => self.begin_connect(now, id, to),
        };
        self.settle(now);
        result
    }

    /// connect(2) with AF_UNSPEC: a stream's connection is reset, a datagram socket forgets its peer.
    ///
    /// # Errors
    /// [`Errno::BadDescriptor`].
    pub fn disconnect(&mut self, now: Instant, id: SocketId) -> Result<(), Errno> {
        match &mut self.entry_mut(id)?.body {
            Body::Datagram(_) => self.disconnect_datagrams(id),
            Body::Listener(_) => return self.stop_listening(now, id),
            Body::Stream(stream) => {
                let conn = stream.conn();
                let told = match self.stack.state(conn) {
                    State::Closed | State::TimeWait | State::LastAck | State::Closing => None,
                    _ => Some(Errno::ConnectionReset),
                };
                self.abandon(now, id, told);
                if let Body::Idle(idle) = &mut self.entry_mut(id)?.body {
                    idle.marks.connecting = false;
                }
            }
            Body::Idle(idle) => idle.marks.connecting = false,
        }
        self.settle(now);
        Ok(())
    }

    fn begin_connect(&mut self, now: Instant, id: SocketId, to: Endpoint) -> Result<(), Errno> {
        let Socket { options, body } = self.entry(id)?;
        let Body::Idle(idle) = body else { return Err(Errno::IsConnected) };
        let (options, marks, claim) = (alloc::sync::Arc::clone(options), idle.marks, idle.claim);
        let domain = marks.domain();
        check_family(domain, &options, to.addr, Errno::FamilyNotSupported, Errno::NetworkUnreachable)?;
        let remote = self.destination(domain, to);
        if remote.addr.is_multicast() || remote.addr.is_limited_broadcast() {
            return Err(Errno::NetworkUnreachable);
        }
        let chosen = self.source_for(remote.addr)?;
        let bound = claim.map(|claim| claim.local);
        let addr = bound.map(|local| local.addr).filter(|addr| !addr.is_unspecified()).unwrap_or(chosen);
        if addr.is_v4() != remote.addr.is_v4() {
            return Err(Errno::NetworkUnreachable);
        }
        let (port, over) = match bound {
            Some(local) => (local.port, None),
            None => {
                let chosen = self.stack.choose_port(now, addr, remote, options.port_range());
                let chosen = chosen.ok_or(Errno::AddressNotAvailable)?;
                (chosen.port.number(), chosen.over)
            }
        };
        let origin = match claim {
            Some(claim) => Origin::Bound(claim.binding),
            None => Origin::Implicit {
                user: claim::User(options.user.uid),
                sharing: sharing(&options),
                v6_only: options.has(OptionName::V6Only),
            },
        };
        let conn = self
            .stack
            .connect_as(now, (Endpoint { addr, port }, over), remote, origin, |host| options.settings(host))
            .map_err(|reason| super::errno_of(reason).unwrap_or(Errno::NoBuffers))?;
        self.set_socket_of(conn, Some(id));
        if let Some(claim) = claim {
            self.claims.insert(id.0, claim);
        }
        let marks = Marks { connecting: true, ..marks };
        self.entry_mut(id)?.body = Body::Stream(Stream::new(conn, marks));
        Err(Errno::InProgress)
    }

    /// What a connection attempt has come to, told to who asks again.
    fn conclude_connect(&mut self, now: Instant, id: SocketId) -> Result<(), Errno> {
        let Body::Stream(stream) = &mut self.entry_mut(id)?.body else { return Err(Errno::IsConnected) };
        let conn = stream.conn();
        match self.stack.state(conn) {
            State::SynSent | State::SynReceived => Err(Errno::Already),
            State::Closed => {
                let error = self.abandon(now, id, None);
                if let Body::Idle(idle) = &mut self.entry_mut(id)?.body {
                    idle.marks.connecting = false;
                }
                Err(error.unwrap_or(Errno::ConnectionAborted))
            }
            _ => {
                if let Body::Stream(stream) = &mut self.entry_mut(id)?.body {
                    stream.marks.connecting = false;
                }
                Ok(())
            }
        }
    }

    /// Gives the connection of a socket up, which is as it was before then; the error that waited is taken out, `error` waits
    /// instead.
    fn abandon(&mut self, now: Instant, id: SocketId, error: Option<Errno>) -> Option<Errno> {
        let claim = self.claims.remove(&id.0);
        let Ok(Socket { body: Body::Stream(stream), .. }) = self.entry(id) else { return None };
        let stream = *stream;
        let last_port = self.stack.tuple(stream.conn()).local.port;
        let Marks { v6, queued, connecting, .. } = stream.marks;
        let marks = Marks { v6, queued, connecting, ..Marks::default() };
        if let Ok(socket) = self.entry_mut(id) {
            socket.body = Body::Idle(Box::new(Idle { marks, error, claim, last_port }));
        }
        self.give_up(now, stream.conn(), Ending::Reset);
        self.wake(id);
        stream.error
    }

    fn give_up(&mut self, now: Instant, conn: ConnId, ending: Ending) {
        self.set_socket_of(conn, None);
        if ending == Ending::Reset && self.stack.state(conn) != State::Closed {
            self.stack.abort(now, conn);
        }
        self.stack.release(now, conn);
    }

    pub(super) fn close_stream(&mut self, now: Instant, id: SocketId, stream: Stream, options: &Options) {
        // In TIME-WAIT nothing is left to be aborted, and Linux goes on waiting.
        let aborts = options.linger == Some(0) && self.stack.state(stream.conn()) != State::TimeWait;
        let ending = if aborts { Ending::Reset } else { Ending::Finish };
        if let Some(claim) = self.claims.remove(&id.0) {
            self.stack.give_up_claim_of(stream.conn(), claim.binding);
        }
        self.give_up(now, stream.conn(), ending);
    }

    /// Sends on a connected socket: of a stream as much as there is room for, of a datagram all or nothing.
    ///
    /// # Errors
    /// [`Errno::Again`] when no room is left, [`Errno::BrokenPipe`] (and SIGPIPE, which is the caller's) when the direction is
    /// closed, the connection's error once, [`Errno::DestinationRequired`] and [`Errno::MessageSize`] for datagrams.
    pub fn send(
        &mut self,
        now: Instant,
        id: SocketId,
        bytes: &[u8],
        flags: SendFlags,
    ) -> Result<usize, Errno> {
        let result = match &mut self.entry_mut(id)?.body {
            Body::Datagram(_) => self.send_datagram(now, id, bytes, None, flags),
            Body::Idle(idle) => Err(idle.error.take().unwrap_or(Errno::BrokenPipe)),
            Body::Listener(_) => Err(Errno::BrokenPipe),
            Body::Stream(_) => self.send_stream(now, id, bytes, flags),
        };
        self.settle(now);
        result
    }

    /// Sends a datagram to `to`; a stream does not mind the destination.
    ///
    /// # Errors
    /// As [`Host::send`], and those of an address.
    pub fn send_to(
        &mut self,
        now: Instant,
        id: SocketId,
        bytes: &[u8],
        to: Endpoint,
        flags: SendFlags,
    ) -> Result<usize, Errno> {
        if !matches!(self.entry(id)?.body, Body::Datagram(_)) {
            return self.send(now, id, bytes, flags);
        }
        let result = self.send_datagram(now, id, bytes, Some(to), flags);
        self.settle(now);
        result
    }

    fn send_stream(
        &mut self,
        now: Instant,
        id: SocketId,
        bytes: &[u8],
        flags: SendFlags,
    ) -> Result<usize, Errno> {
        if flags.fast_open {
            return Err(Errno::NotSupported);
        }
        let Host { stack, sockets, .. } = self;
        let socket = sockets.value_mut(id.0).ok_or(Errno::BadDescriptor)?;
        let Body::Stream(stream) = &mut socket.body else { return Err(Errno::BrokenPipe) };
        let conn = stream.conn();
        if matches!(stack.state(conn), State::SynSent | State::SynReceived) && !stream.marks.write_shut {
            return Err(stream.error.take().unwrap_or(Errno::Again));
        }
        if stream.marks.over || stream.marks.write_shut || stream.error.is_some() {
            return Err(stream.error.take().unwrap_or(Errno::BrokenPipe));
        }
        if flags.more || stack.connection(conn).has_more_to_come() {
            stack.change(now, conn, Change::MoreFollows(flags.more));
        }
        let sent = match flags.out_of_band {
            true => stack.send_urgent(now, conn, bytes),
            false => stack.send(now, conn, bytes),
        };
        if flags.end_of_record && sent == bytes.len() && sent > 0 {
            stack.change(now, conn, Change::EndRecord);
        }
        match sent {
            0 if !bytes.is_empty() => Err(Errno::Again),
            sent => Ok(sent),
        }
    }

    /// Receives: of a stream what is there, of a datagram socket the next one.
    ///
    /// # Errors
    /// [`Errno::Again`] when nothing is there, [`Errno::NotConnected`], the socket's error once, [`Errno::Invalid`] when no
    /// urgent data is there.
    pub fn receive(
        &mut self,
        now: Instant,
        id: SocketId,
        buffer: &mut [u8],
        flags: ReceiveFlags,
    ) -> Result<Received, Errno> {
        self.settle(now);
        let result = match &mut self.entry_mut(id)?.body {
            Body::Datagram(_) => self.receive_datagram(id, buffer, flags),
            Body::Listener(_) => Err(Errno::NotConnected),
            Body::Idle(idle) if idle.marks.read_shut => Ok(Received::default()),
            Body::Idle(idle) => Err(idle.error.take().unwrap_or(Errno::NotConnected)),
            Body::Stream(_) => self.receive_stream(now, id, buffer, flags),
        };
        self.settle(now);
        result
    }

    fn receive_stream(
        &mut self,
        now: Instant,
        id: SocketId,
        buffer: &mut [u8],
        flags: ReceiveFlags,
    ) -> Result<Received, Errno> {
        let Host { stack, sockets, .. } = self;
        let socket = sockets.value_mut(id.0).ok_or(Errno::BadDescriptor)?;
        let Body::Stream(stream) = &mut socket.body else { return Err(Errno::NotConnected) };
        let inline = socket.options.has(OptionName::OobInline);
        if flags.out_of_band {
            return urgent_byte(stack, stream, inline, buffer, flags);
        }
        let conn = stack.connection(stream.conn());
        let (mut len, mark) = (conn.received_len(), conn.urgent_mark());
        drop(conn);
        let mut passed_over = 0;
        if mark == Some(1) && len > 0 && !inline {
            // The urgent byte is passed over, by who only looks as well.
            len -= 1;
            match flags.peek {
                true => passed_over = 1,
                false => stack.consume(now, stream.conn(), 1),
            }
        }
        let until_mark = mark.filter(|&mark| mark > 1).map_or(usize::MAX, |mark| mark - 1);
        if len > 0 {
            let count = len.min(buffer.len()).min(until_mark);
            if !flags.truncate {
                let conn = stack.connection(stream.conn());
                let behind = conn.receive_slices().map(|slice| {
                    let skipped = passed_over.min(slice.len());
                    passed_over -= skipped;
                    &slice[skipped..]
                });
                copy(behind, &mut buffer[..count]);
            }
            if !flags.peek {
                stack.consume(now, stream.conn(), count);
            }
            return Ok(Received { count, ..Received::default() });
        }
        if stream.marks.peer_finished {
            return Ok(Received::default());
        }
        if let Some(error) = stream.error.take() {
            return Err(error);
        }
        if stream.marks.read_shut || stream.marks.over {
            return Ok(Received::default());
        }
        Err(Errno::Again)
    }

    /// Ends one direction of a connection, or both (RFC 9293, section 3.10.4).
    ///
    /// # Errors
    /// [`Errno::NotConnected`].
    pub fn shutdown(&mut self, now: Instant, id: SocketId, how: How) -> Result<(), Errno> {
        self.settle(now);
        let result = match &mut self.entry_mut(id)?.body {
            Body::Listener(_) if how.reads() => return self.stop_listening(now, id),
            Body::Listener(_) => Ok(()),
            Body::Idle(idle) => {
                // Linux notes it all the same.
                idle.marks.read_shut |= how.reads();
                idle.marks.write_shut |= how.writes();
                Err(Errno::NotConnected)
            }
            Body::Datagram(datagrams) => {
                datagrams.marks.read_shut |= how.reads();
                datagrams.marks.write_shut |= how.writes();
                if datagrams.peer.is_some() { Ok(()) } else { Err(Errno::NotConnected) }
            }
            Body::Stream(_) => self.shutdown_stream(now, id, how),
        };
        self.settle(now);
        self.wake(id);
        result
    }

    fn shutdown_stream(&mut self, now: Instant, id: SocketId, how: How) -> Result<(), Errno> {
        let Host { stack, sockets, .. } = self;
        let socket = sockets.value_mut(id.0).ok_or(Errno::BadDescriptor)?;
        let Body::Stream(stream) = &mut socket.body else { return Err(Errno::NotConnected) };
        match stack.state(stream.conn()) {
            State::SynSent => {
                self.abandon(now, id, Some(Errno::ConnectionReset));
                if let Body::Idle(idle) = &mut self.entry_mut(id)?.body {
                    idle.marks.connecting = false;
                }
                return Ok(());
            }
            State::Closed | State::TimeWait => {
                stream.marks.read_shut |= how.reads();
                stream.marks.write_shut |= how.writes();
                return Err(Errno::NotConnected);
            }
            _ => {}
        }
        stream.marks.connecting = false;
        stream.marks.read_shut |= how.reads();
        if how.reads() {
            stack.stop_reading(now, stream.conn());
        }
        if how.writes() {
            stream.marks.write_shut = true;
            stack.shutdown(now, stream.conn());
        }
        Ok(())
    }

    /// How long close(2) of a blocking caller waits for what was sent, FIN included: SO_LINGER. Where something is left unread
    /// it does not wait, as there will be a RST.
    pub fn linger(&self, id: SocketId) -> Option<Duration> {
        let Socket { options, body } = self.entry(id).ok()?;
        let Body::Stream(stream) = body else { return None };
        let connection = self.stack.connection(stream.conn());
        let waits = connection.state().is_synchronized() && connection.received_len() == 0;
        let seconds = options.linger.filter(|&seconds| seconds > 0 && waits)?;
        Some(Duration::from_secs(seconds.into()))
    }
}

/// How a connection is given up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// With a FIN, or a RST if something was left unread.
    Finish,
    /// With a RST.
    Reset,
}

/// The byte that the peer has marked as urgent (MSG_OOB); it is not part of the stream then.
fn urgent_byte(
    stack: &Stack,
    stream: &mut Stream,
    inline: bool,
    buffer: &mut [u8],
    flags: ReceiveFlags,
) -> Result<Received, Errno> {
    let conn = stack.connection(stream.conn());
    let mark = conn.urgent_mark().filter(|_| !inline && !stream.marks.urgent_read).ok_or(Errno::Invalid)?;
    let byte = conn.receive_slices().flatten().nth(mark - 1);
    let Some(byte) = byte else {
        let over = stream.marks.over || stream.marks.peer_finished || stream.marks.read_shut;
        return if over { Ok(Received::default()) } else { Err(Errno::Again) };
    };
    if let Some(first) = buffer.first_mut() {
        *first = *byte;
    }
    stream.marks.urgent_read = !flags.peek;
    Ok(Received { count: buffer.len().min(1), ..Received::default() })
}

fn copy<'a>(slices: impl Iterator<Item = &'a [u8]>, mut buffer: &mut [u8]) {
    for slice in slices {
        let count = slice.len().min(buffer.len());
        let (now, later) = buffer.split_at_mut(count);
        now.copy_from_slice(&slice[..count]);
        buffer = later;
        if buffer.is_empty() {
            return;
        }
    }
}
