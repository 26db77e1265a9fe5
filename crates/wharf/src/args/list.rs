//! `wharf list`.

use clap::ArgAction;

use super::DENSE_HELP;
use crate::render::screen::ColourChoice;

const LIST_EXAMPLES: &str = "\
Examples:
  wharf list tcp listening                who listens
  wharf list user www-data to 10.0.0.0/8  who of www-data is connected there
  wharf list --watch --sort -age 8080     what comes and goes at port 8080";

/// The options of `wharf list`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = LIST_EXAMPLES,
    help_template = DENSE_HELP,
    override_usage = "wharf list [OPTIONS] [SELECTOR...]   (docs/selectors.md has the words)",
    args_override_self = true
)]
pub(crate) struct ListArgs {
    /// In this network only: host, a run's name, pid:N
    #[arg(long, value_name = "NETWORK", action = ArgAction::Append)]
    pub(crate) r#in: Vec<String>,

    /// By these columns: -age,local (- turns one round)
    #[arg(long, value_name = "NAMES", allow_hyphen_values = true)]
    pub(crate) sort: Option<String>,

    /// These columns (a wrong one lists all)
    #[arg(long, value_name = "NAMES")]
    pub(crate) columns: Option<String>,

    /// Below each: queues, bytes, round trips, losses
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// Don't look for who holds them: quicker
    #[arg(long)]
    pub(crate) no_owners: bool,

    /// Go on, and mark what is new +, changed ~, gone - [1]
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "1")]
    pub(crate) watch: Option<String>,

    /// As JSON; with --watch a change a line
    #[arg(long, conflicts_with = "csv")]
    pub(crate) json: bool,

    /// As comma-separated values
    #[arg(long, conflicts_with = "watch")]
    pub(crate) csv: bool,

    /// Colours: auto, always or never [auto]
    #[arg(long, value_name = "WHEN", value_enum, hide_possible_values = true)]
    pub(crate) color: Option<ColourChoice>,

    /// Cut nothing to fit the terminal
    #[arg(long)]
    pub(crate) wide: bool,

    /// Words that say which endpoints are meant
    #[arg(value_name = "SELECTOR", hide = true)]
    pub(crate) selector: Vec<String>,
}
