//! What a script's options say about the hosts: addresses, ports, tolerances.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use super::lexer::Token;

/// Which packets and which sockets a script is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IpVersion {
    /// IPv4 for both.
    #[default]
    V4,
    /// Packets of IPv4 and sockets of IPv6.
    Mapped,
    /// IPv6 for both.
    V6,
}

impl FromStr for IpVersion {
    type Err = String;
    fn from_str(text: &str) -> Result<IpVersion, String> {
        match text {
            "ipv4" => Ok(IpVersion::V4),
            "ipv4-mapped-ipv6" => Ok(IpVersion::Mapped),
            "ipv6" => Ok(IpVersion::V6),
            _ => Err(format!("`{text}` is none of ipv4, ipv4-mapped-ipv6 and ipv6")),
        }
    }
}

impl IpVersion {
    /// Names that mean something else for each version; Linux' own tests use them.
    pub(crate) fn defines(self) -> HashMap<String, Token> {
        let (level, kind) = match self {
            IpVersion::V4 | IpVersion::Mapped => ("SOL_IP", "IP_RECVERR"),
            IpVersion::V6 => ("SOL_IPV6", "IPV6_RECVERR"),
        };
        [("CMSG_LEVEL_IP", level), ("CMSG_TYPE_RECVERR", kind)]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Token::Word(value.to_owned())))
            .collect()
    }
}

/// What holds for a whole script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Which packets and sockets.
    pub version: IpVersion,
    /// The address of the host under test.
    pub local: IpAddr,
    /// The address of the script.
    pub remote: IpAddr,
    /// The port that `bind(3, ..., ...)` binds.
    pub bind_port: u16,
    /// The port that `connect(3, ..., ...)` connects to.
    pub connect_port: u16,
    /// The MTU of the host's interface.
    pub mtu: u16,
    /// How far a time may be off, in microseconds.
    pub tolerance_us: u64,
    /// And in thousandths of the time since the event before.
    pub tolerance_permille: u64,
    /// One tick of TCP timestamps in microseconds; 0 means that their values do not count.
    pub timestamp_tick_us: u64,
    /// Whether one line may stand for many segments.
    pub segments: Segments,
    /// What else our stack is told (packetdrill's `--so_flags`).
    pub stack_flags: String,
}

/// Whether a line with much payload may come as many segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segments {
    /// It may.
    Joined,
    /// Each line is a segment.
    Strict,
}

impl Setting {
    /// The setting of a script without options.
    pub fn new(version: IpVersion) -> Setting {
        let (local, remote) = addresses(version);
        Setting {
            version,
            local,
            remote,
            bind_port: 8080,
            connect_port: 8080,
            mtu: mtu(version),
            tolerance_us: 4_000,
            tolerance_permille: 125,
            timestamp_tick_us: 0,
            segments: Segments::Joined,
            stack_flags: String::new(),
        }
    }

    /// Takes a script's options; unknown ones are told.
    ///
    /// # Errors
    /// A value makes no sense.
    pub fn with_options(mut self, options: &[(String, Option<String>)]) -> Result<Setting, String> {
        // The version decides the addresses, wherever it stands.
        for (name, value) in options {
            if let ("ip_version", Some(value)) = (name.as_str(), value) {
                self.version = value.parse()?;
                (self.local, self.remote) = addresses(self.version);
                self.mtu = mtu(self.version);
            }
        }
        for (name, value) in options {
            self.take(name, value.as_deref().map(|value| value.trim_matches('"')))?;
        }
        Ok(self)
    }

    fn take(&mut self, name: &str, value: Option<&str>) -> Result<(), String> {
        fn read<T: FromStr>(name: &str, value: Option<&str>) -> Result<T, String> {
            let value = value.ok_or_else(|| format!("--{name} needs a value"))?;
            value.parse().map_err(|_| format!("--{name}: `{value}` makes no sense"))
        }
        match name {
            "local_ip" => self.local = read(name, value)?,
            "remote_ip" => self.remote = read(name, value)?,
            "bind_port" => self.bind_port = read(name, value)?,
            "connect_port" => self.connect_port = read(name, value)?,
            "mtu" => self.mtu = read(name, value)?,
            "tolerance_usecs" => self.tolerance_us = read(name, value)?,
            "tolerance_percent" => {
                self.tolerance_permille = (read::<f64>(name, value)? * 10.0) as u64;
            }
            "tcp_ts_tick_usecs" => self.timestamp_tick_us = read(name, value)?,
            "so_flags" => self.stack_flags = value.unwrap_or_default().to_owned(),
            "strict_segments" => self.segments = Segments::Strict,
            "ip_version" | "define" | "gateway_ip" | "netmask_ip" | "speed" | "init_scripts"
            | "non_fatal" | "verbose" | "debug" | "dry_run" | "is_anyip" | "mss" | "send_omit_free"
            | "socktype" => {}
            _ => return Err(format!("--{name} is no option that is known here")),
        }
        Ok(())
    }

    /// Where `bind(3, ..., ...)` binds.
    pub fn bind_address(&self) -> SocketAddr {
        SocketAddr::new(self.local, self.bind_port)
    }

    /// Where `connect(3, ..., ...)` connects to.
    pub fn connect_address(&self) -> SocketAddr {
        SocketAddr::new(self.remote, self.connect_port)
    }
}

/// With the longer header of IPv6 the same segments fit.
fn mtu(version: IpVersion) -> u16 {
    if version == IpVersion::V6 { 1520 } else { 1500 }
}

fn addresses(version: IpVersion) -> (IpAddr, IpAddr) {
    match version {
        IpVersion::V4 | IpVersion::Mapped => (IpAddr::from([192, 168, 0, 1]), IpAddr::from([192, 0, 2, 1])),
        IpVersion::V6 => (
            IpAddr::from([0xfd3d, 0x0a0b, 0x17d6, 0, 0, 0, 0, 1]),
            IpAddr::from([0xfd3d, 0xfa7b, 0xd17d, 0, 0, 0, 0, 1]),
        ),
    }
}
