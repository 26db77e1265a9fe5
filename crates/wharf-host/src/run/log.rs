//! What `-v` tells on standard error. Without it a run says only what can't be found out otherwise.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::SocketAddr;

use serde_json::{Value, json};
use wharf_table::policy::Outcome;
use wharf_table::{Instant, Tuple};

use super::clock;
use super::config::{Style, Verbosity};
use super::guard::{Program, Ruling};

/// Which way the bytes of a flow go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// Over the link, as frames.
    Frames,
    /// From socket to socket.
    Splice,
}

impl Path {
    /// The stable name, as JSON and logs print it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Path::Frames => "frames",
            Path::Splice => "splice",
        }
    }
}

/// Where a run tells what happens.
#[derive(Clone)]
pub(super) struct Log {
    verbosity: Verbosity,
    style: Style,
    said: BTreeSet<&'static str>,
    denials: Denials,
}

impl Log {
    pub(super) fn new(verbosity: Verbosity, style: Style) -> Log {
        Log { verbosity, style, said: BTreeSet::new(), denials: Denials::default() }
    }

    /// Tells a line in any case.
    pub(super) fn always(&self, text: &str) {
        let line = match self.style {
            Style::Json if text.starts_with('{') => format!("{text}\n"),
            Style::Json => format!("{}\n", json!({"event": "log", "text": text})),
            Style::Text => format!("wharf: {text}\n"),
        };
        // One write, so that lines of the program don't fall into it. Nobody is left to tell when standard error is gone.
        let _ = io::stderr().write_all(line.as_bytes());
    }

    /// Whether somebody listens to more than what can't be found out otherwise.
    pub(super) fn is_verbose(&self) -> bool {
        self.verbosity == Verbosity::Verbose
    }

    /// Tells a line that is made only when somebody listens.
    pub(super) fn line(&self, text: impl FnOnce() -> String) {
        if self.is_verbose() {
            self.always(&text());
        }
    }

    /// Tells of something that could not be set up and that not every program needs.
    pub(super) fn warning(&self, text: &str) {
        self.line(|| format!("warning: {text}"));
    }

    /// Tells a line the first time that `key` comes up.
    pub(super) fn once(&mut self, key: &'static str, text: impl FnOnce() -> String) {
        if self.is_verbose() && self.said.insert(key) {
            self.always(&text());
        }
    }

    /// The same in any case, for what goes wrong.
    pub(super) fn once_in_any_case(&mut self, key: &'static str, text: &str) {
        if self.said.insert(key) {
            self.always(text);
        }
    }

    /// Tells what happened to a flow; `outside` is where the host reaches its other end, if that is known.
    pub(super) fn flow(&self, what: &str, tuple: Tuple, outside: Option<SocketAddr>) {
        self.flow_on(what, tuple, outside, Path::Frames);
    }

    /// Tells that a client of a published port is led to the program; `tuple` is the flow as the program sees it.
    pub(super) fn client(&self, peer: SocketAddr, tuple: Tuple, path: Path) {
        self.line(|| match self.style {
            Style::Json => flow_json("client", tuple, Some(peer), path).to_string(),
            Style::Text => format!("client {peer} -> {} by {}", tuple.local, path.name()),
        });
    }

    /// The same as [`Log::flow`] for a flow that may go another way.
    pub(super) fn flow_on(&self, what: &str, tuple: Tuple, outside: Option<SocketAddr>, path: Path) {
        self.line(|| match (self.style, outside) {
            (Style::Json, _) => flow_json(what, tuple, outside, path).to_string(),
            (Style::Text, Some(outside)) if outside != tuple.remote.socket_addr() => {
                format!("{what} {tuple} (as {outside})")
            }
            (Style::Text, _) => format!("{what} {tuple}"),
        });
    }
}

/// How many denials are told in a second, each with its program; more are counted.
const DENIALS_A_SECOND: u32 = 20;

/// What was told of denials lately.
#[derive(Clone, Copy, Default)]
struct Denials {
    second: u64,
    told: u32,
    untold: u64,
}

