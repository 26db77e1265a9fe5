//! The flows of a table and the index over their tuples.

use super::index::{Index, Line};
use crate::flow::{Far, Flow, FlowId, OpenError, marks};
use crate::hash::HashKey;
use crate::slots::{Slot, Slots};
use crate::time::Instant;
use crate::tuple::Tuple;

/// The most flows that numbers of 31 bits can tell apart from each other and from no number.
const LIMIT: u32 = (1 << 31) - 1;

/// Which of a flow's tuples an entry of the index stands for: the lowest bit of its number there.
const NEAR: u32 = 0;
const FAR: u32 = 1;

/// The half of a tuple's hash that the index goes by.
#[inline]
fn kept(hash: u64) -> u32 {
    hash as u32
}

/// An entry of the index that is likely the one that is looked for, and its row, which has not been read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guess<'a> {
    entry: u32,
    row: Option<&'a Slot<Flow>>,
}

impl Guess<'_> {
    /// No flow is likely.
    pub(super) const NONE: Guess<'static> = Guess { entry: 0, row: None };

    /// Reads the row. What comes back means nothing.
    #[inline]
    pub(super) fn touch(&self) -> u32 {
        self.row.map_or(0, |row| u32::from(row.value().is_some()))
    }
}

/// The far tuple of a translated flow.
#[derive(Debug)]
struct Wire(Tuple);

/// The tuple that an entry of the index stands for.
#[inline]
fn tuple_of<'a>(flows: &'a Slots<Flow>, wires: &'a Slots<Wire>, entry: u32) -> Option<&'a Tuple> {
    side_of(flows.value(entry >> 1)?, wires, entry)
}

#[inline]
fn side_of<'a>(flow: &'a Flow, wires: &'a Slots<Wire>, entry: u32) -> Option<&'a Tuple> {
    if entry & 1 == NEAR { Some(&flow.tuple) } else { wires.value(flow.far).map(|Wire(tuple)| tuple) }
}

#[derive(Debug)]
pub(super) struct Flows {
    slots: Slots<Flow>,
    wires: Slots<Wire>,
    index: Index,
    max: u32,
}

impl Flows {
    pub(super) fn new(max: u32) -> Flows {
        Flows { slots: Slots::new(), wires: Slots::new(), index: Index::new(), max: max.min(LIMIT) }
    }

    pub(super) fn set_max(&mut self, max: u32) {
        self.max = max.min(LIMIT);
    }

    pub(super) fn count(&self) -> u32 {
        self.slots.count()
    }

    pub(super) fn is_full(&self) -> bool {
        self.slots.count() >= self.max
    }

    #[inline]
    pub(super) fn flow(&self, id: FlowId) -> Option<&Flow> {
        self.slots.value(id.0)
    }

    #[inline]
    pub(super) fn flow_mut(&mut self, id: FlowId) -> Option<&mut Flow> {
        self.slots.value_mut(id.0)
    }

    pub(super) fn far(&self, flow: &Flow) -> Far {
        match flow.application() {
            Some(token) => Far::Application(token),
            None => {
                let wire = self.wires.value(flow.far).expect("a translated flow has a far tuple");
                Far::Wire(wire.0)
            }
        }
    }

    pub(super) fn after(&self, after: Option<FlowId>) -> impl Iterator<Item = (FlowId, &Flow)> {
        let first = after.map_or(0, |id| id.0 + 1);
        self.slots.iter_from(first).map(|(number, flow)| (FlowId(number), flow))
    }

    #[inline]
    pub(super) fn find(&self, hash: u64, tuple: &Tuple) -> Option<FlowId> {
        self.index.find(kept(hash), |entry| self.is(entry, tuple)).map(|entry| FlowId(entry >> 1))
    }

    /// Whether an entry of the index stands for this tuple.
    #[inline]
    fn is(&self, entry: u32, tuple: &Tuple) -> bool {
        tuple_of(&self.slots, &self.wires, entry) == Some(tuple)
    }

