//! `wharf policy`.

use std::path::PathBuf;

use super::HELP;
use crate::render::screen::ColourChoice;

const POLICY_EXAMPLES: &str = "\
Examples:
  wharf policy web                its rules, and how often each was used
  wharf policy web policy.toml    other rules, at once; flows they deny end
  wharf policy web --json         the same for programs";

/// The options of `wharf policy`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = POLICY_EXAMPLES,
    help_template = HELP,
    override_usage = "wharf policy [OPTIONS] RUN [FILE]   (docs/policy.md)",
    args_override_self = true
)]
pub(crate) struct PolicyArgs {
    /// Only rules that were used
    #[arg(long)]
    pub(crate) hits: bool,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Colours: auto, always or never [auto]
    #[arg(long, value_name = "WHEN", value_enum, hide_possible_values = true)]
    pub(crate) color: Option<ColourChoice>,

    /// Cut nothing to fit the terminal
    #[arg(long)]
    pub(crate) wide: bool,

    /// The run, by name or by the process of its wharf
    #[arg(value_name = "RUN", hide = true)]
    pub(crate) run: String,

    /// Rules that come into force
    #[arg(value_name = "FILE", hide = true)]
    pub(crate) file: Option<PathBuf>,
}
