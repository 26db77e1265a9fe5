//! What the ledger knows of one endpoint, and by what it tells it from others.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::SystemTime;

use wharf_table::Endpoint;
use wharf_table::owner::Owner;
use wharf_table::rows::{End, Network, Row, Rows, State, Transport};

use crate::watch::event::{alone, give_owners};

/// A network by its number, or by its name where it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place(u64);

impl Place {
    pub(super) fn of(network: &Network) -> Place {
        if network.inode != 0 {
            return Place(network.inode);
        }
        let mut hasher = DefaultHasher::new();
        network.name.hash(&mut hasher);
        // Numbers of namespaces have 32 bits.
        Place(hasher.finish() | 1 << 63)
    }
}

/// What tells an endpoint from every other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// The kernel's cookie.
    Cookie(Place, u64),
    /// All else that is known of one that has no cookie.
    Plain(Place, Transport, End, Option<End>, u64),
    /// The address of the socket in the kernel, of one that no sample has shown yet.
    Traced(u64),
}

impl Key {
    /// The key of a row in a sample.
    pub(super) fn of(place: Place, row: &Row) -> Key {
        match row.cookie {
            0 => Key::Plain(
                place,
                row.transport,
                row.local,
                row.remote,
                row.inode.map_or(0, |inode| inode.get()),
            ),
            cookie => Key::Cookie(place, cookie),
        }
    }
}

/// Both ends, without the zones that a tracepoint does not tell. Several endpoints may have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ends {
    pub(super) transport: Transport,
    pub(super) local: Endpoint,
    pub(super) remote: Option<Endpoint>,
}

impl Ends {
    pub(super) fn of(row: &Row) -> Ends {
        Ends { transport: row.transport, local: row.local.endpoint(), remote: row.remote.map(End::endpoint) }
    }
}

/// A port of a network, by which listeners are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct At {
    place: Place,
    transport: Transport,
    port: u16,
}

impl At {
    pub(super) fn of(place: Place, row: &Row) -> At {
        At { place, transport: row.transport, port: row.local.port }
    }
}

/// The processes that hold an endpoint, with their descriptors.
pub(super) type Kept = Box<[(Arc<Owner>, u32)]>;

/// Where the row of an endpoint stands.
#[derive(Debug)]
pub(super) enum Standing {
    /// In the last whole sample.
    Sample(u32),
    /// By itself, since it came after that.
    Alone(Box<Rows>),
}

/// An endpoint that is there.
#[derive(Debug)]
pub(super) struct Known {
    /// Its number in all events.
    pub(super) number: u64,
    /// Its state when it was last seen.
    pub(super) state: State,
    /// Since when it is known to exist.
    pub(super) since: SystemTime,
    /// When it was last seen.
    pub(super) seen: SystemTime,
    /// Which sample has shown it last.
    pub(super) sample: u64,
    /// The port of one that has no peer.
    pub(super) port: Option<At>,
    pub(super) owners: Kept,
    pub(super) standing: Standing,
}

impl Known {
    /// The row, with what it refers to in.
    pub(super) fn row<'a>(&'a self, sample: &'a Rows) -> Option<(&'a Rows, &'a Row)> {
        match &self.standing {
            Standing::Sample(index) => sample.rows.get(*index as usize).map(|row| (sample, row)),
            Standing::Alone(rows) => rows.rows.first().map(|row| (&**rows, row)),
        }
    }

    /// The row by itself, with its owners.
    pub(super) fn alone(&self, sample: &Rows) -> Option<Rows> {
        let (rows, row) = self.row(sample)?;
        let mut one = alone(rows, row);
        give_kept(&mut one, &self.owners);
        Some(one)
    }
}

/// Says who holds the only row of `one`, where that was known.
pub(super) fn give_kept(one: &mut Rows, kept: &Kept) {
    if !kept.is_empty() {
        give_owners(one, kept.iter().map(|(owner, descriptor)| ((**owner).clone(), *descriptor)));
    }
}
