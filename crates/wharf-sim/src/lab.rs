//! The clock, the switch and the story.

use std::fmt;
use std::time::Duration;

use wharf_stack::link::{ImpairedLink, Impairment};
use wharf_stack::stack::{Config, ConnId, DatagramFields, DatagramOut, Refusal, Stack};
use wharf_table::{Addr, DropReason, Endpoint, Instant, Port, Protocol};

use crate::application::{Reading, Stream};
use crate::capture::{Capture, Wire};
use crate::setup::{self, Setup};
use crate::station::{Datagram, Station};

/// The clock starts here, so that nothing depends on its origin.
const START: Instant = Instant::from_millis(1_000_000);
/// How often something may happen at one instant before that is called a loop.
const ROUNDS_MAX: u32 = 10_000;

/// A station of a lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StationId(usize);

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    station: StationId,
    stream: usize,
}

impl Socket {
    /// Whose end it is.
    pub const fn station(&self) -> StationId {
        self.station
    }
}

/// What was waited for has not come true.
pub struct Stuck {
    after: Duration,
    quiet: bool,
    state: String,
}

impl fmt::Debug for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.quiet { "nothing is due any more" } else { "the time is over" };
        write!(f, "not true after {:?}: {how}\n{}", self.after, self.state)
    }
}

/// A clock, a switch, and the stations plugged into it.
pub struct Lab {
    now: Instant,
    stations: Vec<Station>,
}

impl Default for Lab {
    fn default() -> Lab {
        Lab::new()
    }
}

/// The stations.
impl Lab {
    /// An empty lab.
    pub fn new() -> Lab {
        Lab { now: START, stations: Vec::new() }
    }

    /// A client and a server of the same kind.
    pub fn pair(setup: &Setup) -> (Lab, StationId, StationId) {
        let mut lab = Lab::new();
        let (client, server) = (lab.host(setup), lab.host(setup));
        (lab, client, server)
    }

    /// A program's host and the gateway that answers for every address outside.
    pub fn program_and_gateway(setup: &Setup) -> (Lab, StationId, StationId) {
        let mut lab = Lab::new();
        let (program, gateway) = (lab.next_index(), lab.next_index() + 1);
        let program = lab.plug(setup, setup.program(program, gateway));
        let gateway = lab.plug(setup, setup.gateway(gateway, lab.next_index() - 1));
        (lab, program, gateway)
    }

    /// Plugs a host in.
    pub fn host(&mut self, setup: &Setup) -> StationId {
        let config = setup.host(self.next_index());
        self.plug(setup, config)
    }

    /// Plugs a wire in on which the test itself sends and listens.
    pub fn wire(&mut self) -> StationId {
        let hardware = setup::hardware(self.next_index());
        self.stations.push(Station::new(hardware, None, ImpairedLink::new(Impairment::default(), 0)));
        StationId(self.stations.len() - 1)
    }

    fn next_index(&self) -> u8 {
        u8::try_from(self.stations.len() + 1).expect("a lab has few stations")
    }

    fn plug(&mut self, setup: &Setup, config: Config) -> StationId {
        let hardware = config.hardware_address;
        let seed = setup.seed ^ u64::from(self.next_index()) << 32;
        let stack = Stack::new(config, self.now);
        self.stations.push(Station::new(hardware, Some(stack), ImpairedLink::new(setup.impairment, seed)));
        StationId(self.stations.len() - 1)
    }

    /// The IPv4 address of a station.
    pub fn v4(&self, station: StationId) -> Addr {
        setup::host_v4(station.0 as u8 + 1)
    }

    /// The IPv6 address of a station.
    pub fn v6(&self, station: StationId) -> Addr {
        setup::host_v6(station.0 as u8 + 1)
    }

    /// The hardware address of a station.
    pub fn hardware(&self, station: StationId) -> [u8; 6] {
        self.stations[station.0].hardware
    }

    /// The stack of a station.
    pub fn stack(&self, station: StationId) -> &Stack {
        self.stations[station.0].stack.as_ref().expect("the station has a stack")
    }

    /// The stack of a station, to command it directly.
    pub fn stack_mut(&mut self, station: StationId) -> &mut Stack {
        self.stations[station.0].stack.as_mut().expect("the station has a stack")
    }

    /// Changes what is wrong with a station's way to the switch.
    pub fn impair(&mut self, station: StationId, text: &str) {
        let impairment = Impairment::parse(text).expect("the story names an impairment");
        self.stations[station.0].uplink.set_impairment(impairment);
    }

    /// How many frames of a station its link has lost.
    pub fn lost(&self, station: StationId) -> u64 {
        self.stations[station.0].lost
    }

