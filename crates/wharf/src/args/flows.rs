//! `wharf flows`.

use clap::ArgAction;

use super::HELP;
use crate::render::screen::ColourChoice;

const FLOWS_EXAMPLES: &str = "\
Examples:
  wharf flows                       what all runs of yours have open
  wharf flows web tcp port 443      of one run, what a selector picks
  wharf flows --watch --in web      what comes and goes there";

/// The options of `wharf flows`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = FLOWS_EXAMPLES,
    help_template = HELP,
    override_usage = "wharf flows [OPTIONS] [RUN [SELECTOR...]]   (wharf ps lists the runs)",
    args_override_self = true
)]
pub(crate) struct FlowsArgs {
    /// In this run: its name, or the process of its wharf
    #[arg(long, value_name = "RUN", action = ArgAction::Append)]
    pub(crate) r#in: Vec<String>,

    /// Go on, and mark what is new +, changed ~, gone - [1]
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "1")]
    pub(crate) watch: Option<String>,

    /// As JSON; with --watch a change a line
    #[arg(long)]
    pub(crate) json: bool,

    /// Colours: auto, always or never [auto]
    #[arg(long, value_name = "WHEN", value_enum, hide_possible_values = true)]
    pub(crate) color: Option<ColourChoice>,

    /// Cut nothing to fit the terminal
    #[arg(long)]
    pub(crate) wide: bool,

    /// A run, and words that say which of its flows are meant
    #[arg(value_name = "RUN", hide = true)]
    pub(crate) words: Vec<String>,
}
