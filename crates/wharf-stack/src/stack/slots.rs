//! Where the connections of a stack are: a few at work, the others parked in few bytes.
//!
//! A connection works from the moment something happens to it. Of those that work more than [`WORKING_MAX`], the ones that are
//! idle and were not used since the hand last passed (the clock algorithm, Corbato 1968) are put away as
//! [`tcp::park`](crate::tcp) writes them, and woken by the next segment, command or time-out. The hand moves a few steps
//! with each thing that happens, so parking has no timer and costs nothing by itself.
//!
//! Invariants: every working connection stands in `round` once, at its `round_at`; a parked one stands in no list of the stack,
//! and in the timer wheel exactly at its own next time-out; its number stays the same.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Deref;

use hashbrown::HashMap;
use wharf_table::flow::FlowId;
use wharf_table::{Addr, Instant, Table, Tuple};

use super::places::Places;
use crate::buffer::Kept;
use crate::egress::Template;
use crate::tcp::park::{Packed, Packer, Unpacker};
use crate::tcp::{Connection, Events, Limits, State};
use crate::timer::Wheel;

/// How many connections may work before idle ones are put away.
const WORKING_MAX: usize = 512;
/// Connections that the hand looks at with each thing that happens: twice as many as it may have to put away.
const STEPS: usize = 4;

/// Places that are kept for connections that come: 32 KiB.
const SPARE_MAX: usize = 32;

/// A connection that works, and its place in the stack's lists.
pub(super) struct Work {
    pub(super) conn: Connection,
    /// `None` once its tuple is free for another.
    pub(super) flow: Option<FlowId>,
    /// The binding through which it came, by its application's token.
    pub(super) listener: Option<u32>,
    pub(super) events: Events,
    /// When the wheel will look at it.
    pub(super) scheduled: Instant,
    /// Its segments' way, once the first has left.
    pub(super) way: Option<Way>,
    pub(super) incoming: bool,
    pub(super) in_ready: bool,
    pub(super) in_output: bool,
    /// It waits in the queue of a listener: nobody has heard of it yet.
    pub(super) unaccepted: bool,
    /// It waits for memory to send.
    pub(super) starving: bool,
    /// Whether the owner still holds its id.
    pub(super) held: bool,
    /// Something happened to it since the hand passed.
    pub(super) used: bool,
    pub(super) round_at: u32,
}

/// Where the segments of a connection go from here, and their headers, as it was in a generation of the neighbour cache.
pub(super) struct Way {
    pub(super) generation: u32,
    pub(super) template: Template,
}

impl Work {
    /// One that nothing has happened to.
    pub(super) fn new(conn: Connection, flow: FlowId, listener: Option<u32>) -> Work {
        Work {
            conn,
            flow: Some(flow),
            listener,
            events: Events::empty(),
            scheduled: Instant::NEVER,
            way: None,
            incoming: false,
            in_ready: false,
            in_output: false,
            unaccepted: false,
            starving: false,
            held: true,
            used: true,
            round_at: 0,
        }
    }

    fn may_park(&self) -> bool {
        let in_a_list = self.incoming || self.in_ready || self.in_output || self.starving;
        !in_a_list && self.events.is_empty() && self.flow.is_some() && self.conn.may_park()
    }
}

/// A connection that is put away.
struct Parked {
    bytes: Box<[u8]>,
    flow: FlowId,
    limits: u16,
    held: bool,
}

enum Slot {
    Work(Box<Work>),
    Parked(Parked),
}

// What a parked connection costs beside its bytes and its row in the table.
const _: () = assert!(size_of::<Option<Slot>>() <= 24);

/// A connection to look at: where it works, or a copy of the parked one.
pub(super) enum Look<'a> {
    Work(&'a Connection),
    Copy(Box<Connection>),
}

impl Deref for Look<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        match self {
            Look::Work(conn) => conn,
            Look::Copy(conn) => conn,
        }
    }
}

/// The connections of a stack by number.
pub(super) struct Connections {
    slots: Places<Slot>,
    /// Numbers of those that work, in no order, and where the hand stands.
    round: Vec<u32>,
    hand: usize,
    most: usize,
    limits: Interned,
    packer: Packer,
    /// Places of connections that are gone, for those that come.
    spare: Kept<Box<Work>, SPARE_MAX>,
}

impl Connections {
    pub(super) fn new() -> Connections {
        Connections {
            slots: Places::new(),
            round: Vec::new(),
            hand: 0,
            most: WORKING_MAX,
            limits: Interned::default(),
            packer: Packer::new(),
            spare: Kept::new(),
        }
    }

