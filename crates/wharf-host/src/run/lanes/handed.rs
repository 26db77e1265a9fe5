//! Frames that came in a queue whose lane is not theirs, on their way to the first lane: copied into one piece of memory for
//! each batch, through a channel without locks, with a bell beside it that wakes the first lane.
//!
//! Whose a frame is: TCP of a connection that the lane has, and a SYN that opens one to an address outside, are the lane's.
//! All else is the first lane's, also what nobody has: it is the one that answers.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};

use wharf_stack::interface::{ChecksumIn, FrameIn};
use wharf_stack::stack::Stack;
use wharf_table::table::Found;
use wharf_table::trace::Silent;
use wharf_table::{Addr, DropReason, Endpoint, Protocol, Tuple};
use wharf_wire::ethernet::{EtherType, EthernetRepr};
use wharf_wire::ipv4::Ipv4Repr;
use wharf_wire::ipv6::{Ipv6Repr, extension};
use wharf_wire::protocol;
use wharf_wire::tcp::TcpFlags;

use super::super::addresses::Addresses;
use super::super::control::Reply;
use super::ring;

/// The most bytes on their way to the first lane: some batches of large frames.
const BYTES_MAX: usize = 8 << 20;
/// What a frame costs besides its bytes.
const FRAME_COST: usize = size_of::<Handed>();
/// Frames given to the stack at once.
const BATCH: usize = 32;

/// What a lane has for the first one.
pub(super) enum Message {
    /// Frames that are not the lane's.
    Frames(Frames),
    /// What the lane was asked by who wants to know what the run does.
    Reply(Reply),
    /// The program has ended, and the lane has delivered what it sent.
    Drained,
    /// The lane with this index has ended.
    Ended(usize),
}

/// A frame within [`Frames`].
struct Handed {
    length: usize,
    checksum: ChecksumIn,
    gso_size: u16,
}

/// Frames in one piece of memory. What they take of the room for all is given back when they are dropped.
pub(in super::super) struct Frames {
    bytes: Vec<u8>,
    frames: Vec<Handed>,
    cost: usize,
    used: Arc<AtomicUsize>,
}

