//! What is answered, as JSON.
//!
//! A flow is written by hand: there may be a hundred thousand of them, and nothing in one but its name needs to be escaped.

use std::io::Write;
use std::net::SocketAddr;

use serde_json::{Map, Value, json};
use wharf_stack::link::Impairment;
use wharf_stack::stack::GatewayAddresses;
use wharf_sys::link::LinkKind;
use wharf_sys::proc::traffic::Traffic;
use wharf_table::Instant;

use super::super::config::{Offload, PastLink};
use super::super::flows::{Flow, LaneCount};
use super::super::spawn::INTERFACE;
use super::About;
use crate::when;

/// One line: what went wrong with a request.
pub(super) fn error(id: Option<&Value>, error: &str, message: &str) -> Vec<u8> {
    line(&json!({"do": null, "id": id, "error": error, "message": message}))
}

/// A document as a line.
pub(super) fn line(document: &Value) -> Vec<u8> {
    let mut bytes = document.to_string().into_bytes();
    bytes.push(b'\n');
    bytes
}

/// What changes of a run from moment to moment, beside what its lanes count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: Instant,
    /// Processes 1 and 2 of the run, as wharf sees them.
    pub(super) init_pid: u32,
    pub(super) program_pid: Option<u32>,
    /// How many flows there are of each form.
    pub(super) spliced: usize,
    pub(super) udp: usize,
    pub(super) icmp: usize,
}

/// What a run is and does.
pub(super) fn status(about: &About, id: &Value, count: &LaneCount, moment: Moment) -> Value {
    let config = &about.config;
    let command: Vec<_> = config.command.iter().map(|word| word.to_string_lossy()).collect();
    let published: Vec<Value> = about
        .published
        .iter()
        .map(|port| {
            json!({
                "protocol": port.protocol.to_string(),
                "local": endpoint(port.local),
                "inside_port": port.inside.number(),
                "rule": format!("-p {}", port.spec),
            })
        })
        .collect();
    let allow_host: Vec<String> = config.allow_host.iter().map(ToString::to_string).collect();
    let dropped: Map<String, Value> =
        count.drops.iter().map(|(reason, count)| (reason.name().to_owned(), count.into())).collect();
    json!({
        "do": "status",
        "id": id,
        "name": about.name,
        "wharf_pid": std::process::id(),
        "init_pid": moment.init_pid,
        "program_pid": moment.program_pid,
        "uid": rustix::process::geteuid().as_raw(),
        "command": command,
        "since": when::rfc3339(about.since),
        "age_s": moment.now.micros() as f64 / 1e6,
        "version": env!("CARGO_PKG_VERSION"),
        "addresses": {"ipv4": config.v4.map(addresses), "ipv6": config.v6.map(addresses)},
        "published": published,
        "allow_host": allow_host,
        "link": {
            "device": match about.device { LinkKind::Tap => "tap", LinkKind::Packet => "packet" },
            "queues": config.queues,
            "mtu_bytes": config.mtu,
            "offload": config.offload == Offload::Full,
            "splice": config.past_link == PastLink::Allowed,
            "line": config.link.as_ref().map(impairment),
        },
        "buffer_bytes": config.buffer,
        "flows": {"tcp_frames": count.flows, "tcp_splice": moment.spliced, "udp": moment.udp, "icmp": moment.icmp},
        "counters": {"connections_asked": count.asked, "link": link_totals(moment.init_pid), "dropped": dropped},
    })
}

fn addresses(of: GatewayAddresses) -> Value {
    json!({
        "program": of.program.to_string(),
        "gateway": of.gateway.to_string(),
        "dns": of.dns.to_string(),
        "host": of.host.to_string(),
    })
}

fn impairment(line: &Impairment) -> Value {
    let share = |share: wharf_stack::link::Share| f64::from(share.ppm()) / 1e6;
    json!({
        "delay_s": line.delay.as_secs_f64(),
        "jitter_s": line.jitter.as_secs_f64(),
        "loss": share(line.loss),
        "reorder": share(line.reorder),
        "duplicate": share(line.duplicate),
        "corrupt": share(line.corrupt),
        "rate_bits": line.rate,
        "queue_frames": line.queue,
        "mark_frames": line.mark,
    })
}

/// What the program's kernel has counted at its interface, in the program's words: sent is what it sent.
fn link_totals(init_pid: u32) -> Value {
    let totals = Traffic::of(init_pid).ok().and_then(|mut traffic| traffic.totals(INTERFACE));
    totals.map_or(Value::Null, |totals| {
        json!({
            "sent_bytes": totals.sent_bytes,
            "sent_packets": totals.sent_packets,
            "sent_dropped": totals.sent_dropped,
            "received_bytes": totals.received_bytes,
            "received_packets": totals.received_packets,
        })
    })
}

fn endpoint(at: SocketAddr) -> Value {
    json!({"address": at.ip().to_string(), "zone": null, "port": at.port(), "text": at.to_string()})
}

/// How a list of flows begins.
pub(super) fn flows_head(id: &Value, about: &About) -> Vec<u8> {
    format!("{{\"do\":\"flows\",\"id\":{id},\"network\":{},\"flows\":[", text(&about.name)).into_bytes()
}

/// A flow as an object, behind what is in `out`.
pub(super) fn flow(out: &mut Vec<u8>, now: Instant, flow: &Flow, about: &About, name: Option<&str>) {
    let Flow { inside, outside, sent, received, .. } = flow;
    let age = now.since(flow.opened).as_secs_f64();
    // Memory takes whatever it is given.
    let _ = write!(
        out,
        "{{\"network\":{},\"protocol\":\"{}\",\"inside\":{{\"local\":",
        text(&about.name),
        inside.protocol
    );
    write_endpoint(out, Some(inside.local.socket_addr()));
    let _ = write!(out, ",\"remote\":");
    write_endpoint(out, Some(inside.remote.socket_addr()));
    let _ = write!(out, "}},\"outside\":");
    if *outside == (None, None) {
        let _ = write!(out, "null");
    } else {
        let _ = write!(out, "{{\"local\":");
        write_endpoint(out, outside.0);
        let _ = write!(out, ",\"remote\":");
        write_endpoint(out, outside.1);
        let _ = write!(out, "}}");
    }
    let name = name.map_or_else(|| "null".to_owned(), text);
    let _ = write!(
        out,
        ",\"direction\":\"{}\",\"name\":{name},\"rule\":{},\"owner\":null,\"path\":\"{}\",\"sent_bytes\":{},\"sent_packets\":{},\
         \"received_bytes\":{},\"received_packets\":{},\"state\":\"{}\",\"age_s\":{age:.3}}}",
        flow.direction.name(),
        text(&about.rule(flow)),
        flow.path.name(),
        sent.bytes,
        sent.packets,
        received.bytes,
        received.packets,
        flow.condition.name(),
    );
}

fn write_endpoint(out: &mut Vec<u8>, at: Option<SocketAddr>) {
    let _ = match at {
        None => write!(out, "null"),
        // Port 0 stands for any, or for none.
        Some(at) if at.port() == 0 => {
            let ip = at.ip();
            write!(out, "{{\"address\":\"{ip}\",\"zone\":null,\"port\":null,\"text\":\"{ip}\"}}")
        }
        Some(at) => {
            let (ip, port) = (at.ip(), at.port());
            write!(out, "{{\"address\":\"{ip}\",\"zone\":null,\"port\":{port},\"text\":\"{at}\"}}")
        }
    };
}

/// A string of JSON.
fn text(plain: &str) -> String {
    Value::from(plain).to_string()
}