    /// Lets `most` work before idle ones are put away.
    pub(super) fn set_working_max(&mut self, most: usize) {
        self.most = most;
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// How many work.
    pub(super) fn working(&self) -> usize {
        self.round.len()
    }

    /// The number of the next connection.
    pub(super) fn next_key(&mut self) -> Option<u32> {
        self.slots.next_number()
    }

    /// Takes a connection in to which nothing has happened; its number is the one that was foretold.
    pub(super) fn insert(
        &mut self,
        conn: Connection,
        flow: FlowId,
        listener: Option<u32>,
    ) -> Option<&mut Work> {
        let mut work = match self.spare.take() {
            Some(mut work) => {
                // Where it is to stand: it is the largest thing that is moved when a connection opens.
                work.conn = conn;
                (work.flow, work.listener, work.events) = (Some(flow), listener, Events::empty());
                (work.scheduled, work.way) = (Instant::NEVER, None);
                (work.incoming, work.in_ready, work.in_output) = (false, false, false);
                (work.unaccepted, work.starving, work.held, work.used) = (false, false, true, true);
                work
            }
            None => Box::new(Work::new(conn, flow, listener)),
        };
        work.round_at = self.round.len() as u32;
        let key = self.slots.insert(Slot::Work(work))?;
        self.round.push(key);
        self.at_work(key)
    }

    /// Takes one out, if it works.
    pub(super) fn remove(&mut self, key: u32, table: &Table) -> Option<Box<Work>> {
        self.work(key, table)?;
        self.leave_round(key);
        match self.slots.remove(key)? {
            Slot::Work(work) => Some(work),
            Slot::Parked(_) => None,
        }
    }

    /// Keeps the place of one that was taken out, and whose memory was given back.
    pub(super) fn keep_place(&mut self, work: Box<Work>) {
        self.spare.give(work);
    }

    /// Gives half of the kept places back that nobody has needed since the last time; all, when it is one.
    pub(super) fn trim(&mut self) {
        self.spare.trim();
    }

    /// A connection that already works.
    pub(super) fn at_work(&mut self, key: u32) -> Option<&mut Work> {
        match self.slots.value_mut(key)? {
            Slot::Work(work) => Some(work),
            Slot::Parked(_) => None,
        }
    }

    /// A connection, woken if it was parked.
    #[inline]
    pub(super) fn work(&mut self, key: u32, table: &Table) -> Option<&mut Work> {
        if let Slot::Parked(_) = self.slots.value(key)? {
            self.wake(key, table)?;
        }
        let work = self.at_work(key)?;
        work.used = true;
        Some(work)
    }

    #[cold]
    fn wake(&mut self, key: u32, table: &Table) -> Option<()> {
        let Slot::Parked(parked) = self.slots.value(key)? else { return Some(()) };
        let work = self.limits.wake(parked, table);
        self.limits.give(parked.limits);
        *self.slots.value_mut(key)? = Slot::Work(work);
        self.enter_round(key);
        Some(())
    }

    /// A connection to look at, and what is known of it beside.
    pub(super) fn look(&self, key: u32, table: &Table) -> Option<Look<'_>> {
        match self.slots.value(key)? {
            Slot::Work(work) => Some(Look::Work(&work.conn)),
            Slot::Parked(parked) => {
                let work = self.limits.wake(parked, table);
                Some(Look::Copy(Box::new(work.conn)))
            }
        }
    }

    /// One that works, to look at; `None` when it is parked.
    pub(super) fn look_at_work(&self, key: u32) -> Option<&Work> {
        match self.slots.value(key)? {
            Slot::Work(work) => Some(work),
            Slot::Parked(_) => None,
        }
    }

    /// The tuple of a connection.
    pub(super) fn tuple(&self, key: u32, table: &Table) -> Option<Tuple> {
        match self.slots.value(key)? {
            Slot::Work(work) => Some(work.conn.tuple()),
            Slot::Parked(parked) => Some(tuple_of(table, parked.flow)),
        }
    }

    /// A connection's row of the table.
    pub(super) fn flow(&self, key: u32) -> Option<FlowId> {
        match self.slots.value(key)? {
            Slot::Work(work) => work.flow,
            Slot::Parked(parked) => Some(parked.flow),
        }
    }

    /// The token of a connection's listener.
    pub(super) fn listener(&self, key: u32, table: &Table) -> Option<u32> {
        match self.slots.value(key)? {
            Slot::Work(work) => work.listener,
            Slot::Parked(parked) => self.limits.wake(parked, table).listener,
        }
    }

    /// Reads the place of a connection, so that it comes into the cache. What comes back means nothing.
    pub(super) fn touch_place(&self, key: u32) -> u32 {
        self.slots.value(key).map_or(0, |slot| u32::from(matches!(slot, Slot::Work(_))))
    }

    /// The same for what its place leads to.
    pub(super) fn touch(&self, key: u32) -> u32 {
        match self.slots.value(key) {
            Some(Slot::Work(work)) => work.round_at ^ u32::from(work.conn.state() == State::Established),
            Some(Slot::Parked(parked)) => parked.bytes.first().map_or(0, |&byte| byte.into()),
            None => 0,
        }
    }

