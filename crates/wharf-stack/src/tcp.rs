//! One TCP connection without input or output of its own (RFC 9293, RFC 7323, RFC 2018, RFC 6675, RFC 5961).
//!
//! On a packet's way: the stack finds the connection of a segment and hands it to [`Connection::handle_segment`]; what
//! the connection has to say leaves by [`Connection::poll_segment`]. The file of each step:
//!
//! - [`segment_in`]: a segment's way through the numbered checks of RFC 9293, section 3.10.7.4;
//! - [`segment_out`]: the reasons to send, asked in order;
//! - [`window`], [`reassembly`]: what may be sent and taken, and what came out of order;
//! - [`sack`], [`rack`], [`tlp`], [`rto`], [`round_trip`]: what has arrived and what is lost;
//! - [`recovery`], [`retransmit`], [`undo`]: what is done about it;
//! - [`congestion`], [`prr`]: how much may be on its way;
//! - [`delayed_ack`]: when what was received is acknowledged;
//! - [`ecn`], [`pacing`]: congestion that routers tell of, and when what may leave does;
//! - [`info`], [`tally`]: what a connection knows and counts of itself;
//! - [`command`], [`change`], [`timeout`]: what the owner wants, and what time brings;
//! - [`path`], [`urgent`], [`user_timeout`], [`record`]: what few connections need, kept in [`rare`].
//!
//! Invariants: no bytes are taken beyond the window that was promised, and the promise is never taken back; a byte is
//! given up by the send queue only when acknowledged; an idle connection holds no chunk, and nothing on the heap but what few ask for.
//!
//! Deliberately not here: listening (a binding of the port table), checksums, IP, Fast Open.

#![allow(rustdoc::private_intra_doc_links)] // The map of the files is for who reads them.

mod account;
mod change;
mod command;
mod congestion;
mod delayed_ack;
mod delivery;
mod ecn;
mod info;
mod isn;
pub(crate) mod leaving;
mod pacing;
pub(crate) mod park;
mod path;
mod prr;
mod rack;
mod rare;
mod reassembly;
mod record;
mod recovery;
pub(crate) mod request;
mod reset;
mod retransmit;
mod round_trip;
mod rto;
mod sack;
mod segment_in;
mod segment_out;
mod send_buffer;
mod seq;
mod settings;
mod state;
mod tail;
mod tally;
mod timeout;
mod timers;
mod tlp;
mod undo;
mod urgent;
mod user_timeout;
mod window;

use alloc::boxed::Box;

use wharf_table::{Addr, Instant, Tuple};
use wharf_wire::tcp::TcpRepr;

use crate::buffer::{ByteQueue, ChunkPool, Slices};

pub use change::Change;
pub use congestion::CongestionKind;
pub use ecn::EcnMode;
pub use info::{CaState, InfoOptions, TcpInfo};
pub use isn::initial_sequence_number;
pub(crate) use path::{LEAST_V4, LEAST_V6, LIMIT_LASTS as PATH_LIMIT_LASTS};
pub use reset::reset_for;
pub use segment_in::Ecn;
pub(crate) use segment_in::{HANDED_MIN, KEPT_MAX};
pub use segment_out::SegmentOut;
pub use seq::SeqNum;
pub use settings::{
    Keepalive, MAX_OFFLOAD_SEGMENT, MissingTimestamps, MtuProbing, Settings, UserTimeoutOption,
};
pub use state::{CloseReason, Events, State, Unreachable};

use congestion::{Congestion, Usage};
use delayed_ack::DelayedAck;
use ecn::EcnState;
use pacing::Pacer;
use path::Proof;
use rack::Reordering;
use rare::Rare;
use reassembly::Reassembly;
use recovery::Recovery;
use rto::RttEstimator;
use sack::Scoreboard;
use segment_in::{Challenges, Timestamps};
use segment_out::Owed;
pub(crate) use settings::Limits;
use tally::Tally;
use timers::{Awaits, Timers};
use tlp::Probe;
use window::{ReceiveWindow, SendWindow};

/// The segment size when the peer names none (RFC 9293, section 3.7.1, MUST-15).
const DEFAULT_MSS_V4: u16 = 536;
const DEFAULT_MSS_V6: u16 = 1_220;

/// What a connection is lent while it works.
#[derive(Debug)]
pub struct Context<'a> {
    /// The time.
    pub now: Instant,
    /// Where memory for data comes from.
    pub pool: &'a mut ChunkPool,
}

