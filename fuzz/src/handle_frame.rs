//! Whatever a program puts on the link, its gateway neither panics nor grows nor spins.
//!
//! The input is a list of frames, each behind two bytes: its length, and how it comes (bit 0: its checksums are made right,
//! bit 1: the device vouches for its transport checksum, bits 2 to 7: milliseconds until the next).

use std::time::Duration;

use wharf_sim::{Lab, Setup, mend};
use wharf_stack::interface::{ChecksumIn, FrameIn};
use wharf_stack::stack::DatagramIn;

const BUFFERS_MAX: usize = 1 << 20;
const CONNECTIONS_MAX: usize = 50;

/// Holds for any bytes.
pub fn check(input: &[u8]) {
    let setup = Setup { buffer_limit: BUFFERS_MAX, max_connections: CONNECTIONS_MAX, ..Setup::default() };
    let (mut lab, _, gateway) = Lab::program_and_gateway(&setup);
    lab.listen(gateway, 80);
    lab.bind_udp(gateway, 53);
    let mut rest = input;
    while let [len, how, behind @ ..] = rest {
        let (frame, behind) = behind.split_at(behind.len().min(usize::from(*len)));
        rest = behind;
        let mut frame = frame.to_vec();
        if how & 1 != 0 {
            mend(&mut frame);
        }
        let checksum = if how & 2 != 0 { ChecksumIn::Trusted } else { ChecksumIn::Unverified };
        let now = lab.now();
        let frame = FrameIn { bytes: &frame, checksum, gso_size: 0 };
        lab.stack_mut(gateway).handle_frames(now, &[frame], &mut |_: DatagramIn<'_>| {});
        lab.run_for(Duration::from_millis(u64::from(how >> 2)));
        while let Some(opened) = lab.incoming(gateway) {
            lab.accept(opened);
        }
        let stack = lab.stack(gateway);
        assert!(stack.buffered_bytes() <= BUFFERS_MAX && stack.connection_count() <= CONNECTIONS_MAX);
    }
    // Long enough for every timer but keepalive.
    lab.run_for(Duration::from_secs(2_000));
}