impl Frames {
    /// Gives the frames to `deliver`, in their order.
    pub(in super::super) fn deliver(&self, mut deliver: impl FnMut(&[FrameIn<'_>])) {
        let mut rest = &self.bytes[..];
        for handed in self.frames.chunks(BATCH) {
            let frames: arrayvec::ArrayVec<FrameIn<'_>, BATCH> = handed
                .iter()
                .map(|frame| {
                    let (bytes, behind) = rest.split_at(frame.length);
                    rest = behind;
                    FrameIn { bytes, checksum: frame.checksum, gso_size: frame.gso_size }
                })
                .collect();
            deliver(&frames);
        }
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        self.used.fetch_sub(self.cost, Ordering::Relaxed);
    }
}

/// The first lane's end.
pub(super) struct Inlet {
    messages: Receiver<Message>,
    bell: Arc<OwnedFd>,
}

/// Another lane's end.
#[derive(Clone)]
pub(super) struct Outlet {
    messages: Sender<Message>,
    bell: Arc<OwnedFd>,
    /// What all lanes have sent and the first has not done with.
    used: Arc<AtomicUsize>,
    /// How many frames this lane has handed over.
    pub(super) handed: u64,
}

/// The two ends of a way to the first lane, which `bell` wakes.
pub(super) fn pair(bell: OwnedFd) -> (Outlet, Inlet) {
    let (sender, messages) = mpsc::channel();
    let bell = Arc::new(bell);
    let outlet = Outlet { messages: sender, bell: Arc::clone(&bell), used: Arc::default(), handed: 0 };
    (outlet, Inlet { messages, bell })
}

impl Inlet {
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    pub(super) fn poll(&self) -> Option<Message> {
        self.messages.try_recv().ok()
    }
}

impl Outlet {
    /// Room for frames of one batch.
    pub(super) fn frames(&self) -> Frames {
        Frames { bytes: Vec::new(), frames: Vec::new(), cost: 0, used: Arc::clone(&self.used) }
    }

    /// Takes a frame for the first lane.
    ///
    /// # Errors
    /// [`DropReason::LinkFull`]: the first lane does not keep up.
    pub(super) fn take(&self, frames: &mut Frames, frame: &FrameIn<'_>) -> Result<(), DropReason> {
        let cost = frame.bytes.len() + FRAME_COST;
        if self.used.fetch_add(cost, Ordering::Relaxed) + cost > BYTES_MAX {
            self.used.fetch_sub(cost, Ordering::Relaxed);
            return Err(DropReason::LinkFull);
        }
        frames.cost += cost;
        frames.bytes.extend_from_slice(frame.bytes);
        let FrameIn { bytes, checksum, gso_size } = *frame;
        frames.frames.push(Handed { length: bytes.len(), checksum, gso_size });
        Ok(())
    }

    /// Sends what was taken.
    pub(super) fn send(&mut self, frames: Frames) {
        if !frames.frames.is_empty() {
            self.handed += frames.frames.len() as u64;
            self.tell(Message::Frames(frames));
        }
    }

    /// Tells the first lane something, and wakes it. When it has gone, the run has ended.
    pub(super) fn tell(&self, message: Message) {
        if self.messages.send(message).is_ok() {
            self.wake();
        }
    }

    /// Has the first lane look at what all lanes have in common.
    pub(super) fn wake(&self) {
        ring(&self.bell);
    }
}

/// Whether a frame is for a lane with this stack.
pub(super) fn is_own(stack: &Stack, addresses: &Addresses, frame: &FrameIn<'_>) -> bool {
    let Some((src, dst, segment)) = tcp_of(frame.bytes) else { return false };
    let Some(&[a, b, c, d, .., flags]) = segment.first_chunk::<14>() else { return false };
    let tuple = Tuple {
        protocol: Protocol::Tcp,
        local: Endpoint::new(dst, u16::from_be_bytes([c, d])),
        remote: Endpoint::new(src, u16::from_be_bytes([a, b])),
    };
    if stack.table().find(&tuple, &mut Silent) != Found::Nothing {
        return true;
    }
    let turning = TcpFlags::SYN.union(TcpFlags::ACK).union(TcpFlags::RST).union(TcpFlags::FIN);
    TcpFlags::from_bits(flags & turning.bits()) == TcpFlags::SYN && !addresses.is_gateway(dst)
}

/// The addresses and the segment of a frame with TCP in it, whole.
fn tcp_of(frame: &[u8]) -> Option<(Addr, Addr, &[u8])> {
    let (ethernet, packet) = EthernetRepr::parse(frame).ok()?;
    match ethernet.ether_type {
        EtherType::IPV4 => {
            let (ip, _, segment) = Ipv4Repr::parse(packet).ok()?;
            (ip.protocol == protocol::TCP && !ip.is_fragment()).then_some((ip.src, ip.dst, segment))
        }
        EtherType::IPV6 => {
            let (ip, body) = Ipv6Repr::parse(packet).ok()?;
            let upper = extension::walk(&ip, body).ok()?;
            let whole = upper.protocol == protocol::TCP && upper.fragment.is_none();
            whole.then_some((ip.src, ip.dst, upper.payload))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outlet() -> (Outlet, Inlet) {
        pair(super::super::bell().unwrap())
    }

    #[test]
    fn frames_arrive_in_their_order_and_as_they_were() {
        let (mut outlet, inlet) = outlet();
        let sent: Vec<Vec<u8>> = (0..70u8).map(|number| vec![number; usize::from(number) + 1]).collect();
        let mut frames = outlet.frames();
        for (bytes, gso_size) in sent.iter().zip(0..) {
            let checksum = if gso_size % 2 == 0 { ChecksumIn::Trusted } else { ChecksumIn::Unverified };
            outlet.take(&mut frames, &FrameIn { bytes, checksum, gso_size }).unwrap();
        }
        outlet.send(frames);
        let Some(Message::Frames(frames)) = inlet.poll() else { panic!("the frames were sent") };
        let mut got = Vec::new();
        frames.deliver(|frames| {
            assert!(frames.len() <= BATCH);
            for frame in frames {
                assert_eq!(usize::from(frame.gso_size), got.len());
                assert_eq!(frame.checksum == ChecksumIn::Trusted, got.len() % 2 == 0);
                got.push(frame.bytes.to_vec());
            }
        });
        assert_eq!(got, sent);
        assert!(inlet.poll().is_none());
    }

    #[test]
    fn a_first_lane_that_does_not_keep_up_costs_bounded_memory() {
        let (mut outlet, inlet) = outlet();
        let large = vec![0; 65_000];
        let mut fit = 0;
        loop {
            let mut frames = outlet.frames();
            let taken = outlet.take(&mut frames, &FrameIn::plain(&large));
            outlet.send(frames);
            match taken {
                Ok(()) => fit += 1,
                Err(reason) => {
                    assert_eq!(reason, DropReason::LinkFull);
                    break;
                }
            }
        }
        assert_eq!(fit, BYTES_MAX / (65_000 + FRAME_COST));
        // What is done with makes room again.
        drop(inlet.poll());
        assert!(outlet.take(&mut outlet.frames(), &FrameIn::plain(&large)).is_ok());
        while inlet.poll().is_some() {}
        assert_eq!(outlet.used.load(Ordering::Relaxed), 0);
    }

    /// An Ethernet frame with an IPv4 packet in it.
    fn frame(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
        let ip = Ipv4Repr {
            protocol,
            more_fragments: fragment & 0x2000 != 0,
            fragment_offset: (fragment & 0x1fff) * 8,
            payload_len: payload.len(),
            src: Addr::v4([10, 0, 2, 100]),
            dst: Addr::v4([192, 0, 2, 1]),
            hop_limit: 64,
            dscp_ecn: 0,
            identification: 7,
            dont_fragment: false,
        };
        let mut bytes = vec![0; 12];
        bytes.extend([8, 0]);
        let mut header = vec![0; ip.header_len()];
        ip.emit(&mut header);
        bytes.extend(header);
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn only_whole_tcp_is_looked_at() {
        assert!(tcp_of(&frame(protocol::TCP, 0, &[0; 20])).is_some());
        assert!(tcp_of(&frame(protocol::UDP, 0, &[0; 20])).is_none());
        assert!(tcp_of(&frame(protocol::TCP, 0x2000, &[0; 24])).is_none(), "the first fragment");
        assert!(tcp_of(&frame(protocol::TCP, 3, &[0; 20])).is_none(), "another one");
        for length in 0..34 {
            assert!(tcp_of(&frame(protocol::TCP, 0, &[0; 20])[..length]).is_none());
        }
    }
}
