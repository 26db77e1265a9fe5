//! `wharf host`: a host of wharf's own stack, driven by JSON lines.

use std::process::ExitCode;

use wharf_host::host::config::{ClockKind, Layer, Typed};
use wharf_host::host::{self, End, settings};
use wharf_host::run::spawn::ProgramExit;
use wharf_table::notation::{Cidr, PortError, no_services, parse_ports};
use wharf_table::{EphemeralAlgorithm, Port, PortRange, Protocol};

use super::read::{address, each, mtu, one};
use crate::args::HostArgs;
use crate::exit::Failure;

/// What a shell adds to the number of a signal.
const BY_SIGNAL: i32 = 128;

/// Runs the host to its end: 0, or as the program in its network ended.
///
/// # Errors
/// [`Failure`]: 2 for wrong usage or a failed system call; where a program was to run 127, 126 and 125 as for `wharf run`.
pub(crate) fn host(args: HostArgs) -> Result<ExitCode, Failure> {
    let typed = read(args)?;
    let is_root = rustix::process::geteuid().is_root();
    let config = typed.lower(is_root).map_err(Failure::usage)?;
    let code = match host::host(&config).map_err(|error| Failure::new(error.exit_code(), error))? {
        End::Done => 0,
        End::Program(ProgramExit::Code(code)) => code,
        End::Program(ProgramExit::Signal(number)) => u8::try_from(BY_SIGNAL + number).unwrap_or(u8::MAX),
    };
    Ok(ExitCode::from(code))
}

/// Reads the text of every option.
fn read(args: HostArgs) -> Result<Typed, Failure> {
    let interface = match (args.tap, args.tun) {
        (Some(name), _) => Some((Layer::Tap, name)),
        (None, Some(name)) => Some((Layer::Tun, name)),
        (None, None) => None,
    };
    let reserved: Vec<Vec<PortRange>> = each("--reserve", &args.reserve, port_list)?;
    Ok(Typed {
        addresses: each("--address", &args.address, str::parse::<Cidr>)?,
        gateways: each("--gateway", &args.gateway, address)?,
        interface,
        netns: args.netns,
        peers: each("--peer", &args.peer, str::parse::<Cidr>)?,
        mtu: one("--mtu", args.mtu.as_deref(), mtu)?,
        socket: args.socket,
        clock: one("--clock", args.clock.as_deref(), clock)?.unwrap_or_default(),
        no_offload: args.no_offload,
        ports: one("--ports", args.ports.as_deref(), ports)?,
        algorithm: one("--algorithm", args.algorithm.as_deref(), algorithm)?.unwrap_or_default(),
        reserved: reserved.concat(),
        privileged_below: one("--privileged-below", args.privileged_below.as_deref(), threshold)?,
        uid: one("--uid", args.uid.as_deref(), uid)?.unwrap_or(0),
        settings: each("--setting", &args.setting, settings::parse)?,
        command: args.command,
    })
}

fn clock(text: &str) -> Result<ClockKind, String> {
    match text {
        "real" => Ok(ClockKind::Real),
        "virtual" => Ok(ClockKind::Virtual),
        _ => Err(format!("{text:?}: no such clock (write real or virtual)")),
    }
}

fn ports(text: &str) -> Result<PortRange, String> {
    match text {
        "linux" => Ok(PortRange::LINUX),
        "iana" => Ok(PortRange::DYNAMIC),
        _ => match port_list(text).map_err(|error| error.to_string())?[..] {
            [range] => Ok(range),
            _ => Err(format!("{text:?}: one range is meant here (write 49152-65535 say)")),
        },
    }
}

fn port_list(text: &str) -> Result<Vec<PortRange>, PortError> {
    let ports = parse_ports(text, Protocol::Tcp, &no_services)?;
    let range = |&(first, last): &(u16, u16)| PortRange::new(Port::new(first)?, Port::new(last)?);
    let zero = || PortError::Zero { part: text.to_owned() };
    ports.ranges().iter().map(|ends| range(ends).ok_or_else(zero)).collect()
}

fn algorithm(text: &str) -> Result<EphemeralAlgorithm, String> {
    match text {
        "1" => Ok(EphemeralAlgorithm::SimpleRandom),
        "2" => Ok(EphemeralAlgorithm::AnotherRandom),
        "3" => Ok(EphemeralAlgorithm::SimpleHash),
        "4" => Ok(EphemeralAlgorithm::DoubleHash),
        "5" => Ok(EphemeralAlgorithm::RandomIncrements),
        _ => Err(format!("{text:?}: no such algorithm (write 1 to 5, the numbers of RFC 6056, section 3.3)")),
    }
}

fn threshold(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("{text:?}: not a port (write a number from 0 to 65535)"))
}

fn uid(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("{text:?}: not the number of a user (write 1000 say)"))
}
