//! UDP: the program's sockets, and the clients of published ports.

use wharf_table::{Endpoint, Instant, Protocol, Tuple};

use super::super::flows::{Condition, Direction, Flow, Page, Place, own_end};
use super::super::log::Path;
use super::{Client, Datagrams, Kind};

/// A client of a published port: what it talks to, and how the program sees it.
pub(in super::super) type ClientKey = (Endpoint, Endpoint);

impl Datagrams {
    /// How many sockets of the program and clients of published ports there are.
    pub(in super::super) fn len(&self) -> usize {
        self.by_internal.len() + self.clients.len()
    }

    /// A page of the program's sockets. One may talk to many: the far end is the one that it sent to last.
    pub(in super::super) fn page(&self, now: Instant, from: u32) -> Page {
        Page::of(from, |number| {
            if number as usize >= self.mappings.capacity() {
                return Place::End;
            }
            let mapping = self.mappings.get(number as usize).filter(|mapping| mapping.kind == Kind::Outward);
            Place::of(mapping.map(|mapping| Flow {
                inside: Tuple { protocol: Protocol::Udp, local: mapping.internal, remote: mapping.last_to },
                outside: (own_end(&mapping.socket), Some(self.addresses.outside(mapping.last_to))),
                direction: Direction::Outward,
                path: Path::Frames,
                sent: mapping.sent,
                received: mapping.received,
                condition: Condition::since(mapping.last_sent.max(mapping.last_received), now),
                opened: mapping.opened,
                judged: self.passes.judged((mapping.internal, mapping.last_to)),
            }))
        })
    }

    /// The clients of published ports as they are now.
    pub(in super::super) fn client_keys(&self) -> Vec<ClientKey> {
        self.clients.keys().copied().collect()
    }

    /// A page of such clients; those that are gone are left out.
    pub(in super::super) fn clients_page(&self, now: Instant, keys: &[ClientKey], from: u32) -> Page {
        Page::of(from, |number| {
            let Some(key) = keys.get(number as usize) else { return Place::End };
            Place::of(self.clients.get(key).map(|client| self.client_flow(now, *key, client)))
        })
    }

    fn client_flow(&self, now: Instant, (served, shown): ClientKey, client: &Client) -> Flow {
        let mapping = self.mappings.get(client.mapping as usize);
        Flow {
            inside: Tuple { protocol: Protocol::Udp, local: served, remote: shown },
            outside: (mapping.and_then(|mapping| own_end(&mapping.socket)), Some(client.address)),
            direction: Direction::Inward,
            path: Path::Frames,
            sent: client.sent,
            received: client.received,
            condition: Condition::since(client.last, now),
            opened: client.opened,
            judged: None,
        }
    }
}
