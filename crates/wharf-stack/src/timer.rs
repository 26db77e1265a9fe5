//! The timer wheel: which connections have something due, at a cost that follows what fires.
//!
//! A hierarchical timing wheel (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", 1987) with a resolution
//! of one millisecond. Ten levels of 64 slots cover every [`Instant`]; level 0 holds the deadlines of the current 64 ms,
//! one slot a millisecond, level 1 those of the current 4,096 ms, and so on. A timer is known by its key, a small dense
//! number (the index of a connection), and its place in the wheel is an intrusive list: 16 bytes for each key, in chunks
//! that exist while one of their keys is set. So keys without a timer cost next to nothing, and all memory returns.
//!
//! Invariants: no timer fires before its deadline; it fires less than a millisecond after it. Every timer lies on the
//! level of the highest 6-bit digit in which its deadline differs from the wheel's time, so timers of a lower level are
//! always due before those of a higher one, and a slot is emptied (fired or moved down) before the wheel's time enters it.
//!
//! Deliberately not here: callbacks, and what a timer means.

use alloc::boxed::Box;
use alloc::vec::Vec;

use wharf_table::Instant;

/// Bits of a digit of time: a level has 64 slots, one bit each of a word.
const DIGIT_BITS: u32 = 6;
const SLOTS: usize = 1 << DIGIT_BITS;
/// 60 bits of milliseconds are more than an [`Instant`] can hold.
const LEVELS: usize = 10;
/// The end of a list; in `prev`, a timer that is not in the wheel.
const NONE: u32 = u32::MAX;
/// Marks a `prev` that names a slot, not a timer.
const SLOT: u32 = 1 << 31;
/// How many timers of the next slot [`Wheel::next`] looks at to be exact.
const LOOK: usize = 8;

/// A timer's place.
#[derive(Clone, Copy)]
struct Node {
    tick: u64,
    next: u32,
    prev: u32,
}

const IDLE: Node = Node { tick: 0, next: NONE, prev: NONE };

const CHUNK_BITS: u32 = 6;
const CHUNK: usize = 1 << CHUNK_BITS;
/// What is said of the nodes of a key that is set.
const SET: &str = "a key that is set has a node";

/// The places of neighbouring keys.
struct Chunk {
    nodes: [Node; CHUNK],
    set: usize,
}

/// The places of those keys that are set.
#[derive(Default)]
struct Nodes {
    chunks: Vec<Option<Box<Chunk>>>,
    /// The chunk that became empty last, for the next key.
    spare: Option<Box<Chunk>>,
}

impl Nodes {
    fn node(&self, key: u32) -> Option<&Node> {
        let key = key as usize;
        let node = &self.chunks.get(key >> CHUNK_BITS)?.as_ref()?.nodes[key % CHUNK];
        (node.prev != NONE).then_some(node)
    }

    /// The place of a key that is set.
    fn at(&mut self, key: u32) -> &mut Node {
        let key = key as usize;
        &mut self.chunks[key >> CHUNK_BITS].as_mut().expect(SET).nodes[key % CHUNK]
    }

    /// Makes a place for a key that is not set.
    fn add(&mut self, key: u32) -> &mut Node {
        let (key, at) = (key as usize, key as usize >> CHUNK_BITS);
        if at >= self.chunks.len() {
            self.chunks.resize_with(at + 1, || None);
        }
        let spare = &mut self.spare;
        let fresh = || spare.take().unwrap_or_else(|| Box::new(Chunk { nodes: [IDLE; CHUNK], set: 0 }));
        let chunk = self.chunks[at].get_or_insert_with(fresh);
        chunk.set += 1;
        &mut chunk.nodes[key % CHUNK]
    }

    /// Takes a key's place away.
    fn remove(&mut self, key: u32) -> Node {
        let (key, at) = (key as usize, key as usize >> CHUNK_BITS);
        let chunk = self.chunks[at].as_mut().expect(SET);
        let node = core::mem::replace(&mut chunk.nodes[key % CHUNK], IDLE);
        chunk.set -= 1;
        if chunk.set == 0 {
            self.spare = self.chunks[at].take();
            if at + 1 == self.chunks.len() {
                self.drop_tail();
            }
        }
        node
    }

    fn drop_tail(&mut self) {
        while self.chunks.last().is_some_and(Option::is_none) {
            self.chunks.pop();
        }
        if self.chunks.capacity() > 4 * self.chunks.len() + 8 {
            self.chunks.shrink_to(2 * self.chunks.len());
        }
    }
}

/// A hierarchical timing wheel. See the [module](self).
pub struct Wheel {
    /// The tick up to which everything has fired.
    elapsed: u64,
    nodes: Nodes,
    /// First timer of each slot.
    heads: [[u32; SLOTS]; LEVELS],
    /// Which slots of a level hold a timer.
    occupied: [u64; LEVELS],
    len: usize,
    /// What [`Wheel::next`] says: it is asked after each thing that happens, which seldom changes it.
    soonest: Instant,
}

