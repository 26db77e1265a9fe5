//! `docs/rfc.md` says where each section of each RFC lives. It is made from the citations in the code's comments, and this
//! test fails when it is not what they say; `UPDATE_DOCS=1 cargo test -p wharf-sim --test rfc_index` writes it anew.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "rfc_index/titles.rs"]
mod titles;

/// Where a citation stands: the file from the root of the project, and the item whose comment it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    file: String,
    item: String,
}

/// The parts of one RFC, by their order in the text; the empty one is the RFC as a whole.
type Parts = BTreeMap<Part, BTreeSet<Place>>;

/// A part of an RFC: its kind (section, appendix, ...) and number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    kind: &'static str,
    number: Vec<Step>,
}

/// One step of a part's number: `3`, `10` or `B`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Number(u32),
    Letter(char),
}

/// How the parts of an RFC are named, longest word first.
const KINDS: [(&str, &str); 9] = [
    ("sections", "section"),
    ("section", "section"),
    ("appendices", "appendix"),
    ("appendix", "appendix"),
    ("figures", "figure"),
    ("figure", "figure"),
    ("rules", "rule"),
    ("rule", "rule"),
    ("algorithm", "algorithm"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The text of a comment line and whether it speaks of what follows (`///`), of the file (`//!`), or of where it stands.
fn comment(line: &str) -> Option<(Speaks, &str)> {
    let line = line.trim_start();
    for (mark, speaks) in [("///", Speaks::Next), ("//!", Speaks::File), ("//", Speaks::Here)] {
        if let Some(text) = line.strip_prefix(mark) {
            return Some((speaks, text.trim()));
        }
    }
    let behind = line.find(" // ")?;
    Some((Speaks::Here, line[behind + 4..].trim()))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaks {
    Next,
    File,
    Here,
}

/// The name of the item that a line of code begins.
fn item(line: &str) -> Option<String> {
    let mut words =
        line.trim_start().split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
    let mut word = words.next()?;
    while matches!(word, "pub" | "crate" | "super" | "in" | "async" | "extern") {
        word = words.next()?;
    }
    if word == "const" || word == "static" {
        let name = words.next()?;
        return if name == "fn" { words.next().map(str::to_owned) } else { Some(name.to_owned()) };
    }
    matches!(word, "fn" | "struct" | "enum" | "trait" | "type" | "mod" | "macro_rules")
        .then(|| words.next().map(str::to_owned))?
}

/// The name of a field or variant that a line of code begins.
fn member(line: &str) -> Option<String> {
    let line = line.trim_start().trim_start_matches("pub ");
    let name: String = line.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty() && !line.starts_with("impl")).then_some(name)
}

/// Reads one file's citations into `index`.
fn read(file: &str, text: &str, index: &mut BTreeMap<u32, Parts>) {
    let lines: Vec<&str> = text.lines().collect();
    let (mut here, mut at) = (String::new(), 0);
    while at < lines.len() {
        let Some((speaks, _)) = comment(lines[at]) else {
            here = item(lines[at]).unwrap_or(here);
            at += 1;
            continue;
        };
        let mut block = String::new();
        while let Some((_, text)) =
            lines.get(at).and_then(|line| comment(line)).filter(|(next, _)| *next == speaks)
        {
            block.push_str(text);
            block.push(' ');
            at += 1;
        }
        let next = || lines[at..].iter().find(|line| !line.trim_start().starts_with("#["));
        let name = match speaks {
            Speaks::File => String::new(),
            Speaks::Here => item(lines[at - 1]).unwrap_or_else(|| here.clone()),
            Speaks::Next => {
                next().and_then(|line| item(line).or_else(|| member(line))).unwrap_or_else(|| here.clone())
            }
        };
        for (rfc, part) in citations(&block) {
            let place = Place { file: file.to_owned(), item: name.clone() };
            index.entry(rfc).or_default().entry(part).or_default().insert(place);
        }
    }
}

/// The RFCs that a text names, with the parts that follow each name.
fn citations(text: &str) -> Vec<(u32, Part)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("RFC ") {
        let rest = &text[at + 4..];
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let Ok(rfc) = rest[..digits].parse() else { continue };
        let parts = parts(&rest[digits..]);
        if parts.is_empty() {
            found.push((rfc, Part { kind: "", number: Vec::new() }));
        }
        found.extend(parts.into_iter().map(|part| (rfc, part)));
    }
    found
}

/// `, section 3.1`, `, sections 3.1, 3.2 and 4`, ` section 2`.
fn parts(text: &str) -> Vec<Part> {
    let mut rest = text.trim_start_matches([',', '\'', 's']).trim_start();
    let mut found = Vec::new();
    let Some((word, kind)) = KINDS.iter().find(|(word, _)| rest.starts_with(word)) else { return found };
    rest = rest[word.len()..].trim_start();
    loop {
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.')).unwrap_or(rest.len());
        let Some(number) = number(rest[..end].trim_end_matches('.')) else { return found };
        found.push(Part { kind, number });
        rest = rest[end..].trim_start();
        let Some(next) = [", and ", "and ", ", ", "to "].iter().find_map(|word| rest.strip_prefix(word))
        else {
            return found;
        };
        rest = next.trim_start();
    }
}

fn number(text: &str) -> Option<Vec<Step>> {
    let step = |step: &str| match step.parse() {
        Ok(number) => Some(Step::Number(number)),
        Err(_) => {
            let mut letters = step.chars();
            let letter = letters.next().filter(char::is_ascii_uppercase)?;
            letters.next().is_none().then_some(Step::Letter(letter))
        }
    };
    text.split('.').map(step).collect()
}

fn render(index: &BTreeMap<u32, Parts>) -> String {
    let sections: usize = index.values().map(BTreeMap::len).sum();
    let mut page = String::from("# Where each RFC lives\n\n");
    page.push_str("Made from the citations in the comments of the code; a test keeps it true. Of each RFC: the part, and the items whose\n");
    page.push_str("comments cite it. A file without an item cites in its head. Tests that are\nnamed for a section stand in the list as well.\n\n");
    writeln!(page, "{} RFCs, {sections} parts.", index.len()).unwrap();
    for (rfc, parts) in index {
        let title = titles::TITLES.iter().find(|(number, _)| number == rfc).map(|(_, title)| *title);
        let title = title.unwrap_or_else(|| {
            panic!("RFC {rfc} is cited and has no title in tests/titles.rs: is it a slip?")
        });
        writeln!(page, "\n## RFC {rfc}: {title}\n\n| part | where |\n|---|---|").unwrap();
        for (part, places) in parts {
            let number: Vec<String> = part.number.iter().map(ToString::to_string).collect();
            let name = if part.kind.is_empty() {
                "as a whole".to_owned()
            } else {
                format!("{} {}", part.kind, number.join("."))
            };
            writeln!(page, "| {name} | {} |", show(places)).unwrap();
        }
    }
    page
}

/// The places of a part, those of one file together.
fn show(places: &BTreeSet<Place>) -> String {
    let mut files: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for place in places {
        files.entry(&place.file).or_default().push(&place.item);
    }
    let one = |(file, items): (&&str, &Vec<&str>)| {
        let name = file.trim_start_matches("crates/").replace("/src/", "/");
        let items: Vec<String> =
            items.iter().filter(|item| !item.is_empty()).map(|item| format!("`{item}`")).collect();
        let items = if items.is_empty() { String::new() } else { format!(" {}", items.join(", ")) };
        format!("[{name}](../{file}){items}")
    };
    files.iter().map(one).collect::<Vec<_>>().join("; ")
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Step::Number(number) => write!(f, "{number}"),
            Step::Letter(letter) => write!(f, "{letter}"),
        }
    }
}

