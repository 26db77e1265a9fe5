//! A host on a medium of bare packets, and a peer whose every segment the test writes by hand. Packets are read by `etherparse`.

use std::time::Duration;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use wharf_sim::{Lab, Setup};
use wharf_stack::interface::FrameIn;
use wharf_stack::stack::{Config, ConnId, DatagramIn, Event, HostRole, Medium, Role, Stack};
use wharf_stack::tcp::{Events, Settings};
use wharf_table::notation::Cidr;
use wharf_table::{Addr, Endpoint, Instant, Port};

use crate::wire::{Frames, pseudo_header, sum};

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const PSH: u8 = 8;
pub(crate) const ACK: u8 = 16;
pub(crate) const URG: u8 = 32;

/// The host's addresses, the second one of IPv4, and the peer's.
pub(crate) const HOST: [&str; 2] = ["10.0.2.1", "fd00::1"];
pub(crate) const OTHER: &str = "10.0.2.9";
pub(crate) const PEER: [&str; 2] = ["10.0.2.2", "fd00::2"];
/// The peer's initial sequence number. It wraps soon.
pub(crate) const IRS: u32 = u32::MAX - 1_500;
pub(crate) const PORT: u16 = 80;

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A TCP segment in its packet, as sent by either side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) src: String,
    pub(crate) dst: String,
    pub(crate) ports: (u16, u16),
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    pub(crate) urgent: u16,
    pub(crate) options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    pub(crate) hop_limit: u8,
    /// DSCP and ECN.
    pub(crate) class: u8,
    pub(crate) ip_options: Vec<u8>,
    /// Added to the right checksum.
    pub(crate) wrong_by: u16,
}

impl Segment {
    pub(crate) fn urgent(mut self, pointer: u16) -> Segment {
        (self.flags, self.urgent) = (self.flags | URG, pointer);
        self
    }

    pub(crate) fn flags(self, flags: u8) -> Segment {
        Segment { flags, ..self }
    }

    pub(crate) fn window(self, window: u16) -> Segment {
        Segment { window, ..self }
    }

    pub(crate) fn data(self, payload: &[u8]) -> Segment {
        Segment { payload: payload.to_vec(), ..self }
    }

    pub(crate) fn options(self, options: &[u8]) -> Segment {
        Segment { options: options.to_vec(), ..self }
    }

    pub(crate) fn between(self, src: &str, dst: &str) -> Segment {
        Segment { src: src.into(), dst: dst.into(), ..self }
    }

    /// The packet, with the options as they stand: their length must be a multiple of four.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut tcp = Vec::new();
        tcp.extend_from_slice(&self.ports.0.to_be_bytes());
        tcp.extend_from_slice(&self.ports.1.to_be_bytes());
        tcp.extend_from_slice(&self.seq.to_be_bytes());
        tcp.extend_from_slice(&self.ack.to_be_bytes());
        tcp.extend_from_slice(&[(5 + self.options.len() as u8 / 4) << 4, self.flags]);
        tcp.extend_from_slice(&self.window.to_be_bytes());
        tcp.extend_from_slice(&[0, 0]);
        tcp.extend_from_slice(&self.urgent.to_be_bytes());
        tcp.extend_from_slice(&self.options);
        tcp.extend_from_slice(&self.payload);
        let mut packet = self.ip_header(tcp.len());
        let right = !sum(&[&pseudo_header(&packet, 6, tcp.len()), &tcp]);
        tcp[16..18].copy_from_slice(&right.wrapping_add(self.wrong_by).to_be_bytes());
        packet.extend_from_slice(&tcp);
        packet
    }

    fn ip_header(&self, len: usize) -> Vec<u8> {
        let ends = [&self.src, &self.dst].map(|end| crate::wire::ip(end));
        let [std::net::IpAddr::V4(src), std::net::IpAddr::V4(dst)] = ends else {
            let mut header = vec![0x60 | self.class >> 4, self.class << 4, 0, 0];
            header.extend_from_slice(&(len as u16).to_be_bytes());
            header.extend_from_slice(&[6, self.hop_limit]);
            for end in ends {
                let std::net::IpAddr::V6(end) = end else { panic!("a packet has one family") };
                header.extend_from_slice(&end.octets());
            }
            return header;
        };
        let header_len = 20 + self.ip_options.len();
        let mut header = vec![0x40 | (header_len / 4) as u8, self.class];
        header.extend_from_slice(&((header_len + len) as u16).to_be_bytes());
        header.extend_from_slice(&[0, 7, 0x40, 0, self.hop_limit, 6, 0, 0]);
        header.extend_from_slice(&src.octets());
        header.extend_from_slice(&dst.octets());
        header.extend_from_slice(&self.ip_options);
        let right = !sum(&[&header]);
        header[10..12].copy_from_slice(&right.to_be_bytes());
        header
    }

    /// Reads a packet that the host has sent; its checksums must be right.
    pub(crate) fn read(packet: &[u8]) -> Option<Segment> {
        let sliced = SlicedPacket::from_ip(packet).expect("etherparse can read it");
        let (src, dst, hop_limit, class, ip_options, transport) = match sliced.net? {
            NetSlice::Ipv4(v4) => {
                let header = v4.header();
                assert_eq!(sum(&[header.slice()]), 0xffff, "IP header checksum");
                let class = header.dcp().value() << 2 | header.ecn().value();
                let ends = (header.source_addr().to_string(), header.destination_addr().to_string());
                (
                    ends.0,
                    ends.1,
                    header.ttl(),
                    class,
                    header.options().to_vec(),
                    v4.payload().payload.to_vec(),
                )
            }
            NetSlice::Ipv6(v6) => {
                let header = v6.header();
                let ends = (header.source_addr().to_string(), header.destination_addr().to_string());
                let class = header.traffic_class();
                (ends.0, ends.1, header.hop_limit(), class, Vec::new(), v6.payload().payload.to_vec())
            }
            _ => return None,
        };
        let Some(TransportSlice::Tcp(tcp)) = sliced.transport else { return None };
        if ip_options.is_empty() {
            let pseudo = pseudo_header(packet, 6, transport.len());
            assert_eq!(sum(&[&pseudo, &transport]), 0xffff, "checksum");
        }
        Some(Segment {
            src,
            dst,
            ports: (tcp.source_port(), tcp.destination_port()),
            seq: tcp.sequence_number(),
            ack: tcp.acknowledgment_number(),
            flags: transport[13],
            window: tcp.window_size(),
            urgent: tcp.urgent_pointer(),
            options: tcp.options().to_vec(),
            payload: tcp.payload().to_vec(),
            hop_limit,
            class,
            ip_options,
            wrong_by: 0,
        })
    }

    /// The value of an option, by its kind.
    pub(crate) fn option(&self, kind: u8) -> Option<Vec<u8>> {
        let mut rest = &self.options[..];
        loop {
            match *rest {
                [] | [0, ..] => return None,
                [1, ref behind @ ..] => rest = behind,
                [found, len, ..] => {
                    let (option, behind) = rest.split_at(usize::from(len));
                    if found == kind {
                        return Some(option[2..].to_vec());
                    }
                    rest = behind;
                }
                _ => panic!("options that end in the middle: {:?}", self.options),
            }
        }
    }

    pub(crate) fn is(&self, flags: u8) -> bool {
        self.flags & !PSH == flags
    }
}

