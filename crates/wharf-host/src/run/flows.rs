//! The flows of a run as they are at one moment, for who asks: every form of a flow in the same words.
//!
//! Each holder of flows gives a page at a time: so many flows, found among so many places, and where to go on. Nothing is kept
//! for it between two pages, so a flow that opens or ends meanwhile may be missing, and nobody waits for who asks.
//!
//! Deliberately absent: what stands on a packet's way. What is counted there anyway is read when somebody asks.

use std::net::SocketAddr;
use std::os::fd::AsFd;

use wharf_stack::tcp;
use wharf_table::drop::DropCounters;
use wharf_table::policy::Hostname;
use wharf_table::rows::State;
use wharf_table::{Instant, Tuple};

use super::lane::Lane;
use super::log::Path;

/// The most flows of one page, and the most places that are looked at for it: a fraction of a millisecond.
pub(super) const PAGE: usize = 32;
const PLACES: usize = 2048;

/// Which end began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// The program.
    Outward,
    /// A client of a published port.
    Inward,
}

impl Direction {
    /// The stable name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Direction::Outward => "outward",
            Direction::Inward => "inward",
        }
    }
}

/// How far a flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// A connection of TCP, as the program's kernel has it.
    Tcp(State),
    /// Datagrams pass.
    Established,
    /// None has passed for [`IDLE_AFTER`].
    Idle,
}

/// After so long without a datagram a flow is idle.
const IDLE_AFTER: std::time::Duration = std::time::Duration::from_secs(30);

impl Condition {
    /// The stable name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Condition::Tcp(state) => state.name(),
            Condition::Established => "established",
            Condition::Idle => "idle",
        }
    }

    /// That of datagrams of which the last one passed then.
    pub(super) fn since(last: Instant, now: Instant) -> Condition {
        if now.since(last) < IDLE_AFTER { Condition::Established } else { Condition::Idle }
    }
}

/// What has passed in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) bytes: u64,
    pub(super) packets: u64,
}

impl Count {
    /// Counts datagrams that have come as one piece, each of `size` bytes but the last; 0 stands for a single one.
    #[inline]
    pub(super) fn add(&mut self, bytes: usize, size: u16) {
        self.bytes += bytes as u64;
        self.packets += if size == 0 { 1 } else { bytes.div_ceil(size.into()) as u64 };
    }
}

/// A flow at one moment.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    /// Its two ends as the program sees them: `local` is the program's.
    pub(super) inside: Tuple,
    /// The host's socket: its own end, and the far one.
    pub(super) outside: (Option<SocketAddr>, Option<SocketAddr>),
    pub(super) direction: Direction,
    pub(super) path: Path,
    /// From the program.
    pub(super) sent: Count,
    /// To the program.
    pub(super) received: Count,
    pub(super) condition: Condition,
    pub(super) opened: Instant,
    /// The rule that let it through, and the name that it was judged by, where somebody was asked.
    pub(super) judged: Option<(Box<str>, Option<Hostname>)>,
}

/// Some of the flows of a holder.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) flows: Vec<Flow>,
    /// Where the next page begins; `None` behind the last.
    pub(super) next: Option<u32>,
}

impl Page {
    /// A page of what stands at the places from `from` on: `at` gives a flow, nothing, or says that this place is behind the last.
    pub(super) fn of(from: u32, mut at: impl FnMut(u32) -> Place) -> Page {
        let mut page = Page { flows: Vec::new(), next: Some(from) };
        for number in (from..u32::MAX).take(PLACES) {
            match at(number) {
                Place::Flow(flow) => page.flows.push(*flow),
                Place::Empty => {}
                Place::End => {
                    page.next = None;
                    return page;
                }
            }
            page.next = Some(number + 1);
            if page.flows.len() == PAGE {
                break;
            }
        }
        page
    }
}

/// What stands at a place.
pub(super) enum Place {
    Flow(Box<Flow>),
    Empty,
    End,
}

impl Place {
    /// A flow, where there is one.
    pub(super) fn of(flow: Option<Flow>) -> Place {
        flow.map_or(Place::Empty, |flow| Place::Flow(Box::new(flow)))
    }
}

