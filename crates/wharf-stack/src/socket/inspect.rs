//! What a host tells about its sockets, and what may be changed about the host while it lives.

use wharf_table::notation::Cidr;
use wharf_table::{Addr, EphemeralAlgorithm, Instant, PortRange, Waiting};

use super::entry::Body;
use super::errno::Errno;
use super::{Host, SocketId};
use crate::tcp::{Settings, State, TcpInfo};

impl Host {
    /// How the connection of a socket fares (TCP_INFO); `None` where there is none.
    ///
    /// # Errors
    /// [`Errno::BadDescriptor`]; [`Errno::NotSupported`] for datagrams.
    pub fn info(&self, now: Instant, id: SocketId) -> Result<Option<TcpInfo>, Errno> {
        match &self.entry(id)?.body {
            Body::Datagram(_) => Err(Errno::NotSupported),
            Body::Stream(stream) => Ok(Some(self.stack.connection(stream.conn()).info(now))),
            Body::Idle(_) | Body::Listener(_) => Ok(None),
        }
    }

    /// Bytes that wait to be sent for the first time (SIOCOUTQNSD).
    ///
    /// # Errors
    /// [`Errno::Invalid`] for a listener.
    pub fn unsent(&self, now: Instant, id: SocketId) -> Result<usize, Errno> {
        match &self.entry(id)?.body {
            Body::Listener(_) => Err(Errno::Invalid),
            Body::Datagram(_) => self.unacknowledged(id),
            Body::Idle(_) | Body::Stream(_) => {
                let info = self.info(now, id)?;
                Ok(info.map_or(0, |info| info.notsent_bytes as usize))
            }
        }
    }

    /// Whether the next byte to be read is the urgent one (SIOCATMARK).
    ///
    /// # Errors
    /// [`Errno::BadDescriptor`]; [`Errno::Invalid`] for datagrams.
    pub fn at_mark(&self, id: SocketId) -> Result<bool, Errno> {
        match &self.entry(id)?.body {
            Body::Datagram(_) => Err(Errno::Invalid),
            Body::Stream(stream) => Ok(self.stack.connection(stream.conn()).urgent_mark() == Some(1)),
            Body::Idle(_) | Body::Listener(_) => Ok(false),
        }
    }

    /// How the TCP of sockets behaves that are made from now on.
    pub fn tcp_settings_mut(&mut self) -> &mut Settings {
        // What a new socket's options are follows from the settings.
        self.fresh_is_stale = true;
        self.stack.tcp_settings_mut()
    }

    /// Gives the host one more address of its own, with the prefix of what lies on its link.
    pub fn add_address(&mut self, address: Cidr) {
        self.stack.add_address(address);
    }

    /// Chooses ports from `range` by `algorithm` from now on, and never one of `reserved`, which can still be bound
    /// (`net.ipv4.ip_local_port_range` and `ip_local_reserved_ports`).
    pub fn choose_ports_from(
        &mut self,
        range: PortRange,
        algorithm: EphemeralAlgorithm,
        reserved: &[PortRange],
    ) {
        self.stack.set_port_choice(range, algorithm, reserved);
    }

    /// The error that waits at a socket, which stays there: [`OptionName::Error`](super::OptionName::Error) takes it.
    ///
    /// # Errors
    /// [`Errno::BadDescriptor`].
    pub fn waiting_error(&self, id: SocketId) -> Result<Option<Errno>, Errno> {
        Ok(self.entry(id)?.body.error())
    }

    /// What a row of the port table stands for that waits: TIME-WAIT, or FIN-WAIT-2 that nobody waits for.
    pub fn waiting_state(row: &Waiting) -> State {
        crate::stack::waits::state_of(row)
    }

    /// Whether `addr` is one of the host's own.
    pub fn owns(&self, addr: Addr) -> bool {
        self.stack.config().role.owns(addr)
    }
}
