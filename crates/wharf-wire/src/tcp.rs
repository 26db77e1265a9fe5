//! TCP segments (RFC 9293, section 3.1): the header here, what may follow its fixed part in [`options`].
//!
//! Parsing looks at lengths only, because a device may vouch for the checksum; [`verify_checksum`] looks at that. What
//! the numbers mean (windows are scaled, sequence numbers wrap) is the stack's business.

pub mod options;

use core::fmt;
use core::ops::{BitOr, BitOrAssign};

use wharf_table::Addr;

use crate::Malformed;
use crate::checksum::pseudo_header;
use crate::protocol::TCP;

pub use options::{SackBlocks, TcpOptions};

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;
/// Bytes of a header with timestamps and no other option.
pub const USUAL_LEN: usize = 32;
/// The most bytes that a header can have.
pub const MAX_HEADER_LEN: usize = 60;
/// Where the checksum stands in the header.
pub const CHECKSUM_OFFSET: usize = 16;

/// The control bits of a segment (RFC 9293, section 3.1; ECE and CWR: RFC 3168, section 6.1).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct TcpFlags(u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: TcpFlags = TcpFlags(0x01);
    /// Synchronize sequence numbers.
    pub const SYN: TcpFlags = TcpFlags(0x02);
    /// Reset the connection.
    pub const RST: TcpFlags = TcpFlags(0x04);
    /// Push function.
    pub const PSH: TcpFlags = TcpFlags(0x08);
    /// The acknowledgment field counts.
    pub const ACK: TcpFlags = TcpFlags(0x10);
    /// The urgent pointer counts.
    pub const URG: TcpFlags = TcpFlags(0x20);
    /// ECN echo.
    pub const ECE: TcpFlags = TcpFlags(0x40);
    /// Congestion window reduced.
    pub const CWR: TcpFlags = TcpFlags(0x80);
    /// None of them.
    pub const NONE: TcpFlags = TcpFlags(0);

    /// The flags with these bits, as byte 13 of the header holds them.
    pub const fn from_bits(bits: u8) -> TcpFlags {
        TcpFlags(bits)
    }

    /// The bits, as byte 13 of the header holds them.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether all of `flags` are set.
    pub const fn contains(self, flags: TcpFlags) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Whether any of `flags` is set.
    pub const fn intersects(self, flags: TcpFlags) -> bool {
        self.0 & flags.0 != 0
    }

    /// These flags and `flags`.
    #[must_use]
    pub const fn union(self, flags: TcpFlags) -> TcpFlags {
        TcpFlags(self.0 | flags.0)
    }
}

impl BitOr for TcpFlags {
    type Output = TcpFlags;
    fn bitor(self, flags: TcpFlags) -> TcpFlags {
        self.union(flags)
    }
}

impl BitOrAssign for TcpFlags {
    fn bitor_assign(&mut self, flags: TcpFlags) {
        *self = self.union(flags);
    }
}

impl fmt::Debug for TcpFlags {
    /// `SYN|ACK`; `-` for none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
        let mut separator = "";
        for (bit, name) in NAMES.iter().enumerate() {
            if self.0 >> bit & 1 == 1 {
                write!(f, "{separator}{name}")?;
                separator = "|";
            }
        }
        if self.0 == 0 { f.write_str("-") } else { Ok(()) }
    }
}

/// What a TCP header means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpRepr {
    /// The sender's port; 0 is possible on the wire and means nothing.
    pub src_port: u16,
    /// The receiver's port; 0 is possible on the wire and means nothing.
    pub dst_port: u16,
    /// The sequence number of the first byte, or of the SYN.
    pub seq: u32,
    /// The next sequence number that the sender expects; counts only with [`TcpFlags::ACK`].
    pub ack: u32,
    /// The control bits.
    pub flags: TcpFlags,
    /// The receive window as it stands on the wire: not scaled.
    pub window: u16,
    /// The urgent pointer; counts only with [`TcpFlags::URG`].
    pub urgent: u16,
    /// What the options say.
    pub options: TcpOptions,
}

impl TcpRepr {
    /// Reads the header of `segment`; the payload is given back. Malformed options end the options, and not the segment, as
    /// in Linux.
    ///
    /// # Errors
    /// [`Malformed::TooShort`] below 20 bytes, [`Malformed::HeaderLength`] when the data offset is below 5 or beyond the
    /// segment.
    #[inline]
    pub fn parse(segment: &[u8]) -> Result<(TcpRepr, &[u8]), Malformed> {
        let mut repr = TcpRepr::EMPTY;
        let payload = repr.read(segment)?;
        Ok((repr, payload))
    }

