//! Ping: each identifier that the program asks with.

use wharf_table::{Endpoint, Instant, Protocol, Tuple};

use super::super::flows::{Condition, Direction, Flow, Page, Place, own_end};
use super::super::log::Path;
use super::Echoes;

impl Echoes {
    /// How many identifiers are in use.
    pub(in super::super) fn len(&self) -> usize {
        self.mappings.len()
    }

    /// A page of them. The identifier stands in the place of the near port; the far end is the one that was asked last.
    pub(in super::super) fn page(&self, now: Instant, from: u32) -> Page {
        Page::of(from, |number| {
            if number as usize >= self.mappings.capacity() {
                return Place::End;
            }
            Place::of(self.mappings.get(number as usize).map(|mapping| {
                let remote = Endpoint::new(mapping.last_to, 0);
                Flow {
                    inside: Tuple { protocol: Protocol::Icmp, local: mapping.internal, remote },
                    outside: (own_end(&mapping.socket), Some(self.addresses.outside(remote))),
                    direction: Direction::Outward,
                    path: Path::Frames,
                    sent: mapping.sent,
                    received: mapping.received,
                    condition: Condition::since(mapping.last_sent, now),
                    opened: mapping.opened,
                    judged: self.passes.judged((mapping.internal, remote)),
                }
            }))
        })
    }
}
