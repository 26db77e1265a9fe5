//! Requests: connections in SYN-RECEIVED that came to a listener, each a row of the port table and a place in a queue.
//!
//! The SYN-ACK is repeated after 1, 2, 4, 8 and 16 s, and the row forgotten 32 s later, unless the settings want it more or
//! less often. All rows that were answered equally often wait equally long, so each repetition has its queue in the order of
//! time, and no request needs a timer of its own. A row that is gone is recognized by its stamp when its place comes to the front.
//!
//! Invariants: a row's listener exists; the front of each queue is a row that waits.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use wharf_table::binding::BindingId;
use wharf_table::request::{Request, RequestId};
use wharf_table::table::{Found, Table};
use wharf_table::trace::Silent;
use wharf_table::{DropReason, Instant, Protocol, Tuple};
use wharf_wire::quoted::Quoted;
use wharf_wire::tcp::{TcpFlags, TcpRepr};

use super::connections::{Opening, ip_fields};
use super::cookies::Cookies;
use super::listeners::COOKIES_VALID_MS;
use super::{Role, Stack, Unreachable};
use crate::egress::{Fields, NextHop};
use crate::ip::protocol;
use crate::tcp::request::{Pending, Sent, fields_of, sent_at};
use crate::tcp::{self, Connection, Context, Ecn, SegmentOut, SeqNum, State};

/// After so many repetitions the wait grows no more.
const DOUBLINGS: usize = 7;
/// The wait for the first acknowledgment (RFC 6298, rule 2.1), and the longest.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// Places of a piece of a queue.
const PIECE: usize = 512;

/// A queue in pieces, so that it grows without moving and shrinks as it empties.
#[derive(Default)]
struct Queue {
    pieces: VecDeque<Vec<Waiting>>,
    gone: usize,
}

/// A request and its stamp.
type Waiting = (RequestId, u32);

impl Queue {
    fn push(&mut self, waiting: Waiting) {
        if self.pieces.back().is_none_or(|piece| piece.len() == PIECE) {
            self.pieces.push_back(Vec::with_capacity(PIECE));
        }
        if let Some(piece) = self.pieces.back_mut() {
            piece.push(waiting);
        }
    }

    fn front(&self) -> Option<Waiting> {
        self.pieces.front()?.get(self.gone).copied()
    }

    fn pop(&mut self) {
        self.gone += 1;
        if self.pieces.front().is_some_and(|piece| self.gone >= piece.len()) {
            self.pieces.pop_front();
            self.gone = 0;
            self.pieces.shrink_to(2 * self.pieces.len());
        }
    }
}

impl Queue {
    /// Forgets places of rows that are gone, as far as they stand in front.
    fn tidy(&mut self, table: &Table) {
        while self.front().is_some_and(|waiting| pending(table, waiting).is_none()) {
            self.pop();
        }
    }
}

/// When the requests of a stack want to be looked at.
pub(super) struct Requests {
    /// By how often the SYN-ACK was repeated.
    queues: [Queue; DOUBLINGS + 1],
    stamp: u32,
    /// A moment not before any row's answer, and not hours after: what their times are counted back from.
    latest: Instant,
}

fn pending(table: &Table, (id, stamp): Waiting) -> Option<Pending> {
    let pending = Pending::from_row(table.request(id)?.payload);
    (pending.stamp == stamp).then_some(pending)
}

impl Requests {
    pub(super) fn new(now: Instant) -> Requests {
        Requests { queues: Default::default(), stamp: 0, latest: now }
    }

    /// Puts a row that was answered just now behind the others.
    fn arm(&mut self, now: Instant, id: RequestId, pending: &mut Pending) {
        self.latest = self.latest.max(now);
        self.stamp = self.stamp.wrapping_add(1);
        (pending.sent, pending.stamp) = (sent_at(now), self.stamp);
        self.queues[usize::from(pending.retries).min(DOUBLINGS)].push((id, self.stamp));
    }

    /// Forgets places of rows that are gone, as far as they stand in front.
    fn tidy(&mut self, table: &Table) {
        self.queues.iter_mut().for_each(|queue| queue.tidy(table));
    }

    fn due(&self, pending: &Pending) -> Instant {
        let wait = FIRST_WAIT * (1 << usize::from(pending.retries).min(DOUBLINGS));
        pending.sent_before(self.latest) + wait.min(LONGEST_WAIT)
    }

    /// When the first of them wants to be looked at.
    pub(super) fn next(&self, table: &Table) -> Option<Instant> {
        if table.request_count() == 0 {
            return None;
        }
        let fronts = self.queues.iter().filter_map(|queue| pending(table, queue.front()?));
        fronts.map(|pending| self.due(&pending)).min()
    }
}

