//! Can the ports of a process be reached?

use std::net::SocketAddr;

use wharf_table::rows::{Row, State};
use wharf_table::{Addr, Owner};

use super::ground::Ground;
use super::listener::{is_serving, local, process_state, resume, safe};
use super::{Explanation, Step, Target, Verdict, WhyError, loopback, reach};

/// Answers for the first port of a process, and lists the others.
///
/// # Errors
/// There is no such process.
pub(super) fn explain(ground: &mut Ground, pid: u32) -> Result<Explanation, WhyError> {
    let Some(state) = process_state(pid) else { return Err(WhyError::NoProcess(pid)) };
    let own = |row: &&Row| ground.rows.owners(row).any(|(owner, _)| owner.pid == Some(pid));
    let rows: Vec<Row> = ground.rows.rows.iter().filter(own).copied().collect();
    let who = rows
        .first()
        .and_then(|row| ground.rows.owners(row).map(|(owner, _)| owner).find(|owner| owner.pid == Some(pid)))
        .map_or_else(|| format!("process {pid}"), Owner::to_string);
    let who = safe(&who);
    let serving: Vec<&Row> = rows.iter().filter(|row| is_serving(row)).collect();
    let mut steps: Vec<Step> = serving
        .iter()
        .map(|row| {
            let network = ground.rows.network(row).map(|network| network.name.clone()).unwrap_or_default();
            Step::new("listener", who.clone(), format!("{}/{}", row.transport, local(row)), Some(true))
                .at(&network)
        })
        .collect();
    let Some(first) = serving.iter().find(|row| row.state == State::Listen).or(serving.first()) else {
        return Ok(idle(ground, &who, state, &rows));
    };
    let address = match first.local.addr {
        Addr::ANY_V4 | Addr::ANY_V6 => loopback(first.local.addr.ip()),
        address => address.ip(),
    };
    let protocol = first.transport.protocol().unwrap_or(wharf_table::Protocol::Tcp);
    let target = Target::endpoint(protocol, SocketAddr::new(address, first.local.port));
    let network = first.network;
    ground.start = ground.nets.iter().position(|net| net.id == network).unwrap_or(ground.start);
    let mut explanation = reach::explain(ground, &target);
    steps.append(&mut explanation.steps);
    Ok(Explanation { steps, ..explanation })
}

/// It listens nowhere.
fn idle(ground: &Ground, who: &str, state: char, rows: &[Row]) -> Explanation {
    let is_stopped = matches!(state, 'T' | 't');
    let bound = rows.iter().find(|row| row.state == State::Bound);
    let mut sentence = match bound {
        Some(row) => format!("{who} has bound {} and does not listen", local(row)),
        None => format!("{who} listens on no port"),
    };
    if is_stopped {
        sentence += ": it is stopped";
    }
    let step = |row: &Row| {
        let remote = row.remote.map(|end| format!(" to {}", end.endpoint())).unwrap_or_default();
        Step::new(
            "socket",
            who.to_owned(),
            format!("{}/{}{remote} ({})", row.transport, local(row), row.state),
            None,
        )
    };
    Explanation {
        verdict: Verdict::Unreachable,
        sentence,
        steps: rows.iter().take(16).map(step).collect(),
        remedy: bound.filter(|_| is_stopped).and_then(|row| resume(ground, row)),
        instead: None,
    }
}