    /// A header that says nothing.
    pub const EMPTY: TcpRepr = TcpRepr {
        src_port: 0,
        dst_port: 0,
        seq: 0,
        ack: 0,
        flags: TcpFlags::NONE,
        window: 0,
        urgent: 0,
        options: TcpOptions::NONE,
    };

    /// [`TcpRepr::parse`] into [`TcpRepr::EMPTY`], where it stands: to move a header that was just put together costs as much
    /// as to read it.
    ///
    /// # Errors
    /// The same.
    #[inline]
    pub fn read<'a>(&mut self, segment: &'a [u8]) -> Result<&'a [u8], Malformed> {
        let header = segment.first_chunk::<HEADER_LEN>().ok_or(Malformed::TooShort)?;
        let header_len = usize::from(header[12] >> 4) * 4;
        let Some((options, payload)) =
            segment[HEADER_LEN..].split_at_checked(header_len.wrapping_sub(HEADER_LEN))
        else {
            return Err(Malformed::HeaderLength);
        };
        self.src_port = u16::from_be_bytes([header[0], header[1]]);
        self.dst_port = u16::from_be_bytes([header[2], header[3]]);
        self.seq = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        self.ack = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
        self.flags = TcpFlags(header[13]);
        self.window = u16::from_be_bytes([header[14], header[15]]);
        self.urgent = u16::from_be_bytes([header[18], header[19]]);
        self.options.read(options, self.flags);
        Ok(payload)
    }

    /// Bytes that [`TcpRepr::emit`] writes: 20 to 60, a multiple of 4.
    pub const fn header_len(&self) -> usize {
        HEADER_LEN + self.options.len()
    }

    /// The bytes of a header that has timestamps and no other option, its checksum zero, as words in the order of memory:
    /// what [`TcpRepr::emit`] writes. `None` for another header. Bytes that are written one by one can't be summed or copied
    /// at once without waiting for the last of them.
    #[inline]
    pub fn usual(&self) -> Option<[u64; USUAL_LEN / 8]> {
        let (value, echo) = self.options.only_timestamps()?;
        let wide = |high: u32, low: u32| (u64::from(high) << 32 | u64::from(low)).to_be();
        let ports = u32::from(self.src_port) << 16 | u32::from(self.dst_port);
        const OFFSET: u32 = (USUAL_LEN as u32 / 4) << 28;
        let flags = OFFSET | u32::from(self.flags.bits()) << 16 | u32::from(self.window);
        let option = u32::from_be_bytes(options::TIMESTAMPS_HEAD);
        Some([
            wide(ports, self.seq),
            wide(self.ack, flags),
            wide(self.urgent.into(), option),
            wide(value, echo),
        ])
    }

    /// Writes the header to the front of `buf`, its checksum zero, its options in Linux' order: mss, sackOK, TS, nop,
    /// wscale on a SYN; nop nop TS, nop nop SACK on others.
    ///
    /// # Panics
    /// When `buf` is shorter than [`TcpRepr::header_len`].
    #[inline]
    pub fn emit(&self, buf: &mut [u8]) {
        let header_len = self.header_len();
        let (header, rest) =
            buf.split_first_chunk_mut::<HEADER_LEN>().expect("the buffer holds a TCP header");
        header[0..2].copy_from_slice(&self.src_port.to_be_bytes());
        header[2..4].copy_from_slice(&self.dst_port.to_be_bytes());
        header[4..8].copy_from_slice(&self.seq.to_be_bytes());
        header[8..12].copy_from_slice(&self.ack.to_be_bytes());
        header[12] = (header_len as u8 / 4) << 4;
        header[13] = self.flags.bits();
        header[14..16].copy_from_slice(&self.window.to_be_bytes());
        header[16..18].fill(0);
        header[18..20].copy_from_slice(&self.urgent.to_be_bytes());
        self.options.emit(&mut rest[..header_len - HEADER_LEN]);
    }
}

/// Writes the checksum of `segment` (header and payload) into its header.
///
/// # Panics
/// When `segment` is shorter than a header.
pub fn fill_checksum(src: Addr, dst: Addr, segment: &mut [u8]) {
    segment[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2].fill(0);
    let sum = pseudo_header(src, dst, TCP, segment.len() as u32).with(segment).finish();
    segment[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2].copy_from_slice(&sum.to_be_bytes());
}

/// Looks at the checksum of `segment`, the whole payload of its IP packet (RFC 9293, section 3.1: MUST-3).
///
/// # Errors
/// [`Malformed::Checksum`].
pub fn verify_checksum(src: Addr, dst: Addr, segment: &[u8]) -> Result<(), Malformed> {
    let sum = pseudo_header(src, dst, TCP, segment.len() as u32).with(segment);
    if sum.is_valid() { Ok(()) } else { Err(Malformed::Checksum) }
}

#[cfg(test)]
mod tests;
