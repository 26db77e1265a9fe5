//! What is known of ports as JSON: an array with one object a port.

use std::io::{self, Write};

use serde::Serialize;
use wharf_host::registry::Entry;
use wharf_table::registry::common::CommonUse;

use super::ask::{Meant, Subject};
use super::told::{Sources, Told, class};
use crate::services;

#[derive(Serialize)]
struct JsonPort<'a> {
    /// Null for a name that is registered without a port.
    port: Option<u16>,
    class: Option<&'static str>,
    ephemeral_here: bool,
    ephemeral_range: [u16; 2],
    registry_date: Option<&'a str>,
    bits: Option<JsonBits>,
    records: Vec<JsonRecord<'a>>,
    local: Vec<JsonLocal<'a>>,
    common_use: Vec<JsonUse>,
}

#[derive(Serialize)]
struct JsonBits {
    hex: String,
    binary: String,
}

#[derive(Serialize)]
struct JsonRecord<'a> {
    protocol: Option<&'static str>,
    status: &'static str,
    name: Option<&'a str>,
    description: Option<&'a str>,
    references: Vec<&'a str>,
    registered: Option<&'a str>,
    modified: Option<&'a str>,
    service_code: Option<&'a str>,
    unauthorized_use: bool,
    note: Option<&'a str>,
}

#[derive(Serialize)]
struct JsonLocal<'a> {
    protocol: &'a str,
    name: &'a str,
    aliases: &'a [&'a str],
    source: &'static str,
}

#[derive(Serialize)]
struct JsonUse {
    protocols: Vec<&'static str>,
    text: &'static str,
    source: &'static str,
}

/// Writes all that is meant.
pub(super) fn write(out: &mut impl Write, sources: &Sources<'_>, meant: &Meant<'_>) -> io::Result<()> {
    let mut before = "[\n";
    let mut each = |port: &JsonPort<'_>| {
        out.write_all(before.as_bytes())?;
        before = ",\n";
        serde_json::to_writer(&mut *out, port).map_err(io::Error::from)
    };
    for subject in &meant.subjects {
        match subject {
            Subject::Ports(ports, only) => {
                for port in ports.iter() {
                    each(&of_port(sources, &sources.tell(port, *only)))?;
                }
            }
            Subject::Portless(entry) => each(&JsonPort {
                port: None,
                class: None,
                ephemeral_here: false,
                ephemeral_range: sources.here.ephemeral.into(),
                registry_date: sources.registry.date(),
                bits: None,
                records: records(entry).collect(),
                local: Vec::new(),
                common_use: Vec::new(),
            })?,
        }
    }
    out.write_all(if before == "[\n" { b"[]\n" } else { b"\n]\n" })
}

fn of_port<'a>(sources: &'a Sources<'a>, told: &'a Told<'a>) -> JsonPort<'a> {
    let [high, low] = told.port.to_be_bytes();
    let without = told.without.iter().map(|&(protocol, status)| JsonRecord {
        protocol: Some(protocol),
        status: status.name(),
        name: None,
        description: None,
        references: Vec::new(),
        registered: None,
        modified: None,
        service_code: None,
        unauthorized_use: false,
        note: None,
    });
    let local = |line: &'a services::LocalService<'a>| JsonLocal {
        protocol: line.protocol,
        name: line.name,
        aliases: &line.aliases,
        source: services::PATH,
    };
    let common = |it: &CommonUse| JsonUse {
        protocols: it.protocols.split(',').collect(),
        text: it.text,
        source: it.source,
    };
    JsonPort {
        port: Some(told.port),
        class: Some(class(told.port)),
        ephemeral_here: told.is_ephemeral,
        ephemeral_range: sources.here.ephemeral.into(),
        registry_date: sources.registry.date(),
        bits: Some(JsonBits { hex: format!("{high:02x}{low:02x}"), binary: format!("{high:08b}{low:08b}") }),
        records: told.entries.iter().flat_map(records).chain(without).collect(),
        local: told.local.iter().map(local).collect(),
        common_use: told.common.iter().map(common).collect(),
    }
}

/// A record for each protocol; one without where the registry tells none.
fn records<'a>(entry: &Entry<'a>) -> impl Iterator<Item = JsonRecord<'a>> {
    let entry = *entry;
    let told = |text: &'a str| Some(text).filter(|text| !text.is_empty());
    let mut protocols: Vec<Option<&'static str>> = entry.transports().map(Some).collect();
    if protocols.is_empty() {
        protocols.push(None);
    }
    protocols.into_iter().map(move |protocol| JsonRecord {
        protocol,
        status: entry.status().name(),
        name: told(entry.name),
        description: told(entry.description),
        references: entry.references.split(',').filter(|it| !it.is_empty()).collect(),
        registered: told(entry.registered),
        modified: told(entry.modified),
        service_code: told(entry.service_code),
        unauthorized_use: entry.is_used_unauthorized,
        note: told(entry.note),
    })
}
