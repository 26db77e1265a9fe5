//! Options (RFC 9293, sections 3.1, 3.2 and 3.7.1).

use crate::bench::*;

/// The largest payload that leaves when there is much to send.
fn segment_size(host: &mut Host, talk: &Talk) -> usize {
    let sent = host.send(talk, &[1; 20_000]);
    sent.iter().map(|segment| segment.payload.len()).max().expect("something leaves")
}

/// The same on a new connection whose SYN has these options.
fn size_after(options: &[u8]) -> usize {
    let mut host = host(|_| {});
    let talk = host.opened_with(0, options);
    segment_size(&mut host, &talk)
}

#[test]
fn must_4_end_nop_and_mss_are_understood() {
    assert_eq!(size_after(&[1, 1, 1, 1, 2, 4, 3, 0xe8]), 1_000);
    assert_eq!(size_after(&[2, 4, 3, 0xe8, 0, 0, 0, 0]), 1_000);
    assert_eq!(size_after(&[1, 1, 1, 0, 2, 4, 3, 0xe8]), 536, "behind the end nothing counts");
}

#[test]
fn must_5_options_may_come_in_any_segment() {
    let mut host = host(|_| {});
    let talk = host.opened();
    let noise = [1, 1, 253, 6, 1, 2, 3, 4, 1, 1, 1, 1];
    host.take(talk.segment(1, 1).options(&noise).data(b"data"));
    host.send(&talk, b"x");
    host.take(talk.segment(5, 2).options(&noise));
    assert_eq!(host.stack.connection(talk.id).unacknowledged_len(), 0);
    host.take(talk.segment(5, 2).options(&noise).flags(FIN | ACK));
    assert!(host.received(&talk) == b"data" && host.stack.connection(talk.id).peer_has_finished());
    host.take(talk.segment(6, 2).options(&noise).flags(RST));
    assert_eq!(host.stack.state(talk.id).name(), "closed");
}

#[test]
fn must_6_unknown_options_are_passed_over() {
    for kind in (6..=255).filter(|kind| ![8, 28].contains(kind)) {
        assert_eq!(size_after(&[kind, 4, 0xff, 0xff, 2, 4, 3, 0xe8]), 1_000, "kind {kind}");
    }
}

#[test]
fn must_7_an_illegal_length_does_no_harm() {
    for kind in [2, 3, 4, 5, 8, 28, 253] {
        for len in [0, 1, 5, 9, 39, 255] {
            let mut host = host(|settings| (settings.timestamps, settings.window_scale) = (true, true));
            let talk = host.opened_with(0, &[kind, len, 1, 1]);
            assert_eq!(segment_size(&mut host, &talk), 536, "kind {kind} length {len}");
            host.take(talk.segment(1, 1).options(&[kind, len, 1, 1]).data(b"and in the middle"));
            assert_eq!(host.received(&talk), b"and in the middle", "kind {kind} length {len}");
        }
    }
}

#[test]
fn must_14_a_segment_size_is_told_and_heard() {
    for (family, own) in [(0, 1_460_u16), (1, 1_440)] {
        let mut host = host(|_| {});
        let talk = host.opened_with(family, &MSS_1000);
        assert_eq!(talk.syn_ack.option(2), Some(own.to_be_bytes().to_vec()));
        assert_eq!(segment_size(&mut host, &talk), 1_000);
    }
}

#[test]
fn must_15_without_the_option_it_is_536_or_1220() {
    for (family, default) in [(0, 536), (1, 1_220)] {
        let mut host = host(|_| {});
        let talk = host.opened_with(family, &[]);
        assert_eq!(segment_size(&mut host, &talk), default);
    }
}

#[test]
fn must_16_the_effective_size_counts_options_and_the_link() {
    // The least of what the peer takes and the link carries, less the options of the segment.
    for (mtu, timestamps, told, size) in [
        (1_500, false, 1_000, 1_000),
        (1_500, true, 1_000, 988),
        (600, false, 1_000, 560),
        (600, true, 1_460, 548),
    ] {
        let mut host = silent_host(mtu, |settings| settings.timestamps = timestamps);
        host.listen(None, PORT, 1);
        let [high, low] = u16::to_be_bytes(told);
        let mut options = vec![2, 4, high, low];
        if timestamps {
            options.extend_from_slice(&[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0]);
        }
        let syn = Segment { seq: IRS, ..blank(0, 5_000).flags(SYN).options(&options) };
        let answer = host.take(syn).remove(0);
        let echo = answer.option(8).map(|value| value[..4].to_vec());
        let mut ack =
            Segment { seq: IRS.wrapping_add(1), ack: answer.seq.wrapping_add(1), ..blank(0, 5_000) };
        if let Some(echo) = echo {
            ack.options = [&[1, 1, 8, 10, 0, 0, 0, 1][..], &echo].concat();
        }
        host.take(ack);
        let id = host.events.iter().find_map(|event| match event {
            wharf_stack::stack::Event::Connected(id) => Some(*id),
            _ => None,
        });
        host.stack.send(host.now, id.unwrap(), &[1; 5_000]);
        assert_eq!(host.sent()[0].payload.len(), size, "MTU {mtu}, timestamps: {timestamps}");
    }
}

