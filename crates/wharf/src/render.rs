//! How rows look: text for people, JSON and CSV for programs. Every verb that shows rows shows them through here.
//!
//! [`View`] is what a row needs to be told in words. [`json`] has the shapes of `--json`, [`mod@column`] what a column holds and how it
//! is sorted, [`table`] lays columns out, [`csv`] writes them as they are, [`measure`] writes spans and sizes for people.
//!
//! Invariants: what is written to a pipe is never cut and depends on no terminal; text from the system (names of commands, of
//! units) never reaches a terminal with control characters in it; nothing is kept for each row but its place in the order.

pub(crate) mod column;
pub(crate) mod csv;
pub(crate) mod event;
pub(crate) mod explain;
pub(crate) mod flows;
pub(crate) mod json;
pub(crate) mod live;
pub(crate) mod measure;
pub(crate) mod page;
pub(crate) mod screen;
pub(crate) mod table;
pub(crate) mod text;

use std::cell::RefCell;
use std::collections::HashMap;

use wharf_table::rows::{End, NetworkId, Role, Row, Rows, Transport};
use wharf_table::{Port, registry};

/// Rows, and what is needed to tell of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    /// The rows.
    pub(crate) rows: &'a Rows,
    /// The registered services.
    pub(crate) services: &'a Registered,
}

impl<'a> View<'a> {
    /// The service that is registered for a row's port: the local one, or the remote one where the row asked. It says
    /// what is registered, never what runs there.
    pub(crate) fn service(&self, row: &Row) -> Option<&'static str> {
        let port = match (row.role, row.remote) {
            (Role::Client, Some(remote)) => remote.port,
            _ => row.local.port,
        };
        self.services.name(row.transport, port)
    }

    /// The name of an end's zone: its interface, or the interface's number where the name is unknown.
    pub(crate) fn zone(&self, network: NetworkId, end: End) -> Option<Zone<'a>> {
        let index = end.zone;
        if index == 0 {
            return None;
        }
        let named = self.rows.networks.get(usize::from(network.0)).and_then(|net| net.interfaces.get(&index));
        Some(named.map_or(Zone::Number(index), |name| Zone::Named(name)))
    }
}

/// The zone of an address (RFC 4007).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Zone<'a> {
    /// An interface.
    Named(&'a str),
    /// The number of one without a name.
    Number(u32),
}

/// Registered services by port; what was asked for is remembered, as rows ask for the same few ports again and again.
#[derive(Debug, Default)]
pub(crate) struct Registered(RefCell<HashMap<(Transport, u16), Option<&'static str>>>);

impl Registered {
    /// The service that is registered for a port.
    pub(crate) fn name(&self, transport: Transport, port: u16) -> Option<&'static str> {
        let look_up = || registry::name(Port::new(port)?, transport.protocol()?);
        *self.0.borrow_mut().entry((transport, port)).or_insert_with(look_up)
    }
}
