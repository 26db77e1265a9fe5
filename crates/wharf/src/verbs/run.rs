//! `wharf run`: a program in a network of its own.

use std::process::ExitCode;

use wharf_host::run;
use wharf_host::run::config::{
    Denial, Families, GuardConfig, Impairment, LinkChoice, Mode, Offload, PastLink, PolicyFile, QUEUES_MAX,
    RootMap, Style, Typed, Verbosity,
};
use wharf_host::run::spawn::ProgramExit;
use wharf_table::notation::{Cidr, PortSpec, PublishSpec, Services};
use wharf_table::policy::{Action, Rule, Rules, Target};

use super::read::{address, each, mtu, one, size};
use crate::args::RunArgs;
use crate::exit::Failure;
use crate::services::LocalServices;

/// What a shell adds to the number of a signal.
const BY_SIGNAL: i32 = 128;

/// Runs the program to its end, and ends as it did.
///
/// # Errors
/// [`Failure`]: 2 for wrong usage, 127 for a command that is not there, 126 for one that can't be run, 125 for all else.
pub(crate) fn run(args: RunArgs) -> Result<ExitCode, Failure> {
    let typed = read(args)?;
    let config = typed.lower_here().map_err(|error| Failure::new(error.exit_code(), error))?;
    let code = match run::run(&config).map_err(|error| Failure::new(error.exit_code(), error))? {
        ProgramExit::Code(code) => code,
        ProgramExit::Signal(number) => u8::try_from(BY_SIGNAL + number).unwrap_or(u8::MAX),
    };
    Ok(ExitCode::from(code))
}

/// Reads the text of every option.
fn read(args: RunArgs) -> Result<Typed, Failure> {
    let local = LocalServices::default();
    let services = |name: &str, protocol| local.port(name, protocol);
    let guard = guard(&args, &services)?;
    Ok(Typed {
        publish: each("-p", &args.publish, |text| PublishSpec::parse(text, &services))?,
        allow_host: each("--allow-host", &args.allow_host, |text| PortSpec::parse(text, &services))?,
        addresses: each("--address", &args.address, str::parse::<Cidr>)?,
        gateways: each("--gateway", &args.gateway, address)?,
        dns: each("--dns", &args.dns, address)?,
        mtu: one("--mtu", args.mtu.as_deref(), mtu)?,
        buffer: one("--buffer", args.buffer.as_deref(), size)?,
        families: match (args.ipv4_only, args.ipv6_only) {
            (true, _) => Families::V4Only,
            (_, true) => Families::V6Only,
            _ => Families::Both,
        },
        guard,
        publish_from: each("--publish-from", &args.publish_from, str::parse::<Cidr>)?,
        learn: args.learn,
        name: args.name,
        link: one("--link", args.link.as_deref(), Impairment::parse)?,
        root: args.root.then_some(RootMap::Root),
        device: one("--device", args.device.as_deref(), device)?,
        offload: args.no_offload.then_some(Offload::None),
        queues: one("--queues", args.queues.as_deref(), queues)?,
        past_link: if args.no_splice { PastLink::Forbidden } else { PastLink::Allowed },
        verbosity: if args.verbose { Verbosity::Verbose } else { Verbosity::Silent },
        style: if args.json { Style::Json } else { Style::Text },
        command: args.command,
    })
}

/// Who may talk to whom: what was typed first, then the file.
fn guard(args: &RunArgs, services: Services<'_>) -> Result<GuardConfig, Failure> {
    let (mut allow, mut deny) = (args.allow.iter(), args.deny.iter());
    let mut rules = Vec::new();
    for &(_, action) in &args.order {
        let (option, typed) = match action {
            Action::Allow => ("--allow", allow.next()),
            Action::Deny => ("--deny", deny.next()),
        };
        let target = one(option, typed.map(String::as_str), |text| Target::parse(text, services))?;
        rules.extend(target.map(|target| Rule::new(action, target)));
    }
    let file = match &args.policy {
        Some(path) => {
            PolicyFile::read(path, services).map_err(|why| Failure::usage(format_args!("--policy {why}")))?
        }
        None => PolicyFile::default(),
    };
    rules.extend(file.rules);
    let allows = rules.iter().any(|rule| rule.action == Action::Allow);
    let default = one("--default", args.default.as_deref(), action)?.or(file.default);
    let default = default.unwrap_or(if allows { Action::Deny } else { Action::Allow });
    let denial = one("--denied", args.denied.as_deref(), denial)?.or(file.denied).unwrap_or_default();
    let mode = match (args.dry_run, &args.learn) {
        (true, _) => Mode::DryRun,
        (_, Some(_)) => Mode::Learn,
        _ => Mode::Enforce,
    };
    Ok(GuardConfig { rules: Rules::new(rules, default), mode, denial })
}

fn action(text: &str) -> Result<Action, String> {
    match text {
        "allow" => Ok(Action::Allow),
        "deny" => Ok(Action::Deny),
        _ => Err(format!("{text:?}: no such word (write allow or deny)")),
    }
}

fn denial(text: &str) -> Result<Denial, String> {
    match text {
        "refused" => Ok(Denial::Refused),
        "prohibited" => Ok(Denial::Prohibited),
        "silent" => Ok(Denial::Silent),
        _ => Err(format!("{text:?}: no such word (write refused, prohibited or silent)")),
    }
}

fn queues(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("{text:?}: not a number of queues (write 1 to {QUEUES_MAX})"))
}

fn device(text: &str) -> Result<LinkChoice, String> {
    match text {
        "auto" => Ok(LinkChoice::Auto),
        "tap" => Ok(LinkChoice::Tap),
        "packet" => Ok(LinkChoice::Packet),
        _ => Err(format!("{text:?}: no such link (write auto, tap or packet)")),
    }
}
