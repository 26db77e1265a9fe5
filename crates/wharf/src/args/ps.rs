//! `wharf ps`.

use super::HELP;
use crate::render::screen::ColourChoice;

const PS_EXAMPLES: &str = "\
Examples:
  wharf ps               the runs that are there: of this user, for root of all
  wharf ps web           one of them
  wharf ps --json        all that they tell of themselves";

/// The options of `wharf ps`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = PS_EXAMPLES,
    help_template = HELP,
    override_usage = "wharf ps [OPTIONS] [RUN...]",
    args_override_self = true
)]
pub(crate) struct PsArgs {
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Colours: auto, always or never [auto]
    #[arg(long, value_name = "WHEN", value_enum, hide_possible_values = true)]
    pub(crate) color: Option<ColourChoice>,

    /// Cut nothing to fit the terminal
    #[arg(long)]
    pub(crate) wide: bool,

    /// Runs, by name or by the process of their wharf
    #[arg(value_name = "RUN", hide = true)]
    pub(crate) runs: Vec<String>,
}
