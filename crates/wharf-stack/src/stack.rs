//! The stack: frames in, frames out, and between them the port table.
//!
//! On a packet's way this is the middle: `handle_frames` takes what the link read, [`crate::ip`] finds the packet,
//! the table finds the flow, the connection takes the segment. What the owner has to know comes out as [`Event`]s
//! and datagrams, what the link has to send as frames.
//!
//! Four kinds of methods, told apart by name: *getters*; `handle_*` (input: frames, a time-out); *commands* (bind,
//! connect, send, close, accept or refuse); `poll_*` (output: events, frames, the next time-out). After any input or
//! command, poll until there is nothing left.
//!
//! Invariants: a [`ConnId`] stays valid until the owner gives it back with [`Stack::release`]; an event for it never
//! comes later. Cost follows what happened: idle connections are in no list but the timer
//! wheel's, and beyond a few thousand they wait in some hundred bytes each.
//!
//! Deliberately not here: sockets of the host, DNS, the clock. A stack is either a *gateway*, which answers in the name
//! of every address outside, or a *host*, which answers for its own addresses only ([`Role`]).

mod agenda;
mod batch;
mod config;
mod connections;
mod cookies;
mod datagrams;
mod errors;
mod handed;
mod icmp;
mod ingress;
mod limiter;
mod listeners;
mod local;
mod loopback;
mod paths;
pub(crate) mod places;
mod requests;
mod segments;
mod slots;
mod socket_options;
mod sockets;
mod starved;
mod usual;
pub(crate) mod waits;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use wharf_table::drop::DropCounters;
use wharf_table::notation::Cidr;
use wharf_table::{Addr, DropReason, Instant, Table};

pub use self::config::{Config, Gateway, GatewayAddresses, HostRole, Medium, Role};
pub use self::connections::{ConnId, Event, Refusal};
pub use self::datagrams::{DatagramError, DatagramFields, DatagramIn, DatagramOut, DatagramSink};
pub use self::errors::IcmpError;
pub use self::handed::{KeepText, TextSink};
use crate::buffer::ChunkPool;
use crate::egress::{Egress, NextHop};
use crate::fragment::Reassembler;
use crate::interface::{FrameIn, FrameSink, OffloadOut};
use crate::ip::Meant;
use crate::neighbor::Neighbors;
pub use crate::tcp::Unreachable;

/// How many frames of our own (ARP, NDP, ICMP, RST) may wait for the link.
const REPLIES_MAX: usize = 1024;
/// How many bytes they may have: those of a few pings of the largest size.
const REPLY_BYTES_MAX: usize = 1 << 20;
/// What the key of Identification fields is derived for, from that of initial sequence numbers.
const IDENTIFICATIONS: u32 = 0x6970_6964;
/// How many segments one connection may send before the next one has its turn.
const SEGMENTS_A_TURN: usize = 4;

/// A TCP/UDP/IP stack. See the [module](self) for how its methods fit together.
pub struct Stack {
    config: Config,
    table: Table,
    connections: slots::Connections,
    listeners: listeners::Listeners,
    requests: requests::Requests,
    pool: ChunkPool,
    agenda: agenda::Agenda,
    /// Connections whose owners wait for memory.
    starved: starved::Starved,
    /// Whole frames that answer something: ARP, NDP, ICMP, RST.
    replies: VecDeque<Vec<u8>>,
    reply_bytes: usize,
    looped: loopback::Looped,
    reassembler: Reassembler,
    neighbors: Neighbors,
    /// What the neighbour cache said last, in its generation, of which destination.
    last_hop: Option<(u32, Addr, NextHop)>,
    paths: paths::Paths,
    egress: Egress,
    drops: DropCounters,
    limiter: limiter::Limiter,
    expired: Vec<u32>,
    /// The flow that the frame at hand is likely for: what was found ahead, or the flow of the frame before, since frames
    /// come in trains (Jain and Routhier, "Packet Trains", 1986).
    expected: Option<wharf_table::flow::FlowId>,
    /// What was found for the frame at hand, when it takes the long way after all.
    found: Option<wharf_table::table::Found>,
    /// The last addresses between which a segment of the link was let through, and whom its destination means.
    let_through: Option<(Addr, Addr, Meant)>,
}

