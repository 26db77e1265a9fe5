//! Rows as JSON: the stable shapes of `--json`. Fields are only ever added; what is unknown is null.
//!
//! Everything is written straight from the rows into a writer: half a million of them need no memory of their own.

use std::io::{self, Write};

use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Serialize, Serializer};
use wharf_table::Owner;
use wharf_table::rows::{Backlog, End, NetworkId, Row, TcpDetail};

use super::View;
use super::text::EndText;

/// One row.
#[derive(Debug, Serialize)]
pub(crate) struct JsonRow<'a> {
    protocol: &'static str,
    local: JsonEnd<'a>,
    remote: Option<JsonEnd<'a>>,
    state: &'static str,
    role: &'static str,
    service: Option<&'static str>,
    owners: JsonOwners<'a>,
    ownerless: Option<Shown<wharf_table::rows::Ownerless>>,
    network: Option<&'a str>,
    receive_queue_bytes: u32,
    send_queue_bytes: u32,
    backlog: Option<JsonBacklog>,
    age_s: Option<f64>,
    user: Option<&'a str>,
    uid: Option<u32>,
    unit: Option<&'a str>,
    container: Option<&'a str>,
    cgroup: Option<&'a str>,
    inode: Option<u64>,
    cookie: u64,
    v6_only: Option<bool>,
    tcp: Option<JsonTcp<'a>>,
}

impl<'a> JsonRow<'a> {
    /// A row as JSON shows it.
    pub(crate) fn new(view: View<'a>, row: &'a Row) -> JsonRow<'a> {
        let rows = view.rows;
        let group = rows.group(row);
        let end = |end| JsonEnd { view, network: row.network, end };
        JsonRow {
            protocol: row.transport.name(),
            local: end(row.local),
            remote: row.remote.map(end),
            state: row.state.name(),
            role: row.role.name(),
            service: view.service(row),
            owners: JsonOwners { view, row },
            ownerless: row.ownerless.map(Shown),
            network: rows.network(row).map(|network| network.name.as_str()),
            receive_queue_bytes: row.receive_queue_bytes,
            send_queue_bytes: row.send_queue_bytes,
            backlog: row.backlog.map(|Backlog { used, limit }| JsonBacklog { used, limit }),
            age_s: row.age().map(|age| age.as_secs_f64()),
            user: rows.user(row),
            uid: row.uid,
            unit: group.and_then(|group| group.unit.as_deref()),
            container: group.and_then(|group| group.container.as_deref()),
            cgroup: group.map(|group| group.path.as_str()),
            inode: row.inode.map(|inode| inode.get()),
            cookie: row.cookie,
            v6_only: row.v6_only,
            tcp: rows.detail(row).map(JsonTcp),
        }
    }
}

/// Writes rows as one document: an array with a row a line.
///
/// # Errors
/// The writer's.
pub(crate) fn write_array<'a>(
    out: &mut impl Write,
    view: View<'a>,
    rows: impl Iterator<Item = &'a Row>,
) -> io::Result<()> {
    let mut before = "[\n";
    for row in rows {
        out.write_all(before.as_bytes())?;
        serde_json::to_writer(&mut *out, &JsonRow::new(view, row))?;
        before = ",\n";
    }
    out.write_all(if before == "[\n" { b"[]\n" } else { b"\n]\n" })
}

/// One end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JsonEnd<'a> {
    /// What the end belongs to.
    pub(crate) view: View<'a>,
    /// Its network, which knows the names of zones.
    pub(crate) network: NetworkId,
    /// The end.
    pub(crate) end: End,
}

impl Serialize for JsonEnd<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let End { addr, port, .. } = self.end;
        let zone = self.view.zone(self.network, self.end);
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("address", &Shown(addr))?;
        map.serialize_entry("zone", &zone.map(Shown))?;
        map.serialize_entry("port", &Some(port).filter(|&port| port != 0))?;
        map.serialize_entry("text", &Shown(EndText { zone, end: self.end }))?;
        map.end()
    }
}

/// The owners of a row.
#[derive(Clone, Copy, Debug)]
struct JsonOwners<'a> {
    view: View<'a>,
    row: &'a Row,
}

impl Serialize for JsonOwners<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(None)?;
        for (owner, link) in self.view.rows.owners(self.row) {
            seq.serialize_element(&JsonOwner::new(owner, Some(link.descriptor)))?;
        }
        seq.end()
    }
}

/// One owner.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct JsonOwner<'a> {
    pid: Option<u32>,
    command: Option<&'a str>,
    user: Option<&'a str>,
    uid: Option<u32>,
    unit: Option<&'a str>,
    container: Option<&'a str>,
    parent: Option<u32>,
    descriptor: Option<u32>,
}

impl<'a> JsonOwner<'a> {
    /// A process, and the descriptor by which it holds a socket.
    pub(crate) fn new(owner: &'a Owner, descriptor: Option<u32>) -> JsonOwner<'a> {
        JsonOwner {
            pid: owner.pid,
            command: owner.command.as_deref(),
            user: owner.user.as_deref(),
            uid: owner.uid,
            unit: owner.unit.as_deref(),
            container: owner.container.as_deref(),
            parent: owner.parent,
            descriptor,
        }
    }
}

#[derive(Clone, Copy, Debug, Serialize)]
struct JsonBacklog {
    used: u32,
    limit: u32,
}

/// What the kernel tells of a TCP connection.
#[derive(Clone, Copy, Debug)]
struct JsonTcp<'a>(&'a TcpDetail);

impl Serialize for JsonTcp<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tcp = self.0;
        let seconds = |us: u32| f64::from(us) / 1e6;
        let mut map = serializer.serialize_map(Some(17))?;
        map.serialize_entry("sent_bytes", &tcp.sent_bytes)?;
        map.serialize_entry("acknowledged_bytes", &tcp.acknowledged_bytes)?;
        map.serialize_entry("received_bytes", &tcp.received_bytes)?;
        map.serialize_entry("retransmitted_bytes", &tcp.retransmitted_bytes)?;
        map.serialize_entry("retransmissions", &tcp.retransmissions)?;
        map.serialize_entry("lost", &tcp.lost)?;
        map.serialize_entry("rtt_s", &seconds(tcp.rtt_us))?;
        map.serialize_entry("rtt_variation_s", &seconds(tcp.rtt_variation_us))?;
        map.serialize_entry(
            "rtt_least_s",
            &Some(tcp.rtt_least_us).filter(|&us| us != u32::MAX).map(seconds),
        )?;
        map.serialize_entry("rto_s", &seconds(tcp.rto_us))?;
        map.serialize_entry("congestion", tcp.congestion.name())?;
        let algorithm = tcp.algorithm();
        map.serialize_entry("congestion_control", &Some(algorithm).filter(|name| !name.is_empty()))?;
        map.serialize_entry("congestion_window", &tcp.congestion_window)?;
        // The kernel's way to say that there is none yet.
        let threshold = Some(tcp.slow_start_threshold).filter(|&segments| segments < i32::MAX as u32);
        map.serialize_entry("slow_start_threshold", &threshold)?;
        map.serialize_entry("segment_bytes", &tcp.segment_bytes)?;
        let rate = |rate: u64| Some(rate).filter(|&rate| rate != u64::MAX);
        map.serialize_entry("pacing_rate_bytes", &rate(tcp.pacing_rate))?;
        map.serialize_entry("delivery_rate_bytes", &rate(tcp.delivery_rate))?;
        map.end()
    }
}

/// A string that is written as it is shown, without one being made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<T>(pub(crate) T);

impl<T: std::fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}
