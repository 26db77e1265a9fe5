//! The options of neighbour discovery messages (RFC 4861, section 4.6; recursive DNS: RFC 8106, section 5.1).

use arrayvec::ArrayVec;
use wharf_table::Addr;

use super::MAX_PREFIXES;
use crate::{HardwareAddr, Malformed};

/// Name servers of one option that are kept: what resolvers use (`MAXNS` of resolv.conf).
pub const MAX_DNS_SERVERS: usize = 3;

pub(super) const MTU_LEN: usize = 8;
pub(super) const PREFIX_LEN: usize = 32;

const SOURCE_HARDWARE: u8 = 1;
const TARGET_HARDWARE: u8 = 2;
const PREFIX: u8 = 3;
const MTU: u8 = 5;
const RECURSIVE_DNS: u8 = 25;

/// A prefix of the link (RFC 4861, section 4.6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixInfo {
    /// The prefix; the bits behind its length are ignored by the receiver.
    pub prefix: Addr,
    /// How many bits of it count, 0 to 128.
    pub prefix_len: u8,
    /// Addresses with this prefix are neighbours.
    pub on_link: bool,
    /// Hosts may make addresses of it by themselves (RFC 4862).
    pub autonomous: bool,
    /// For how many seconds it is valid; all ones for ever.
    pub valid_s: u32,
    /// For how many seconds addresses made of it are preferred; all ones for ever.
    pub preferred_s: u32,
}

/// Name servers (RFC 8106, section 5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecursiveDns {
    /// For how many seconds they may be used; all ones for ever.
    pub lifetime_s: u32,
    /// Their addresses, the first to be asked first.
    pub servers: ArrayVec<Addr, MAX_DNS_SERVERS>,
}

/// Everything that the options of a message say.
#[derive(Default)]
pub(super) struct Options {
    pub(super) source_hardware: Option<HardwareAddr>,
    pub(super) target_hardware: Option<HardwareAddr>,
    pub(super) mtu: Option<u32>,
    pub(super) prefixes: ArrayVec<PrefixInfo, MAX_PREFIXES>,
    pub(super) dns: Option<RecursiveDns>,
}

impl Options {
    pub(super) fn parse(mut rest: &[u8]) -> Result<Options, Malformed> {
        let mut options = Options::default();
        while !rest.is_empty() {
            let &[kind, units, ..] = rest else { return Err(Malformed::Option) };
            // A length of zero ends the message as a whole (RFC 4861, section 4.6: MUST silently discard).
            if units == 0 {
                return Err(Malformed::Option);
            }
            let (option, behind) = rest.split_at_checked(usize::from(units) * 8).ok_or(Malformed::Option)?;
            options.take(kind, option);
            rest = behind;
        }
        Ok(options)
    }

    fn take(&mut self, kind: u8, option: &[u8]) {
        match (kind, option) {
            (SOURCE_HARDWARE, &[_, _, a, b, c, d, e, f]) => {
                self.source_hardware = Some(HardwareAddr([a, b, c, d, e, f]));
            }
            (TARGET_HARDWARE, &[_, _, a, b, c, d, e, f]) => {
                self.target_hardware = Some(HardwareAddr([a, b, c, d, e, f]));
            }
            (MTU, &[_, _, _, _, a, b, c, d]) => self.mtu = Some(u32::from_be_bytes([a, b, c, d])),
            (PREFIX, option) => {
                if let Some(prefix) = PrefixInfo::parse(option) {
                    // More than are kept: passed over.
                    let _ = self.prefixes.try_push(prefix);
                }
            }
            (RECURSIVE_DNS, option) => self.dns = RecursiveDns::parse(option).or(self.dns.take()),
            _ => {}
        }
    }
}

impl PrefixInfo {
    fn parse(option: &[u8]) -> Option<PrefixInfo> {
        let option: &[u8; PREFIX_LEN] = option.try_into().ok()?;
        let word = |at: usize| u32::from_be_bytes(core::array::from_fn(|i| option[at + i]));
        (option[2] <= 128).then(|| PrefixInfo {
            prefix: Addr::v6(core::array::from_fn(|i| option[16 + i])),
            prefix_len: option[2],
            on_link: option[3] & 0x80 != 0,
            autonomous: option[3] & 0x40 != 0,
            valid_s: word(4),
            preferred_s: word(8),
        })
    }

    pub(super) fn emit(&self, writer: &mut Writer<'_>) {
        let flags = if self.on_link { 0x80 } else { 0 } | if self.autonomous { 0x40 } else { 0 };
        writer.put(&[PREFIX, (PREFIX_LEN / 8) as u8, self.prefix_len, flags]);
        writer.put(&self.valid_s.to_be_bytes());
        writer.put(&self.preferred_s.to_be_bytes());
        writer.put(&[0; 4]);
        writer.put(&self.prefix.octets());
    }
}

impl RecursiveDns {
    fn parse(option: &[u8]) -> Option<RecursiveDns> {
        let (&[_, _, _, _, a, b, c, d], rest) = option.split_first_chunk::<8>()?;
        let (addrs, odd) = rest.as_chunks::<16>();
        if addrs.is_empty() || !odd.is_empty() {
            return None;
        }
        let servers = addrs.iter().take(MAX_DNS_SERVERS).map(|octets| Addr::v6(*octets)).collect();
        Some(RecursiveDns { lifetime_s: u32::from_be_bytes([a, b, c, d]), servers })
    }

    /// Bytes on the wire; nothing without servers.
    pub(super) fn len(&self) -> usize {
        if self.servers.is_empty() { 0 } else { 8 + self.servers.len() * 16 }
    }

    pub(super) fn emit(&self, writer: &mut Writer<'_>) {
        if self.servers.is_empty() {
            return;
        }
        writer.put(&[RECURSIVE_DNS, (self.len() / 8) as u8, 0, 0]);
        writer.put(&self.lifetime_s.to_be_bytes());
        for server in &self.servers {
            writer.put(&server.octets());
        }
    }
}

/// Bytes of the option that carries a hardware address.
pub(super) fn hardware_len(addr: Option<HardwareAddr>) -> usize {
    if addr.is_some() { 8 } else { 0 }
}

/// Writes a message from its front to its end.
pub(super) struct Writer<'a> {
    rest: &'a mut [u8],
}

impl<'a> Writer<'a> {
    pub(super) fn new(buf: &'a mut [u8]) -> Writer<'a> {
        Writer { rest: buf }
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        let (front, behind) = core::mem::take(&mut self.rest).split_at_mut(bytes.len());
        front.copy_from_slice(bytes);
        self.rest = behind;
    }

    pub(super) fn source_hardware(&mut self, addr: Option<HardwareAddr>) {
        self.hardware(SOURCE_HARDWARE, addr);
    }

    pub(super) fn target_hardware(&mut self, addr: Option<HardwareAddr>) {
        self.hardware(TARGET_HARDWARE, addr);
    }

    fn hardware(&mut self, kind: u8, addr: Option<HardwareAddr>) {
        if let Some(addr) = addr {
            self.put(&[kind, 1]);
            self.put(&addr.0);
        }
    }

    pub(super) fn mtu(&mut self, mtu: u32) {
        self.put(&[MTU, 1, 0, 0]);
        self.put(&mtu.to_be_bytes());
    }
}
