//! Rows from what the kernel lists of one network.

use std::io;
use std::num::NonZeroU64;
use std::time::Duration;

use wharf_sys::netlink::Listing;
use wharf_sys::netlink::sock_diag::{Extra, Extras, Kind, Query, Socket, state_bits, tcp_state};
use wharf_sys::proc::socket_table::{Entry, Table};
use wharf_sys::vantage::Vantage;
use wharf_table::rows::{
    Backlog, DetailId, Network, NetworkId, Ownerless, Role, Row, Rows, State, Transport,
};

use crate::snapshot::roles::{Listeners, serving};
use crate::snapshot::{Ask, Details, Narrow};

/// How long the kernel keeps a socket in TIME-WAIT (`TCP_TIMEWAIT_LEN`).
const TIME_WAIT: Duration = Duration::from_secs(60);
/// States that a kernel may number as it likes: all are asked for.
const EVERY_STATE: u32 = u32::MAX;

/// Lists the sockets of networks, one after the other.
pub(super) struct Lister<'a> {
    ask: &'a Ask,
    rows: &'a mut Rows,
    listeners: Listeners,
}

impl<'a> Lister<'a> {
    pub(super) fn new(ask: &'a Ask, rows: &'a mut Rows) -> Lister<'a> {
        Lister { ask, rows, listeners: Listeners::default() }
    }

    /// Appends the sockets of one network.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(super) fn list(&mut self, vantage: &mut Vantage, network: NetworkId) -> io::Result<()> {
        for transport in self.ask.narrow.transports.iter() {
            match transport {
                Transport::Tcp => self.diag(vantage, network, Kind::Tcp, transport)?,
                Transport::Mptcp => self.diag(vantage, network, Kind::Mptcp, transport)?,
                Transport::Udp => self.diag(vantage, network, Kind::Udp, transport)?,
                Transport::UdpLite => self.diag(vantage, network, Kind::UdpLite, transport)?,
                // To ask for them can load a module, which is not a reader's part.
                Transport::Sctp if is_present("SCTP") => {
                    self.diag(vantage, network, Kind::Sctp, transport)?
                }
                Transport::Dccp if is_present("DCCP") => {
                    self.diag(vantage, network, Kind::Dccp, transport)?
                }
                Transport::Sctp | Transport::Dccp => Listing::Absent,
                Transport::Raw => match self.diag(vantage, network, Kind::Raw, transport)? {
                    Listing::Absent => self.tables(vantage, network, [Table::Raw, Table::Raw6], transport),
                    listing => listing,
                },
                Transport::Icmp => self.tables(vantage, network, [Table::Icmp, Table::Icmp6], transport),
            };
        }
        Ok(())
    }

    /// Says what the network is that was listed last.
    pub(super) fn add_network(&mut self, network: Network) {
        self.rows.networks.push(network);
    }

    /// Gives every row its part, when all are there.
    pub(super) fn finish(mut self) {
        self.listeners.sort();
        for row in &mut self.rows.rows {
            row.role = self.listeners.role(row);
            if row.ownerless.is_none() && row.inode.is_none() {
                row.ownerless = Some(without_program(row, &self.listeners));
            }
        }
    }

    fn diag(
        &mut self,
        vantage: &mut Vantage,
        network: NetworkId,
        kind: Kind,
        transport: Transport,
    ) -> io::Result<Listing> {
        let narrow = &self.ask.narrow;
        let extra = if self.ask.details == Details::Asked && transport == Transport::Tcp {
            Extra::Tcp
        } else {
            Extra::None
        };
        let local_ports = narrow.local_ports.ranges();
        let states = match kind {
            Kind::Sctp | Kind::Dccp => EVERY_STATE,
            _ => narrow.states.iter().fold(0, |bits, state| bits | state_bits(state)),
        };
        let serves = serving(transport);
        let query = Query { kind, states, extra, local_ports };
        let (rows, listeners) = (&mut *self.rows, &mut self.listeners);
        let listing = vantage.diag.list(&query, |socket| {
            let extras = socket.extras();
            let Some(mut row) = row(&socket, &extras, transport, network) else { return };
            if row.state == serves {
                listeners.add(network, transport, row.local);
            }
            if is_wanted(&row, narrow) {
                row.detail = detail(&extras, row.state, rows);
                rows.rows.push(row);
            }
        })?;
        if !narrow.states.contains(serves) {
            let query = Query { states: state_bits(serves), extra: Extra::None, ..query };
            vantage.diag.list(&query, |socket| listeners.add(network, transport, socket.local()))?;
        }
        Ok(listing)
    }

    fn tables(
        &mut self,
        vantage: &Vantage,
        network: NetworkId,
        tables: [Table; 2],
        transport: Transport,
    ) -> Listing {
        for entry in tables.into_iter().flat_map(|table| vantage.table(table)) {
            let Some(row) = row_of_entry(&entry, transport, network) else { continue };
            if row.state == serving(transport) {
                self.listeners.add(network, transport, row.local);
            }
            if is_wanted(&row, &self.ask.narrow) {
                self.rows.rows.push(row);
            }
        }
        Listing::Whole
    }
}

