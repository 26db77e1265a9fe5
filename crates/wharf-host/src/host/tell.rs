//! What a host tells of itself: its sockets, the rows of its port table, TCP_INFO, counters.

use serde_json::{Map, Value, json};
use wharf_stack::socket::{Host, OptionName, SocketId};
use wharf_stack::stack::ConnId;
use wharf_stack::tcp::{State, TcpInfo};
use wharf_table::flow::FlowId;
use wharf_table::request::RequestId;
use wharf_table::waiting::WaitingId;
use wharf_table::{Binding, BindingId, BindingState, Endpoint, Instant, Protocol, Tuple};

use super::calls::{Answer, Failure, answer};
use super::request::{Bad, Request};
use super::serve::Servers;
use super::value;

const PAGE: u64 = 100;
const PAGE_MAX: u64 = 1_000;

fn limit(request: &Request) -> Result<usize, Bad> {
    Ok(request.number("limit", PAGE_MAX)?.unwrap_or(PAGE).max(1) as usize)
}

/// A page of the sockets.
pub(super) fn sockets(host: &mut Host, servers: &Servers, request: &Request) -> Answer {
    let limit = limit(request)?;
    let first = request.number("after", u32::MAX.into())?.map_or(0, |after| after as usize + 1);
    let mut page: Vec<SocketId> =
        host.sockets().skip_while(|socket| socket.index() < first).take(limit + 1).collect();
    let more = page.len() > limit;
    page.truncate(limit);
    let next = page.last().filter(|_| more).map(|socket| socket.index());
    let rows: Vec<Value> = page.into_iter().map(|socket| row_of(host, servers, socket)).collect();
    Ok(answer([("sockets", rows.into()), ("next", next.into())]))
}

fn row_of(host: &mut Host, servers: &Servers, socket: SocketId) -> Value {
    let mut number = |name| host.option(socket, name).ok().and_then(|value| value.as_number().ok());
    let kind = if number(OptionName::Type) == Some(2) { "datagram" } else { "stream" };
    let family = if number(OptionName::Family) == Some(2) { "ipv4" } else { "ipv6" };
    let local = host.local(socket).ok();
    let backlog = host.backlog(socket).ok();
    let peer = host.peer(socket).ok();
    let state = match host.state(socket) {
        Some(state) => state.name(),
        None if backlog.is_some() => "listen",
        None if peer.is_some() => "connected",
        None if local.is_some_and(|local| local.port > 0) => "bound",
        None => "closed",
    };
    json!({
        "socket": socket.index(),
        "kind": kind,
        "family": family,
        "local": local.map(value::endpoint),
        "peer": peer.map(value::endpoint),
        "state": state,
        "receive_queue_bytes": host.unread(socket).ok(),
        "send_queue_bytes": host.unacknowledged(socket).ok(),
        "backlog": backlog.map(|(used, limit)| json!({"used": used, "limit": limit})),
        "error": host.waiting_error(socket).ok().flatten().map(|error| error.name()),
        "serves": servers.service(socket).map(|service| service.name()),
    })
}

/// The parts of the table, in the order of its pages; the letter begins the mark of a page.
const PARTS: [char; 4] = ['b', 'r', 'f', 'w'];

/// A page of the port table: claims, connections in SYN-RECEIVED, flows, and what waits in TIME-WAIT.
pub(super) fn table(host: &Host, request: &Request) -> Answer {
    let limit = limit(request)?;
    let (mut part, mut after) = match request.text("after")? {
        None => (0, None),
        Some(mark) => {
            let wrong = || Bad::field("after", format!("{mark:?}: not the \"next\" of a page"));
            let letter = mark.chars().next().ok_or_else(wrong)?;
            let part = PARTS.iter().position(|known| *known == letter).ok_or_else(wrong)?;
            let last = mark[1..].parse::<u32>().ok().filter(|last| *last < u32::MAX);
            (part, Some(last.ok_or_else(wrong)?))
        }
    };
    let mut rows = Vec::new();
    while part < PARTS.len() {
        // One more than fits tells whether there is another page.
        let found = part_of(host, part, after, limit + 1 - rows.len());
        for (number, row) in found {
            if rows.len() == limit {
                let mark = after.map_or_else(|| mark_before(part), |last| format!("{}{last}", PARTS[part]));
                return Ok(answer([("rows", rows.into()), ("next", mark.into())]));
            }
            rows.push(row);
            after = Some(number);
        }
        (part, after) = (part + 1, None);
    }
    Ok(answer([("rows", rows.into()), ("next", Value::Null)]))
}

