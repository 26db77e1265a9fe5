//! `wharf run`: a program in a network of its own.
//!
//! The parent stays in the host's network and carries packets; the program lives in namespaces behind a link. What is
//! typed becomes a [`config`], the config a sandbox ([`spawn`]) and a loop (`pump`), and the loop ends with the program.

mod addresses;
pub(crate) mod clock;
pub mod config;
pub(crate) mod control;
mod datagrams;
mod descriptors;
mod draining;
mod echo;
mod flows;
mod guard;
mod lane;
mod lanes;
mod log;
pub mod names;
pub mod publish;
mod pump;
mod resolver;
pub mod spawn;
mod spliced;
pub(crate) mod start;
mod streams;
pub(crate) mod token;
pub(crate) mod wire;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use wharf_stack::stack::Stack;
use wharf_sys::epoll::Poller;
use wharf_sys::proc::traffic::Traffic;
use wharf_sys::process::OpenFiles;
use wharf_sys::signal::Inherited;
use wharf_table::{DropReason, Protocol};

use self::addresses::Addresses;
use self::clock::Clock;
use self::config::{Lowered, Style};
use self::control::{About, Control};
use self::datagrams::Datagrams;
use self::descriptors::Descriptors;
use self::echo::Echoes;
use self::guard::Guard;
use self::lane::{Lane, Linger};
use self::lanes::{Lanes, Plan};
use self::log::Log;
use self::names::Names;
use self::publish::{Choice, ClaimError, Published};
use self::pump::{Listener, Pump};
use self::resolver::Resolver;
use self::spawn::{INTERFACE, ProgramExit, SpawnError};
use self::spliced::Spliced;
use self::streams::Streams;
use self::token::Token;
use self::wire::Wire;

/// Connections that have no flow of the host any more, and only bring their end to the program.
const LEAVING_MAX: usize = 1024;

