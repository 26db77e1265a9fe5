//! Datagram sockets: UDP (RFC 768; RFC 1122, section 4.1).
//!
//! Each has a queue of what came and was not read, bounded in bytes as SO_RCVBUF says; what finds it full is lost and
//! counted. A connected one hears its peer only.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use wharf_table::flow::FlowId;
use wharf_table::{Addr, Endpoint, Instant, Protocol};

use super::address::check_family;
use super::entry::{Body, Claimed, Domain, Marks, Socket};
use super::errno::Errno;
use super::error_queue::ErrorQueue;
use super::options::{OptionName, Options, PMTUDISC_DO, PMTUDISC_PROBE};
use super::{Host, ReceiveFlags, Received, SendFlags, SocketId};
use crate::interface::FrameSink;
use crate::stack::{DatagramError, DatagramFields, DatagramIn, DatagramOut};

/// net.core.rmem_default and wmem_default, in bytes.
pub(super) const BUFFER: u32 = 212_992;
/// What a datagram in a queue costs beside its bytes.
const OVERHEAD: usize = 256;
/// The largest payload over IPv4 (65,535 less 20 and 8) and over IPv6 (65,535 less 8).
const PAYLOAD_MAX_V4: usize = 65_507;
const PAYLOAD_MAX_V6: usize = 65_527;

/// A datagram that was not read yet.
#[derive(Debug)]
struct Kept {
    from: Endpoint,
    to: Endpoint,
    hop_limit: u8,
    traffic_class: u8,
    at: Instant,
    payload: Box<[u8]>,
}

/// A datagram that waits for the link.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// Who waits for its room; `None` once the socket is closed.
    socket: Option<SocketId>,
    source: Endpoint,
    destination: Endpoint,
    fields: DatagramFields,
    payload: Box<[u8]>,
}

/// What MSG_MORE or UDP_CORK has gathered of a datagram.
#[derive(Debug)]
struct Gathered {
    source: Endpoint,
    destination: Endpoint,
    bytes: Vec<u8>,
}

/// A datagram socket.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    pub(super) marks: Marks,
    pub(super) error: Option<Errno>,
    pub(super) errors: ErrorQueue,
    pub(super) claim: Option<Claimed>,
    /// connect(2) has named it.
    pub(super) peer: Option<Endpoint>,
    /// The row by which its datagrams find the socket, and the address that packets to it leave from.
    flow: Option<FlowId>,
    source: Option<Addr>,
    /// bind(2) chose the port.
    bound: bool,
    queue: VecDeque<Kept>,
    gathered: Option<Box<Gathered>>,
    held: usize,
    /// Bytes of datagrams that wait for the link.
    unsent: usize,
    lost: u64,
}

impl Datagrams {
    pub(super) fn new(domain: Domain) -> Box<Datagrams> {
        Box::new(Datagrams { marks: Marks::new(domain), ..Datagrams::default() })
    }

    pub(super) fn is_readable(&self) -> bool {
        !self.queue.is_empty()
    }

    pub(super) fn is_writable(&self, options: &Options) -> bool {
        self.unsent < options.send_buffer.unwrap_or(BUFFER) as usize / 2
    }

    pub(super) fn local(&self) -> Option<Endpoint> {
        let local = self.claim?.local;
        let addr = if local.addr.is_unspecified() { self.source.unwrap_or(local.addr) } else { local.addr };
        Some(Endpoint { addr, ..local })
    }

    /// Whether a datagram from there is for this socket.
    pub(super) fn hears(&self, from: Endpoint) -> bool {
        self.peer.is_none_or(|peer| peer == from)
    }

    /// The bytes of the next datagram, and all that wait for the link.
    pub(super) fn queued(&self) -> (usize, usize) {
        (self.queue.front().map_or(0, |kept| kept.payload.len()), self.unsent)
    }

    /// Takes a datagram that has come, which may be many of one size; how many of them found no room.
    pub(super) fn take(&mut self, now: Instant, options: &Options, datagram: &DatagramIn<'_>) -> u64 {
        let most = options.receive_buffer.unwrap_or(BUFFER) as usize;
        let size = if datagram.gso_size == 0 { usize::MAX } else { usize::from(datagram.gso_size) };
        let mut rest = datagram.payload;
        let before = self.lost;
        loop {
            let (payload, behind) = rest.split_at(rest.len().min(size));
            if self.held >= most {
                self.lost += 1;
            } else {
                self.held += payload.len() + OVERHEAD;
                self.queue.push_back(Kept {
                    from: datagram.source,
                    to: datagram.destination,
                    hop_limit: datagram.hop_limit.saturating_add(1),
                    traffic_class: datagram.traffic_class,
                    at: now,
                    payload: payload.into(),
                });
            }
            rest = behind;
            if rest.is_empty() {
                return self.lost - before;
            }
        }
    }