    /// The line of the index in which a look-up of this hash begins, which is not read.
    #[inline]
    pub(super) fn line(&self, hash: u64) -> Line<'_> {
        self.index.line(kept(hash))
    }

    /// What a look-up of this hash is likely to find, which begins in this line.
    #[inline]
    pub(super) fn guess<'a>(&'a self, line: Line<'a>, hash: u64) -> Guess<'a> {
        match self.index.find_from(line, kept(hash), |_| true) {
            Some(entry) => Guess { entry, row: self.slots.slot(entry >> 1) },
            None => Guess::NONE,
        }
    }

    /// The flow of a guess, when it is right.
    #[inline]
    pub(super) fn check(&self, guess: &Guess<'_>, tuple: &Tuple) -> Option<FlowId> {
        let flow = guess.row?.value()?;
        (side_of(flow, &self.wires, guess.entry)? == tuple).then_some(FlowId(guess.entry >> 1))
    }

    /// How many lines of the index a look-up of this hash may read.
    #[cfg(test)]
    pub(super) fn lines(&self, hash: u64) -> usize {
        self.index.lines(kept(hash))
    }

    /// Adds a flow. Its tuples are free, and there is room for it; `hash` is that of the near one.
    pub(super) fn open(
        &mut self,
        key: &HashKey,
        (hash, tuple): (u64, Tuple),
        far: Far,
        (marks, holder): (u8, u32),
        now: Instant,
    ) -> FlowId {
        let number = self.slots.insert(Flow::new(tuple, 0, marks, holder, now));
        self.enter(key, number << 1 | NEAR, hash);
        self.put_far(key, FlowId(number), &tuple, far);
        FlowId(number)
    }

    /// Takes a flow out; `hash` is that of its near tuple.
    pub(super) fn close(&mut self, key: &HashKey, hash: u64, id: FlowId) -> Option<Flow> {
        let tuple = self.slots.value(id.0)?.tuple;
        self.leave(key, id.0 << 1 | NEAR, hash);
        self.take_far(key, id, &tuple);
        self.slots.remove(id.0)
    }

    pub(super) fn set_far(&mut self, key: &HashKey, id: FlowId, far: Far) -> Option<()> {
        let tuple = self.slots.value(id.0)?.tuple;
        self.take_far(key, id, &tuple);
        self.put_far(key, id, &tuple, far);
        Some(())
    }

    /// Whether one more flow may be opened.
    pub(super) fn check_room(&self) -> Result<(), OpenError> {
        if self.is_full() { Err(OpenError::Full) } else { Ok(()) }
    }

    /// How many entries the index has.
    #[cfg(test)]
    pub(super) fn index_len(&self) -> usize {
        self.index.len()
    }

    fn put_far(&mut self, key: &HashKey, id: FlowId, tuple: &Tuple, far: Far) {
        let (value, mark) = match far {
            Far::Application(token) => (token, 0),
            Far::Wire(wire) => (self.wires.insert(Wire(wire)), marks::WIRE),
        };
        if let Some(flow) = self.slots.value_mut(id.0) {
            flow.far = value;
            flow.marks = flow.marks & !marks::WIRE | mark;
        }
        if let Far::Wire(wire) = far
            && wire != *tuple
        {
            self.enter(key, id.0 << 1 | FAR, key.hash_tuple(&wire));
        }
    }

    fn take_far(&mut self, key: &HashKey, id: FlowId, tuple: &Tuple) {
        let Some(flow) = self.slots.value(id.0) else { return };
        if flow.marks & marks::WIRE == 0 {
            return;
        }
        if let Some(Wire(wire)) = self.wires.remove(flow.far)
            && wire != *tuple
        {
            self.leave(key, id.0 << 1 | FAR, key.hash_tuple(&wire));
        }
    }

    fn enter(&mut self, key: &HashKey, entry: u32, hash: u64) {
        let Flows { slots, wires, index, .. } = self;
        index.insert(kept(hash), entry, |entry| hash_of(slots, wires, key, entry));
    }

    fn leave(&mut self, key: &HashKey, entry: u32, hash: u64) {
        let Flows { slots, wires, index, .. } = self;
        index.remove(kept(hash), entry, |entry| hash_of(slots, wires, key, entry));
    }
}

/// What the index goes by to find an entry.
fn hash_of(flows: &Slots<Flow>, wires: &Slots<Wire>, key: &HashKey, entry: u32) -> u32 {
    let tuple = tuple_of(flows, wires, entry).expect("an entry of the index has a tuple");
    kept(key.hash_tuple(tuple))
}
