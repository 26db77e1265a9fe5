//! Which names an address was answered for, and for how long that counts.
//!
//! An answer pins its addresses to the name that was asked for, until its TTL ends or [`FLOOR`], whichever is later: a program may
//! take its time between look-up and connect. Names on the way of an answer (CNAME chains, targets of HTTPS records) stand
//! for the name that led to them: who looks one of them up finds addresses of the first name.
//!
//! Invariant: what is held is bounded, and where there is no room nothing is pinned, so that nothing opens.

use std::collections::HashMap;
use std::time::Duration;

use wharf_table::policy::Hostname;
use wharf_table::{Addr, Instant};

/// For how long an answer counts at least.
pub(super) const FLOOR: Duration = Duration::from_secs(300);
/// For how long at most, whatever its TTL says.
const CEILING: Duration = Duration::from_secs(86_400);
/// The most addresses, and the most names of one address.
const ADDRESSES_MAX: usize = 65_536;
const NAMES_MAX: usize = 64;
/// The most names that stand for others, and the most that one of them stands for.
const ALIASES_MAX: usize = 16_384;
const ORIGINS_MAX: usize = 16;

/// A name, and until when it counts.
#[derive(Clone, Debug)]
struct Pin {
    name: Hostname,
    until: Instant,
}

/// Every name that was answered.
#[derive(Debug, Default)]
pub(super) struct Pins {
    addresses: HashMap<Addr, Vec<Pin>>,
    aliases: HashMap<Hostname, Vec<Pin>>,
}

/// That nothing could be pinned for want of room.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

impl Pins {
    /// Pins an address to a name for the time of an answer.
    pub(super) fn pin(
        &mut self,
        now: Instant,
        addr: Addr,
        name: &Hostname,
        ttl: Duration,
    ) -> Result<(), NoRoom> {
        add(&mut self.addresses, (ADDRESSES_MAX, NAMES_MAX), now, addr, name, ttl)
    }

    /// Lets `alias` stand for `name`.
    pub(super) fn lead(
        &mut self,
        now: Instant,
        alias: &Hostname,
        name: &Hostname,
        ttl: Duration,
    ) -> Result<(), NoRoom> {
        if alias == name {
            return Ok(());
        }
        add(&mut self.aliases, (ALIASES_MAX, ORIGINS_MAX), now, alias.clone(), name, ttl)
    }

    /// The names that an address was answered for.
    pub(super) fn names(&self, now: Instant, addr: Addr) -> Vec<Hostname> {
        living(self.addresses.get(&addr), now)
    }

    /// The names that led to this one.
    pub(super) fn origins(&self, now: Instant, alias: &Hostname) -> Vec<Hostname> {
        living(self.aliases.get(alias), now)
    }

    /// The one name of an address, for a reader.
    pub(super) fn name(&self, now: Instant, addr: Addr) -> Option<&Hostname> {
        let pins = self.addresses.get(&addr)?;
        pins.iter().rev().find(|pin| pin.until > now).map(|pin| &pin.name)
    }
}

fn living(pins: Option<&Vec<Pin>>, now: Instant) -> Vec<Hostname> {
    let living = pins.into_iter().flatten().filter(|pin| pin.until > now);
    living.map(|pin| pin.name.clone()).collect()
}

fn add<K: std::hash::Hash + Eq>(
    map: &mut HashMap<K, Vec<Pin>>,
    (keys_max, names_max): (usize, usize),
    now: Instant,
    key: K,
    name: &Hostname,
    ttl: Duration,
) -> Result<(), NoRoom> {
    let until = now + ttl.clamp(FLOOR, CEILING);
    if map.len() >= keys_max && !map.contains_key(&key) {
        map.retain(|_, pins| pins.iter().any(|pin| pin.until > now));
        if map.len() >= keys_max {
            return Err(NoRoom);
        }
    }
    let pins = map.entry(key).or_default();
    if let Some(index) = pins.iter().position(|pin| pin.name == *name) {
        // The newest stands last.
        let mut pin = pins.remove(index);
        pin.until = pin.until.max(until);
        pins.push(pin);
        return Ok(());
    }
    pins.retain(|pin| pin.until > now);
    if pins.len() >= names_max {
        return Err(NoRoom);
    }
    pins.push(Pin { name: name.clone(), until });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Hostname {
        Hostname::parse(text).unwrap()
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn an_answer_counts_for_its_time_and_a_little_more() {
        let mut pins = Pins::default();
        let addr = Addr::v4([192, 0, 2, 1]);
        pins.pin(at(0), addr, &name("a.test"), Duration::ZERO).unwrap();
        pins.pin(at(10), addr, &name("b.test"), Duration::from_secs(1000)).unwrap();
        assert_eq!(pins.names(at(299), addr), [name("a.test"), name("b.test")]);
        assert_eq!(pins.names(at(300), addr), [name("b.test")]);
        assert_eq!(pins.name(at(300), addr), Some(&name("b.test")));
        assert!(pins.names(at(1010), addr).is_empty());
        pins.pin(at(1000), addr, &name("a.test"), Duration::from_secs(u64::MAX >> 32)).unwrap();
        assert!(pins.names(at(1000 + 86_400), addr).is_empty(), "no answer counts for more than a day");
    }

    #[test]
    fn an_alias_stands_for_who_led_to_it() {
        let mut pins = Pins::default();
        pins.lead(at(0), &name("cdn.test"), &name("a.test"), Duration::from_secs(60)).unwrap();
        pins.lead(at(0), &name("a.test"), &name("a.test"), Duration::from_secs(60)).unwrap();
        assert_eq!(pins.origins(at(1), &name("cdn.test")), [name("a.test")]);
        assert!(pins.origins(at(1), &name("a.test")).is_empty());
    }

    #[test]
    fn without_room_nothing_is_pinned() {
        let mut pins = Pins::default();
        let addr = Addr::v4([192, 0, 2, 1]);
        for number in 0..NAMES_MAX {
            pins.pin(at(0), addr, &name(&format!("n{number}.test")), Duration::ZERO).unwrap();
        }
        assert_eq!(pins.pin(at(0), addr, &name("more.test"), Duration::ZERO), Err(NoRoom));
        assert_eq!(
            pins.pin(at(400), addr, &name("more.test"), Duration::ZERO),
            Ok(()),
            "the old ones are over"
        );
        assert_eq!(pins.names(at(401), addr), [name("more.test")]);
    }
}
