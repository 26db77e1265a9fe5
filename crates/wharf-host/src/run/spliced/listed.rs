//! Clients of published ports that are led past the link: what the two sockets know.

use wharf_stack::tcp;
use wharf_sys::socket::{self, Glance};
use wharf_table::rows::State;
use wharf_table::{Protocol, Tuple};

use super::super::addresses::Addresses;
use super::super::flows::{Condition, Count, Direction, Flow, Page, Place, at_program, own_end};
use super::super::log::Path;
use super::Spliced;

impl Spliced {
    /// How many flows there are.
    pub(in super::super) fn len(&self) -> usize {
        self.flows.len()
    }

    /// A page of them.
    pub(in super::super) fn page(&self, from: u32) -> Page {
        Page::of(from, |number| {
            // Places are not more than were ever in use at a time.
            if number as usize >= self.flows.capacity() {
                return Place::End;
            }
            Place::of(self.flows.get(number as usize).and_then(|of| flow(of, &self.addresses)))
        })
    }
}

fn flow(of: &super::Flow, addresses: &Addresses) -> Option<Flow> {
    let (remote, local) = addresses.past_link(of.peer, of.port, of.way)?;
    // Segments are those of the socket in the program's network, whose other end is the program's.
    let glance = of.inside.as_ref().and_then(|side| socket::glance(&side.socket).ok());
    let packets = |of: fn(Glance) -> u32| glance.map_or(0, of).into();
    let (up, down) = of.moved_each_way();
    Some(Flow {
        inside: Tuple { protocol: Protocol::Tcp, local, remote },
        outside: (own_end(&of.client.socket), Some(of.peer)),
        direction: Direction::Inward,
        path: Path::Splice,
        sent: Count { bytes: down, packets: packets(|glance| glance.segments_received) },
        received: Count { bytes: up, packets: packets(|glance| glance.segments_sent) },
        condition: Condition::Tcp(
            glance.map_or(State::SynReceived, |glance| at_program(state(glance.state))),
        ),
        opened: of.opened,
        judged: None,
    })
}

/// The state that the kernel means by a number (include/net/tcp_states.h).
const fn state(number: u8) -> tcp::State {
    match number {
        1 => tcp::State::Established,
        2 => tcp::State::SynSent,
        3 | 12 => tcp::State::SynReceived,
        4 => tcp::State::FinWait1,
        5 => tcp::State::FinWait2,
        6 => tcp::State::TimeWait,
        8 => tcp::State::CloseWait,
        9 => tcp::State::LastAck,
        11 => tcp::State::Closing,
        _ => tcp::State::Closed,
    }
}
