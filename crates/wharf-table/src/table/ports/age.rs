//! The UDP bindings in the order of rule 10: which of those that overlap is asked first.
//!
//! Each stands in a set of its kind of address, and one on a single address also in a set of that address; those with
//! SO_REUSEADDR stand apart. The first to be asked of a set is its last.

use alloc::collections::BTreeMap;

use super::owner::{Asking, Kind, Owner};
use crate::claim::User;
use crate::endpoint::Addr;
use crate::tuple::Protocol;

/// Where a set belongs: a kind of address, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Kind(Kind),
    Address(Addr),
}

/// Protocol, port, place, whether with SO_REUSEADDR.
type Set = (Protocol, u16, Place, bool);

#[derive(Debug)]
pub(crate) struct Ages {
    /// By set and age, with what decides.
    sets: BTreeMap<(Set, i64), (bool, User)>,
}

impl Ages {
    pub(super) const fn new() -> Ages {
        Ages { sets: BTreeMap::new() }
    }

    /// Notes a binding that stands at `age` in the order.
    pub(crate) fn add(&mut self, owner: &Owner, age: i64) {
        for set in sets_of(owner).into_iter().flatten() {
            self.sets.insert((set, age), (owner.class.reuses_port(), owner.user));
        }
    }

    /// Forgets a binding.
    pub(crate) fn remove(&mut self, owner: &Owner, age: i64) {
        for set in sets_of(owner).into_iter().flatten() {
            self.sets.remove(&(set, age));
        }
    }

    /// Whether the first binding that overlaps with the claim, and that SO_REUSEADDR on both sides does not excuse, has
    /// SO_REUSEPORT, and its user.
    pub(super) fn first(&self, asking: &Asking) -> Option<(bool, User)> {
        let address = asking.kind.is_one().then_some(Place::Address(asking.at.addr));
        let places = asking.kind.overlapping().iter().map(|&kind| Place::Kind(kind)).chain(address);
        let reusing: &[bool] = if asking.sharing.reuse_address { &[false] } else { &[false, true] };
        let sets = places.flat_map(|place| reusing.iter().map(move |&reuse| (place, reuse)));
        let first = sets.filter_map(|(place, reuse)| {
            let set = (asking.protocol, asking.at.port, place, reuse);
            self.sets
                .range((set, i64::MIN)..=(set, i64::MAX))
                .next_back()
                .map(|(&(_, age), &held)| (age, held))
        });
        first.max_by_key(|&(age, _)| age).map(|(_, held)| held)
    }
}

fn sets_of(owner: &Owner) -> [Option<Set>; 2] {
    let set = |place| (owner.protocol, owner.at.port, place, owner.class.sharing().reuse_address);
    let address = owner.kind.is_one().then(|| set(Place::Address(owner.at.addr)));
    [Some(set(Place::Kind(owner.kind))), address]
}
