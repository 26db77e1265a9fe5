//! What the owner of a connection changes while it lives, and urgent data.

use wharf_table::Instant;

use super::{ConnId, Stack};
use crate::tcp::{Change, Unreachable};

impl Stack {
    /// Changes a setting of one connection; the others keep theirs.
    pub fn change(&mut self, now: Instant, id: ConnId, change: Change) {
        self.with(now, id, |conn, cx| conn.change(cx, change));
    }

    /// The last ICMP error that came for a connection and did not end it; asked again it is gone.
    pub fn take_soft_error(&mut self, id: ConnId) -> Option<Unreachable> {
        self.connection(id).soft_error()?;
        self.connections.work(id.number(), &self.table).and_then(|work| work.conn.take_soft_error())
    }

    /// Sends as [`Stack::send`] does, and marks the last byte that was taken as the end of urgent data (RFC 9293, section
    /// 3.8.5).
    pub fn send_urgent(&mut self, now: Instant, id: ConnId, bytes: &[u8]) -> usize {
        let sent = self.with(now, id, |conn, cx| conn.send_urgent(cx, bytes));
        if sent < bytes.len() && self.send_room(id) > 0 {
            self.on_starved(id);
        }
        sent
    }
}
