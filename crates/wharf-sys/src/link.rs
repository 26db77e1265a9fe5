//! The link to the program's network, one type over both devices: a TAP, or a packet socket on the far end of a
//! veth pair. First and last step of a packet's way.
//!
//! Invariants: the descriptor never blocks; a frame is read or written whole with its virtio-net header, or not at
//! all.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::call::check_size;
use crate::frame::{FrameBuffers, VNET_HEADER_BYTES, VnetHeader};
use crate::packet_socket;

/// Which device the link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// A TAP device; the program's interface is the device itself.
    Tap,
    /// A packet socket on one end of a veth pair; the program's interface is the other end.
    Packet,
}

/// What the device takes over, in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCapabilities {
    /// Transport checksums may be left undone.
    pub checksum: bool,
    /// TCP frames of up to 64 KiB over both families.
    pub tso: bool,
    /// UDP frames that hold many datagrams.
    pub uso: bool,
}

/// The most slices of one frame that are written without an allocation.
const FEW_PARTS: usize = 31;

/// An open link.
#[derive(Debug)]
pub struct Link {
    // Fields are dropped in this order: first the link, then what tells of it.
    fd: OwnedFd,
    _companion: Option<OwnedFd>,
    kind: LinkKind,
    capabilities: LinkCapabilities,
}

impl Link {
    /// Takes a descriptor that [`tap::open`](crate::tap::open) or [`PacketSocket`](packet_socket::PacketSocket)
    /// made, perhaps in another process.
    pub fn new(fd: OwnedFd, kind: LinkKind, capabilities: LinkCapabilities) -> Link {
        Link { fd, _companion: None, kind, capabilities }
    }

    /// Closes `companion` when the link is dropped, just after the link itself: the one who holds its other end can
    /// tell that way.
    pub fn with_companion(self, companion: OwnedFd) -> Link {
        Link { _companion: Some(companion), ..self }
    }

    /// The descriptor, for waiting.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Which device it is.
    pub fn kind(&self) -> LinkKind {
        self.kind
    }

    /// What the device takes over.
    pub fn capabilities(&self) -> LinkCapabilities {
        self.capabilities
    }

    /// How many frames had no room here since the last time that this was asked; what has no room in a TAP is counted by the
    /// program's kernel ([`Traffic`](crate::proc::traffic::Traffic)).
    pub fn newly_dropped(&self) -> u32 {
        match self.kind {
            LinkKind::Tap => 0,
            LinkKind::Packet => packet_socket::newly_dropped(self.fd()).unwrap_or(0),
        }
    }

    /// Reads the frames that wait, as many as there is room for or [enough](crate::frame::BATCH_BYTES), and returns how many.
    /// Never blocks; 0 when none waits. Unless the buffers are [filled](FrameBuffers::is_filled) afterwards, the queue was
    /// empty at the end. One system call per frame for a TAP, one per batch for a packet socket.
    ///
    /// # Errors
    /// The device is gone (the program, root in its network, has deleted it).
    pub fn read_batch(&self, frames: &mut FrameBuffers) -> io::Result<usize> {
        match self.kind {
            LinkKind::Tap => self.read_one_by_one(frames),
            LinkKind::Packet => packet_socket::receive(self.fd(), frames),
        }
    }

    fn read_one_by_one(&self, frames: &mut FrameBuffers) -> io::Result<usize> {
        frames.clear();
        while !frames.is_filled()
            && let Some(slot) = frames.next_slot()
        {
            match rustix::io::read(&self.fd, slot) {
                Ok(length) => frames.push(length),
                Err(rustix::io::Errno::AGAIN) => break,
                Err(rustix::io::Errno::INTR) => {}
                // What was read before is handed out first; a lasting error comes again with the next read.
                Err(_) if !frames.is_empty() => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(frames.len())
    }

    /// Writes one frame, given in parts.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when the queue is full (wait until the descriptor is writable), `ENOBUFS` when
    /// the frame was lost on the way (a packet socket only), `EINVAL` when the header and the frame disagree, `EIO`
    /// or `ENETDOWN` while the interface is down. The frame is lost in each case.
    pub fn write(&self, header: &VnetHeader, parts: &[IoSlice<'_>]) -> io::Result<()> {
        let header = header.emit();
        let mut few = [IoSlice::new(&[]); FEW_PARTS + 1];
        let all = match few.get_mut(..=parts.len()) {
            Some(all) => all,
            None => return self.write_all_parts(&header, parts),
        };
        if let Some((first, rest)) = all.split_first_mut() {
            *first = IoSlice::new(&header);
            rest.copy_from_slice(parts);
        }
        self.write_slices(all)
    }

    /// [`Link::write`] for a frame of unusually many parts: they are gathered first.
    fn write_all_parts(&self, header: &[u8; VNET_HEADER_BYTES], parts: &[IoSlice<'_>]) -> io::Result<()> {
        let mut bytes =
            Vec::with_capacity(VNET_HEADER_BYTES + parts.iter().map(|part| part.len()).sum::<usize>());
        bytes.extend_from_slice(header);
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        self.write_slices(&[IoSlice::new(&bytes)])
    }

    fn write_slices(&self, slices: &[IoSlice<'_>]) -> io::Result<()> {
        // SAFETY: `IoSlice` has the layout of `iovec` (guaranteed by std), the slices outlive the call and the kernel
        // only reads them; their number is at most FEW_PARTS + 1, far below IOV_MAX.
        check_size(unsafe {
            libc::writev(self.fd.as_raw_fd(), slices.as_ptr().cast(), slices.len() as libc::c_int)
        })?;
        Ok(())
    }
}
