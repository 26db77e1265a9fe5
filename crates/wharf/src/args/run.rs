//! `wharf run`.

use std::ffi::OsString;

use clap::ArgAction;

use super::DENSE_HELP;

const RUN_EXAMPLES: &str = "\
Examples:
  wharf run -p 8080:80 -- python3 -m http.server 80   port 80 inside, 8080 here
  wharf run curl -v http://example.org/               out into the world
  wharf run --link delay=20ms,loss=1% -- ./test       over a bad line";

/// The options of `wharf run`.
#[allow(
    rustdoc::broken_intra_doc_links,
    reason = "in the text of the help brackets mean what may be left out"
)]
#[derive(Debug, clap::Args)]
#[command(
    before_help = RUN_EXAMPLES,
    help_template = DENSE_HELP,
    disable_help_flag = true,
    override_usage = "wharf run [OPTIONS] [--] [COMMAND...]   (your shell without a COMMAND)",
    args_override_self = true
)]
pub(crate) struct RunArgs {
    /// [ADDRESS:]HOSTPORT[-END]:PORT[-END][/tcp|/udp]
    #[arg(short, long, value_name = "SPEC", action = ArgAction::Append)]
    pub(crate) publish: Vec<String>,

    /// A port of the host's loopback that it may reach
    #[arg(long, value_name = "PORT", action = ArgAction::Append)]
    pub(crate) allow_host: Vec<String>,

    /// Its address [10.0.2.100/24, a random /64 of IPv6]
    #[arg(long, value_name = "CIDR", action = ArgAction::Append)]
    pub(crate) address: Vec<String>,

    /// The gateway's address there [10.0.2.2, ::2]
    #[arg(long, value_name = "ADDR", action = ArgAction::Append)]
    pub(crate) gateway: Vec<String>,

    /// The name server's address there [10.0.2.3, ::3]
    #[arg(long, value_name = "ADDR", action = ArgAction::Append)]
    pub(crate) dns: Vec<String>,

    /// The largest packet of its link, in bytes [1500]
    #[arg(long, value_name = "N")]
    pub(crate) mtu: Option<String>,

    /// What may wait in a flow, each way: 256K to 64M [1M]
    #[arg(long, value_name = "SIZE")]
    pub(crate) buffer: Option<String>,

    /// No IPv6
    #[arg(long, conflicts_with = "ipv6_only")]
    pub(crate) ipv4_only: bool,

    /// No IPv4
    #[arg(long)]
    pub(crate) ipv6_only: bool,

    /// The run's name: NAME.wharf.internal inside
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// A bad line: delay=2ms,loss=1% (a wrong one tells)
    #[arg(long, value_name = "SPEC")]
    pub(crate) link: Option<String>,

    /// Be root inside
    #[arg(long)]
    pub(crate) root: bool,

    /// The link: auto, tap or packet [auto]
    #[arg(long, value_name = "KIND")]
    pub(crate) device: Option<String>,

    /// Frames no larger than the MTU, with their checksums
    #[arg(long)]
    pub(crate) no_offload: bool,

    /// Its queues, each with a loop [half the processors]
    #[arg(long, value_name = "N")]
    pub(crate) queues: Option<String>,
    /// Published ports over its link only, as frames
    #[arg(long)]
    pub(crate) no_splice: bool,

    /// Tell on standard error what happens
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// Tell it as JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,

    /// Who reads this knows it: the screen has no line for it.
    #[arg(short, long, action = ArgAction::Help, hide = true)]
    pub(crate) help: Option<bool>,

    #[arg(trailing_var_arg = true, value_name = "COMMAND", hide = true)]
    pub(crate) command: Vec<OsString>,
}
