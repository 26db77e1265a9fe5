//! The registry from files, against the built-in one.

use std::fmt::Write as _;

use super::file::Wrong;
use super::{Entry, ReadRegistry, Registry};

/// A row for each protocol.
fn expanded<'a>(entries: impl Iterator<Item = Entry<'a>>) -> Vec<(String, Entry<'a>)> {
    let each = |entry: Entry<'a>| {
        let mut names: Vec<String> = entry.transports().map(str::to_owned).collect();
        if names.is_empty() {
            names.push(String::new());
        }
        names.into_iter().map(move |name| (name, Entry { protocols: 0, ..entry }))
    };
    entries.flat_map(each).collect()
}

fn number(entry: &Entry<'_>) -> String {
    match entry.ports {
        None => String::new(),
        Some((first, last)) if first == last => first.to_string(),
        Some((first, last)) => format!("{first}-{last}"),
    }
}

/// The built-in registry as IANA would publish it.
fn as_xml() -> String {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&#62;");
    let mut xml = String::from(
        "<?xml version='1.0' encoding='UTF-8'?>\n<registry xmlns=\"http://www.iana.org/assignments\">\n<updated>2027-01-02</updated><note>About <xref type=\"rfc\" data=\"rfc6335\"/> this</note>\n",
    );
    for (protocol, entry) in expanded(Registry::BuiltIn.entries()) {
        let attribute = |name: &str, value: &str| {
            if value.is_empty() { String::new() } else { format!(" {name}=\"{value}\"") }
        };
        let _ = write!(
            xml,
            "<record{}{}>",
            attribute("date", entry.registered),
            attribute("updated", entry.modified)
        );
        let mut element = |name: &str, value: &str| {
            if !value.is_empty() {
                let _ = write!(xml, "\n  <{name}>{}</{name}>", escaped(value));
            }
        };
        element("name", entry.name);
        element("protocol", &protocol);
        element("description", entry.description);
        element("number", &number(&entry));
        element("sc", entry.service_code);
        element("unauthorized", if entry.is_used_unauthorized { "by some" } else { "" });
        element("note", entry.note);
        xml.push_str("<assignee><xref type=\"person\" data=\"Nobody\"/></assignee><xref type=\"person\" data=\"Nobody\"/>");
        for reference in entry.references.split(',').filter(|it| !it.is_empty()) {
            let _ = write!(
                xml,
                "<xref type=\"{}\" data=\"{reference}\"/>",
                if reference.starts_with("draft") { "draft" } else { "rfc" }
            );
        }
        xml.push_str("</record>\n");
    }
    xml + "<people><person id=\"Nobody\"><name>Nobody</name><updated>1999-01-01</updated></person></people></registry>\n"
}

fn as_csv() -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut csv = String::from(
        "Service Name,Port Number,Transport Protocol,Description,Assignee,Contact,Registration Date,Modification Date,Reference,Service Code,Unauthorized Use Reported,Assignment Notes\n",
    );
    for (protocol, entry) in expanded(Registry::BuiltIn.entries()) {
        let reference = |it: &str| {
            if it.starts_with("rfc") { format!("[{}]", it.to_ascii_uppercase()) } else { format!("[{it}]") }
        };
        let references: String =
            entry.references.split(',').filter(|it| !it.is_empty()).map(reference).collect();
        let unauthorized = if entry.is_used_unauthorized { "by some" } else { "" };
        let (description, note) = (quoted(entry.description), quoted(&entry.note.replacen(' ', "\n  ", 1)));
        let _ = writeln!(
            csv,
            "{},{},{protocol},{description},[Nobody],[Nobody],{},{},{references},{},{unauthorized},{note}",
            entry.name,
            number(&entry),
            entry.registered,
            entry.modified,
            entry.service_code
        );
    }
    csv
}

