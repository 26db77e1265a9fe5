//! smoltcp as a [`Host`].
//!
//! It is used as its documentation says and in its favour where there is a choice: a connection in TIME-WAIT is taken out of
//! the set at once, and the application looks only at sockets of which it knows that something happens.

use std::collections::VecDeque;
use std::num::NonZeroUsize;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{
    Checksum, Device, DeviceCapabilities, Medium, PacketMeta, RxToken, SegmentationCapabilities, TxToken,
};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer, State};
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};
use wharf_table::Instant;

use crate::host::{Congestion, Host, MTU, Offload, Setup, Side};
use crate::wire::{Frame, Link, Pool};

const ETHERNET_HEADER: usize = 14;
/// The largest frame that is cut by the device: an IP packet of 65,535 bytes.
const SEGMENTS_MAX: usize = ETHERNET_HEADER + 65_535;

/// An interface, its sockets, and those of them that wait for a connection or for the end of one.
pub struct Smol {
    iface: Interface,
    sockets: SocketSet<'static>,
    setup: Setup,
    side: Side,
    listening: VecDeque<SocketHandle>,
    closing: Vec<SocketHandle>,
    count: usize,
    /// Frames that have been read.
    spent: Vec<Frame>,
}

fn time(now: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(i64::try_from(now.micros()).expect("virtual time is short"))
}

fn address(side: Side) -> IpAddress {
    let [a, b, c, d] = side.address();
    IpAddress::v4(a, b, c, d)
}

impl Smol {
    fn socket(&mut self) -> SocketHandle {
        let buffer = || SocketBuffer::new(vec![0; self.setup.buffer]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(self.setup.nagle);
        socket.set_congestion_control(match self.setup.congestion {
            Congestion::Cubic => CongestionControl::Cubic,
            Congestion::Reno => CongestionControl::Reno,
        });
        self.count += 1;
        self.sockets.add(socket)
    }

    /// Takes sockets away whose connection is over, as its application has to. It keeps no order.
    fn sweep(&mut self) {
        let mut at = 0;
        while at < self.closing.len() {
            let handle = self.closing[at];
            if matches!(self.sockets.get::<Socket<'_>>(handle).state(), State::TimeWait | State::Closed) {
                self.closing.swap_remove(at);
                self.sockets.remove(handle);
                self.count -= 1;
            } else {
                at += 1;
            }
        }
    }
}

impl Host for Smol {
    type Conn = SocketHandle;
    const LISTENS_ONCE: bool = false;

    fn new(setup: &Setup, side: Side, now: Instant) -> Smol {
        let mut config = Config::new(EthernetAddress(side.hardware()).into());
        config.random_seed = u64::from(side.address()[3]);
        let mut link = Link::new(Default::default());
        let mut spent = Vec::new();
        let mut device = Wire { link: &mut link, spent: &mut spent, offload: setup.offload };
        let mut iface = Interface::new(config, &mut device, time(now));
        iface.update_ip_addrs(|own| own.push(IpCidr::new(address(side), 24)).expect("there is room for one"));
        Smol {
            iface,
            sockets: SocketSet::new(Vec::new()),
            setup: *setup,
            side,
            listening: VecDeque::new(),
            closing: Vec::new(),
            count: 0,
            spent,
        }
    }

    fn listen(&mut self, port: u16, count: usize) {
        for _ in 0..count {
            let handle = self.socket();
            self.sockets.get_mut::<Socket<'_>>(handle).listen(port).expect("a new socket can listen");
            self.listening.push_back(handle);
        }
    }

    fn connect(&mut self, _: Instant, source: u16, port: u16) -> SocketHandle {
        let handle = self.socket();
        let target = (address(self.side.other()), port);
        let socket = self.sockets.get_mut::<Socket<'_>>(handle);
        socket.connect(self.iface.context(), target, source).expect("a new socket can connect");
        handle
    }

