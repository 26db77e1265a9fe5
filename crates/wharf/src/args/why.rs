//! `wharf why`.

use super::HELP;
use crate::render::screen::ColourChoice;

const WHY_EXAMPLES: &str = "\
Examples:
  wharf why http://localhost:8080/         why it fails, and what helps
  wharf why tcp/db.example:5432 --in web   as the run web would reach it
  wharf why --bind 0.0.0.0:8080            who holds it, and what would free it";

/// The options of `wharf why`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = WHY_EXAMPLES,
    help_template = HELP,
    override_usage = "wharf why [OPTIONS] [PROTOCOL/]ENDPOINT|URL|PID",
    args_override_self = true
)]
pub(crate) struct WhyArgs {
    /// Ask from there: a run, a network, pid:N, a path
    #[arg(long, value_name = "RUN|NETNS")]
    pub(crate) r#in: Option<String>,

    /// Ask from this address
    #[arg(long, value_name = "ADDRESS", conflicts_with = "bind")]
    pub(crate) from: Option<String>,

    /// Whether it can be bound, and if not, who holds it
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "target")]
    pub(crate) bind: Option<String>,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Colours: auto, always or never [auto]
    #[arg(long, value_name = "WHEN", value_enum, hide_possible_values = true)]
    pub(crate) color: Option<ColourChoice>,

    /// What is to be reached
    #[arg(value_name = "TARGET", hide = true)]
    pub(crate) target: Option<String>,
}
