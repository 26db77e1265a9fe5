//! Any quote is read or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_wire::quoted::Quoted;

fuzz_target!(|bytes: &[u8]| {
    let quotes = [Quoted::parse_ipv4(bytes), Quoted::parse_ipv6(bytes)];
    assert!(quotes.iter().flatten().count() <= 1, "no packet is of both versions");
});
