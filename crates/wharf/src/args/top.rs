//! `wharf top`.

use clap::ArgAction;

use super::HELP;

const TOP_EXAMPLES: &str = "\
Examples:
  wharf top                      ports with their talkers, busiest first
  wharf top --sort change        where something came or went last
  wharf top tcp user www-data    of what www-data holds";

/// The options of `wharf top`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = TOP_EXAMPLES,
    help_template = HELP,
    override_usage = "wharf top [OPTIONS] [SELECTOR...]   (docs/selectors.md has the words)",
    args_override_self = true
)]
pub(crate) struct TopArgs {
    /// By traffic, change, port or connections [traffic]
    #[arg(long, value_name = "ORDER")]
    pub(crate) sort: Option<String>,

    /// How often everything is looked at [1s]
    #[arg(long, value_name = "TIME")]
    pub(crate) every: Option<String>,

    /// In this network only: host, a run, a namespace, pid:N
    #[arg(long, value_name = "NETWORK", action = ArgAction::Append)]
    pub(crate) r#in: Vec<String>,

    /// Words that say which endpoints are meant
    #[arg(value_name = "SELECTOR", hide = true)]
    pub(crate) selector: Vec<String>,
}