    /// Those that have something to send, and to whom.
    pub(super) fn in_output(&self) -> impl Iterator<Item = (u32, Addr)> {
        let working = self.round.iter().filter_map(|&key| Some((key, self.look_at_work(key)?)));
        working.filter(|(_, work)| work.in_output).map(|(key, work)| (key, work.conn.tuple().remote.addr))
    }

    /// Something has happened: where too many work, idle ones are put away.
    #[inline]
    pub(super) fn rest(&mut self, wheel: &mut Wheel) {
        if self.round.len() > self.most {
            self.put_some_away(wheel);
        }
    }

    fn put_some_away(&mut self, wheel: &mut Wheel) {
        for _ in 0..STEPS {
            if self.round.len() <= self.most {
                return;
            }
            self.hand = if self.hand < self.round.len() { self.hand } else { 0 };
            let key = self.round[self.hand];
            let Some(work) = self.at_work(key) else { return };
            if core::mem::take(&mut work.used) || !self.put_away(key, wheel) {
                self.hand += 1;
            }
        }
    }

    /// Parks a connection if it may be.
    fn put_away(&mut self, key: u32, wheel: &mut Wheel) -> bool {
        let Some(Slot::Work(work)) = self.slots.value(key) else { return false };
        if !work.may_park() {
            return false;
        }
        let Some(flow) = work.flow else { return false };
        let Some(limits) = self.limits.take(work.conn.limits()) else { return false };
        work.listener.pack(&mut self.packer);
        work.unaccepted.pack(&mut self.packer);
        let held = work.held;
        work.conn.park(&mut self.packer);
        let bytes = self.packer.take();
        wheel.schedule(key, work.conn.poll_timeout().unwrap_or(Instant::NEVER));
        self.leave_round(key);
        if let Some(slot) = self.slots.value_mut(key) {
            *slot = Slot::Parked(Parked { bytes, flow, limits, held });
        }
        true
    }

    fn enter_round(&mut self, key: u32) {
        let at = self.round.len() as u32;
        self.round.push(key);
        if let Some(work) = self.at_work(key) {
            work.round_at = at;
        }
    }

    fn leave_round(&mut self, key: u32) {
        let Some(at) = self.at_work(key).map(|work| work.round_at) else { return };
        self.round.swap_remove(at as usize);
        if let Some(&moved) = self.round.get(at as usize)
            && let Some(work) = self.at_work(moved)
        {
            work.round_at = at;
        }
        if self.round.len() < self.round.capacity() / 4 {
            self.round.shrink_to(self.round.len() * 2);
        }
    }
}

fn tuple_of(table: &Table, flow: FlowId) -> Tuple {
    *table.flow(flow).expect("a parked connection keeps its flow").tuple()
}

/// Limits by number, each kept once however many parked connections have them.
#[derive(Default)]
struct Interned {
    /// With how many have them; those that nobody has are free.
    values: Vec<(Limits, u32)>,
    numbers: HashMap<Limits, u16, foldhash::fast::FixedState>,
    free: Vec<u16>,
}

impl Interned {
    /// The number of these limits, for one more connection; `None` when there are too many different ones.
    fn take(&mut self, limits: &Limits) -> Option<u16> {
        if let Some(&number) = self.numbers.get(limits) {
            self.values[usize::from(number)].1 += 1;
            return Some(number);
        }
        let value = (limits.clone(), 1);
        let number = match self.free.pop() {
            Some(number) => {
                self.values[usize::from(number)] = value;
                number
            }
            None => {
                let number = u16::try_from(self.values.len()).ok()?;
                self.values.push(value);
                number
            }
        };
        self.numbers.insert(limits.clone(), number);
        Some(number)
    }

    /// One connection less has them.
    fn give(&mut self, number: u16) {
        let (limits, count) = &mut self.values[usize::from(number)];
        *count -= 1;
        if *count == 0 {
            self.numbers.remove(limits);
            self.free.push(number);
        }
    }

    /// The connection as it was before it was put away.
    fn wake(&self, parked: &Parked, table: &Table) -> Box<Work> {
        let mut from = Unpacker::new(&parked.bytes);
        let (listener, unaccepted) = (Packed::unpack(&mut from), Packed::unpack(&mut from));
        let limits = self.values[usize::from(parked.limits)].0.clone();
        let conn = Connection::wake(&mut from, tuple_of(table, parked.flow), limits);
        debug_assert!(from.is_finished(), "what was packed is unpacked whole");
        let scheduled = conn.poll_timeout().unwrap_or(Instant::NEVER);
        Box::new(Work { scheduled, unaccepted, held: parked.held, ..Work::new(conn, parked.flow, listener) })
    }
}