    /// What a station has sent and got.
    pub fn capture(&self, station: StationId) -> &Capture {
        &self.stations[station.0].capture
    }

    /// Puts a frame of the test's own on the way from a station to the switch.
    pub fn transmit(&mut self, station: StationId, frame: &[u8]) {
        self.stations[station.0].transmit(self.now, frame);
    }
}

/// Time.
impl Lab {
    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Lets so much time pass.
    pub fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        self.settle();
        while let Some(due) = self.next().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            self.settle();
        }
        self.now = end;
        self.settle();
    }

    /// Lets time pass until `is_true`, and says how much that was.
    ///
    /// # Errors
    /// [`Stuck`] when it is still not true after `limit`, or nothing can happen any more.
    pub fn run_until(&mut self, limit: Duration, is_true: impl Fn(&Lab) -> bool) -> Result<Duration, Stuck> {
        let start = self.now;
        loop {
            self.settle();
            if is_true(self) {
                return Ok(self.now.since(start));
            }
            match self.next() {
                Some(due) if due <= start + limit => self.now = self.now.max(due),
                due => return Err(self.stuck(start, due.is_none())),
            }
        }
    }

    fn next(&self) -> Option<Instant> {
        self.stations.iter().filter_map(Station::poll_timeout).min()
    }

    /// Lets everything happen that is due now.
    fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let mut busy = false;
            for station in &mut self.stations {
                busy |= station.settle(self.now);
            }
            for from in 0..self.stations.len() {
                while let Some(frame) = self.stations[from].uplink.poll(self.now) {
                    self.switch(from, frame);
                    busy = true;
                }
            }
            if !busy {
                return;
            }
        }
        panic!("no rest at {:?}\n{}", self.now, self.describe());
    }

    /// Hands a frame to whom it is for.
    fn switch(&mut self, from: usize, frame: Wire) {
        let Some(destination) = frame.bytes.first_chunk::<6>().copied() else { return };
        let to_all = destination[0] & 1 == 1;
        for (at, station) in self.stations.iter_mut().enumerate() {
            if at != from && (to_all || station.hardware == destination) {
                station.inbox.push(frame.clone());
            }
        }
    }

    fn stuck(&self, start: Instant, quiet: bool) -> Stuck {
        Stuck { after: self.now.since(start), quiet, state: self.describe() }
    }

    fn describe(&self) -> String {
        let mut text = String::new();
        for (index, station) in self.stations.iter().enumerate() {
            let Some(stack) = &station.stack else { continue };
            let drops: Vec<_> = stack.drops().iter().collect();
            text += &format!(
                "station {index}: {} connections, due {:?}, lost {}, drops {drops:?}\n",
                stack.connection_count(),
                stack.poll_timeout(),
                station.lost,
            );
            for stream in station.streams.iter().filter(|stream| !stream.released) {
                let (state, tuple) = (stack.state(stream.conn), stack.tuple(stream.conn));
                let (sent, received) = (stream.sent(), stream.received().len());
                text +=
                    &format!("  {tuple} {state}, sent {sent}, received {received}, {:?}\n", stream.closed());
            }
        }
        text
    }
}

/// The story.
impl Lab {
    /// Listens on a port of all addresses of a station.
    pub fn listen(&mut self, station: StationId, port: u16) {
        let port = Port::new(port).expect("a listener has a port");
        self.stack_mut(station).listen(None, port, u32::from(port.number())).expect("the port is free");
    }

    /// Takes UDP datagrams for a port of all addresses of a station.
    pub fn bind_udp(&mut self, station: StationId, port: u16) {
        let port = Port::new(port).expect("a binding has a port");
        self.stack_mut(station).bind_udp(None, port, u32::from(port.number())).expect("the port is free");
    }

    /// Opens a connection from a station, over the family of `addr`.
    pub fn connect(&mut self, station: StationId, addr: Addr, port: u16) -> Socket {
        let source = if addr.is_v4() { self.v4(station) } else { self.v6(station) };
        self.connect_from(station, Endpoint::new(source, 0), Endpoint::new(addr, port))
    }

    /// Opens a connection from this very endpoint.
    pub fn connect_from(&mut self, station: StationId, source: Endpoint, destination: Endpoint) -> Socket {
        let now = self.now;
        let conn =
            self.stack_mut(station).connect(now, source, destination).expect("the connection can be opened");
        Socket { station, stream: self.stations[station.0].stream_of(conn) }
    }

    /// The oldest connection that a listener of the station has announced and nobody has asked for.
    pub fn accepted(&mut self, station: StationId) -> Option<Socket> {
        let accepted = &mut self.stations[station.0].accepted;
        (!accepted.is_empty()).then(|| Socket { station, stream: accepted.remove(0) })
    }

