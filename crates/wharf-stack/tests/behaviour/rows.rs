//! Connections that are rows: what an ICMP error, the end of a listener, data with the last segment of a handshake and a
//! tuple that comes again mean to them.

use crate::crowd;
use std::time::Duration;

use crate::crowd::{ACK, FIN, PORT, Packets, RST, SYN, Segment, read, stamped};
use wharf_stack::interface::FrameIn;
use wharf_stack::stack::{ConnId, DatagramIn, Event, Stack};
use wharf_stack::tcp::{Settings, State};
use wharf_table::{Addr, BindingId, DropReason, Endpoint, Instant, Port};

const CLIENT: ([u8; 4], u16) = ([198, 18, 0, 1], 5_000);

struct Wire {
    stack: Stack,
    listener: BindingId,
    now: Instant,
}

/// What the server sent, kept.
#[derive(Debug)]
struct Sent {
    seq: u32,
    ack: u32,
    flags: u8,
    clock: Option<u32>,
    packet: Vec<u8>,
}

impl Wire {
    fn new(backlog: Option<u32>) -> Wire {
        let mut stack = crowd::server(1_000, Settings::default());
        let listener = stack.listen_with_backlog(None, Port::new(PORT).unwrap(), 80, backlog).unwrap();
        Wire { stack, listener, now: Instant::from_millis(1_000) }
    }

    fn sent(&mut self) -> Vec<Sent> {
        let mut packets = Packets::default();
        self.stack.poll_frames(self.now, &mut packets);
        let sent = packets.iter().filter(|packet| packet[9] == 6).map(|packet| {
            let (_, segment) = read(packet);
            let Segment { seq, ack, flags, options, .. } = segment;
            Sent { seq, ack, flags, clock: crowd::timestamp(options), packet: packet.to_vec() }
        });
        sent.collect()
    }

    fn give(&mut self, from: ([u8; 4], u16), segment: &Segment<'_>) -> Vec<Sent> {
        let mut packets = Packets::default();
        packets.push(from, segment);
        packets.deliver(&mut self.stack, self.now, 1);
        self.sent()
    }

    /// A SYN with options, and what answers it.
    fn knock(&mut self, seq: u32, clock: u32) -> Sent {
        let options = crowd::offered(clock);
        let syn = Segment { seq, flags: SYN, window: 8_000, options: &options, ..Segment::default() };
        let mut sent = self.give(CLIENT, &syn);
        assert_eq!(sent.len(), 1);
        sent.remove(0)
    }

    /// An ICMP error of a router about a packet of the server.
    fn icmp(&mut self, kind: u8, code: u8, quoted: &[u8]) {
        let mut message = vec![kind, code, 0, 0, 0, 0, 0, 0];
        message.extend_from_slice(&quoted[..28]);
        let filled = !checksum(&message);
        message[2..4].copy_from_slice(&filled.to_be_bytes());
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 1, 0, 0, 192, 0, 2, 9];
        packet.extend_from_slice(&crowd::SERVER);
        packet.extend_from_slice(&message);
        let len = packet.len() as u16;
        packet[2..4].copy_from_slice(&len.to_be_bytes());
        let filled = !checksum(&packet[..20]);
        packet[10..12].copy_from_slice(&filled.to_be_bytes());
        self.stack.handle_frames(self.now, &[FrameIn::plain(&packet)], &mut |_: DatagramIn<'_>| {});
    }
}

/// RFC 1071, of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    (sum + (sum >> 16)) as u16
}

#[test]
fn an_icmp_error_ends_a_request_only_when_it_quotes_what_was_sent() {
    for code in [0, 1, 3] {
        let mut wire = Wire::new(None);
        let answer = wire.knock(100, 1);
        let mut other = answer.packet.clone();
        other[20 + 7] ^= 1;
        wire.icmp(3, code, &other);
        assert_eq!(wire.stack.connection_count(), 1, "the quoted number was never sent");
        wire.icmp(3, code, &answer.packet);
        // A port that is closed says little of a SYN-ACK: Linux goes on, too (`tcp_req_err`).
        assert_eq!(wire.stack.connection_count(), usize::from(code == 3));
    }
}

#[test]
fn an_icmp_error_leaves_a_row_in_time_wait() {
    let mut wire = Wire::new(None);
    let last = wait(&mut wire, 100);
    wire.icmp(3, 1, &last.packet);
    assert_eq!(wire.stack.table().waiting_count(), 1);
}

