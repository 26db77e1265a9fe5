//! Resource records (RFC 1035, section 4.1.3).

use wharf_table::Addr;

use super::NameRef;
use crate::Malformed;

/// The kind of a record (IANA "DNS Parameters").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecordType(pub u16);

impl RecordType {
    /// An IPv4 address.
    pub const A: RecordType = RecordType(1);
    /// A name server.
    pub const NS: RecordType = RecordType(2);
    /// Another name for the same.
    pub const CNAME: RecordType = RecordType(5);
    /// Start of a zone.
    pub const SOA: RecordType = RecordType(6);
    /// The name of an address.
    pub const PTR: RecordType = RecordType(12);
    /// A mail server.
    pub const MX: RecordType = RecordType(15);
    /// Text.
    pub const TXT: RecordType = RecordType(16);
    /// An IPv6 address (RFC 3596).
    pub const AAAA: RecordType = RecordType(28);
    /// Where a service is (RFC 2782).
    pub const SRV: RecordType = RecordType(33);
    /// EDNS (RFC 6891).
    pub const OPT: RecordType = RecordType(41);
    /// How to reach an HTTPS origin (RFC 9460).
    pub const HTTPS: RecordType = RecordType(65);
    /// All kinds.
    pub const ANY: RecordType = RecordType(255);
}

/// The class of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecordClass(pub u16);

impl RecordClass {
    /// The Internet.
    pub const IN: RecordClass = RecordClass(1);
    /// All classes.
    pub const ANY: RecordClass = RecordClass(255);
}

/// Where in a message a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// It answers the question.
    Answer,
    /// It tells who owns the name.
    Authority,
    /// It may help.
    Additional,
}

/// What an OPT record says (RFC 6891, section 6.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// The longest message that its sender takes over UDP, in bytes; values below 512 mean 512.
    pub udp_payload_len: u16,
    /// The high eight bits of the response code.
    pub extended_rcode: u8,
    /// The version, 0.
    pub version: u8,
    /// The sender wants DNSSEC records (DO, RFC 3225).
    pub dnssec_ok: bool,
}

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordData<'a> {
    /// An IPv4 address.
    A(Addr),
    /// An IPv6 address.
    Aaaa(Addr),
    /// The name that is the true one.
    Cname(NameRef<'a>),
    /// The name of an address.
    Ptr(NameRef<'a>),
    /// A name server.
    Ns(NameRef<'a>),
    /// EDNS; class and TTL of the record are part of it.
    Opt(Edns),
    /// Anything else, as it stands in the message.
    Other(&'a [u8]),
}

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it stands.
    pub section: Section,
    /// Whose it is.
    pub name: NameRef<'a>,
    /// Its kind.
    pub kind: RecordType,
    /// Its class.
    pub class: RecordClass,
    /// For how many seconds it may be kept; values with the high bit set mean 0 (RFC 2181, section 8).
    pub ttl_s: u32,
    /// What it holds.
    pub data: RecordData<'a>,
}

impl<'a> Record<'a> {
    /// Reads the record at `at` of `message`; gives back where it ends.
    pub(super) fn parse(
        message: &'a [u8],
        at: usize,
        section: Section,
    ) -> Result<(Record<'a>, usize), Malformed> {
        let (name, at) = NameRef::parse(message, at)?;
        let &[t0, t1, c0, c1, l0, l1, l2, l3, d0, d1] =
            message.get(at..).and_then(|rest| rest.first_chunk()).ok_or(Malformed::TooShort)?;
        let kind = RecordType(u16::from_be_bytes([t0, t1]));
        let class = RecordClass(u16::from_be_bytes([c0, c1]));
        let ttl_s = u32::from_be_bytes([l0, l1, l2, l3]);
        let at = at + 10;
        let end = at + usize::from(u16::from_be_bytes([d0, d1]));
        let bytes = message.get(at..end).ok_or(Malformed::TooShort)?;
        let name_alone = || match NameRef::parse(message, at)? {
            (name, stop) if stop == end => Ok(name),
            _ => Err(Malformed::Length),
        };
        let data = match (kind, class) {
            (RecordType::OPT, _) => RecordData::Opt(Edns {
                udp_payload_len: class.0,
                extended_rcode: l0,
                version: l1,
                dnssec_ok: l2 & 0x80 != 0,
            }),
            (RecordType::A, RecordClass::IN) => {
                RecordData::A(Addr::v4(bytes.try_into().map_err(|_| Malformed::Length)?))
            }
            (RecordType::AAAA, RecordClass::IN) => {
                RecordData::Aaaa(Addr::v6(bytes.try_into().map_err(|_| Malformed::Length)?))
            }
            (RecordType::CNAME, _) => RecordData::Cname(name_alone()?),
            (RecordType::PTR, _) => RecordData::Ptr(name_alone()?),
            (RecordType::NS, _) => RecordData::Ns(name_alone()?),
            _ => RecordData::Other(bytes),
        };
        let ttl_s = if ttl_s > i32::MAX as u32 { 0 } else { ttl_s };
        Ok((Record { section, name, kind, class, ttl_s, data }, end))
    }
}
