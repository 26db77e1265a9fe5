//! TCP connections of a stack: how one is opened, accepted, refused, used and released.

use core::ops::Deref;

use wharf_table::binding::{BindError, BindingId};
use wharf_table::flow::{Far, Flow, FlowId, Holder, Origin};
use wharf_table::request::RequestId;
use wharf_table::table::Chosen;
use wharf_table::waiting::{Waiting, WaitingId};
use wharf_table::{Addr, Claim, DropReason, Endpoint, Instant, Port, Protocol, Tuple};
use wharf_wire::tcp::{TcpFlags, TcpRepr};

use super::agenda::{LIST_KEPT, Seldom};
use super::slots::Way;
use super::waits::{REUSE_DELAY, may_begin_over};
use super::{IcmpError, Role, SEGMENTS_A_TURN, Stack, Unreachable, loopback};
use crate::egress::{Fields, NextHop};
use crate::interface::FrameSink;
use crate::tcp::{self, CloseReason, Connection, Context, Events, SegmentOut, State};

/// Slices of one segment: chunks of 16 KiB that 64 KiB may touch.
const SLICES_MAX: usize = 6;
/// How many keys of connections that are gone may wait in the list of output.
const STALE_OUTPUT_MAX: usize = 256;

/// A TCP connection of a stack, valid from the event that names it (or the command that opened it) until
/// [`Stack::release`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(u32);

impl ConnId {
    /// The number, dense from 0: an index for the owner's own table.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The number, to be kept in an event token.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The connection whose [`ConnId::number`] this is.
    pub const fn from_number(number: u32) -> ConnId {
        ConnId(number)
    }
}

/// What happened to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A SYN to an address outside asks for this connection. It waits for [`Stack::accept`] or [`Stack::refuse`].
    Incoming(ConnId),
    /// Connections wait for [`Stack::accept_next`] on this listener, which has this token.
    Acceptable {
        /// The listener.
        listener: BindingId,
        /// Its token.
        token: u32,
    },
    /// The connection is established: ours was answered, or the far end's, accepted, was acknowledged.
    Connected(ConnId),
    /// Data, room or the end of a direction: look at the getters.
    Progress(ConnId, Events),
    /// It is over, for this reason. What was received may still be read; then it must be released.
    Closed(ConnId, CloseReason),
}

/// How an incoming connection is turned down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// With a RST, as a host does whose port is closed (RFC 9293, section 3.10.7.1).
    Reset,
    /// With an ICMP destination unreachable (RFC 792, RFC 4443).
    Unreachable(Unreachable),
    /// Not at all: the initiator tries again until it gives up.
    Silent,
}

/// Whoever names a connection that was released has a bug.
const VALID: &str = "a connection's id is valid until it is released";

impl Stack {
    /// The state of a connection (RFC 9293, section 3.3.2).
    pub fn state(&self, id: ConnId) -> State {
        self.connection(id).state()
    }

    /// The tuple of a connection; `local` is the stack's end.
    pub fn tuple(&self, id: ConnId) -> Tuple {
        self.connections.tuple(id.0, &self.table).expect(VALID)
    }

    /// When a connection was opened; `None` once its tuple is free for another.
    pub fn opened(&self, id: ConnId) -> Option<Instant> {
        let flow = self.connections.flow(id.0)?;
        self.table.flow(flow).map(Flow::opened)
    }

    /// The token of the listener through which a connection came.
    pub fn listener_of(&self, id: ConnId) -> Option<u32> {
        self.connections.listener(id.0, &self.table)
    }

    /// The connection itself, to look at.
    pub fn connection(&self, id: ConnId) -> impl Deref<Target = Connection> {
        self.connections.look(id.0, &self.table).expect(VALID)
    }

    /// Takes UDP datagrams for a port of one of the stack's own addresses, or of all (`None`). They come with `token`.
    ///
    /// # Errors
    /// [`BindError`] when the port is taken.
    pub fn bind_udp(&mut self, addr: Option<Addr>, port: Port, token: u32) -> Result<BindingId, BindError> {
        self.table.bind(&Claim::new(Protocol::Udp, addr, Some(port), token))
    }

