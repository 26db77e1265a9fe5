//! What is open on this host: the kernel's sockets and who holds them, as [`Rows`].
//!
//! A command's way: a verb asks with an [`Ask`], [`take`] lists the sockets of each network (`wharf_sys::netlink::sock_diag`)
//! while a second thread walks over the descriptors of all processes (`wharf_sys::proc::descriptors`), and the two meet by the
//! sockets' numbers.
//!
//! # Invariants
//! - All owners of a socket are kept, and a row without one says why.
//! - What this user may not see is named in [`Rows::hidden`].
//! - Nothing comes from another program's output.

mod groups;
mod kernel;
pub(crate) mod networks;
mod owners;
pub(crate) mod processes;
mod roles;

use std::io;

use thiserror::Error;
use wharf_table::rows::{NetworkId, Rows};
pub use wharf_table::selector::Narrow;

pub use owners::{Search, Searched, find_owners};

/// Which networks are looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Networks {
    /// That of this process.
    #[default]
    Here,
    /// All that this user can enter.
    All,
    /// These: names as in [`Network::name`](wharf_table::rows::Network::name), `pid:N`, a path, the number of a namespace.
    Named(Vec<String>),
}

/// Whether owners are looked for, which costs a walk over the descriptors of all processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owners {
    /// They are.
    #[default]
    Asked,
    /// They are not.
    Unasked,
}

/// Whether the figures of TCP connections are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Details {
    /// They are.
    Asked,
    /// They are not.
    #[default]
    Unasked,
}

/// What a snapshot is to have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Where.
    pub networks: Networks,
    /// With owners.
    pub owners: Owners,
    /// With figures.
    pub details: Details,
    /// What the kernel may leave out.
    pub narrow: Narrow,
}

/// Why there is no snapshot.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The kernel does not list its sockets.
    #[error("list the sockets of network \"{network}\": {error} (needs a kernel with CONFIG_INET_DIAG)")]
    Unlisted {
        /// The network.
        network: String,
        /// The kernel's reason.
        error: io::Error,
    },
    /// There is no network of this name.
    #[error(
        "no network \"{name}\" here (a name of `wharf list`, pid:N, a path, or the number of a namespace)"
    )]
    NoNetwork {
        /// The name.
        name: String,
    },
    /// A network can't be entered.
    #[error("enter network \"{network}\": {error} (needs CAP_SYS_ADMIN there, or root)")]
    Closed {
        /// The network.
        network: String,
        /// The kernel's reason.
        error: io::Error,
    },
}

/// What these networks are called, as [`Network::name`](wharf_table::rows::Network::name) has it. One that is not there any more
/// is called as it was asked for.
pub fn names(networks: &Networks) -> Vec<String> {
    match (networks::open(networks, &mut Vec::new()), networks) {
        (Ok(places), _) => places.into_iter().map(|place| place.network.name).collect(),
        (Err(_), Networks::Named(names)) => names.clone(),
        (Err(_), _) => vec!["host".into()],
    }
}

/// Takes a snapshot.
///
/// # Errors
/// The kernel does not list its sockets, or a network that was asked for by name is not there.
pub fn take(ask: &Ask) -> Result<Rows, SnapshotError> {
    let users = processes::users();
    let mut rows = Rows::default();
    match ask.owners {
        Owners::Unasked => {
            list(ask, &mut rows)?;
            owners::unasked(&mut rows);
        }
        Owners::Asked => owners::Look::new(&users).around(&mut rows, |rows| list(ask, rows))?,
    }
    let groups = rows.rows.iter().filter_map(|row| Some(row.cgroup?.get())).collect();
    rows.groups = groups::by_number(groups);
    rows.users = users;
    Ok(rows)
}

/// Lists the sockets of all networks that are asked for.
fn list(ask: &Ask, rows: &mut Rows) -> Result<(), SnapshotError> {
    let places = networks::open(&ask.networks, &mut rows.hidden)?;
    let mut lister = kernel::Lister::new(ask, rows);
    for (at, mut place) in places.into_iter().enumerate() {
        let network = NetworkId(u16::try_from(at).unwrap_or(u16::MAX));
        let listed = lister.list(&mut place.vantage, network);
        let unlisted = |error| SnapshotError::Unlisted { network: place.network.name.clone(), error };
        listed.map_err(unlisted)?;
        lister.add_network(place.network);
    }
    lister.finish();
    Ok(())
}
