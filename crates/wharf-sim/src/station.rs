//! A station on the switch: a stack with its applications, or a bare wire.

use std::collections::BTreeMap;

use wharf_stack::interface::{ChecksumIn, FrameIn, FrameSink, OffloadOut};
use wharf_stack::link::ImpairedLink;
use wharf_stack::stack::{ConnId, DatagramIn, DatagramOut, Event, Stack};
use wharf_table::{DropReason, Endpoint, Instant, Protocol};

use crate::application::Stream;
use crate::capture::{Capture, Wire};

/// A datagram that reached a station.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// UDP, or ICMP for an echo request.
    pub protocol: Protocol,
    /// Who sent it.
    pub source: Endpoint,
    /// Where it was going.
    pub destination: Endpoint,
    /// The token of the binding that takes it.
    pub binding: Option<u32>,
    /// Its bytes.
    pub payload: Vec<u8>,
}

/// Something plugged into the switch.
pub(crate) struct Station {
    pub(crate) hardware: [u8; 6],
    /// `None` for a bare wire.
    pub(crate) stack: Option<Stack>,
    pub(crate) uplink: ImpairedLink<Wire>,
    /// Frames that the switch has for it.
    pub(crate) inbox: Vec<Wire>,
    pub(crate) streams: Vec<Stream>,
    by_conn: BTreeMap<ConnId, usize>,
    /// Connections of listeners, by their place in `streams`, that nobody has asked for.
    pub(crate) accepted: Vec<usize>,
    /// Connections that wait to be accepted or refused.
    pub(crate) incoming: Vec<usize>,
    pub(crate) datagrams: Vec<Datagram>,
    pub(crate) capture: Capture,
    /// Frames that its link lost.
    pub(crate) lost: u64,
}

impl Station {
    pub(crate) fn new(hardware: [u8; 6], stack: Option<Stack>, uplink: ImpairedLink<Wire>) -> Station {
        Station {
            hardware,
            stack,
            uplink,
            inbox: Vec::new(),
            streams: Vec::new(),
            by_conn: BTreeMap::new(),
            accepted: Vec::new(),
            incoming: Vec::new(),
            datagrams: Vec::new(),
            capture: Capture::default(),
            lost: 0,
        }
    }

