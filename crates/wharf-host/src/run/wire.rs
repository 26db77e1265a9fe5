//! The link as the stack sees it: frames of the TAP or packet socket in, frames of the stack out, and between them, where
//! the user asked for it, a bad line.

use std::io::{self, IoSlice};

use wharf_stack::interface::{Capabilities, ChecksumIn, FrameIn, FrameSink, GsoKind, OffloadOut};
use wharf_stack::link::{ImpairedLink, Impairment};
use wharf_sys::epoll::{Interest, Poller};
use wharf_sys::frame::{self, FrameBuffers, VnetHeader};
use wharf_sys::link::Link;
use wharf_table::{DropReason, Instant};

use super::token::Token;

/// The most slices of one frame: its head and the chunks of a send buffer that 64 KiB may touch.
const SLICES_MAX: usize = 16;

/// A [`Link`] with its state, and the impairments of both directions.
pub(crate) struct Wire {
    link: Link,
    /// Set when the device took no more; cleared when it is ready again.
    full: bool,
    /// The loop is to be told when it is ready again.
    waiting: bool,
    /// From the program and to the program.
    bad: Option<Box<BadLine>>,
    now: Instant,
}

/// Whether the loop watches the link from now on, or only for something else.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watch {
    Begin,
    Change,
}

struct BadLine {
    inward: ImpairedLink<Vec<u8>>,
    outward: ImpairedLink<Vec<u8>>,
}

impl Wire {
    /// Takes the link; `impairment` makes it a bad one in both directions.
    pub(crate) fn new(link: Link, impairment: Option<&Impairment>, seed: u64, now: Instant) -> Wire {
        let bad = impairment.map(|impairment| {
            Box::new(BadLine {
                inward: ImpairedLink::new(*impairment, seed),
                outward: ImpairedLink::new(*impairment, !seed),
            })
        });
        Wire { link, full: false, waiting: false, bad, now }
    }

    pub(crate) fn set_now(&mut self, now: Instant) {
        self.now = now;
    }

    /// Whether the device took the last frame.
    pub(crate) fn is_open(&self) -> bool {
        !self.full
    }

    /// The device is ready for more.
    pub(crate) fn on_writable(&mut self, poller: &Poller) -> io::Result<()> {
        self.full = false;
        if std::mem::take(&mut self.waiting) { self.register(poller, Watch::Change) } else { Ok(()) }
    }

    /// How many frames of the program had no room at the device since the last time that this was asked.
    pub(crate) fn newly_dropped(&self) -> u32 {
        self.link.newly_dropped()
    }

    /// Has the loop told of frames that arrive, and, while the device is full, of room for more: the other way each frame
    /// that leaves would wake the loop.
    ///
    /// # Errors
    /// The kernel's limit on watches is reached.
    pub(crate) fn register(&self, poller: &Poller, watch: Watch) -> io::Result<()> {
        let interest = if self.waiting { Interest::ReadWrite } else { Interest::Read };
        match watch {
            Watch::Begin => poller.add(self.link.fd(), Token::Link.into(), interest),
            Watch::Change => poller.modify(self.link.fd(), Token::Link.into(), interest),
        }
    }

    /// Before the loop sleeps: a full device has to say when it is ready again.
    pub(crate) fn await_room(&mut self, poller: &Poller) -> io::Result<()> {
        if !self.full || self.waiting {
            return Ok(());
        }
        self.waiting = true;
        self.register(poller, Watch::Change)
    }

