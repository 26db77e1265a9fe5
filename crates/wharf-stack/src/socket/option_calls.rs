//! setsockopt(2), getsockopt(2), and the counts that ioctl(2) gives.

use alloc::sync::Arc;

use wharf_table::Instant;

use super::address::sharing;
use super::datagram;
use super::entry::{Body, Domain, Socket};
use super::errno::Errno;
use super::listener::Listener;
use super::options::{OptionName, OptionValue, Options};
use super::{Host, SocketId};
use crate::stack::Stack;
use crate::tcp::{Settings, State};

/// net.ipv4.tcp_rmem and tcp_wmem, the second number: what a socket says while nobody has set it.
const RECEIVE_BUFFER: u32 = 131_072;
const SEND_BUFFER: u32 = 16_384;
/// The segment size of a socket without a connection (TCP_MSS_DEFAULT).
const MAX_SEGMENT: u16 = 536;

impl Host {
    /// Sets an option.
    ///
    /// # Errors
    /// [`Errno::NoProtocolOption`] for one that a socket of this kind does not have or that can only be read,
    /// [`Errno::Invalid`] for a value that makes no sense, or comes too late.
    pub fn set_option(
        &mut self,
        now: Instant,
        id: SocketId,
        name: OptionName,
        value: &OptionValue,
    ) -> Result<(), Errno> {
        let Socket { options, body } = self.entry_mut(id)?;
        let stream = !matches!(body, Body::Datagram(_));
        let v6 = body.marks().domain() == Domain::V6;
        if name.is_of_streams() && !stream || name.is_of_datagrams() && stream || name.is_of_v6() && !v6 {
            return Err(Errno::NoProtocolOption);
        }
        match name {
            OptionName::Type
            | OptionName::Error
            | OptionName::AcceptConnections
            | OptionName::Protocol
            | OptionName::Family
            | OptionName::SendLowWater
            | OptionName::Info
            | OptionName::Mtu
            | OptionName::Mtu6 => return Err(Errno::NoProtocolOption),
            OptionName::V6Only => {
                let named = match body {
                    Body::Idle(idle) => idle.claim.is_some(),
                    Body::Datagram(datagrams) => datagrams.claim.is_some(),
                    Body::Stream(_) | Body::Listener(_) => true,
                };
                if named {
                    return Err(Errno::Invalid);
                }
            }
            _ => {}
        }
        Arc::make_mut(options).set(name, value)?;
        self.apply_option(now, id, name);
        if name == OptionName::GatherDatagram {
            // What can't leave now leaves with what is sent next; the option has changed either way.
            let _ = self.send_gathered(now, id);
        }
        self.settle(now);
        Ok(())
    }

    /// Lets a connection know what has changed.
    fn apply_option(&mut self, now: Instant, id: SocketId, name: OptionName) {
        let Host { stack, sockets, claims, .. } = self;
        let Some(Socket { options, body }) = sockets.value(id.0) else { return };
        let claim = match body {
            Body::Idle(idle) => idle.claim,
            Body::Listener(listener) => Some(listener.claim),
            Body::Datagram(datagrams) => datagrams.claim,
            Body::Stream(_) => claims.get(&id.0).copied(),
        };
        if let (Some(claim), OptionName::ReuseAddress | OptionName::ReusePort) = (claim, name) {
            stack.set_sharing(claim.binding, sharing(options));
        }
        match body {
            Body::Stream(stream) => {
                if let Some(change) = options.change(name) {
                    stack.change(now, stream.conn(), change);
                }
            }
            Body::Listener(listener) => shape(stack, listener, options),
            Body::Idle(_) | Body::Datagram(_) => {}
        }
    }

    /// Lets connections that come to a listener be as its options say, from their SYN-ACK on.
    pub(super) fn shape_listener(&mut self, id: SocketId) {
        let Host { stack, sockets, fresh, .. } = self;
        if let Some(Socket { options, body: Body::Listener(listener) }) = sockets.value(id.0)
            && !Arc::ptr_eq(options, fresh)
        {
            shape(stack, listener, options);
        }
    }

    /// Lets an accepted connection know what of its listener's options is not part of how it began.
    pub(super) fn apply_options(&mut self, now: Instant, id: SocketId) {
        let Ok(socket) = self.entry(id) else { return };
        let options = Arc::clone(&socket.options);
        if Arc::ptr_eq(&options, &self.fresh) {
            return;
        }
        for name in
            [OptionName::Cork, OptionName::QuickAck, OptionName::UnicastHops, OptionName::TrafficClass]
        {
            if options.change(name) != self.fresh.change(name) {
                self.apply_option(now, id, name);
            }
        }
    }