    /// Opens a connection from `source` (port 0: one is chosen, RFC 6056; unspecified address: the one of the stack that is
    /// nearest, RFC 9293, section 3.9.1.1, MUST-44) to `destination`. A gateway may use any address as the source. [`Event::Connected`] or [`Event::Closed`] follows.
    ///
    /// # Errors
    /// [`DropReason::NoFlow`] when the table is full, the tuple is in use, or no port is left;
    /// [`DropReason::DestinationInvalid`] when the destination is no single station (RFC 9293, section 3.9.2.3, MUST-46).
    pub fn connect(
        &mut self,
        now: Instant,
        source: Endpoint,
        destination: Endpoint,
    ) -> Result<ConnId, DropReason> {
        if destination.addr.is_unspecified() || self.is_group(destination.addr) {
            return Err(DropReason::DestinationInvalid);
        }
        if self.connections.len() >= self.config.max_connections {
            return Err(DropReason::NoFlow);
        }
        let mut source = source;
        if source.addr.is_unspecified() {
            source.addr = self.config.role.source_for(destination.addr).ok_or(DropReason::NoRoute)?;
        }
        let over = self.choose_source(now, &mut source, destination)?;
        let tuple = Tuple { protocol: Protocol::Tcp, local: source, remote: destination };
        let settings = self.tcp_settings(destination.addr);
        let clock = tcp::initial_sequence_number(&self.config.isn_key, &tuple, now);
        // What was sent before must not be taken for what is sent now (RFC 9293, section 3.4.3).
        let iss = over.and_then(|id| self.begin_over(id)).map_or(clock, |(after, _)| clock.latest(after));
        let conn = Connection::connect(&settings, tuple, iss, now);
        // A gateway speaks in the name of others, whose ports are not its own.
        let origin = match self.config.role {
            Role::Gateway(_) => Origin::Transit,
            Role::Host(_) => Origin::IMPLICIT,
        };
        let id = self.open(now, conn, None, Opening::Ours(origin))?;
        self.settle(now, id.0);
        Ok(id)
    }

    /// Chooses the port of a connection of ours where the owner has not; the row in TIME-WAIT that has the tuple and may be
    /// used again.
    fn choose_source(
        &mut self,
        now: Instant,
        source: &mut Endpoint,
        destination: Endpoint,
    ) -> Result<Option<WaitingId>, DropReason> {
        let time_wait = self.config.tcp.time_wait;
        let allows = |waiting: &Waiting| may_begin_over(now, time_wait, REUSE_DELAY, waiting);
        if source.port == 0 {
            let range = self.config.ephemeral_ports;
            let chosen =
                self.table.choose_to_open_over(Protocol::Tcp, source.addr, destination, range, allows);
            let Chosen { port, over } = chosen.ok_or(DropReason::NoFlow)?;
            source.port = port.number();
            return Ok(over);
        }
        let tuple = Tuple { protocol: Protocol::Tcp, local: *source, remote: destination };
        Ok(match self.table.holder(&tuple) {
            Some(Holder::Waiting(id)) if self.table.waiting(id).as_ref().is_some_and(allows) => Some(id),
            _ => None,
        })
    }

    /// Lets the SYN-ACK of an incoming connection go: the host side has connected.
    pub fn accept(&mut self, now: Instant, id: ConnId) {
        self.with(now, id, |conn, _| conn.accept());
    }

    /// Turns an incoming connection down and releases it.
    pub fn refuse(&mut self, now: Instant, id: ConnId, how: Refusal) {
        let (tuple, irs) = {
            let conn = self.connection(id);
            (conn.tuple(), conn.irs())
        };
        let syn = TcpRepr {
            src_port: tuple.remote.port,
            dst_port: tuple.local.port,
            seq: irs.value(),
            ack: 0,
            flags: TcpFlags::SYN,
            window: 0,
            urgent: 0,
            options: Default::default(),
        };
        match how {
            Refusal::Reset => self.reply_reset(tuple, &syn, 0),
            Refusal::Unreachable(code) => {
                self.reply_icmp_to_syn(now, tuple, &syn, IcmpError::Unreachable(code))
            }
            Refusal::Silent => {}
        }
        self.remove(id.0);
    }

