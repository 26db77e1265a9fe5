//! `wharf run`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, ArgMatches};
use wharf_table::policy::Action;

use super::DENSE_HELP;

const RUN_EXAMPLES: &str = "\
Examples:
  wharf run -p 8080:80 -- python3 -m http.server 80   port 80 inside, 8080 here
  wharf run curl -v http://example.org/               out into the world
  wharf run --allow example.org:443 -- ./build        one name, and no other";

/// The options of `wharf run`.
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

    /// Whom it may reach: example.org:443, *.a.b, lan, any
    #[arg(long, value_name = "TARGET", action = ArgAction::Append)]
    pub(crate) allow: Vec<String>,

    /// Whom not; the first rule that fits decides
    #[arg(long, value_name = "TARGET", action = ArgAction::Append)]
    pub(crate) deny: Vec<String>,

    /// Rules and reasons from a file (docs/policy.md)
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,

    /// allow or deny the rest [deny behind an --allow]
    #[arg(long, value_name = "WORD")]
    pub(crate) default: Option<String>,

    /// Let all through, tell what would be denied
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Let all through, write down what it used
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub(crate) learn: Option<PathBuf>,

    /// What a denial is inside: refused, prohibited or silent [prohibited]
    #[arg(long, value_name = "HOW", hide = true)]
    pub(crate) denied: Option<String>,

    /// Whose clients published ports take: a network
    #[arg(long, value_name = "CIDR", action = ArgAction::Append, hide = true)]
    pub(crate) publish_from: Vec<String>,

    /// Rules as they were typed, by their place on the command line.
    #[arg(skip)]
    pub(crate) order: Vec<(usize, Action)>,

    /// A port of the host's loopback that it may reach
    #[arg(long, value_name = "PORT", action = ArgAction::Append)]
    pub(crate) allow_host: Vec<String>,

    /// Its address [10.0.2.100/24, a random /64 of IPv6]
    #[arg(long, value_name = "CIDR", action = ArgAction::Append)]
    pub(crate) address: Vec<String>,

    /// The gateway's address there [10.0.2.2, ::2]
    #[arg(long, value_name = "ADDR", action = ArgAction::Append, hide = true)]
    pub(crate) gateway: Vec<String>,

    /// The name server's address there [10.0.2.3, ::3]
    #[arg(long, value_name = "ADDR", action = ArgAction::Append)]
    pub(crate) dns: Vec<String>,

    /// The largest packet of its link, in bytes [1500]
    #[arg(long, value_name = "N")]
    pub(crate) mtu: Option<String>,

    /// What may wait in a flow, each way: 256K to 64M [1M]
    #[arg(long, value_name = "SIZE", hide = true)]
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
    #[arg(long, value_name = "KIND", hide = true)]
    pub(crate) device: Option<String>,

    /// Frames no larger than the MTU, with their checksums
    #[arg(long, hide = true)]
    pub(crate) no_offload: bool,

    /// Its queues, each with a loop [half the processors]
    #[arg(long, value_name = "N", hide = true)]
    pub(crate) queues: Option<String>,
    /// Published ports over its link only, as frames
    #[arg(long, hide = true)]
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

impl RunArgs {
    /// Notes the order in which rules were typed, which each option's own list has lost.
    pub(crate) fn note_order(&mut self, matches: &ArgMatches) {
        let places = |option: &str, action| {
            let indices = matches.indices_of(option).into_iter().flatten();
            indices.map(move |index| (index, action)).collect::<Vec<_>>()
        };
        self.order = places("allow", Action::Allow);
        self.order.extend(places("deny", Action::Deny));
        self.order.sort_by_key(|&(index, _)| index);
    }
}