impl Wheel {
    /// An empty wheel that stands at `now`.
    pub fn new(now: Instant) -> Wheel {
        Wheel {
            elapsed: now.millis(),
            nodes: Nodes::default(),
            heads: [[NONE; SLOTS]; LEVELS],
            occupied: [0; LEVELS],
            len: 0,
            soonest: Instant::NEVER,
        }
    }

    /// How many timers wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no timer waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Lets `key` fire at `at` and not before. A timer that was set is moved; a deadline in the past fires with the next
    /// [`Wheel::expire`]; [`Instant::NEVER`] cancels. O(1).
    pub fn schedule(&mut self, key: u32, at: Instant) {
        debug_assert!(key < SLOT, "keys are dense and small");
        self.cancel(key);
        if at == Instant::NEVER {
            return;
        }
        let tick = at.micros().div_ceil(1_000).max(self.elapsed);
        self.nodes.add(key).tick = tick;
        self.insert(key);
        self.len += 1;
        self.soonest = self.soonest.min(Instant::from_millis(tick));
    }

    /// Takes `key` out; nothing happens when it is not set. O(1).
    pub fn cancel(&mut self, key: u32) {
        if !self.is_scheduled(key) {
            return;
        }
        let node = self.nodes.remove(key);
        self.len -= 1;
        self.unlink(&node);
        if self.len == 0 || Instant::from_millis(node.tick) <= self.soonest {
            self.soonest = self.first();
        }
    }

    /// Takes what was the place of a timer out of its list.
    fn unlink(&mut self, node: &Node) {
        if node.next != NONE {
            self.nodes.at(node.next).prev = node.prev;
        }
        if node.prev & SLOT == 0 {
            self.nodes.at(node.prev).next = node.next;
            return;
        }
        let place = (node.prev & !SLOT) as usize;
        let (level, slot) = (place / SLOTS, place % SLOTS);
        self.heads[level][slot] = node.next;
        if node.next == NONE {
            self.occupied[level] &= !(1 << slot);
        }
    }

    /// Whether `key` waits.
    pub fn is_scheduled(&self, key: u32) -> bool {
        self.nodes.node(key).is_some()
    }

    /// Takes out every timer whose deadline is not after `now` and appends its key to `fired`, in no promised order. A clock
    /// that goes back fires nothing. The cost follows what fires, and each timer is moved down at most [`LEVELS`] times.
    pub fn expire(&mut self, now: Instant, fired: &mut Vec<u32>) {
        let now = now.millis();
        if now < self.elapsed {
            return;
        }
        while let Some((level, slot, start)) = self.first_slot() {
            if start > now {
                break;
            }
            self.elapsed = self.elapsed.max(start);
            self.occupied[level] &= !(1 << slot);
            let mut key = core::mem::replace(&mut self.heads[level][slot], NONE);
            while key != NONE {
                let Node { tick, next, .. } = *self.nodes.at(key);
                if tick <= now {
                    self.nodes.remove(key);
                    self.len -= 1;
                    fired.push(key);
                } else {
                    self.insert(key);
                }
                key = next;
            }
        }
        self.elapsed = now;
        self.soonest = self.first();
    }

    /// When [`Wheel::expire`] has to be called next: never later than the first deadline, rounded up to the millisecond,
    /// and exactly then unless many timers lie close to each other. `None` when no timer waits.
    #[inline]
    pub fn next(&self) -> Option<Instant> {
        (self.soonest != Instant::NEVER).then_some(self.soonest)
    }

    /// The first deadline, or the begin of its slot where many lie.
    fn first(&self) -> Instant {
        let Some((level, slot, start)) = self.first_slot() else { return Instant::NEVER };
        let mut earliest = u64::MAX;
        let mut key = self.heads[level][slot];
        for _ in 0..LOOK {
            if key == NONE {
                return Instant::from_millis(earliest);
            }
            let node = self.nodes.node(key).expect(SET);
            earliest = earliest.min(node.tick);
            key = node.next;
        }
        Instant::from_millis(start)
    }

    /// The slot whose time comes first, with the tick at which it begins.
    fn first_slot(&self) -> Option<(usize, usize, u64)> {
        if self.len == 0 {
            return None;
        }
        let level = self.occupied.iter().position(|&slots| slots != 0)?;
        let slot = self.occupied[level].trailing_zeros() as usize;
        let shift = DIGIT_BITS * level as u32;
        let block = (self.elapsed >> shift) & !(SLOTS as u64 - 1);
        Some((level, slot, (block | slot as u64) << shift))
    }

