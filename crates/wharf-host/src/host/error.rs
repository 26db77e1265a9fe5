//! Why a host can't be, in one line each, with what to do about it.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;
use thiserror::Error;
use wharf_sys::tap::TUN_DEVICE;

use crate::run::spawn::SpawnError;

/// Why a host could not be made, or could not go on.
#[derive(Debug, Error)]
pub enum HostError {
    /// Its network could not be made, or the program in it not be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// The namespace could not be entered.
    #[error("enter the network namespace {path:?}: {source} ({})", namespace_remedy(.source))]
    Namespace {
        /// Its file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The interface could not be made or taken.
    #[error("open the interface {name:?}: {source} ({})", device_remedy(.source))]
    Device {
        /// Its name.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel's side of an interface that somebody else has made was to be configured.
    #[error(
        "--peer: the interface {name:?} exists already, and whoever made it gives it addresses (leave --peer out, or name a new interface)"
    )]
    PeerOfExisting {
        /// Its name.
        name: String,
    },
    /// The kernel's side could not be configured.
    #[error("{what} of {name:?}: {source} (see ip -d addr show {name})")]
    Peer {
        /// What was tried.
        what: &'static str,
        /// The interface.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The UNIX socket could not be made.
    #[error("listen on {path:?}: {why}")]
    Socket {
        /// Its path.
        path: PathBuf,
        /// The reason and what to do.
        why: String,
    },
    /// The loop could not be made, or could not go on.
    #[error("{what}: {source}")]
    Loop {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl HostError {
    /// As a run ends where there is a program, else 2.
    pub fn exit_code(&self) -> u8 {
        match self {
            HostError::Spawn(error) => error.exit_code(),
            _ => 2,
        }
    }

    /// The loop's errors, by what was tried.
    pub(super) fn at(what: &'static str) -> impl Fn(io::Error) -> HostError {
        move |source| HostError::Loop { what, source }
    }
}

fn namespace_remedy(error: &io::Error) -> &'static str {
    match Errno::from_io_error(error) {
        Some(Errno::NOENT) => "ip netns list shows those with a name; a path has a slash in it",
        Some(Errno::INVAL) => "the file is no network namespace",
        _ => "only root may enter it",
    }
}

fn device_remedy(error: &io::Error) -> String {
    match Errno::from_io_error(error) {
        Some(Errno::PERM) => "only root may make one here; as another user give a COMMAND, which gets a network of its own, or \
                              have root make it: ip tuntap add NAME mode tap user UID"
            .to_owned(),
        Some(Errno::BUSY) => "another program holds it: name another one".to_owned(),
        Some(Errno::INVAL) => "it exists and is of another kind, or it is no name for an interface".to_owned(),
        Some(Errno::NOENT | Errno::NODEV | Errno::NXIO) => {
            format!("load the module tun, or in a container pass --device {TUN_DEVICE}")
        }
        Some(Errno::ACCESS) => format!("chmod 666 {TUN_DEVICE}, which is safe: rights are checked where it is used"),
        _ => "name another one".to_owned(),
    }
}
