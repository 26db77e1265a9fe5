//! `wharf port`.

use std::path::PathBuf;

use super::HELP;

const PORT_EXAMPLES: &str = "\
Examples:
  wharf port 5223                 what it is registered as, and used for
  wharf port https tcp/8000-8010  names, ranges, lists, one protocol
  wharf port multicast dns        words of what the registry says";

/// The options of `wharf port`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = PORT_EXAMPLES,
    help_template = HELP,
    override_usage = "wharf port [OPTIONS] QUERY...",
    args_override_self = true
)]
pub(crate) struct PortArgs {
    /// The bits of each port: network byte order, swapped
    #[arg(long)]
    pub(crate) bits: bool,

    /// A newer registry: IANA's XML or CSV
    #[arg(long, value_name = "FILE")]
    pub(crate) registry: Option<PathBuf>,

    /// As JSON, a port a line
    #[arg(long, conflicts_with = "bits")]
    pub(crate) json: bool,

    #[arg(required = true, value_name = "QUERY", hide = true)]
    pub(crate) query: Vec<String>,
}
