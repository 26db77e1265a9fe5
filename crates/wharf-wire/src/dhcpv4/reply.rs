//! What the server answers.

use arrayvec::ArrayVec;
use wharf_table::Addr;

use super::{BROADCAST_FLAG, FIXED_LEN, MAGIC_COOKIE, code};
use crate::HardwareAddr;

/// Name servers that a reply names: what resolvers use (`MAXNS` of resolv.conf).
pub const MAX_DNS_SERVERS: usize = 3;
/// Bytes that a message has at least, since some clients drop shorter ones (RFC 1542, section 2.1).
const MIN_LEN: usize = 300;

/// How a server answers (RFC 2131, section 3.1, table 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DhcpReplyKind {
    /// You could have this address.
    Offer,
    /// The address is yours, or this is what you asked to know.
    Ack,
    /// The address is not for you.
    Nak,
}

/// What a reply means. [`super::DhcpRequest::reply`] makes one that answers a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DhcpReplyRepr<'a> {
    /// Offer, ack or nak.
    pub kind: DhcpReplyKind,
    /// That of the request.
    pub transaction: u32,
    /// That of the request.
    pub broadcast: bool,
    /// The address that the client has (`ciaddr`); 0.0.0.0 for none.
    pub client_addr: Addr,
    /// The address that it gets (`yiaddr`); 0.0.0.0 for none.
    pub your_addr: Addr,
    /// That of the request (`giaddr`).
    pub relay: Addr,
    /// That of the request.
    pub hardware: HardwareAddr,
    /// That of the request (RFC 6842).
    pub client_id: Option<&'a [u8]>,
    /// Who answers.
    pub server_id: Addr,
    /// For how many seconds the address is lent; all ones for ever; `None` to an Inform.
    pub lease_s: Option<u32>,
    /// After how many seconds the client asks this server again (T1).
    pub renewal_s: Option<u32>,
    /// After how many seconds the client asks any server (T2).
    pub rebinding_s: Option<u32>,
    /// The network's prefix length, 0 to 32, written as a subnet mask.
    pub prefix_len: Option<u8>,
    /// The default gateway.
    pub router: Option<Addr>,
    /// Name servers, the first to be asked first.
    pub dns: ArrayVec<Addr, MAX_DNS_SERVERS>,
    /// What the link carries, in bytes of an IP packet.
    pub mtu: Option<u16>,
}

impl<'a> DhcpReplyRepr<'a> {
    /// A reply that says nothing but its kind and its server.
    pub fn new(kind: DhcpReplyKind, server_id: Addr) -> DhcpReplyRepr<'a> {
        DhcpReplyRepr {
            kind,
            transaction: 0,
            broadcast: false,
            client_addr: Addr::ANY_V4,
            your_addr: Addr::ANY_V4,
            relay: Addr::ANY_V4,
            hardware: HardwareAddr::default(),
            client_id: None,
            server_id,
            lease_s: None,
            renewal_s: None,
            rebinding_s: None,
            prefix_len: None,
            router: None,
            dns: ArrayVec::new(),
            mtu: None,
        }
    }

    /// Where the reply is sent (RFC 2131, section 4.1): to the relay (at the server's port) if there is one; a nak to
    /// everyone; else to the address that the client has; else to everyone if it asked for that, or to the address that it gets,
    /// at its hardware address.
    pub fn destination(&self) -> Addr {
        let everyone = Addr::v4([255; 4]);
        if !self.relay.is_unspecified() {
            self.relay
        } else if self.kind == DhcpReplyKind::Nak {
            everyone
        } else if !self.client_addr.is_unspecified() {
            self.client_addr
        } else if self.broadcast || self.your_addr.is_unspecified() {
            everyone
        } else {
            self.your_addr
        }
    }

    /// Bytes that [`DhcpReplyRepr::emit`] writes, at least 300. The most are 576, which every client takes, with a client
    /// identifier of up to 255 bytes.
    #[expect(clippy::len_without_is_empty, reason = "a message is never empty")]
    pub fn len(&self) -> usize {
        let mut len = FIXED_LEN + 1;
        self.each_option(|_, value| len += 2 + value.len());
        len.max(MIN_LEN)
    }

    /// Writes the message to the front of `buf`.
    ///
    /// # Panics
    /// When `buf` is shorter than [`DhcpReplyRepr::len`].
    pub fn emit(&self, buf: &mut [u8]) {
        let buf = &mut buf[..self.len()];
        buf.fill(0);
        buf[0..3].copy_from_slice(&[2, 1, 6]);
        buf[4..8].copy_from_slice(&self.transaction.to_be_bytes());
        buf[10] = if self.broadcast { BROADCAST_FLAG } else { 0 };
        for (at, addr) in [(12, self.client_addr), (16, self.your_addr), (24, self.relay)] {
            buf[at..at + 4].copy_from_slice(&addr.octets()[12..]);
        }
        buf[28..34].copy_from_slice(&self.hardware.0);
        buf[236..240].copy_from_slice(&MAGIC_COOKIE);
        let mut at = FIXED_LEN;
        self.each_option(|code, value| {
            buf[at..at + 2].copy_from_slice(&[code, value.len() as u8]);
            buf[at + 2..at + 2 + value.len()].copy_from_slice(value);
            at += 2 + value.len();
        });
        buf[at] = code::END;
    }

    /// Gives every option, code and value, to `take`. A nak has no parameters (RFC 2131, section 4.3.1, table 3).
    fn each_option(&self, mut take: impl FnMut(u8, &[u8])) {
        let message_type = match self.kind {
            DhcpReplyKind::Offer => 2,
            DhcpReplyKind::Ack => 5,
            DhcpReplyKind::Nak => 6,
        };
        take(code::MESSAGE_TYPE, &[message_type]);
        take(code::SERVER_ID, &self.server_id.octets()[12..]);
        if let Some(id) = self.client_id {
            take(code::CLIENT_ID, &id[..id.len().min(255)]);
        }
        if self.kind == DhcpReplyKind::Nak {
            return;
        }
        let times = [
            (code::LEASE_TIME, self.lease_s),
            (code::RENEWAL_TIME, self.renewal_s),
            (code::REBINDING_TIME, self.rebinding_s),
        ];
        for (code, seconds) in times {
            if let Some(seconds) = seconds {
                take(code, &seconds.to_be_bytes());
            }
        }
        if let Some(prefix_len) = self.prefix_len {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix_len.min(32))).unwrap_or(0);
            take(code::SUBNET_MASK, &mask.to_be_bytes());
        }
        if let Some(router) = self.router {
            take(code::ROUTER, &router.octets()[12..]);
        }
        if !self.dns.is_empty() {
            let mut servers = [0; 4 * MAX_DNS_SERVERS];
            for (to, server) in servers.chunks_exact_mut(4).zip(&self.dns) {
                to.copy_from_slice(&server.octets()[12..]);
            }
            take(code::DNS_SERVERS, &servers[..self.dns.len() * 4]);
        }
        if let Some(mtu) = self.mtu {
            take(code::MTU, &mtu.to_be_bytes());
        }
    }
}
