//! Seeds for targets whose input is a list of operations: written here by name, because nobody reads them as bytes.

use std::fs;
use std::path::Path;

/// Operations of `host`: what, whose, and six numbers. What: 0 a segment, 4 a call, 6 time, 7 an ICMP error.
const SEGMENT: u8 = 0;
const CALL: u8 = 4;
const TIME: u8 = 6;
const ERROR: u8 = 7;
/// Seconds, nearly: 61 << 14 microseconds.
const SECOND: [u8; 8] = [TIME, 61, 14, 0, 0, 0, 0, 0];
const MINUTE: [u8; 8] = [TIME, 229, 18, 0, 0, 0, 0, 0];

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;
const URG: u8 = 32;

/// A segment of this peer: flags, and how far its numbers are from the right ones, as the target's `near` reads them.
const fn segment(whose: u8, flags: u8, seq: u8, ack: u8, len: u8, options: u8) -> [u8; 8] {
    [SEGMENT, whose, flags, seq, ack, 0xff, len, options]
}

const fn call(whose: u8, which: u8, a: u8, b: u8) -> [u8; 8] {
    [CALL, whose, which, a, b, 0, 0, 0]
}

/// To port 80 whatever came before, with all options of a SYN.
const fn syn(whose: u8) -> [u8; 8] {
    segment(whose | 0x80, SYN, 0, 0, 0, 1)
}

/// The peer's third segment, and the program's accept.
const fn opened(whose: u8) -> [[u8; 8]; 3] {
    [syn(whose), segment(whose, ACK, 0, 0, 0, 2), call(whose & 1, 0, 0, 0)]
}

/// `near` for 1 ahead, 1 behind, 2,048 ahead and 2^27 ahead.
const AHEAD: u8 = 11;
const BEHIND: u8 = 12;
const FAR: u8 = 13;
const BEYOND: u8 = 15;

type Operations = Vec<[u8; 8]>;

fn host() -> Vec<(&'static str, Operations)> {
    let open = |whose| opened(whose).to_vec();
    let then = |mut operations: Operations, more: &[[u8; 8]]| {
        operations.extend_from_slice(more);
        operations
    };
    vec![
        ("syn_flood", (0..120).map(|at| syn(at * 2)).collect()),
        ("cookie_guesses", (0..60).map(|at| segment(0x80, ACK, at, at * 4, 4, 2)).collect()),
        (
            "data_after_fin",
            then(open(0), &[segment(0, FIN | ACK, 0, 0, 5, 2), segment(0, ACK, 0, 0, 9, 2), SECOND]),
        ),
        (
            "overlapping_data",
            then(
                open(0),
                &[
                    segment(0, ACK, AHEAD, 0, 15, 2),
                    segment(0, ACK, AHEAD, 0, 9, 18),
                    segment(0, ACK, 0, 0, 15, 2),
                    segment(0, ACK, BEHIND, 0, 15, 34),
                    call(3, 5, 9, 0),
                ],
            ),
        ),
        (
            "timestamps_that_vanish",
            then(open(0), &[segment(0, ACK, 0, 0, 5, 6), segment(0, FIN | ACK, 0, 0, 0, 6)]),
        ),
        (
            "stale_timestamps",
            then(open(0), &[MINUTE, segment(0, ACK, 0, 0, 5, 2 | 4 << 3), segment(0, ACK, 0, 0, 5, 2)]),
        ),
        (
            "reset_near_the_edge",
            then(open(0), &[segment(0, RST, AHEAD, 0, 0, 7), segment(0, RST, FAR, 0, 0, 7)]),
        ),
        ("reset_in_time_wait", {
            let closing = [
                call(3, 7, 1, 0),
                segment(0, ACK | FIN, 0, 0, 0, 2),
                SECOND,
                segment(0, RST, 0, 0, 0, 2),
                segment(0, ACK, BEHIND, 0, 0, 2),
                syn(0),
                MINUTE,
            ];
            then(open(0), &closing)
        }),
        ("syn_in_time_wait", {
            let closing =
                [call(3, 7, 1, 0), segment(0, ACK | FIN, 0, 0, 0, 2), segment(0, SYN, FAR, 0, 0, 1), SECOND];
            then(open(0), &closing)
        }),
        (
            "linger_zero",
            then(open(0), &[segment(0, ACK, 0, 0, 5, 2), call(3, 8, 0, 0), call(3, 10, 0, 0), SECOND]),
        ),
        ("unread_data_at_close", then(open(0), &[segment(0, ACK, 0, 0, 5, 2), call(3, 10, 0, 0), SECOND])),
        (
            "optimistic_acks",
            then(
                open(0),
                &[call(3, 3, 7, 9), segment(0, ACK, 0, AHEAD, 0, 2), segment(0, ACK, 0, BEYOND, 0, 2)],
            ),
        ),
        ("zero_window", {
            let stalled =
                [call(3, 3, 7, 200), [SEGMENT, 0, ACK, 0, 0, 0, 0, 2], MINUTE, MINUTE, call(3, 10, 0, 0)];
            then(open(0), &stalled)
        }),
        (
            "simultaneous_open",
            vec![call(0, 2, 0, 0), segment(0, SYN, 0, 0, 0, 1), segment(0, ACK, 0, 0, 0, 2), SECOND],
        ),
        ("too_big_of_nothing", then(open(0), &[call(3, 3, 7, 90), [ERROR, 0, 0, 4, 0, 0, 255, 0], SECOND])),
        ("too_big_over_ipv6", then(open(1), &[call(3, 3, 7, 90), [ERROR, 0, 0, 0, 2, 0, 255, 0], SECOND])),
        (
            "unreachable_for_another_number",
            then(open(0), &[call(3, 3, 7, 90), [ERROR, 0, 3, 1, 0, 0, 24, 64], SECOND]),
        ),
        (
            "a_look_at_the_urgent_byte",
            then(open(0), &[[SEGMENT, 0, ACK | URG, 0, 0, 0xff, 5, 2], call(3, 6, 1, 7), call(3, 6, 1, 4)]),
        ),
        (
            "urgent_everywhere",
            then(open(0), &[segment(0, ACK | URG, 0, 0, 5, 2), call(3, 6, 1, 0x80), call(3, 5, 9, 1)]),
        ),
        (
            "large_and_odd",
            then(
                open(0),
                &[segment(0, ACK, 0, 0, 0xff, 2), call(3, 5, 255, 6), segment(0, ACK, 0, 0, 0xf3, 2)],
            ),
        ),
    ]
}

