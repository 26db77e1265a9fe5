//! Rows from what the kernel lists.

use std::io;
use std::num::NonZeroU64;
use std::time::Duration;

use wharf_sys::netlink::sock_diag::{Diag, Extra, Kind, Query, Socket, tcp_state};
use wharf_table::rows::{Backlog, DetailId, NetworkId, Ownerless, Role, Row, Rows, State, Transport};

use crate::snapshot::Details;

/// Every state.
const ALL_STATES: u32 = u32::MAX;
/// How long the kernel keeps a socket in TIME-WAIT (`TCP_TIMEWAIT_LEN`).
const TIME_WAIT: Duration = Duration::from_secs(60);

/// The transports that the kernel can list, and which they are.
const KINDS: [(Kind, Transport); 4] = [
    (Kind::Tcp, Transport::Tcp),
    (Kind::Mptcp, Transport::Mptcp),
    (Kind::Udp, Transport::Udp),
    (Kind::UdpLite, Transport::UdpLite),
];

/// Appends the sockets of one network.
///
/// # Errors
/// The kernel lists none.
pub(super) fn list(diag: &mut Diag, network: NetworkId, details: Details, rows: &mut Rows) -> io::Result<()> {
    for (kind, transport) in KINDS {
        let extra = if details == Details::Asked && kind == Kind::Tcp { Extra::Tcp } else { Extra::None };
        let query = Query { kind, states: ALL_STATES, extra, local_ports: &[(0, u16::MAX)] };
        diag.list(&query, |socket| add(&socket, transport, network, rows))?;
    }
    Ok(())
}

/// Appends one socket.
fn add(socket: &Socket<'_>, transport: Transport, network: NetworkId, rows: &mut Rows) {
    let Some(state) = tcp_state(socket.state()) else { return };
    let mut row = Row::new(transport, socket.local(), state);
    let extras = socket.extras();
    row.network = network;
    row.remote = socket.remote();
    row.cookie = socket.cookie();
    row.inode = NonZeroU64::new(socket.inode().into());
    row.cgroup = extras.cgroup.and_then(NonZeroU64::new);
    row.v6_only = extras.v6_only.filter(|_| socket.is_v6() && !row.local.addr.is_v4());
    if state == State::Listen {
        row.backlog = Some(Backlog { used: socket.receive_queue(), limit: socket.send_queue() });
    } else {
        row.receive_queue_bytes = socket.receive_queue();
        row.send_queue_bytes = socket.send_queue();
    }
    match socket.time_wait_left_ms() {
        Some(left) => {
            row.set_age(Some(TIME_WAIT.saturating_sub(Duration::from_millis(left.into()))));
            row.ownerless = Some(Ownerless::TimeWait);
        }
        None => row.uid = Some(socket.uid()),
    }
    if let Some(info) = extras.info
        && !matches!(state, State::Listen | State::Bound)
        && let Some(id) = DetailId::from_index(rows.details.len())
    {
        rows.details.push(info.detail(extras.algorithm));
        row.detail = Some(id);
    }
    rows.rows.push(row);
}

/// Says of every row which part it plays, by the listeners of its network.
pub(super) fn roles(rows: &mut Rows) {
    let listening: std::collections::HashSet<_> = rows
        .rows
        .iter()
        .filter(|row| row.state == State::Listen)
        .map(|row| (row.network, row.transport, row.local.port))
        .collect();
    for row in &mut rows.rows {
        row.role = match (row.state, row.transport) {
            (State::Listen, _) => Role::Listener,
            (State::Bound, Transport::Tcp | Transport::Mptcp) => Role::Bound,
            (State::Bound, _) => Role::Listener,
            _ if listening.contains(&(row.network, row.transport, row.local.port)) => Role::Server,
            _ => Role::Client,
        };
    }
}
