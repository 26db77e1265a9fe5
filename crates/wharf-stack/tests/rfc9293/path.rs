//! The size that the path takes: by ICMP (RFC 1191, RFC 8201) with the doubts of RFC 5927, and without (RFC 4821).

use wharf_stack::tcp::MtuProbing;
use wharf_table::DropReason;

use crate::bench::*;

fn sizes(sent: &[Segment]) -> Vec<usize> {
    sent.iter().map(|segment| segment.payload.len()).filter(|&len| len > 0).collect()
}

/// A router that takes 40 bytes of headers and `payload` bytes says so.
fn too_big(payload: u32, quoted: &Segment) -> Vec<u8> {
    icmp(3, 4, payload + 40, quoted)
}

const MSS_1400: [u8; 4] = [2, 4, 5, 0x78];

#[test]
fn at_first_icmp_is_believed_at_once() {
    let mut host = host(|_| {});
    let talk = host.opened_with(0, &MSS_1400);
    let sent = host.send(&talk, &[1; 7_000]);
    assert_eq!(sizes(&sent), [1_400; 5]);
    let resent = host.take_packets(&[too_big(600, &sent[0])]);
    assert_eq!(sizes(&resent)[..11], [600; 11]);
    assert_eq!(sizes(&resent).iter().sum::<usize>(), 7_000, "all of it goes again, in smaller pieces");
}

#[test]
fn what_contradicts_an_acknowledgment_waits_until_something_is_lost() {
    let mut host = host(|_| {});
    let talk = host.opened_with(0, &MSS_1400);
    host.send(&talk, &[1; 1_400]);
    host.take(talk.segment(1, 1_401));
    // Forged: segments of 1,400 bytes do get through (RFC 5927, section 7.2).
    let sent = host.send(&talk, &[2; 2_800]);
    assert!(host.take_packets(&[too_big(600, &sent[0])]).is_empty());
    host.take(talk.segment(1, 4_201));
    assert_eq!(sizes(&host.send(&talk, &[3; 2_800])), [1_400, 1_400]);
    host.take(talk.segment(1, 7_001));
    // True: the path has changed, and the segment is lost.
    let sent = host.send(&talk, &[4; 2_800]);
    assert!(host.take_packets(&[too_big(600, &sent[0])]).is_empty());
    let resent: Vec<Segment> = host.wait(secs(2)).into_iter().map(|(_, segment)| segment).collect();
    assert!(!resent.is_empty() && sizes(&resent).iter().all(|&len| len <= 600), "{:?}", sizes(&resent));
}

#[test]
fn what_quotes_a_number_that_is_not_on_its_way_is_dropped() {
    let mut host = host(|_| {});
    let talk = host.opened_with(0, &MSS_1400);
    let sent = host.send(&talk, &[1; 7_000]);
    for wrong in [sent[0].seq.wrapping_sub(1), sent[4].seq.wrapping_add(1_400)] {
        assert!(host.take_packets(&[too_big(600, &Segment { seq: wrong, ..sent[0].clone() })]).is_empty());
    }
    assert_eq!(host.stack.drops().of(DropReason::IcmpInvalid), 2);
}

#[test]
fn less_than_every_path_takes_is_not_believed() {
    let mut host = host(|_| {});
    let talk = host.opened_with(0, &MSS_1400);
    let sent = host.send(&talk, &[1; 7_000]);
    for claimed in [0_u32, 27, 67, 68] {
        let resent = host.take_packets(&[icmp(3, 4, claimed, &sent[0])]);
        assert!(sizes(&resent).iter().max().is_none_or(|&len| len >= 512), "{claimed}");
    }
}