impl Stack {
    /// A SYN for a listener. Beyond the most that the stack holds it is refused; a full accept queue drops it (the peer
    /// tries again), a full queue of requests answers it with a cookie.
    pub(super) fn on_syn_for_listener(
        &mut self,
        now: Instant,
        tuple: Tuple,
        syn: &TcpRepr,
        binding: BindingId,
        after: Option<SeqNum>,
    ) -> Result<(), DropReason> {
        if self.held_count() >= self.config.max_connections {
            self.reply_reset(tuple, syn, 0);
            return Err(DropReason::NoFlow);
        }
        let Some(listener) = self.listeners.listener(binding) else {
            self.reply_reset(tuple, syn, 0);
            return Err(DropReason::NoListener);
        };
        if listener.is_full() {
            return Err(DropReason::ListenQueueFull);
        }
        if listener.has_all_requests() {
            listener.cookie_at = Some(now);
            let pending = self.listeners.cookies.make(now, &tuple, syn);
            return self.send_cookie(now, tuple, binding, &pending);
        }
        let clock = tcp::initial_sequence_number(&self.config.isn_key, &tuple, now);
        // A connection that follows one in TIME-WAIT begins behind it (RFC 9293, section 3.10.7.4).
        let iss = after.map_or(clock, |after| clock.latest(after));
        let mut pending = Pending::new(iss, syn);
        let request = Request { tuple, listener: binding, payload: pending.to_row() };
        let Ok(id) = self.table.open_request(&request) else {
            self.reply_reset(tuple, syn, 0);
            return Err(DropReason::NoFlow);
        };
        if let Some(listener) = self.listeners.listener(binding) {
            listener.requests += 1;
        }
        self.answer_request(now, id, &request, &mut pending);
        Ok(())
    }

    /// A segment for a request: it is taken by the connection that the request stands for.
    pub(super) fn on_segment_for_request(
        &mut self,
        now: Instant,
        id: RequestId,
        (segment, payload): (&TcpRepr, &[u8]),
        ecn: Ecn,
    ) -> Result<(), DropReason> {
        let request = self.table.request(id).ok_or(DropReason::NoConnection)?;
        let pending = Pending::from_row(request.payload);
        let sent = Sent::At(pending.sent_before(now));
        self.take_for_request(now, &request, Some(id), &pending, sent, (segment, payload), ecn)
    }

    /// The last segment of a handshake whose cookie comes back; whether it was one.
    pub(super) fn on_cookie(
        &mut self,
        now: Instant,
        tuple: Tuple,
        binding: BindingId,
        (segment, payload): (&TcpRepr, &[u8]),
        ecn: Ecn,
    ) -> Option<Result<(), DropReason>> {
        let made = self.listeners.listener(binding)?.cookie_at?;
        let opening = TcpFlags::SYN | TcpFlags::RST;
        if now.since(made).as_millis() > u128::from(COOKIES_VALID_MS)
            || segment.flags.intersects(opening)
            || !segment.flags.contains(TcpFlags::ACK)
        {
            return None;
        }
        let pending = self.listeners.cookies.check(now, &tuple, segment)?;
        // The echo carries options in place of its lowest bits, so it tells no round trip.
        let mut segment = *segment;
        segment.options.timestamps = segment.options.timestamps.map(|(value, _)| (value, 0));
        let request = Request { tuple, listener: binding, payload: pending.to_row() };
        let taken =
            self.take_for_request(now, &request, None, &pending, Sent::Sometime, (&segment, payload), ecn);
        Some(taken)
    }

    #[allow(clippy::too_many_arguments, reason = "a row, what it says, and what came for it")]
    fn take_for_request(
        &mut self,
        now: Instant,
        request: &Request,
        id: Option<RequestId>,
        pending: &Pending,
        sent: Sent,
        (segment, payload): (&TcpRepr, &[u8]),
        ecn: Ecn,
    ) -> Result<(), DropReason> {
        let settings = self.tcp_settings_at(request.listener, request.tuple.remote.addr);
        let ends = segment.flags.contains(TcpFlags::ACK) && !segment.flags.contains(TcpFlags::RST);
        let listener = self.listeners.listener(request.listener).ok_or(DropReason::NoListener)?;
        if ends && listener.is_full() {
            return Err(DropReason::ListenQueueFull);
        }
        let mut cx = Context { now, pool: &mut self.pool };
        let mut conn = Connection::from_request(&settings, request.tuple, pending, sent, now);
        let result = conn.handle_segment(&mut cx, segment, payload, ecn);
        if conn.state() == State::SynReceived || conn.is_closed() {
            let is_over = conn.is_closed();
            self.send_all_of(now, &mut conn);
            conn.release(&mut self.pool);
            if is_over && let Some(id) = id {
                self.close_request(id);
            }
            return result;
        }
        // The handshake is over: the row becomes a flow.
        let token = self.listeners.listener(request.listener).map(|listener| listener.token);
        let opened = self.open(now, conn, token, Opening::Listener(request.listener, id));
        match (opened, id) {
            (Ok(_), Some(_)) => self.forget_request(request.listener, pending.retries),
            (Err(_), Some(id)) => self.close_request(id),
            _ => {}
        }
        opened.and(result)
    }