/// Whether this kernel has a protocol, by its name in `/proc/net/protocols`.
fn is_present(protocol: &str) -> bool {
    let protocols = std::fs::read_to_string("/proc/net/protocols").unwrap_or_default();
    protocols.lines().any(|line| line.split(' ').next() == Some(protocol))
}

/// What the kernel could not leave out.
fn is_wanted(row: &Row, narrow: &Narrow) -> bool {
    narrow.states.contains(row.state) && narrow.local_ports.contains(row.local.port)
}

/// A socket as a row. `None` for one in a state that wharf does not know.
fn row(socket: &Socket<'_>, extras: &Extras<'_>, transport: Transport, network: NetworkId) -> Option<Row> {
    let remote = socket.remote();
    let state = match transport {
        Transport::Sctp if remote.is_some() => association_state(socket.state())?,
        _ => tcp_state(socket.state())?,
    };
    let mut row = Row::new(transport, socket.local(), state);
    row.network = network;
    row.remote = remote;
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
    Some(row)
}

/// A row of a table in `/proc/net`.
fn row_of_entry(entry: &Entry, transport: Transport, network: NetworkId) -> Option<Row> {
    let mut row = Row::new(transport, entry.local, tcp_state(entry.state)?);
    row.network = network;
    row.remote = entry.remote;
    row.inode = NonZeroU64::new(entry.inode.into());
    row.uid = Some(entry.uid);
    row.receive_queue_bytes = entry.receive_queue;
    row.send_queue_bytes = entry.send_queue;
    Some(row)
}

/// Appends the figures of a connection, if the kernel told them.
fn detail(extras: &Extras<'_>, state: State, rows: &mut Rows) -> Option<DetailId> {
    let info = extras.info.filter(|_| !matches!(state, State::Listen | State::Bound))?;
    let id = DetailId::from_index(rows.details.len())?;
    rows.details.push(info.detail(extras.algorithm));
    Some(id)
}

/// The state of an SCTP association by its number (`enum sctp_state`; RFC 9260, section 4).
const fn association_state(number: u8) -> Option<State> {
    Some(match number {
        0 => State::Closed,
        // COOKIE-WAIT and COOKIE-ECHOED: an association is being set up.
        1 | 2 => State::SynSent,
        3 => State::Established,
        // SHUTDOWN-PENDING, -SENT, -RECEIVED, -ACK-SENT.
        4 => State::FinWait1,
        5 => State::FinWait2,
        6 => State::CloseWait,
        7 => State::LastAck,
        _ => return None,
    })
}

/// Why a socket without a number has no program: it waits to be accepted, or its program has closed it.
fn without_program(row: &Row, listeners: &Listeners) -> Ownerless {
    let can_wait = matches!(row.state, State::SynReceived | State::Established | State::CloseWait);
    if can_wait && listeners.role(row) == Role::Server { Ownerless::Unaccepted } else { Ownerless::Kernel }
}