#[test]
fn the_end_of_a_listener_ends_its_requests_and_resets_what_nobody_accepted() {
    let mut wire = Wire::new(Some(8));
    let answer = wire.knock(100, 1);
    let stamp = stamped(2, answer.clock.unwrap());
    let (seq, ack) = (101, answer.seq.wrapping_add(1));
    let last = Segment { seq, ack, flags: ACK, window: 8_000, options: &stamp, payload: &[] };
    assert!(wire.give(CLIENT, &last).is_empty());
    for port in 1..=5 {
        let syn = Segment { seq: 7, flags: SYN, window: 8_000, ..Segment::default() };
        assert_eq!(wire.give((CLIENT.0, port), &syn).len(), 1);
    }
    let other = wire.stack.listen_with_backlog(None, Port::new(81).unwrap(), 81, Some(8)).unwrap();
    assert_eq!(wire.stack.connection_count(), 6);
    wire.stack.close_listener(wire.now, wire.listener);
    let sent = wire.sent();
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!((sent[0].flags & RST, sent[0].seq), (RST, ack));
    assert_eq!(wire.stack.connection_count(), 0);
    assert_eq!(wire.stack.acceptable_count(other), 0);
    // Who comes with the last segment of a handshake now finds nobody.
    let late = Segment { seq: 8, ack: 1, flags: ACK, window: 8_000, ..Segment::default() };
    assert_eq!(wire.give((CLIENT.0, 3), &late)[0].flags, RST);
}

#[test]
fn data_and_a_fin_may_come_with_the_last_segment_of_a_handshake() {
    let mut wire = Wire::new(Some(8));
    let answer = wire.knock(100, 1);
    let stamp = stamped(2, answer.clock.unwrap());
    let ack = answer.seq.wrapping_add(1);
    let flags = ACK | FIN;
    let last = Segment { seq: 101, ack, flags, window: 8_000, options: &stamp, payload: b"all there is" };
    let sent = wire.give(CLIENT, &last);
    assert_eq!(sent.last().unwrap().ack, 101 + 12 + 1);
    let id = wire.stack.accept_next(wire.now, wire.listener).unwrap();
    assert_eq!(wire.stack.state(id), State::CloseWait);
    let got: Vec<u8> = wire.stack.received(id).0.flatten().copied().collect();
    assert_eq!(got, b"all there is");
}

/// A connection that the server closes first, up to TIME-WAIT; the last segment that the server sent.
fn wait(wire: &mut Wire, seq: u32) -> Sent {
    let answer = wire.knock(seq, 1);
    let stamp = stamped(2, answer.clock.unwrap());
    let mut ack = answer.seq.wrapping_add(1);
    let plain = |seq, ack, flags| Segment { seq, ack, flags, window: 8_000, options: &stamp, payload: &[] };
    assert!(wire.give(CLIENT, &plain(seq + 1, ack, ACK)).is_empty());
    let id = connected(wire);
    wire.stack.release(wire.now, id);
    assert_eq!(wire.sent()[0].flags & FIN, FIN);
    ack = ack.wrapping_add(1);
    let mut sent = wire.give(CLIENT, &plain(seq + 1, ack, ACK | FIN));
    assert_eq!((sent.len(), wire.stack.table().waiting_count()), (1, 1));
    sent.remove(0)
}

fn connected(wire: &mut Wire) -> ConnId {
    loop {
        match wire.stack.poll_event().expect("the connection is announced") {
            Event::Connected(id) => return id,
            _ => continue,
        }
    }
}

/// RFC 6191, section 2, for who is asked.
#[test]
fn a_syn_with_a_later_timestamp_begins_anew_over_time_wait() {
    let mut wire = Wire::new(None);
    let last = wait(&mut wire, 1_000);
    // An old duplicate is answered with what the peer should have heard.
    let options = crowd::offered(1);
    let old = Segment { seq: 500, flags: SYN, window: 8_000, options: &options, ..Segment::default() };
    let sent = wire.give(CLIENT, &old);
    assert_eq!((sent[0].flags, sent[0].seq, sent[0].ack), (ACK, last.seq, last.ack));
    // A number that is lower, and a clock that has gone on.
    let answer = wire.knock(500, 3);
    assert_eq!((answer.flags, answer.ack), (SYN | ACK, 501));
    assert!(answer.seq.wrapping_sub(last.seq) < 1 << 31, "ours begins behind the old one");
    assert_eq!((wire.stack.table().waiting_count(), wire.stack.connection_count()), (0, 1));
}

/// RFC 6191, section 2, for who connects (Linux' `tcp_tw_reuse`).
#[test]
fn a_connection_of_ours_begins_anew_over_time_wait_when_timestamps_have_gone_on() {
    let mut wire = Wire::new(None);
    let last = wait(&mut wire, 1_000);
    let (from, to) =
        (Endpoint::new(Addr::v4(crowd::SERVER), PORT), Endpoint::new(Addr::v4(CLIENT.0), CLIENT.1));
    assert_eq!(wire.stack.connect(wire.now, from, to), Err(DropReason::NoFlow), "nothing has passed");
    wire.now += Duration::from_millis(1_001);
    let id = wire.stack.connect(wire.now, from, to).unwrap();
    assert_eq!((wire.stack.state(id), wire.stack.table().waiting_count()), (State::SynSent, 0));
    let syn = wire.sent().remove(0);
    assert_eq!(syn.flags & (SYN | ACK), SYN);
    let beyond = syn.seq.wrapping_sub(last.seq);
    assert!((65_537..1 << 31).contains(&beyond), "it begins {beyond} behind the old one");
}