    /// The bytes received and not yet consumed, in order, and how many they are.
    pub fn received(&self, id: ConnId) -> (impl Iterator<Item = &[u8]>, usize) {
        // One that is parked has received nothing that waits.
        let conn = self.connections.look_at_work(id.0).map(|work| &work.conn);
        (conn.map(Connection::receive_slices).into_iter().flatten(), conn.map_or(0, Connection::received_len))
    }

    /// Takes the first `count` received bytes away; the window opens by as many.
    pub fn consume(&mut self, now: Instant, id: ConnId, count: usize) {
        self.with(now, id, |conn, cx| conn.consume(cx, count));
    }

    /// How many more bytes [`Stack::send_with`] would take.
    pub fn send_room(&self, id: ConnId) -> usize {
        self.connection(id).send_room()
    }

    /// Lets `fill` write up to `max` bytes straight into the send buffer; it says how many it wrote. Where there is no memory
    /// it is given no slices, and [`Events::WRITABLE`] follows when there is some.
    pub fn send_with<R>(
        &mut self,
        now: Instant,
        id: ConnId,
        max: usize,
        fill: impl FnOnce(&mut [&mut [u8]]) -> (usize, R),
    ) -> R {
        let (starving, result) = self.with(now, id, |conn, cx| {
            let room = conn.send_room().min(max);
            let mut spare = conn.send_spare(cx, max);
            let starving = room > 0 && spare.is_empty();
            let (count, result) = fill(&mut spare);
            drop(spare);
            conn.send_commit(cx, count);
            (starving, result)
        });
        if starving {
            self.on_starved(id);
        }
        result
    }

    /// Copies as much of `bytes` into the send buffer as it takes, and says how much that was. [`Events::WRITABLE`] follows
    /// when there is room for the rest.
    pub fn send(&mut self, now: Instant, id: ConnId, bytes: &[u8]) -> usize {
        let sent = self.with(now, id, |conn, cx| conn.send(cx, bytes));
        if sent < bytes.len() && self.send_room(id) > 0 {
            self.on_starved(id);
        }
        sent
    }

    /// Notes that a connection waits for memory; whether it did not before.
    pub(super) fn mark_starving(&mut self, id: ConnId) -> bool {
        let work = self.connections.work(id.0, &self.table);
        work.is_some_and(|work| work.held && !core::mem::replace(&mut work.starving, true))
    }

    /// Forgets that; whether it still did.
    pub(super) fn unmark_starving(&mut self, id: ConnId) -> bool {
        let work = self.connections.at_work(id.0);
        work.is_some_and(|work| core::mem::take(&mut work.starving) && work.held && work.conn.send_room() > 0)
    }

    /// Asks for an event when everything that was sent is acknowledged.
    pub fn await_drain(&mut self, now: Instant, id: ConnId) {
        self.with(now, id, |conn, _| conn.await_drain());
    }

    /// Ends the stack's direction: a FIN follows what was sent (RFC 9293, section 3.10.4).
    pub fn shutdown(&mut self, now: Instant, id: ConnId) {
        self.with(now, id, |conn, _| conn.shutdown());
    }

    /// Ends the connection with a RST (RFC 9293, section 3.10.5).
    pub fn abort(&mut self, now: Instant, id: ConnId) {
        self.with(now, id, |conn, _| conn.abort());
    }

    /// Gives the id back. A connection that is not closed goes on by itself to its end: what was sent is delivered, a FIN
    /// follows, data that comes later is answered with RST.
    pub fn release(&mut self, now: Instant, id: ConnId) {
        let work = self.connections.work(id.0, &self.table).expect(VALID);
        work.held = false;
        work.events = Events::empty();
        work.incoming = false;
        self.with(now, id, |conn, _| conn.close());
    }

