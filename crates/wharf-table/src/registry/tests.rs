//! The embedded form against the registry's rows as they were published.

use std::collections::BTreeMap;
use std::string::String;
use std::vec::Vec;

use super::*;

static SOURCE: &str = include_str!("../../data/services.tsv");

fn rows() -> impl Iterator<Item = Vec<&'static str>> {
    SOURCE.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect())
}

fn protocol(name: &str) -> Option<Protocol> {
    match name {
        "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        _ => None,
    }
}

fn is_alias(row: &[&str]) -> bool {
    row[10].starts_with("This entry is an alias")
}

#[test]
fn every_row_of_the_source_is_there_once() {
    let mut expected: Vec<String> = rows().map(|row| row.join("\t")).collect();
    let mut embedded = Vec::new();
    for record in records() {
        let ports = record
            .ports()
            .map_or((String::new(), String::new()), |(a, b)| (std::format!("{a}"), std::format!("{b}")));
        let unauthorized = if record.is_used_unauthorized() { "U" } else { "" };
        let mut transports: Vec<&str> = record.transports().collect();
        if transports.is_empty() {
            transports.push("");
        }
        for transport in transports {
            embedded.push(
                [
                    transport,
                    &ports.0,
                    &ports.1,
                    record.name(),
                    record.description(),
                    record.service_code(),
                    record.references(),
                    record.registered(),
                    record.modified(),
                    unauthorized,
                    record.note(),
                ]
                .join("\t"),
            );
        }
    }
    // The source repeats some rows word for word.
    expected.sort();
    expected.dedup();
    embedded.sort();
    assert_eq!(embedded.len(), expected.len());
    assert!(embedded == expected);
}

#[test]
fn the_name_of_every_port_is_the_first_of_the_source() {
    let mut expected: BTreeMap<(u16, Protocol), (bool, &str)> = BTreeMap::new();
    for row in rows() {
        let (Some(protocol), false, false) = (protocol(row[0]), row[1].is_empty(), row[3].is_empty()) else {
            continue;
        };
        for port in row[1].parse::<u16>().unwrap()..=row[2].parse::<u16>().unwrap() {
            let best = expected.entry((port, protocol)).or_insert((is_alias(&row), row[3]));
            if best.0 && !is_alias(&row) {
                *best = (false, row[3]);
            }
        }
    }
    assert!(expected.len() > 11_000);
    for number in 1..=u16::MAX {
        for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Icmp] {
            let expected = expected.get(&(number, protocol)).map(|&(_, name)| name);
            assert_eq!(name(Port::new(number).unwrap(), protocol), expected, "{number}/{protocol}");
        }
    }
}

#[test]
fn every_service_name_leads_to_its_lowest_port() {
    let mut expected: BTreeMap<(String, Protocol), u16> = BTreeMap::new();
    for row in rows() {
        let (Some(protocol), false) = (protocol(row[0]), row[3].is_empty()) else { continue };
        let Ok(port) = row[1].parse() else { continue };
        let best = expected.entry((row[3].to_ascii_lowercase(), protocol)).or_insert(port);
        *best = port.min(*best);
    }
    for ((name, protocol), port) in &expected {
        for written in [name.clone(), name.to_ascii_uppercase()] {
            assert_eq!(service(&written, *protocol).map(Port::number), Some(*port), "{written}/{protocol}");
        }
    }
    for absent in ["", "h", "zzzzzzzz", "\u{e9}", "argus", "-"] {
        assert_eq!(service(absent, Protocol::Tcp), None, "{absent:?}");
    }
}

#[test]
fn well_known_names() {
    let port = |number| Port::new(number).unwrap();
    assert_eq!(REGISTRY_DATE, "2026-08-17");
    assert_eq!(service("https", Protocol::Tcp), Some(port(443)));
    assert_eq!(name(port(53), Protocol::Udp), Some("domain"));
    assert_eq!(name(port(6010), Protocol::Tcp), Some("x11"));
    assert_eq!(name(port(428), Protocol::Tcp), Some("ocs-cmu"));
    assert_eq!(name(port(5223), Protocol::Tcp), Some("hpvirtgrp"));
    assert_eq!(name(port(65535), Protocol::Tcp), None);
}

#[test]
fn statuses() {
    use Status::{Assigned, Reserved, Unassigned};
    let mut counts = BTreeMap::new();
    for record in records().filter(|record| record.ports().is_some()) {
        *counts.entry(record.status()).or_insert(0) += record.transports().count().max(1);
    }
    assert!(counts[&Assigned] > 11_000);
    let status = |port: u16| at(port).next().map(|record| record.status());
    let told = [0, 4, 15, 24, 51, 80, 81, 1023].map(status);
    let expected = [Reserved, Unassigned, Unassigned, Reserved, Reserved, Assigned, Unassigned, Reserved];
    assert_eq!(told, expected.map(Some));
    assert_eq!([Status::without_row(1), Status::without_row(49_152)], [Unassigned, Status::NotAssignable]);
    // None of those that are without a name is forgotten: they say so, or are kept for something.
    for record in records().filter(|record| record.name().is_empty()) {
        let said = record.description().to_ascii_lowercase();
        let is_free = said.contains("assigned")
            || said.contains("de-")
            || said.contains("removed")
            || said.contains("decom");
        assert_eq!(record.status() == Unassigned, is_free, "{said}");
    }
}

#[test]
fn words_are_found_anywhere_in_name_and_description() {
    let found: Vec<Record> = search(&["MULTICAST", "dns"]).collect();
    assert!(found.iter().any(|it| it.name() == "mdns" && it.ports() == Some((5353, 5353))));
    for words in [
        &["multicast", "dns"][..],
        &["http"],
        &["x window"],
        &["p", "q", "z"],
        &["nothing such"],
        &["\u{e9}"],
    ] {
        let has = |record: &Record| {
            let (name, said) =
                (record.name().to_ascii_lowercase(), record.description().to_ascii_lowercase());
            !name.is_empty() && words.iter().all(|word| name.contains(word) || said.contains(word))
        };
        assert!(search(words).eq(records().filter(has)), "{words:?}");
    }
}
