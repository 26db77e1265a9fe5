//! What TCP remembers of who bound a port last (rule 4): `fastreuseport` of Linux's bind buckets.
//!
//! Its sibling `fastreuse` has been without effect since buckets of an address came up (Linux 6.1): it is only ever set for
//! the first socket of a port, and by then the new bucket makes the port look used.

use super::owner::{Asking, Kind, Owner};
use crate::claim::User;
use crate::endpoint::Addr;

/// The socket that had SO_REUSEPORT and bound a port or listened on it last, unless one without did so since.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory(Option<(User, Kind, Addr)>);

impl Memory {
    /// Whether one that asks gets the port unasked.
    pub(super) fn grants(&self, asking: &Asking) -> bool {
        let Some((user, kind, addr)) = self.0 else { return false };
        asking.sharing.reuse_port && asking.user == user && lies_within(asking, kind, addr)
    }

    /// Notes that a socket has bound the port or listens on it.
    pub(super) fn note(&mut self, owner: &Owner) {
        let Owner { protocol, at, kind, user, class } = *owner;
        let asking = Asking { protocol, at, kind, sharing: class.sharing(), user };
        if !asking.sharing.reuse_port {
            self.0 = None;
        } else if !self.grants(&asking) {
            self.0 = Some((user, kind, at.addr));
        }
    }
}

/// Whether the addresses that are asked for lie within those that are remembered, as `ipv6_rcv_saddr_equal` sees it with
/// a wildcard on the remembered side only.
fn lies_within(asking: &Asking, kind: Kind, addr: Addr) -> bool {
    use Kind::*;
    match (kind, asking.kind) {
        (Dual, _) | (AnyV4, Dual | AnyV4 | OneV4 | OneV6Open) | (AnyV6, Dual | AnyV6 | OneV6 | OneV6Open) => {
            true
        }
        (AnyV4 | AnyV6, _) => false,
        (OneV4 | OneV6 | OneV6Open, asked) => asked.is_one() && addr == asking.at.addr,
    }
}
