//! Large text of a batch goes from its frames to who wants it, each connection's at once; the rest waits as all text does.

use std::collections::BTreeMap;

use wharf_sim::Setup;
use wharf_stack::interface::{ChecksumIn, FrameIn};
use wharf_stack::stack::{ConnId, DatagramIn, Event, TextSink};
use wharf_stack::tcp::{Events, State};
use wharf_table::DropReason;

use crate::wire::{Link, OUTSIDE, PROGRAM, from_to, read_unverified, udp};

const TEXT: usize = 4_000;

/// Takes so many bytes of each connection and call, and remembers how it was called.
#[derive(Default)]
struct Taker {
    most: usize,
    calls: Vec<(ConnId, usize)>,
    taken: BTreeMap<ConnId, Vec<u8>>,
}

impl TextSink for Taker {
    fn text(&mut self, id: ConnId, slices: &[&[u8]]) -> usize {
        self.calls.push((id, slices.len()));
        let all = slices.concat();
        let count = all.len().min(self.most);
        self.taken.entry(id).or_default().extend(&all[..count]);
        count
    }
}

/// A gateway with connections of the program, and what takes their text.
struct World {
    link: Link,
    taker: Taker,
    /// By port: the number that the next text has, what was acknowledged of ours, what was sent.
    flows: BTreeMap<u16, (ConnId, u32, u32, Vec<u8>)>,
}

impl World {
    fn new(ports: &[u16]) -> World {
        let link = Link::with(&Setup::default(), |_| {});
        let mut world =
            World { link, taker: Taker { most: usize::MAX, ..Taker::default() }, flows: BTreeMap::new() };
        for &port in ports {
            let mut syn = Vec::new();
            from_to(PROGRAM[0], OUTSIDE[0], 64)
                .tcp(port, 80, 1_000, 60_000)
                .syn()
                .write(&mut syn, &[])
                .expect("a vector takes all");
            world.link.take(&syn);
            let Some(Event::Incoming(id)) = world.link.stack.poll_event() else { panic!("the SYN asks") };
            world.link.stack.accept(world.link.now, id);
            let answer = world.link.sent().pop().expect("a SYN-ACK");
            let ours = read_tcp(&answer).1.wrapping_add(1);
            world.flows.insert(port, (id, 1_001, ours, Vec::new()));
            let established = world.segment(port, 0, |builder| builder);
            world.give(&[established]);
            assert_eq!(world.link.stack.state(id), State::Established);
            // What a first segment of ours would have found out.
            world.link.sent();
            while world.link.stack.poll_event().is_some() {}
        }
        world
    }

    fn id(&self, port: u16) -> ConnId {
        self.flows[&port].0
    }

    /// The next text of a connection.
    fn segment(&mut self, port: u16, len: usize, change: impl FnOnce(Tcp) -> Tcp) -> Vec<u8> {
        let (_, seq, ack, sent) = self.flows.get_mut(&port).expect("it was opened");
        let text: Vec<u8> = (sent.len()..sent.len() + len).map(|i| (i * 31 % 251) as u8).collect();
        let builder = from_to(PROGRAM[0], OUTSIDE[0], 64).tcp(port, 80, *seq, 60_000).ack(*ack);
        let mut frame = Vec::new();
        change(builder).write(&mut frame, &text).expect("a vector takes all");
        sent.extend(&text);
        *seq = seq.wrapping_add(len as u32);
        frame
    }

    fn text(&mut self, port: u16) -> Vec<u8> {
        self.segment(port, TEXT, |builder| builder)
    }

    fn give(&mut self, frames: &[Vec<u8>]) {
        let frames: Vec<FrameIn<'_>> = frames.iter().map(|frame| FrameIn::plain(frame)).collect();
        let World { link, taker, .. } = self;
        link.stack.handle_frames_with(link.now, &frames, &mut |_: DatagramIn<'_>| {}, taker);
    }

    fn waits(&self, port: u16) -> Vec<u8> {
        self.link.stack.received(self.id(port)).0.flatten().copied().collect()
    }

    fn calls(&mut self) -> Vec<(ConnId, usize)> {
        std::mem::take(&mut self.taker.calls)
    }

    /// What was taken and what waits is what was sent.
    fn check(&self, port: u16) {
        let taken = self.taker.taken.get(&self.id(port)).cloned().unwrap_or_default();
        assert!([taken, self.waits(port)].concat() == self.flows[&port].3, "port {port}");
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.link.stack.poll_event()).collect()
    }

    fn acknowledged(&mut self, port: u16) -> Option<u32> {
        let frames = self.link.sent();
        frames.iter().map(|frame| read_tcp(frame)).filter(|tcp| tcp.0 == port).map(|tcp| tcp.2).next_back()
    }
}

