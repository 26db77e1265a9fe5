//! The neighbour cache: which hardware address stands behind the next hop, for a stack that is a host on its link.
//!
//! On a packet's way out, between the route and the frame. One machine serves both families: ARP (RFC 826; RFC 1122,
//! section 2.3.2) asks and answers as neighbour discovery does (RFC 4861, section 7.3), as in Linux.
//! What has to be asked comes out of [`Neighbors::poll_solicit`], what was heard goes into [`Neighbors::learn`]; who makes
//! and reads the messages is the stack.
//!
//! Invariants: at most [`NEIGHBORS_MAX`] entries, each with at most [`WAITING_MAX`] frames. An address is learned only from
//! an answer that was asked for, or from a question to us, so that nobody fills the cache with tales.
//!
//! Deliberately not here: a gateway's link, whose one neighbour is configured; routes beyond the one default gateway.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use arrayvec::ArrayVec;
use wharf_table::{Addr, DropReason, Instant};
use wharf_wire::HardwareAddr;

use crate::stack::HostRole;

/// Neighbours that are remembered; beyond, the one used longest ago is forgotten.
pub const NEIGHBORS_MAX: usize = 512;
/// Frames that wait for one neighbour (RFC 1122, section 2.3.2.2, says at least one, the latest).
pub const WAITING_MAX: usize = 3;

/// Between two questions (RFC 4861, section 10: RETRANS_TIMER).
const RETRANSMIT: Duration = Duration::from_secs(1);
/// Questions before a neighbour is given up (RFC 4861, section 10: MAX_MULTICAST_SOLICIT, MAX_UNICAST_SOLICIT).
const QUESTIONS: u8 = 3;
/// How long an answer is good (RFC 4861, section 10: REACHABLE_TIME).
const REACHABLE: Duration = Duration::from_secs(30);
/// How long an old answer that is used again is trusted before it is asked for (RFC 4861, section 10:
/// DELAY_FIRST_PROBE_TIME).
const DELAY: Duration = Duration::from_secs(5);

/// A question that has to go out: an ARP request or a neighbour solicitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Solicit {
    /// Whose hardware address is wanted.
    pub target: Addr,
    /// Where it was last known, to be asked there; `None` to ask everyone.
    pub last_known: Option<[u8; 6]>,
}

/// From what a neighbour's hardware address is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// It answered a question (ARP reply to us; neighbour advertisement with the S flag).
    Answer,
    /// It told everyone (gratuitous ARP; neighbour advertisement without the S flag).
    Announcement,
    /// It asked for us (ARP request; neighbour or router solicitation or advertisement with its hardware address).
    Question,
}

/// What is known of a neighbour (RFC 4861, section 7.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Asked, never answered.
    Incomplete,
    /// Answered a short while ago.
    Reachable,
    /// Answered once; not used since.
    Stale,
    /// Used again; it will be asked.
    Delay,
    /// Asked again where it was last known.
    Probe,
}

/// When something is due. Commands come without a time, so a span may wait for the next time-out to learn when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Never,
    After(Duration),
    At(Instant),
}

#[derive(Debug)]
struct Neighbor {
    state: State,
    hardware: [u8; 6],
    due: Due,
    /// How often it was asked in this state.
    asked: u8,
    /// Tells which entry was used longest ago.
    used: u64,
    waiting: ArrayVec<Vec<u8>, WAITING_MAX>,
}

/// The neighbour cache. See the [module](self).
#[derive(Debug, Default)]
pub struct Neighbors {
    entries: BTreeMap<Addr, Neighbor>,
    uses: u64,
    /// Some entry has a span that has not begun.
    unstarted: bool,
    /// When the first entry is due, or sooner.
    soonest: Option<Instant>,
    /// Changes with everything that [`Neighbors::resolve`] may answer or has to note.
    generation: u32,
    solicits: VecDeque<Solicit>,
    ready: VecDeque<Vec<u8>>,
    failed: VecDeque<(Addr, Vec<u8>)>,
}

impl Neighbors {
    /// A cache that knows nobody.
    pub fn new() -> Neighbors {
        Neighbors::default()
    }

    /// A number that stays the same as long as what [`Neighbors::resolve`] has answered holds, and need not be asked again.
    pub(crate) const fn generation(&self) -> u32 {
        self.generation
    }

    /// What was answered holds no longer: the addresses of the host have changed.
    pub(crate) fn forget_answers(&mut self) {
        self.generation = self.generation.wrapping_add(1);
    }

