//! What is asked of the kernel: a list of sockets, one socket, or the end of one.

use wharf_table::Addr;
use wharf_table::rows::End;

use super::super::receive::DUMP;
use super::super::{Batch, NLM_F_ACK};
use super::filter::{REQ_BYTECODE, local_ports};
use super::socket::{INET_DIAG_CONG, INET_DIAG_INFO};
use super::{Extra, Kind, Query, Wanted};

/// Asks for sockets of both families at once, and only TCP ones: the older request of the two.
const TCPDIAG_GETSOCK: u16 = 18;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SOCK_DESTROY: u16 = 21;
/// The protocol by a number that does not fit the request (`INET_DIAG_REQ_PROTOCOL`).
const REQ_PROTOCOL: u16 = 3;
const IPPROTO_MPTCP: u32 = 262;
/// Stands in the request where the attribute has the number: a kernel that does not know the attribute has no sockets of it.
const NO_PROTOCOL: u8 = 0xfe;

/// The families of which the kernel is asked for lists, one after the other; 0 is both.
pub(super) const fn families(kind: Kind) -> &'static [u8] {
    match kind {
        Kind::Tcp => &[0],
        _ => &[libc::AF_INET as u8, libc::AF_INET6 as u8],
    }
}

/// The request for a list.
pub(super) fn list(query: &Query<'_>, family: u8) -> Batch {
    let any = [0; 48];
    let (message, fixed) = match query.kind {
        Kind::Tcp => (TCPDIAG_GETSOCK, old_request(query, any)),
        kind => (SOCK_DIAG_BY_FAMILY, request(family, kind, query.extra, query.states, any)),
    };
    let mut batch = Batch::new();
    batch.request(message, DUMP, &fixed, |put| {
        if let Some(program) = local_ports(query.local_ports) {
            put.put(REQ_BYTECODE, &program);
        }
        if query.kind == Kind::Mptcp {
            put.put(REQ_PROTOCOL, &IPPROTO_MPTCP.to_ne_bytes());
        }
    });
    batch
}

/// The request for one socket.
pub(super) fn find(wanted: &Wanted, extra: Extra) -> Batch {
    let mut batch = Batch::new();
    let fixed = request(family(wanted), wanted.kind, extra, u32::MAX, id(wanted, Order::Asking));
    batch.request(SOCK_DIAG_BY_FAMILY, 0, &fixed, |_| {});
    batch
}

/// The request to end one socket.
pub(super) fn destroy(wanted: &Wanted) -> Batch {
    let mut batch = Batch::new();
    let fixed = request(family(wanted), wanted.kind, Extra::None, u32::MAX, id(wanted, Order::Ending));
    batch.request(SOCK_DESTROY, NLM_F_ACK, &fixed, |_| {});
    batch
}

/// `inet_diag_req_v2`.
fn request(family: u8, kind: Kind, extra: Extra, states: u32, id: [u8; 48]) -> Vec<u8> {
    [&[family, number(kind), extensions(extra), 0][..], &states.to_ne_bytes(), &id].concat()
}

/// `inet_diag_req`.
fn old_request(query: &Query<'_>, id: [u8; 48]) -> Vec<u8> {
    [&[0, 0, 0, extensions(query.extra)][..], &id, &query.states.to_ne_bytes(), &[0; 4]].concat()
}

const fn number(kind: Kind) -> u8 {
    match kind {
        Kind::Tcp => 6,
        Kind::Mptcp => NO_PROTOCOL,
        Kind::Udp => 17,
        Kind::UdpLite => 136,
        Kind::Sctp => 132,
        Kind::Dccp => 33,
        Kind::Raw => 255,
    }
}

const fn extensions(extra: Extra) -> u8 {
    match extra {
        Extra::None => 0,
        Extra::Tcp => 1 << (INET_DIAG_INFO - 1) | 1 << (INET_DIAG_CONG - 1),
    }
}

fn family(wanted: &Wanted) -> u8 {
    if wanted.local.addr.is_v4() { libc::AF_INET as u8 } else { libc::AF_INET6 as u8 }
}

/// What a request is for, which decides how it names the ends of a datagram socket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Asking,
    Ending,
}

/// `inet_diag_sockid`.
fn id(wanted: &Wanted, order: Order) -> [u8; 48] {
    let any = if wanted.local.addr.is_v4() { Addr::ANY_V4 } else { Addr::ANY_V6 };
    let nowhere = End { addr: any, zone: 0, port: 0 };
    let mut ends = [wanted.local, wanted.remote.unwrap_or(nowhere)];
    // Asked for a datagram socket, the kernel looks up who would receive from "source" (`udp_dump_one`).
    if order == Order::Asking && matches!(wanted.kind, Kind::Udp | Kind::UdpLite) {
        ends.reverse();
    }
    let mut id = [0; 48];
    let fields = [
        (0, &ends[0].port.to_be_bytes()[..]),
        (2, &ends[1].port.to_be_bytes()),
        (4, &address(ends[0])),
        (20, &address(ends[1])),
        (36, &wanted.local.zone.to_ne_bytes()),
        (40, &halves(wanted.cookie)),
    ];
    for (at, bytes) in fields {
        if let Some(field) = id.get_mut(at..at + bytes.len()) {
            field.copy_from_slice(bytes);
        }
    }
    id
}

fn address(end: End) -> [u8; 16] {
    let Some([a, b, c, d]) = end.addr.v4_octets() else { return end.addr.octets() };
    [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// The lower half first, each half in the machine's order.
fn halves(cookie: u64) -> [u8; 8] {
    let [a, b, c, d] = (cookie as u32).to_ne_bytes();
    let [e, f, g, h] = ((cookie >> 32) as u32).to_ne_bytes();
    [a, b, c, d, e, f, g, h]
}
