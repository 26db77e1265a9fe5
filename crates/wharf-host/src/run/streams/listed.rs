//! TCP flows over the link: what the stack's connection and the host's socket know.

use wharf_stack::stack::{ConnId, Stack};

use super::super::addresses::Addresses;
use super::super::flows::{Condition, Count, Direction, Flow, Page, Place, at_program, far_end, own_end};
use super::super::log::Path;
use super::{Stream, Streams};

impl Streams {
    /// How many there are.
    pub(in super::super) fn len(&self) -> usize {
        self.count
    }

    /// A page of them.
    pub(in super::super) fn page(&self, from: u32, addresses: &Addresses, stack: &Stack) -> Page {
        Page::of(from, |number| match self.streams.get(number as usize) {
            None => Place::End,
            Some(None) => Place::Empty,
            Some(Some(stream)) => Place::of(flow(stream, ConnId::from_number(number), addresses, stack)),
        })
    }
}

fn flow(stream: &Stream, id: ConnId, addresses: &Addresses, stack: &Stack) -> Option<Flow> {
    let opened = stack.opened(id)?;
    let connection = stack.connection(id);
    let tuple = connection.tuple();
    let direction = if connection.is_passive() { Direction::Outward } else { Direction::Inward };
    let info = connection.info(opened);
    // A FIN has a number of its own and is no byte.
    let finished = u64::from(connection.peer_has_finished());
    let far = match direction {
        Direction::Outward => Some(addresses.outside(tuple.local)),
        Direction::Inward => far_end(&stream.socket),
    };
    Some(Flow {
        inside: tuple.reversed(),
        outside: (own_end(&stream.socket), far),
        direction,
        path: Path::Frames,
        sent: Count { bytes: info.bytes_received.saturating_sub(finished), packets: info.segs_in.into() },
        received: Count {
            bytes: info.bytes_sent.saturating_sub(info.bytes_retrans),
            packets: info.segs_out.into(),
        },
        condition: Condition::Tcp(at_program(connection.state())),
        opened,
        judged: stream.held.as_ref().and_then(|held| held.ruling().judged()),
    })
}
