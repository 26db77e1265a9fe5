//! What is new, gone or different between two looks.

use std::collections::HashMap;

use wharf_table::rows::{End, Row, Rows, State, Transport};

use super::{Mark, Registered, Typed, View, choose};

/// A look: the rows, and which of them are meant.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// All rows.
    pub(super) rows: Rows,
    /// Those that are meant, in the order in which they are shown.
    pub(super) chosen: Vec<u32>,
    places: HashMap<Identity, u32>,
}

/// By what a row is known again. A TCP connection is one by its ends, also when TIME-WAIT takes the place of its socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Identity {
    network: u64,
    transport: Transport,
    local: End,
    remote: Option<End>,
    cookie: u64,
}

impl Identity {
    fn new(rows: &Rows, row: &Row) -> Identity {
        let is_connection = row.transport == Transport::Tcp && row.remote.is_some();
        Identity {
            network: rows.network(row).map_or(0, |network| network.inode),
            transport: row.transport,
            local: row.local,
            remote: row.remote,
            cookie: if is_connection { 0 } else { row.cookie },
        }
    }
}

impl Look {
    /// Takes rows as a look.
    pub(super) fn new(typed: &Typed, services: &Registered, rows: Rows) -> Look {
        let chosen = choose(typed, View { rows: &rows, services });
        let place = |&place: &u32| Some((Identity::new(&rows, rows.rows.get(place as usize)?), place));
        let places = chosen.iter().filter_map(place).collect();
        Look { rows, chosen, places }
    }

    /// The rows that are meant.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> + Clone {
        self.chosen.iter().filter_map(|&place| self.rows.rows.get(place as usize))
    }

    /// The same row in this look.
    pub(super) fn find(&self, other: &Look, row: &Row) -> Option<&Row> {
        let place = self.places.get(&Identity::new(&other.rows, row))?;
        self.rows.rows.get(*place as usize)
    }

    /// What happened to a row of this look since the one before.
    pub(super) fn mark(&self, before: &Look, row: &Row) -> Mark {
        match before.find(self, row) {
            None => Mark::New,
            Some(old) if is_same((&before.rows, old), (&self.rows, row)) => Mark::None,
            Some(_) => Mark::Changed,
        }
    }

    /// The rows of the look before that are gone.
    pub(super) fn gone<'a>(&'a self, before: &'a Look) -> impl Iterator<Item = &'a Row> + Clone {
        before.rows().filter(|row| self.find(before, row).is_none())
    }
}

/// Whether nothing that a person would call a change has happened: queues and bytes are none.
fn is_same((before, old): (&Rows, &Row), (now, new): (&Rows, &Row)) -> bool {
    let pids = |rows: &Rows, row: &Row| {
        let mut pids: Vec<u32> = rows.owners(row).filter_map(|(owner, _)| owner.pid).collect();
        pids.sort_unstable();
        pids
    };
    let has_state = |state: State| old.state == state;
    has_state(new.state)
        && old.role == new.role
        && old.ownerless == new.ownerless
        && old.owners.count == new.owners.count
        && pids(before, old) == pids(now, new)
}
