//! The script's numbers and the host's: ports, initial sequence numbers and timestamps of each conversation.
//!
//! A script says `seq 0` and `TS val 100` where the host has chosen numbers of its own. A flow learns the difference from
//! the first packet that shows it, and translates from then on. The script's side needs no translation: what it sends,
//! it sends as written.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use super::packet::{Body, Icmp, Packet, Segment, TcpOption, emit, flag};
use super::setting::Setting;
use super::syntax::{PacketLine, Quote};

/// A conversation between the host under test and the script.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    /// The host's side; port 0 is not known yet.
    pub(super) local: SocketAddr,
    /// The script's side.
    pub(super) remote: SocketAddr,
    /// The host's initial sequence number, its own and the script's.
    isn: Option<(u32, u32)>,
    /// The host's first timestamp, its own and the script's.
    clock: Option<(u32, u32)>,
    /// The host's timestamp for each of the script's that it was expected to send.
    timestamps: HashMap<u32, u32>,
    /// The flow label of the host, its own and the script's.
    label: Option<(u32, u32)>,
    /// The sequence number of the last SYN that the script sent, and whether it began something new.
    syn: Option<(u32, Syn)>,
}

/// What the script's last SYN was to the host's initial sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Syn {
    /// It was answered, or is the same as one that was.
    Known,
    /// It may bring another initial sequence number.
    New,
}

impl Flow {
    pub(super) fn new(local: SocketAddr, remote: SocketAddr) -> Flow {
        Flow { local, remote, isn: None, clock: None, timestamps: HashMap::new(), label: None, syn: None }
    }

    /// Whether a packet that came out belongs here.
    pub(super) fn sent(&self, packet: &Packet) -> bool {
        let addresses = packet.source == self.local.ip() && packet.destination == self.remote.ip();
        match packet.ports() {
            Some((from, to)) => {
                addresses && to == self.remote.port() && (self.local.port() == 0 || from == self.local.port())
            }
            // Errors come from the address that was spoken to.
            None => addresses,
        }
    }

    /// The packet of a line as it is to go in: with addresses, ports, and the host's numbers.
    pub(super) fn inbound(&mut self, line: &PacketLine) -> Packet {
        if let Some(segment) = line.packet.segment()
            && segment.flags & (flag::SYN | flag::ACK) == flag::SYN
            && self.syn.is_none_or(|(seq, _)| seq != segment.seq)
        {
            self.syn = Some((segment.seq, Syn::New));
        }
        let mut packet = line.packet.clone();
        packet.source = or(packet.source, self.remote.ip());
        packet.destination = or(packet.destination, self.local.ip());
        packet.flow_label = line.flow_label.unwrap_or(0);
        let (from, to) = line.ports.unwrap_or((self.remote.port(), self.local.port()));
        let (quoting, answered) = (packet.source, packet.destination);
        match &mut packet.body {
            Body::Tcp(segment) => {
                (segment.source_port, segment.destination_port) = (from, to);
                self.to_host(segment);
            }
            Body::Udp(datagram) => (datagram.source_port, datagram.destination_port) = (from, to),
            Body::Icmp(icmp) => self.quote(icmp, line.quote, quoting.is_ipv4() == answered.is_ipv4()),
            Body::Other { .. } => {}
        }
        packet
    }

    /// Acknowledgments and echoes of what the host sent, in its own numbers.
    fn to_host(&self, segment: &mut Segment) {
        if let Some((own, script)) = self.isn {
            let there = |number: u32| number.wrapping_sub(script).wrapping_add(own);
            if segment.has(flag::ACK) {
                segment.ack = there(segment.ack);
            }
            for option in &mut segment.options {
                if let TcpOption::Sack(blocks) = option {
                    blocks
                        .iter_mut()
                        .for_each(|(left, right)| (*left, *right) = (there(*left), there(*right)));
                }
            }
        }
        for option in &mut segment.options {
            if let TcpOption::Timestamps(_, echo) = option
                && segment.flags & flag::ACK != 0
            {
                *echo = self.echo_to_host(*echo);
            }
        }
    }

