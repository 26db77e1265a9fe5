//! Listeners: the queue of those to be accepted, the queue of handshakes, and a flood of SYNs.

use std::time::Duration;

use crate::wire::{DNS, Link, PROGRAM, addr, from_to, read};
use etherparse::{TcpHeader, TcpHeaderSlice, TcpOptionElement};
use wharf_stack::stack::Event;
use wharf_stack::tcp::State;
use wharf_table::binding::BindingId;
use wharf_table::{DropReason, Port};

fn listen(link: &mut Link, backlog: Option<u32>) -> BindingId {
    let port = Port::new(53).unwrap();
    link.stack.listen_with_backlog(Some(addr(DNS[0])), port, 7, backlog).expect("the port is free")
}

fn segment(port: u16, seq: u32, options: &[TcpOptionElement], change: impl Fn(&mut TcpHeader)) -> Vec<u8> {
    let mut header = TcpHeader::new(port, 53, seq, 8_000);
    change(&mut header);
    header.set_options(options).unwrap();
    let mut frame = Vec::new();
    from_to(PROGRAM[0], DNS[0], 64).tcp_header(header).write(&mut frame, &[]).unwrap();
    frame
}

/// A SYN, and the header of what answers it.
fn knock(
    link: &mut Link,
    port: u16,
    options: &[TcpOptionElement],
) -> Option<(TcpHeader, Vec<TcpOptionElement>)> {
    let answers = link.take(&segment(port, 1_000, options, |header| header.syn = true));
    let payload = read(answers.first()?).payload;
    let slice = TcpHeaderSlice::from_slice(&payload).unwrap();
    Some((slice.to_header(), slice.options_iterator().map(|option| option.unwrap()).collect()))
}

fn acknowledge(link: &mut Link, port: u16, answer: &TcpHeader, options: &[TcpOptionElement]) -> Vec<Vec<u8>> {
    let next = answer.sequence_number.wrapping_add(1);
    link.take(&segment(port, 1_001, options, |header| {
        (header.ack, header.acknowledgment_number) = (true, next);
    }))
}

#[test]
fn connections_wait_in_their_order_and_beyond_the_backlog_outside() {
    let mut link = Link::new();
    let binding = listen(&mut link, Some(1));
    let answers: Vec<TcpHeader> = [1, 2].map(|port| knock(&mut link, port, &[]).unwrap().0).into();
    for (port, answer) in [1, 2].into_iter().zip(&answers) {
        acknowledge(&mut link, port, answer, &[]);
    }
    // One more than the backlog waits; then SYNs are not even answered.
    assert_eq!(link.stack.acceptable_count(binding), 2);
    assert!(knock(&mut link, 3, &[]).is_none());
    assert_eq!(link.dropped(DropReason::ListenQueueFull), 1);
    assert_eq!(link.stack.poll_event(), Some(Event::Acceptable { listener: binding, token: 7 }));
    assert_eq!(link.stack.poll_event(), None);
    for port in [1, 2] {
        let id = link.stack.accept_next(link.now, binding).unwrap();
        assert_eq!((link.stack.tuple(id).remote.port, link.stack.state(id)), (port, State::Established));
    }
    assert!(link.stack.accept_next(link.now, binding).is_none());
    assert!(knock(&mut link, 3, &[]).is_some());
}

#[test]
fn the_answer_is_repeated_five_times_and_then_forgotten() {
    let mut link = Link::new();
    listen(&mut link, None);
    let started = link.now;
    knock(&mut link, 1, &[]).unwrap();
    let mut times = Vec::new();
    while let Some(at) = link.stack.poll_timeout() {
        link.now = at;
        link.stack.handle_timeout(at);
        if !link.sent().is_empty() {
            times.push(at.since(started).as_secs());
        }
    }
    assert_eq!(times, [1, 3, 7, 15, 31]);
    assert_eq!((link.now.since(started).as_secs(), link.stack.connection_count()), (63, 0));
}

#[test]
fn a_flood_takes_bounded_memory_and_a_client_comes_through_with_its_options() {
    let mut link = Link::new();
    let binding = listen(&mut link, Some(128));
    for port in 1..60_000 {
        knock(&mut link, port, &[]);
    }
    assert_eq!(link.stack.connection_count(), 128);
    let offered = [
        TcpOptionElement::MaximumSegmentSize(1_400),
        TcpOptionElement::SelectiveAcknowledgementPermitted,
        TcpOptionElement::Timestamp(77, 0),
        TcpOptionElement::WindowScale(9),
    ];
    let (answer, options) = knock(&mut link, 60_001, &offered).unwrap();
    assert!(options.contains(&TcpOptionElement::SelectiveAcknowledgementPermitted));
    let clock = options.iter().find_map(|option| match option {
        TcpOptionElement::Timestamp(clock, 77) => Some(*clock),
        _ => None,
    });
    let echo = [TcpOptionElement::Timestamp(78, clock.unwrap())];
    // A guess is refused; the cookie is believed, a minute later too.
    let guess = TcpHeader { sequence_number: answer.sequence_number ^ 0x10_0000, ..answer.clone() };
    assert_eq!(acknowledge(&mut link, 60_001, &guess, &echo).len(), 1, "a RST");
    link.now += Duration::from_secs(50);
    assert!(acknowledge(&mut link, 60_001, &answer, &echo).is_empty());
    let id = link.stack.accept_next(link.now, binding).unwrap();
    assert_eq!((link.stack.tuple(id).remote.port, link.stack.state(id)), (60_001, State::Established));
    // 8000 in units of 2^9 is what the client takes.
    assert_eq!(link.stack.connection(id).info(link.now).snd_wnd, 8_000 << 9);
}
