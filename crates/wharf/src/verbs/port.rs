//! `wharf port`: what is registered for a port, and where a name leads.
//!
//! [`ask`] finds the ports that are meant, [`told`] gathers what is known of one, [`text`] and [`json`] tell it. Nothing here looks
//! at what runs: a name says what is registered.

mod ask;
mod json;
mod text;
mod told;

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use wharf_host::registry::{ReadRegistry, Registry};

use self::ask::{Meant, Subject};
use self::told::{Here, Sources};
use crate::args::PortArgs;
use crate::exit::{self, Failure};
use crate::render::screen::{ColourChoice, Fitting, Screen};
use crate::services::LocalServices;

/// Nothing was found.
const NOTHING: u8 = 1;

/// Tells what is known of what was asked for.
///
/// # Errors
/// [`Failure`]: 1 where nothing is registered so, 2 for wrong usage or a file that is no registry.
pub(crate) fn port(args: PortArgs) -> Result<ExitCode, Failure> {
    let registry = match &args.registry {
        None => Registry::BuiltIn,
        Some(path) => Registry::Read(ReadRegistry::read(path).map_err(Failure::usage)?),
    };
    let local = LocalServices::default();
    let meant = ask::ask(&args.query, &registry, &local)?;
    let sources = Sources { registry: &registry, local: local.all().collect(), here: Here::now() };
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    if meant.subjects.is_empty() {
        if args.json {
            exit::written(json::write(&mut out, &sources, &meant).and_then(|()| out.flush()))?;
        }
        return Err(Failure::new(NOTHING, ask::nothing(&args.query, &registry)));
    }
    let written = if args.bits {
        bits(&mut out, &meant)
    } else if args.json {
        json::write(&mut out, &sources, &meant)
    } else {
        let screen = Screen::of_stdout(ColourChoice::Auto, Fitting::Cut);
        text::write(&mut out, &sources, &meant, screen)
    };
    exit::written(written.and_then(|()| out.flush()))
}

/// A line for each port: `443  01 bb  00000001 10111011  swapped 47873`. The two octets are those on the wire, the more significant
/// one first (RFC 9293, section 3.1); "swapped" is what a program sees that forgot to turn them.
fn bits(out: &mut impl Write, meant: &Meant<'_>) -> io::Result<()> {
    for subject in &meant.subjects {
        let Subject::Ports(ports, _) = subject else { continue };
        for port in ports.iter() {
            let [high, low] = port.to_be_bytes();
            writeln!(
                out,
                "{port:5}  {high:02x} {low:02x}  {high:08b} {low:08b}  swapped {}",
                port.swap_bytes()
            )?;
        }
    }
    Ok(())
}
