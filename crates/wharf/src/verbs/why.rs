//! `wharf why`: why something can't be reached or bound, and what would make it work.

use std::io::{self, BufWriter, Write as _};
use std::net::IpAddr;
use std::process::ExitCode;

use wharf_host::why::{self, Asked, Question, Target, Verdict};
use wharf_table::Protocol;
use wharf_table::notation::Location;

use crate::args::WhyArgs;
use crate::exit::{self, Failure};
use crate::render::explain;
use crate::render::screen::{Fitting, Screen};
use crate::services::LocalServices;

/// It does not work.
const UNREACHABLE: u8 = 1;

/// Explains: 0 when it works, 1 when it does not.
///
/// # Errors
/// [`Failure`], 2: wrong usage, no such network or process.
pub(crate) fn why(args: WhyArgs) -> Result<ExitCode, Failure> {
    let question = read(&args)?;
    let explanation = why::explain(&question).map_err(Failure::usage)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let written = if args.json {
        explain::write_json(&mut out, &explanation)
    } else {
        let screen = Screen::of_stdout(args.color.unwrap_or_default(), Fitting::Cut);
        explain::write(&mut out, screen, &explanation)
    };
    let written = exit::written(written.and_then(|()| out.flush()))?;
    Ok(if explanation.verdict == Verdict::Reachable { written } else { ExitCode::from(UNREACHABLE) })
}

fn read(args: &WhyArgs) -> Result<Question, Failure> {
    let place = args.r#in.clone();
    let local = LocalServices::default();
    let services = |name: &str, protocol| local.port(name, protocol);
    let parse =
        |text: &str, protocol: Protocol| Location::parse(text, protocol, &services).map_err(Failure::usage);
    if let Some(bind) = &args.bind {
        let (protocol, at) = split_protocol(bind);
        let mut location = parse(at, protocol.unwrap_or(Protocol::Tcp))?;
        location.protocol = protocol.or(location.protocol);
        if location.port.is_none() {
            return Err(Failure::usage(format!("--bind {bind:?}: a port is missing ({bind}:8080 has one)")));
        }
        return Ok(Question { asked: Asked::Bind(location), place });
    }
    let Some(text) = &args.target else {
        return Err(Failure::usage(
            "why what? (wharf why localhost:8080, wharf why https://example.org, wharf why PID; wharf why --help has more)",
        ));
    };
    let from = args.from.as_deref().map(source).transpose()?;
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let pid = text.parse().map_err(|_| {
            Failure::usage(format!("{text:?} is no process (a port is written as localhost:PORT)"))
        })?;
        return Ok(Question { asked: Asked::Process(pid), place });
    }
    let (protocol, at) = split_protocol(text);
    let mut location = parse(at, protocol.unwrap_or(Protocol::Tcp))?;
    location.protocol = protocol.or(location.protocol);
    let Some(target) = Target::new(at, location, from) else {
        return Err(Failure::usage(format!("{text:?}: a port is missing ({at}:443, or a URL)")));
    };
    Ok(Question { asked: Asked::Reach(Box::new(target)), place })
}

/// `tcp/` and `udp/` before an endpoint.
fn split_protocol(text: &str) -> (Option<Protocol>, &str) {
    for (prefix, protocol) in [("tcp/", Protocol::Tcp), ("udp/", Protocol::Udp)] {
        if let Some(rest) = text.strip_prefix(prefix) {
            return (Some(protocol), rest);
        }
    }
    (None, text)
}

fn source(text: &str) -> Result<IpAddr, Failure> {
    text.parse()
        .map_err(|_| Failure::usage(format!("--from {text:?}: not an address (192.0.2.1, 2001:db8::1)")))
}
