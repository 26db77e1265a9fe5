//! A set of port numbers: a bit for each, and how many there are.

use alloc::boxed::Box;

const WORDS: usize = 1 << 10;

/// 0 to 65535, each in the set or not.
#[derive(Clone, Debug)]
pub(crate) struct PortSet {
    words: Box<[u64; WORDS]>,
    len: u32,
}

impl PortSet {
    pub(crate) fn new() -> PortSet {
        PortSet { words: Box::new([0; WORDS]), len: 0 }
    }

    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    #[inline]
    pub(crate) fn contains(&self, port: u16) -> bool {
        self.words[usize::from(port >> 6)] & 1 << (port & 63) != 0
    }

    pub(crate) fn insert(&mut self, port: u16) {
        let word = &mut self.words[usize::from(port >> 6)];
        let bit = 1 << (port & 63);
        self.len += u32::from(*word & bit == 0);
        *word |= bit;
    }

    pub(crate) fn remove(&mut self, port: u16) {
        let word = &mut self.words[usize::from(port >> 6)];
        let bit = 1 << (port & 63);
        self.len -= u32::from(*word & bit != 0);
        *word &= !bit;
    }
}

/// The first port from `from` to `last` that is in none of the sets. Reads 64 ports at a time.
pub(crate) fn first_in_none(sets: &[&PortSet], from: u16, last: u16) -> Option<u16> {
    let mut at = from;
    while at <= last {
        let index = usize::from(at >> 6);
        let taken = sets.iter().fold(0, |taken, set| taken | set.words[index]);
        let free = !taken >> (at & 63);
        if free != 0 {
            let port = u32::from(at) + free.trailing_zeros();
            return u16::try_from(port).ok().filter(|&port| port <= last);
        }
        at = (at | 63).checked_add(1)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn behaves_as_a_set(
            steps in prop::collection::vec((any::<bool>(), prop_oneof![0..200u16, 65_300..=65_535u16]), 0..500),
            asked in prop::collection::vec((prop_oneof![0..200u16, 65_300..=65_535u16], 0..=65_535u16), 50),
        ) {
            let (mut set, mut model) = (PortSet::new(), BTreeSet::new());
            for (inserts, port) in steps {
                if inserts {
                    set.insert(port);
                    model.insert(port);
                } else {
                    set.remove(port);
                    model.remove(&port);
                }
                prop_assert_eq!((set.len() as usize, set.contains(port)), (model.len(), inserts));
            }
            for (from, last) in asked {
                let expected = (from..=last).find(|port| !model.contains(port));
                prop_assert_eq!(first_in_none(&[&set, &PortSet::new()], from, last), expected);
            }
        }
    }
}
