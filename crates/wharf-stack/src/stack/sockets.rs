//! What the socket layer asks of the stack beyond what every owner may.

use wharf_table::binding::{BindError, BindingId};
use wharf_table::table::Chosen;
use wharf_table::waiting::{Waiting, WaitingId};
use wharf_table::{
    Addr, Claim, DropReason, Endpoint, EphemeralAlgorithm, Far, FlowId, Holder, Instant, OpenError, Origin,
    PortRange, Protocol, Sharing, Tuple,
};

use super::connections::Opening;
use super::waits::may_begin_over;
use super::{ConnId, DatagramOut, Medium, Role, Stack};
use crate::interface::{FrameSink, OffloadOut};
use crate::tcp::{self, Connection, Settings};

impl Stack {
    /// Claims a port; one is chosen where none is named.
    pub(crate) fn claim(&mut self, claim: &Claim) -> Result<BindingId, BindError> {
        self.table.bind(claim)
    }

    /// What a socket lets others do with its port has changed.
    pub(crate) fn set_sharing(&mut self, id: BindingId, sharing: Sharing) {
        self.table.set_sharing(id, sharing);
    }

    /// The ports below which a claim needs a right.
    pub(crate) fn set_privileged_below(&mut self, port: u16) {
        self.table.set_privileged_below(port);
    }

    /// From which ports one is chosen, how, and which never are.
    pub(crate) fn set_port_choice(
        &mut self,
        range: PortRange,
        algorithm: EphemeralAlgorithm,
        reserved: &[PortRange],
    ) {
        self.config.ephemeral_ports = range;
        self.table.set_ephemeral_range(range);
        self.table.set_ephemeral_algorithm(algorithm);
        self.table.set_reserved_ports(reserved.iter().copied());
    }

    /// Gives up the claim of a socket whose connection may go on without it.
    pub(crate) fn give_up_claim_of(&mut self, conn: ConnId, binding: BindingId) {
        let flow = match self.table.holder(&self.tuple(conn)) {
            Some(Holder::Flow(flow)) => Some(flow),
            _ => None,
        };
        let own = flow.filter(|&flow| self.table.flow(flow).and_then(|it| it.bound()) == Some(binding));
        match own {
            Some(flow) => {
                self.table.orphan(flow);
            }
            None => self.give_up_claim(binding),
        }
    }

    /// Gives a claim up.
    pub(crate) fn give_up_claim(&mut self, id: BindingId) {
        self.table.unbind(id);
    }

    /// A port for a connection from `local` to `remote`, out of `range` where that is said. The settings may let it be one in
    /// TIME-WAIT.
    pub(crate) fn choose_port(
        &mut self,
        now: Instant,
        local: Addr,
        remote: Endpoint,
        range: Option<PortRange>,
    ) -> Option<Chosen> {
        let (time_wait, delay) = (self.config.tcp.time_wait, self.config.tcp.time_wait_reuse);
        let allows =
            |waiting: &Waiting| delay.is_some_and(|delay| may_begin_over(now, time_wait, delay, waiting));
        let range = range.unwrap_or(self.config.ephemeral_ports);
        self.table.choose_to_open_over(Protocol::Tcp, local, remote, range, allows)
    }

    /// Lets the datagrams of one peer come with `token`, before any claim of the port is asked.
    pub(crate) fn open_datagrams(
        &mut self,
        now: Instant,
        local: Endpoint,
        remote: Endpoint,
        binding: BindingId,
        token: u32,
    ) -> Result<FlowId, OpenError> {
        let tuple = Tuple { protocol: Protocol::Udp, local, remote };
        self.table.open(tuple, Far::Application(token), Origin::Bound(binding), now)
    }

    /// Ends that.
    pub(crate) fn close_datagrams(&mut self, id: FlowId) {
        self.table.close(id);
    }

    /// Opens a connection whose settings are the host's, changed by `adjust`, `over` what was in TIME-WAIT.
    pub(crate) fn connect_as(
        &mut self,
        now: Instant,
        (local, over): (Endpoint, Option<WaitingId>),
        remote: Endpoint,
        origin: Origin,
        adjust: impl FnOnce(&Settings) -> Settings,
    ) -> Result<ConnId, DropReason> {
        let tuple = Tuple { protocol: Protocol::Tcp, local, remote };
        let settings = adjust(&self.tcp_settings(remote.addr));
        let clock = tcp::initial_sequence_number(&self.config.isn_key, &tuple, now);
        let before = over.and_then(|id| self.begin_over(id));
        let iss = before.map_or(clock, |(after, _)| clock.latest(after));
        let mut conn = Connection::connect(&settings, tuple, iss, now);
        if let Some((_, recent)) = before {
            conn.remember_clock(recent, now);
        }
        let id = self.open(now, conn, None, Opening::Ours(origin))?;
        self.settle(now, id.number());
        Ok(id)
    }

    /// The owner of a connection reads no more.
    pub(crate) fn stop_reading(&mut self, now: Instant, id: ConnId) {
        self.with(now, id, |conn, _| conn.stop_reading());
    }

    /// Whether there is memory for data to be sent.
    pub(crate) fn has_memory(&self) -> bool {
        self.pool.sendable() > 0
    }

    /// Sends a datagram of the host to itself.
    pub(crate) fn loop_datagram(&mut self, datagram: &DatagramOut<'_>) -> Result<(), DropReason> {
        self.send_datagram(datagram, &mut NoLink)
    }

    /// Whether a route leads to `remote`.
    pub(crate) fn has_route(&self, remote: Addr) -> bool {
        let Role::Host(host) = &self.config.role else { return true };
        let on_link = remote.is_link_local() || host.addresses.iter().any(|own| own.contains(remote));
        let gateway = if remote.is_v4() { host.gateway_v4 } else { host.gateway_v6 };
        let family = host.addresses.iter().any(|own| own.addr().is_v4() == remote.is_v4());
        on_link || self.is_looped(remote) || family && (gateway.is_some() || self.config.medium == Medium::Ip)
    }

    /// The largest packet of the way to `remote`, in bytes, as far as it is known.
    pub(crate) fn mtu_to(&self, remote: Addr) -> u16 {
        let link = self.link_mtu_to(remote);
        match self.paths.mss(remote) {
            0 => link,
            mss => link.min(mss + if remote.is_v4() { 40 } else { 60 }),
        }
    }

    /// The largest packet of the link to `remote`, whatever is known of the path behind it.
    pub(crate) fn link_mtu_to(&self, remote: Addr) -> u16 {
        if self.is_looped(remote) { super::loopback::LOOPBACK_MTU } else { self.config.mtu }
    }
}

/// A link that is not there.
struct NoLink;

impl FrameSink for NoLink {
    fn frame(&mut self, _: &[u8], _: &[&[u8]], _: OffloadOut) -> Result<(), DropReason> {
        Err(DropReason::LinkFull)
    }

    fn is_ready(&self) -> bool {
        false
    }
}
