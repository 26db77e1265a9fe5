//! The flows of a table and the index over their tuples.

use hashbrown::HashTable;

use crate::flow::{Far, Flow, FlowId, OpenError};
use crate::hash::HashKey;
use crate::slots::Slots;
use crate::tuple::Tuple;

/// The most flows that numbers of 31 bits can tell apart.
const LIMIT: u32 = (1 << 31) - 1;

/// Which of a flow's tuples an entry of the index stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Near,
    Far,
}

/// A flow's number, a side, and half of the hash of that side's tuple: in eight bytes. With the hash kept, growth of
/// the index reads no flows, and a look-up reads no flow but the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    number_and_side: u32,
    hash: u32,
}

impl Entry {
    fn new(number: u32, side: Side, hash: u32) -> Entry {
        Entry { number_and_side: number << 1 | u32::from(side == Side::Far), hash }
    }

    fn number(self) -> u32 {
        self.number_and_side >> 1
    }

    fn side(self) -> Side {
        if self.number_and_side & 1 == 0 { Side::Near } else { Side::Far }
    }
}

/// The half of a tuple's hash that the index keeps.
#[inline]
fn kept(hash: u64) -> u32 {
    hash as u32
}

/// What the index takes for a hash: the kept half twice, as it looks at both ends.
#[inline]
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

#[derive(Debug)]
pub(super) struct Flows {
    slots: Slots<Flow>,
    index: HashTable<Entry>,
    max: u32,
}

impl Flows {
    pub(super) fn new(max: u32) -> Flows {
        Flows { slots: Slots::new(), index: HashTable::new(), max: max.min(LIMIT) }
    }

    pub(super) fn set_max(&mut self, max: u32) {
        self.max = max.min(LIMIT);
    }

    pub(super) fn count(&self) -> u32 {
        self.slots.count()
    }

    #[inline]
    pub(super) fn flow(&self, id: FlowId) -> Option<&Flow> {
        self.slots.value(id.0)
    }

    #[inline]
    pub(super) fn flow_mut(&mut self, id: FlowId) -> Option<&mut Flow> {
        self.slots.value_mut(id.0)
    }

    pub(super) fn after(&self, after: Option<FlowId>) -> impl Iterator<Item = (FlowId, &Flow)> {
        let first = after.map_or(0, |id| id.0 + 1);
        self.slots.iter_from(first).map(|(number, flow)| (FlowId(number), flow))
    }

    #[inline]
    pub(super) fn find(&self, hash: u64, tuple: &Tuple) -> Option<FlowId> {
        let hash = kept(hash);
        let is_it = |&entry: &Entry| entry.hash == hash && tuple_of(&self.slots, entry) == Some(tuple);
        let entry = self.index.find(spread(hash), is_it)?;
        Some(FlowId(entry.number()))
    }

    pub(super) fn open(&mut self, key: &HashKey, flow: Flow) -> Result<FlowId, OpenError> {
        if self.slots.count() >= self.max {
            return Err(OpenError::Full);
        }
        let (tuple, far) = (flow.tuple, flow.far);
        self.check_free(key, &tuple)?;
        if let Some(far) = far_tuple(&tuple, far) {
            self.check_free(key, &far)?;
        }
        let number = self.slots.insert(flow);
        self.enter(key, number, Side::Near, &tuple);
        if let Some(far) = far_tuple(&tuple, far) {
            self.enter(key, number, Side::Far, &far);
        }
        Ok(FlowId(number))
    }

    pub(super) fn close(&mut self, key: &HashKey, id: FlowId) -> Option<Flow> {
        let flow = self.slots.value(id.0)?;
        let (tuple, far) = (flow.tuple, flow.far);
        self.leave(key, id.0, Side::Near, &tuple);
        self.leave_far(key, id, &tuple, far);
        self.slots.remove(id.0)
    }

    pub(super) fn set_far(&mut self, key: &HashKey, id: FlowId, far: Far) -> Option<Result<(), OpenError>> {
        let flow = self.slots.value(id.0)?;
        let (tuple, before) = (flow.tuple, flow.far);
        if before == far {
            return Some(Ok(()));
        }
        if let Some(far) = far_tuple(&tuple, far)
            && let Err(in_use) = self.check_free(key, &far)
        {
            return Some(Err(in_use));
        }
        self.leave_far(key, id, &tuple, before);
        self.slots.value_mut(id.0)?.far = far;
        if let Some(far) = far_tuple(&tuple, far) {
            self.enter(key, id.0, Side::Far, &far);
        }
        Some(Ok(()))
    }

    /// How many entries the index has.
    #[cfg(test)]
    pub(super) fn index_len(&self) -> usize {
        self.index.len()
    }

    fn check_free(&self, key: &HashKey, tuple: &Tuple) -> Result<(), OpenError> {
        match self.find(key.hash_tuple(tuple), tuple) {
            Some(by) => Err(OpenError::InUse { by }),
            None => Ok(()),
        }
    }

    fn enter(&mut self, key: &HashKey, number: u32, side: Side, tuple: &Tuple) {
        let hash = kept(key.hash_tuple(tuple));
        self.index.insert_unique(spread(hash), Entry::new(number, side, hash), |entry| spread(entry.hash));
    }

    fn leave(&mut self, key: &HashKey, number: u32, side: Side, tuple: &Tuple) {
        let hash = kept(key.hash_tuple(tuple));
        let gone = Entry::new(number, side, hash);
        if let Ok(found) = self.index.find_entry(spread(hash), |&entry| entry == gone) {
            found.remove();
        }
    }

    fn leave_far(&mut self, key: &HashKey, id: FlowId, tuple: &Tuple, far: Far) {
        if let Some(far) = far_tuple(tuple, far) {
            self.leave(key, id.0, Side::Far, &far);
        }
    }
}

/// The far tuple, where there is one that is not the near one.
fn far_tuple(tuple: &Tuple, far: Far) -> Option<Tuple> {
    match far {
        Far::Wire(far) if far != *tuple => Some(far),
        _ => None,
    }
}

/// The tuple that an entry of the index stands for.
#[inline]
fn tuple_of(slots: &Slots<Flow>, entry: Entry) -> Option<&Tuple> {
    let flow = slots.value(entry.number())?;
    match (entry.side(), &flow.far) {
        (Side::Near, _) => Some(&flow.tuple),
        (Side::Far, Far::Wire(far)) => Some(far),
        (Side::Far, Far::Application(_)) => None,
    }
}