/// One TCP connection.
///
/// Four kinds of methods, told apart by name: *getters*; `handle_*` takes input (a segment, a time-out, an ICMP error);
/// *commands* are what the owner wants ([`accept`](Self::accept), [`send`](Self::send), [`consume`](Self::consume),
/// [`shutdown`](Self::shutdown), [`close`](Self::close), [`abort`](Self::abort)); `poll_*` gives output. After any input or
/// command, call [`poll_segment`](Self::poll_segment) until it gives `None`, then look at
/// [`poll_timeout`](Self::poll_timeout) and [`take_events`](Self::take_events).
///
/// A connection is given up with [`release`](Self::release), which returns its memory.
#[derive(Debug)]
pub struct Connection {
    tuple: Tuple,
    state: State,
    closed_by: Option<CloseReason>,
    soft_error: Option<Unreachable>,
    events: Events,
    limits: Limits,
    iss: SeqNum,
    irs: SeqNum,
    snd: SendWindow,
    rcv: ReceiveWindow,
    /// Sequence number of the first byte of `send_queue`.
    send_start: SeqNum,
    send_queue: ByteQueue,
    /// By how much the send buffer has outgrown what the owner chose.
    send_grown: u32,
    receive_queue: ByteQueue,
    /// Kept while data is held out of order, or a duplicate is to be reported.
    out_of_order: Option<Box<Reassembly>>,
    /// Kept while what is on its way left at more than one time, or fares differently.
    board: Option<Box<Scoreboard>>,
    /// Kept while not everything on its way arrives in order.
    recovery: Option<Box<Recovery>>,
    /// Kept once something that few ask for was asked.
    rare: Option<Box<Rare>>,
    congestion: Congestion,
    usage: Usage,
    ecn: EcnState,
    /// Kept when data is not to leave as soon as it may.
    pacer: Option<Box<Pacer>>,
    rtt: RttEstimator,
    timers: Timers,
    /// What the retransmission timer runs for.
    awaits: Awaits,
    /// A probe for the loss of the last segments.
    probe: Probe,
    /// `snd_nxt` when it left (TLP.end_seq).
    probe_end: SeqNum,
    reordering: Reordering,
    delayed_ack: DelayedAck,
    timestamps: Timestamps,
    challenges: Challenges,
    owed: Owed,
    tally: Tally,
    /// When data last left.
    last_sent: Instant,
    /// Where the last small segment that left ends (Minshall's form of Nagle's algorithm).
    small_sent: SeqNum,
    /// The largest segment that we send, in bytes, options counted as payload.
    mss: u16,
    /// Of which size segments were acknowledged.
    proof: Proof,
    /// The largest segment that the peer was seen to send: two of them are acknowledged at once.
    rcv_mss: u16,
    /// Retransmissions or probes without an answer.
    retries: u8,
    keepalives: u8,
    /// Both sides do SACK; while the handshake runs: we do.
    sack: bool,
    /// The same for window scaling.
    scaling: bool,
    /// The first segment was the peer's.
    passive: bool,
    /// The SYN-ACK of a passive connection may leave.
    accepted: bool,
    /// Only full segments leave.
    corked: bool,
    /// The end of the send queue.
    tail: tail::Tail,
    /// A FIN follows the queued data.
    fin_queued: bool,
    /// Nobody reads any more.
    detached: bool,
    /// What is on its way fills the congestion window.
    window_filled: bool,
    /// The owner could not queue all that it had.
    send_blocked: bool,
    /// The owner wants to know when everything is acknowledged.
    drain_awaited: bool,
    /// There may be something to send.
    dirty: bool,
}

impl Connection {
    /// A connection that we open: in SYN-SENT, its SYN is due.
    pub fn connect(settings: &Settings, tuple: Tuple, iss: SeqNum, now: Instant) -> Connection {
        let mut connection = Connection::new(settings, tuple, iss, now);
        connection.accepted = true;
        connection.owed.syn = true;
        connection.dirty = true;
        connection
    }

    /// A connection that the peer opens with `syn`: in SYN-RECEIVED. Nothing is sent until [`Connection::accept`]; SYNs that
    /// the peer repeats meanwhile are dropped. [`Connection::abort`] refuses it, [`Connection::release`] alone is silence.
    pub fn incoming(
        settings: &Settings,
        tuple: Tuple,
        iss: SeqNum,
        syn: &TcpRepr,
        now: Instant,
    ) -> Connection {
        let mut connection = Connection::new(settings, tuple, iss, now);
        connection.state = State::SynReceived;
        connection.passive = true;
        connection.take_syn(syn, now);
        connection
    }