    /// Whether something waits to be polled.
    pub(crate) fn has_output(&self) -> bool {
        !self.ready.is_empty() || !self.solicits.is_empty() || !self.failed.is_empty()
    }

    /// How many neighbours are known or asked for.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nobody is known or asked for.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The hardware address to which a packet for `destination` goes. `None` when no route leads there or it has to be asked
    /// for; then a question is on its way.
    pub fn resolve(&mut self, host: &HostRole, destination: Addr) -> Option<[u8; 6]> {
        if let Some(group) = group_of(host, destination) {
            return Some(group.0);
        }
        let neighbor = self.entry(next_hop(host, destination)?);
        let (state, hardware) = (neighbor.state, neighbor.hardware);
        if state == State::Stale {
            neighbor.state = State::Delay;
            neighbor.due = Due::After(DELAY);
            self.unstarted = true;
        }
        (state != State::Incomplete).then_some(hardware)
    }

    /// Keeps a frame, whose Ethernet destination is not filled in, until [`Neighbors::resolve`] would know its next hop.
    ///
    /// # Errors
    /// [`DropReason::NoRoute`]; [`DropReason::NeighborUnresolved`] when another frame had to make room for this one.
    pub fn hold(&mut self, host: &HostRole, destination: Addr, frame: Vec<u8>) -> Result<(), DropReason> {
        if let Some(hardware) = self.resolve(host, destination) {
            self.ready.push_back(addressed(frame, hardware));
            return Ok(());
        }
        let neighbor = self.entry(next_hop(host, destination).ok_or(DropReason::NoRoute)?);
        let lost = neighbor.waiting.is_full().then(|| neighbor.waiting.remove(0));
        neighbor.waiting.push(frame);
        lost.map_or(Ok(()), |_| Err(DropReason::NeighborUnresolved))
    }

    /// What was sent over the next hop to `destination` has had no answer for long: it is asked whether it is still there,
    /// rather than trusted until its answer grows old (RFC 9293, section 3.8.3, MUST-20; RFC 1122, section 3.3.1.4).
    pub fn doubt(&mut self, host: &HostRole, destination: Addr) {
        let Some(hop) = next_hop(host, destination) else { return };
        if let Some(neighbor) = self.entries.get_mut(&hop)
            && matches!(neighbor.state, State::Reachable | State::Stale)
        {
            neighbor.state = State::Delay;
            neighbor.due = Due::After(Duration::ZERO);
            self.unstarted = true;
        }
    }

    /// Takes what was heard of `addr`. Frames that waited for it come out of [`Neighbors::poll_frame`].
    pub fn learn(&mut self, now: Instant, addr: Addr, hardware: [u8; 6], evidence: Evidence) {
        if !HardwareAddr(hardware).is_unicast() || addr.is_unspecified() || addr.is_multicast() {
            return;
        }
        // Only a question makes a new entry: it asked for us, so we will have to answer.
        if !self.entries.contains_key(&addr) && evidence != Evidence::Question {
            return;
        }
        self.forget_answers();
        let neighbor = self.entry(addr);
        let known = neighbor.state != State::Incomplete;
        let moved = !known || neighbor.hardware != hardware;
        neighbor.hardware = hardware;
        neighbor.asked = 0;
        if evidence == Evidence::Answer {
            neighbor.state = State::Reachable;
            neighbor.due = Due::At(now + REACHABLE);
        } else if moved {
            neighbor.state = State::Stale;
            neighbor.due = Due::Never;
        }
        let waiting = core::mem::take(&mut neighbor.waiting);
        self.ready.extend(waiting.into_iter().map(|frame| addressed(frame, hardware)));
        self.solicits.retain(|solicit| solicit.target != addr);
        self.soonest = self.first_due();
    }

    /// The next question that has to go out.
    pub fn poll_solicit(&mut self) -> Option<Solicit> {
        self.solicits.pop_front()
    }

    /// The next frame that waited and now has its Ethernet destination.
    pub fn poll_frame(&mut self) -> Option<Vec<u8>> {
        self.ready.pop_front()
    }

    /// The next frame whose next hop, named with it, did not answer: its sender is told that the host is unreachable.
    pub fn poll_failed(&mut self) -> Option<(Addr, Vec<u8>)> {
        self.failed.pop_front()
    }

