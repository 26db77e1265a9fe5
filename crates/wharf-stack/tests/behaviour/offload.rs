//! What a stack leaves to its device is never more than the device can carry.

use std::time::Duration;

use crate::wire::*;
use etherparse::{SlicedPacket, TcpOptionElement, TransportSlice};
use wharf_sim::Setup;
use wharf_stack::stack::Event;

/// A peer chooses the segment size, and by what it holds out of order how long our headers are: no frame may become longer
/// than an IP packet can be.
#[test]
fn a_large_frame_with_the_longest_header_is_still_a_packet() {
    for family in FAMILIES {
        for mss in [88, 89, 100, 400, 536, 1_000, 1_460] {
            download(family, mss);
        }
    }
}

fn download(family: usize, mss: u16) {
    let mut link = Link::with(&Setup::default().offloads(), |_| {});
    let segment = |seq: u32, ack: Option<u32>, options: &[TcpOptionElement], data: &[u8]| {
        let mut frame = Vec::new();
        let tcp = from_to(PROGRAM[family], OUTSIDE[family], 64).tcp(5_000, 80, seq, 65_535);
        let tcp = match ack {
            Some(ack) => tcp.ack(ack),
            None => tcp.syn(),
        };
        tcp.options(options).expect("they fit").write(&mut frame, data).expect("taken");
        frame
    };
    let offer = [
        TcpOptionElement::MaximumSegmentSize(mss),
        TcpOptionElement::SelectiveAcknowledgementPermitted,
        TcpOptionElement::Timestamp(1, 0),
        TcpOptionElement::WindowScale(10),
    ];
    link.take(&segment(1_000, None, &offer, &[]));
    let Some(Event::Incoming(id)) = link.stack.poll_event() else { panic!("no connection") };
    link.stack.accept(link.now, id);
    let answer = link.sent();
    let iss = sequence(&answer[0]).0;
    let stamp = [TcpOptionElement::Timestamp(2, 0)];
    link.take(&segment(1_001, Some(iss + 1), &stamp, &[]));
    let mut largest = 0;
    let mut end = iss + 1;
    for round in 0..400_u32 {
        let mut frames = Vec::new();
        // Three blocks wait for what lies before them, and are told with every segment.
        for hole in [1, 3, 5] {
            let seq = 1_001 + (hole + 10 * (round % 50)) * 10;
            frames.extend(link.take(&segment(seq, Some(end), &stamp, b"out")));
        }
        let now = link.now;
        link.stack.send(now, id, &[0x55; 200_000]);
        frames.extend(link.sent());
        link.now += Duration::from_millis(1);
        for frame in &frames {
            largest = largest.max(frame.len() - 14);
            let (seq, len) = sequence(frame);
            end = end.max(seq + len);
        }
    }
    assert!(largest > 60_000, "MSS {mss}: {largest}");
    assert!(largest <= 65_535 + if family == 0 { 0 } else { 40 }, "MSS {mss}: {largest}");
}

/// Sequence number and payload length of a segment.
fn sequence(frame: &[u8]) -> (u32, u32) {
    let packet = SlicedPacket::from_ethernet(frame).expect("etherparse can read it");
    let Some(TransportSlice::Tcp(tcp)) = packet.transport else { panic!("no segment") };
    (tcp.sequence_number(), tcp.payload().len() as u32)
}
