//! Which ports are meant: by number, by name, or by words of what the registry says.

use wharf_host::registry::{Entry, Registry};
use wharf_table::Protocol;
use wharf_table::nearest::nearest;
use wharf_table::notation::{Location, PortError, Ports, scheme};

use crate::exit::Failure;
use crate::services::LocalServices;

/// What was asked for.
#[derive(Debug)]
pub(super) struct Meant<'a> {
    pub(super) subjects: Vec<Subject<'a>>,
    /// Names that lead elsewhere by `/etc/services` than by the registry, told in a sentence each.
    pub(super) notes: Vec<String>,
}

/// One thing that was asked for.
#[derive(Debug)]
pub(super) enum Subject<'a> {
    /// Ports, of one protocol where that was told.
    Ports(Ports, Option<&'static str>),
    /// A name that is registered without a port.
    Portless(Entry<'a>),
}

/// Finds what is meant. Where each word is a port or the name of a service, it is all of these; else the words are looked for in
/// what the registry says.
pub(super) fn ask<'a>(
    words: &[String],
    registry: &'a Registry,
    local: &LocalServices,
) -> Result<Meant<'a>, Failure> {
    let mut meant = Meant { subjects: Vec::new(), notes: Vec::new() };
    let mut all: Vec<(Ports, Option<&'static str>)> = Vec::new();
    for word in words {
        if let Some((port, only)) = pasted(word, local)? {
            add(&mut all, Ports::single(port), only);
            continue;
        }
        match numbers(word, registry, local).map_err(Failure::usage)? {
            Some((ports, only)) => add(&mut all, ports, only),
            None => match named(word, None, registry, local) {
                Some(found) => {
                    add(&mut all, found.ports, None);
                    meant.subjects.extend(found.portless.into_iter().map(Subject::Portless));
                    meant.notes.extend(found.note);
                }
                None => return Ok(search(words, registry)),
            },
        }
    }
    let with_ports = all.into_iter().filter(|(ports, _)| !ports.is_empty());
    meant.subjects.splice(0..0, with_ports.map(|(ports, only)| Subject::Ports(ports, only)));
    Ok(meant)
}

/// Ports of the same protocol stand together.
fn add(all: &mut Vec<(Ports, Option<&'static str>)>, ports: Ports, only: Option<&'static str>) {
    match all.iter_mut().find(|(_, it)| *it == only) {
        Some((there, _)) => *there = there.union(&ports),
        None => all.push((ports, only)),
    }
}

/// The port of what is pasted whole: `192.0.2.1:443`, `[::1]%eth0:22`, `1.2.3.4.443`, a URL.
fn pasted(word: &str, local: &LocalServices) -> Result<Option<(u16, Option<&'static str>)>, Failure> {
    let is_dotted = word.contains('.') && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !word.contains(':') && !is_dotted {
        return Ok(None);
    }
    let services = |name: &str, protocol| local.port(name, protocol);
    let location = Location::parse(word, Protocol::Tcp, &services).map_err(Failure::usage)?;
    let only = location.protocol.filter(|_| word.ends_with("/udp") || word.ends_with("/tcp"));
    let only = only.map(|protocol| if protocol == Protocol::Udp { "udp" } else { "tcp" });
    let missing =
        || Failure::usage(format!("{word:?}: a port is missing (write its number or the name of a service)"));
    Ok(Some((location.port.ok_or_else(missing)?, only)))
}

/// `443`, `80,https`, `8000-8010`, `tcp/443`, `domain/udp`; `None` for what is no list of ports and no name beside a protocol.
fn numbers(
    word: &str,
    registry: &Registry,
    local: &LocalServices,
) -> Result<Option<(Ports, Option<&'static str>)>, PortError> {
    let (ports, only) = split_protocol(word);
    // What holds a letter and no comma is a name, whatever it starts with.
    let has_letter = ports.contains(|letter: char| letter.is_ascii_alphabetic());
    if only.is_none() && has_letter && !ports.contains(',') {
        return Ok(None);
    }
    let by_name = |name: &str| {
        let found = named(name, only, registry, local).map(|found| found.ports);
        let found = found.filter(|ports| !ports.is_empty());
        found.ok_or_else(|| PortError::UnknownName { part: name.to_owned() })
    };
    Ports::parse(ports, by_name).map(|ports| Some((ports, only)))
}

/// `tcp/443` and `443/tcp`: the ports, and the protocol.
fn split_protocol(word: &str) -> (&str, Option<&'static str>) {
    let protocol = |name: &str| Entry::TRANSPORTS.into_iter().find(|it| *it == name);
    if let Some((before, after)) = word.split_once('/')
        && let Some(only) = protocol(before)
    {
        return (after, Some(only));
    }
    match word.rsplit_once('/') {
        Some((before, after)) => match protocol(after) {
            Some(only) => (before, Some(only)),
            None => (word, None),
        },
        None => (word, None),
    }
}

/// Where a name leads.
struct Named<'a> {
    ports: Ports,
    portless: Vec<Entry<'a>>,
    note: Option<String>,
}

