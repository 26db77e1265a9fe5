//! What the program has learned: which names led to an address, and when.
//!
//! Asked for when somebody wants to see a flow's name. An address may have many names (whole sites stand behind one), so the
//! name of a flow is the one that was looked up last before the flow began.
//!
//! Invariant: what a program can make this hold is bounded; what was looked up long ago goes first.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use wharf_table::{Addr, Instant};

/// The most addresses, and the most names of one.
const ADDRESSES_MAX: usize = 8192;
const NAMES_MAX: usize = 8;
/// Of so many addresses one goes when there is no room.
const GIVEN_UP: usize = 8;
/// How long beyond its time to live a name explains a new flow: programs keep addresses for longer than they should.
const GRACE: Duration = Duration::from_secs(3600);

/// That a name led to an address.
#[derive(Debug)]
struct Lookup {
    name: Rc<str>,
    first: Instant,
    last: Instant,
    expires: Instant,
}

/// The names of addresses.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    by_addr: HashMap<Addr, Vec<Lookup>>,
}

impl Remembered {
    /// `name` has led to these addresses, and may be kept for `ttl`.
    pub(super) fn learn(
        &mut self,
        now: Instant,
        name: &str,
        addrs: impl IntoIterator<Item = Addr>,
        ttl: Duration,
    ) {
        let name: Rc<str> = name.to_ascii_lowercase().into();
        let expires = now + ttl + GRACE;
        for addr in addrs {
            if self.by_addr.len() >= ADDRESSES_MAX && !self.by_addr.contains_key(&addr) {
                self.make_room();
            }
            let lookups = self.by_addr.entry(addr).or_default();
            if let Some(known) = lookups.iter_mut().find(|known| known.name == name) {
                (known.last, known.expires) = (now, expires);
                continue;
            }
            if lookups.len() == NAMES_MAX
                && let Some((oldest, _)) = lookups.iter().enumerate().min_by_key(|(_, lookup)| lookup.last)
            {
                lookups.swap_remove(oldest);
            }
            lookups.push(Lookup { name: Rc::clone(&name), first: now, last: now, expires });
        }
    }

    /// The name by which a flow that began at `opened` had found `addr`.
    pub(super) fn name(&self, addr: Addr, opened: Instant) -> Option<Rc<str>> {
        // Of one that was asked again later it is only known that it was asked once before.
        let asked = |lookup: &Lookup| if lookup.last <= opened { lookup.last } else { lookup.first };
        let lookups = self.by_addr.get(&addr)?.iter();
        let before = lookups.filter(|lookup| lookup.first <= opened && opened <= lookup.expires);
        before.max_by_key(|lookup| asked(lookup)).map(|lookup| Rc::clone(&lookup.name))
    }

    fn make_room(&mut self) {
        let last = |lookups: &[Lookup]| lookups.iter().map(|lookup| lookup.last).max();
        let mut ages: Vec<_> = self.by_addr.iter().map(|(&addr, lookups)| (last(lookups), addr)).collect();
        let given_up = ages.len() / GIVEN_UP;
        ages.select_nth_unstable(given_up);
        ages.iter().take(given_up).for_each(|(_, addr)| drop(self.by_addr.remove(addr)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    fn addr(number: u32) -> Addr {
        Addr::v4(number.to_be_bytes())
    }

    #[test]
    fn a_flow_has_the_name_that_was_looked_up_before_it() {
        let mut names = Remembered::default();
        names.learn(at(10), "One.Example", [addr(1), addr(2)], TTL);
        names.learn(at(20), "two.example", [addr(1)], TTL);
        let name = |of, opened| names.name(addr(of), at(opened)).map(|name| name.to_string());
        assert_eq!(name(1, 9), None, "nobody had asked then");
        assert_eq!(name(1, 10).as_deref(), Some("one.example"));
        assert_eq!(name(1, 19).as_deref(), Some("one.example"));
        assert_eq!(name(1, 20).as_deref(), Some("two.example"));
        assert_eq!(name(2, 30).as_deref(), Some("one.example"));
        assert_eq!(name(3, 30), None);
        assert_eq!(name(1, 20 + 60 + 3601), None, "that is too long ago");
    }

    #[test]
    fn who_asks_again_is_heard_again() {
        let mut names = Remembered::default();
        names.learn(at(10), "one", [addr(1)], TTL);
        names.learn(at(20), "two", [addr(1)], TTL);
        names.learn(at(30), "one", [addr(1)], TTL);
        assert_eq!(names.name(addr(1), at(30)).as_deref(), Some("one"));
        assert_eq!(names.name(addr(1), at(25)).as_deref(), Some("two"));
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_oldest_goes_first() {
        let mut names = Remembered::default();
        for number in 0..20_000 {
            names.learn(at(number.into()), &format!("n{number}"), [addr(number)], TTL);
            assert!(names.by_addr.len() <= ADDRESSES_MAX);
        }
        assert!(names.name(addr(19_999), at(19_999)).is_some());
        assert!(names.name(addr(1), at(1)).is_none());
        for number in 0..100 {
            names.learn(at(30_000 + number), &format!("m{number}"), [addr(7)], TTL);
        }
        assert_eq!(names.by_addr[&addr(7)].len(), NAMES_MAX);
        assert_eq!(names.name(addr(7), at(40_000)), None);
        assert_eq!(names.name(addr(7), at(30_100)).as_deref(), Some("m99"));
    }
}