impl Stack {
    /// A stack of this configuration with nothing open, at `now`.
    pub fn new(config: Config, now: Instant) -> Stack {
        let mut table = Table::new(config.table_key);
        table.set_max_flows(u32::try_from(config.max_connections).unwrap_or(u32::MAX));
        table.set_ephemeral_range(config.ephemeral_ports);
        Stack {
            table,
            connections: slots::Connections::new(),
            listeners: listeners::Listeners::new(cookies::Cookies::new(&config.isn_key)),
            requests: requests::Requests::new(now),
            pool: ChunkPool::new(config.buffer_limit),
            agenda: agenda::Agenda::new(now),
            starved: starved::Starved::default(),
            replies: VecDeque::new(),
            reply_bytes: 0,
            looped: loopback::Looped::default(),
            reassembler: Reassembler::new(),
            neighbors: Neighbors::new(),
            last_hop: None,
            paths: paths::Paths::default(),
            egress: Egress::new(
                config.hardware_address,
                config.mtu,
                config.capabilities,
                config.isn_key.derive(IDENTIFICATIONS),
            ),
            drops: DropCounters::default(),
            limiter: limiter::Limiter::new(config.table_key, now),
            expired: Vec::new(),
            expected: None,
            found: None,
            let_through: None,
            config,
        }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How connections behave that are opened from now on.
    pub fn tcp_settings_mut(&mut self) -> &mut crate::tcp::Settings {
        &mut self.config.tcp
    }

    /// Gives a host one more address; a gateway's addresses are those of its network, and stay.
    pub fn add_address(&mut self, address: Cidr) {
        if let Role::Host(host) = &mut self.config.role
            && !host.addresses.contains(&address)
        {
            host.addresses.push(address);
            self.neighbors.forget_answers();
            self.let_through = None;
        }
    }

    /// The port table: every binding and every flow.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// What was dropped, by reason.
    pub fn drops(&self) -> &DropCounters {
        &self.drops
    }

    /// How many TCP connections exist, those in SYN-RECEIVED and in TIME-WAIT included.
    pub fn connection_count(&self) -> usize {
        self.held_count() + self.table.waiting_count() as usize
    }

    /// How many of them are more than what is left in TIME-WAIT.
    fn held_count(&self) -> usize {
        self.connections.len() + self.table.request_count() as usize
    }

    /// How many of them work now. The others are idle and kept in few bytes, until something happens to them.
    pub fn working_count(&self) -> usize {
        self.connections.working()
    }

    /// Lets up to `most` connections work before idle ones are put away; 512 unless told. Few save memory, many the
    /// fraction of a microsecond that it takes to wake one.
    pub fn set_working_max(&mut self, most: usize) {
        self.connections.set_working_max(most);
    }

    /// Bytes of buffers that hold data now.
    pub fn buffered_bytes(&self) -> usize {
        self.pool.bytes_in_use()
    }

    /// Counts a packet that the owner could not deliver.
    pub fn count_drop(&mut self, reason: DropReason) {
        self.drops.count(reason);
    }

    /// Counts packets that the owner could not deliver.
    pub fn count_drops(&mut self, reason: DropReason, count: u64) {
        self.drops.count_many(reason, count);
    }

    /// Takes a batch of frames that arrived. Datagrams go straight to `datagrams`, borrowed from the frame; all else
    /// becomes state, events and frames to poll.
    pub fn handle_frames<D: DatagramSink>(
        &mut self,
        now: Instant,
        frames: &[FrameIn<'_>],
        datagrams: &mut D,
    ) {
        self.handle_frames_with(now, frames, datagrams, &mut KeepText);
    }

    /// The same; large text goes to `texts` first, borrowed from the frames as well. What is not taken there is kept, as
    /// all of it is else.
    pub fn handle_frames_with<D: DatagramSink, T: TextSink>(
        &mut self,
        now: Instant,
        frames: &[FrameIn<'_>],
        datagrams: &mut D,
        texts: &mut T,
    ) {
        let mut handed = handed::Handed::new();
        let mut sinks = (datagrams, texts);
        if frames.len() < 2 || self.is_small() {
            frames.iter().for_each(|frame| self.handle_one_frame(now, frame, &mut sinks, &mut handed));
        } else {
            for frames in frames.chunks(batch::BATCH) {
                let ahead = self.look_ahead(frames);
                for (frame, expected) in frames.iter().zip(ahead) {
                    self.expected = expected.or(self.expected);
                    self.handle_one_frame(now, frame, &mut sinks, &mut handed);
                }
            }
        }
        let (datagrams, texts) = sinks;
        self.settle_handed(now, texts, &mut handed);
        if self.has_looped() {
            self.handle_looped(now, datagrams);
        }
    }

    /// One frame of a batch: the short way where that is enough, else the long one.
    fn handle_one_frame<'a, D: DatagramSink, T: TextSink>(
        &mut self,
        now: Instant,
        frame: &FrameIn<'a>,
        (datagrams, texts): &mut (&mut D, &mut T),
        handed: &mut handed::Handed<'a>,
    ) {
        let taken = match self.on_usual_segment(now, frame, *texts, handed) {
            Some(taken) => taken,
            None => {
                self.settle_handed(now, *texts, handed);
                self.handle_frame(now, frame, *datagrams)
            }
        };
        self.found = None;
        if let Err(reason) = taken {
            self.drops.count(reason);
        }
    }

    /// Does what is due at `now`: retransmissions, delayed ACKs, the ends of TIME-WAIT and of reassembly.
    pub fn handle_timeout(&mut self, now: Instant) {
        let mut expired = core::mem::take(&mut self.expired);
        self.agenda.wheel.expire(now, &mut expired);
        for key in expired.drain(..) {
            self.on_connection_timer(now, key);
        }
        expired.shrink_to(agenda::LIST_KEPT);
        self.expired = expired;
        self.on_request_timeout(now);
        self.on_waiting_timeout(now);
        self.on_reassembly_timeout(now);
        self.on_neighbor_timeout(now);
        self.paths.handle_timeout(now);
        self.pool.trim(now);
        self.egress.trim();
        self.connections.trim();
    }

    /// When [`Stack::handle_timeout`] has to be called next; `None` while nothing is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let others = [
            self.requests.next(&self.table),
            self.table.next_waiting_expiry(),
            self.reassembler.poll_timeout(),
            self.neighbors.poll_timeout(),
            self.paths.poll_timeout(),
        ];
        let first = self.agenda.wheel.next().unwrap_or(Instant::NEVER);
        let soonest = others.into_iter().fold(first, |soonest, at| soonest.min(at.unwrap_or(Instant::NEVER)));
        (soonest != Instant::NEVER).then_some(soonest)
    }