    /// The error that waits, or else an ICMP error that did not end the connection (RFC 1122, section 4.2.3.9); once.
    fn take_error(&mut self, id: SocketId) -> Result<Option<Errno>, Errno> {
        let Socket { body, .. } = self.entry_mut(id)?;
        let error = body.error_mut().take();
        let Body::Stream(stream) = body else { return Ok(error) };
        let conn = stream.conn();
        Ok(error.or_else(|| {
            let v4 = self.stack.tuple(conn).remote.addr.is_v4();
            self.stack.take_soft_error(conn).map(|why| Errno::of_unreachable(why, v4))
        }))
    }

    /// The value of an option. [`OptionName::Error`] is taken away by it; for [`OptionName::Info`] there is [`Host::info`].
    ///
    /// # Errors
    /// [`Errno::NotSupported`] for one that a socket of this kind does not have, [`Errno::NotConnected`] for
    /// [`OptionName::Mtu`] without a peer.
    pub fn option(&mut self, id: SocketId, name: OptionName) -> Result<OptionValue, Errno> {
        if name == OptionName::Error {
            return self.take_error(id).map(OptionValue::Error);
        }
        let Socket { options, body } = self.entry_mut(id)?;
        let stream = !matches!(body, Body::Datagram(_));
        let domain = body.marks().domain();
        let elsewhere = name.is_of_streams() && !stream || name.is_of_datagrams() && stream;
        if elsewhere || name.is_of_v6() && domain == Domain::V4 {
            return Err(Errno::NotSupported);
        }
        if let Some(value) = options.value(name) {
            return Ok(value);
        }
        let number = match name {
            OptionName::Type => {
                if stream {
                    1
                } else {
                    2
                }
            }
            OptionName::Protocol => {
                if stream {
                    6
                } else {
                    17
                }
            }
            OptionName::Family => {
                if domain == Domain::V4 {
                    2
                } else {
                    10
                }
            }
            OptionName::AcceptConnections => i32::from(matches!(body, Body::Listener(_))),
            OptionName::ReceiveBuffer if stream => RECEIVE_BUFFER as i32,
            OptionName::SendBuffer if stream => SEND_BUFFER as i32,
            OptionName::ReceiveBuffer | OptionName::SendBuffer => datagram::BUFFER as i32,
            OptionName::MaxSegment => {
                let own = options.max_segment;
                return Ok(OptionValue::Number(self.segment_size(id, own)?));
            }
            OptionName::Mtu | OptionName::Mtu6 => {
                let peer = self.peer(id)?;
                self.stack.mtu_to(peer.addr).into()
            }
            _ => return Err(Errno::NoProtocolOption),
        };
        Ok(OptionValue::Number(number))
    }

    fn segment_size(&self, id: SocketId, own: u16) -> Result<i32, Errno> {
        Ok(match &self.entry(id)?.body {
            Body::Stream(stream) if self.stack.state(stream.conn()).is_synchronized() => {
                self.stack.connection(stream.conn()).segment_payload().into()
            }
            _ if own > 0 => own.into(),
            _ => MAX_SEGMENT.into(),
        })
    }

    /// Bytes that can be read (SIOCINQ); of datagrams the size of the next.
    ///
    /// # Errors
    /// [`Errno::Invalid`] for a listener.
    pub fn unread(&self, id: SocketId) -> Result<usize, Errno> {
        match &self.entry(id)?.body {
            Body::Idle(_) => Ok(0),
            Body::Listener(_) => Err(Errno::Invalid),
            Body::Stream(stream) => Ok(self.stack.connection(stream.conn()).received_len()),
            Body::Datagram(datagrams) => Ok(datagrams.queued().0),
        }
    }

    /// Bytes that were sent and are not acknowledged, or wait to be (SIOCOUTQ); a FIN counts.
    ///
    /// # Errors
    /// [`Errno::Invalid`] for a listener.
    pub fn unacknowledged(&self, id: SocketId) -> Result<usize, Errno> {
        match &self.entry(id)?.body {
            Body::Idle(_) => Ok(0),
            Body::Listener(_) => Err(Errno::Invalid),
            Body::Stream(stream) => {
                let conn = self.stack.connection(stream.conn());
                let fin = matches!(conn.state(), State::FinWait1 | State::Closing | State::LastAck);
                Ok(conn.unacknowledged_len() + usize::from(fin))
            }
            Body::Datagram(datagrams) => Ok(datagrams.queued().1),
        }
    }

    /// The state of a stream socket's connection, as [`State`] names it; `None` without one.
    pub fn state(&self, id: SocketId) -> Option<State> {
        match &self.entry(id).ok()?.body {
            Body::Stream(stream) => Some(self.stack.state(stream.conn())),
            _ => None,
        }
    }
}

/// What comes to a listener is as its options say on top of what the host does; the link bounds the size of segments.
fn shape(stack: &mut Stack, listener: &Listener, options: &Options) {
    let host = Settings { mss: u16::MAX, ..stack.config().tcp.clone() };
    stack.shape_listener(listener.claim.binding, options.settings(&host));
}
