//! What init tells the parent, as bytes on their channel.

use std::fmt;
use std::io;

use wharf_sys::link::{LinkCapabilities, LinkKind};
use wharf_sys::process::Ended;

macro_rules! steps {
    ($($(#[doc = $doc:literal])+ $name:ident => $text:literal,)+) => {
        /// A step of the set-up, for the words of an error.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Step { $($(#[doc = $doc])+ $name,)+ }

        impl Step {
            const ALL: &'static [Step] = &[$(Step::$name,)+];

            /// What is tried in this step, and on what.
            pub(super) const fn text(self) -> &'static str {
                match self { $(Step::$name => $text,)+ }
            }
        }
    };
}

steps! {
    /// The wish to end with the parent.
    Lifeline => "tie the sandbox to this process",
    /// The id maps of a user who may map one id only.
    Identity => "map the user and group id of the sandbox",
    /// A TAP.
    Tap => "open a TAP device",
    /// One more queue of the link.
    Queue => "open another queue of the link",
    /// A packet socket.
    PacketSocket => "open a packet socket",
    /// The second network namespace, for the program.
    SecondNetwork => "make a second network namespace",
    /// The pair of interfaces.
    Veth => "make a veth pair",
    /// A socket to rtnetlink.
    Netlink => "open a netlink socket",
    /// The program's interface.
    Interface => "set up the interface eth0",
    /// The interface without offload.
    RefuseOffload => "switch off offload on eth0",
    /// An IPv4 address.
    Address4 => "set the IPv4 address of eth0",
    /// An IPv6 address.
    Address6 => "set the IPv6 address of eth0",
    /// An IPv4 route.
    Route4 => "set the IPv4 routes of eth0",
    /// An IPv6 route.
    Route6 => "set the IPv6 routes of eth0",
    /// A neighbour.
    Neighbor => "tell eth0 its neighbours",
    /// Settings of IPv6.
    Ipv6Settings => "set net.ipv6.conf.default in the program's network",
    /// Ports below 1024.
    LowPorts => "set net.ipv4.ip_unprivileged_port_start in the program's network",
    /// Ping sockets.
    PingSockets => "set net.ipv4.ping_group_range in the program's network",
    /// The way of the parent's sockets to the program.
    PastLink => "lead connections past the link",
    /// The mount namespace.
    Mounts => "cut the mounts of the program off from the host's",
    /// Files in memory.
    Overlay => "mount a tmpfs for resolv.conf",
    /// The name servers.
    ResolvConf => "lay a file over /etc/resolv.conf",
    /// The process file system.
    Proc => "mount a /proc of the program's own",
    /// The fork of the program.
    Fork => "fork the program",
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// A message from init.
#[derive(Debug)]
pub(super) enum Report {
    /// The link; its descriptor comes along.
    Link { kind: LinkKind, capabilities: LinkCapabilities },
    /// One more queue of the link, which comes along.
    Queue,
    /// There is no TAP; the other device is tried next.
    NoTap { error: io::Error },
    /// A step failed that not every program needs.
    Warning { step: Step, error: io::Error },
    /// A step failed, and init has ended.
    Failed { step: Step, error: io::Error },
    /// Everything is up; the program's process comes along.
    Ready,
    /// The program has ended.
    Ended(Ended),
}

const LINK: u8 = 1;
const NO_TAP: u8 = 2;
const WARNING: u8 = 3;
const FAILED: u8 = 4;
const READY: u8 = 5;
const ENDED: u8 = 6;
const QUEUE: u8 = 7;

impl Report {
    /// The bytes: a tag, a detail and a number.
    pub(super) fn emit(&self) -> [u8; 6] {
        let (tag, detail, number) = match self {
            Report::Link { kind, capabilities } => {
                let packet = matches!(kind, LinkKind::Packet);
                let flags = [packet, capabilities.checksum, capabilities.tso, capabilities.uso];
                (LINK, flags.iter().rev().fold(0, |bits, &flag| bits << 1 | u8::from(flag)), 0)
            }
            Report::Queue => (QUEUE, 0, 0),
            Report::NoTap { error } => (NO_TAP, 0, number(error)),
            Report::Warning { step, error } => (WARNING, *step as u8, number(error)),
            Report::Failed { step, error } => (FAILED, *step as u8, number(error)),
            Report::Ready => (READY, 0, 0),
            Report::Ended(Ended::Code(code)) => (ENDED, 0, i32::from(*code)),
            Report::Ended(Ended::Signal(signal)) => (ENDED, 1, *signal),
        };
        let [a, b, c, d] = number.to_ne_bytes();
        [tag, detail, a, b, c, d]
    }

    /// The report in these bytes; `None` when init is not what it should be.
    pub(super) fn parse(bytes: &[u8]) -> Option<Report> {
        let (&[tag, detail], rest) = bytes.split_first_chunk::<2>()?;
        let error = || parse_error(rest);
        let step = || Step::ALL.get(usize::from(detail)).copied();
        Some(match tag {
            LINK => Report::Link {
                kind: if detail & 1 == 0 { LinkKind::Tap } else { LinkKind::Packet },
                capabilities: LinkCapabilities {
                    checksum: detail & 2 != 0,
                    tso: detail & 4 != 0,
                    uso: detail & 8 != 0,
                },
            },
            QUEUE => Report::Queue,
            NO_TAP => Report::NoTap { error: error() },
            WARNING => Report::Warning { step: step()?, error: error() },
            FAILED => Report::Failed { step: step()?, error: error() },
            READY => Report::Ready,
            ENDED => {
                let number = i32::from_ne_bytes(rest.try_into().ok()?);
                Report::Ended(match detail {
                    0 => Ended::Code(u8::try_from(number).ok()?),
                    _ => Ended::Signal(number),
                })
            }
            _ => return None,
        })
    }
}

fn number(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(0)
}

/// An error as the four bytes of its number.
pub(super) fn emit_error(error: &io::Error) -> [u8; 4] {
    number(error).to_ne_bytes()
}

/// The error whose number stands in four bytes.
pub(super) fn parse_error(bytes: &[u8]) -> io::Error {
    match bytes.try_into().map(i32::from_ne_bytes) {
        Ok(0) | Err(_) => io::Error::other("an unknown reason"),
        Ok(number) => io::Error::from_raw_os_error(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_survive_the_channel() {
        let capabilities = LinkCapabilities { checksum: true, tso: true, uso: false };
        let refused = || io::Error::from_raw_os_error(1);
        let reports = [
            Report::Link { kind: LinkKind::Packet, capabilities },
            Report::Queue,
            Report::NoTap { error: refused() },
            Report::Warning { step: Step::ResolvConf, error: refused() },
            Report::Failed { step: Step::Fork, error: refused() },
            Report::Ready,
            Report::Ended(Ended::Code(255)),
            Report::Ended(Ended::Signal(11)),
        ];
        for report in reports {
            let again = Report::parse(&report.emit()).unwrap();
            assert_eq!(format!("{again:?}"), format!("{report:?}"));
        }
    }

    #[test]
    fn nonsense_is_no_report() {
        assert!(Report::parse(&[]).is_none());
        assert!(Report::parse(&[99, 0, 0, 0, 0, 0]).is_none());
        assert!(Report::parse(&[FAILED, 200, 0, 0, 0, 0]).is_none());
        assert!(Report::parse(&[ENDED, 0, 0]).is_none());
    }
}
