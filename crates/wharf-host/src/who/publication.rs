//! Ports that are held by a run of wharf for its program: where they lead.

use wharf_table::notation::Ports;
use wharf_table::owner::Owner;
use wharf_table::rows::State;
use wharf_table::selector::{Narrow, States};

use super::Answer;
use crate::runs::{self, Published, Run};
use crate::snapshot::{self, Ask, Details, Networks, Owners};

/// A published port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The run.
    pub run: String,
    /// The process of its wharf.
    pub pid: u32,
    /// What was published.
    pub published: Published,
    /// Who serves it inside, where that may be known.
    pub inside: Vec<Owner>,
}

/// The runs among the processes of an answer, and their ports that are the answer's.
pub(super) fn find(answer: &Answer) -> Vec<Publication> {
    let is_wharf =
        |owner: &Owner| owner.command.as_deref().is_some_and(|command| command.starts_with("wharf"));
    if !answer.processes.iter().any(|process| is_wharf(&process.owner)) {
        return Vec::new();
    }
    let holds = |run: &Run| answer.processes.iter().any(|process| process.owner.pid == Some(run.pid));
    // A run that does not answer leaves its wharf as the owner, which is true as well.
    let runs = runs::list().unwrap_or_default().into_iter().filter(holds);
    runs.flat_map(|run| publications(answer, &run)).collect()
}

fn publications(answer: &Answer, run: &Run) -> Vec<Publication> {
    let Some(status) = &run.status else { return Vec::new() };
    let is_held = |published: &&Published| {
        answer.at(&answer.holders).any(|row| {
            row.transport.name() == published.protocol && row.local.endpoint() == published.local.into()
        })
    };
    let publication = |published: &Published| Publication {
        run: run.name.clone(),
        pid: run.pid,
        inside: run.init_pid().map(|init| inside(init, published)).unwrap_or_default(),
        published: published.clone(),
    };
    status.published.iter().filter(is_held).map(publication).collect()
}

/// Who serves a port in the network of a process.
fn inside(init: u32, published: &Published) -> Vec<Owner> {
    let ask = Ask {
        networks: Networks::Named(vec![format!("pid:{init}")]),
        owners: Owners::Asked,
        details: Details::Unasked,
        narrow: Narrow {
            states: States::of(&[State::Listen, State::Bound]),
            local_ports: Ports::single(published.inside_port),
            ..Narrow::everything()
        },
    };
    let Ok(rows) = snapshot::take(&ask) else { return Vec::new() };
    let serving = rows.rows.iter().filter(|row| row.transport.name() == published.protocol);
    let mut owners: Vec<Owner> =
        serving.flat_map(|row| rows.owners(row)).map(|(owner, _)| owner.clone()).collect();
    owners.sort_by_key(|owner| owner.pid);
    owners.dedup();
    owners
}
