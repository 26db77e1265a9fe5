//! An owner of a port: a binding, a flow or a waiting row, as the rules of sharing see it.

use crate::claim::{Sharing, User};
use crate::endpoint::{Addr, Endpoint};
use crate::flow::marks;
use crate::tuple::Protocol;

/// The addresses that an owner has, in the kinds that the rules tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Any address of both families.
    Dual,
    /// Any IPv4 address.
    AnyV4,
    /// Any IPv6 address.
    AnyV6,
    /// One IPv4 address.
    OneV4,
    /// One IPv6 address of a socket that takes IPv6 only.
    OneV6,
    /// One IPv6 address of a socket that would take IPv4 as well: what a dual-stack socket becomes when it connects.
    OneV6Open,
}

impl Kind {
    pub(crate) const COUNT: usize = 6;

    /// The kind of a claim.
    pub(crate) fn of_claim(address: Option<Addr>) -> Kind {
        match address {
            None => Kind::Dual,
            Some(Addr::ANY_V4) => Kind::AnyV4,
            Some(Addr::ANY_V6) => Kind::AnyV6,
            Some(addr) if addr.is_v4() => Kind::OneV4,
            Some(_) => Kind::OneV6,
        }
    }

    /// The kind of a socket on one address.
    pub(crate) fn of_one(addr: Addr, v6_open: bool) -> Kind {
        match (addr.is_v4(), v6_open) {
            (true, _) => Kind::OneV4,
            (false, true) => Kind::OneV6Open,
            (false, false) => Kind::OneV6,
        }
    }

    pub(crate) const fn is_one(self) -> bool {
        matches!(self, Kind::OneV4 | Kind::OneV6 | Kind::OneV6Open)
    }

    /// The kinds whose owners all overlap with a claim of this kind (rule 2). Those on the same address come on top.
    pub(super) const fn overlapping(self) -> &'static [Kind] {
        use Kind::*;
        match self {
            Dual => &[Dual, AnyV4, AnyV6, OneV4, OneV6, OneV6Open],
            AnyV4 => &[Dual, AnyV4, OneV4, OneV6Open],
            AnyV6 => &[Dual, AnyV6, OneV6, OneV6Open],
            OneV4 => &[Dual, AnyV4],
            OneV6 | OneV6Open => &[Dual, AnyV6],
        }
    }
}

/// The options and the state of an owner, as far as the rules care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class(u8);

impl Class {
    const LISTENING: u8 = 1 << 6;
    const WAITING: u8 = 1 << 7;
    const KEPT: u8 = marks::REUSE_ADDRESS | marks::REUSE_PORT | marks::IMPLICIT;

    /// A socket with these options that is neither listening nor in TIME-WAIT.
    pub(crate) fn new(sharing: Sharing) -> Class {
        let reuse_address = if sharing.reuse_address { marks::REUSE_ADDRESS } else { 0 };
        let reuse_port = if sharing.reuse_port { marks::REUSE_PORT } else { 0 };
        Class(reuse_address | reuse_port)
    }

    pub(crate) const fn of_marks(marks: u8) -> Class {
        Class(marks & Class::KEPT)
    }

    pub(crate) const fn listening(self) -> Class {
        Class(self.0 | Class::LISTENING)
    }

    pub(crate) const fn waiting(self) -> Class {
        Class(self.0 | Class::WAITING)
    }

    pub(crate) const fn implicit(self) -> Class {
        Class(self.0 | marks::IMPLICIT)
    }

    /// The bits that a row keeps.
    pub(crate) const fn marks(self) -> u8 {
        self.0 & Class::KEPT
    }

    pub(super) const fn sharing(self) -> Sharing {
        Sharing {
            reuse_address: self.0 & marks::REUSE_ADDRESS != 0,
            reuse_port: self.0 & marks::REUSE_PORT != 0,
        }
    }

    pub(super) const fn is_reusable(self) -> bool {
        self.0 & marks::REUSE_ADDRESS != 0 && self.0 & Class::LISTENING == 0
    }

    pub(super) const fn reuses_port(self) -> bool {
        self.0 & marks::REUSE_PORT != 0
    }

    pub(super) const fn is_waiting(self) -> bool {
        self.0 & Class::WAITING != 0
    }

    /// Whether it is one by rule 7, without options.
    pub(super) const fn is_quiet(self) -> bool {
        self.0 & !Class::WAITING == marks::IMPLICIT
    }

    pub(super) const fn is_implicit(self) -> bool {
        self.0 & marks::IMPLICIT != 0
    }
}

/// One that owns a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) protocol: Protocol,
    /// The address; [`Addr::ANY_V6`] for any of both families.
    pub(crate) at: Endpoint,
    pub(crate) kind: Kind,
    pub(crate) class: Class,
    pub(crate) user: User,
}

/// One that asks for a port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking {
    pub(crate) protocol: Protocol,
    pub(crate) at: Endpoint,
    pub(crate) kind: Kind,
    pub(crate) sharing: Sharing,
    pub(crate) user: User,
}
