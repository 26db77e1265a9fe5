#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wharf_fuzz::icmpv6::check(bytes));