#[test]
fn must_64_options_may_stand_anywhere() {
    for before in 0..4 {
        let mut options = vec![1; before];
        options.extend_from_slice(&[2, 4, 3, 0xe8]);
        options.resize(8, 1);
        assert_eq!(size_after(&options), 1_000, "behind {before}");
    }
}

/// Segments of every kind that a connection sends, with all options offered.
fn all_kinds() -> Vec<Segment> {
    let mut host = host(|settings| {
        (settings.timestamps, settings.window_scale) = (true, true);
        settings.user_timeout_option = Some(Default::default());
    });
    let offer = [2, 4, 3, 0xe8, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
    let syn = Segment { seq: IRS, ..blank(0, 5_000).flags(SYN).options(&offer) };
    let mut all = host.take(syn);
    let echo = all[0].option(8).expect("both do timestamps");
    let timestamps = [&[1, 1, 8, 10, 0, 0, 0, 1][..], &echo[..4]].concat();
    let iss = all[0].seq;
    let segment = |seq: u32| Segment {
        seq: IRS.wrapping_add(seq),
        ack: iss.wrapping_add(1),
        ..blank(0, 5_000).options(&timestamps)
    };
    all.extend(host.take(segment(1)));
    let Some(&wharf_stack::stack::Event::Connected(id)) = host.events.first() else {
        panic!("not connected")
    };
    host.stack.send(host.now, id, &[1; 3_000]);
    all.extend(host.sent());
    all.extend(host.take(segment(11).data(&[1; 10])));
    all.extend(host.take(segment(31).data(&[1; 10])));
    host.stack.shutdown(host.now, id);
    all.extend(host.sent());
    host.stack.abort(host.now, id);
    all.extend(host.sent());
    all.extend(host.take(segment(1)));
    assert!(all.len() > 7 && all.iter().any(|segment| segment.option(5).is_some()));
    assert!(all.last().is_some_and(|last| last.flags & RST != 0));
    all
}

#[test]
fn must_65_the_segment_size_is_told_on_a_syn_only() {
    for segment in all_kinds() {
        assert_eq!(segment.option(2).is_some(), segment.flags & SYN != 0, "{segment:?}");
    }
}

#[test]
fn must_67_it_is_what_the_link_carries_without_options() {
    for mtu in [576, 1_280, 1_500, 9_000] {
        for (family, headers) in [(0, 40), (1, 60)] {
            if family == 1 && mtu < 1_280 {
                continue;
            }
            let mut host = silent_host(mtu, |settings| settings.timestamps = true);
            host.listen(None, PORT, 1);
            let answer = host.take(Segment { seq: IRS, ..blank(family, 5_000).flags(SYN) }).remove(0);
            assert_eq!(answer.option(2), Some((mtu - headers).to_be_bytes().to_vec()), "MTU {mtu}");
        }
    }
}

#[test]
fn must_68_every_option_but_end_and_nop_has_its_length() {
    for segment in all_kinds() {
        let mut rest = &segment.options[..];
        while let [kind, behind @ ..] = rest {
            let len = if *kind <= 1 { 1 } else { usize::from(behind[0]) };
            let known = match kind {
                0 | 1 => 1,
                2 | 28 => 4,
                3 => 3,
                4 => 2,
                8 => 10,
                5 => 2 + 8 * ((len - 2) / 8),
                other => panic!("option {other}"),
            };
            assert_eq!(len, known, "{segment:?}");
            rest = &rest[len..];
        }
    }
}

#[test]
fn must_69_behind_the_end_of_options_is_nothing_but_zero() {
    for segment in all_kinds() {
        let mut rest = &segment.options[..];
        while let [kind, behind @ ..] = rest {
            match kind {
                0 => {
                    assert!(behind.iter().all(|&byte| byte == 0));
                    break;
                }
                1 => rest = behind,
                _ => rest = &rest[usize::from(behind[0])..],
            }
        }
    }
}