    /// Takes an ICMP error about a datagram of this socket; whether the program has something to hear.
    pub(super) fn take_error(&mut self, options: &Options, error: &DatagramError<'_>) -> bool {
        let connected = self.peer.is_some();
        let v4 = error.offender.is_v4();
        let name = if v4 { OptionName::ReceiveError } else { OptionName::ReceiveError6 };
        let discover = if v4 { options.mtu_discover } else { options.mtu_discover6 };
        let Some((errno, hard)) = Errno::of_icmp(v4, error.kind, error.code, discover) else { return false };
        if options.has(name) {
            self.errors.push(errno, error);
        } else if !hard || !connected {
            return false;
        }
        self.error = Some(errno);
        true
    }

    fn receive(
        &mut self,
        options: &Options,
        buffer: &mut [u8],
        flags: ReceiveFlags,
    ) -> Result<Received, Errno> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let Some(kept) = self.queue.front() else {
            let over = self.marks.read_shut && flags.blocking;
            return if over { Ok(Received::default()) } else { Err(Errno::Again) };
        };
        let len = kept.payload.len();
        let copied = len.min(buffer.len());
        buffer[..copied].copy_from_slice(&kept.payload[..copied]);
        let v4 = kept.from.addr.is_v4();
        let hops = if v4 { OptionName::ReceiveTimeToLive } else { OptionName::ReceiveHopLimit };
        let class = if v4 { OptionName::ReceiveTypeOfService } else { OptionName::ReceiveTrafficClass };
        let received = Received {
            count: if flags.truncate { len } else { copied },
            from: Some(kept.from),
            to: Some(kept.to),
            truncated: copied < len,
            hop_limit: options.has(hops).then_some(kept.hop_limit),
            traffic_class: options.has(class).then_some(kept.traffic_class),
            at: options.has(OptionName::Timestamp).then_some(kept.at),
        };
        if !flags.peek {
            self.held -= len + OVERHEAD;
            self.queue.pop_front();
        }
        Ok(received)
    }
}

impl Host {
    pub(super) fn connect_datagrams(
        &mut self,
        now: Instant,
        id: SocketId,
        to: Endpoint,
    ) -> Result<(), Errno> {
        let socket = self.entry(id)?;
        let domain = socket.body.marks().domain();
        check_family(domain, &socket.options, to.addr, Errno::FamilyNotSupported, Errno::NetworkUnreachable)?;
        self.bind_implicitly(id)?;
        let remote = self.destination(domain, to);
        if self.is_broadcast(remote.addr) && !self.entry(id)?.options.has(OptionName::Broadcast) {
            return Err(Errno::Access);
        }
        let source = self.source_for(remote.addr)?;
        self.forget_peer(id)?;
        let Socket { body: Body::Datagram(datagrams), .. } = self.entry_mut(id)? else {
            return Err(Errno::Invalid);
        };
        datagrams.peer = Some(remote);
        datagrams.source = Some(source);
        let local = datagrams.local().ok_or(Errno::Invalid)?;
        let binding = datagrams.claim.ok_or(Errno::Invalid)?.binding;
        // Two sockets that share a port may have the same peer; the first of them hears it.
        let flow = self.stack.open_datagrams(now, local, remote, binding, id.0).ok();
        if let Body::Datagram(datagrams) = &mut self.entry_mut(id)?.body {
            datagrams.flow = flow;
        }
        Ok(())
    }

    /// Forgets the peer, and the port too where it was not the program's own choice.
    pub(super) fn disconnect_datagrams(&mut self, id: SocketId) {
        if self.forget_peer(id).is_err() {
            return;
        }
        let Ok(Socket { body: Body::Datagram(datagrams), .. }) = self.entry_mut(id) else { return };
        if !datagrams.bound
            && let Some(claim) = datagrams.claim.take()
        {
            self.stack.give_up_claim(claim.binding);
        }
    }

    fn forget_peer(&mut self, id: SocketId) -> Result<(), Errno> {
        let Body::Datagram(datagrams) = &mut self.entry_mut(id)?.body else { return Err(Errno::Invalid) };
        (datagrams.peer, datagrams.source) = (None, None);
        if let Some(flow) = datagrams.flow.take() {
            self.stack.close_datagrams(flow);
        }
        Ok(())
    }

    pub(super) fn close_datagrams(&mut self, id: SocketId, datagrams: Datagrams) {
        if let Some(flow) = datagrams.flow {
            self.stack.close_datagrams(flow);
        }
        if let Some(claim) = datagrams.claim {
            self.stack.give_up_claim(claim.binding);
        }
        if datagrams.unsent > 0 {
            let own = self.outgoing.iter_mut().filter(|outgoing| outgoing.socket == Some(id));
            own.for_each(|outgoing| outgoing.socket = None);
        }
    }