/// The mark of a page that begins with a part: it goes on behind everything of the part before.
fn mark_before(part: usize) -> String {
    format!("{}{}", PARTS[part.saturating_sub(1)], u32::MAX - 1)
}

/// Rows of one part behind `after`.
fn part_of(host: &Host, part: usize, after: Option<u32>, count: usize) -> Vec<(u32, Value)> {
    let table = host.stack().table();
    match part {
        0 => {
            let rows = table.bindings_after(after.map(BindingId::from_index));
            rows.take(count).map(|(id, binding)| (id.index() as u32, binding_row(binding))).collect()
        }
        1 => {
            let rows = table.requests_after(after.map(RequestId::from_index));
            rows.take(count)
                .map(|(id, row)| {
                    (id.index() as u32, row_for(&row.tuple, State::SynReceived.name(), "server"))
                })
                .collect()
        }
        2 => {
            let rows = table.flows_after(after.map(FlowId::from_index));
            rows.take(count).map(|(id, flow)| (id.index() as u32, flow_row(host, flow))).collect()
        }
        _ => {
            let rows = table.waiting_after(after.map(WaitingId::from_number));
            rows.take(count)
                .map(|(id, row)| {
                    let mut told = row_for(&row.tuple, Host::waiting_state(&row).name(), "bound");
                    told["expires_s"] = super::events::seconds(row.expires).into();
                    (id.number(), told)
                })
                .collect()
        }
    }
}

fn flow_row(host: &Host, flow: &wharf_table::Flow) -> Value {
    let tuple = flow.tuple();
    let Some(application) = flow.application().filter(|_| tuple.protocol == Protocol::Tcp) else {
        return row_for(tuple, "connected", "client");
    };
    let conn = ConnId::from_number(application);
    let role = if host.stack().listener_of(conn).is_some() { "server" } else { "client" };
    row_for(tuple, host.stack().state(conn).name(), role)
}

fn row_for(tuple: &Tuple, state: &str, role: &str) -> Value {
    json!({
        "protocol": tuple.protocol.to_string(),
        "local": value::endpoint(tuple.local),
        "remote": value::endpoint(tuple.remote),
        "state": state,
        "role": role,
        "socket": null,
        "uid": null,
        "expires_s": null,
    })
}

fn binding_row(binding: &Binding) -> Value {
    let (state, role) = match binding.state() {
        BindingState::Bound => ("bound", "bound"),
        BindingState::Listening => ("listen", "listener"),
        BindingState::Connected => ("connected", "client"),
    };
    // Any address of both families is written as the kernel's tools do.
    let local = match binding.address() {
        Some(addr) => value::endpoint(Endpoint { addr, port: binding.port().number() }),
        None => json!({
            "address": "*", "zone": null, "port": binding.port().number(), "text": format!("*:{}", binding.port()),
        }),
    };
    json!({
        "protocol": binding.protocol().to_string(),
        "local": local,
        "remote": null,
        "state": state,
        "role": role,
        "socket": binding.app(),
        "uid": binding.user().0,
        "expires_s": null,
    })
}

/// TCP_INFO of a socket.
pub(super) fn info(host: &Host, now: Instant, request: &Request) -> Answer {
    let socket = request.socket()?;
    let what = format!("TCP_INFO of socket {}", socket.index());
    let info = host.info(now, socket).map_err(Failure::of(what))?;
    Ok(answer([("info", info.map(|info| info_of(&info)).into())]))
}

fn info_of(info: &TcpInfo) -> Value {
    Value::Object(times_of(info).into_iter().chain(sizes_of(info)).collect())
}