    fn echo_to_host(&self, echo: u32) -> u32 {
        match (self.timestamps.get(&echo), self.clock) {
            (Some(own), _) => *own,
            (None, Some((own, script))) => echo.wrapping_sub(script).wrapping_add(own),
            (None, None) => echo,
        }
    }

    /// Puts the start of a packet of the host's into an ICMP error.
    fn quote(&self, icmp: &mut Icmp, quote: Option<Quote>, same_family: bool) {
        let Some(quote) = quote.filter(|_| same_family) else { return };
        let (body, length) = match quote {
            Quote::Tcp { seq, length } => {
                let own = self.isn.map_or(seq, |(own, script)| seq.wrapping_sub(script).wrapping_add(own));
                let segment = Segment {
                    source_port: self.local.port(),
                    destination_port: self.remote.port(),
                    seq: own,
                    ..Segment::default()
                };
                (Body::Tcp(segment), length)
            }
            Quote::Udp { length } => {
                let datagram = super::packet::Datagram {
                    source_port: self.local.port(),
                    destination_port: self.remote.port(),
                    ..Default::default()
                };
                (Body::Udp(datagram), length)
            }
        };
        let mut quoted = Packet::between_unknown(body);
        (quoted.source, quoted.destination) = (self.local.ip(), self.remote.ip());
        // An ICMP error need not carry more than the header and eight bytes (RFC 792), and here carries the rest, too,
        // as RFC 1812, section 4.3.2.3 wants, up to 576 bytes.
        if let Body::Tcp(segment) = &mut quoted.body {
            segment.payload = super::packet::Payload::unsaid(usize::from(length).min(500));
        } else if let Body::Udp(datagram) = &mut quoted.body {
            datagram.payload = super::packet::Payload::unsaid(usize::from(length).min(500));
        }
        icmp.payload = emit(&quoted);
    }

    /// Learns from a packet that came out what the line that expects it calls its numbers.
    pub(super) fn learn(&mut self, packet: &Packet, line: &PacketLine) {
        if let (Some((port, _)), 0) = (packet.ports(), self.local.port()) {
            self.local.set_port(port);
        }
        if let Some(label) = line.flow_label
            && self.label.is_none()
        {
            self.label = Some((packet.flow_label, label));
        }
        let (Some(seen), Some(said)) = (packet.segment(), line.packet.segment()) else { return };
        let anew = matches!(self.syn, Some((_, Syn::New)));
        if seen.has(flag::SYN) && said.has(flag::SYN) && (self.isn.is_none() || anew) {
            self.isn = Some((seen.seq, said.seq));
            self.syn = self.syn.map(|(seq, _)| (seq, Syn::Known));
        }
        if let (Some((own, _)), Some((script, _))) = (seen.timestamps(), said.timestamps()) {
            self.clock.get_or_insert((own, script));
            self.timestamps.insert(script, own);
        }
    }

    /// A packet that came out, in the script's numbers.
    pub(super) fn outbound(&self, mut packet: Packet) -> Packet {
        if let Some((own, script)) = self.label
            && packet.flow_label == own
        {
            packet.flow_label = script;
        }
        if let Body::Tcp(segment) = &mut packet.body {
            if let Some((own, script)) = self.isn {
                // A reset that answers a segment without acknowledgment has number 0 (RFC 9293, section 3.10.7.1).
                let bare_reset = segment.has(flag::RST | flag::ACK) && segment.seq == 0;
                if !bare_reset {
                    segment.seq = segment.seq.wrapping_sub(own).wrapping_add(script);
                }
            }
            for option in &mut segment.options {
                if let (TcpOption::Timestamps(value, _), Some((own, script))) = (option, self.clock) {
                    *value = value.wrapping_sub(own).wrapping_add(script);
                }
            }
        }
        packet
    }
}

fn or(address: IpAddr, otherwise: IpAddr) -> IpAddr {
    if address.is_unspecified() { otherwise } else { address }
}

/// All conversations of a script, and which of them a line without ports means.
#[derive(Debug, Default)]
pub(super) struct Flows {
    flows: Vec<Flow>,
    current: Option<usize>,
    /// A listener waits for its first connection: a SYN that comes in opens a new conversation.
    listening: Option<SocketAddr>,
    /// A socket connects: a SYN that comes out opens a new conversation, with this remote side.
    connecting: Option<(SocketAddr, SocketAddr)>,
}