/// What its owner still holds is put away like other idle connections, and ends in time.
#[test]
fn a_connection_that_is_held_ends_after_time_wait() {
    let mut wire = Wire::new(None);
    wire.stack.set_working_max(0);
    let answer = wire.knock(100, 1);
    let stamp = stamped(2, answer.clock.unwrap());
    let ack = answer.seq.wrapping_add(1);
    let plain = |seq, ack, flags| Segment { seq, ack, flags, window: 8_000, options: &stamp, payload: &[] };
    wire.give(CLIENT, &plain(101, ack, ACK));
    let id = connected(&mut wire);
    wire.stack.shutdown(wire.now, id);
    assert_eq!(wire.sent()[0].flags & FIN, FIN);
    wire.give(CLIENT, &plain(101, ack.wrapping_add(1), ACK | FIN));
    assert!(wire.stack.poll_event().is_some());
    assert_eq!(wire.stack.poll_event(), None);
    // Others move the hand that puts it away; the last of them goes.
    for port in 1..=8 {
        let syn = Segment { seq: 7, flags: SYN, window: 8_000, ..Segment::default() };
        let answer = wire.give((CLIENT.0, port), &syn).remove(0);
        let ack = answer.seq.wrapping_add(1);
        wire.give(
            (CLIENT.0, port),
            &Segment { seq: 8, ack, flags: ACK, window: 8_000, ..Segment::default() },
        );
        while wire.stack.poll_event().is_some() {}
    }
    wire.give((CLIENT.0, 8), &Segment { seq: 8, flags: RST, ..Segment::default() });
    while let Some(event) = wire.stack.poll_event() {
        if let Event::Closed(reset, _) = event {
            wire.stack.release(wire.now, reset);
        }
    }
    assert_eq!((wire.stack.state(id), wire.stack.working_count()), (State::TimeWait, 0));
    wire.now += Duration::from_secs(60);
    wire.stack.handle_timeout(wire.now);
    assert!(matches!(wire.stack.poll_event(), Some(Event::Closed(closed, _)) if closed == id));
}

/// The shift that a SYN-ACK has told is that of the connection, whatever the settings say by then (RFC 7323, section 2.2).
#[test]
fn a_window_scale_that_was_told_is_kept() {
    let mut wire = Wire::new(None);
    let answer = wire.knock(100, 1);
    let mut options = &answer.packet[40..];
    let told = loop {
        match options {
            [1, rest @ ..] => options = rest,
            [3, 3, shift, ..] => break *shift,
            [_, len, ..] => options = &options[usize::from(*len)..],
            _ => panic!("no scale is told"),
        }
    };
    assert!(told > 0);
    wire.stack.tcp_settings_mut().receive_buffer = 60_000;
    let stamp = stamped(2, answer.clock.unwrap());
    let ack = answer.seq.wrapping_add(1);
    let last = Segment { seq: 101, ack, flags: ACK, window: 8_000, options: &stamp, payload: &[] };
    wire.give(CLIENT, &last);
    let id = connected(&mut wire);
    wire.stack.send(wire.now, id, b"hello");
    let sent = wire.sent().remove(0);
    let field = u16::from_be_bytes([sent.packet[34], sent.packet[35]]);
    let window = u32::from(field) << told;
    assert!((30_000..=60_000 + (1 << told)).contains(&window), "{field} << {told}");
}

/// A segment whose checksum is wrong wakes nobody.
#[test]
fn what_is_broken_leaves_an_idle_connection_where_it_is() {
    let mut wire = Wire::new(None);
    wire.stack.set_working_max(0);
    let answer = wire.knock(100, 1);
    let stamp = stamped(2, answer.clock.unwrap());
    let ack = answer.seq.wrapping_add(1);
    let plain = |seq, payload| Segment { seq, ack, flags: ACK, window: 8_000, options: &stamp, payload };
    wire.give(CLIENT, &plain(101, &[]));
    let id = connected(&mut wire);
    while wire.stack.poll_event().is_some() {}
    for _ in 0..8 {
        wire.stack.consume(wire.now, id, 0);
        wire.sent();
    }
    let idle = |wire: &Wire| (wire.stack.working_count(), wire.stack.connection_count());
    assert_eq!(idle(&wire), (0, 1));
    let mut packets = Packets::default();
    packets.push(CLIENT, &plain(101, b"text"));
    let mut broken = packets.iter().next().unwrap().to_vec();
    *broken.last_mut().unwrap() ^= 1;
    for frames in [vec![FrameIn::plain(&broken)], vec![FrameIn::plain(&broken); 3]] {
        wire.stack.handle_frames(wire.now, &frames, &mut |_: DatagramIn<'_>| {});
        assert_eq!(idle(&wire), (0, 1));
    }
    packets.deliver(&mut wire.stack, wire.now, 1);
    assert_eq!(wire.stack.received(id).1, 4);
}
