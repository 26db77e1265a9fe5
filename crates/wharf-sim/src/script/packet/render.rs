//! Packets as a line of text, in the words of scripts.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::{Body, Icmp, Packet, Payload, Segment, TcpOption, flag};

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ports() {
            Some((from, to)) => {
                let (from, to) = (SocketAddr::new(self.source, from), SocketAddr::new(self.destination, to));
                write!(f, "{from} > {to}")?;
            }
            None => write!(f, "{} > {}", self.source, self.destination)?,
        }
        match self.tos & 3 {
            0 => {}
            1 => f.write_str(" [ect1]")?,
            2 => f.write_str(" [ect0]")?,
            _ => f.write_str(" [ce]")?,
        }
        match &self.body {
            Body::Tcp(segment) => write!(f, " {segment}"),
            Body::Udp(datagram) => write!(f, " udp ({}){}", datagram.payload.len(), Shown(&datagram.payload)),
            Body::Icmp(icmp) => icmp.write(f, self.source),
            Body::Other { protocol, payload } => write!(f, " protocol {protocol} ({} bytes)", payload.len()),
        }
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.flags == 0 {
            f.write_str("-")?;
        }
        for (letter, bit) in flag::LETTERS {
            if self.has(bit) {
                write!(f, "{letter}")?;
            }
        }
        let end = self.seq.wrapping_add(self.payload.len() as u32);
        write!(f, " {}:{end}({})", self.seq, self.payload.len())?;
        if self.has(flag::ACK) {
            write!(f, " ack {}", self.ack)?;
        }
        write!(f, " win {}", self.window)?;
        if self.has(flag::URG) || self.urgent != 0 {
            write!(f, " urg {}", self.urgent)?;
        }
        if !self.options.is_empty() {
            f.write_str(" <")?;
            for (index, option) in self.options.iter().enumerate() {
                write!(f, "{}{option}", if index > 0 { "," } else { "" })?;
            }
            f.write_str(">")?;
        }
        write!(f, "{}", Shown(&self.payload))
    }
}

impl Icmp {
    fn write(&self, f: &mut fmt::Formatter<'_>, source: IpAddr) -> fmt::Result {
        let family = if source.is_ipv4() { "icmp" } else { "icmpv6" };
        write!(
            f,
            " {family} type {} code {} word {:#x} ({} bytes)",
            self.kind,
            self.code,
            self.word,
            self.payload.len()
        )
    }
}

impl fmt::Display for TcpOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TcpOption::End => f.write_str("eol"),
            TcpOption::Nop => f.write_str("nop"),
            TcpOption::Mss(mss) => write!(f, "mss {mss}"),
            TcpOption::WindowScale(shift) => write!(f, "wscale {shift}"),
            TcpOption::SackPermitted => f.write_str("sackOK"),
            TcpOption::Sack(blocks) => {
                f.write_str("sack")?;
                blocks.iter().try_for_each(|(left, right)| write!(f, " {left}:{right}"))
            }
            TcpOption::Timestamps(value, echo) => write!(f, "TS val {value} ecr {echo}"),
            TcpOption::FastOpen(cookie) => write!(f, "FO {}", Hex(cookie)),
            TcpOption::FastOpenExperimental(cookie) => write!(f, "FOEXP {}", Hex(cookie)),
            TcpOption::Other(kind, value) => write!(f, "kind {kind} {}", Hex(value)),
            TcpOption::Raw(bytes) => write!(f, "hex {}", Hex(bytes)),
        }
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Bytes worth showing: text of a few letters, not a thousand zeros.
struct Shown<'a>(&'a Payload);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 64;
        let bytes = &self.0.bytes;
        if bytes.iter().all(|byte| *byte == 0) || bytes.len() > LONGEST {
            return Ok(());
        }
        write!(f, " \"{}\"", bytes.escape_ascii())
    }
}