/// The ports of a service by its name or an alias: the host's own, the registry's; else that of the URL scheme with this name.
fn named<'a>(
    name: &str,
    only: Option<&str>,
    registry: &'a Registry,
    local: &LocalServices,
) -> Option<Named<'a>> {
    let is_asked = |protocol: &str| only.is_none_or(|only| only == protocol);
    let ours = local.all().filter(|line| is_asked(line.protocol) && line.is_called(name));
    let ours: Ports = ours.map(|line| (line.port, line.port)).collect();
    let entries = registry.named(name);
    let theirs = entries.iter().filter(|entry| only.is_none() || entry.transports().any(is_asked));
    let theirs: Ports = theirs.filter_map(|entry| entry.ports).collect();
    let has_port = !theirs.is_empty() || !ours.is_empty();
    let portless: Vec<_> = entries.into_iter().filter(|entry| entry.ports.is_none() && !has_port).collect();
    let mut note = (!ours.is_empty() && !theirs.is_empty() && ours != theirs).then(|| {
        format!(
            "The name {name} means {ours} on this host, by {}, which wins over the registry's {theirs}.",
            crate::services::PATH
        )
    });
    let mut ports = ours.union(&theirs);
    if ports.is_empty() && portless.is_empty() {
        let scheme = scheme::find(name)?;
        ports = Ports::single(scheme.port?);
        note = Some(format!(
            "No service is called {name}; {ports} is the usual port of URLs that start with {}:.",
            scheme.name
        ));
    }
    Some(Named { ports, portless, note })
}

/// The ports whose names and descriptions have every word.
fn search<'a>(words: &[String], registry: &'a Registry) -> Meant<'a> {
    let words: Vec<&str> = words.iter().flat_map(|word| word.split_whitespace()).collect();
    let found = registry.search(&words);
    let ports: Ports = found.iter().filter_map(|entry| entry.ports).collect();
    let mut subjects = Vec::new();
    if !ports.is_empty() {
        subjects.push(Subject::Ports(ports, None));
    }
    subjects.extend(found.into_iter().filter(|entry| entry.ports.is_none()).map(Subject::Portless));
    Meant { subjects, notes: Vec::new() }
}

/// What is said where nothing was found.
pub(super) fn nothing(words: &[String], registry: &Registry) -> String {
    let asked = words.join(" ");
    let names: Vec<&str> = registry.entries().map(|entry| entry.name).collect();
    let meant = (words.len() == 1).then(|| nearest(&asked, names.into_iter())).flatten();
    match meant {
        Some(meant) => {
            format!("{asked:?}: nothing is registered so (write {meant}, or words of its description)")
        }
        None => {
            format!("{asked:?}: nothing is registered so (write a number, a service name, or fewer words)")
        }
    }
}