/// What a lane has counted.
#[derive(Clone, Debug, Default)]
pub(super) struct LaneCount {
    pub(super) drops: DropCounters,
    /// Connections that the program has asked for.
    pub(super) asked: u64,
    /// TCP flows over the link.
    pub(super) flows: usize,
}

impl LaneCount {
    /// Adds another lane's.
    pub(super) fn add(&mut self, other: &LaneCount) {
        self.drops.add(&other.drops);
        self.asked += other.asked;
        self.flows += other.flows;
    }
}

impl Lane {
    /// A page of the lane's TCP flows.
    pub(super) fn page(&self, from: u32) -> Page {
        self.streams.page(from, &self.addresses, &self.stack)
    }

    /// What the lane has counted.
    pub(super) fn count(&mut self) -> LaneCount {
        LaneCount { drops: self.all_drops(), asked: self.asked, flows: self.streams.len() }
    }
}

/// The state that the program's kernel has its end in, where the other end is in `other`. What is under way between the two
/// counts as arrived, but for what the program has to say itself.
pub(super) const fn at_program(other: tcp::State) -> State {
    match other {
        tcp::State::SynSent => State::SynReceived,
        tcp::State::SynReceived => State::SynSent,
        tcp::State::Established => State::Established,
        tcp::State::FinWait1 | tcp::State::FinWait2 => State::CloseWait,
        tcp::State::CloseWait => State::FinWait2,
        tcp::State::Closing => State::Closing,
        tcp::State::LastAck => State::TimeWait,
        tcp::State::TimeWait => State::LastAck,
        tcp::State::Closed => State::Closed,
    }
}

/// The host's end of a socket.
pub(super) fn own_end(socket: impl AsFd) -> Option<SocketAddr> {
    SocketAddr::try_from(rustix::net::getsockname(socket).ok()?).ok()
}

/// The far end of a socket, while it is connected.
pub(super) fn far_end(socket: impl AsFd) -> Option<SocketAddr> {
    SocketAddr::try_from(rustix::net::getpeername(socket).ok()??).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_table::{Addr, Endpoint, Protocol};

    fn flow(number: u32) -> Flow {
        let end = Endpoint::new(Addr::v4([10, 0, 2, 100]), number as u16);
        Flow {
            inside: Tuple { protocol: Protocol::Tcp, local: end, remote: end },
            outside: (None, None),
            direction: Direction::Outward,
            path: Path::Frames,
            sent: Count::default(),
            received: Count::default(),
            condition: Condition::Established,
            opened: Instant::ZERO,
            judged: None,
        }
    }

    #[test]
    fn pages_bring_every_flow_once() {
        // Every third of 10,000 places holds a flow.
        let at = |number: u32| match number {
            10_000.. => Place::End,
            _ if number.is_multiple_of(3) => Place::of(Some(flow(number))),
            _ => Place::Empty,
        };
        let (mut next, mut seen, mut pages) = (Some(0), Vec::new(), 0);
        while let Some(from) = next {
            let page = Page::of(from, at);
            assert!(page.flows.len() <= PAGE);
            seen.extend(page.flows.iter().map(|flow| u32::from(flow.inside.local.port)));
            next = page.next;
            pages += 1;
        }
        assert_eq!(seen, (0..10_000).step_by(3).collect::<Vec<_>>());
        assert_eq!(pages, 3334 / PAGE + 1);
    }

    #[test]
    fn a_page_of_empty_places_is_bounded_too() {
        let mut asked = 0;
        let page = Page::of(7, |_| {
            asked += 1;
            Place::Empty
        });
        assert_eq!((asked, page.next), (PLACES, Some(7 + PLACES as u32)));
    }

    #[test]
    fn datagrams_that_come_as_one_are_counted() {
        let mut count = Count::default();
        count.add(1200, 0);
        count.add(2500, 1000);
        count.add(0, 0);
        assert_eq!(count, Count { bytes: 3700, packets: 5 });
    }
}
