//! Structures that a script reads: `struct tcp_info` and what the error queue holds.

use wharf_stack::socket::{Domain, QueuedError};
use wharf_stack::tcp::{State, TcpInfo};
use wharf_table::Endpoint;

use crate::address;
use crate::message::{Control, Received};

/// Bytes of the structure as it is written here, and where two of its members stand.
const LEN: usize = 240;
const UNACKED: usize = 24;
const SACKED: usize = 28;
/// `SO_EE_ORIGIN_ZEROCOPY` and `SO_EE_CODE_ZEROCOPY_COPIED` (Linux' include/uapi/linux/errqueue.h).
const ORIGIN_ZERO_COPY: u8 = 5;
const COPIED: u8 = 1;
/// `TCP_CLOSE` and `TCP_LISTEN`.
const CLOSE: u8 = 7;
const LISTEN: u8 = 10;

/// The bytes of a `struct tcp_info` (Linux' include/uapi/linux/tcp.h), which getsockopt(2) cuts to what was asked for.
pub(crate) fn tcp_info(info: &TcpInfo) -> Vec<u8> {
    let mut bytes = vec![
        state_number(info.state),
        info.ca_state as u8,
        info.retransmits,
        info.probes,
        info.backoff,
        info.options.bits(),
        info.snd_wscale & 15 | info.rcv_wscale << 4,
        info.delivery_rate_app_limited.into(),
    ];
    let mut word = |numbers: &[u32]| numbers.iter().for_each(|number| bytes.extend(number.to_ne_bytes()));
    word(&[info.rto, info.ato, info.snd_mss, info.rcv_mss]);
    word(&[info.unacked, info.sacked, info.lost, info.retrans, 0]);
    word(&[info.last_data_sent, 0, info.last_data_recv, info.last_ack_recv]);
    word(&[info.pmtu, info.rcv_ssthresh, info.rtt, info.rttvar, info.snd_ssthresh, info.snd_cwnd]);
    word(&[info.advmss, info.reordering, info.rcv_rtt, info.rcv_space, info.total_retrans]);
    let mut long = |numbers: &[u64]| numbers.iter().for_each(|number| bytes.extend(number.to_ne_bytes()));
    long(&[info.pacing_rate, info.max_pacing_rate, info.bytes_acked, info.bytes_received]);
    let mut word = |numbers: &[u32]| numbers.iter().for_each(|number| bytes.extend(number.to_ne_bytes()));
    word(&[info.segs_out, info.segs_in, info.notsent_bytes, info.min_rtt]);
    word(&[info.data_segs_in, info.data_segs_out]);
    let mut long = |numbers: &[u64]| numbers.iter().for_each(|number| bytes.extend(number.to_ne_bytes()));
    long(&[info.delivery_rate, info.busy_time, info.rwnd_limited, info.sndbuf_limited]);
    bytes.extend(info.delivered.to_ne_bytes());
    bytes.extend(info.delivered_ce.to_ne_bytes());
    bytes.extend(info.bytes_sent.to_ne_bytes());
    bytes.extend(info.bytes_retrans.to_ne_bytes());
    // The last: changes of the path, which nobody counts here.
    for number in [info.dsack_dups, info.reord_seen, info.rcv_ooopack, info.snd_wnd, info.rcv_wnd, 0] {
        bytes.extend(number.to_ne_bytes());
    }
    bytes
}

/// The same of a socket without a connection: closed, or listening with so many of so many connections to be accepted.
pub(crate) fn without_connection(backlog: Option<(usize, u32)>) -> Vec<u8> {
    let mut bytes = vec![0; LEN];
    bytes[0] = if backlog.is_some() { LISTEN } else { CLOSE };
    if let Some((waiting, limit)) = backlog {
        bytes[UNACKED..UNACKED + 4].copy_from_slice(&(waiting as u32).to_ne_bytes());
        bytes[SACKED..SACKED + 4].copy_from_slice(&limit.to_ne_bytes());
    }
    bytes
}

/// The numbers of Linux' `TCP_ESTABLISHED` and its kin.
fn state_number(state: State) -> u8 {
    match state {
        State::Established => 1,
        State::SynSent => 2,
        State::SynReceived => 3,
        State::FinWait1 => 4,
        State::FinWait2 => 5,
        // Linux' socket is closed while its TIME-WAIT is a thing of its own.
        State::TimeWait | State::Closed => 7,
        State::CloseWait => 8,
        State::LastAck => 9,
        State::Closing => 11,
    }
}