    /// Reads a batch and hands it on as frames. Returns how many were read; with a bad line they arrive later, through
    /// [`Wire::poll_delayed`].
    pub(crate) fn read_batch(
        &mut self,
        buffers: &mut FrameBuffers,
        mut deliver: impl FnMut(&[FrameIn<'_>]),
    ) -> io::Result<usize> {
        let count = self.link.read_batch(buffers)?;
        match &mut self.bad {
            None => {
                let mut frames = arrayvec::ArrayVec::<FrameIn<'_>, 64>::new();
                for (header, bytes) in buffers.iter().take(count) {
                    if frames.is_full() {
                        deliver(&frames);
                        frames.clear();
                    }
                    frames.push(frame_in(&header, bytes));
                }
                if !frames.is_empty() {
                    deliver(&frames);
                }
            }
            Some(bad) => {
                for (_, bytes) in buffers.iter().take(count) {
                    // What a bad line loses is lost.
                    let _ = bad.inward.push(self.now, bytes.to_vec());
                }
            }
        }
        Ok(count)
    }

    /// Moves on what the bad line held back until now: frames from the program go to `deliver`, those to the program to
    /// the device.
    pub(crate) fn poll_delayed(&mut self, mut deliver: impl FnMut(&[FrameIn<'_>])) {
        let Some(bad) = &mut self.bad else { return };
        while let Some(frame) = bad.inward.poll(self.now) {
            deliver(&[FrameIn::plain(&frame)]);
        }
        while let Some(frame) = bad.outward.poll(self.now) {
            // A device that takes no more loses the frame, as a bad line may.
            let _ = self.link.write(&VnetHeader::default(), &[IoSlice::new(&frame)]);
        }
    }

    /// When [`Wire::poll_delayed`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let bad = self.bad.as_ref()?;
        [bad.inward.poll_timeout(), bad.outward.poll_timeout()].into_iter().flatten().min()
    }

    /// Whether the bad line holds back frames that the program has sent.
    pub(crate) fn holds_frames_of_the_program(&self) -> bool {
        self.bad.as_ref().is_some_and(|bad| bad.inward.poll_timeout().is_some())
    }

    /// What the stack may leave to the device. A bad line needs frames as they would be on a wire.
    pub(crate) fn capabilities(link: &Link, impaired: bool) -> Capabilities {
        let offered = link.capabilities();
        if impaired {
            return Capabilities::default();
        }
        Capabilities { checksum: offered.checksum, tso: offered.tso, uso: offered.uso }
    }
}

impl FrameSink for Wire {
    fn frame(&mut self, head: &[u8], payload: &[&[u8]], offload: OffloadOut) -> Result<(), DropReason> {
        if let Some(bad) = &mut self.bad {
            let mut frame = head.to_vec();
            payload.iter().for_each(|slice| frame.extend_from_slice(slice));
            return bad.outward.push(self.now, frame);
        }
        let mut slices = arrayvec::ArrayVec::<IoSlice<'_>, SLICES_MAX>::new();
        slices.push(IoSlice::new(head));
        for slice in payload {
            slices.try_push(IoSlice::new(slice)).map_err(|_| DropReason::TooBig)?;
        }
        match self.link.write(&vnet_header(head.len(), offload), &slices) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.full = true;
                Err(DropReason::LinkFull)
            }
            Err(_) => Err(DropReason::LinkFull),
        }
    }

    fn is_ready(&self) -> bool {
        !self.full
    }
}

fn frame_in<'a>(header: &VnetHeader, bytes: &'a [u8]) -> FrameIn<'a> {
    let trusted = header.flags & (frame::NEEDS_CHECKSUM | frame::DATA_VALID) != 0;
    FrameIn {
        bytes,
        checksum: if trusted { ChecksumIn::Trusted } else { ChecksumIn::Unverified },
        gso_size: if header.gso_type == frame::GSO_NONE { 0 } else { header.gso_size },
    }
}

fn vnet_header(head_len: usize, offload: OffloadOut) -> VnetHeader {
    let mut header = VnetHeader::default();
    if let Some((start, offset)) = offload.checksum {
        header.flags = frame::NEEDS_CHECKSUM;
        header.csum_start = start;
        header.csum_offset = offset;
    }
    if let Some((kind, size)) = offload.gso {
        header.gso_type = match kind {
            GsoKind::Tcp4 => frame::GSO_TCP4,
            GsoKind::Tcp6 => frame::GSO_TCP6,
            GsoKind::Udp => frame::GSO_UDP,
        };
        if offload.gso_ecn {
            header.gso_type |= frame::GSO_ECN;
        }
        header.gso_size = size;
        header.hdr_len = head_len as u16;
    }
    header
}