fn assert_same(read: &ReadRegistry) {
    let (ours, theirs) = (expanded(Registry::BuiltIn.entries()), expanded(read.entries()));
    assert_eq!(ours.len(), theirs.len());
    let sorted = |rows: &[(String, Entry<'_>)]| {
        let mut rows: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
        rows.sort();
        rows
    };
    assert!(sorted(&ours) == sorted(&theirs));
    let read = Registry::Read(read.clone());
    for port in (0..=u16::MAX).step_by(7) {
        assert_eq!(read.at(port), Registry::BuiltIn.at(port), "{port}");
    }
    for name in ["http", "HTTP-ALT", "x11", "no-such", ""] {
        if !name.is_empty() {
            assert_eq!(read.named(name), Registry::BuiltIn.named(name), "{name}");
        }
    }
    assert_eq!(read.search(&["multicast", "dns"]), Registry::BuiltIn.search(&["multicast", "dns"]));
}

#[test]
fn a_file_of_xml_is_the_same_registry() {
    let read = ReadRegistry::parse(as_xml().as_bytes()).unwrap();
    assert_eq!(read.date(), Some("2027-01-02"));
    assert_same(&read);
}

#[test]
fn a_file_of_csv_is_the_same_registry() {
    let csv = as_csv();
    let read = ReadRegistry::parse(format!("\u{feff}{csv}").as_bytes()).unwrap();
    assert!(read.date().is_some_and(|date| date.starts_with("2026-0")), "{:?}", read.date());
    assert_same(&read);
}

#[test]
fn what_is_no_registry() {
    let told = |text: &str| match ReadRegistry::parse(text.as_bytes()) {
        Ok(read) => format!("{} rows", read.entries().count()),
        Err(Wrong::At(line, why)) => format!("{line}: {why}"),
        Err(Wrong::Whole(why)) => why,
    };
    assert_eq!(told(""), "its first line has no column \"Service Name\"");
    assert_eq!(told("a,b\n1,2\n"), "its first line has no column \"Service Name\"");
    assert_eq!(told("<html></html>"), "it has no <registry>");
    assert_eq!(told("<registry></registry>"), "it has no records");
    assert_eq!(
        told("<registry>\n<record>\n<name>x"),
        "3: not XML: the file ends inside of <registry><record><name>"
    );
    assert!(told("<registry>\n</record></registry>").starts_with("2: not XML: "));
    assert_eq!(
        told("<registry><record><number>70000</number></record></registry>"),
        "\"70000\" is no port number"
    );
    assert_eq!(
        told("<registry><record><protocol>quic</protocol></record></registry>"),
        "\"quic\" is no protocol of it"
    );
    assert_eq!(told("<registry>\n&nope;</registry>"), "2: not XML: unknown entity &nope;");
    let head = "Service Name,Port Number,Transport Protocol,Description\n";
    assert_eq!(told(head), "it has no records");
    assert_eq!(told(&format!("{head}x,1-,tcp,y\n")), "\"1-\" is no port number");
    assert_eq!(told(&format!("{head}x,1,tcp,y\nz\n")), "1 rows");
    // Cut anywhere, a file is read or told wrong, and never more.
    let (xml, csv) = (as_xml(), as_csv());
    for text in [&xml[..20_000], &csv[..20_000]] {
        for end in (0..text.len()).step_by(97).filter(|&end| text.is_char_boundary(end)) {
            told(&text[..end]);
        }
    }
}

#[test]
fn words_are_found_anywhere_in_name_and_description() {
    let found = Registry::BuiltIn.search(&["MULTICAST", "dns"]);
    assert!(found.iter().any(|it| it.name == "mdns" && it.ports == Some((5353, 5353))));
    assert!(found.iter().all(|it| {
        let text = format!("{} {}", it.name, it.description).to_lowercase();
        text.contains("multicast") && text.contains("dns")
    }));
    assert!(Registry::BuiltIn.search(&["\u{e9}"]).is_empty());
}
