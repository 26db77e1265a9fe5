//! DHCP for IPv4, the server's half (RFC 2131, options: RFC 2132): requests are read, replies are written.
//!
//! Not here: splitting long options (RFC 3396), relay information, authentication.

mod reply;
mod request;

pub use reply::{DhcpReplyKind, DhcpReplyRepr, MAX_DNS_SERVERS};
pub use request::{DhcpRequest, DhcpRequestKind};

/// The server's port.
pub const SERVER_PORT: u16 = 67;
/// The client's port.
pub const CLIENT_PORT: u16 = 68;
/// Bytes before the options, magic cookie included (RFC 2131, section 2; RFC 2132, section 2).
const FIXED_LEN: usize = 240;
const MAGIC_COOKIE: [u8; 4] = [99, 130, 83, 99];
const BROADCAST_FLAG: u8 = 0x80;

/// Option codes (RFC 2132).
mod code {
    pub(super) const PAD: u8 = 0;
    pub(super) const SUBNET_MASK: u8 = 1;
    pub(super) const ROUTER: u8 = 3;
    pub(super) const DNS_SERVERS: u8 = 6;
    pub(super) const HOST_NAME: u8 = 12;
    pub(super) const MTU: u8 = 26;
    pub(super) const REQUESTED_ADDRESS: u8 = 50;
    pub(super) const LEASE_TIME: u8 = 51;
    pub(super) const OVERLOAD: u8 = 52;
    pub(super) const MESSAGE_TYPE: u8 = 53;
    pub(super) const SERVER_ID: u8 = 54;
    pub(super) const PARAMETER_LIST: u8 = 55;
    pub(super) const MAX_MESSAGE_LEN: u8 = 57;
    pub(super) const RENEWAL_TIME: u8 = 58;
    pub(super) const REBINDING_TIME: u8 = 59;
    pub(super) const CLIENT_ID: u8 = 61;
    pub(super) const END: u8 = 255;
}

#[cfg(test)]
mod tests;
