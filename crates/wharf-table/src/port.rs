//! The port: a 16-bit number that names one end of a conversation on a host (RFC 6335).

use core::fmt;
use core::num::NonZeroU16;

/// A port that can stand on the wire: 1 to 65535. Port 0 is reserved (RFC 6335, section 6) and means
/// "choose for me" in an interface, which is written `Option<Port>` here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(NonZeroU16);

impl Port {
    /// The port with this number; `None` for 0.
    pub const fn new(number: u16) -> Option<Port> {
        match NonZeroU16::new(number) {
            Some(number) => Some(Port(number)),
            None => None,
        }
    }

    /// The number, never 0.
    pub const fn number(self) -> u16 {
        self.0.get()
    }

    /// The range of the registry in which this port lies (RFC 6335, section 6).
    pub const fn class(self) -> PortClass {
        match self.number() {
            0..=1023 => PortClass::System,
            1024..=49151 => PortClass::User,
            49152..=65535 => PortClass::Dynamic,
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The three ranges of the port registry (RFC 6335, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PortClass {
    /// 0-1023, assigned by IETF review or IESG approval.
    System,
    /// 1024-49151, assigned on request.
    User,
    /// 49152-65535, never assigned.
    Dynamic,
}

/// A range of ports, both ends included, never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortRange {
    first: Port,
    last: Port,
}

impl PortRange {
    /// The Dynamic ports, 49152-65535 (RFC 6335, section 6).
    pub const DYNAMIC: PortRange = match (Port::new(49152), Port::new(65535)) {
        (Some(first), Some(last)) => PortRange { first, last },
        _ => unreachable!(),
    };

    /// The range from which Linux takes ephemeral ports, 32768-60999 (`net.ipv4.ip_local_port_range`).
    pub const LINUX: PortRange = match (Port::new(32768), Port::new(60999)) {
        (Some(first), Some(last)) => PortRange { first, last },
        _ => unreachable!(),
    };

    /// The range from `first` to `last`; `None` when `last` lies before `first`.
    pub const fn new(first: Port, last: Port) -> Option<PortRange> {
        if last.number() < first.number() { None } else { Some(PortRange { first, last }) }
    }

    /// The range that holds one port.
    pub const fn single(port: Port) -> PortRange {
        PortRange { first: port, last: port }
    }

    /// The lowest port.
    pub const fn first(self) -> Port {
        self.first
    }

    /// The highest port.
    pub const fn last(self) -> Port {
        self.last
    }

    /// How many ports, 1 to 65535.
    pub const fn count(self) -> u16 {
        self.last.number() - self.first.number() + 1
    }

    /// Whether `port` lies inside.
    pub const fn contains(self, port: Port) -> bool {
        self.first.number() <= port.number() && port.number() <= self.last.number()
    }

    /// The ports from first to last.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = Port> + Clone {
        (self.first.number()..=self.last.number())
            .map(|number| Port::new(number).expect("a range starts at 1 or above"))
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { self.first.fmt(f) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}
