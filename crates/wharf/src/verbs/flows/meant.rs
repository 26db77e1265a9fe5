//! Which flows a selector means: a flow is judged as the row that its inner end is.

use wharf_host::runs::{End as FlowEnd, Flow};
use wharf_table::rows::{
    End, Network, NetworkId, OwnerLink, OwnerSpan, ProcessId, Role, Row, Rows, State, Transport,
};
use wharf_table::selector::Selector;
use wharf_table::{Addr, Endpoint, Owner};

/// Leaves those that are meant.
pub(super) fn retain(selector: &Selector, flows: &mut Vec<Flow>) {
    let rows = rows_of(flows);
    let mut at = 0;
    flows.retain(|_| {
        let meant = rows.rows.get(at).is_some_and(|row| selector.matches(&rows, row));
        at += 1;
        meant
    });
}

/// A row for each flow, in their order.
fn rows_of(flows: &[Flow]) -> Rows {
    let mut rows = Rows::default();
    for flow in flows {
        let network = rows.networks.iter().position(|network| network.name == flow.network);
        let network = network.unwrap_or_else(|| {
            rows.networks.push(Network { name: flow.network.clone(), ..Network::default() });
            rows.networks.len() - 1
        });
        let mut row = row_of(flow);
        row.network = NetworkId(network as u16);
        if let Some(owner) = &flow.owner {
            row.owners = OwnerSpan { first: rows.links.len() as u32, count: 1 };
            rows.links.push(OwnerLink { process: ProcessId(rows.processes.len() as u32), descriptor: 0 });
            rows.processes.push(Owner {
                pid: owner.pid,
                command: owner.command.clone(),
                user: owner.user.clone(),
                uid: owner.uid,
                unit: owner.unit.clone(),
                container: owner.container.clone(),
                ..Owner::default()
            });
        }
        rows.rows.push(row);
    }
    rows
}

fn row_of(flow: &Flow) -> Row {
    let transport = Transport::ALL.into_iter().find(|transport| transport.name() == flow.protocol);
    let state = State::ALL.into_iter().find(|state| state.name() == flow.state);
    let end = |end: FlowEnd| End { addr: end.address.into(), zone: 0, port: end.port.unwrap_or(0) };
    let nowhere = End::new(Endpoint::new(Addr::v4([0; 4]), 0));
    let local = flow.inside.local.map_or(nowhere, end);
    let mut row = Row::new(transport.unwrap_or(Transport::Tcp), local, state.unwrap_or(State::Established));
    row.remote = flow.inside.remote.map(end);
    row.role = if flow.direction == "inward" { Role::Server } else { Role::Client };
    row.set_age(std::time::Duration::try_from_secs_f64(flow.age_s).ok());
    row.uid = flow.owner.as_ref().and_then(|owner| owner.uid);
    row
}