pub(crate) struct Host {
    pub(crate) stack: Stack,
    pub(crate) now: Instant,
    pub(crate) events: Vec<Event>,
}

/// A host that listens on [`PORT`].
pub(crate) fn host(change: impl FnOnce(&mut Settings)) -> Host {
    let mut host = silent_host(1_500, change);
    host.listen(None, PORT, 1);
    host
}

/// A host that listens nowhere.
pub(crate) fn silent_host(mtu: u16, change: impl FnOnce(&mut Settings)) -> Host {
    host_with(mtu, |config| change(&mut config.tcp))
}

/// The same with any other configuration.
pub(crate) fn host_with(mtu: u16, change: impl FnOnce(&mut Config)) -> Host {
    let (lab, of, _) = Lab::pair(&Setup::default());
    let mut config = lab.stack(of).config().clone();
    let own = |text: &str, len| Cidr::new(addr(text), len).expect("a prefix fits");
    let addresses = vec![own(HOST[0], 24), own(OTHER, 24), own(HOST[1], 64)];
    config.role = Role::Host(HostRole { addresses, ..HostRole::default() });
    config.medium = Medium::Ip;
    config.mtu = mtu;
    config.tcp.timestamps = false;
    config.tcp.window_scale = false;
    config.tcp.receive_buffer = 65_535;
    change(&mut config);
    // Behind the first acknowledgments, which are sent at once.
    Host { stack: Stack::new(config, lab.now()), now: lab.now() + secs(100), events: Vec::new() }
}

pub(crate) fn addr(text: &str) -> Addr {
    crate::wire::addr(text)
}

pub(crate) fn at(text: &str, port: u16) -> Endpoint {
    Endpoint::new(addr(text), port)
}

impl Host {
    pub(crate) fn listen(&mut self, own: Option<&str>, port: u16, token: u32) {
        let port = Port::new(port).expect("not 0");
        self.stack.listen(own.map(addr), port, token).expect("the port is free");
    }

