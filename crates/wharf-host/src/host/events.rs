//! What happens at sockets, as lines for who wants to hear: a line when something becomes true that was not true before.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wharf_stack::socket::{Errno, Host, OptionName, OptionValue, Readiness, SocketId};
use wharf_table::Instant;

/// What was told of each socket.
#[derive(Default)]
pub(super) struct Events {
    told: BTreeMap<usize, Readiness>,
}

impl Events {
    /// What is new at a socket, one line each.
    pub(super) fn news(&mut self, host: &mut Host, now: Instant, socket: SocketId) -> Vec<String> {
        let number = socket.index();
        let Ok(bits) = host.readiness(socket) else { return Vec::new() };
        let before = self.told.insert(number, bits).unwrap_or_default();
        let is_new = |bit: Readiness| bits.contains(bit) && !before.contains(bit);
        let mut lines = Vec::new();
        let mut tell = |event: &str, error: Option<Errno>| {
            let error: Value = error.map(Errno::name).into();
            let line = json!({"event": event, "socket": number, "now_s": seconds(now), "error": error});
            lines.push(line.to_string());
        };
        if is_new(Readiness::IN) {
            let listens = host.option(socket, OptionName::AcceptConnections) == Ok(OptionValue::Number(1));
            tell(if listens { "acceptable" } else { "readable" }, None);
        }
        if is_new(Readiness::PRI) {
            tell("urgent", None);
        }
        if is_new(Readiness::OUT) {
            tell("writable", None);
        }
        if is_new(Readiness::RDHUP) {
            tell("peer_finished", None);
        }
        if is_new(Readiness::ERR) {
            let error = host.waiting_error(socket).ok().flatten();
            tell(if error == Some(Errno::ConnectionReset) { "reset" } else { "error" }, error);
        }
        // A socket that was never connected hangs up as well, but that is nothing that happened.
        if is_new(Readiness::HUP) && host.state(socket).is_some() {
            tell("closed", None);
        }
        lines
    }

    /// A request has changed what is true of a socket: what becomes true again is news again.
    pub(super) fn note(&mut self, host: &Host, socket: SocketId) {
        match host.readiness(socket) {
            Ok(bits) => self.told.insert(socket.index(), bits),
            Err(_) => self.told.remove(&socket.index()),
        };
    }

    /// A connection was taken by a server of the host, or by a request.
    pub(super) fn accepted(now: Instant, listener: SocketId, socket: SocketId, peer: &Value) -> String {
        json!({"event": "accepted", "socket": socket.index(), "listener": listener.index(), "peer": peer, "now_s": seconds(now)})
            .to_string()
    }
}

/// Seconds since the start of the host.
pub(super) fn seconds(at: Instant) -> f64 {
    at.micros() as f64 / 1e6
}
