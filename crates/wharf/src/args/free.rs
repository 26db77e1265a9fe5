//! `wharf free`.

use std::ffi::OsString;

use super::HELP;

const FREE_EXAMPLES: &str = "\
Examples:
  wharf free --near 8080             one port, 8080 itself where it is free
  wharf free 3 --consecutive --udp   three in a row, for UDP
  wharf free --hold -- ./server      handed over as an open socket, fd 3";

/// The options of `wharf free`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = FREE_EXAMPLES,
    help_template = HELP,
    override_usage = "wharf free [OPTIONS] [N] [--hold -- COMMAND...]",
    args_override_self = true
)]
pub(crate) struct FreeArgs {
    /// As near to this port as can be [a random place]
    #[arg(long, value_name = "PORT")]
    pub(crate) near: Option<String>,

    /// Among these: 8000-8999, 80,443 [1024-65535]
    #[arg(long, value_name = "PORTS")]
    pub(crate) range: Option<String>,

    /// Free for UDP, not for TCP
    #[arg(long)]
    pub(crate) udp: bool,

    /// Free for TCP; with --udp for both
    #[arg(long)]
    pub(crate) tcp: bool,

    /// One after the other
    #[arg(long)]
    pub(crate) consecutive: bool,

    /// Only those that are nobody's in the registry
    #[arg(long)]
    pub(crate) unassigned: bool,

    /// Those that the kernel gives to clients, too
    #[arg(long)]
    pub(crate) ephemeral: bool,

    /// Keep them until Ctrl-C, or for the COMMAND (LISTEN_FDS)
    #[arg(long)]
    pub(crate) hold: bool,

    /// Hold them at this address [all of IPv4 and IPv6]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) on: Option<String>,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[arg(value_name = "N", hide = true)]
    pub(crate) count: Option<String>,

    #[arg(last = true, value_name = "COMMAND", hide = true)]
    pub(crate) command: Vec<OsString>,
}
