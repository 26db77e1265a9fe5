//! What is asked of the guard: its rules, other rules, and what it would say.

use std::net::IpAddr;

use serde_json::{Value, json};
use wharf_table::notation::no_services;
use wharf_table::policy::{Action, Hostname, Outcome, Rules};
use wharf_table::{Addr, Endpoint, Instant, Protocol};

use super::super::guard::{Denial, Guard, Mode, PolicyFile};

/// The most addresses of a question.
const ADDRESSES_MAX: usize = 64;

/// A request that the guard answers.
pub(super) enum GuardRequest {
    /// The rules in force.
    Policy,
    /// Other rules.
    Reload(Box<Rules>),
    /// Would it let this open?
    Decide { protocol: Protocol, name: Option<Hostname>, addresses: Vec<Addr>, port: u16 },
}

impl GuardRequest {
    /// Reads a request.
    pub(super) fn read(request: &Value) -> Result<GuardRequest, String> {
        match request["do"].as_str() {
            Some("reload") => {
                let text = request["text"].as_str().ok_or("field \"text\" is missing (a policy file)")?;
                let file = PolicyFile::parse(text, &no_services)
                    .map_err(|(line, why)| format!("line {line}: {why}"))?;
                Ok(GuardRequest::Reload(Box::new(file.into_rules())))
            }
            Some("decide") => decide(request),
            _ => Ok(GuardRequest::Policy),
        }
    }

    /// Whether every lane has to look at its flows.
    pub(super) const fn wakes_lanes(&self) -> bool {
        matches!(self, GuardRequest::Reload(_))
    }

    /// Does what is asked, and says what came of it.
    pub(super) fn answer(&self, now: Instant, id: &Value, guard: &Guard) -> Value {
        match self {
            GuardRequest::Policy => {}
            GuardRequest::Reload(rules) => guard.reload(Rules::clone(rules)),
            GuardRequest::Decide { protocol, name, addresses, port } => {
                return explain(now, id, guard, *protocol, name.as_ref(), addresses, *port);
            }
        }
        let rules: Vec<Value> = guard
            .hits()
            .into_iter()
            .map(|hit| json!({"rule": hit.rule, "reason": hit.reason, "hits": hit.hits}))
            .collect();
        let (default, default_hits) = guard.default_hits();
        json!({
            "ok": true,
            "id": id,
            "mode": match guard.mode() {
                Mode::Enforce => "enforce",
                Mode::DryRun => "dry_run",
                Mode::Learn => "learn",
            },
            "denied": match guard.denial() {
                Denial::Prohibited => "prohibited",
                Denial::Refused => "refused",
                Denial::Silent => "silent",
            },
            "default": match default {
                Action::Allow => "allow",
                Action::Deny => "deny",
            },
            "default_hits": default_hits,
            "rules": rules,
        })
    }
}

fn decide(request: &Value) -> Result<GuardRequest, String> {
    let protocol = match request["protocol"].as_str() {
        Some("tcp") | None => Protocol::Tcp,
        Some("udp") => Protocol::Udp,
        Some("icmp") => Protocol::Icmp,
        Some(other) => return Err(format!("{other:?}: no such protocol (tcp, udp and icmp are)")),
    };
    let name = match request["name"].as_str() {
        Some(text) => Some(Hostname::parse(text).map_err(|error| error.to_string())?),
        None => None,
    };
    let port = request["port"].as_u64().unwrap_or(0);
    let port = u16::try_from(port).map_err(|_| format!("{port}: the highest port is 65535"))?;
    let addresses = request["addresses"].as_array().map(Vec::as_slice).unwrap_or_default();
    let read = |value: &Value| {
        let ip = value.as_str().and_then(|text| text.parse::<IpAddr>().ok());
        ip.map(Addr::from).ok_or_else(|| format!("{value}: not an address"))
    };
    let addresses = addresses.iter().take(ADDRESSES_MAX).map(read).collect::<Result<_, _>>()?;
    Ok(GuardRequest::Decide { protocol, name, addresses, port })
}

/// What the rules would say, by the very way in which they are asked.
fn explain(
    now: Instant,
    id: &Value,
    guard: &Guard,
    protocol: Protocol,
    name: Option<&Hostname>,
    addresses: &[Addr],
    port: u16,
) -> Value {
    let asked = name.map(|name| match guard.would_ask(now, name) {
        Ok(rule) => json!({"name": name.as_str(), "allowed": true, "rule": rule}),
        Err(rule) => json!({"name": name.as_str(), "allowed": false, "rule": rule}),
    });
    let judged = |addr: &Addr| {
        let (outcome, rule) = guard.would_decide(now, protocol, Endpoint::new(*addr, port), name);
        json!({
            "address": addr.to_string(),
            "allowed": outcome != Outcome::Deny,
            "once_shown": outcome == Outcome::AllowOnceShown,
            "rule": rule,
        })
    };
    let addresses: Vec<Value> = addresses.iter().map(judged).collect();
    json!({"ok": true, "id": id, "look_up": asked, "addresses": addresses})
}