#[test]
fn the_next_connection_knows_and_after_ten_minutes_all_forget() {
    let mut host = host(|_| {});
    let talk = host.opened_with(0, &MSS_1400);
    let sent = host.send(&talk, &[1; 2_800]);
    host.take_packets(&[too_big(600, &sent[0])]);
    host.take(talk.segment(1, 2_801));
    let next = |host: &mut Host, port: u16| {
        let answer =
            host.take(Segment { seq: IRS, ..blank(0, port).flags(SYN).options(&MSS_1400) }).remove(0);
        // What we take is not what we may send (RFC 6691): the option does not change.
        assert_eq!(answer.option(2), Some(1_460_u16.to_be_bytes().to_vec()));
        let talk = Talk { iss: answer.seq, port, ..talk.clone() };
        host.take(talk.segment(1, 1));
        let Some(&wharf_stack::stack::Event::Connected(id)) = host.events.last() else {
            panic!("no connection")
        };
        let talk = Talk { id, ..talk };
        let sent = host.send(&talk, &[2; 1_400]);
        host.take(talk.segment(1, 1_401));
        sizes(&sent)[0]
    };
    assert_eq!(next(&mut host, 6_000), 600);
    host.wait(secs(599));
    assert_eq!(next(&mut host, 6_001), 600);
    host.wait(secs(2));
    assert_eq!(next(&mut host, 6_002), 1_400);
    assert_eq!(sizes(&host.send(&talk, &[3; 1_400])), [1_400], "the old connection tries again too");
}

/// Carries segments of up to `most` bytes to the peer and back as acknowledgments, and swallows larger ones, until `len`
/// bytes have come; the sizes that arrived.
fn through_a_narrow_path(host: &mut Host, talk: &Talk, len: usize, most: usize) -> Vec<usize> {
    let (mut came, mut next) = (Vec::new(), 1);
    let mut beyond: Vec<(u32, u32)> = Vec::new();
    let mut sent = host.send(talk, &vec![1; len]);
    for _ in 0..10_000 {
        let mut answers = Vec::new();
        for segment in sent.iter().filter(|segment| segment.payload.len() <= most) {
            let left = talk.numbers(segment).0;
            let right = left + segment.payload.len() as u32;
            came.push(segment.payload.len());
            beyond.push((left, right));
            beyond.sort_unstable();
            for &(left, right) in &beyond {
                if left <= next {
                    next = next.max(right);
                }
            }
            answers.push(talk.segment(1, next));
        }
        if next > len as u32 {
            return came;
        }
        host.now += ms(5);
        sent = host.take_all(&answers);
        if sent.is_empty() {
            sent = host.wait(ms(100)).into_iter().map(|(_, segment)| segment).collect();
        }
    }
    panic!("{next} of {len} bytes came");
}

#[test]
fn a_path_that_swallows_large_segments_is_noticed() {
    let mut host = host(|settings| (settings.mtu_probing, settings.sack) = (MtuProbing::OnBlackhole, false));
    let talk = host.opened_with(0, &MSS_1400);
    let came = through_a_narrow_path(&mut host, &talk, 400_000, 1_200);
    assert!(came.iter().all(|&len| len <= 1_200));
    // Then the size is searched for: what gets through is used.
    let largest = came.iter().copied().max().expect("something came");
    assert!(largest > 1_180, "{largest}");
    // Without probing nothing ever comes.
    let mut blind = crate::bench::host(|_| {});
    let talk = blind.opened_with(0, &MSS_1400);
    blind.send(&talk, &[1; 10_000]);
    let sent = blind.wait(secs(3_600));
    assert!(!sent.is_empty() && sent.iter().all(|(_, segment)| segment.payload.len() == 1_400));
}

#[test]
fn a_search_from_the_start_finds_the_size_and_loses_no_speed() {
    for (most, expected) in [(1_400, 1_390..=1_400), (1_300, 1_285..=1_300), (1_030, 1_024..=1_030)] {
        let mut host = host(|settings| (settings.mtu_probing, settings.sack) = (MtuProbing::Always, false));
        let talk = host.opened_with(0, &MSS_1400);
        let came = through_a_narrow_path(&mut host, &talk, 600_000, most);
        assert_eq!(came[0], 1_024, "what every path takes");
        let last = came[came.len() - 20];
        assert!(expected.contains(&last), "{last} of {most}");
    }
}
