//! The four ways in which `wharf run` must work the same: two devices, two kinds of user.

use super::tools::{WORKS, missing};
use std::fs::OpenOptions;
use std::process::Command;

/// How the private network is linked to wharf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Device {
    /// A TAP from `/dev/net/tun`.
    Tap,
    /// A veth pair and an AF_PACKET socket.
    Packet,
}

/// Who runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    /// uid 0 with all capabilities.
    Root,
    /// uid 65534 with none.
    Ordinary,
}

/// A device and a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) device: Device,
    pub(crate) user: User,
}

impl Device {
    /// The word for `--device`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Tap => "tap",
            Self::Packet => "packet",
        }
    }
}

impl Way {
    pub(crate) fn tap_root() -> Self {
        Self { device: Device::Tap, user: User::Root }
    }

    pub(crate) fn tap_user() -> Self {
        Self { device: Device::Tap, user: User::Ordinary }
    }

    pub(crate) fn packet_root() -> Self {
        Self { device: Device::Packet, user: User::Root }
    }

    pub(crate) fn packet_user() -> Self {
        Self { device: Device::Packet, user: User::Ordinary }
    }

    /// Why this way can't be had on this machine, if it can't.
    pub(crate) fn impossible(self) -> Option<String> {
        if let Some(tool) = missing(&["ip", "nsenter", "unshare", "setpriv", "mount", "python3"]) {
            return Some(format!("{tool} isn't installed"));
        }
        if !succeeds(&["unshare", "--net", "--mount", "true"]) {
            return Some("the laboratory's hosts are network namespaces, which only root can make".into());
        }
        if self.device == Device::Tap
            && OpenOptions::new().read(true).write(true).open("/dev/net/tun").is_err()
        {
            return Some("/dev/net/tun is missing or closed".into());
        }
        let ordinary =
            ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "unshare", "-Urn", "true"];
        if self.user == User::Ordinary && !succeeds(&ordinary) {
            return Some("an ordinary user can't make user namespaces here".into());
        }
        None
    }
}

fn succeeds(words: &[&str]) -> bool {
    Command::new(words[0]).args(&words[1..]).output().is_ok_and(|output| WORKS(&output))
}
