//! Packets: `< [ect0] 1000 > 8080 P. 1:1001(1000) ack 1 win 257 <nop,nop,TS val 1 ecr 2>`.
//!
//! Beside what packetdrill knows, a line can name addresses (`[src "192.0.2.7"]`), give the payload (`"text"` at the
//! end), put any bytes among the options (`<hex 0300>`), and lie about where the data begins (`offset 4`, in words).

use super::super::lexer::{Token, error};
use super::super::packet::{Body, Datagram, Packet, Payload, Segment, TcpOption, flag};
use super::super::syntax::{Checks, PacketLine, Quote, SyntaxError, Tos};
use super::Parser;

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Inbound,
    Outbound,
}

impl Parser {
    pub(super) fn packet(&mut self, direction: Direction) -> Result<PacketLine, SyntaxError> {
        let mut line = PacketLine {
            packet: Packet::between_unknown(Body::Tcp(Segment::default())),
            tos: Tos::Unsaid,
            ttl: None,
            flow_label: None,
            ports: None,
            checks: Checks::default(),
            quote: None,
        };
        self.ip_info(&mut line, direction)?;
        if self.eat_word("icmp") || self.eat_word("icmpv6") {
            self.icmp(&mut line)?;
        } else if self.eat_word("udp") {
            self.opt_ports(&mut line)?;
            line.packet.body = Body::Udp(self.datagram()?);
        } else {
            self.opt_ports(&mut line)?;
            line.packet.body = Body::Tcp(self.segment(&mut line.checks, direction)?);
        }
        if let Tos::Whole(tos) | Tos::Ecn(tos) = line.tos {
            line.packet.tos = tos;
        }
        line.packet.ttl = line.ttl.unwrap_or(line.packet.ttl);
        Ok(line)
    }

    /// `[ect0]`, `(tos 0x10, ttl 3)` and the like.
    fn ip_info(&mut self, line: &mut PacketLine, direction: Direction) -> Result<(), SyntaxError> {
        let close = match self.token() {
            Token::Sign('[') => ']',
            Token::Sign('(') => ')',
            _ => return Ok(()),
        };
        self.advance();
        loop {
            let position = self.position();
            let Token::Word(word) = self.token().clone() else { return Err(self.expected("an IP field")) };
            self.advance();
            match word.as_str() {
                "noecn" => line.tos = Tos::Ecn(0),
                "ect1" => line.tos = Tos::Ecn(1),
                "ect0" => line.tos = Tos::Ecn(2),
                "ce" => line.tos = Tos::Ecn(3),
                "ect01" if direction == Direction::Outbound => line.tos = Tos::AnyEct,
                "tos" => line.tos = Tos::Whole(self.u8("a TOS byte")?),
                "ttl" => line.ttl = Some(self.u8("a time to live")?),
                "flowlabel" => line.flow_label = Some(self.integer("a flow label", 0xf_ffff)? as u32),
                "src" => line.packet.source = self.quoted_address()?,
                "dst" => line.packet.destination = self.quoted_address()?,
                _ => return Err(error(position, &format!("`{word}` is no IP field of such a packet"))),
            }
            if self.eat_sign(close) {
                return Ok(());
            }
            self.sign(',')?;
        }
    }

    fn quoted_address(&mut self) -> Result<std::net::IpAddr, SyntaxError> {
        let position = self.position();
        let Token::Text(text) = self.token().clone() else { return Err(self.expected("a quoted address")) };
        self.advance();
        let text = String::from_utf8_lossy(&text).into_owned();
        text.parse().map_err(|_| error(position, &format!("`{text}` is no address")))
    }

    fn opt_ports(&mut self, line: &mut PacketLine) -> Result<(), SyntaxError> {
        if matches!(self.token(), Token::Integer(..)) && *self.second() == Token::Sign('>') {
            let source = self.u16("a port")?;
            self.sign('>')?;
            line.ports = Some((source, self.u16("a port")?));
        }
        Ok(())
    }

    fn datagram(&mut self) -> Result<Datagram, SyntaxError> {
        self.sign('(')?;
        let length = self.u16("a payload length")?;
        self.sign(')')?;
        Ok(Datagram { payload: self.payload(length)?, ..Datagram::default() })
    }

    /// `length` zeros, or the string that follows.
    fn payload(&mut self, length: u16) -> Result<Payload, SyntaxError> {
        let Token::Text(bytes) = self.token().clone() else { return Ok(Payload::unsaid(length.into())) };
        if bytes.len() != usize::from(length) {
            return Err(error(self.position(), &format!("these are {} bytes and not {length}", bytes.len())));
        }
        self.advance();
        Ok(Payload { bytes, said: true })
    }

    fn segment(&mut self, checks: &mut Checks, direction: Direction) -> Result<Segment, SyntaxError> {
        let mut segment = Segment { flags: self.flags(checks)?, ..Segment::default() };
        let (seq, length) = self.seq_range()?;
        segment.seq = seq;
        if self.eat_word("ack") {
            segment.ack = self.u32("an acknowledgment number")?;
        }
        if self.eat_word("win") {
            segment.window = self.u16("a window")?;
            checks.window = true;
        }
        if self.eat_word("urg") {
            segment.urgent = self.u16("an urgent pointer")?;
        }
        if direction == Direction::Inbound && self.eat_word("offset") {
            segment.data_offset = Some(self.integer("a data offset", 15)? as u8);
        }
        if self.is_sign('<') {
            let position = self.position();
            self.advance();
            if *self.token() == Token::Ellipsis {
                if direction == Direction::Inbound {
                    return Err(error(position, "<...> is for packets that come out"));
                }
                self.advance();
                self.sign('>')?;
                checks.options = false;
            } else {
                segment.options = self.tcp_options()?;
            }
        }
        if self.is_sign('{') {
            return Err(self.expected("no mutation of packets: it is not supported"));
        }
        segment.payload = self.payload(length)?;
        Ok(segment)
    }

