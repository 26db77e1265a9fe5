//! `wharf port`, against the registry as it was published.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../wharf-table/data/services.tsv");

fn wharf(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
    command.arg("port").args(words).output().expect("the binary was built for this test")
}

fn said(words: &[&str]) -> String {
    let output = wharf(words);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*error), (Some(0), ""), "{words:?}");
    String::from_utf8(output.stdout).expect("wharf speaks UTF-8")
}

fn json(words: &[&str]) -> Vec<Value> {
    let words: Vec<&str> = ["--json"].iter().chain(words).copied().collect();
    let value: Value = serde_json::from_str(&said(&words)).expect("it is JSON");
    value.as_array().expect("an array").clone()
}

/// The exit code, and what is said on standard error.
fn refused(words: &[&str]) -> (i32, String) {
    let output = wharf(words);
    assert!(output.stdout.is_empty(), "{words:?}");
    let error = String::from_utf8(output.stderr).expect("wharf speaks UTF-8");
    (output.status.code().expect("it was not killed"), error)
}

/// A row of the registry for one port, as JSON tells it, without what is null.
fn row(record: &Value) -> Vec<String> {
    let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
    let references = record["references"].as_array().expect("an array").iter().filter_map(Value::as_str);
    vec![
        text("protocol"),
        text("name"),
        text("description"),
        text("service_code"),
        references.collect::<Vec<_>>().join(","),
        text("registered"),
        text("modified"),
        if record["unauthorized_use"].as_bool() == Some(true) { "U".into() } else { String::new() },
        text("note"),
    ]
}

/// The source's rows by port, `None` for names without one.
fn source() -> BTreeMap<Option<u16>, BTreeSet<Vec<String>>> {
    let text = fs::read_to_string(SOURCE).expect("the source is there");
    let mut rows: BTreeMap<Option<u16>, BTreeSet<Vec<String>>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        let &[protocol, first, last, name, description, code, references, registered, modified, used, note] =
            columns.as_slice()
        else {
            panic!("{line:?}")
        };
        let row = [protocol, name, description, code, references, registered, modified, used, note];
        let row = row.map(str::to_owned).to_vec();
        match (first.parse::<u16>(), last.parse::<u16>()) {
            (Ok(first), Ok(last)) => {
                for port in first..=last {
                    rows.entry(Some(port)).or_default().insert(row.clone());
                }
            }
            _ => {
                rows.entry(None).or_default().insert(row);
            }
        }
    }
    rows
}

#[test]
fn every_port_is_told_as_the_registry_has_it() {
    let source = source();
    let ports = json(&["0-65535"]);
    assert_eq!(ports.len(), 65_536);
    for (number, port) in ports.iter().enumerate() {
        assert_eq!(port["port"], number);
        let class = match number {
            0..1024 => "system",
            1024..49152 => "user",
            _ => "dynamic",
        };
        assert_eq!(port["class"], class, "{number}");
        let records = port["records"].as_array().expect("an array");
        // What no row tells of is without a description.
        let told: BTreeSet<_> = records
            .iter()
            .filter(|record| !record["description"].is_null() || !record["name"].is_null())
            .map(row)
            .collect();
        let expected = source.get(&Some(number as u16)).cloned().unwrap_or_default();
        assert_eq!(told, expected, "{number}");
        for record in records {
            let status = record["status"].as_str().expect("a status");
            assert_eq!(status == "assigned", !record["name"].is_null(), "{record}");
            assert_eq!(status == "not_assignable", number >= 49152, "{record}");
        }
        for protocol in ["tcp", "udp"] {
            let is_told = records.iter().any(|it| it["protocol"].is_null() || it["protocol"] == protocol);
            assert!(is_told, "{number}/{protocol}");
        }
    }
}

