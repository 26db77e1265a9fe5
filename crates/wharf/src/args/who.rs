//! `wharf who`.

use std::path::PathBuf;

use super::DENSE_HELP;
use crate::render::screen::ColourChoice;

const WHO_EXAMPLES: &str = "\
Examples:
  wharf who 8080                  who holds it, since when, who is connected
  wharf who udp/53 --json         the same of one protocol, as JSON
  wharf who '[::1]:8080' --stop   asks who holds it to end";

/// The options of `wharf who`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = WHO_EXAMPLES,
    help_template = DENSE_HELP,
    override_usage = "wharf who [OPTIONS] PORT   (8080, http, udp/53, 127.0.0.1:8080)",
    args_override_self = true
)]
pub(crate) struct WhoArgs {
    /// In this network: host, a run's name, pid:N
    #[arg(long, value_name = "NETWORK")]
    pub(crate) r#in: Option<String>,

    /// Every connection and every worker
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// Ask the processes to end (SIGTERM), then kill them
    #[arg(long, conflicts_with = "close")]
    pub(crate) stop: bool,

    /// How long they may take [5s]
    #[arg(long, value_name = "TIME", requires = "stop")]
    pub(crate) after: Option<String>,

    /// Who held it then: 10:31, yesterday 10:31, 5m ago
    #[arg(long, value_name = "TIME", conflicts_with_all = ["stop", "close", "verbose"])]
    pub(crate) at: Option<String>,

    /// Out of this record of `wharf watch` (docs/history.md)
    #[arg(long, value_name = "FILE", requires = "at")]
    pub(crate) record: Option<PathBuf>,

    /// Don't ask me first
    #[arg(short, long)]
    pub(crate) yes: bool,

    /// Close the connection with 10.0.0.7:51234 say, or all
    #[arg(long, value_name = "FLOW")]
    pub(crate) close: Option<String>,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Colours: auto, always or never [auto]
    #[arg(long, value_name = "WHEN", value_enum, hide_possible_values = true)]
    pub(crate) color: Option<ColourChoice>,

    /// Cut nothing to fit the terminal
    #[arg(long)]
    pub(crate) wide: bool,

    /// A local port
    #[arg(value_name = "PORT", hide = true)]
    pub(crate) port: String,
}
