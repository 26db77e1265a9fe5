//! Who holds a port, as JSON.

use std::io::{self, Write};
use std::time::SystemTime;

use serde::Serialize;
use wharf_host::snapshot::Searched;
use wharf_host::who::process::{Ancestor, Process};
use wharf_host::who::{Answer, At, Publication};

use super::Target;
use crate::render::View;
use crate::render::json::{JsonOwner, JsonRow, Shown};
use crate::render::measure::Moment;

#[derive(Serialize)]
struct JsonWho<'a> {
    port: u16,
    protocol: Option<Shown<wharf_table::Protocol>>,
    address: Option<Shown<wharf_table::Addr>>,
    free: bool,
    rows: Vec<JsonRow<'a>>,
    processes: Vec<JsonProcess<'a>>,
    connections: Vec<JsonRow<'a>>,
    time_wait: usize,
    publications: Vec<JsonPublication<'a>>,
    all_owners: bool,
    hidden: &'a [String],
}

#[derive(Serialize)]
struct JsonPublication<'a> {
    run: &'a str,
    pid: u32,
    protocol: &'a str,
    local: String,
    rule: &'a str,
    inside_port: u16,
    inside_owners: Vec<JsonOwner<'a>>,
}

#[derive(Serialize)]
struct JsonProcess<'a> {
    #[serde(flatten)]
    owner: JsonOwner<'a>,
    command_line: &'a [String],
    directory: Option<String>,
    executable: Option<String>,
    started: Option<Shown<Moment>>,
    age_s: Option<f64>,
    started_by: JsonOrigin<'a>,
    parents: Vec<JsonAncestor<'a>>,
    other_ports: Vec<JsonRow<'a>>,
}

#[derive(Serialize)]
struct JsonOrigin<'a> {
    kind: &'static str,
    name: Option<&'a str>,
    pid: Option<u32>,
}

#[derive(Serialize)]
struct JsonAncestor<'a> {
    pid: u32,
    command: Option<&'a str>,
}

/// Writes it as one document.
pub(super) fn write(
    out: &mut impl Write,
    target: &Target,
    answer: &Answer,
    view: View<'_>,
    now: SystemTime,
) -> io::Result<()> {
    let others = View { rows: &answer.others, ..view };
    let who = JsonWho {
        port: target.question.port,
        protocol: target.protocol.map(Shown),
        address: match target.question.at {
            At::Addr(addr, _) => Some(Shown(addr)),
            At::Any | At::Loopback => None,
        },
        free: answer.is_free(),
        rows: answer.at(&answer.holders).map(|row| JsonRow::new(view, row)).collect(),
        processes: answer.processes.iter().map(|process| told(process, others, now)).collect(),
        connections: answer.at(&answer.connections).map(|row| JsonRow::new(view, row)).collect(),
        time_wait: answer.over.len(),
        publications: answer.publications.iter().map(published).collect(),
        all_owners: answer.searched != Some(Searched::Kin),
        hidden: &answer.rows.hidden,
    };
    serde_json::to_writer(&mut *out, &who)?;
    out.write_all(b"\n")
}

fn published(of: &Publication) -> JsonPublication<'_> {
    JsonPublication {
        run: &of.run,
        pid: of.pid,
        protocol: &of.published.protocol,
        local: of.published.local.to_string(),
        rule: &of.published.rule,
        inside_port: of.published.inside_port,
        inside_owners: of.inside.iter().map(|owner| JsonOwner::new(owner, None)).collect(),
    }
}

fn told<'a>(process: &'a Process, others: View<'a>, now: SystemTime) -> JsonProcess<'a> {
    let known = |text: &'a str| Some(text).filter(|text| !text.is_empty());
    let path = |path: &std::path::PathBuf| path.to_string_lossy().into_owned();
    let parent =
        |Ancestor { pid, command }: &'a Ancestor| JsonAncestor { pid: *pid, command: known(command) };
    let other = |place: &u32| others.rows.rows.get(*place as usize).map(|row| JsonRow::new(others, row));
    let origin = &process.origin;
    JsonProcess {
        owner: JsonOwner::new(&process.owner, None),
        command_line: &process.arguments,
        directory: process.directory.as_ref().map(path),
        executable: process.executable.as_ref().map(path),
        started: process.age.and_then(|age| now.checked_sub(age)).map(|at| Shown(Moment(at))),
        age_s: process.age.map(|age| age.as_secs_f64()),
        started_by: JsonOrigin { kind: origin.kind.name(), name: known(&origin.name), pid: origin.pid },
        parents: process.ancestors.iter().map(parent).collect(),
        other_ports: process.others.iter().filter_map(other).collect(),
    }
}