    /// Letters and points without a space between them.
    fn flags(&mut self, checks: &mut Checks) -> Result<u16, SyntaxError> {
        let mut flags = 0;
        let mut first = true;
        while first || self.glued() {
            match self.token().clone() {
                Token::Word(word) => {
                    for letter in word.chars() {
                        let found = flag::LETTERS.iter().find(|(known, _)| *known == letter);
                        let (_, bit) = found.ok_or_else(|| self.expected("TCP flags of FSRPUEWA and `.`"))?;
                        flags |= bit;
                    }
                }
                Token::Sign('.') => flags |= flag::ACK,
                Token::Sign('-') if first => {}
                // `.5` stands for an acknowledgment and the number that AE, CWR and ECE make.
                Token::Decimal(_, text) if text.len() == 3 && text.starts_with("0.") => {
                    let ace = text.as_bytes()[2] - b'0';
                    if ace > 7 {
                        return Err(self.expected("a number of three bits"));
                    }
                    flags |= flag::ACK | u16::from(ace) << 6;
                    checks.ace = Some(ace);
                }
                _ if first => return Err(self.expected("TCP flags, `udp` or `icmp`")),
                _ => break,
            }
            first = false;
            self.advance();
        }
        Ok(flags)
    }

    /// `1:1001(1000)`: where it starts, and the payload's length.
    pub(super) fn seq_range(&mut self) -> Result<(u32, u16), SyntaxError> {
        let start = self.u32("a sequence number")?;
        self.sign(':')?;
        let position = self.position();
        let end = self.u32("a sequence number")?;
        self.sign('(')?;
        let length = self.u16("a payload length")?;
        self.sign(')')?;
        if start.wrapping_add(length.into()) != end {
            return Err(error(position, &format!("{start} and {length} bytes do not end at {end}")));
        }
        Ok((start, length))
    }

    /// `[1:1001(1000)]` or `[udp (1000)]`, what an ICMP error quotes.
    pub(super) fn quote(&mut self) -> Result<Quote, SyntaxError> {
        self.sign('[')?;
        let quote = if self.eat_word("udp") {
            self.sign('(')?;
            let length = self.u16("a payload length")?;
            self.sign(')')?;
            Quote::Udp { length }
        } else {
            let (seq, length) = self.seq_range()?;
            Quote::Tcp { seq, length }
        };
        self.sign(']')?;
        Ok(quote)
    }

    fn tcp_options(&mut self) -> Result<Vec<TcpOption>, SyntaxError> {
        let mut options = Vec::new();
        loop {
            options.push(self.tcp_option()?);
            if self.eat_sign('>') {
                return Ok(options);
            }
            self.sign(',')?;
        }
    }

    fn tcp_option(&mut self) -> Result<TcpOption, SyntaxError> {
        let position = self.position();
        let Token::Word(word) = self.token().clone() else { return Err(self.expected("a TCP option")) };
        self.advance();
        Ok(match word.as_str() {
            "nop" => TcpOption::Nop,
            "eol" => TcpOption::End,
            "mss" => TcpOption::Mss(self.u16("a segment size")?),
            "wscale" => TcpOption::WindowScale(self.u8("a shift")?),
            "sackOK" => TcpOption::SackPermitted,
            "sack" => {
                let mut blocks = Vec::new();
                while matches!(self.token(), Token::Integer(..)) {
                    let left = self.u32("a sequence number")?;
                    self.sign(':')?;
                    blocks.push((left, self.u32("a sequence number")?));
                }
                TcpOption::Sack(blocks)
            }
            "TS" => {
                if !self.eat_word("val") {
                    return Err(self.expected("`val`"));
                }
                let value = self.u32("a timestamp")?;
                if !self.eat_word("ecr") {
                    return Err(self.expected("`ecr`"));
                }
                TcpOption::Timestamps(value, self.u32("a timestamp")?)
            }
            "FO" => TcpOption::FastOpen(self.hex()?),
            "FOEXP" => TcpOption::FastOpenExperimental(self.hex()?),
            "md5" => TcpOption::Other(19, self.hex()?),
            "hex" => TcpOption::Raw(self.hex()?),
            _ => return Err(error(position, &format!("`{word}` is no TCP option"))),
        })
    }

    /// Digits in pairs, perhaps none.
    fn hex(&mut self) -> Result<Vec<u8>, SyntaxError> {
        let mut digits = String::new();
        while let Token::Word(text) | Token::Integer(_, text) = self.token() {
            digits.push_str(text);
            self.advance();
        }
        let pairs = digits.as_bytes().chunks(2);
        pairs
            .map(|pair| {
                std::str::from_utf8(pair)
                    .ok()
                    .filter(|pair| pair.len() == 2)
                    .and_then(|pair| u8::from_str_radix(pair, 16).ok())
            })
            .collect::<Option<Vec<u8>>>()
            .ok_or_else(|| {
                error(self.position(), &format!("`{digits}` is no even number of hexadecimal digits"))
            })
    }
}
