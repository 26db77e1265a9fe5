//! Which part a row plays, told by the listeners of its network.

use wharf_table::Addr;
use wharf_table::rows::{End, NetworkId, Role, Row, State, Transport};

/// Who takes connections, or datagrams from anybody.
#[derive(Debug, Default)]
pub(super) struct Listeners(Vec<(NetworkId, Transport, u16, Addr)>);

/// The state of those of this transport who serve.
pub(super) const fn serving(transport: Transport) -> State {
    match transport {
        Transport::Tcp | Transport::Mptcp | Transport::Sctp | Transport::Dccp => State::Listen,
        Transport::Udp | Transport::UdpLite | Transport::Raw | Transport::Icmp => State::Bound,
    }
}

impl Listeners {
    pub(super) fn add(&mut self, network: NetworkId, transport: Transport, local: End) {
        self.0.push((network, transport, local.port, local.addr));
    }

    /// To be called when all are added.
    pub(super) fn sort(&mut self) {
        self.0.sort_unstable();
        self.0.dedup();
    }

    /// The part of a row. A connection is the server's side where a listener here takes what its local end receives.
    pub(super) fn role(&self, row: &Row) -> Role {
        if row.state == serving(row.transport) {
            return Role::Listener;
        }
        if row.state == State::Bound {
            return Role::Bound;
        }
        let of_port = (row.network, row.transport, row.local.port);
        let first =
            self.0.partition_point(|&(network, transport, port, _)| (network, transport, port) < of_port);
        let taken = self.0.iter().skip(first).take_while(|at| (at.0, at.1, at.2) == of_port).any(|at| {
            at.3 == row.local.addr || at.3 == Addr::ANY_V6 || at.3 == Addr::ANY_V4 && row.local.addr.is_v4()
        });
        if taken || row.state == State::SynReceived { Role::Server } else { Role::Client }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(transport: Transport, local: &str, state: State) -> Row {
        Row::new(transport, End::new(local.parse().unwrap()), state)
    }

    #[test]
    fn the_listener_says_who_serves() {
        let mut listeners = Listeners::default();
        for (transport, at) in [
            (Transport::Tcp, "0.0.0.0:80"),
            (Transport::Tcp, "127.0.0.1:81"),
            (Transport::Tcp, "[::]:40000"),
            (Transport::Udp, "0.0.0.0:53"),
        ] {
            listeners.add(NetworkId(0), transport, End::new(at.parse().unwrap()));
        }
        listeners.sort();
        for (transport, local, state, role) in [
            (Transport::Tcp, "0.0.0.0:80", State::Listen, Role::Listener),
            (Transport::Tcp, "192.0.2.1:80", State::Established, Role::Server),
            (Transport::Tcp, "[2001:db8::1]:80", State::Established, Role::Client),
            (Transport::Tcp, "127.0.0.1:81", State::TimeWait, Role::Server),
            (Transport::Tcp, "192.0.2.1:81", State::Established, Role::Client),
            // A number of the dynamic range serves here, one of a system port asks.
            (Transport::Tcp, "192.0.2.1:40000", State::CloseWait, Role::Server),
            (Transport::Tcp, "192.0.2.1:22", State::SynSent, Role::Client),
            (Transport::Tcp, "192.0.2.1:22", State::Bound, Role::Bound),
            (Transport::Udp, "0.0.0.0:53", State::Bound, Role::Listener),
            (Transport::Udp, "192.0.2.1:53", State::Established, Role::Server),
            (Transport::Udp, "192.0.2.1:80", State::Established, Role::Client),
        ] {
            assert_eq!(listeners.role(&row(transport, local, state)), role, "{transport} {local}");
        }
        let elsewhere =
            Row { network: NetworkId(1), ..row(Transport::Tcp, "192.0.2.1:80", State::Established) };
        assert_eq!(listeners.role(&elsewhere), Role::Client);
    }
}