    /// Links the timer into the slot of its tick, as seen from the wheel's time.
    fn insert(&mut self, key: u32) {
        let tick = self.nodes.at(key).tick;
        let differ = (tick ^ self.elapsed) | 1;
        let level = ((u64::BITS - 1 - differ.leading_zeros()) / DIGIT_BITS) as usize;
        let slot = (tick >> (DIGIT_BITS * level as u32)) as usize % SLOTS;
        let head = core::mem::replace(&mut self.heads[level][slot], key);
        if head != NONE {
            self.nodes.at(head).prev = key;
        }
        let node = self.nodes.at(key);
        node.next = head;
        node.prev = SLOT | (level * SLOTS + slot) as u32;
        self.occupied[level] |= 1 << slot;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fires_at_the_millisecond_after_the_deadline_and_not_before() {
        let mut wheel = Wheel::new(Instant::ZERO);
        wheel.schedule(7, Instant::from_micros(200_001));
        let mut fired = vec![];
        wheel.expire(Instant::from_micros(200_999), &mut fired);
        assert!(fired.is_empty());
        assert_eq!(wheel.next(), Some(Instant::from_millis(201)));
        wheel.expire(Instant::from_millis(201), &mut fired);
        assert_eq!(fired, [7]);
        assert!(wheel.is_empty() && wheel.next().is_none());
    }

    #[test]
    fn reaches_across_every_level() {
        let mut wheel = Wheel::new(Instant::from_micros(123_456_789));
        let mut deadline = 200_000_u64;
        let mut deadlines = vec![];
        while deadline < u64::MAX / 64 {
            wheel.schedule(deadlines.len() as u32, Instant::from_micros(deadline));
            deadlines.push(deadline);
            deadline *= 5;
        }
        let mut fired = vec![];
        while let Some(next) = wheel.next() {
            let before = fired.len();
            wheel.expire(next, &mut fired);
            for &key in &fired[before..] {
                assert!(deadlines[key as usize] <= next.micros());
            }
        }
        assert_eq!(fired.len(), deadlines.len());
    }

    #[test]
    fn a_deadline_that_never_comes_is_no_timer() {
        let mut wheel = Wheel::new(Instant::ZERO);
        wheel.schedule(0, Instant::from_millis(5));
        wheel.schedule(0, Instant::NEVER);
        assert!(wheel.next().is_none() && !wheel.is_scheduled(0));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Schedule(u32, u64),
        Cancel(u32),
        Advance(u64),
        AdvanceToNext,
    }

    fn spans() -> impl Strategy<Value = u64> {
        prop_oneof![0..5_000_u64, 0..300_000_u64, 0..100_000_000_u64, 0..u64::MAX / 4]
    }

    fn steps() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0..40_u32, spans()).prop_map(|(key, span)| Step::Schedule(key, span)),
            2 => (0..40_u32).prop_map(Step::Cancel),
            2 => spans().prop_map(|span| Step::Advance(span.min(200_000_000))),
            3 => Just(Step::AdvanceToNext),
        ]
    }

    /// Fires from the wheel and from the model, and compares.
    fn advance(wheel: &mut Wheel, model: &mut BTreeMap<u32, u64>, now: u64) {
        let mut fired = vec![];
        wheel.expire(Instant::from_micros(now), &mut fired);
        fired.sort_unstable();
        let due: Vec<u32> =
            model.iter().filter(|&(_, at)| at.div_ceil(1_000) <= now / 1_000).map(|(&key, _)| key).collect();
        assert_eq!(fired, due);
        model.retain(|key, _| !due.contains(key));
    }

    proptest! {
        #[test]
        fn agrees_with_a_map(start in 0..u64::MAX / 4, script in prop::collection::vec(steps(), 1..200)) {
            let mut now = start;
            let mut wheel = Wheel::new(Instant::from_micros(now));
            let mut model = BTreeMap::new();
            for step in script {
                match step {
                    Step::Schedule(key, span) => {
                        let at = now.saturating_add(span).min(u64::MAX - 1).saturating_sub(1_000);
                        wheel.schedule(key, Instant::from_micros(at));
                        model.insert(key, at);
                    }
                    Step::Cancel(key) => {
                        wheel.cancel(key);
                        model.remove(&key);
                    }
                    Step::Advance(span) => {
                        now = now.saturating_add(span);
                        advance(&mut wheel, &mut model, now);
                    }
                    Step::AdvanceToNext => {
                        if let Some(next) = wheel.next() {
                            now = now.max(next.micros());
                            advance(&mut wheel, &mut model, now);
                        }
                    }
                }
                prop_assert_eq!(wheel.len(), model.len());
                let first = model.values().min().map(|at| at.div_ceil(1_000));
                match (wheel.next(), first) {
                    (None, None) => {}
                    (Some(next), Some(first)) => prop_assert!(next.millis() <= first.max(now / 1_000)),
                    (next, first) => prop_assert!(false, "next is {next:?}, the model's {first:?}"),
                }
            }
        }
    }
}
