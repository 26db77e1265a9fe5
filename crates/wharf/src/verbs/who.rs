//! `wharf who`: who holds a local port, and the end of that.

mod earlier;
mod end;
mod json;
mod target;
mod text;

use std::io::{self, BufWriter, Write as _};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use wharf_host::snapshot::Search;
use wharf_host::who::{self, Answer};

use self::target::Target;
use super::note;
use super::read::{one, seconds};
use crate::args::WhoArgs;
use crate::exit::{self, Failure};
use crate::render::screen::{Fitting, Screen};
use crate::render::{Registered, View};
use crate::services::LocalServices;

/// The port is free.
const FREE: u8 = 1;
/// How long a process may take to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// How the answer is told.
#[derive(Clone, Copy, Debug)]
struct Telling {
    screen: Screen,
    form: Form,
    amount: Amount,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Json,
}

/// How many connections and workers are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Amount {
    /// As many as a screen has room for.
    Some,
    /// All of them.
    All,
}

/// Tells who holds a port: 0, or 1 when it is free.
///
/// # Errors
/// [`Failure`], 2: wrong usage, or what was to be ended could not be.
pub(crate) fn who(args: WhoArgs) -> Result<ExitCode, Failure> {
    let local = LocalServices::default();
    let services = |name: &str, protocol| local.port(name, protocol);
    // Who ends processes must know all of them.
    let search = if args.verbose || args.stop { Search::All } else { Search::Kin };
    let target = Target::parse(&args.port, args.r#in, search, &services).map_err(Failure::usage)?;
    let patience = one("--after", args.after.as_deref(), seconds)?.unwrap_or(PATIENCE);
    let flows = one("--close", args.close.as_deref(), |text| end::Flows::parse(text, &services))?;
    let fitting = if args.wide { Fitting::Whole } else { Fitting::Cut };
    let telling = Telling {
        screen: Screen::of_stdout(args.color.unwrap_or_default(), fitting),
        form: if args.json { Form::Json } else { Form::Text },
        amount: if args.verbose { Amount::All } else { Amount::Some },
    };
    if let Some(time) = &args.at {
        return earlier::tell(&target, time, args.record, telling.form);
    }
    let answer = who::ask(&target.question).map_err(Failure::usage)?;
    let consent = if args.yes { end::Consent::Given } else { end::Consent::Asked };
    match flows {
        Some(flows) => end::close(&target, &answer, &flows, telling),
        None if args.stop && !answer.is_free() => end::stop(&target, &answer, patience, consent, telling),
        None => tell(&target, &answer, telling),
    }
}

/// Tells who holds it.
fn tell(target: &Target, answer: &Answer, telling: Telling) -> Result<ExitCode, Failure> {
    let services = Registered::default();
    let view = View { rows: &answer.rows, services: &services };
    let mut out = BufWriter::new(io::stdout().lock());
    let now = SystemTime::now();
    let written = match telling.form {
        Form::Json => json::write(&mut out, target, answer, view, now).map(|()| None),
        Form::Text => text::write(&mut out, target, answer, view, telling, now),
    };
    let written = written.and_then(|hint| out.flush().map(|()| hint));
    drop(out);
    match written {
        Ok(hint) => hint.iter().for_each(|hint| note(hint)),
        Err(error) => return exit::written(Err(error)),
    }
    // Whose processes are hidden matters where one of them is missing.
    let is_hidden =
        |row: &wharf_table::rows::Row| row.ownerless == Some(wharf_table::rows::Ownerless::Hidden);
    if answer.at(&answer.holders).any(is_hidden) {
        answer.rows.hidden.iter().for_each(|what| note(&format!("not shown: {what}")));
    }
    Ok(ExitCode::from(if answer.is_free() { FREE } else { 0 }))
}
