//! What is known of one port, from all sources, each kept apart.

use wharf_host::free::here;
use wharf_host::registry::{Entry, Registry};
use wharf_table::notation::Ports;
use wharf_table::registry::Status;
use wharf_table::registry::common::{self, CommonUse};

use crate::services::LocalService;

/// Whom to ask.
#[derive(Debug)]
pub(super) struct Sources<'a> {
    pub(super) registry: &'a Registry,
    pub(super) local: Vec<LocalService<'a>>,
    pub(super) here: Here,
}

/// What the kernel of this host does with ports.
#[derive(Clone, Debug)]
pub(super) struct Here {
    /// First and last port that it gives to clients.
    pub(super) ephemeral: (u16, u16),
    /// Those that it does not give all the same (`ip_local_reserved_ports`).
    pub(super) reserved: Ports,
}

impl Here {
    pub(super) fn now() -> Here {
        Here { ephemeral: here::ephemeral_range(), reserved: here::reserved() }
    }

    /// Whether the kernel may give the port to a client.
    pub(super) fn is_ephemeral(&self, port: u16) -> bool {
        self.ephemeral.0 <= port && port <= self.ephemeral.1 && !self.reserved.contains(port)
    }
}

/// The range of the registry in which a port lies (RFC 6335, section 6).
pub(super) const fn class(port: u16) -> &'static str {
    match port {
        0..=1023 => "system",
        1024..=49151 => "user",
        49152..=65535 => "dynamic",
    }
}

/// One port.
#[derive(Clone, Debug)]
pub(super) struct Told<'a> {
    pub(super) port: u16,
    /// The registry's rows.
    pub(super) entries: Vec<Entry<'a>>,
    /// Protocols that the registry has no row for, and what that means.
    pub(super) without: Vec<(&'static str, Status)>,
    /// Lines of `/etc/services`.
    pub(super) local: Vec<LocalService<'a>>,
    pub(super) common: Vec<CommonUse>,
    pub(super) is_ephemeral: bool,
}

impl<'a> Sources<'a> {
    /// Gathers what is known of a port, of one protocol only where that was asked for.
    pub(super) fn tell(&self, port: u16, only: Option<&str>) -> Told<'a> {
        let is_asked = |protocol: &str| only.is_none_or(|only| only == protocol);
        let mut entries = self.registry.at(port);
        if let Some(only) = only {
            entries = entries.iter().filter_map(|entry| entry.of_protocol(only)).collect();
        }
        let missing = |protocol: &&str| {
            is_asked(protocol) && !entries.iter().any(|entry| entry.of_protocol(protocol).is_some())
        };
        let usual = ["tcp", "udp"].into_iter().filter(missing);
        let asked =
            Entry::TRANSPORTS.into_iter().filter(|it| only == Some(it) && !["tcp", "udp"].contains(it));
        let without = usual.chain(asked.filter(missing)).map(|it| (it, Status::without_row(port))).collect();
        let local = self.local.iter().filter(|line| line.port == port && is_asked(line.protocol));
        Told {
            port,
            without,
            local: local.cloned().collect(),
            common: common::at(port).filter(|it| only.is_none_or(|only| it.is_over(only))).collect(),
            is_ephemeral: self.here.is_ephemeral(port),
            entries,
        }
    }
}

impl Told<'_> {
    /// Lines of `/etc/services` with another name than the registry has.
    pub(super) fn differing(&self) -> impl Iterator<Item = &LocalService<'_>> {
        self.local.iter().filter(|line| {
            let is_same = |entry: &Entry<'_>| {
                entry.name.eq_ignore_ascii_case(line.name) && entry.transports().any(|it| it == line.protocol)
            };
            !self.entries.iter().any(is_same)
        })
    }

    /// Whether the next port is told with the same words.
    pub(super) fn is_like(&self, other: &Told<'_>) -> bool {
        let is_same = self.entries.iter().map(key).eq(other.entries.iter().map(key));
        let is_plain = |told: &Told<'_>| told.differing().next().is_none();
        (is_same || self.is_nothing() && other.is_nothing())
            && is_plain(self)
            && is_plain(other)
            && self.common == other.common
            && self.is_ephemeral == other.is_ephemeral
            && class(self.port) == class(other.port)
    }

    /// Whether no service has it.
    pub(super) fn is_nothing(&self) -> bool {
        self.entries.iter().all(|entry| entry.status() == Status::Unassigned)
    }
}

/// What a row says, but for its ports and, where it names no service, its dates.
fn key<'a>(entry: &Entry<'a>) -> Entry<'a> {
    let mut said = *entry;
    said.ports = None;
    if entry.name.is_empty() {
        (said.registered, said.modified) = ("", "");
    }
    said
}