    /// When [`Neighbors::handle_timeout`] has to be called; the past for at once.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.unstarted { Some(Instant::ZERO) } else { self.soonest }
    }

    /// When the first entry is due whose span has begun.
    fn first_due(&self) -> Option<Instant> {
        let due = self.entries.values().filter_map(|neighbor| match neighbor.due {
            Due::At(at) => Some(at),
            Due::After(_) | Due::Never => None,
        });
        due.min()
    }

    /// Does what is due at `now`: asks again, gives up, lets answers grow old.
    pub fn handle_timeout(&mut self, now: Instant) {
        if !self.unstarted && self.soonest.is_none_or(|at| at > now) {
            return;
        }
        self.forget_answers();
        if core::mem::take(&mut self.unstarted) {
            for neighbor in self.entries.values_mut() {
                if let Due::After(span) = neighbor.due {
                    neighbor.due = Due::At(now + span);
                }
            }
        }
        let due = |neighbor: &Neighbor| matches!(neighbor.due, Due::At(at) if at <= now);
        let (solicits, failed) = (&mut self.solicits, &mut self.failed);
        self.entries.retain(|&addr, neighbor| {
            if !due(neighbor) {
                return true;
            }
            let next = neighbor.on_timeout(now);
            if next == Next::Ask {
                let last_known = (neighbor.state == State::Probe).then_some(neighbor.hardware);
                solicits.push_back(Solicit { target: addr, last_known });
            }
            if next == Next::GiveUp {
                failed.extend(neighbor.waiting.drain(..).map(|frame| (addr, frame)));
            }
            next != Next::GiveUp
        });
        self.soonest = self.first_due();
    }

    /// The entry of `addr`, used now. A new one is asked for.
    fn entry(&mut self, addr: Addr) -> &mut Neighbor {
        self.uses += 1;
        if !self.entries.contains_key(&addr) {
            self.forget_the_oldest();
            self.forget_answers();
            self.unstarted = true;
            self.solicits.push_back(Solicit { target: addr, last_known: None });
        }
        let neighbor = self.entries.entry(addr).or_insert_with(Neighbor::new);
        neighbor.used = self.uses;
        neighbor
    }

    fn forget_the_oldest(&mut self) {
        if self.entries.len() < NEIGHBORS_MAX {
            return;
        }
        let oldest = self.entries.iter().min_by_key(|(_, neighbor)| neighbor.used).map(|(&addr, _)| addr);
        if let Some(oldest) = oldest {
            self.entries.remove(&oldest);
            self.solicits.retain(|solicit| solicit.target != oldest);
        }
    }
}

/// What follows from a time-out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Wait,
    Ask,
    GiveUp,
}

impl Neighbor {
    /// One that has just been asked for.
    fn new() -> Neighbor {
        Neighbor {
            state: State::Incomplete,
            hardware: [0; 6],
            due: Due::After(RETRANSMIT),
            asked: 1,
            used: 0,
            waiting: ArrayVec::new(),
        }
    }

    fn on_timeout(&mut self, now: Instant) -> Next {
        match self.state {
            State::Reachable | State::Stale => {
                self.state = State::Stale;
                self.due = Due::Never;
                Next::Wait
            }
            State::Delay => {
                self.state = State::Probe;
                self.asked = 1;
                self.due = Due::At(now + RETRANSMIT);
                Next::Ask
            }
            State::Incomplete | State::Probe if self.asked < QUESTIONS => {
                self.asked += 1;
                self.due = Due::At(now + RETRANSMIT);
                Next::Ask
            }
            State::Incomplete | State::Probe => Next::GiveUp,
        }
    }
}

/// The neighbour that a packet for `destination` is handed to: itself when it is on the link, else the gateway.
fn next_hop(host: &HostRole, destination: Addr) -> Option<Addr> {
    if destination.is_link_local() || host.addresses.iter().any(|own| own.contains(destination)) {
        return Some(destination);
    }
    if destination.is_v4() { host.gateway_v4 } else { host.gateway_v6 }
}

/// The hardware address of a group or of everyone; `None` for one station.
fn group_of(host: &HostRole, destination: Addr) -> Option<HardwareAddr> {
    let broadcast = destination.is_limited_broadcast()
        || host.addresses.iter().any(|own| own.broadcast() == Some(destination));
    match destination.v4_octets() {
        _ if broadcast => Some(HardwareAddr::BROADCAST),
        Some(octets) if destination.is_multicast() => Some(HardwareAddr::of_ipv4_multicast(octets)),
        None if destination.is_multicast() => Some(HardwareAddr::of_ipv6_multicast(destination.octets())),
        _ => None,
    }
}

fn addressed(mut frame: Vec<u8>, hardware: [u8; 6]) -> Vec<u8> {
    if let Some(destination) = frame.first_chunk_mut::<6>() {
        *destination = hardware;
    }
    frame
}

#[cfg(test)]
mod tests;