    /// How many datagrams found the socket's queue full.
    pub fn lost_datagrams(&self, id: SocketId) -> u64 {
        match self.entry(id) {
            Ok(Socket { body: Body::Datagram(datagrams), .. }) => datagrams.lost,
            _ => 0,
        }
    }

    pub(super) fn receive_datagram(
        &mut self,
        id: SocketId,
        buffer: &mut [u8],
        flags: ReceiveFlags,
    ) -> Result<Received, Errno> {
        let Socket { options, body: Body::Datagram(datagrams) } = self.entry_mut(id)? else {
            return Err(Errno::Invalid);
        };
        datagrams.receive(options, buffer, flags)
    }

    pub(super) fn send_datagram(
        &mut self,
        now: Instant,
        id: SocketId,
        bytes: &[u8],
        to: Option<Endpoint>,
        flags: SendFlags,
    ) -> Result<usize, Errno> {
        self.settle(now);
        self.bind_implicitly(id)?;
        if bytes.len() > usize::from(u16::MAX) {
            return Err(Errno::MessageSize);
        }
        if flags.out_of_band {
            return Err(Errno::NotSupported);
        }
        let Body::Datagram(datagrams) = &mut self.entry_mut(id)?.body else { return Err(Errno::Invalid) };
        let gathered = datagrams.gathered.take();
        let Socket { options, .. } = self.entry(id)?;
        if flags.more || options.has(OptionName::GatherDatagram) {
            return self.gather(id, gathered, bytes, to);
        }
        match gathered {
            None => {
                let (source, destination) = self.ends(id, to)?;
                self.send_whole(id, source, destination, bytes)
            }
            Some(mut gathered) => {
                let before = gathered.bytes.len();
                gathered.bytes.extend_from_slice(bytes);
                let sent = self.send_whole(id, gathered.source, gathered.destination, &gathered.bytes);
                if sent.is_err_and(|error| error != Errno::MessageSize) {
                    // It has not left: what was gathered waits for the next try.
                    gathered.bytes.truncate(before);
                    if let Body::Datagram(datagrams) = &mut self.entry_mut(id)?.body {
                        datagrams.gathered = Some(gathered);
                    }
                }
                sent.map(|_| bytes.len())
            }
        }
    }

    /// Puts bytes behind those that have been gathered; where they go the first of them has said.
    fn gather(
        &mut self,
        id: SocketId,
        gathered: Option<Box<Gathered>>,
        bytes: &[u8],
        to: Option<Endpoint>,
    ) -> Result<usize, Errno> {
        let mut gathered = match gathered {
            Some(gathered) => gathered,
            None => {
                let (source, destination) = self.ends(id, to)?;
                Box::new(Gathered { source, destination, bytes: Vec::new() })
            }
        };
        let most = if gathered.destination.addr.is_v4() { PAYLOAD_MAX_V4 } else { PAYLOAD_MAX_V6 };
        // What does not fit is lost, and all before it with it, as in Linux.
        if gathered.bytes.len() + bytes.len() > most {
            return Err(Errno::MessageSize);
        }
        gathered.bytes.extend_from_slice(bytes);
        if let Body::Datagram(datagrams) = &mut self.entry_mut(id)?.body {
            datagrams.gathered = Some(gathered);
        }
        Ok(bytes.len())
    }

    /// UDP_CORK has changed: what was gathered leaves when it is over.
    pub(super) fn send_gathered(&mut self, now: Instant, id: SocketId) -> Result<(), Errno> {
        let Socket { options, body: Body::Datagram(datagrams) } = self.entry_mut(id)? else {
            return Ok(());
        };
        if options.has(OptionName::GatherDatagram) || datagrams.gathered.is_none() {
            return Ok(());
        }
        self.send_datagram(now, id, &[], None, SendFlags::default()).map(|_| ())
    }

