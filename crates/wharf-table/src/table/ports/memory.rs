//! What TCP remembers of how a port was bound (rule 4): `fastreuse` and `fastreuseport` of Linux's bind buckets.

use super::owner::{Asking, Kind, Owner};
use crate::claim::User;
use crate::endpoint::Addr;

/// What the sockets that bound a port had in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Common {
    /// Nobody bound it.
    Unbound,
    /// Not this option.
    No,
    /// The last one had it; not all before did, or not for the same user.
    Last,
    /// All had it.
    All,
}

/// The memory of one port.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    reuse_address: Common,
    reuse_port: Common,
    /// Who had SO_REUSEPORT last when not all had it, else who had it first, and where.
    user: User,
    kind: Kind,
    addr: Addr,
}

impl Memory {
    /// Of a port that nobody bound.
    pub(super) const BLANK: Memory = Memory {
        reuse_address: Common::Unbound,
        reuse_port: Common::Unbound,
        user: User::ROOT,
        kind: Kind::Dual,
        addr: Addr::ANY_V6,
    };

    /// Whether one that asks gets the port unasked. `binds` is false for one that is bound and will listen.
    pub(super) fn grants(&self, asking: &Asking, binds: bool) -> bool {
        self.reuse_address == Common::All && asking.sharing.reuse_address && binds || self.matches(asking)
    }

    fn matches(&self, asking: &Asking) -> bool {
        asking.sharing.reuse_port
            && asking.user == self.user
            && match self.reuse_port {
                Common::Unbound | Common::No => false,
                Common::All => true,
                Common::Last => self.contains(asking.kind, asking.at.addr),
            }
    }

    /// Whether an address lies within the one that is remembered, as `ipv6_rcv_saddr_equal` sees it with a wildcard on
    /// the first side only.
    fn contains(&self, kind: Kind, addr: Addr) -> bool {
        use Kind::*;
        match (self.kind, kind) {
            (Dual, _) => true,
            (AnyV4, Dual | AnyV4 | OneV4 | OneV6Open) => true,
            (AnyV6, Dual | AnyV6 | OneV6 | OneV6Open) => true,
            (AnyV4 | AnyV6, _) => false,
            (OneV4 | OneV6 | OneV6Open, _) => kind.is_one() && self.addr == addr,
        }
    }

    /// Notes that a socket has bound the port or listens on it. `first` when nothing else owns the port.
    pub(super) fn note(&mut self, owner: &Owner, first: bool) {
        let asking = Asking {
            protocol: owner.protocol,
            at: owner.at,
            kind: owner.kind,
            sharing: owner.class.sharing(),
            user: owner.user,
        };
        if first {
            self.reuse_address = if owner.class.is_reusable() { Common::All } else { Common::No };
        } else if !owner.class.is_reusable() {
            self.reuse_address = Common::No;
        }
        if !asking.sharing.reuse_port {
            self.reuse_port = Common::No;
        } else if first || !self.matches(&asking) {
            self.reuse_port = if first { Common::All } else { Common::Last };
            (self.user, self.kind, self.addr) = (owner.user, owner.kind, owner.at.addr);
        }
    }
}