    /// Gives whole packets to the host at once, and what it answers back.
    pub(crate) fn take_packets(&mut self, packets: &[Vec<u8>]) -> Vec<Segment> {
        let frames: Vec<FrameIn<'_>> = packets.iter().map(|packet| FrameIn::plain(packet)).collect();
        self.stack.handle_frames(self.now, &frames, &mut |_: DatagramIn<'_>| {});
        self.sent()
    }

    pub(crate) fn take_all(&mut self, segments: &[Segment]) -> Vec<Segment> {
        let packets: Vec<Vec<u8>> = segments.iter().map(Segment::bytes).collect();
        self.take_packets(&packets)
    }

    pub(crate) fn take(&mut self, segment: Segment) -> Vec<Segment> {
        self.take_all(&[segment])
    }

    /// What the host has to send now.
    pub(crate) fn sent(&mut self) -> Vec<Segment> {
        let mut frames = Frames::default();
        self.stack.poll_frames(self.now, &mut frames);
        while let Some(event) = self.stack.poll_event() {
            self.events.push(event);
        }
        frames.0.iter().filter_map(|(packet, _)| Segment::read(packet)).collect()
    }

    /// Lets time pass; what is sent, and when.
    pub(crate) fn wait(&mut self, span: Duration) -> Vec<(Duration, Segment)> {
        let (start, end) = (self.now, self.now + span);
        let mut all = Vec::new();
        while let Some(at) = self.stack.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.stack.handle_timeout(self.now);
            let after = self.now.since(start);
            all.extend(self.sent().into_iter().map(|segment| (after, segment)));
        }
        self.now = end;
        all
    }

    /// What has happened since this was asked last, to any connection.
    pub(crate) fn news(&mut self) -> Events {
        self.sent();
        let mut news = Events::empty();
        for event in self.events.drain(..) {
            if let Event::Progress(_, events) = event {
                news |= events;
            }
        }
        news
    }

    /// A connection that the peer has opened, with these options on its SYN.
    pub(crate) fn opened_with(&mut self, family: usize, options: &[u8]) -> Talk {
        let syn = blank(family, 5_000).flags(SYN).options(options);
        let syn = Segment { ack: 0, seq: IRS, ..syn };
        let [answer] = &self.take(syn)[..] else { panic!("no SYN-ACK") };
        assert!(answer.is(SYN | ACK) && answer.ack == IRS.wrapping_add(1));
        let iss = answer.seq;
        let mut talk = Talk { family, iss, id: ConnId::from_number(0), syn_ack: answer.clone(), port: 5_000 };
        assert!(self.take(talk.segment(1, 1)).is_empty());
        let connected = self.events.drain(..).find_map(|event| match event {
            Event::Connected(id) => Some(id),
            _ => None,
        });
        talk.id = connected.expect("the owner hears of it");
        talk
    }

    pub(crate) fn opened(&mut self) -> Talk {
        self.opened_with(0, &MSS_1000)
    }

    pub(crate) fn send(&mut self, talk: &Talk, bytes: &[u8]) -> Vec<Segment> {
        assert_eq!(self.stack.send(self.now, talk.id, bytes), bytes.len());
        self.sent()
    }

    pub(crate) fn received(&self, talk: &Talk) -> Vec<u8> {
        self.stack.received(talk.id).0.flatten().copied().collect()
    }

    pub(crate) fn read(&mut self, talk: &Talk, count: usize) -> Vec<Segment> {
        self.stack.consume(self.now, talk.id, count);
        self.sent()
    }
}

pub(crate) const MSS_1000: [u8; 4] = [2, 4, 3, 0xe8];

/// A segment of the peer without numbers.
pub(crate) fn blank(family: usize, port: u16) -> Segment {
    Segment {
        src: PEER[family].into(),
        dst: HOST[family].into(),
        ports: (port, PORT),
        seq: 0,
        ack: 0,
        flags: ACK,
        window: 60_000,
        urgent: 0,
        options: Vec::new(),
        payload: Vec::new(),
        hop_limit: 64,
        class: 0,
        ip_options: Vec::new(),
        wrong_by: 0,
    }
}

/// One connection.
#[derive(Clone, Debug)]
pub(crate) struct Talk {
    pub(crate) family: usize,
    pub(crate) iss: u32,
    pub(crate) id: ConnId,
    pub(crate) syn_ack: Segment,
    pub(crate) port: u16,
}

impl Talk {
    /// A segment of the peer with these numbers, counted from the initial ones.
    pub(crate) fn segment(&self, seq: u32, ack: u32) -> Segment {
        let blank = blank(self.family, self.port);
        Segment { seq: IRS.wrapping_add(seq), ack: self.iss.wrapping_add(ack), ..blank }
    }

    /// Where a segment of the host lies: sequence number and acknowledgment, counted from the initial ones.
    pub(crate) fn numbers(&self, segment: &Segment) -> (u32, u32) {
        (segment.seq.wrapping_sub(self.iss), segment.ack.wrapping_sub(IRS))
    }
}

/// An ICMP message that quotes `segment`, which the host has sent.
pub(crate) fn icmp(kind: u8, code: u8, word: u32, segment: &Segment) -> Vec<u8> {
    let quoted = segment.bytes();
    let mut message = vec![kind, code, 0, 0];
    message.extend_from_slice(&word.to_be_bytes());
    message.extend_from_slice(&quoted[..28]);
    let right = !sum(&[&message]);
    message[2..4].copy_from_slice(&right.to_be_bytes());
    let mut packet =
        vec![0x45, 0, 0, (20 + message.len()) as u8, 0, 1, 0, 0, 64, 1, 0, 0, 192, 0, 2, 9, 10, 0, 2, 1];
    let right = !sum(&[&packet]);
    packet[10..12].copy_from_slice(&right.to_be_bytes());
    packet.extend_from_slice(&message);
    packet
}
