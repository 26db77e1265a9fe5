//! The answer to a segment for no connection (RFC 9293, section 3.10.7.1).

use wharf_wire::tcp::{TcpFlags, TcpOptions, TcpRepr};

/// The RST that answers `segment`, which came with `payload_len` bytes and is for no connection; `None` when it is a RST
/// itself.
pub fn reset_for(segment: &TcpRepr, payload_len: usize) -> Option<TcpRepr> {
    if segment.flags.contains(TcpFlags::RST) {
        return None;
    }
    let (seq, ack, flags) = if segment.flags.contains(TcpFlags::ACK) {
        (segment.ack, 0, TcpFlags::RST)
    } else {
        let controls = u32::from(segment.flags.contains(TcpFlags::SYN))
            + u32::from(segment.flags.contains(TcpFlags::FIN));
        let len = controls.wrapping_add(payload_len as u32);
        (0, segment.seq.wrapping_add(len), TcpFlags::RST | TcpFlags::ACK)
    };
    Some(TcpRepr {
        src_port: segment.dst_port,
        dst_port: segment.src_port,
        seq,
        ack,
        flags,
        window: 0,
        urgent: 0,
        options: TcpOptions::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(flags: TcpFlags) -> TcpRepr {
        let options = TcpOptions::default();
        TcpRepr { src_port: 1, dst_port: 2, seq: 100, ack: 500, flags, window: 9, urgent: 0, options }
    }

    #[test]
    fn a_segment_with_ack_is_reset_where_it_acknowledges() {
        let reset = reset_for(&segment(TcpFlags::ACK | TcpFlags::SYN), 7).expect("not a RST");
        assert_eq!((reset.seq, reset.ack, reset.flags), (500, 0, TcpFlags::RST));
        assert_eq!((reset.src_port, reset.dst_port), (2, 1));
    }

    #[test]
    fn a_segment_without_ack_is_acknowledged_whole() {
        let reset = reset_for(&segment(TcpFlags::SYN | TcpFlags::FIN), 7).expect("not a RST");
        assert_eq!((reset.seq, reset.ack, reset.flags), (0, 109, TcpFlags::RST | TcpFlags::ACK));
    }

    #[test]
    fn a_reset_is_never_answered() {
        assert_eq!(reset_for(&segment(TcpFlags::RST | TcpFlags::ACK), 0), None);
    }
}
