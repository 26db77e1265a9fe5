//! A path that is smaller than the link is found out by ICMP, and nobody else's ICMP is believed.

use std::time::Duration;

use wharf_sim::{Lab, Setup, Socket, StationId};
use wharf_stack::stack::IcmpError;
use wharf_table::{Addr, DropReason, Endpoint, Instant, Protocol, Tuple};

const SECOND: Duration = Duration::from_secs(1);
const OUTSIDE_V4: Addr = Addr::v4([192, 0, 2, 80]);
const OUTSIDE_V6: Addr = Addr::v6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80]);

struct Story {
    lab: Lab,
    program: StationId,
    gateway: StationId,
    near: Socket,
    far: Socket,
    data: Vec<u8>,
}

/// A program whose data for the outside is on its way.
fn sending(outside: Addr) -> Story {
    let (mut lab, program, gateway) = Lab::program_and_gateway(&Setup::default().impaired("delay=50ms"));
    let near = lab.connect(program, outside, 80);
    lab.run_until(SECOND, |lab| lab.has_incoming(gateway)).unwrap();
    let far = lab.incoming(gateway).unwrap();
    lab.accept(far);
    lab.run_until(SECOND, |lab| lab.stream(near).was_connected()).unwrap();
    let data: Vec<u8> = (0..300_000_u32).map(|i| (i / 7) as u8).collect();
    lab.send(near, &data);
    // The first acknowledgment is 100 ms away.
    lab.run_for(Duration::from_millis(10));
    Story { lab, program, gateway, near, far, data }
}

impl Story {
    /// The TCP header of the last data that the program sent.
    fn last_header(&self) -> [u8; 20] {
        let own = self.lab.hardware(self.program);
        let capture = self.lab.capture(self.program);
        let mine = capture.frames().filter(|(_, frame)| frame[6..12] == own && frame.len() > 1_000);
        let frame = mine.last().unwrap().1;
        let at = if frame[12..14] == [8, 0] { 34 } else { 54 };
        frame[at..at + 20].try_into().unwrap()
    }

    fn too_big(&mut self, mtu: u32, header: &[u8; 20]) {
        let conn = self.lab.conn(self.far);
        let seen = self.lab.stack(self.gateway).tuple(conn);
        let tuple = Tuple { protocol: Protocol::Tcp, local: seen.remote, remote: seen.local };
        let router = if seen.local.addr.is_v4() { OUTSIDE_V4 } else { OUTSIDE_V6 };
        self.lab.stack_mut(self.gateway).relay_icmp(Some(router), IcmpError::TooBig(mtu), tuple, header);
    }

    /// The largest IP packet that the program has sent since.
    fn largest_since(&self, since: Instant) -> usize {
        let own = self.lab.hardware(self.program);
        let sizes = self.lab.capture(self.program).frames();
        let sizes = sizes.filter(|(at, frame)| *at > since && frame[6..12] == own);
        sizes.map(|(_, frame)| frame.len() - 14).max().unwrap()
    }

    fn ends_well(mut self) {
        let (far, len) = (self.far, self.data.len());
        self.lab.run_until(60 * SECOND, |lab| lab.stream(far).received().len() == len).unwrap();
        assert!(self.lab.stream(self.far).received() == self.data);
        assert!(self.lab.stream(self.near).closed().is_none());
    }
}

#[test]
fn segments_shrink_to_the_path() {
    for (outside, mtu) in [(OUTSIDE_V4, 1_400), (OUTSIDE_V4, 600), (OUTSIDE_V6, 1_300), (OUTSIDE_V6, 1_280)] {
        let mut story = sending(outside);
        let header = story.last_header();
        story.too_big(mtu, &header);
        story.lab.run_for(Duration::from_millis(60));
        let since = story.lab.now();
        let far = story.far;
        story.lab.run_until(60 * SECOND, |lab| lab.stream(far).received().len() > 200_000).unwrap();
        let largest = story.largest_since(since);
        assert!(largest <= mtu as usize && largest > mtu as usize - 60, "{largest} for {mtu}");
        story.ends_well();
    }
}

#[test]
fn a_path_smaller_than_ip_allows_is_a_lie() {
    let lies = [(OUTSIDE_V4, 40, 68), (OUTSIDE_V4, 0, 576), (OUTSIDE_V6, 40, 1_280), (OUTSIDE_V6, 0, 1_280)];
    for (outside, claimed, floor) in lies {
        let mut story = sending(outside);
        let header = story.last_header();
        story.too_big(claimed, &header);
        story.lab.run_for(Duration::from_millis(60));
        let since = story.lab.now();
        story.lab.run_for(SECOND);
        assert!(story.largest_since(since) >= floor);
        story.ends_well();
    }
}

#[test]
fn numbers_that_are_not_on_their_way_are_not_believed() {
    let mut story = sending(OUTSIDE_V4);
    let mut header = story.last_header();
    header[4] ^= 0x40;
    let before = story.lab.stack(story.program).drops().of(DropReason::IcmpInvalid);
    story.too_big(600, &header);
    story.lab.run_for(Duration::from_millis(60));
    assert_eq!(story.lab.stack(story.program).drops().of(DropReason::IcmpInvalid), before + 1);
    let since = story.lab.now();
    story.lab.run_for(SECOND);
    assert_eq!(story.largest_since(since), 1_500);
    story.ends_well();
}

#[test]
fn another_connection_keeps_its_size() {
    let mut story = sending(OUTSIDE_V4);
    let mut header = story.last_header();
    // The ports of a connection that does not exist.
    header[..2].copy_from_slice(&Endpoint::new(OUTSIDE_V4, 1_234).port.to_be_bytes());
    story.too_big(600, &header);
    story.lab.run_for(Duration::from_millis(60));
    let since = story.lab.now();
    story.lab.run_for(SECOND);
    assert_eq!(story.largest_since(since), 1_500);
    story.ends_well();
}
