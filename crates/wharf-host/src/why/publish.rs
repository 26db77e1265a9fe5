//! Published ports: the listener is wharf, and the program is inside a run.

use std::net::SocketAddr;

use wharf_table::rows::Row;

use super::ground::Ground;
use super::reach::Attempt;
use super::{Effect, Fault, Step, Target, listener, loopback};
use crate::runs::Run;

/// Where the listener is a run's wharf, looks for the program's inside.
pub(super) fn follow(ground: &Ground, target: &Target, row: &Row, attempt: &mut Attempt<'_>) {
    let holds = |run: &Run| ground.rows.owners(row).any(|(owner, _)| owner.pid == Some(run.pid));
    let found = (0..ground.nets.len()).find(|&at| ground.nets[at].run.as_ref().is_some_and(holds));
    let Some((net, run)) = found.and_then(|net| Some((net, ground.nets[net].run.as_ref()?))) else { return };
    let Some(status) = &run.status else { return };
    let protocol = target.protocol.to_string();
    let is_it = |local: SocketAddr| local.port() == row.local.port && row.local.addr == local.ip().into();
    let Some(port) = status.published.iter().find(|port| port.protocol == protocol && is_it(port.local))
    else {
        return;
    };
    let asked = format!("{}/{}", port.protocol, port.local);
    let found = format!("run {} publishes it as its port {} ({})", run.name, port.inside_port, port.rule);
    attempt.steps.push(Step::new("publish", asked, found, Some(true)).at(&ground.nets[net].name));
    let own = ground.nets[net].addresses().iter().map(|own| own.address);
    let inside = own
        .filter(|address| !address.is_loopback() && address.is_ipv4() == attempt.to.is_ipv4())
        .find(|address| !wharf_table::Addr::from(*address).is_link_local())
        .unwrap_or_else(|| loopback(attempt.to.ip()));
    let heard = listener::find(ground, target, net, SocketAddr::new(inside, port.inside_port), 0);
    attempt.steps.extend(heard.steps);
    if let Some(fault) = heard.fault {
        let sentence = format!(
            "run {} publishes {} as its port {} ({}), but {}",
            run.name, port.local, port.inside_port, port.rule, fault.sentence
        );
        // wharf takes the connection before it knows.
        attempt.faults.push(Fault { effect: Effect::NoAnswer, sentence, ..fault });
    }
}
