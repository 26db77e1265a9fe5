//! Turns `data/services.tsv` into the form that the registry module searches without parsing it first:
//!
//! - `registry.txt`: one row a line, sorted by first port, rows without a port at the end. Rows that differ in the
//!   protocol only are one row; its first column is the set of protocols as one hexadecimal digit.
//! - `ports.bin`: for each row with a port 8 bytes, little-endian: where its line starts (u32), its first port (u16),
//!   and the highest last port of all rows up to it (u16).
//! - `names.bin`: for each row with a name 4 bytes, where its line starts, sorted by name in lower case.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

const SOURCE: &str = "data/services.tsv";

/// The bit of a protocol in the first column; no protocol is no bit.
fn protocol_bit(protocol: &str) -> u8 {
    match protocol {
        "" => 0,
        "tcp" => 1,
        "udp" => 2,
        "sctp" => 4,
        "dccp" => 8,
        other => panic!("{SOURCE}: unknown protocol {other:?}"),
    }
}

struct Row<'a> {
    protocols: u8,
    ports: Option<(u16, u16)>,
    name: &'a str,
    /// All columns but the protocol.
    text: &'a str,
}

impl<'a> Row<'a> {
    fn parse(line: &'a str) -> Row<'a> {
        let (protocol, text) = line.split_once('\t').expect("a row has columns");
        let columns: Vec<&str> = text.split('\t').collect();
        assert_eq!(columns.len(), 10, "{SOURCE}: {line:?}");
        let port = |text: &str| text.parse::<u16>().unwrap_or_else(|_| panic!("{SOURCE}: {line:?}"));
        let ports = (!columns[0].is_empty()).then(|| (port(columns[0]), port(columns[1])));
        Row { protocols: protocol_bit(protocol), ports, name: columns[2], text }
    }
}

fn merged(source: &str) -> Vec<Row<'_>> {
    let mut rows: Vec<Row> = Vec::new();
    let mut by_text: HashMap<&str, usize> = HashMap::new();
    for line in source.lines().filter(|line| !line.starts_with('#')) {
        let row = Row::parse(line);
        match by_text.get(row.text) {
            // A row without a protocol says something else than one with some.
            Some(&at) if (rows[at].protocols == 0) == (row.protocols == 0) => {
                rows[at].protocols |= row.protocols
            }
            _ => {
                by_text.insert(row.text, rows.len());
                rows.push(row);
            }
        }
    }
    // Stable: within a port the registry's own order stays.
    rows.sort_by_key(|row| row.ports.map_or(u32::MAX, |(first, _)| u32::from(first)));
    rows
}

fn write(name: &str, bytes: &[u8]) {
    let directory = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(directory.join(name), bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
}

fn main() {
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-changed=build.rs");
    let source = fs::read_to_string(Path::new(SOURCE)).unwrap_or_else(|error| panic!("{SOURCE}: {error}"));
    let date = source
        .strip_prefix("# registry updated ")
        .and_then(|rest| rest.split(';').next())
        .unwrap_or_else(|| panic!("{SOURCE}: the first line does not tell the date"));
    println!("cargo::rustc-env=WHARF_REGISTRY_DATE={date}");

    let rows = merged(&source);
    let (mut text, mut ports, mut reach, mut named) = (String::new(), Vec::new(), 0, Vec::new());
    for row in &rows {
        let offset = u32::try_from(text.len()).expect("the registry is small");
        text.push_str(&format!("{:x}\t{}\n", row.protocols, row.text));
        if let Some((first, last)) = row.ports {
            reach = last.max(reach);
            ports.extend_from_slice(&offset.to_le_bytes());
            ports.extend_from_slice(&first.to_le_bytes());
            ports.extend_from_slice(&reach.to_le_bytes());
        }
        if !row.name.is_empty() {
            named.push((row.name.to_ascii_lowercase(), offset));
        }
    }
    named.sort();
    let names: Vec<u8> = named.iter().flat_map(|(_, offset)| offset.to_le_bytes()).collect();
    write("registry.txt", text.as_bytes());
    write("ports.bin", &ports);
    write("names.bin", &names);
}
