//! Which process holds a flow: the run's own kernel knows the socket at the flow's inner end, and `/proc` who has it open.

use std::collections::HashMap;

use wharf_table::rows::{End, Row, Rows, Transport};
use wharf_table::{Addr, Owner};

use super::{Flow, Run};
use crate::snapshot::{self, Ask, Networks};

/// A socket as a flow finds it: the number of its network, its transport, its two ends.
type Key = (u64, Transport, End, Option<End>);

/// Says of each flow who holds it, as far as this user may see that. `flows` has those of each run.
pub(super) fn find(runs: &[&Run], flows: &mut [Vec<Flow>]) {
    let pids: Vec<Option<u32>> = runs.iter().map(|run| run.init_pid()).collect();
    let asked = pids.iter().zip(flows.iter()).filter(|(_, flows)| !flows.is_empty());
    let names: Vec<String> = asked.filter_map(|(pid, _)| Some(format!("pid:{}", (*pid)?))).collect();
    if names.is_empty() {
        return;
    }
    let ask = |names: Vec<String>| Ask { networks: Networks::Named(names), ..Ask::default() };
    let all = match snapshot::take(&ask(names.clone())) {
        Ok(rows) => vec![rows],
        // One of them has ended, or can't be entered.
        Err(_) => names.into_iter().filter_map(|name| snapshot::take(&ask(vec![name])).ok()).collect(),
    };
    for rows in &all {
        let sockets = sockets(rows);
        for (run, flows) in runs.iter().zip(flows.iter_mut()) {
            let Some(network) = run.network_inode() else { continue };
            for flow in flows.iter_mut().filter(|flow| flow.owner.is_none()) {
                flow.owner = holder(rows, &sockets, network, flow).cloned().map(Into::into);
            }
        }
    }
}

/// All sockets that somebody holds.
fn sockets(rows: &Rows) -> HashMap<Key, &Row> {
    let held = rows.rows.iter().filter(|row| row.owners.count > 0);
    let key = |row: &Row| {
        let network = rows.network(row).map_or(0, |network| network.inode);
        (network, row.transport, unzoned(row.local), row.remote.map(unzoned))
    };
    held.map(|row| (key(row), row)).collect()
}

/// A flow knows no zones.
const fn unzoned(end: End) -> End {
    End { zone: 0, ..end }
}

fn holder<'a>(
    rows: &'a Rows,
    sockets: &HashMap<Key, &'a Row>,
    network: u64,
    flow: &Flow,
) -> Option<&'a Owner> {
    let transport = Transport::ALL.into_iter().find(|transport| transport.name() == flow.protocol)?;
    let end = |end: super::End| End { addr: end.address.into(), zone: 0, port: end.port.unwrap_or(0) };
    let (local, remote) = (end(flow.inside.local?), flow.inside.remote.map(end));
    let at = |addr: Addr| End { addr, ..local };
    let any = if local.addr.is_v4() { Addr::v4([0; 4]) } else { Addr::ANY_V6 };
    // A connection; else the socket on this address, on any of its family, on any at all.
    let ways = [(local, remote), (local, None), (at(any), None), (at(Addr::ANY_V6), None)];
    let is_connection = transport == Transport::Tcp;
    let ways = ways.into_iter().take(if is_connection { 1 } else { 4 });
    let mut found =
        ways.filter_map(|(local, remote)| sockets.get(&(network, transport, local, remote)).copied());
    rows.owners(found.next()?).next().map(|(owner, _)| owner)
}