    /// The oldest connection that waits for a gateway's owner.
    pub fn incoming(&mut self, station: StationId) -> Option<Socket> {
        let incoming = &mut self.stations[station.0].incoming;
        (!incoming.is_empty()).then(|| Socket { station, stream: incoming.remove(0) })
    }

    /// Connects two stations: the client's end and the server's.
    pub fn establish(
        &mut self,
        client: StationId,
        server: StationId,
        addr: Addr,
        port: u16,
    ) -> (Socket, Socket) {
        let near = self.connect(client, addr, port);
        let limit = Duration::from_secs(120);
        self.run_until(limit, |lab| lab.has_accepted(server)).expect("the server hears of the connection");
        let far = self.accepted(server).expect("it has been accepted");
        self.run_until(limit, |lab| lab.stream(near).was_connected()).expect("the client hears of it");
        (near, far)
    }

    /// Whether a listener of the station has announced a connection.
    pub fn has_accepted(&self, station: StationId) -> bool {
        !self.stations[station.0].accepted.is_empty()
    }

    /// Whether a connection waits for a gateway's owner.
    pub fn has_incoming(&self, station: StationId) -> bool {
        !self.stations[station.0].incoming.is_empty()
    }

    /// A connection as its application sees it.
    pub fn stream(&self, socket: Socket) -> &Stream {
        &self.stations[socket.station.0].streams[socket.stream]
    }

    /// The stack's name for a connection.
    pub fn conn(&self, socket: Socket) -> ConnId {
        self.stream(socket).conn
    }

    /// Gives bytes to a connection, to be sent when there is room.
    pub fn send(&mut self, socket: Socket, bytes: &[u8]) {
        self.change(socket, |stream| stream.queue(bytes));
    }

    /// Ends this direction of a connection when everything is sent.
    pub fn finish(&mut self, socket: Socket) {
        self.change(socket, Stream::finish);
    }

    /// Changes how a connection's application reads.
    pub fn read(&mut self, socket: Socket, reading: Reading) {
        self.change(socket, |stream| stream.read(reading));
    }

    /// Lets a connection that waits be established.
    pub fn accept(&mut self, socket: Socket) {
        let (now, conn) = (self.now, self.stream(socket).conn);
        self.stack_mut(socket.station).accept(now, conn);
    }

    /// Turns a connection that waits down.
    pub fn refuse(&mut self, socket: Socket, how: Refusal) {
        let (now, conn) = (self.now, self.stream(socket).conn);
        self.stack_mut(socket.station).refuse(now, conn, how);
        self.stations[socket.station.0].forget(socket.stream);
    }

    /// Ends a connection with a RST.
    pub fn abort(&mut self, socket: Socket) {
        let (now, conn) = (self.now, self.stream(socket).conn);
        self.stack_mut(socket.station).abort(now, conn);
    }

    /// Gives a connection back to the stack.
    pub fn release(&mut self, socket: Socket) {
        let (now, conn) = (self.now, self.stream(socket).conn);
        self.stack_mut(socket.station).release(now, conn);
        self.stations[socket.station.0].forget(socket.stream);
    }

    /// Sends a UDP datagram from a port of a station.
    ///
    /// # Errors
    /// As [`Stack::send_datagram`].
    pub fn send_datagram(
        &mut self,
        station: StationId,
        port: u16,
        destination: Endpoint,
        payload: &[u8],
    ) -> Result<(), DropReason> {
        let addr = if destination.addr.is_v4() { self.v4(station) } else { self.v6(station) };
        let datagram = DatagramOut {
            protocol: Protocol::Udp,
            source: Endpoint::new(addr, port),
            destination,
            payload,
            gso_size: 0,
            fields: DatagramFields::default(),
        };
        self.send_datagram_as(station, &datagram)
    }

    /// Sends any datagram of a station; a gateway may send in anybody's name.
    ///
    /// # Errors
    /// As [`Stack::send_datagram`].
    pub fn send_datagram_as(
        &mut self,
        station: StationId,
        datagram: &DatagramOut<'_>,
    ) -> Result<(), DropReason> {
        self.stations[station.0].send_datagram(self.now, datagram)
    }

    /// The datagrams that have reached a station.
    pub fn datagrams(&self, station: StationId) -> &[Datagram] {
        &self.stations[station.0].datagrams
    }

    fn change(&mut self, socket: Socket, change: impl FnOnce(&mut Stream)) {
        let station = &mut self.stations[socket.station.0];
        change(&mut station.streams[socket.stream]);
        station.work(self.now, socket.stream);
    }
}