#[test]
fn the_index_of_rfcs_is_what_the_code_cites() {
    let (root, mut files, mut index) = (root(), Vec::new(), BTreeMap::new());
    sources(&root.join("crates"), &mut files);
    files.sort();
    for path in files {
        let file = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        if !file.ends_with("tests/rfc_index.rs") && !file.contains("rfc_index/") {
            read(&file, &fs::read_to_string(&path).unwrap(), &mut index);
        }
    }
    let (page, kept) = (render(&index), root.join("docs/rfc.md"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        return fs::write(kept, page).unwrap();
    }
    let before = fs::read_to_string(kept).unwrap_or_default();
    let differs = page.lines().zip(before.lines()).find(|(now, before)| now != before);
    assert!(
        page == before,
        "docs/rfc.md is not what the code cites (first difference: {differs:?}); write it anew with\n\
         UPDATE_DOCS=1 cargo test -p wharf-sim --test rfc_index"
    );
}

#[test]
fn citations_are_read_with_their_parts() {
    let found = citations(
        "see (RFC 9293, sections 3.4, 3.10.7.4 and 4) and RFC 2018. By RFC 7323, appendix G, or RFC 1122 section 4.2",
    );
    let shown: Vec<String> = found
        .iter()
        .map(|(rfc, part)| {
            format!(
                "{rfc} {} {}",
                part.kind,
                part.number.iter().map(ToString::to_string).collect::<Vec<_>>().join(".")
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "9293 section 3.4",
            "9293 section 3.10.7.4",
            "9293 section 4",
            "2018  ",
            "7323 appendix G",
            "1122 section 4.2"
        ]
    );
}
