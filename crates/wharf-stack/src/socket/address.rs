//! Addresses and ports: bind(2), the choice of a source, getsockname(2) and getpeername(2).

use wharf_table::binding::BindError;
use wharf_table::claim::{self, Claim, Sharing};
use wharf_table::{Addr, Endpoint, Port, Protocol};

use super::entry::{Body, Claimed, Domain, Privilege, Socket};
use super::errno::Errno;
use super::options::{OptionName, Options};
use super::{Host, SocketId};
use crate::tcp::State;

impl Host {
    /// Binds a socket to an address of the host, or to any, and to a port; port 0 lets the host choose one.
    ///
    /// # Errors
    /// [`Errno::FamilyNotSupported`], [`Errno::AddressNotAvailable`] for an address that is none of the host's,
    /// [`Errno::Access`] for a privileged port, [`Errno::AddressInUse`], [`Errno::Invalid`] when it is bound already.
    pub fn bind(&mut self, id: SocketId, at: Endpoint) -> Result<(), Errno> {
        let Socket { options, body } = self.entry(id)?;
        let domain = body.marks().domain();
        check_family(domain, options, at.addr, Errno::FamilyNotSupported, Errno::Invalid)?;
        let may_be_bound = self.may_be_bound(at.addr) || options.has(OptionName::FreeBind);
        if !may_be_bound {
            return Err(Errno::AddressNotAvailable);
        }
        let privileged = at.port == 0 || at.port >= self.privileged_below;
        if !privileged && options.user.privilege == Privilege::None {
            return Err(Errno::Access);
        }
        let claimed = match body {
            Body::Idle(idle) => idle.claim.is_some(),
            Body::Datagram(datagrams) => datagrams.claim.is_some(),
            Body::Stream(_) | Body::Listener(_) => true,
        };
        if claimed {
            return Err(Errno::Invalid);
        }
        self.claim(id, at)?;
        self.note_bound(id);
        Ok(())
    }

    /// The local end of a socket: any address and port 0 while nothing is chosen.
    ///
    /// # Errors
    /// [`Errno::BadDescriptor`].
    pub fn local(&self, id: SocketId) -> Result<Endpoint, Errno> {
        let body = &self.entry(id)?.body;
        let nothing = Endpoint { addr: body.marks().domain().any(), port: 0 };
        Ok(match body {
            Body::Idle(idle) => {
                idle.claim.map_or(Endpoint { port: idle.last_port, ..nothing }, |claim| claim.local)
            }
            Body::Stream(stream) => self.stack.tuple(stream.conn()).local,
            Body::Listener(listener) => listener.claim.local,
            Body::Datagram(datagrams) => datagrams.local().unwrap_or(nothing),
        })
    }

    /// The far end of a connected socket.
    ///
    /// # Errors
    /// [`Errno::NotConnected`].
    pub fn peer(&self, id: SocketId) -> Result<Endpoint, Errno> {
        match &self.entry(id)?.body {
            Body::Stream(stream) => match self.stack.state(stream.conn()) {
                State::Closed | State::TimeWait | State::SynSent => Err(Errno::NotConnected),
                _ => Ok(self.stack.tuple(stream.conn()).remote),
            },
            Body::Datagram(datagrams) => datagrams.peer.ok_or(Errno::NotConnected),
            Body::Idle(_) | Body::Listener(_) => Err(Errno::NotConnected),
        }
    }

    /// Claims a port for a socket, as asked or chosen.
    pub(super) fn claim(&mut self, id: SocketId, at: Endpoint) -> Result<(), Errno> {
        let Socket { options, body } = self.entry(id)?;
        let dual = body.marks().domain() == Domain::V6 && !options.has(OptionName::V6Only);
        let protocol = if matches!(body, Body::Datagram(_)) { Protocol::Udp } else { Protocol::Tcp };
        let address = if at.addr == Addr::ANY_V6 && dual { None } else { Some(at.addr) };
        let privileged = options.user.privilege == Privilege::LowPorts;
        let claim = Claim::new(protocol, address, Port::new(at.port), id.0)
            .of(claim::User(options.user.uid), privileged)
            .sharing(sharing(options));
        let binding = self.stack.claim(&claim).map_err(refused)?;
        let port = self.stack.table().binding(binding).map_or(at.port, |binding| binding.port().number());
        let claimed = Claimed { binding, local: Endpoint { port, ..at } };
        match &mut self.entry_mut(id)?.body {
            Body::Idle(idle) => idle.claim = Some(claimed),
            Body::Datagram(datagrams) => datagrams.claim = Some(claimed),
            Body::Stream(_) | Body::Listener(_) => {}
        }
        Ok(())
    }

    fn may_be_bound(&self, addr: Addr) -> bool {
        addr.is_unspecified()
            || self.stack.is_looped(addr)
            || addr.is_v4() && (addr.is_multicast() || addr.is_limited_broadcast())
    }

    /// The destination as the program means it: any address is the host itself.
    pub(super) fn destination(&self, domain: Domain, to: Endpoint) -> Endpoint {
        let addr = match to.addr {
            Addr::ANY_V4 => Addr::v4([127, 0, 0, 1]),
            Addr::ANY_V6 if domain == Domain::V6 => LOOPBACK_V6,
            addr => addr,
        };
        Endpoint { addr, ..to }
    }

    /// The address from which packets to `remote` leave.
    ///
    /// # Errors
    /// [`Errno::NetworkUnreachable`] when no route leads there.
    pub(super) fn source_for(&self, remote: Addr) -> Result<Addr, Errno> {
        if remote.is_loopback() {
            return Ok(if remote.is_v4() { Addr::v4([127, 0, 0, 1]) } else { LOOPBACK_V6 });
        }
        if self.stack.is_looped(remote) {
            return Ok(remote);
        }
        if !self.stack.has_route(remote) && !remote.is_limited_broadcast() {
            return Err(Errno::NetworkUnreachable);
        }
        self.stack.config().role.source_for(remote).ok_or(Errno::NetworkUnreachable)
    }
}

/// What a socket's options let others do with its port.
pub(super) fn sharing(options: &Options) -> Sharing {
    Sharing {
        reuse_address: options.has(OptionName::ReuseAddress),
        reuse_port: options.has(OptionName::ReusePort),
    }
}

/// `::1`.
const LOOPBACK_V6: Addr = Addr::v6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

/// Whether a socket of this family may use an address: `foreign` when it is of another family, `v6_only` when it is an
/// IPv4 address and the socket does without.
pub(super) fn check_family(
    domain: Domain,
    options: &Options,
    addr: Addr,
    foreign: Errno,
    v6_only: Errno,
) -> Result<(), Errno> {
    match domain {
        Domain::V4 if !addr.is_v4() => Err(foreign),
        Domain::V6 if addr.is_v4() && options.has(OptionName::V6Only) => Err(v6_only),
        _ => Ok(()),
    }
}

/// The error number of a claim that was refused.
pub(super) fn refused(error: BindError) -> Errno {
    match error {
        BindError::InUse { .. } | BindError::NoPortLeft => Errno::AddressInUse,
        BindError::Privileged => Errno::Access,
        BindError::NotLocal => Errno::AddressNotAvailable,
        BindError::Invalid => Errno::Invalid,
    }
}