#[test]
fn names_lead_to_their_ports() {
    let text = fs::read_to_string("/etc/services").unwrap_or_default();
    let mut names: BTreeMap<String, BTreeSet<u16>> = BTreeMap::new();
    for (port, rows) in source() {
        for row in rows.iter().filter(|row| !row[1].is_empty()) {
            let ports = names.entry(row[1].to_ascii_lowercase()).or_default();
            ports.extend(port);
        }
    }
    let mut local: BTreeMap<&str, BTreeSet<u16>> = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let (Some(name), Some(at)) = (words.next(), words.next()) else { continue };
        let Some(port) = at.split('/').next().and_then(|port| port.parse().ok()) else { continue };
        for name in words.chain([name]) {
            local.entry(name).or_default().insert(port);
        }
    }
    // Every hundredth by itself, and all of them in a few calls.
    for (name, ports) in names.iter().step_by(100) {
        let mut expected: Vec<Option<u16>> = ports
            .iter()
            .chain(local.get(name.as_str()).into_iter().flatten())
            .copied()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .map(Some)
            .collect();
        if expected.is_empty() {
            expected.push(None);
        }
        let told: BTreeSet<_> =
            json(&[name]).iter().map(|it| it["port"].as_u64().map(|port| port as u16)).collect();
        assert_eq!(told, expected.into_iter().collect(), "{name}");
    }
    let all: Vec<&str> = names.keys().map(String::as_str).collect();
    let mut told = BTreeSet::new();
    for some in all.chunks(2000) {
        told.extend(json(some).iter().filter_map(|it| it["port"].as_u64()).map(|port| port as u16));
    }
    let ours = all.iter().filter_map(|name| local.get(name)).flatten();
    let expected: BTreeSet<u16> = names.values().flatten().chain(ours).copied().collect();
    assert!(told == expected, "{:?}", told.symmetric_difference(&expected).collect::<Vec<_>>());
}

#[test]
fn bits_are_big_endian() {
    let text = said(&["--bits", "0-65535"]);
    assert_eq!(text.lines().count(), 65_536);
    for (number, line) in text.lines().enumerate() {
        let (high, low) = (number / 256, number % 256);
        let swapped = low * 256 + high;
        assert_eq!(
            line,
            format!("{number:5}  {high:02x} {low:02x}  {high:08b} {low:08b}  swapped {swapped}")
        );
    }
    let port = &json(&["443"])[0];
    assert_eq!((&port["bits"]["hex"], &port["bits"]["binary"]), (&"01bb".into(), &"0000000110111011".into()));
}

