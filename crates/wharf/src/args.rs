//! What can be typed: one definition for the parser, the help and whatever is made from them.
//!
//! Values stay text here. The verbs read them with the notations of `wharf_table`, whose errors quote the offending part.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand};

const HELP: &str = "\
{before-help}Usage: {usage}

{options}";

/// The same for a verb whose options fill the screen.
const DENSE_HELP: &str = "\
{before-help}Usage: {usage}
{options}";

const VERBS_HELP: &str = "\
{about}

{before-help}Usage: {usage}

{subcommands}

{options}";

const VERBS_EXAMPLES: &str = "\
Examples:
  wharf run -p 8080:80 -- python3 -m http.server 80
  wharf run curl http://example.org/
  wharf run --help";

const RUN_EXAMPLES: &str = "\
Examples:
  wharf run -p 8080:80 -- python3 -m http.server 80   port 80 inside, 8080 here
  wharf run curl -v http://example.org/               out into the world
  wharf run --link delay=20ms,loss=1% -- ./test       over a bad line";

const HOST_EXAMPLES: &str = "\
Examples:
  wharf host --address 10.8.0.2/24 --socket h.sock -- bash
  wharf host --address 10.8.0.2/24 --tap w0 --peer 10.8.0.1/24
  wharf host --address fd00:8::2/64 --tun t0 --netns lab --clock virtual";

/// The port layer in one program.
#[derive(Debug, Parser)]
#[command(
    name = "wharf",
    version,
    about = "The port layer in one program",
    before_help = VERBS_EXAMPLES,
    help_template = VERBS_HELP,
    disable_help_subcommand = true,
    subcommand_help_heading = "Verbs",
    subcommand_value_name = "VERB"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What wharf is asked to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run a program in a network of its own
    Run(RunArgs),

    /// Run a host of wharf's own stack, driven by JSON lines
    Host(HostArgs),
}

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

/// The options of `wharf host`.
#[allow(
    rustdoc::broken_intra_doc_links,
    reason = "in the text of the help brackets mean what may be left out"
)]
#[derive(Debug, clap::Args)]
#[command(
    before_help = HOST_EXAMPLES,
    help_template = HELP,
    override_usage = "wharf host --address CIDR [OPTIONS] [-- COMMAND...]   (docs/host.md)",
    args_override_self = true
)]
pub(crate) struct HostArgs {
    /// The host's address and network
    #[arg(long, value_name = "CIDR", action = ArgAction::Append)]
    pub(crate) address: Vec<String>,

    /// Its gateway, for what lies beyond
    #[arg(long, value_name = "ADDR", action = ArgAction::Append)]
    pub(crate) gateway: Vec<String>,

    /// Its link: an Ethernet interface [wharf0]
    #[arg(long, value_name = "NAME", conflicts_with = "tun")]
    pub(crate) tap: Option<String>,

    /// Its link: an interface of IP packets
    #[arg(long, value_name = "NAME")]
    pub(crate) tun: Option<String>,

    /// In this network namespace: a name or a path
    #[arg(long, value_name = "NAME")]
    pub(crate) netns: Option<String>,

    /// The kernel's address on the link
    #[arg(long, value_name = "CIDR", action = ArgAction::Append)]
    pub(crate) peer: Vec<String>,

    /// The largest packet of the link [1500]
    #[arg(long, value_name = "N")]
    pub(crate) mtu: Option<String>,

    /// Requests come from a UNIX socket as well
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,

    /// real, or virtual: time is told to move
    #[arg(long, value_name = "KIND")]
    pub(crate) clock: Option<String>,

    /// Frames no larger than the MTU
    #[arg(long)]
    pub(crate) no_offload: bool,

    /// Chosen ports: A-B, linux or iana [iana]
    #[arg(long, value_name = "RANGE")]
    pub(crate) ports: Option<String>,

    /// How they are: 1 to 5, of RFC 6056 [4]
    #[arg(long, value_name = "N")]
    pub(crate) algorithm: Option<String>,

    /// Ports that are never chosen: 443,8000-8999
    #[arg(long, value_name = "PORTS", action = ArgAction::Append)]
    pub(crate) reserve: Vec<String>,

    /// Ports below need a right [1024]
    #[arg(long, value_name = "PORT")]
    pub(crate) privileged_below: Option<String>,

    /// Whose sockets are [0, who has that right]
    #[arg(long, value_name = "N")]
    pub(crate) uid: Option<String>,

    /// Of its TCP: ecn=active (a wrong one lists all)
    #[arg(long, value_name = "SETTING", action = ArgAction::Append)]
    pub(crate) setting: Vec<String>,

    #[arg(last = true, value_name = "COMMAND", hide = true)]
    pub(crate) command: Vec<OsString>,
}