/// Operations of `table`: what, and three numbers.
fn table() -> Vec<(&'static str, Vec<[u8; 4]>)> {
    let listen = [0, 6, 1, 0];
    vec![
        ("all_ports_taken", (0..8).map(|_| [0, 6, 0, 0]).collect()),
        ("requests_to_the_last", std::iter::once(listen).chain((0..40).map(|at| [5, 0, at, 0])).collect()),
        (
            "from_request_to_waiting",
            vec![
                listen,
                [5, 0, 5, 0],
                [7, 0, 0, 0],
                [9, 0, 0, 0],
                [10, 0, 0, 0],
                [11, 255, 8, 0],
                [11, 255, 9, 0],
            ],
        ),
        (
            "waiting_used_again",
            vec![listen, [5, 0, 5, 0], [7, 0, 0, 0], [9, 0, 0, 0], [10, 0, 1, 0], [2, 0, 5, 0]],
        ),
        (
            "one_tuple_for_two",
            vec![[2, 1, 5, 0], [2, 1, 5, 0], [4, 9, 1, 5], [4, 1, 9, 5], [8, 0, 0, 0], [4, 9, 1, 5]],
        ),
        ("flows_to_the_last", (0..60).map(|at| [2, at, at * 3, 0]).collect()),
    ]
}

fn script() -> Vec<(&'static str, &'static str)> {
    vec![
        (
            "segment",
            "0 < S 0:0(0) win 32792 <mss 1000,sackOK,nop,nop,nop,wscale 7>\n+0 > S. 0:0(0) ack 1 <...>\n",
        ),
        (
            "calls",
            "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+.1~+.2 setsockopt(3, SOL_SOCKET, SO_LINGER, {onoff=1, linger=0}, 8) = 0\n",
        ),
        ("icmp", "+0 < icmp unreachable frag_needed mtu 1200 [1:1001(1000)]\n"),
        ("numbers_beyond", "99999999999999999999 < S 4294967296:0(99999) win 70000\n"),
        ("brackets_without_end", "0 read(3, [[[[[[[[{{{{((((\n"),
        ("string_without_end", "0 write(3, \"abc\\"),
        ("comment_without_end", "/* never\n0 close(3) = 0"),
        (
            "options",
            "--ip_version=ipv6\n--tolerance_usecs=1000\n`true`\n0 close(3) = -1 EBADF (Bad file descriptor)\n`true`\n",
        ),
    ]
}

#[test]
fn the_written_seeds_are_current() {
    let mut all: Vec<(&str, &str, Vec<u8>)> = Vec::new();
    for (name, operations) in host() {
        all.push(("host", name, [vec![0], operations.concat()].concat()));
    }
    for (name, operations) in table() {
        all.push(("table", name, [vec![0], operations.concat()].concat()));
    }
    all.extend(script().into_iter().map(|(name, text)| ("script", name, text.as_bytes().to_vec())));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    for (target, name, bytes) in all {
        let path = root.join(target).join(name);
        if std::env::var_os("UPDATE_SEEDS").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &bytes).unwrap();
        }
        let found = fs::read(&path).unwrap_or_default();
        assert!(found == bytes, "{} is not what is written here: UPDATE_SEEDS=1", path.display());
    }
}
