//! Cuts a datagram to the size of a link.

use alloc::vec;
use alloc::vec::Vec;

use wharf_table::{Addr, DropReason};
use wharf_wire::ipv4::{self, Ipv4Repr};
use wharf_wire::ipv6::extension::FRAGMENT_HEADER_LEN;
use wharf_wire::ipv6::{self, Fragment, Ipv6Repr};
use wharf_wire::protocol;

use super::{DATAGRAM_MAX, UNIT};

/// What the headers of all fragments of a datagram have in common.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing {
    /// Who sends it.
    pub src: Addr,
    /// Who is to take it, of the same family.
    pub dst: Addr,
    /// The protocol of the message.
    pub protocol: u8,
    /// How many hops it may go.
    pub hop_limit: u8,
    /// Its type of service or traffic class.
    pub traffic_class: u8,
    /// Tells its fragments from those of others; IPv4 has room for the low 16 bits.
    pub identification: u32,
}

/// Cuts `message`, the whole transport message with its checksum, into IP packets of at most `mtu` bytes, in order.
/// Every payload but the last one's is as long as fits and a multiple of 8.
///
/// # Errors
/// [`DropReason::TooBig`] when the message is longer than a datagram can be, or the link carries not even 8 bytes of it.
pub fn cut(
    datagram: &Outgoing,
    message: &[u8],
    mtu: usize,
) -> Result<impl Iterator<Item = Vec<u8>>, DropReason> {
    let (header_len, most) = if datagram.src.is_v4() {
        (ipv4::HEADER_LEN, DATAGRAM_MAX - ipv4::HEADER_LEN)
    } else {
        (ipv6::HEADER_LEN + FRAGMENT_HEADER_LEN, DATAGRAM_MAX)
    };
    let room = mtu.saturating_sub(header_len) / UNIT * UNIT;
    if room == 0 || message.len() > most {
        return Err(DropReason::TooBig);
    }
    let datagram = *datagram;
    let last = message.len().saturating_sub(1) / room;
    Ok(message.chunks(room).enumerate().map(move |(index, piece)| {
        let place = Place { offset: (index * room) as u16, more: index < last };
        let mut packet = vec![0; header_len + piece.len()];
        let (header, payload) = packet.split_at_mut(header_len);
        payload.copy_from_slice(piece);
        if datagram.src.is_v4() {
            datagram.emit_v4(place, piece.len(), header);
        } else {
            datagram.emit_v6(place, piece.len(), header);
        }
        packet
    }))
}

/// Where a fragment belongs.
#[derive(Clone, Copy)]
struct Place {
    offset: u16,
    more: bool,
}

impl Outgoing {
    fn emit_v4(&self, place: Place, payload_len: usize, header: &mut [u8]) {
        let ip = Ipv4Repr {
            src: self.src,
            dst: self.dst,
            protocol: self.protocol,
            hop_limit: self.hop_limit,
            dscp_ecn: self.traffic_class,
            identification: self.identification as u16,
            dont_fragment: false,
            more_fragments: place.more,
            fragment_offset: place.offset,
            payload_len,
        };
        ip.emit(header);
    }

    fn emit_v6(&self, place: Place, payload_len: usize, header: &mut [u8]) {
        let ip = Ipv6Repr {
            src: self.src,
            dst: self.dst,
            next_header: protocol::FRAGMENT,
            hop_limit: self.hop_limit,
            traffic_class: self.traffic_class,
            flow_label: 0,
            payload_len: FRAGMENT_HEADER_LEN + payload_len,
        };
        ip.emit(header);
        let fragment = Fragment {
            offset: place.offset,
            more: place.more,
            identification: self.identification,
            next_header: self.protocol,
            unfragmentable_len: 0,
        };
        fragment.emit(&mut header[ipv6::HEADER_LEN..]);
    }
}
