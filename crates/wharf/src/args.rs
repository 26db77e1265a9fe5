//! What can be typed: one definition for the parser, the help and whatever is made from them.
//!
//! Values stay text here. The verbs read them with the notations of `wharf_table`, whose errors quote the offending part.

#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "in the text of the help brackets mean what may be left out"
)]

mod flows;
mod free;
mod host;
mod list;
mod policy;
mod port;
mod ps;
mod run;
#[cfg(feature = "tui")]
mod top;
mod watch;
mod who;
mod why;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub(crate) use self::flows::FlowsArgs;
pub(crate) use self::free::FreeArgs;
pub(crate) use self::host::HostArgs;
pub(crate) use self::list::ListArgs;
pub(crate) use self::policy::PolicyArgs;
pub(crate) use self::port::PortArgs;
pub(crate) use self::ps::PsArgs;
pub(crate) use self::run::RunArgs;
#[cfg(feature = "tui")]
pub(crate) use self::top::TopArgs;
pub(crate) use self::watch::WatchArgs;
pub(crate) use self::who::WhoArgs;
pub(crate) use self::why::WhyArgs;

const HELP: &str = "\
{before-help}Usage: {usage}

{options}";

/// The same for a verb whose options fill the screen.
const DENSE_HELP: &str = "\
{before-help}Usage: {usage}
{options}";

const VERBS_HELP: &str = "\
{about}

{before-help}Usage: {usage}

{subcommands}

{options}";

const VERBS_EXAMPLES: &str = "\
Examples:
  wharf run -p 8080:80 -- python3 -m http.server 80
  wharf run curl http://example.org/
  wharf run --help";

/// The port layer in one program.
#[derive(Debug, Parser)]
#[command(
    name = "wharf",
    version,
    about = "The port layer in one program",
    before_help = VERBS_EXAMPLES,
    help_template = VERBS_HELP,
    disable_help_subcommand = true,
    subcommand_help_heading = "Verbs",
    subcommand_value_name = "VERB"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What wharf is asked to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run a program in a network of its own
    Run(RunArgs),

    /// Run a host of wharf's own stack, driven by JSON lines
    Host(HostArgs),

    /// Tell what a port is registered as, and where a name leads
    Port(PortArgs),

    /// Find ports that are free now, and hold them
    Free(FreeArgs),

    /// Show the endpoints of this host and who holds them
    #[command(visible_alias = "ls")]
    List(ListArgs),

    /// Tell who holds a local port, or end that
    Who(WhoArgs),

    /// Show the flows of runs: both ends inside and outside, names, owners
    Flows(FlowsArgs),

    /// List the runs that are there
    Ps(PsArgs),

    /// Explain why something can't be reached or bound, and what helps
    Why(WhyArgs),
    /// The rules of a run, or other ones for it
    Policy(PolicyArgs),

    /// Tell what happens to endpoints as it happens, and record it
    Watch(WatchArgs),

    /// Show ports with their talkers on a page, busiest first
    #[cfg(feature = "tui")]
    Top(TopArgs),
}

impl Args {
    /// Reads what was typed.
    ///
    /// # Errors
    /// What the parser does not take, or a wish for help.
    pub(crate) fn read() -> Result<Args, clap::Error> {
        let mut command = Args::command();
        let matches = command.clone().try_get_matches()?;
        let mut args = Args::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        if let (Verb::Run(run), Some((_, matches))) = (&mut args.verb, matches.subcommand()) {
            run.note_order(matches);
        }
        Ok(args)
    }
}