/// The first port from which the script speaks.
const FIRST_REMOTE_PORT: u16 = 50_001;

impl Flows {
    /// A socket listens at `local`.
    pub(super) fn listen(&mut self, local: SocketAddr) {
        self.listening = Some(local);
    }

    /// A socket connects from `local`, whose port may not be known, to `remote`.
    pub(super) fn connect(&mut self, local: SocketAddr, remote: SocketAddr) {
        self.connecting = Some((local, remote));
    }

    /// A socket of datagrams speaks from `local` to `remote`, or would.
    pub(super) fn datagrams(&mut self, local: SocketAddr, remote: SocketAddr) {
        let found = self.flows.iter().position(|flow| {
            flow.remote == remote
                && flow.local.ip() == local.ip()
                && matches!(flow.local.port(), port if port == 0 || port == local.port())
        });
        self.current = Some(found.unwrap_or_else(|| self.add(Flow::new(local, remote))));
    }

    fn add(&mut self, flow: Flow) -> usize {
        self.flows.push(flow);
        self.flows.len() - 1
    }

    /// The conversation that a line speaks of when a packet goes in.
    pub(super) fn of_inbound(&mut self, line: &PacketLine, setting: &Setting) -> &mut Flow {
        let opening =
            line.packet.segment().is_some_and(|segment| segment.flags & (flag::SYN | flag::ACK) == flag::SYN);
        let local = self.listening.unwrap_or_else(|| setting.bind_address());
        let local_ip = or(line.packet.destination, local.ip());
        let remote_ip = or(line.packet.source, setting.remote);
        let index = match line.ports {
            Some((remote, port)) => {
                let (local, remote) = (SocketAddr::new(local_ip, port), SocketAddr::new(remote_ip, remote));
                let found = self.flows.iter().position(|flow| flow.local == local && flow.remote == remote);
                found.unwrap_or_else(|| self.add(Flow::new(local, remote)))
            }
            None if opening && self.listening.is_some() => {
                self.listening = None;
                let remote = SocketAddr::new(remote_ip, self.next_remote_port());
                self.add(Flow::new(SocketAddr::new(local_ip, local.port()), remote))
            }
            None => match self.current {
                Some(current) => current,
                None => {
                    let remote = SocketAddr::new(remote_ip, self.next_remote_port());
                    self.add(Flow::new(SocketAddr::new(local_ip, local.port()), remote))
                }
            },
        };
        // A line that names ports does not change what others mean, but where there is nothing else they mean it.
        if line.ports.is_none() || self.current.is_none() {
            self.current = Some(index);
        }
        &mut self.flows[index]
    }

    fn next_remote_port(&self) -> u16 {
        FIRST_REMOTE_PORT + self.flows.len() as u16
    }

    /// The conversation that a line speaks of when a packet is to come out; `None` when there is none.
    pub(super) fn of_outbound(&mut self, line: &PacketLine, setting: &Setting) -> Option<&mut Flow> {
        let opening =
            line.packet.segment().is_some_and(|segment| segment.flags & (flag::SYN | flag::ACK) == flag::SYN);
        let index = match (line.ports, self.connecting) {
            (None, Some((local, remote))) if opening => {
                self.connecting = None;
                let index = self.add(Flow::new(local, remote));
                self.current = Some(index);
                index
            }
            (Some((port, remote)), connecting) => {
                let local = SocketAddr::new(or(line.packet.source, setting.local), port);
                let remote = SocketAddr::new(or(line.packet.destination, setting.remote), remote);
                if opening && connecting.is_some_and(|(_, to)| to == remote) {
                    self.connecting = None;
                }
                let found = self.flows.iter().position(|flow| {
                    flow.remote == remote
                        && flow.local.ip() == local.ip()
                        && [0, port].contains(&flow.local.port())
                });
                found.unwrap_or_else(|| self.add(Flow::new(local, remote)))
            }
            (None, _) => self.current?,
        };
        self.flows.get_mut(index)
    }

    /// A new conversation of datagrams that the host has not begun, should a line need one.
    pub(super) fn forget_current(&mut self) {
        self.current = None;
    }
}
