//! What a client asks.

use wharf_table::Addr;

use super::{BROADCAST_FLAG, DhcpReplyKind, DhcpReplyRepr, FIXED_LEN, MAGIC_COOKIE, code};
use crate::{HardwareAddr, Malformed};

/// What a client wants (RFC 2131, section 3.1, table 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DhcpRequestKind {
    /// Which servers are there?
    Discover,
    /// I want this address, or to keep it.
    Request,
    /// The address is in use by another.
    Decline,
    /// I am done with the address.
    Release,
    /// I have an address; what else is there to know?
    Inform,
}

/// What a message of a client means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DhcpRequest<'a> {
    /// What it wants.
    pub kind: DhcpRequestKind,
    /// Tells its answers from others.
    pub transaction: u32,
    /// Seconds since it began.
    pub elapsed_s: u16,
    /// It can't take a unicast packet before it has an address (RFC 2131, section 4.1).
    pub broadcast: bool,
    /// The address that it has and answers for (`ciaddr`); 0.0.0.0 for none.
    pub client_addr: Addr,
    /// The relay on the way (`giaddr`); 0.0.0.0 for none.
    pub relay: Addr,
    /// Its hardware address.
    pub hardware: HardwareAddr,
    /// The address that it would like.
    pub requested: Option<Addr>,
    /// The server that it chose.
    pub server_id: Option<Addr>,
    /// The name by which it wants to be known to the server, any bytes.
    pub client_id: Option<&'a [u8]>,
    /// Its host name, any bytes.
    pub host_name: Option<&'a [u8]>,
    /// The codes of the options that it wants to hear.
    pub parameters: &'a [u8],
    /// The longest message that it takes, in bytes.
    pub max_message_len: Option<u16>,
    /// The lease that it would like, in seconds.
    pub lease_s: Option<u32>,
}

impl<'a> DhcpRequest<'a> {
    /// Reads the payload of a datagram to [`super::SERVER_PORT`].
    ///
    /// # Errors
    /// [`Malformed::TooShort`]; [`Malformed::NotDhcp`] without magic cookie or message type; [`Malformed::AddressKind`] for
    /// anything but Ethernet; [`Malformed::Operation`] for a reply or a message of a server; [`Malformed::Option`] for an
    /// option beyond its field.
    pub fn parse(message: &'a [u8]) -> Result<DhcpRequest<'a>, Malformed> {
        let (fixed, options) = message.split_first_chunk::<FIXED_LEN>().ok_or(Malformed::TooShort)?;
        if fixed[236..240] != MAGIC_COOKIE {
            return Err(Malformed::NotDhcp);
        }
        if fixed[0] != 1 {
            return Err(Malformed::Operation);
        }
        if fixed[1..3] != [1, 6] {
            return Err(Malformed::AddressKind);
        }
        let mut fields = Fields::default();
        fields.read(options)?;
        // Options may go on in the fields for a file name and for a server name (RFC 2132, section 9.3).
        if fields.overload & 1 != 0 {
            fields.read(&fixed[108..236])?;
        }
        if fields.overload & 2 != 0 {
            fields.read(&fixed[44..108])?;
        }
        let addr = |at: usize| Addr::v4(core::array::from_fn(|i| fixed[at + i]));
        Ok(DhcpRequest {
            kind: kind_of(fields.message_type.ok_or(Malformed::NotDhcp)?)?,
            transaction: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            elapsed_s: u16::from_be_bytes([fixed[8], fixed[9]]),
            broadcast: fixed[10] & BROADCAST_FLAG != 0,
            client_addr: addr(12),
            relay: addr(24),
            hardware: HardwareAddr(core::array::from_fn(|i| fixed[28 + i])),
            requested: fields.requested,
            server_id: fields.server_id,
            client_id: fields.client_id,
            host_name: fields.host_name,
            parameters: fields.parameters,
            max_message_len: fields.max_message_len,
            lease_s: fields.lease_s,
        })
    }

    /// A reply of `kind` by the server `server_id`, with all that it must repeat of this request and nothing else (RFC 2131,
    /// section 4.3.1, table 3; RFC 6842 for the client identifier).
    pub fn reply(&self, kind: DhcpReplyKind, server_id: Addr) -> DhcpReplyRepr<'a> {
        DhcpReplyRepr {
            transaction: self.transaction,
            broadcast: self.broadcast,
            client_addr: if kind == DhcpReplyKind::Ack { self.client_addr } else { Addr::ANY_V4 },
            relay: self.relay,
            hardware: self.hardware,
            client_id: self.client_id,
            ..DhcpReplyRepr::new(kind, server_id)
        }
    }
}

fn kind_of(message_type: u8) -> Result<DhcpRequestKind, Malformed> {
    match message_type {
        1 => Ok(DhcpRequestKind::Discover),
        3 => Ok(DhcpRequestKind::Request),
        4 => Ok(DhcpRequestKind::Decline),
        7 => Ok(DhcpRequestKind::Release),
        8 => Ok(DhcpRequestKind::Inform),
        _ => Err(Malformed::Operation),
    }
}

/// What the options say. An option of a wrong length is passed over; of several of a kind the last one counts.
#[derive(Default)]
struct Fields<'a> {
    overload: u8,
    message_type: Option<u8>,
    requested: Option<Addr>,
    server_id: Option<Addr>,
    client_id: Option<&'a [u8]>,
    host_name: Option<&'a [u8]>,
    parameters: &'a [u8],
    max_message_len: Option<u16>,
    lease_s: Option<u32>,
}

impl<'a> Fields<'a> {
    fn read(&mut self, mut options: &'a [u8]) -> Result<(), Malformed> {
        loop {
            match *options {
                [] | [code::END, ..] => return Ok(()),
                [code::PAD, ref rest @ ..] => options = rest,
                [code, len, ref rest @ ..] => {
                    let (value, rest) = rest.split_at_checked(usize::from(len)).ok_or(Malformed::Option)?;
                    self.take(code, value);
                    options = rest;
                }
                [_] => return Err(Malformed::Option),
            }
        }
    }

    fn take(&mut self, code: u8, value: &'a [u8]) {
        match (code, value) {
            (code::OVERLOAD, &[fields]) => self.overload = fields,
            (code::MESSAGE_TYPE, &[message_type]) => self.message_type = Some(message_type),
            (code::REQUESTED_ADDRESS, &[a, b, c, d]) => self.requested = Some(Addr::v4([a, b, c, d])),
            (code::SERVER_ID, &[a, b, c, d]) => self.server_id = Some(Addr::v4([a, b, c, d])),
            (code::LEASE_TIME, &[a, b, c, d]) => self.lease_s = Some(u32::from_be_bytes([a, b, c, d])),
            (code::MAX_MESSAGE_LEN, &[a, b]) => self.max_message_len = Some(u16::from_be_bytes([a, b])),
            // At least a type and one byte (RFC 2132, section 9.14).
            (code::CLIENT_ID, id) if id.len() >= 2 => self.client_id = Some(id),
            (code::HOST_NAME, name) if !name.is_empty() => self.host_name = Some(name),
            (code::PARAMETER_LIST, codes) => self.parameters = codes,
            _ => {}
        }
    }
}