    /// When [`Stack::handle_timeout`] would give memory back that nobody needs any more. An owner who sleeps longer keeps it.
    pub fn poll_trim(&self) -> Option<Instant> {
        self.pool.poll_timeout()
    }

    /// Gives every frame that is due to `sink`, until nothing is left or the link takes no more.
    pub fn poll_frames<F: FrameSink>(&mut self, now: Instant, sink: &mut F) {
        if self.neighbors.has_output() {
            self.flush_neighbors();
        } else if self.replies.is_empty() && self.agenda.output.is_empty() {
            return self.agenda.forget_room();
        }
        while sink.is_ready() {
            let Some(frame) = self.replies.pop_front() else { break };
            self.reply_bytes -= frame.len();
            if let Err(reason) = sink.frame(&frame, &[], OffloadOut::default()) {
                self.drops.count(reason);
            }
            self.egress.keep_room(frame);
        }
        while sink.is_ready() {
            let Some(key) = self.agenda.output.pop_front() else { break };
            self.send_segments(now, key, sink);
        }
        self.agenda.forget_room();
        if self.neighbors.has_output() {
            self.flush_neighbors();
        }
    }

    /// Whether frames wait for the link, or packets for ourselves.
    pub fn has_frames(&self) -> bool {
        !self.replies.is_empty() || !self.agenda.output.is_empty() || self.has_looped()
    }

    /// Puts a whole frame of our own into the queue for the link.
    fn reply(&mut self, frame: Vec<u8>) {
        if self.replies.len() < REPLIES_MAX && self.reply_bytes + frame.len() <= REPLY_BYTES_MAX {
            self.reply_bytes += frame.len();
            self.replies.push_back(frame);
        } else {
            self.drops.count(DropReason::LinkFull);
        }
    }

    fn is_own(&self, addr: Addr) -> bool {
        self.config.role.owns(addr)
    }
}