impl Log {
    /// Whether one more denial is told. A program that tries much is not allowed to fill what somebody reads, nor to take the loop's
    /// time: those that are not told are counted.
    pub(super) fn has_room_for_a_denial(&mut self, now: Instant) -> bool {
        let second = now.millis() / 1000;
        if second != self.denials.second {
            let untold = std::mem::take(&mut self.denials.untold);
            self.denials = Denials { second, ..Denials::default() };
            if untold > 0 {
                self.always(&match self.style {
                    Style::Json => json!({"event": "denied_more", "count": untold}).to_string(),
                    Style::Text => format!("denied {untold} more"),
                });
            }
        }
        let has_room = self.denials.told < DENIALS_A_SECOND;
        self.denials.told += u32::from(has_room);
        self.denials.untold += u64::from(!has_room);
        has_room
    }

    /// Tells that a flow was denied, or would have been.
    pub(super) fn denied(&self, tuple: &Tuple, ruling: &Ruling, program: Option<&Program>) {
        self.always(&match self.style {
            Style::Json => {
                let mut line = flow_json(what_of(ruling), *tuple, None, Path::Frames);
                line["name"] = ruling.name.as_ref().map_or(Value::Null, |name| json!(name.as_str()));
                add_ruling(line, ruling, program)
            }
            Style::Text => {
                let name = ruling.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
                let (words, who) = (words_of(ruling), who(program));
                format!("{words} {who}{} to {}{name}: {}", tuple.protocol, tuple.remote, rule_of(ruling))
            }
        });
    }

    /// Tells that a name was not answered, or would not have been.
    pub(super) fn denied_name(&self, name: &str, ruling: &Ruling, program: Option<&Program>) {
        self.always(&match self.style {
            Style::Json => {
                let line = json!({"event": what_of(ruling), "protocol": "dns", "name": name});
                add_ruling(line, ruling, program)
            }
            Style::Text => {
                let (words, who) = (words_of(ruling), who(program));
                format!("{words} {who}the look-up of {name}: {}", rule_of(ruling))
            }
        });
    }
}

/// The line with the rule, the program and the time.
fn add_ruling(mut line: Value, ruling: &Ruling, program: Option<&Program>) -> String {
    line["rule"] = json!(ruling.rule_text);
    line["program"] = json!(program.map(Program::name));
    line["pid"] = json!(program.map(|program| program.pid));
    line["time"] = json!(clock::rfc_3339_now());
    line.to_string()
}

/// `curl (812) `, where that is known.
fn who(program: Option<&Program>) -> String {
    program.map(|program| format!("{} ({}) ", program.name(), program.pid)).unwrap_or_default()
}

fn what_of(ruling: &Ruling) -> &'static str {
    if ruling.outcome == Outcome::Deny { "denied" } else { "would_deny" }
}

fn words_of(ruling: &Ruling) -> &'static str {
    if ruling.outcome == Outcome::Deny { "denied" } else { "would deny" }
}

/// The rule, or why there is none.
fn rule_of(ruling: &Ruling) -> String {
    match (&ruling.rule_text, ruling.rule) {
        (Some(text), Some(_)) => format!("rule {text}"),
        (Some(_), None) => "no rule allows it".to_owned(),
        (None, _) => "the rules can't be read".to_owned(),
    }
}

/// A flow's two ends as the program sees them, and its far end as the host sees it.
fn flow_json(what: &str, tuple: Tuple, outside: Option<SocketAddr>, path: Path) -> Value {
    json!({
        "event": what,
        "protocol": tuple.protocol.to_string(),
        "inside": {
            "local": endpoint_json(tuple.local.socket_addr()),
            "remote": endpoint_json(tuple.remote.socket_addr()),
        },
        "outside": outside.map(|remote| json!({"local": null, "remote": endpoint_json(remote)})),
        "path": path.name(),
    })
}

fn endpoint_json(at: SocketAddr) -> Value {
    json!({"address": at.ip().to_string(), "zone": null, "port": at.port(), "text": at.to_string()})
}
