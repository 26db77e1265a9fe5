//! What a run's guard says when it is asked: its rules, and what it would decide. Other rules are given to it the same way.

use std::net::IpAddr;

use serde_json::{Value, json};
use wharf_sys::socket::unix;
use wharf_table::policy::Hostname;

use super::{Run, RunsError, conversation};
use crate::run::config::PolicyFile;

/// How long a run may take, and the longest of its answers in bytes.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
const ANSWER_MAX: usize = 64 << 20;

/// A rule, and how often it was used since it came into force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleHits {
    /// The rule, as it would be typed.
    pub rule: String,
    /// Its writer's words.
    pub reason: String,
    /// How often.
    pub hits: u64,
}

/// The rules of a run.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The rules, in order.
    pub rules: Vec<RuleHits>,
    /// What holds for the rest: `allow` or `deny`.
    pub default: String,
    /// How often that did.
    pub default_hits: u64,
    /// `enforce`, `dry_run` or `learn`.
    pub mode: String,
    /// The whole answer.
    pub document: Value,
}

/// Whether other rules come into force first.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// None.
    Keep,
    /// These, all at once. Flows that they deny end.
    To(&'a PolicyFile),
}

/// What a run's rules would say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Whether the name may be asked for, and the rule; `None` where there was no name.
    pub look_up: Option<(bool, Option<String>)>,
    /// Each address: whether a flow to it may open, and the rule.
    pub addresses: Vec<(IpAddr, bool, Option<String>)>,
}

/// The rules of a run, behind a change of them.
///
/// # Errors
/// [`RunsError`]; the rules are the old ones then.
pub fn policy(run: &Run, change: Change<'_>) -> Result<Policy, RunsError> {
    let question = match change {
        Change::Keep => json!({"do": "policy"}),
        Change::To(file) => json!({"do": "reload", "text": file.to_string()}),
    };
    let document = ask(run, &question)?;
    let read = || {
        let rule = |rule: &Value| {
            Some(RuleHits {
                rule: rule["rule"].as_str()?.to_owned(),
                reason: rule["reason"].as_str()?.to_owned(),
                hits: rule["hits"].as_u64()?,
            })
        };
        Some(Policy {
            rules: document["rules"].as_array()?.iter().map(rule).collect::<Option<_>>()?,
            default: document["default"].as_str()?.to_owned(),
            default_hits: document["default_hits"].as_u64()?,
            mode: document["mode"].as_str()?.to_owned(),
            document: document.clone(),
        })
    };
    read().ok_or_else(|| unreadable(run, "a field is missing"))
}

/// What a run's guard would say of a name, and of flows to addresses that it was answered with: by the very rules that decide there.
///
/// # Errors
/// [`RunsError`].
pub fn decide(
    run: &Run,
    protocol: &str,
    name: Option<&Hostname>,
    addresses: &[IpAddr],
    port: u16,
) -> Result<Judgement, RunsError> {
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let name = name.map(Hostname::as_str);
    let question =
        json!({"do": "decide", "protocol": protocol, "name": name, "addresses": addresses, "port": port});
    let document = ask(run, &question)?;
    let rule = |of: &Value| of["rule"].as_str().map(str::to_owned);
    let read = || {
        let look_up = match &document["look_up"] {
            Value::Null => None,
            asked => Some((asked["allowed"].as_bool()?, rule(asked))),
        };
        let judged =
            |of: &Value| Some((of["address"].as_str()?.parse().ok()?, of["allowed"].as_bool()?, rule(of)));
        let addresses = document["addresses"].as_array()?.iter().map(judged).collect::<Option<_>>()?;
        Some(Judgement { look_up, addresses })
    };
    read().ok_or_else(|| unreadable(run, "a field is missing"))
}

fn unreadable(run: &Run, why: &str) -> RunsError {
    RunsError::Unreadable { name: run.name.clone(), pid: run.pid, why: why.to_owned() }
}

/// Asks one run something.
fn ask(run: &Run, question: &Value) -> Result<Value, RunsError> {
    let silent = || RunsError::Silent { name: run.name.clone(), pid: run.pid, patience: PATIENCE };
    let socket = unix::connect(run.socket.as_bytes()).map_err(|_| silent())?;
    // Somebody else may have the name by now.
    if !unix::peer(&socket).is_ok_and(|peer| peer == unix::Peer { pid: Some(run.pid), uid: run.uid }) {
        return Err(silent());
    }
    let call = conversation::Call::new(socket, &format!("{question}\n"), ANSWER_MAX);
    let answer = conversation::hold(vec![call], PATIENCE).pop().flatten().ok_or_else(silent)?;
    let document: Value =
        serde_json::from_slice(&answer).map_err(|error| unreadable(run, &error.to_string()))?;
    if document["ok"] == Value::Bool(true) {
        return Ok(document);
    }
    let why = document["error"]["message"].as_str().or(document["message"].as_str());
    Err(RunsError::Refused { name: run.name.clone(), why: why.unwrap_or("it does not say why").to_owned() })
}
