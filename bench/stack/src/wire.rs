//! Frames between the two hosts, and the memory that they are used again from.

use std::collections::VecDeque;

/// How many frames one host sends before the other has its turn: the batch of a device's ring.
pub const RING: usize = 64;

/// One Ethernet frame with what a device would say of it.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// The frame from its Ethernet header on, and what an older one has left behind it.
    buffer: Vec<u8>,
    len: usize,
    /// Whether the sender left the transport checksum to the device.
    pub checksum_left: bool,
    /// Payload bytes of each segment that it stands for; 0 when it is one.
    pub gso_size: u16,
}

impl Frame {
    /// From the Ethernet header on.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[..self.len]
    }

    /// The same, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[..self.len]
    }
}

impl AsMut<[u8]> for Frame {
    fn as_mut(&mut self) -> &mut [u8] {
        self.bytes_mut()
    }
}

/// Frames that have been read, to be written again: neither stack allocates or clears memory on a packet's way because of the
/// bench.
#[derive(Default)]
pub struct Pool(Vec<Frame>);

impl Pool {
    /// Room for `count` frames of `len` bytes.
    pub fn new(count: usize, len: usize) -> Pool {
        let frame = || Frame { buffer: vec![0; len], ..Frame::default() };
        Pool((0..count).map(|_| frame()).collect())
    }

    /// A frame of `len` bytes, whatever they are.
    pub fn take(&mut self, len: usize) -> Frame {
        let mut frame = self.0.pop().unwrap_or_default();
        if frame.buffer.len() < len {
            frame.buffer.resize(len, 0);
        }
        Frame { buffer: frame.buffer, len, checksum_left: false, gso_size: 0 }
    }

    /// Takes empty frames from another pool until both have as many.
    pub fn refill_from(&mut self, other: &mut Pool) {
        while other.0.len() > self.0.len() + 1
            && let Some(frame) = other.0.pop()
        {
            self.0.push(frame);
        }
    }

    /// Takes a frame back.
    pub fn give(&mut self, frame: Frame) {
        self.0.push(frame);
    }
}

/// What a host finds at its link, and what it leaves there.
pub struct Link {
    /// Frames that arrived.
    pub inbox: VecDeque<Frame>,
    /// Frames to send.
    pub outbox: VecDeque<Frame>,
    /// Memory for more.
    pub pool: Pool,
}

impl Link {
    /// A quiet link.
    pub fn new(pool: Pool) -> Link {
        Link { inbox: VecDeque::with_capacity(4 * RING), outbox: VecDeque::with_capacity(4 * RING), pool }
    }

    /// Everything that arrived is lost.
    pub fn lose_inbox(&mut self) {
        let Link { inbox, pool, .. } = self;
        inbox.drain(..).for_each(|frame| pool.give(frame));
    }

    /// Whether the device takes another frame.
    pub fn has_room(&self) -> bool {
        self.outbox.len() < RING
    }
}
