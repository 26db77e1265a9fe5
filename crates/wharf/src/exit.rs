//! How wharf ends: its exit codes, and errors as one line on standard error.
//!
//! `wharf: WHAT was tried on WHAT: why (what to do)`. The kernel's number of an error means nothing to a reader and is left
//! out. A reader who went away (a closed pipe) is no error.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::CommandFactory;
use clap::error::ErrorKind;

use crate::args::Args;

/// Wrong usage, or a failed system call.
pub(crate) const USAGE: u8 = 2;

/// Why wharf ends otherwise than its work, and with which code.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    /// Ends with `code` and says why.
    pub(crate) fn new(code: u8, why: impl Display) -> Failure {
        Failure { code, text: why.to_string() }
    }

    /// Ends as after something that was typed wrongly.
    pub(crate) fn usage(why: impl Display) -> Failure {
        Failure::new(USAGE, why)
    }

    /// Says it, and gives the code to end with.
    pub(crate) fn report(&self) -> ExitCode {
        // Nobody is left to tell when standard error is gone.
        let _ = writeln!(io::stderr(), "wharf: {}", without_numbers(&self.text));
        ExitCode::from(self.code)
    }
}

/// Ends after arguments that the parser does not take, or that only ask for help.
///
/// # Errors
/// [`Failure`] for what was typed wrongly.
pub(crate) fn usage(error: &clap::Error) -> Result<ExitCode, Failure> {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => print(&error.render().to_string()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Err(Failure::usage("a verb is missing (wharf run COMMAND runs a program; wharf --help has more)"))
        }
        _ => {
            // The first word is the verb, as wharf has no options of its own that take a value.
            let typed = std::env::args_os().nth(1);
            let verbs = Args::command();
            let verb = verbs
                .get_subcommands()
                .find(|verb| typed.as_deref().is_some_and(|word| word == verb.get_name()));
            let help = verb
                .map_or_else(|| "wharf --help".into(), |verb| format!("wharf {} --help", verb.get_name()));
            Err(Failure::usage(one_line(&error.render().to_string(), &help)))
        }
    }
}

/// Prints what was asked for.
fn print(text: &str) -> Result<ExitCode, Failure> {
    let mut out = io::stdout().lock();
    written(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// Ends after something was written to standard output.
///
/// # Errors
/// [`Failure`] when it can't be written to. That its reader is gone is none.
pub(crate) fn written(result: io::Result<()>) -> Result<ExitCode, Failure> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::usage(format!("write to standard output: {error}")))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// The parser's report as one line: what is wrong, and its tip.
fn one_line(report: &str, help: &str) -> String {
    let mut parts = report.split("\n\n");
    let what = parts.next().unwrap_or_default();
    let what = what.strip_prefix("error: ").unwrap_or(what).split_whitespace().collect::<Vec<_>>().join(" ");
    let tip = report.lines().find_map(|line| line.trim_start().strip_prefix("tip: "));
    match tip {
        Some(tip) => format!("{what} ({tip}; {help} lists all)"),
        None => format!("{what} ({help} lists all)"),
    }
}

/// The text without `(os error 13)`.
fn without_numbers(text: &str) -> String {
    let mut rest = text;
    let mut plain = String::with_capacity(text.len());
    while let Some((before, after)) = rest.split_once(" (os error ") {
        plain.push_str(before);
        rest = after.split_once(')').map_or("", |(_, after)| after);
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_errors_are_left_out() {
        let text = "open /dev/net/tun: Permission denied (os error 13) (use --device packet)";
        assert_eq!(without_numbers(text), "open /dev/net/tun: Permission denied (use --device packet)");
        assert_eq!(without_numbers("plain (words)"), "plain (words)");
        assert_eq!(without_numbers("a: b (os error 2)"), "a: b");
    }
}