    /// Sends the SYN-ACK of a request and notes when.
    fn answer_request(&mut self, now: Instant, id: RequestId, request: &Request, pending: &mut Pending) {
        let tuple = request.tuple;
        let settings = self.tcp_settings_at(request.listener, tuple.remote.addr);
        let (answer, shift) = pending.syn_ack(&settings, &tuple, now);
        pending.our_scale = Some(shift);
        self.reply_segment(tuple, &answer, fields_of(&settings));
        self.requests.arm(now, id, pending);
        if let Some(row) = self.table.request_payload_mut(id) {
            *row = pending.to_row();
        }
    }

    fn send_cookie(
        &mut self,
        now: Instant,
        tuple: Tuple,
        binding: BindingId,
        pending: &Pending,
    ) -> Result<(), DropReason> {
        let settings = self.tcp_settings_at(binding, tuple.remote.addr);
        let (mut answer, _) = pending.syn_ack(&settings, &tuple, now);
        if let Some((clock, _)) = &mut answer.header.options.timestamps {
            *clock = Cookies::stamp(*clock, pending);
        }
        self.reply_segment(tuple, &answer, fields_of(&settings));
        Ok(())
    }

    /// Sends what a connection has to send that is not kept.
    fn send_all_of(&mut self, now: Instant, conn: &mut Connection) {
        let tuple = conn.tuple();
        loop {
            let mut cx = Context { now, pool: &mut self.pool };
            let Some(segment) = conn.poll_segment(&mut cx) else { break };
            self.reply_segment(tuple, &segment, ip_fields(conn));
        }
    }

    /// Sends a segment without payload that no connection keeps.
    pub(super) fn reply_segment(&mut self, tuple: Tuple, segment: &SegmentOut, fields: Fields) {
        let to = self.link_address(tuple.remote.addr);
        match (to, &self.config.role) {
            (Some(to), _) => {
                let frame = self.egress.whole_segment(to, &tuple, segment, fields, &[]);
                self.reply_to(to, frame);
            }
            (None, Role::Host(host)) => {
                let frame = self.egress.whole_segment(NextHop::UNKNOWN, &tuple, segment, fields, &[]);
                if let Err(reason) = self.neighbors.hold(host, tuple.remote.addr, frame) {
                    self.drops.count(reason);
                }
            }
            (None, Role::Gateway(_)) => self.drops.count(DropReason::NeighborUnresolved),
        }
    }

    fn close_request(&mut self, id: RequestId) {
        let Some(request) = self.table.close_request(id) else { return };
        self.forget_request(request.listener, Pending::from_row(request.payload).retries);
    }

    /// A row of a listener is gone, whose SYN-ACK was repeated so often.
    fn forget_request(&mut self, listener: BindingId, retries: u8) {
        if let Some(listener) = self.listeners.listener(listener) {
            listener.requests -= 1;
        }
        self.requests.queues[usize::from(retries).min(DOUBLINGS)].tidy(&self.table);
    }

    /// A listener is gone, and its requests with it.
    pub(super) fn forget_requests_of(&mut self, binding: BindingId) {
        while let Some(id) = self.table.newest_request(binding) {
            self.table.close_request(id);
        }
        self.requests.tidy(&self.table);
    }

    /// Repeats the SYN-ACKs that are due, and forgets requests that nobody acknowledges.
    pub(super) fn on_request_timeout(&mut self, now: Instant) {
        self.requests.tidy(&self.table);
        for queue in 0..=DOUBLINGS {
            while let Some((id, stamp)) = self.requests.queues[queue].front() {
                let Some(mut pending) = pending(&self.table, (id, stamp)) else {
                    self.requests.queues[queue].pop();
                    continue;
                };
                if self.requests.due(&pending) > now {
                    break;
                }
                self.requests.queues[queue].pop();
                let Some(request) = self.table.request(id) else { continue };
                let settings = self.listeners.settings(request.listener).unwrap_or(&self.config.tcp);
                if pending.retries >= settings.syn_ack_retries {
                    self.close_request(id);
                } else {
                    pending.retries += 1;
                    self.answer_request(now, id, &request, &mut pending);
                }
            }
        }
    }

    /// The request whose SYN-ACK an ICMP error quotes.
    pub(super) fn quoted_request(&self, quoted: &Quoted) -> Option<RequestId> {
        let tuple = Tuple { protocol: Protocol::Tcp, local: quoted.src, remote: quoted.dst };
        match self.table.find(&tuple, &mut Silent) {
            Found::Request(id) if quoted.protocol == protocol::TCP => Some(id),
            _ => None,
        }
    }

    /// An ICMP error about the SYN-ACK of a request. It ends the request when it says that nothing gets there, as in Linux
    /// (`tcp_req_err`).
    pub(super) fn on_request_unreachable(
        &mut self,
        id: RequestId,
        seq: Option<u32>,
        why: Unreachable,
    ) -> Result<(), DropReason> {
        let request = self.table.request(id).ok_or(DropReason::NoConnection)?;
        let iss = Pending::from_row(request.payload).iss;
        if seq != Some(iss.value()) {
            return Err(DropReason::IcmpInvalid);
        }
        if matches!(why, Unreachable::Network | Unreachable::Host | Unreachable::HopLimit) {
            self.close_request(id);
        }
        Ok(())
    }
}
