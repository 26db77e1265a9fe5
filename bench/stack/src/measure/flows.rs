//! What a connection costs while nothing happens on it, in bytes of the host that holds it.

use std::time::Duration;

use super::Effort;
use crate::host::{Host, Setup};
use crate::pair::{FIRST_PORT, Pair};
use crate::report::{Better, Report, Section};
use crate::smol::Smol;
use crate::wharf::Wharf;

/// What this measures.
pub const SECTION: Section = Section {
    name: "flows",
    title: "Memory of a flow on which nothing happens",
    unit: "bytes",
    better: Better::Less,
};

/// Sockets of smoltcp: each packet looks at all of them, so that there can't be as many.
const SMOLTCP_FLOWS: usize = 5_000;
/// The buffer of each direction: the least that wharf-stack takes.
const BUFFER: usize = 4_096;
/// SYNs to one port that find room in its queue, and so many that most are answered with cookies.
const QUEUED: usize = 4_000;
const FLOOD: usize = 60_000;
/// Longer than TIME-WAIT.
const TIME_WAIT: Duration = Duration::from_secs(61);

/// Bytes of one flow.
struct Bytes {
    server: f64,
    client: f64,
    syn_received: f64,
    flooded: f64,
    time_wait: f64,
    left: f64,
}

fn setup(flows: usize) -> Setup {
    Setup { connections: flows + 1_000, ..Setup::buffers(BUFFER) }
}

/// Opens flows, leaves them alone, closes them from the client's side, and waits for the end of TIME-WAIT.
fn life<H: Host>(flows: usize) -> (f64, f64, f64, f64) {
    let mut pair = Pair::<H>::new(&setup(flows));
    let (client, server) = (pair.client_bytes.bytes(), pair.server_bytes.bytes());
    let each = |bytes: i64, before: i64| (bytes - before) as f64 / flows as f64;
    let all = pair.crowd(flows, 80);
    // What waits for a delayed ACK or for its turn is done.
    settle(&mut pair);
    let idle = (each(pair.server_bytes.bytes(), server), each(pair.client_bytes.bytes(), client));
    for batch in all.chunks(32) {
        let Pair { now, client, client_bytes, .. } = &mut pair;
        client_bytes.add(|| batch.iter().for_each(|&(near, _)| client.close(*now, near)));
        while batch.iter().any(|&(_, far)| !pair.server.has_ended(far)) {
            pair.turn();
        }
        let Pair { now, server, server_bytes, .. } = &mut pair;
        server_bytes.add(|| batch.iter().for_each(|&(_, far)| server.close(*now, far)));
        pair.turns(3);
    }
    let time_wait = each(pair.client_bytes.bytes(), client);
    pair.now += TIME_WAIT;
    pair.turns(3);
    assert_eq!(pair.client.count(), 0, "every connection of the client has ended");
    (idle.0, idle.1, time_wait, each(pair.client_bytes.bytes(), client))
}

fn settle<H: Host>(pair: &mut Pair<H>) {
    pair.now += Duration::from_millis(100);
    pair.turns(3);
}

/// SYNs whose answers get lost, so many to each port.
fn syn_received<H: Host>(flows: usize, per_port: usize) -> f64 {
    let mut pair = Pair::<H>::new(&setup(flows));
    let before = pair.server_bytes.bytes();
    let mut count = 0;
    while count < flows {
        let (port, offset) = (80 + (count / per_port) as u16, count % per_port);
        let batch = 32.min(flows - count).min(per_port - offset);
        let Pair { server, server_bytes, .. } = &mut pair;
        server_bytes.add(|| {
            if !H::LISTENS_ONCE || offset == 0 {
                server.listen(port, batch);
            }
        });
        for source in offset..offset + batch {
            pair.client.connect(pair.now, FIRST_PORT + source as u16, port);
        }
        pair.client_turn();
        pair.server_turn();
        pair.near.lose_inbox();
        count += batch;
    }
    (pair.server_bytes.bytes() - before) as f64 / flows as f64
}

fn bytes<H: Host>(flows: usize) -> Bytes {
    let (server, client, time_wait, left) = life::<H>(flows);
    let [syn_received, flooded] = [QUEUED, FLOOD].map(|per_port| syn_received::<H>(flows, per_port));
    Bytes { server, client, syn_received, flooded, time_wait, left }
}

/// Prints every row.
pub fn run(report: &mut Report, effort: Effort) {
    report.begin(SECTION);
    let sizes: &[usize] = if effort.quick { &[100_000] } else { &[100_000, 1_000_000] };
    let smoltcp = bytes::<Smol>(SMOLTCP_FLOWS);
    for &flows in sizes {
        let wharf = bytes::<Wharf>(flows);
        let mut row = |case: &str, wharf: f64, smoltcp: f64| {
            report.pair(SECTION, format!("{flows} flows, {case}"), wharf, smoltcp);
        };
        row("established, server", wharf.server, smoltcp.server);
        row("established, client", wharf.client, smoltcp.client);
        row("SYN-RECEIVED, 4,000 a port", wharf.syn_received, smoltcp.syn_received);
        row("SYN-RECEIVED, 60,000 a port", wharf.flooded, smoltcp.flooded);
        // smoltcp has none of its own then: its sockets were taken away.
        report.alone(SECTION, format!("{flows} flows, TIME-WAIT"), wharf.time_wait);
        report.alone(SECTION, format!("{flows} flows, left when all are gone"), wharf.left);
    }
}
