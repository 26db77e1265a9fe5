//! `wharf watch`.

use std::path::PathBuf;

use clap::ArgAction;

use super::HELP;

const WATCH_EXAMPLES: &str = "\
Examples:
  wharf watch tcp listening            listeners that come and go
  wharf watch --record                 remember, for wharf who 8080 --at 10:31
  wharf watch --json --for 1m exposed  as JSON, for a minute";

/// The options of `wharf watch`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = WATCH_EXAMPLES,
    help_template = HELP,
    override_usage = "wharf watch [OPTIONS] [SELECTOR...]   (docs/selectors.md has the words)",
    args_override_self = true
)]
pub(crate) struct WatchArgs {
    /// Keep it in FILE [~/.local/state/wharf/history.db]
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    pub(crate) record: Option<Option<PathBuf>>,

    /// Tell it as JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,

    /// End after this time: 10s, 5m
    #[arg(long, value_name = "TIME")]
    pub(crate) r#for: Option<String>,

    /// How often everything is looked at [1s]
    #[arg(long, value_name = "TIME")]
    pub(crate) every: Option<String>,

    /// In this network only: host, a run, a namespace, pid:N
    #[arg(long, value_name = "NETWORK", action = ArgAction::Append)]
    pub(crate) r#in: Vec<String>,

    /// Don't say what may be missed, nor when it ends
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Words that say which endpoints are meant
    #[arg(value_name = "SELECTOR", hide = true)]
    pub(crate) selector: Vec<String>,
}
