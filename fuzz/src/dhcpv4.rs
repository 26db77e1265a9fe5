//! Every request can be read and answered.

use wharf_table::Addr;
use wharf_wire::dhcpv4::{DhcpReplyKind, DhcpRequest};

/// Holds for any bytes.
pub fn check(bytes: &[u8]) {
    let mut message = bytes.to_vec();
    // The cookie, which nobody would guess.
    if let Some(cookie) = message.get_mut(236..240) {
        cookie.copy_from_slice(&[99, 130, 83, 99]);
    }
    if let Ok(request) = DhcpRequest::parse(&message) {
        for kind in [DhcpReplyKind::Offer, DhcpReplyKind::Ack, DhcpReplyKind::Nak] {
            let reply = request.reply(kind, Addr::v4([10, 0, 2, 2]));
            let mut buf = vec![0; reply.len()];
            reply.emit(&mut buf);
            assert!((300..=576).contains(&buf.len()));
        }
    }
}