/// Destination port, sequence number and acknowledgment.
fn read_tcp(frame: &[u8]) -> (u16, u32, u32) {
    let tcp = read_unverified(frame).payload;
    let number = |at: usize| u32::from_be_bytes([tcp[at], tcp[at + 1], tcp[at + 2], tcp[at + 3]]);
    (number(0) as u16, number(4), number(8))
}

type Tcp = etherparse::PacketBuilderStep<etherparse::TcpHeader>;

#[test]
fn each_connection_is_called_once_a_batch_and_nobody_is_told_of_what_is_gone() {
    let mut world = World::new(&[5_001, 5_002]);
    let frames: Vec<Vec<u8>> = [5_001, 5_002, 5_001, 5_002, 5_001].map(|port| world.text(port)).into();
    world.give(&frames);
    let (one, two) = (world.id(5_001), world.id(5_002));
    assert_eq!(world.calls(), [(one, 3), (two, 2)]);
    assert_eq!(world.events(), []);
    assert_eq!((world.waits(5_001), world.link.stack.buffered_bytes()), (vec![], 0));
    assert_eq!(world.acknowledged(5_001), Some(1_001 + 3 * TEXT as u32));
    [5_001, 5_002].iter().for_each(|&port| world.check(port));
}

#[test]
fn what_is_not_taken_waits_and_goes_before_what_comes() {
    let mut world = World::new(&[5_001]);
    let id = world.id(5_001);
    world.taker.most = 5_000;
    let frames = [world.text(5_001), world.text(5_001)];
    world.give(&frames);
    assert_eq!((world.calls(), world.waits(5_001).len()), (vec![(id, 2)], 2 * TEXT - 5_000));
    assert_eq!(world.events(), [Event::Progress(id, Events::READABLE)]);
    world.check(5_001);
    let frames = [world.text(5_001), world.segment(5_001, 10, |builder| builder), world.text(5_001)];
    world.give(&frames);
    assert_eq!(world.calls().len(), 2, "small text is kept behind what was before it");
    world.check(5_001);
    world.taker.most = 0;
    let frames = [world.text(5_001)];
    world.give(&frames);
    assert_eq!(world.acknowledged(5_001), Some(1_001 + 5 * TEXT as u32 + 10));
    world.check(5_001);
    let waits = world.waits(5_001).len();
    world.link.stack.consume(world.link.now, id, waits);
    assert_eq!(world.link.stack.buffered_bytes(), 0);
}

#[test]
fn nothing_is_offered_that_is_not_in_order_or_not_whole() {
    let mut world = World::new(&[5_001]);
    let mut frames: Vec<Vec<u8>> = (0..3).map(|_| world.text(5_001)).collect();
    let last = frames[1].len() - 1;
    frames[1][last] ^= 1;
    world.give(&frames);
    let id = world.id(5_001);
    assert_eq!(
        (world.calls(), world.taker.taken[&id].len(), world.waits(5_001).len()),
        (vec![(id, 1)], TEXT, 0)
    );
    assert_eq!(world.link.dropped(DropReason::TransportChecksum), 1);
    frames[1][last] ^= 1;
    world.give(&frames[1..2]);
    assert_eq!(world.calls(), [], "what fills a gap waits with what is behind it");
    world.check(5_001);
    world.link.sent();
    // Who vouches for a frame is believed.
    let mut frame = world.text(5_001);
    let last = frame.len() - 1;
    frame[last] ^= 1;
    let trusted = FrameIn { checksum: ChecksumIn::Trusted, ..FrameIn::plain(&frame) };
    let World { link, taker, .. } = &mut world;
    link.stack.handle_frames_with(link.now, &[trusted], &mut |_: DatagramIn<'_>| {}, taker);
    assert_eq!(world.calls(), [(id, 2)]);
}

#[test]
fn an_end_and_what_else_comes_find_everything_settled() {
    let mut world = World::new(&[5_001, 5_002]);
    let id = world.id(5_001);
    let frames = [
        world.text(5_001),
        udp(PROGRAM[0], OUTSIDE[0], 53, b"datagram"),
        world.text(5_001),
        world.segment(5_001, TEXT, |builder| builder.fin()),
    ];
    world.give(&frames);
    assert_eq!(world.calls(), [(id, 1), (id, 1)]);
    assert_eq!(world.waits(5_001).len(), TEXT);
    assert!(world.link.stack.connection(id).peer_has_finished());
    world.check(5_001);
    let frames = [world.text(5_002), world.segment(5_002, 0, |builder| builder.rst())];
    world.give(&frames);
    world.check(5_002);
    assert_eq!(world.link.stack.state(world.id(5_002)), State::Closed);
}

#[test]
fn nobody_is_offered_what_belongs_to_a_connection_that_was_released() {
    let mut world = World::new(&[5_001]);
    let id = world.id(5_001);
    world.link.stack.release(world.link.now, id);
    let frames = [world.text(5_001)];
    world.give(&frames);
    assert_eq!(world.calls(), []);
}