/// What MSG_ERRQUEUE gives: the start of the datagram that failed, and why as a `struct sock_extended_err`.
pub(crate) fn queued_error(error: &QueuedError, len: usize) -> Received {
    let v4 = error.destination.addr.is_v4();
    let mut data = (error.errno.number() as u32).to_ne_bytes().to_vec();
    data.extend([error.origin as u8, error.kind, error.code, 0]);
    data.extend(error.info.to_ne_bytes());
    data.extend([0; 4]);
    let domain = if v4 { Domain::V4 } else { Domain::V6 };
    data.extend(address::bytes(domain, Endpoint::new(error.offender, 0)));
    let (level, kind) =
        if v4 { (libc::IPPROTO_IP, libc::IP_RECVERR) } else { (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) };
    let bytes = error.payload[..error.payload.len().min(len)].to_vec();
    let cut = if bytes.len() < error.payload.len() { libc::MSG_TRUNC } else { 0 };
    Received {
        answer: bytes.len() as i64,
        bytes,
        from: Some((domain, error.destination)),
        flags: libc::MSG_ERRQUEUE | cut,
        control: vec![Control { level, kind, data }],
    }
}

/// What MSG_ERRQUEUE gives of sends with MSG_ZEROCOPY: that those from the first to the last number were copied.
pub(crate) fn zero_copy(domain: Domain, (first, last): (u32, u32)) -> Received {
    let mut data = 0_u32.to_ne_bytes().to_vec();
    data.extend([ORIGIN_ZERO_COPY, 0, COPIED, 0]);
    data.extend(first.to_ne_bytes());
    data.extend(last.to_ne_bytes());
    let (level, kind) = match domain {
        Domain::V4 => (libc::IPPROTO_IP, libc::IP_RECVERR),
        Domain::V6 => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
    };
    // Nobody is the offender.
    data.extend(vec![0; if domain == Domain::V4 { 16 } else { 28 }]);
    Received {
        flags: libc::MSG_ERRQUEUE,
        control: vec![Control { level, kind, data }],
        ..Received::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_stack::tcp::{CaState, CongestionKind, InfoOptions};

    /// A different number in every member.
    fn sample() -> TcpInfo {
        TcpInfo {
            state: State::Established,
            ca_state: CaState::default(),
            retransmits: 1,
            probes: 2,
            backoff: 3,
            options: InfoOptions::default(),
            snd_wscale: 4,
            rcv_wscale: 5,
            delivery_rate_app_limited: true,
            rto: 1006,
            ato: 1007,
            snd_mss: 1008,
            rcv_mss: 1009,
            unacked: 1010,
            sacked: 1011,
            lost: 1012,
            retrans: 1013,
            last_data_sent: 1014,
            last_data_recv: 1015,
            last_ack_recv: 1016,
            pmtu: 1017,
            rcv_ssthresh: 1018,
            rtt: 1019,
            rttvar: 1020,
            snd_ssthresh: 1021,
            snd_cwnd: 1022,
            advmss: 1023,
            reordering: 1024,
            rcv_rtt: 1025,
            rcv_space: 1026,
            total_retrans: 1027,
            pacing_rate: 1028,
            max_pacing_rate: 1029,
            bytes_acked: 1030,
            bytes_received: 1031,
            segs_out: 1032,
            segs_in: 1033,
            notsent_bytes: 1034,
            min_rtt: 1035,
            data_segs_in: 1036,
            data_segs_out: 1037,
            delivery_rate: 1038,
            busy_time: 1039,
            rwnd_limited: 1040,
            sndbuf_limited: 1041,
            delivered: 1042,
            delivered_ce: 1043,
            bytes_sent: 1044,
            bytes_retrans: 1045,
            dsack_dups: 1046,
            reord_seen: 1047,
            rcv_wnd: 1048,
            snd_wnd: 1049,
            rcv_ooopack: 1050,
            congestion: CongestionKind::default(),
        }
    }

    #[test]
    fn fields_stand_where_linux_has_them() {
        // Offsets of `struct tcp_info` in Linux' header, which <linux/tcp.h> fixes for good.
        let info = sample();
        let bytes = tcp_info(&info);
        let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        let long = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
        assert_eq!(
            (word(8), word(68), word(80), word(100)),
            (info.rto, info.rtt, info.snd_cwnd, info.total_retrans)
        );
        assert_eq!((long(104), long(128)), (info.pacing_rate, info.bytes_received));
        assert_eq!((word(144), word(148), long(160)), (info.notsent_bytes, info.min_rtt, info.delivery_rate));
        assert_eq!((word(192), long(200), word(216)), (info.delivered, info.bytes_sent, info.dsack_dups));
        assert_eq!(
            (word(224), word(228), word(232), bytes.len()),
            (info.rcv_ooopack, info.snd_wnd, info.rcv_wnd, LEN)
        );
    }
}
