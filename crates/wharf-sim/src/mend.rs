//! Makes the checksums of a damaged frame right again, so that the damage reaches the code behind them.

use wharf_table::Addr;
use wharf_wire::checksum::{checksum, pseudo_header};
use wharf_wire::protocol::{ICMPV4, ICMPV6};
use wharf_wire::{ethernet, ipv4, ipv6};

const IPV4_AT: usize = ethernet::HEADER_LEN;
const IPV6_PAYLOAD_AT: usize = ethernet::HEADER_LEN + ipv6::HEADER_LEN;

/// Makes the checksums of IPv4, ICMP and ICMPv6 right, as far as the frame has them. Those of TCP and UDP a device may
/// vouch for instead ([`wharf_stack::interface::ChecksumIn::Trusted`]).
pub fn mend(frame: &mut [u8]) {
    match frame.get(12..14) {
        Some([0x08, 0x00]) => mend_v4(frame),
        Some([0x86, 0xdd]) => mend_v6(frame),
        _ => {}
    }
}

fn mend_v4(frame: &mut [u8]) {
    let Some(&first) = frame.get(IPV4_AT) else { return };
    let payload_at = IPV4_AT + usize::from(first & 15) * 4;
    if payload_at < IPV4_AT + ipv4::HEADER_LEN || frame.len() < payload_at {
        return;
    }
    let is_icmp = frame[IPV4_AT + 9] == ICMPV4;
    let (head, payload) = frame.split_at_mut(payload_at);
    let header = &mut head[IPV4_AT..];
    header[10..12].fill(0);
    let sum = checksum(header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    if is_icmp && payload.len() >= 4 {
        payload[2..4].fill(0);
        let sum = checksum(payload);
        payload[2..4].copy_from_slice(&sum.to_be_bytes());
    }
}

fn mend_v6(frame: &mut [u8]) {
    if frame.len() < IPV6_PAYLOAD_AT + 4 || frame[20] != ICMPV6 {
        return;
    }
    let addr = |at: usize| Addr::v6(core::array::from_fn(|i| frame[at + i]));
    let mut sum = pseudo_header(addr(22), addr(38), ICMPV6, (frame.len() - IPV6_PAYLOAD_AT) as u32);
    let payload = &mut frame[IPV6_PAYLOAD_AT..];
    payload[2..4].fill(0);
    sum.add(payload);
    let sum = sum.finish();
    payload[2..4].copy_from_slice(&sum.to_be_bytes());
}