    /// The next thing that happened, or `None`.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event> {
        let nothing = self.agenda.ready.is_empty() && !self.has_acceptable() && !self.has_starved();
        if nothing && self.agenda.ready.capacity() <= LIST_KEPT { None } else { self.take_event() }
    }

    fn take_event(&mut self) -> Option<Event> {
        if let Some(event) = self.poll_acceptable() {
            return Some(event);
        }
        while let Some(key) = self.agenda.ready.pop_front() {
            let Some(work) = self.connections.at_work(key) else { continue };
            work.in_ready = false;
            if !work.held || work.unaccepted {
                continue;
            }
            let id = ConnId(key);
            if core::mem::take(&mut work.incoming) {
                work.requeue_ready(key, &mut self.agenda.ready);
                return Some(Event::Incoming(id));
            }
            if work.events.contains(Events::CONNECTED) {
                work.events.remove(Events::CONNECTED);
                work.requeue_ready(key, &mut self.agenda.ready);
                return Some(Event::Connected(id));
            }
            if work.events.contains(Events::CLOSED) && work.events == Events::CLOSED {
                work.events = Events::empty();
                return Some(Event::Closed(id, work.conn.closed_by()));
            }
            let closed = work.events.contains(Events::CLOSED);
            let mut events = core::mem::replace(&mut work.events, Events::empty());
            if closed {
                events.remove(Events::CLOSED);
                work.events = Events::CLOSED;
                work.requeue_ready(key, &mut self.agenda.ready);
            }
            if !events.is_empty() {
                return Some(Event::Progress(id, events));
            }
        }
        if self.agenda.ready.capacity() > LIST_KEPT {
            self.agenda.ready.shrink_to(LIST_KEPT);
        }
        self.poll_starved()
    }

    /// Gives a connection its place and its flow. One for which there is no room gives back what it holds.
    pub(super) fn open(
        &mut self,
        now: Instant,
        conn: Connection,
        listener: Option<u32>,
        opening: Opening,
    ) -> Result<ConnId, DropReason> {
        let Some((key, flow)) = self.open_flow(now, &conn, opening) else {
            conn.release(&mut self.pool);
            return Err(DropReason::NoFlow);
        };
        let work = self.connections.insert(conn, flow, listener).ok_or(DropReason::NoFlow)?;
        work.incoming = opening == Opening::Outside;
        if let Opening::Listener(binding, _) = opening {
            work.unaccepted = self.listeners.is_queueing(binding);
            self.settle(now, key);
            self.on_request_established(binding, key);
        }
        Ok(ConnId(key))
    }

    /// The flow of a new connection, and where the connection will stand; `None` when there is no room.
    fn open_flow(&mut self, now: Instant, conn: &Connection, opening: Opening) -> Option<(u32, FlowId)> {
        if self.connections.len() >= self.config.max_connections {
            return None;
        }
        let key = self.connections.next_key()?;
        let origin = match opening {
            Opening::Ours(origin) => origin,
            Opening::Listener(binding, _) => Origin::Child(binding),
            Opening::Outside => Origin::Transit,
        };
        let far = Far::Application(key);
        let flow = match opening {
            Opening::Listener(_, Some(request)) => self.table.promote(request, far, now),
            _ => self.table.open(conn.tuple(), far, origin, now),
        };
        Some((key, flow.ok()?))
    }

    /// Runs a command on a connection and settles what follows from it.
    pub(super) fn with<R>(
        &mut self,
        now: Instant,
        id: ConnId,
        run: impl FnOnce(&mut Connection, &mut Context<'_>) -> R,
    ) -> R {
        let work = self.connections.work(id.0, &self.table).expect(VALID);
        let mut cx = Context { now, pool: &mut self.pool };
        let result = run(&mut work.conn, &mut cx);
        let seldom = self.agenda.enter(now, id.0, work, &self.config.role);
        self.on_settled(now, id.0, seldom);
        result
    }

    /// Puts a connection into the lists where it belongs after something happened to it.
    pub(super) fn settle(&mut self, now: Instant, key: u32) {
        let Some(work) = self.connections.work(key, &self.table) else { return };
        let seldom = self.agenda.enter(now, key, work, &self.config.role);
        self.on_settled(now, key, seldom);
    }

    /// What follows when a connection stands in its lists.
    #[inline]
    pub(super) fn on_settled(&mut self, now: Instant, key: u32, seldom: Option<Seldom>) {
        if let Some(seldom) = seldom {
            self.settle_seldom(now, key, seldom);
        }
        self.connections.rest(&mut self.agenda.wheel);
    }

    /// What follows of what happens to a connection once in its life, or seldom.
    #[cold]
    fn settle_seldom(&mut self, now: Instant, key: u32, Seldom { events, has_output }: Seldom) {
        let Some(work) = self.connections.at_work(key) else { return };
        let remote = work.conn.remote();
        if let Some(mss) = work.conn.take_path_news() {
            self.paths.learn(now, remote, mss);
        }
        let doubted = events.contains(Events::SOFT_ERROR) && work.conn.is_unanswered();
        if work.conn.is_closed() && !has_output {
            if let Some(flow) = work.flow.take() {
                self.table.close(flow);
            }
            if !work.held {
                self.remove(key);
            }
        } else if !work.held
            && let Some(leaving) = work.conn.leaving()
        {
            if let Some(flow) = work.flow.take() {
                self.leave_waiting(now, flow, &leaving);
            }
            self.remove(key);
        } else if let Role::Host(host) = &self.config.role
            && doubted
        {
            self.neighbors.doubt(host, remote);
        }
    }

    /// The wheel has reached a connection. Deadlines move later far more often than they fire, so a connection is looked at
    /// when its oldest deadline comes, and put back.
    pub(super) fn on_connection_timer(&mut self, now: Instant, key: u32) {
        let Some(work) = self.connections.work(key, &self.table) else { return };
        work.scheduled = Instant::NEVER;
        if work.conn.poll_timeout().is_some_and(|at| at <= now) {
            let mut cx = Context { now, pool: &mut self.pool };
            work.conn.handle_timeout(&mut cx);
        }
        let seldom = self.agenda.enter(now, key, work, &self.config.role);
        self.on_settled(now, key, seldom);
    }

    /// Sends what a connection has to send, up to its turn.
    pub(super) fn send_segments<F: FrameSink>(&mut self, now: Instant, key: u32, sink: &mut F) {
        let generation = self.neighbors.generation();
        let Some(work) = self.connections.at_work(key) else { return };
        let is_known = work.way.as_ref().is_some_and(|way| way.is_good(generation, &work.conn));
        if !is_known {
            self.find_way(key);
        }
        let Some(work) = self.connections.at_work(key) else { return };
        let mut stuck = sink.is_ready();
        let mut segment = SegmentOut::EMPTY;
        for _ in 0..SEGMENTS_A_TURN {
            if !sink.is_ready() {
                break;
            }
            let mut cx = Context { now, pool: &mut self.pool };
            if !work.conn.poll_segment_into(&mut cx, &mut segment) {
                break;
            }
            stuck = false;
            let (mut slices, mut count) = ([&[][..]; SLICES_MAX], 0);
            for (place, slice) in slices.iter_mut().zip(work.conn.payload(&segment)) {
                *place = slice;
                count += 1;
            }
            let payload = &slices[..count];
            let sent = match (&work.way, &self.config.role) {
                (Some(way), _) => self.egress.segment(&way.template, &segment, payload, sink),
                (None, Role::Host(host)) => {
                    let (tuple, fields) = (work.conn.tuple(), ip_fields(&work.conn));
                    let frame =
                        self.egress.whole_segment(NextHop::UNKNOWN, &tuple, &segment, fields, payload);
                    self.neighbors.hold(host, tuple.remote.addr, frame)
                }
                (None, Role::Gateway(_)) => Err(DropReason::NeighborUnresolved),
            };
            if let Err(reason) = sent {
                self.drops.count(reason);
            }
            if !work.conn.is_dirty() {
                break;
            }
        }
        // A connection that had its turn and sent nothing waits for an event, whatever it says.
        work.in_output = stuck;
        let seldom = self.agenda.enter(now, key, work, &self.config.role);
        self.on_settled(now, key, seldom);
        if stuck && let Some(work) = self.connections.at_work(key) {
            work.in_output = false;
        }
    }

    /// Where the segments of a connection go from here, where that is known; it is asked for again only when something has
    /// changed on the link, or the owner wants other headers.
    fn find_way(&mut self, key: u32) {
        let Some(remote) = self.connections.at_work(key).map(|work| work.conn.remote()) else { return };
        let hop = self.link_address(remote);
        let generation = self.neighbors.generation();
        let Some(work) = self.connections.at_work(key) else { return };
        work.way = hop.map(|hop| {
            let template = self.egress.template(hop, &work.conn.tuple(), ip_fields(&work.conn));
            Way { generation, template }
        });
    }

    pub(super) fn remove(&mut self, key: u32) {
        let Some(mut work) = self.connections.remove(key, &self.table) else { return };
        if let Some(flow) = work.flow {
            self.table.close(flow);
        }
        self.agenda.wheel.cancel(key);
        work.conn.give_memory_back(&mut self.pool);
        self.connections.keep_place(work);
        self.forget_stale_output();
    }

    /// Keys of connections that are gone wait for their turn like others. While the link takes nothing that must not let the
    /// list grow with what comes and goes.
    fn forget_stale_output(&mut self) {
        if self.agenda.output.len() > 2 * self.connections.len() + STALE_OUTPUT_MAX {
            let waiting = self.connections.in_output();
            let for_the_link = waiting.filter(|&(_, remote)| !self.is_looped(remote)).map(|(key, _)| key);
            self.agenda.output = for_the_link.collect();
        }
    }

    /// The settings of a connection with `peer`: the template of the configuration with the segment sizes of the link.
    pub(super) fn tcp_settings(&self, peer: Addr) -> tcp::Settings {
        self.tcp_settings_like(&self.config.tcp, u16::MAX, peer)
    }

    /// The same of a connection that came to a listener.
    pub(super) fn tcp_settings_at(&self, listener: BindingId, peer: Addr) -> tcp::Settings {
        match self.listeners.settings(listener) {
            Some(settings) => self.tcp_settings_like(settings, settings.mss, peer),
            None => self.tcp_settings(peer),
        }
    }

    fn tcp_settings_like(&self, template: &tcp::Settings, most: u16, peer: Addr) -> tcp::Settings {
        let headers: u16 = if peer.is_v4() { 40 } else { 60 };
        let looped = self.is_looped(peer);
        let mtu = if looped { loopback::LOOPBACK_MTU } else { self.config.mtu };
        let mut settings = template.clone();
        settings.link_mss = mtu.saturating_sub(headers);
        settings.mss = settings.link_mss.min(most);
        settings.path_mss = self.paths.mss(peer);
        settings.max_segment =
            if !looped && self.config.capabilities.tso { tcp::MAX_OFFLOAD_SEGMENT } else { settings.mss };
        settings
    }
}

impl Way {
    /// Whether it still leads to the peer, with what the owner wants in its headers.
    #[inline]
    pub(super) fn is_good(&self, generation: u32, conn: &Connection) -> bool {
        self.generation == generation && self.template.fields() == ip_fields(conn)
    }

    /// Whether it is the way of a connection of which nothing on the link has changed since, and which is not with ourselves.
    #[inline]
    pub(super) fn is_known(&self, generation: u32) -> bool {
        self.generation == generation && self.template.to() != NextHop::Loopback
    }
}

/// What a connection's owner chose for the IP headers of its packets.
#[inline]
pub(super) fn ip_fields(conn: &Connection) -> Fields {
    Fields {
        hop_limit: conn.hop_limit(),
        traffic_class: conn.dscp() << 2,
        dont_fragment: conn.discovers_path(),
    }
}

/// From where a connection is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    Ours(Origin),
    /// A request becomes one, or a cookie has come back.
    Listener(BindingId, Option<RequestId>),
    Outside,
}