    /// The peer's clock said this when a connection of the same tuple ended: the SYN echoes it, as in Linux.
    pub(crate) fn remember_clock(&mut self, recent: u32, now: Instant) {
        self.timestamps.note(recent, now);
    }

    fn new(settings: &Settings, tuple: Tuple, iss: SeqNum, now: Instant) -> Connection {
        let mss = if tuple.remote.addr.is_v4() { DEFAULT_MSS_V4 } else { DEFAULT_MSS_V6 };
        let mut rcv = ReceiveWindow::new(settings);
        if !settings.window_scale {
            rcv.without_scale();
        }
        Connection {
            tuple,
            state: State::SynSent,
            closed_by: None,
            soft_error: None,
            events: Events::empty(),
            limits: Limits::new(settings),
            iss,
            irs: SeqNum::new(0),
            snd: SendWindow::new(iss),
            rcv,
            send_start: iss + 1,
            send_queue: ByteQueue::new(),
            send_grown: 0,
            receive_queue: ByteQueue::new(),
            out_of_order: None,
            board: None,
            recovery: None,
            rare: Rare::of(settings),
            congestion: Congestion::new(settings.congestion, mss.into()),
            usage: Usage::new(iss, now),
            ecn: EcnState::new(settings.ecn),
            pacer: Connection::pacer_of(settings, now),
            rtt: RttEstimator::new(),
            timers: Timers::new(),
            awaits: Awaits::Acknowledgment,
            probe: Probe::None,
            probe_end: iss,
            reordering: Reordering::new(),
            delayed_ack: DelayedAck::default(),
            timestamps: Timestamps::new(settings),
            challenges: Challenges::default(),
            owed: Owed::default(),
            tally: Tally::new(now),
            last_sent: now,
            small_sent: iss,
            mss: mss.min(settings.mss),
            proof: Proof::NONE,
            rcv_mss: DEFAULT_MSS_V4.min(settings.mss),
            retries: 0,
            keepalives: 0,
            sack: settings.sack,
            scaling: settings.window_scale,
            passive: false,
            accepted: false,
            corked: false,
            tail: tail::Tail::default(),
            fin_queued: false,
            detached: false,
            window_filled: false,
            send_blocked: false,
            drain_awaited: false,
            dirty: false,
        }
    }
}

/// Getters.
impl Connection {
    /// The state.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Who talks to whom.
    pub const fn tuple(&self) -> Tuple {
        self.tuple
    }

    /// Whether the peer has opened it.
    pub const fn is_passive(&self) -> bool {
        self.passive
    }

    /// The shift of the windows that the peer is told.
    #[cfg(test)]
    pub(crate) const fn window_shift(&self) -> u8 {
        self.rcv.scale
    }

    /// Who is talked to.
    pub(crate) const fn remote(&self) -> Addr {
        self.tuple.remote.addr
    }

    /// The peer's initial sequence number; meaningless in SYN-SENT.
    pub const fn irs(&self) -> SeqNum {
        self.irs
    }

    /// Whether the peer's SYN has come.
    pub(crate) fn has_heard_syn(&self) -> bool {
        self.irs.value() != 0 || self.rcv.rcv_nxt.value() != 0
    }

    /// Whether it is over. One RST may still be waiting in [`Connection::poll_segment`].
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Why it is over; [`CloseReason::Aborted`] while it is not.
    pub fn closed_by(&self) -> CloseReason {
        self.closed_by.unwrap_or(CloseReason::Aborted)
    }

    /// The last ICMP error that came for it and did not end it.
    pub const fn soft_error(&self) -> Option<Unreachable> {
        self.soft_error
    }

    /// Bytes that wait to be read.
    pub const fn received_len(&self) -> usize {
        self.receive_queue.len()
    }