    /// When something is due here next.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let stack = self.stack.as_ref().and_then(Stack::poll_timeout);
        [stack, self.uplink.poll_timeout()].into_iter().flatten().min()
    }

    /// Does everything that is due now, and says whether that was anything.
    pub(crate) fn settle(&mut self, now: Instant) -> bool {
        let frames = std::mem::take(&mut self.inbox);
        let mut busy = !frames.is_empty();
        for frame in &frames {
            self.capture.record(now, &frame.bytes);
        }
        let Some(stack) = &mut self.stack else { return busy };
        let batch: Vec<FrameIn<'_>> = frames.iter().map(Wire::frame_in).collect();
        let datagrams = &mut self.datagrams;
        stack.handle_frames(now, &batch, &mut |datagram: DatagramIn<'_>| datagrams.push(kept(&datagram)));
        if stack.poll_timeout().is_some_and(|due| due <= now) {
            stack.handle_timeout(now);
            busy = true;
        }
        while let Some(event) = self.stack.as_mut().and_then(Stack::poll_event) {
            self.on_event(now, event);
            busy = true;
        }
        let Some(stack) = &mut self.stack else { return busy };
        let mut sink = Uplink { now, link: &mut self.uplink, capture: &mut self.capture, lost: 0, frames: 0 };
        stack.poll_frames(now, &mut sink);
        self.lost += sink.lost;
        busy | (sink.frames > 0) | stack.has_frames()
    }

    /// Sends a datagram of the station's own.
    pub(crate) fn send_datagram(
        &mut self,
        now: Instant,
        datagram: &DatagramOut<'_>,
    ) -> Result<(), DropReason> {
        let stack = self.stack.as_mut().expect("a bare wire sends no datagrams");
        let mut sink = Uplink { now, link: &mut self.uplink, capture: &mut self.capture, lost: 0, frames: 0 };
        let result = stack.send_datagram(datagram, &mut sink);
        self.lost += sink.lost;
        result
    }

    /// Puts a frame of a bare wire on its way.
    pub(crate) fn transmit(&mut self, now: Instant, bytes: &[u8]) {
        let mut sink = Uplink { now, link: &mut self.uplink, capture: &mut self.capture, lost: 0, frames: 0 };
        // What the link loses is counted there.
        let _ = sink.frame(bytes, &[], OffloadOut::default());
        self.lost += sink.lost;
    }

    /// The place of a connection's stream; a new one begins with its first event or command.
    pub(crate) fn stream_of(&mut self, conn: ConnId) -> usize {
        if let Some(&at) = self.by_conn.get(&conn) {
            return at;
        }
        self.streams.push(Stream::new(conn));
        self.by_conn.insert(conn, self.streams.len() - 1);
        self.streams.len() - 1
    }

    /// Lets a stream read and send.
    pub(crate) fn work(&mut self, now: Instant, at: usize) {
        let stack = self.stack.as_mut().expect("a stream belongs to a stack");
        self.streams[at].work(now, stack);
    }

    /// Forgets which stream a connection has, since its id may be used again.
    pub(crate) fn forget(&mut self, at: usize) {
        self.by_conn.remove(&self.streams[at].conn);
        self.streams[at].released = true;
    }

    fn on_event(&mut self, now: Instant, event: Event) {
        let known = self.by_conn.len();
        let at = match event {
            // The laboratory's listeners have no backlog.
            Event::Acceptable { .. } => return,
            Event::Incoming(conn) => {
                let at = self.stream_of(conn);
                self.incoming.push(at);
                at
            }
            Event::Connected(conn) => {
                let at = self.stream_of(conn);
                if self.by_conn.len() > known {
                    self.accepted.push(at);
                }
                self.streams[at].on_connected();
                at
            }
            Event::Progress(conn, events) => {
                let at = self.stream_of(conn);
                self.streams[at].on_progress(events);
                at
            }
            Event::Closed(conn, reason) => {
                let at = self.stream_of(conn);
                // What came last is still to be read.
                self.work(now, at);
                self.streams[at].on_closed(reason);
                at
            }
        };
        self.work(now, at);
    }
}

fn kept(datagram: &DatagramIn<'_>) -> Datagram {
    Datagram {
        protocol: datagram.protocol,
        source: datagram.source,
        destination: datagram.destination,
        binding: datagram.binding,
        payload: datagram.payload.to_vec(),
    }
}

/// Where a station's frames go.
struct Uplink<'a> {
    now: Instant,
    link: &'a mut ImpairedLink<Wire>,
    capture: &'a mut Capture,
    lost: u64,
    frames: u64,
}

impl FrameSink for Uplink<'_> {
    fn frame(&mut self, head: &[u8], payload: &[&[u8]], offload: OffloadOut) -> Result<(), DropReason> {
        self.frames += 1;
        let mut bytes = head.to_vec();
        payload.iter().for_each(|slice| bytes.extend_from_slice(slice));
        self.capture.record(self.now, &bytes);
        let checksum = match offload.checksum {
            Some(_) => ChecksumIn::Trusted,
            None => ChecksumIn::Unverified,
        };
        let gso_size = offload.gso.map_or(0, |(_, size)| size);
        match self.link.push(self.now, Wire { bytes, checksum, gso_size }) {
            // A link that loses frames does not say so.
            Err(DropReason::LinkLoss) => self.lost += 1,
            Err(reason) => {
                self.lost += 1;
                return Err(reason);
            }
            Ok(()) => {}
        }
        Ok(())
    }
}
