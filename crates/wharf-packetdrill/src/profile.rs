//! Whose habits the host has on the wire where RFCs leave the choice: Linux' own, or FreeBSD's for scripts that were written
//! for FreeBSD (`profile=freebsd`).
//!
//! FreeBSD's: the order of the options of a SYN (mss; nop, wscale; sackOK, TS), put into that order as packets leave, as the
//! stack itself knows one order only; a receive buffer of 64 KiB, of which the first window is all that its field says,
//! rounded up to whole segments once the connection is established; a window scale for buffers of 2 MiB; the same defaults
//! whatever the network namespace says.
//!
//! Deliberately not here: its timers, its congestion control and its system calls.

use std::mem::take;

use wharf_stack::tcp::Settings as TcpSettings;

/// Whose habits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Profile {
    #[default]
    Linux,
    FreeBsd,
}

/// net.inet.tcp.recvspace of FreeBSD.
const RECEIVE_SPACE: u32 = 65_536;
/// kern.ipc.maxsockbuf of FreeBSD.
const MOST_BUFFER: u32 = 2 << 20;
/// net.inet.tcp.sendspace of FreeBSD.
const SEND_SPACE: u32 = 32_768;

/// Where the options begin in a TCP header, and the numbers of those that FreeBSD puts in another order.
const OPTIONS_AT: usize = 20;
const NOP: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const TIMESTAMPS: u8 = 8;
const SYN: u8 = 2;
const TCP: u8 = 6;

impl Profile {
    /// The settings that sockets begin with; nothing for Linux, of which they are.
    pub(crate) fn prepare(self, tcp: &mut TcpSettings) {
        if self == Profile::FreeBsd {
            // The scale follows from what the buffer may become; the window begins with 64 KiB.
            (tcp.receive_buffer, tcp.send_buffer) = (MOST_BUFFER, SEND_SPACE);
        }
    }

    /// What SO_RCVBUF says of a socket whose buffer nobody has set.
    pub(crate) fn receive_buffer(self, segment: Option<u16>) -> Option<u32> {
        let whole = |segment: u16| RECEIVE_SPACE.next_multiple_of(segment.max(1).into());
        (self == Profile::FreeBsd).then(|| segment.map_or(RECEIVE_SPACE, whole))
    }

    /// A packet leaves.
    pub(crate) fn dress(self, packet: &mut [u8]) {
        if self == Profile::FreeBsd
            && let Some(segment) = segment_of(packet)
        {
            reorder(segment);
        }
    }
}

/// The TCP segment in a packet; `None` for anything else.
fn segment_of(packet: &mut [u8]) -> Option<&mut [u8]> {
    let at = match packet.first()? >> 4 {
        4 if *packet.get(9)? == TCP => usize::from(packet[0] & 15) * 4,
        6 if *packet.get(6)? == TCP => 40,
        _ => return None,
    };
    packet.get_mut(at..).filter(|segment| segment.len() >= OPTIONS_AT)
}

/// Puts the options of a SYN into FreeBSD's order, without changing how much room they take.
fn reorder(segment: &mut [u8]) {
    let end = usize::from(segment[12] >> 4) * 4;
    if segment[13] & SYN == 0 || !(OPTIONS_AT..=segment.len()).contains(&end) {
        return;
    }
    let before = sum(&segment[OPTIONS_AT..end]);
    let Some(ordered) = in_order(&segment[OPTIONS_AT..end]) else { return };
    segment[OPTIONS_AT..end].copy_from_slice(&ordered);
    // RFC 1624, section 3: HC' = ~(~HC + ~m + m').
    let checksum = u32::from(u16::from_be_bytes([segment[16], segment[17]]));
    let after = fold((!checksum & 0xffff) + (!before & 0xffff) + sum(&ordered));
    segment[16..18].copy_from_slice(&(!(after as u16)).to_be_bytes());
}

/// The options in FreeBSD's order; `None` when there are others than those of its SYN, or they would not fit.
fn in_order(options: &[u8]) -> Option<Vec<u8>> {
    let (mut mss, mut scale, mut sack, mut clock) = (&[][..], &[][..], &[][..], &[][..]);
    let mut rest = options;
    while let Some(&kind) = rest.first() {
        if kind == NOP {
            rest = &rest[1..];
            continue;
        }
        let len = usize::from(*rest.get(1)?);
        let (option, behind) = (rest.get(..len)?, rest.get(len..)?);
        let place = match kind {
            MSS => &mut mss,
            WINDOW_SCALE => &mut scale,
            SACK_PERMITTED => &mut sack,
            TIMESTAMPS => &mut clock,
            _ => return None,
        };
        if len < 2 || !place.is_empty() {
            return None;
        }
        (*place, rest) = (option, behind);
    }
    let mut ordered = take(&mut mss).to_vec();
    if !scale.is_empty() {
        ordered.push(NOP);
        ordered.extend_from_slice(scale);
    }
    ordered.extend_from_slice(sack);
    if !clock.is_empty() {
        // Its numbers begin two bytes behind a word.
        while ordered.len() % 4 != 2 {
            ordered.push(NOP);
        }
        ordered.extend_from_slice(clock);
    }
    // What is left is filled with the end of the list.
    (ordered.len() <= options.len()).then(|| {
        ordered.resize(options.len(), 0);
        ordered
    })
}

/// The ones' complement sum of whole words.
fn sum(bytes: &[u8]) -> u32 {
    fold(bytes.chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum())
}

fn fold(sum: u32) -> u32 {
    let once = (sum & 0xffff) + (sum >> 16);
    (once & 0xffff) + (once >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_a_syn_stand_as_freebsd_has_them() {
        let linux = [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 7, 0, 0, 0, 0, 1, 3, 3, 6];
        let freebsd = [2, 4, 5, 180, 1, 3, 3, 6, 4, 2, 8, 10, 0, 0, 0, 7, 0, 0, 0, 0];
        assert_eq!(in_order(&linux).unwrap(), freebsd);
        let without_clock = [2, 4, 5, 180, 1, 1, 4, 2, 1, 3, 3, 6];
        assert_eq!(in_order(&without_clock).unwrap(), [2, 4, 5, 180, 1, 3, 3, 6, 4, 2, 0, 0]);
        assert_eq!(in_order(&[5, 10, 0, 0]), None);
        assert_eq!(in_order(&[2, 0, 0, 0]), None);
    }

    #[test]
    fn the_checksum_stays_right() {
        let mut packet = vec![0x45, 0, 0, 60, 0, 0, 0, 0, 64, TCP, 0, 0, 192, 168, 0, 1, 192, 0, 2, 1];
        packet.extend_from_slice(&[0xb8, 0xa3, 0x1f, 0x90, 1, 2, 3, 4, 0, 0, 0, 0, 0xa0, SYN, 255, 255]);
        packet.extend_from_slice(&[0, 0, 0, 0]);
        packet.extend_from_slice(&[2, 4, 5, 180, 4, 2, 8, 10, 9, 8, 7, 6, 0, 0, 0, 0, 1, 3, 3, 6]);
        let whole = !(sum(&packet[20..]) as u16);
        packet[36..38].copy_from_slice(&whole.to_be_bytes());
        let plain = packet.clone();
        Profile::Linux.dress(&mut packet);
        assert_eq!(packet, plain);
        Profile::FreeBsd.dress(&mut packet);
        assert_ne!(packet, plain);
        assert_eq!(sum(&packet[20..]), 0xffff);
    }
}
