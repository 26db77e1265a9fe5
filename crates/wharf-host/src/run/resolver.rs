//! The way of a DNS message between the program and the name server: datagrams and TCP connections to the name server's
//! address become queries to [`Names`], its answers go back to whoever asked.

use std::collections::{HashMap, VecDeque};

use wharf_stack::interface::FrameSink;
use wharf_stack::stack::{ConnId, DatagramFields, DatagramIn, DatagramOut, Stack};
use wharf_table::{Endpoint, Instant, Protocol, Tuple};

use super::guard::Ruling;
use super::names::{ClientToken, Names, Transport};

/// The most queries whose answers are awaited.
const CLIENTS_MAX: usize = 4096;
/// The most TCP connections to the name server.
const CONNECTIONS_MAX: usize = 256;
/// The most bytes of answers that wait for a TCP client; one that does not read is cut off.
const OUTGOING_MAX: usize = 1 << 20;

/// Who waits for an answer.
#[derive(Clone, Copy)]
enum Client {
    Datagram { program: Endpoint, server: Endpoint },
    Connection(ConnId),
}

/// A TCP connection to the name server: messages behind two bytes of length (RFC 1035, section 4.2.2).
#[derive(Default)]
struct Connection {
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    awaited: u32,
    finished: bool,
    /// When something last came from the client.
    used: Instant,
}

/// A name that was not answered, or would not have been.
pub(super) struct Denied {
    pub(super) name: String,
    pub(super) ruling: Ruling,
    /// The socket of who asked, as the program sees it, where it asked in a datagram.
    pub(super) client: Option<Tuple>,
}

/// The name server's clients.
pub(super) struct Resolver {
    pub(super) names: Names,
    denied: VecDeque<Denied>,
    clients: HashMap<u64, Client>,
    connections: HashMap<ConnId, Connection>,
    next: u64,
}

impl Resolver {
    pub(super) fn new(names: Names) -> Resolver {
        Resolver {
            names,
            denied: VecDeque::new(),
            clients: HashMap::new(),
            connections: HashMap::new(),
            next: 0,
        }
    }

    /// A name that was not answered.
    pub(super) fn poll_denied(&mut self) -> Option<Denied> {
        self.denied.pop_front()
    }

    /// Whether a connection is one to the name server.
    pub(super) fn owns(&self, id: ConnId) -> bool {
        self.connections.contains_key(&id)
    }

    /// A query in a datagram.
    pub(super) fn on_datagram(&mut self, now: Instant, datagram: &DatagramIn<'_>) {
        let client = Client::Datagram { program: datagram.source, server: datagram.destination };
        let room = if datagram.source.addr.is_v4() { 65_507 } else { 65_487 };
        // Many queries may have come as one frame.
        let size = if datagram.gso_size == 0 { usize::MAX } else { usize::from(datagram.gso_size) };
        for message in datagram.payload.chunks(size) {
            self.ask(now, client, Transport::Udp { max: room }, message);
        }
    }

    /// Whether there will be an answer.
    fn ask(&mut self, now: Instant, client: Client, transport: Transport, message: &[u8]) -> bool {
        if self.clients.len() >= CLIENTS_MAX {
            return false;
        }
        self.next += 1;
        let taken = self.names.handle_query(now, ClientToken(self.next), transport, message);
        while let Some((name, ruling)) = self.names.poll_denial() {
            let client = match client {
                Client::Datagram { program, server } => {
                    Some(Tuple { protocol: Protocol::Udp, local: program, remote: server })
                }
                Client::Connection(_) => None,
            };
            self.denied.push_back(Denied { name, ruling, client });
        }
        if taken {
            self.clients.insert(self.next, client);
        }
        taken
    }

    /// A connection to the name server is established.
    pub(super) fn on_connected(&mut self, now: Instant, id: ConnId, stack: &mut Stack) {
        if self.connections.len() >= CONNECTIONS_MAX {
            // The one that has been silent for longest makes room (RFC 7766, section 6.2.3).
            let silent =
                self.connections.iter().min_by_key(|(_, connection)| connection.used).map(|(&id, _)| id);
            silent.into_iter().for_each(|silent| self.cut(now, silent, stack));
        }
        self.connections.insert(id, Connection { used: now, ..Connection::default() });
    }

    /// Ends a connection with a RST.
    fn cut(&mut self, now: Instant, id: ConnId, stack: &mut Stack) {
        stack.abort(now, id);
        self.on_closed(now, id, stack);
    }

    /// A connection to the name server has received something, or can send.
    pub(super) fn on_progress(&mut self, now: Instant, id: ConnId, stack: &mut Stack) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let (slices, len) = stack.received(id);
        for slice in slices {
            connection.incoming.extend_from_slice(slice);
        }
        stack.consume(now, id, len);
        connection.used = now;
        connection.finished |= stack.connection(id).peer_has_finished();
        let mut messages = Vec::new();
        while let Some(message) = connection.next_message() {
            messages.push(message);
        }
        let mut awaited = 0;
        for message in messages {
            awaited += u32::from(self.ask(now, Client::Connection(id), Transport::Tcp, &message));
        }
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.awaited += awaited;
        }
        self.flush(now, id, stack);
    }

    /// A connection to the name server is over.
    pub(super) fn on_closed(&mut self, now: Instant, id: ConnId, stack: &mut Stack) {
        self.connections.remove(&id);
        self.clients.retain(|_, client| !matches!(client, Client::Connection(of) if *of == id));
        stack.release(now, id);
    }

    /// Takes the answers that are ready to who asked.
    pub(super) fn answer<F: FrameSink>(&mut self, now: Instant, stack: &mut Stack, wire: &mut F) {
        while let Some((ClientToken(token), message)) = self.names.poll_answer() {
            match self.clients.remove(&token) {
                Some(Client::Datagram { program, server }) => {
                    let datagram = DatagramOut {
                        protocol: Protocol::Udp,
                        source: server,
                        destination: program,
                        payload: &message,
                        gso_size: 0,
                        fields: DatagramFields::default(),
                    };
                    // A link that takes no more loses it, and the program asks again.
                    let _ = stack.send_datagram(&datagram, wire);
                }
                Some(Client::Connection(id)) => self.answer_connection(now, id, &message, stack),
                None => {}
            }
        }
    }

    fn answer_connection(&mut self, now: Instant, id: ConnId, message: &[u8], stack: &mut Stack) {
        let (Some(connection), Ok(len)) = (self.connections.get_mut(&id), u16::try_from(message.len()))
        else {
            return;
        };
        connection.awaited -= 1;
        connection.outgoing.extend_from_slice(&len.to_be_bytes());
        connection.outgoing.extend_from_slice(message);
        if connection.outgoing.len() > OUTGOING_MAX {
            self.cut(now, id, stack);
            return;
        }
        self.flush(now, id, stack);
    }

    fn flush(&mut self, now: Instant, id: ConnId, stack: &mut Stack) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let sent = stack.send(now, id, &connection.outgoing);
        connection.outgoing.drain(..sent);
        if connection.finished && connection.awaited == 0 && connection.outgoing.is_empty() {
            self.connections.remove(&id);
            stack.release(now, id);
        }
    }
}

impl Connection {
    fn next_message(&mut self) -> Option<Vec<u8>> {
        let len = usize::from(u16::from_be_bytes(*self.incoming.first_chunk()?));
        if self.incoming.len() < 2 + len {
            return None;
        }
        let message = self.incoming[2..2 + len].to_vec();
        self.incoming.drain(..2 + len);
        Some(message)
    }
}
