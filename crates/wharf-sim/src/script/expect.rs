//! Whether a packet that came out is the one that was expected.

use super::packet::{Body, Icmp, Packet, Segment, TcpOption, flag};
use super::setting::Setting;
use super::syntax::{PacketLine, Tos};

/// The first thing in which a packet differs from what the line says, in words; `None` when it is as expected.
///
/// Both are in the script's numbers.
pub(super) fn difference(line: &PacketLine, seen: &Packet, setting: &Setting) -> Option<String> {
    let said = &line.packet;
    ip(line, seen).or_else(|| match (&said.body, &seen.body) {
        (Body::Tcp(said), Body::Tcp(seen)) => segment(line, said, seen, setting),
        (Body::Udp(said), Body::Udp(seen)) => {
            field("the payload's length", said.payload.len(), seen.payload.len())
                .or_else(|| payload(said.payload.said, &said.payload.bytes, &seen.payload.bytes))
        }
        (Body::Icmp(said), Body::Icmp(seen)) => message(said, seen),
        _ => Some("it is of another protocol".to_owned()),
    })
}

fn field<T: PartialEq + std::fmt::Display>(name: &str, said: T, seen: T) -> Option<String> {
    (said != seen).then(|| format!("{name} is {seen} and not {said}"))
}

fn ip(line: &PacketLine, seen: &Packet) -> Option<String> {
    let tos = match line.tos {
        Tos::Unsaid => None,
        Tos::Ecn(bits) => field("the ECN codepoint", bits, seen.tos & 3),
        Tos::AnyEct => (!matches!(seen.tos & 3, 1 | 2)).then(|| "the packet is not ECN-capable".to_owned()),
        Tos::Whole(tos) => field("the TOS byte", tos, seen.tos),
    };
    tos.or_else(|| line.ttl.and_then(|ttl| field("the time to live", ttl, seen.ttl)))
        .or_else(|| line.flow_label.and_then(|label| field("the flow label", label, seen.flow_label)))
}

fn flags_in_words(flags: u16) -> String {
    let letters: String =
        flag::LETTERS.iter().filter(|(_, bit)| flags & bit != 0).map(|(letter, _)| *letter).collect();
    if letters.is_empty() { "-".to_owned() } else { letters }
}

fn segment(line: &PacketLine, said: &Segment, seen: &Segment, setting: &Setting) -> Option<String> {
    let ace = flag::AE | flag::CWR | flag::ECE;
    let flags = match line.checks.ace {
        Some(_) => field("ACE", (said.flags & ace) >> 6, (seen.flags & ace) >> 6),
        None => None,
    };
    flags
        .or_else(|| {
            (said.flags != seen.flags).then(|| {
                format!("the flags are {} and not {}", flags_in_words(seen.flags), flags_in_words(said.flags))
            })
        })
        .or_else(|| field("the sequence number", said.seq, seen.seq))
        .or_else(|| field("the payload's length", said.payload.len(), seen.payload.len()))
        .or_else(|| {
            // Without the flag the field says nothing, and zero is right.
            let expected = if said.has(flag::ACK) { said.ack } else { 0 };
            field("the acknowledgment number", expected, seen.ack)
        })
        .or_else(|| line.checks.window.then(|| field("the window", said.window, seen.window)).flatten())
        .or_else(|| field("the urgent pointer", said.urgent, seen.urgent))
        .or_else(|| line.checks.options.then(|| options(said, seen, setting)).flatten())
        .or_else(|| payload(said.payload.said, &said.payload.bytes, &seen.payload.bytes))
}

/// Options count in their order, padding and all; timestamps as far as the setting says.
fn options(said: &Segment, seen: &Segment, setting: &Setting) -> Option<String> {
    let mut pairs = said.options.iter().zip(&seen.options);
    let differs = said.options.len() != seen.options.len()
        || pairs.any(|(said, seen)| match (said, seen) {
            (TcpOption::Timestamps(value, echo), TcpOption::Timestamps(seen_value, seen_echo)) => {
                let tick = setting.timestamp_tick_us;
                let off = u64::from(value.wrapping_sub(*seen_value).min(seen_value.wrapping_sub(*value)));
                tick != 0 && (off.saturating_mul(tick) > setting.tolerance_us || echo != seen_echo)
            }
            (said, seen) => said != seen,
        });
    differs.then(|| "the options differ".to_owned())
}

fn payload(counts: bool, said: &[u8], seen: &[u8]) -> Option<String> {
    (counts && said != seen).then(|| {
        let shown = &seen[..seen.len().min(64)];
        format!("the payload is \"{}\" and not \"{}\"", shown.escape_ascii(), said.escape_ascii())
    })
}

/// Type and code; the word where the line gives one. What is quoted does not count.
fn message(said: &Icmp, seen: &Icmp) -> Option<String> {
    field("the type", said.kind, seen.kind)
        .or_else(|| field("the code", said.code, seen.code))
        .or_else(|| (said.word != 0).then(|| field("the MTU or identifier", said.word, seen.word)).flatten())
}