    fn send_whole(
        &mut self,
        id: SocketId,
        source: Endpoint,
        destination: Endpoint,
        bytes: &[u8],
    ) -> Result<usize, Errno> {
        let (mtu, link_mtu) = (self.stack.mtu_to(destination.addr), self.stack.link_mtu_to(destination.addr));
        let looped = self.stack.is_looped(destination.addr);
        let Socket { options, body: Body::Datagram(datagrams) } = self.entry_mut(id)? else {
            return Err(Errno::Invalid);
        };
        let v4 = destination.addr.is_v4();
        let (most, headers, discover) = match v4 {
            true => (PAYLOAD_MAX_V4, 28, options.mtu_discover),
            false => (PAYLOAD_MAX_V6, 48, options.mtu_discover6),
        };
        // Who probes finds out for itself what the path takes.
        let mtu = usize::from(if discover == PMTUDISC_PROBE { link_mtu } else { mtu });
        let may_be_cut = !matches!(discover, PMTUDISC_DO | PMTUDISC_PROBE);
        if bytes.len() > most || !may_be_cut && bytes.len() + headers > mtu {
            return Err(Errno::MessageSize);
        }
        if let Some(error) = datagrams.error.take() {
            return Err(error);
        }
        if datagrams.marks.write_shut {
            return Err(Errno::BrokenPipe);
        }
        let whole = bytes.len() + headers <= mtu;
        let fields = options.datagram_fields(v4, whole);
        let datagram =
            DatagramOut { protocol: Protocol::Udp, source, destination, payload: bytes, gso_size: 0, fields };
        if looped {
            // What a full queue loses is lost, as on any link.
            let _ = self.stack.loop_datagram(&datagram);
            return Ok(bytes.len());
        }
        if datagrams.unsent + bytes.len() > options.send_buffer.unwrap_or(BUFFER) as usize {
            return Err(Errno::Again);
        }
        datagrams.unsent += bytes.len() + OVERHEAD;
        self.outgoing.push_back(Outgoing {
            socket: Some(id),
            source,
            destination,
            fields,
            payload: bytes.into(),
        });
        Ok(bytes.len())
    }

    /// From where to where a datagram goes.
    fn ends(&self, id: SocketId, to: Option<Endpoint>) -> Result<(Endpoint, Endpoint), Errno> {
        let Socket { options, body: Body::Datagram(datagrams) } = self.entry(id)? else {
            return Err(Errno::Invalid);
        };
        let domain = datagrams.marks.domain();
        let remote = match to {
            Some(to) if to.port == 0 => return Err(Errno::Invalid),
            Some(to) => {
                check_family(domain, options, to.addr, Errno::FamilyNotSupported, Errno::NetworkUnreachable)?;
                self.destination(domain, to)
            }
            None => datagrams.peer.ok_or(Errno::DestinationRequired)?,
        };
        if self.is_broadcast(remote.addr) && !options.has(OptionName::Broadcast) {
            return Err(Errno::Access);
        }
        let local = datagrams.local().ok_or(Errno::Invalid)?;
        let chosen = || self.source_for(remote.addr);
        let addr = if local.addr.is_unspecified() { chosen()? } else { local.addr };
        if addr.is_v4() != remote.addr.is_v4() {
            return Err(Errno::NetworkUnreachable);
        }
        Ok((Endpoint { addr, ..local }, remote))
    }

    fn bind_implicitly(&mut self, id: SocketId) -> Result<(), Errno> {
        let Body::Datagram(datagrams) = &self.entry(id)?.body else { return Err(Errno::Invalid) };
        if datagrams.claim.is_some() {
            return Ok(());
        }
        let any = Endpoint { addr: datagrams.marks.domain().any(), port: 0 };
        // Linux says so when no port is left.
        self.claim(id, any).map_err(|_| Errno::Again)
    }

    /// Notes that the program chose the port itself.
    pub(super) fn note_bound(&mut self, id: SocketId) {
        if let Ok(Socket { body: Body::Datagram(datagrams), .. }) = self.entry_mut(id) {
            datagrams.bound = true;
        }
    }

    fn is_broadcast(&self, addr: Addr) -> bool {
        let crate::stack::Role::Host(host) = &self.stack.config().role else { return false };
        addr.is_limited_broadcast() || host.addresses.iter().any(|own| own.broadcast() == Some(addr))
    }

    /// Hands datagrams that wait to the link.
    pub(super) fn send_outgoing<F: FrameSink>(&mut self, sink: &mut F) {
        let mut freed: Vec<SocketId> = Vec::new();
        while sink.is_ready() {
            let Some(outgoing) = self.outgoing.pop_front() else { break };
            let Outgoing { socket, source, destination, fields, payload } = outgoing;
            let datagram = DatagramOut {
                protocol: Protocol::Udp,
                source,
                destination,
                payload: &payload,
                gso_size: 0,
                fields,
            };
            // The stack counts what is lost.
            let _ = self.stack.send_datagram(&datagram, sink);
            if let Some(id) = socket
                && let Ok(Socket { options, body: Body::Datagram(datagrams) }) = self.entry_mut(id)
            {
                let was_writable = datagrams.is_writable(options);
                datagrams.unsent = datagrams.unsent.saturating_sub(payload.len() + OVERHEAD);
                if !was_writable && datagrams.is_writable(options) {
                    freed.push(id);
                }
            }
        }
        freed.into_iter().for_each(|id| self.wake(id));
    }
}