    /// The bytes that wait to be read, in order.
    pub fn receive_slices(&self) -> Slices<'_> {
        self.receive_queue.slices(0, usize::MAX)
    }

    /// Whether the peer has finished: nothing follows what has been received.
    pub const fn peer_has_finished(&self) -> bool {
        !self.state.may_receive() && !matches!(self.state, State::SynSent | State::SynReceived)
    }

    /// Bytes that [`Connection::send`] takes now, if the pool has memory.
    pub fn send_room(&self) -> usize {
        if self.fin_queued || !self.state.may_send() {
            return 0;
        }
        let room = (self.send_buffer() as usize).saturating_sub(self.send_queue.len());
        match self.limits.not_sent_low_water {
            0 => room,
            most => room.min(self.room_below(most)),
        }
    }

    /// Bytes that are queued and were never sent.
    pub fn unsent_len(&self) -> usize {
        self.data_end().since(self.snd.snd_nxt.earliest(self.data_end())) as usize
    }

    /// Payload bytes of a full segment as it would leave now.
    pub fn segment_payload(&self) -> u16 {
        u16::try_from(self.segment_size()).unwrap_or(u16::MAX)
    }

    /// Bytes that were sent or are queued, and are not acknowledged.
    pub const fn unacknowledged_len(&self) -> usize {
        self.send_queue.len()
    }

    /// Behind the last byte that is queued.
    pub(crate) fn queued_end(&self) -> SeqNum {
        self.data_end()
    }

    /// Whether the peer has acknowledged everything before `seq`.
    pub(crate) fn has_acknowledged(&self, seq: SeqNum) -> bool {
        !self.snd.snd_una.before(seq)
    }

    /// Whether `seq` is on its way: an ICMP error that quotes another number is not about this connection (RFC 5927,
    /// section 4.1).
    pub const fn is_on_its_way(&self, seq: u32) -> bool {
        let seq = SeqNum::new(seq);
        !seq.before(self.snd.snd_una) && seq.before(self.snd.snd_nxt)
    }

    /// Whether a SYN that came in TIME-WAIT begins a new connection of the same tuple: then this one may be released and
    /// the SYN treated as one for no connection (RFC 9293, section 3.10.7.4, MAY-2; RFC 6191, section 2).
    pub fn may_be_reopened_by(&self, syn: &TcpRepr) -> bool {
        use wharf_wire::tcp::TcpFlags;
        let is_syn = syn.flags.contains(TcpFlags::SYN)
            && !syn.flags.intersects(TcpFlags::ACK | TcpFlags::RST | TcpFlags::FIN);
        self.state == State::TimeWait
            && is_syn
            && (SeqNum::new(syn.seq).after(self.rcv.rcv_nxt) || self.timestamps.is_newer(syn))
    }
}

/// Output other than segments.
impl Connection {
    /// When [`Connection::handle_timeout`] wants to be called next; `None` when only input can change anything.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let at = self.due();
        (at != Instant::NEVER).then_some(at)
    }

    /// The same; never where nothing is due.
    pub(crate) fn due(&self) -> Instant {
        self.timers.next().min(self.pacing_due().unwrap_or(Instant::NEVER))
    }

    /// Whether what happens now may be one of what happens seldom: its end, an error, news of the path.
    #[inline]
    pub(crate) fn is_special(&self) -> bool {
        self.is_closed() | self.rare.is_some() | self.events.contains(Events::SOFT_ERROR)
    }

    /// Whether something has happened that [`Connection::take_events`], its state or what it knows of the path tells.
    #[inline]
    pub(crate) fn has_news(&self) -> bool {
        !self.events.is_empty() | self.is_closed() | self.rare.is_some()
    }

    /// What has happened since this was asked last.
    pub fn take_events(&mut self) -> Events {
        core::mem::take(&mut self.events)
    }

    /// Gives the memory back.
    pub fn release(mut self, pool: &mut ChunkPool) {
        self.give_memory_back(pool);
    }

    /// The same for one whose place is used again.
    pub(crate) fn give_memory_back(&mut self, pool: &mut ChunkPool) {
        self.send_queue.clear(pool);
        self.receive_queue.clear(pool);
        (self.board, self.recovery, self.out_of_order) = (None, None, None);
        (self.rare, self.pacer) = (None, None);
    }

    /// It is over.
    fn end(&mut self, reason: CloseReason) {
        if self.state == State::Closed {
            return;
        }
        self.keep_mark_at_end();
        self.state = State::Closed;
        self.closed_by = Some(reason);
        self.events |= Events::CLOSED;
        self.timers = Timers::new();
        self.owed = Owed::default();
        (self.board, self.recovery, self.out_of_order) = (None, None, None);
    }

    /// Nothing comes back any more; ICMP may have said why.
    fn give_up(&mut self, reason: CloseReason) {
        self.end(self.soft_error.map_or(reason, CloseReason::Unreachable));
    }
}

#[cfg(test)]
mod tests;
