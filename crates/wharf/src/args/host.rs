//! `wharf host`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ArgAction;

use super::HELP;

const HOST_EXAMPLES: &str = "\
Examples:
  wharf host --address 10.8.0.2/24 --socket h.sock -- bash
  wharf host --address 10.8.0.2/24 --tap w0 --peer 10.8.0.1/24
  wharf host --address fd00:8::2/64 --tun t0 --netns lab --clock virtual";

/// The options of `wharf host`.
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