#[test]
fn what_is_known_of_a_port_is_kept_apart() {
    let text = said(&["5223"]);
    for part in [
        "5223  user port",
        "registered as  hpvirtgrp: HP Virtual Machine Group Management  (tcp udp)",
        "common use     Apple push",
        "https://",
        "registry of 2026-08-17",
        "need not be what runs there",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let port = &json(&["5223"])[0];
    assert_eq!(port["records"][0]["name"], "hpvirtgrp");
    assert!(port["common_use"][0]["text"].as_str().is_some_and(|it| it.contains("Apple")));
    assert_eq!(port["registry_date"], "2026-08-17");
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").expect("a kernel with IPv4");
    let range: Vec<u64> = range.split_whitespace().map(|it| it.parse().expect("a number")).collect();
    assert_eq!(port["ephemeral_range"], serde_json::json!(range));
    let ephemeral = &json(&[&range[0].to_string()])[0];
    assert_eq!(ephemeral["ephemeral_here"], true);
    assert!(said(&["60000"]).contains("dynamic ports are not assignable"));
}

#[test]
fn queries_of_all_kinds() {
    let ports =
        |words: &[&str]| -> Vec<u64> { json(words).iter().filter_map(|it| it["port"].as_u64()).collect() };
    assert_eq!(ports(&["443"]), [443]);
    assert_eq!(ports(&["80,443", "8000-8002", "443"]), [80, 443, 8000, 8001, 8002]);
    assert_eq!(ports(&["https", "22"]), [22, 443]);
    assert_eq!(ports(&["HTTPS,ssh"]), [22, 443]);
    assert_eq!(ports(&["tcp/443"]), [443]);
    assert_eq!(ports(&["domain/udp"]), [53]);
    assert_eq!(ports(&["rediss"]), [6379]);
    for pasted in [
        "192.0.2.1:443",
        "[fe80::1]%eth0:443",
        "*:443",
        "1.2.3.4.443",
        "https://ann@example.org/a:b",
        "[::1]:https",
    ] {
        assert_eq!(ports(&[pasted]), [443], "{pasted}");
    }
    assert!(ports(&["multicast", "dns"]).contains(&5353));
    assert!(ports(&["multicast dns"]).contains(&5353));
    assert!(
        json(&["tcp/22"])[0]["records"]
            .as_array()
            .is_some_and(|it| it.iter().all(|it| it["protocol"] == "tcp"))
    );
    assert!(json(&["sctp/22"])[0]["records"].as_array().is_some_and(|it| it.len() == 1));
    let airplay = &json(&["airplay"])[0];
    assert_eq!((&airplay["port"], &airplay["records"][0]["name"]), (&Value::Null, &"airplay".into()));
}

#[test]
fn what_is_not_there_or_wrong() {
    let nothing = (
        1,
        "wharf: \"postgesql\": nothing is registered so (write postgresql, or words of its description)\n"
            .into(),
    );
    assert_eq!(refused(&["postgesql"]), nothing);
    assert_eq!(refused(&["no", "such", "thing"]).0, 1);
    let output = wharf(&["--json", "xyzzy-plugh"]);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b"[]\n"[..]));
    assert_eq!(refused(&["70000"]), (2, "wharf: \"70000\": the highest port is 65535\n".into()));
    assert_eq!(
        refused(&["8010-8000"]),
        (2, "wharf: \"8010-8000\": a range runs upwards (write 8000-8010)\n".into())
    );
    assert_eq!(refused(&["080"]), (2, "wharf: \"080\": a port has no leading zeros (write 80)\n".into()));
    assert_eq!(refused(&["80,,443"]).0, 2);
    assert_eq!(
        refused(&["::1:8080"]),
        (2, "wharf: \"::1:8080\": a port is missing (write its number or the name of a service)\n".into())
    );
    assert_eq!(
        refused(&["80,htpt"]),
        (2, "wharf: \"htpt\": no service has this name (write its port number)\n".into())
    );
    assert_eq!(refused(&["--registry", "/nonexistent", "80"]).0, 2);
    assert_eq!(refused(&["--registry", "/etc/passwd", "80"]).0, 2);
    assert_eq!(refused(&[]).0, 2);
}

#[test]
fn a_newer_registry_from_a_file() {
    let path = std::env::temp_dir().join(format!("wharf-port-{}.csv", std::process::id()));
    let csv = "Service Name,Port Number,Transport Protocol,Description,Assignee,Contact,Registration Date,Modification Date,Reference,Service Code,Unauthorized Use Reported,Assignment Notes\nbrand-new,4,tcp,\"Something, new\",[A],[A],2030-01-02,,[RFC9999],,,\n,5-9,,Unassigned,,,,,,,,\n";
    fs::write(&path, csv).expect("the directory for temporary files can be written to");
    let file = path.to_str().expect("a path of UTF-8");
    let port = &json(&["--registry", file, "4"])[0];
    let by_name = json(&["--registry", file, "brand-new"]);
    fs::remove_file(&path).expect("it was written");
    assert_eq!(port["registry_date"], "2030-01-02");
    let record = &port["records"][0];
    assert_eq!((&record["name"], &record["description"]), (&"brand-new".into(), &"Something, new".into()));
    assert_eq!(record["references"], serde_json::json!(["rfc9999"]));
    assert_eq!(by_name[0]["port"], 4);
}

#[test]
fn the_help_fits_a_screen() {
    let help = said(&["--help"]);
    assert!(help.lines().count() <= 24 && help.starts_with("Examples:\n  wharf port 5223"), "{help}");
    assert!(help.lines().all(|line| line.chars().count() < 80), "{help}");
}
