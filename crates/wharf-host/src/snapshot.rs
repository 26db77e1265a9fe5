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

mod kernel;
mod owners;
pub(crate) mod processes;

use std::io;

use thiserror::Error;
use wharf_sys::netlink::sock_diag::Diag;
use wharf_table::rows::{Network, NetworkId, Rows};

/// Which networks are looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Networks {
    /// That of this process.
    #[default]
    Here,
    /// All that this user can enter.
    All,
    /// These: names as in [`Network::name`], `pid:N`, a path, the number of a namespace.
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

/// What the kernel leaves out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Narrow {}

/// What a snapshot is to have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Where.
    pub networks: Networks,
    /// With owners.
    pub owners: Owners,
    /// With figures.
    pub details: Details,
    /// Without what nobody wants.
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
        "no network \"{name}\" (see `wharf list` for their names; or pid:N, a path, the number of a namespace)"
    )]
    NoNetwork {
        /// The name.
        name: String,
    },
}

/// Takes a snapshot.
///
/// # Errors
/// The kernel does not list its sockets, or a network that was asked for by name is not there.
pub fn take(ask: &Ask) -> Result<Rows, SnapshotError> {
    let mut rows = Rows::default();
    let network = Network { name: "host".into(), inode: own_network(), ..Network::default() };
    let unlisted = |error| SnapshotError::Unlisted { network: "host".into(), error };
    rows.networks.push(network);
    if ask.owners == Owners::Unasked {
        let mut diag = Diag::open().map_err(unlisted)?;
        kernel::list(&mut diag, NetworkId(0), ask.details, &mut rows).map_err(unlisted)?;
        owners::unasked(&mut rows);
    } else {
        let (found, listed) = std::thread::scope(|scope| {
            let walk = scope.spawn(owners::walk);
            let listed = Diag::open()
                .and_then(|mut diag| kernel::list(&mut diag, NetworkId(0), ask.details, &mut rows));
            (walk.join().unwrap_or_default(), listed)
        });
        listed.map_err(unlisted)?;
        owners::join(found, &mut rows);
    }
    Ok(rows)
}

/// The number of the network namespace of this process; 0 where `/proc` does not tell.
fn own_network() -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self/ns/net").map_or(0, |file| file.ino())
}