/// State, what was agreed on, and times.
fn times_of(info: &TcpInfo) -> Map<String, Value> {
    let micros = |micros: u32| f64::from(micros) / 1e6;
    let known = |micros: u32| (micros != 0 && micros != u32::MAX).then(|| f64::from(micros) / 1e6);
    let millis = |millis: u32| f64::from(millis) / 1e3;
    let long = |micros: u64| micros as f64 / 1e6;
    let options = info.options;
    answer([
        ("state", info.state.name().into()),
        ("ca_state", format!("{:?}", info.ca_state).to_lowercase().into()),
        ("congestion", info.congestion.name().into()),
        ("retransmits", info.retransmits.into()),
        ("probes", info.probes.into()),
        ("backoff", info.backoff.into()),
        ("timestamps", options.timestamps.into()),
        ("sack", options.sack.into()),
        ("window_scale", options.window_scale.into()),
        ("ecn", options.ecn.into()),
        ("ecn_seen", options.ecn_seen.into()),
        ("snd_wscale", info.snd_wscale.into()),
        ("rcv_wscale", info.rcv_wscale.into()),
        ("rto_s", micros(info.rto).into()),
        ("ato_s", micros(info.ato).into()),
        ("rtt_s", known(info.rtt).into()),
        ("rttvar_s", known(info.rttvar).into()),
        ("min_rtt_s", known(info.min_rtt).into()),
        ("rcv_rtt_s", known(info.rcv_rtt).into()),
        ("last_data_sent_s", millis(info.last_data_sent).into()),
        ("last_data_received_s", millis(info.last_data_recv).into()),
        ("last_ack_received_s", millis(info.last_ack_recv).into()),
        ("busy_s", long(info.busy_time).into()),
        ("receive_window_limited_s", long(info.rwnd_limited).into()),
        ("send_buffer_limited_s", long(info.sndbuf_limited).into()),
    ])
}

/// Windows, counts and rates.
fn sizes_of(info: &TcpInfo) -> Map<String, Value> {
    let limit = |rate: u64| (rate != u64::MAX).then_some(rate);
    answer([
        ("snd_mss_bytes", info.snd_mss.into()),
        ("rcv_mss_bytes", info.rcv_mss.into()),
        ("advmss_bytes", info.advmss.into()),
        ("pmtu_bytes", info.pmtu.into()),
        ("snd_cwnd", info.snd_cwnd.into()),
        ("snd_ssthresh", info.snd_ssthresh.into()),
        ("snd_wnd_bytes", info.snd_wnd.into()),
        ("rcv_wnd_bytes", info.rcv_wnd.into()),
        ("rcv_space_bytes", info.rcv_space.into()),
        ("unacked", info.unacked.into()),
        ("sacked", info.sacked.into()),
        ("lost", info.lost.into()),
        ("retrans", info.retrans.into()),
        ("total_retrans", info.total_retrans.into()),
        ("reordering", info.reordering.into()),
        ("dsack_dups", info.dsack_dups.into()),
        ("notsent_bytes", info.notsent_bytes.into()),
        ("acked_bytes", info.bytes_acked.into()),
        ("received_bytes", info.bytes_received.into()),
        ("sent_bytes", info.bytes_sent.into()),
        ("retransmitted_bytes", info.bytes_retrans.into()),
        ("segments_out", info.segs_out.into()),
        ("segments_in", info.segs_in.into()),
        ("data_segments_out", info.data_segs_out.into()),
        ("data_segments_in", info.data_segs_in.into()),
        ("delivered", info.delivered.into()),
        ("delivered_ce", info.delivered_ce.into()),
        ("delivery_rate_bytes_per_s", info.delivery_rate.into()),
        ("pacing_rate_bytes_per_s", limit(info.pacing_rate).into()),
        ("max_pacing_rate_bytes_per_s", limit(info.max_pacing_rate).into()),
    ])
}

/// Frames and bytes that have crossed the link.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traffic {
    pub(super) in_frames: u64,
    pub(super) in_bytes: u64,
    pub(super) out_frames: u64,
    pub(super) out_bytes: u64,
}

/// What was counted.
pub(super) fn statistics(host: &Host, traffic: Traffic) -> Answer {
    let stack = host.stack();
    let drops: Map<String, Value> =
        stack.drops().iter().map(|(reason, count)| (reason.to_string(), count.into())).collect();
    let table = stack.table();
    Ok(answer([
        ("drops", drops.into()),
        (
            "frames",
            json!({
                "in": traffic.in_frames, "in_bytes": traffic.in_bytes,
                "out": traffic.out_frames, "out_bytes": traffic.out_bytes,
            }),
        ),
        (
            "connections",
            json!({
                "all": stack.connection_count(), "working": stack.working_count(),
                "syn_received": table.request_count(), "time_wait": table.waiting_count(),
            }),
        ),
        ("sockets", host.socket_count().into()),
        ("bindings", table.binding_count().into()),
        ("flows", table.flow_count().into()),
        ("memory", json!({"buffered_bytes": stack.buffered_bytes(), "resident_bytes": resident_bytes()})),
    ]))
}

/// Memory of this process that is in use (proc_pid_statm(5)).
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