    fn accepted(&mut self) -> Option<SocketHandle> {
        let &next = self.listening.front()?;
        matches!(self.sockets.get::<Socket<'_>>(next).state(), State::Established | State::CloseWait)
            .then(|| self.listening.pop_front())
            .flatten()
    }

    fn is_established(&self, conn: SocketHandle) -> bool {
        self.sockets.get::<Socket<'_>>(conn).state() == State::Established
    }

    fn has_ended(&self, conn: SocketHandle) -> bool {
        !self.sockets.get::<Socket<'_>>(conn).may_recv()
    }

    fn send(&mut self, _: Instant, conn: SocketHandle, bytes: &[u8]) -> usize {
        self.sockets.get_mut::<Socket<'_>>(conn).send_slice(bytes).unwrap_or(0)
    }

    fn receive(&mut self, _: Instant, conn: SocketHandle, into: &mut [u8]) -> usize {
        let socket = self.sockets.get_mut::<Socket<'_>>(conn);
        let mut count = 0;
        while count < into.len() && socket.can_recv() {
            count += socket.recv_slice(&mut into[count..]).unwrap_or(0);
        }
        count
    }

    fn close(&mut self, _: Instant, conn: SocketHandle) {
        self.sockets.get_mut::<Socket<'_>>(conn).close();
        self.closing.push(conn);
    }

    fn count(&self) -> usize {
        self.count
    }

    fn step(&mut self, now: Instant, link: &mut Link) {
        let mut device = Wire { link, spent: &mut self.spent, offload: self.setup.offload };
        self.iface.poll(time(now), &mut device, &mut self.sockets);
        self.spent.drain(..).for_each(|frame| link.pool.give(frame));
        self.sweep();
    }

    fn due(&mut self, now: Instant) -> Option<Instant> {
        let at = self.iface.poll_at(time(now), &self.sockets)?;
        Some(Instant::from_micros(u64::try_from(at.total_micros()).unwrap_or(0)))
    }
}

/// The link as a device of smoltcp.
struct Wire<'a> {
    link: &'a mut Link,
    spent: &'a mut Vec<Frame>,
    offload: Offload,
}

/// A frame that is read once.
struct Received<'a> {
    frame: Frame,
    spent: &'a mut Vec<Frame>,
}

/// Room for a frame.
struct Room<'a> {
    outbox: &'a mut VecDeque<Frame>,
    pool: &'a mut Pool,
    meta: PacketMeta,
    offload: Offload,
}

impl Device for Wire<'_> {
    type RxToken<'b>
        = Received<'b>
    where
        Self: 'b;
    type TxToken<'b>
        = Room<'b>
    where
        Self: 'b;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Received<'_>, Room<'_>)> {
        let frame = self.link.inbox.pop_front()?;
        let Link { outbox, pool, .. } = &mut *self.link;
        let room = Room { outbox, pool, meta: PacketMeta::default(), offload: self.offload };
        Some((Received { frame, spent: self.spent }, room))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Room<'_>> {
        if !self.link.has_room() {
            return None;
        }
        let Link { outbox, pool, .. } = &mut *self.link;
        Some(Room { outbox, pool, meta: PacketMeta::default(), offload: self.offload })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = MTU + ETHERNET_HEADER;
        if self.offload == Offload::Segments {
            capabilities.checksum.tcp = Checksum::None;
            let mut segmentation = SegmentationCapabilities::default();
            segmentation.tcpv4 = NonZeroUsize::new(SEGMENTS_MAX);
            capabilities.segmentation = segmentation;
        }
        capabilities
    }
}

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        let result = read(self.frame.bytes());
        self.spent.push(self.frame);
        result
    }
}

impl TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let mut frame = self.pool.take(len);
        let result = write(frame.bytes_mut());
        frame.checksum_left = self.offload == Offload::Segments;
        frame.gso_size = self.meta.segmentation_offload_size.map_or(0, u16::from);
        self.outbox.push_back(frame);
        result
    }

    fn set_meta(&mut self, meta: PacketMeta) {
        self.meta = meta;
    }
}
