//! What the program sends goes from the frames of a batch straight to the host's socket: one call for each flow that the
//! batch has text for. What the socket does not take the stack keeps, and the stream's [turn](super::Streams::work) writes it
//! when the socket is ready again.

use std::io::IoSlice;

use arrayvec::ArrayVec;
use rustix::io::Errno;
use wharf_stack::stack::{ConnId, TextSink};

use super::{Phase, Streams};

/// Slices of one call.
const SLICES_MAX: usize = 96;

impl TextSink for Streams {
    fn text(&mut self, id: ConnId, slices: &[&[u8]]) -> usize {
        let Some(stream) = self.get_mut(id) else { return 0 };
        if stream.phase != Phase::Open || !stream.writable || !stream.takes_text() {
            return 0;
        }
        let parts: ArrayVec<IoSlice<'_>, SLICES_MAX> =
            slices.iter().take(SLICES_MAX).map(|slice| IoSlice::new(slice)).collect();
        let offered: usize = parts.iter().map(|part| part.len()).sum();
        match rustix::io::retry_on_intr(|| rustix::io::writev(&stream.socket, &parts)) {
            Ok(count) => {
                stream.writable = count == offered;
                count
            }
            Err(Errno::AGAIN) => {
                stream.writable = false;
                0
            }
            Err(_) => {
                stream.on_host_error();
                self.queue(id);
                0
            }
        }
    }
}
