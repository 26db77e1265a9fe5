use std::string::ToString;
use std::vec::Vec;
use std::{format, vec};

use wharf_table::Addr;
use wharf_wire::ipv4::Ipv4Repr;

use super::*;

fn run(link: &mut ImpairedLink<Vec<u8>>, count: u32, gap: Duration) -> Vec<(Instant, Vec<u8>)> {
    let mut now = Instant::ZERO;
    let mut arrived = vec![];
    for index in 0..count {
        // Frames that find the queue full are lost, which is what some tests count.
        let _ = link.push(now, index.to_be_bytes().to_vec());
        now += gap;
    }
    while let Some(due) = link.poll_timeout() {
        arrived.push((due, link.poll(due).unwrap()));
    }
    arrived
}

fn indices(arrived: &[(Instant, Vec<u8>)]) -> Vec<u32> {
    arrived.iter().map(|(_, frame)| u32::from_be_bytes(frame[..].try_into().unwrap())).collect()
}

fn link(text: &str) -> ImpairedLink<Vec<u8>> {
    ImpairedLink::new(Impairment::parse(text).unwrap(), 42)
}

#[test]
fn a_good_link_changes_nothing() {
    let mut link = ImpairedLink::new(Impairment::default(), 1);
    assert!(link.impairment().is_none());
    let arrived = run(&mut link, 1_000, Duration::ZERO);
    assert_eq!(indices(&arrived), (0..1_000).collect::<Vec<_>>());
    assert!(arrived.iter().all(|&(due, _)| due == Instant::ZERO) && link.is_empty());
}

#[test]
fn jitter_keeps_the_order_and_the_bounds() {
    let arrived = run(&mut link("delay=20ms,jitter=2ms"), 1_000, Duration::from_millis(5));
    assert_eq!(indices(&arrived), (0..1_000).collect::<Vec<_>>());
    let flights = arrived.iter().zip(0..).map(|(&(due, _), sent)| due.micros() - sent * 5_000);
    let (least, most) = (flights.clone().min().unwrap(), flights.max().unwrap());
    assert!((18_000..18_500).contains(&least) && (21_500..=22_000).contains(&most), "{least} {most}");
    let dense = run(&mut link("delay=20ms,jitter=2ms"), 1_000, Duration::from_micros(10));
    assert_eq!(indices(&dense), (0..1_000).collect::<Vec<_>>());
}

#[test]
fn shares_are_kept_to() {
    let count = 100_000;
    let arrived = run(&mut link("loss=5%"), count, Duration::ZERO).len() as i64;
    assert!((arrived - 95_000).abs() < 500, "{arrived}");
    let arrived = run(&mut link("duplicate=10%"), count, Duration::ZERO).len() as i64;
    assert!((arrived - 110_000).abs() < 700, "{arrived}");
    let arrived = run(&mut link("reorder=1%"), count, Duration::from_micros(10));
    let late = indices(&arrived).windows(2).filter(|pair| pair[1] < pair[0]).count() as i64;
    assert!((late - 1_000).abs() < 250, "{late}");
    assert_eq!(run(&mut link("loss=100%"), count, Duration::ZERO).len(), 0);
}

#[test]
fn corruption_flips_one_bit_of_a_packet_and_loses_what_is_none() {
    let mut link = link("corrupt=20%");
    let mut frame = vec![0; 30];
    frame[12..14].copy_from_slice(&[8, 0]);
    (0..100_000).for_each(|_| link.push(Instant::ZERO, frame.clone()).unwrap());
    let differ =
        |other: &Vec<u8>| -> u32 { frame.iter().zip(other).map(|(a, b)| (a ^ b).count_ones()).sum() };
    let mut wrong = 0_i64;
    while let Some(arrived) = link.poll(Instant::ZERO) {
        assert!(differ(&arrived) <= 1 && arrived[..14] == frame[..14]);
        wrong += i64::from(differ(&arrived));
    }
    assert!((wrong - 20_000).abs() < 900, "{wrong}");
    frame[13] = 6;
    let lost = (0..100_000).filter(|_| link.push(Instant::ZERO, frame.clone()).is_err()).count() as i64;
    assert!((lost - 20_000).abs() < 900, "{lost}");
}

#[test]
fn the_rate_spaces_frames_and_the_queue_overflows() {
    // 4 bytes at 32 kbit a second take a millisecond.
    let mut link = link("rate=32kbit,queue=10,delay=5ms");
    let arrived = run(&mut link, 100, Duration::ZERO);
    assert_eq!(indices(&arrived), (0..11).collect::<Vec<_>>());
    let due: Vec<u64> = arrived.iter().map(|(due, _)| due.millis()).collect();
    assert_eq!(due, (6..17).collect::<Vec<_>>());
    assert_eq!(link.push(Instant::from_millis(11), vec![0; 4]), Ok(()));
}