/// Why a run did not come to its end.
#[derive(Debug, Error)]
pub enum RunError {
    /// The sandbox could not be made, or the program not be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// A port could not be published.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// What was used could not be written down.
    #[error("write {}: {source}", path.display())]
    Learned {
        /// Where.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The loop could not be made, or could not go on.
    #[error("{what}: {source}")]
    Loop {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl RunError {
    /// 127 for a command that is not there, 126 for one that can't be run, else 125.
    pub fn exit_code(&self) -> u8 {
        match self {
            RunError::Spawn(error) => error.exit_code(),
            RunError::Claim(_) | RunError::Learned { .. } | RunError::Loop { .. } => 125,
        }
    }
}

/// Runs a program to its end, and says how it ended.
///
/// To be called on a single thread: the sandbox begins with a fork. Whatever is returned, no process, namespace or socket of
/// the run is left.
///
/// # Errors
/// [`RunError`]; the program has not run then, or was ended.
pub fn run(config: &Lowered) -> Result<ProgramExit, RunError> {
    let failed = |what| move |source| RunError::Loop { what, source };
    let inherited = Inherited::current();
    let signals = start::take_signals().map_err(failed("wait for signals"))?;
    let open_files = OpenFiles::raise();
    let mut prepared = start::sandbox(config, open_files, inherited).spawn()?;
    let mut log = Log::new(config.verbosity, config.style);
    prepared.warnings.iter().for_each(|warning| log.warning(warning));
    let published = publish::claim(&config.publish, config.families)?;
    published.iter().for_each(|port| announce(port, &mut log, config.style));
    let control = Control::open(About::new(config, &published, prepared.link.kind()));
    if let Err(error) = &control {
        log.warning(&format!("others can't ask what the run does: {error}"));
    }

    let clock = Clock::start();
    let (poller, buffers) = start::engine().map_err(failed("make the loop"))?;
    let now = clock.now();
    let spare = pump::spare_descriptor().map_err(failed("open /dev/null"))?;
    let descriptors = Descriptors::beyond(&spare, lanes::own_descriptors(config.queues));
    let max_connections = descriptors.most().saturating_add(LEAVING_MAX);
    let gateway =
        start::gateway(config, &prepared.link, max_connections).map_err(failed("draw random keys"))?;
    let linger = Linger::of(config.queues);
    let addresses = Addresses { v4: config.v4, v6: config.v6 };
    let guard = Guard::new(config.guard.clone(), start::policy(config));
    let (descriptors, stack) = (&descriptors, &gateway);
    let plan = Plan { clock, log: &log, addresses, descriptors, stack, guard: &guard, linger };
    let others = Lanes::begin(&plan, std::mem::take(&mut prepared.queues))
        .map_err(failed("start the loop of another queue"))?;
    let mut stack = Stack::new(gateway, now);
    start::serve_names(config, &mut stack);
    let mut seeds = [0; 2];
    for seed in &mut seeds {
        *seed = start::random_u64().map_err(failed("draw random numbers"))?;
    }
    let names = names(config, &poller, &guard).map_err(failed("make the loop"))?;
    let mut datagrams = Datagrams::new(addresses, descriptors.clone(), guard.clone());
    datagrams.publish_from(config.publish_from.clone());
    let mut listeners = Vec::new();
    for port in published {
        let Published { protocol, local, inside, socket, .. } = port;
        match protocol {
            Protocol::Udp => {
                let served = addresses.served(local.is_ipv4(), inside);
                datagrams.publish(socket, served, &poller).map_err(failed("publish a UDP port"))?;
            }
            _ => listeners.push(Listener { socket, inside: inside.number() }),
        }
    }
    let sockets = prepared.sockets.take();
    let (sandbox, link) = prepared.start()?;
    guard.watch_programs(sandbox.init_pid());
    // Only who asks is told what the program's own kernel dropped.
    let mut traffic = log.is_verbose().then(|| Traffic::of(sandbox.program_pid()?).ok()).flatten();
    let lane = Lane {
        wire: Wire::new(link, config.link.as_ref(), seeds[0], now),
        clock,
        log,
        poller,
        stack,
        buffers,
        addresses,
        streams: Streams::new(descriptors.clone()),
        edition: guard.edition(),
        guard: guard.clone(),
        asked: 0,
        link_has_more: false,
        linger,
    };
    let mut pump = Pump {
        others,
        lane,
        spliced: Spliced::new(addresses, sockets, descriptors.clone()),
        descriptors: descriptors.clone(),
        datagrams,
        echoes: Echoes::new(addresses, descriptors.clone(), seeds[1], guard.clone()),
        resolver: Resolver::new(names),
        control: control.ok(),
        listeners,
        publish_from: config.publish_from.clone(),
        handed_has_more: false,
        waiting: Vec::new(),
        spare: Some(spare),
        signals,
        sandbox,
        ending: None,
    };
    pump.register().map_err(failed("make the loop"))?;
    let exit = pump.run().map_err(failed("carry packets"))?;
    let dropped = traffic.as_mut().and_then(|traffic| traffic.sent_dropped(INTERFACE)).unwrap_or(0);
    pump.lane.stack.count_drops(DropReason::ProgramQueueFull, dropped);
    pump.finish();
    if let Some(path) = &config.learn {
        write_learned(path, &guard)?;
    }
    Ok(exit)
}

/// The run's name server, which asks the guard.
fn names(config: &Lowered, poller: &Poller, guard: &Guard) -> io::Result<Names> {
    let config = config.names(Token::NAMES_BASE);
    let mut names = Names::new(config, poller.try_clone()?, start::random_u64_or_die);
    names.guard(guard.clone());
    Ok(names)
}

/// Writes down what a run has used. The file is whole or not there.
fn write_learned(path: &Path, guard: &Guard) -> Result<(), RunError> {
    let failed = |source| RunError::Learned { path: path.to_owned(), source };
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(name);
    let written = fs::write(&beside, guard.learned().to_string()).and_then(|()| fs::rename(&beside, path));
    written.map_err(|error| {
        // What could not be renamed is not left.
        let _ = fs::remove_file(&beside);
        failed(error)
    })
}

/// Tells where a port is open: always when it was chosen, else to who wants to know.
fn announce(port: &Published, log: &mut Log, style: Style) {
    let text = match style {
        Style::Text => format!("published {port}"),
        Style::Json => port.to_json(),
    };
    match port.choice {
        Choice::Found => log.always(&text),
        Choice::Written => log.line(|| text),
    }
}