#[test]
fn the_same_seed_gives_the_same_faults() {
    let text = "delay=3ms,jitter=3ms,loss=10%,reorder=10%,duplicate=10%,corrupt=10%,rate=1mbit";
    let runs: Vec<_> = (0..2).map(|_| run(&mut link(text), 2_000, Duration::from_micros(50))).collect();
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn memory_is_bounded() {
    let mut link = link("delay=10s");
    let pushed = (0..100).filter(|_| link.push(Instant::ZERO, vec![0; 1 << 20]).is_ok()).count();
    assert_eq!(pushed, IN_FLIGHT_MAX >> 20);
}

/// RFC 3168, section 5: with a queue, ECT packets are marked, others are not, and the header's checksum stays right.
#[test]
fn a_queue_marks_those_who_do_ecn() {
    for (family, ecn, marked) in
        [(4, 0, false), (4, 1, true), (4, 2, true), (4, 3, true), (6, 0, false), (6, 2, true)]
    {
        let mut frame = vec![0_u8; 100];
        let (src, dst) = (Addr::v4([10, 0, 0, 1]), Addr::v4([10, 0, 0, 2]));
        if family == 4 {
            frame[12..14].copy_from_slice(&[8, 0]);
            let ip = Ipv4Repr {
                src,
                dst,
                protocol: 6,
                hop_limit: 64,
                dscp_ecn: 0xb8 | ecn,
                identification: 7,
                dont_fragment: true,
                more_fragments: false,
                fragment_offset: 0,
                payload_len: 66,
            };
            ip.emit(&mut frame[14..34]);
        } else {
            frame[12..16].copy_from_slice(&[0x86, 0xdd, 0x60, ecn << 4]);
        }
        let mut link = link("rate=1mbit,mark=2");
        (0..3).for_each(|_| link.push(Instant::ZERO, frame.clone()).expect("there is room"));
        let mut codes = Vec::new();
        while let Some(due) = link.poll_timeout() {
            let out = link.poll(due).expect("it is due");
            if family == 4 {
                let (ip, _, _) = Ipv4Repr::parse(&out[14..]).expect("the checksum is right");
                assert_eq!(ip.dscp_ecn & 0xfc, 0xb8);
                codes.push(ip.dscp_ecn & 3);
            } else {
                codes.push(out[15] >> 4 & 3);
            }
        }
        assert_eq!(codes, [ecn, ecn, if marked { 3 } else { ecn }], "IPv{family}, {ecn}");
    }
}

#[test]
fn what_users_write_is_read() {
    let text =
        "delay=20ms,jitter=2ms,loss=1%,reorder=1%,duplicate=0.1%,corrupt=0.01%,rate=10mbit,queue=50,mark=20";
    let expected = Impairment {
        delay: Duration::from_millis(20),
        jitter: Duration::from_millis(2),
        loss: Share::from_percent(1),
        reorder: Share::from_ppm(10_000),
        duplicate: Share::from_ppm(1_000),
        corrupt: Share::from_ppm(100),
        rate: core::num::NonZeroU64::new(10_000_000),
        queue: 50,
        mark: Some(20),
    };
    assert_eq!(Impairment::parse(text), Ok(expected));
    assert_eq!(Impairment::parse("delay=1.5s").unwrap().delay, Duration::from_millis(1_500));
    assert_eq!(Impairment::parse("delay=250us").unwrap().delay, Duration::from_micros(250));
    assert_eq!(Impairment::parse("rate=2.5gbit").unwrap().rate.unwrap().get(), 2_500_000_000);
}

#[test]
fn what_is_wrong_is_quoted() {
    for (text, part, kind) in [
        ("delay=20", "delay=20", "span of time"),
        ("delay=20ms,loss=1", "loss=1", "share of frames"),
        ("loss=101%", "loss=101%", "share of frames"),
        ("loss=-1%", "loss=-1%", "share of frames"),
        ("loss=%", "loss=%", "share of frames"),
        ("rate=0mbit", "rate=0mbit", "rate"),
        ("rate=10mbps", "rate=10mbps", "rate"),
        ("rate=99999999999gbit", "rate=99999999999gbit", "rate"),
        ("queue=-1", "queue=-1", "number of frames"),
        ("lag=1ms", "lag=1ms", "none of delay="),
        ("delay", "delay", "none of delay="),
        ("", "", "none of delay="),
        ("loss=1%,loss=2%", "loss=2%", "said before"),
    ] {
        let message = Impairment::parse(text).unwrap_err().to_string();
        assert!(message.starts_with(&format!("\"{part}\"")) && message.contains(kind), "{text}: {message}");
    }
}
