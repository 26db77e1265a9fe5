//! The loop of a host: one thread, one epoll, no locks.
//!
//! wait(until the next time-out) → link and lines by token → time-outs → what that has changed at sockets → frames to the link
//! → answers. Each arm of the dispatch is one call.
//!
//! Invariant: the loop sleeps only when nothing can go on without a new event. With a virtual clock it goes on at the same
//! time, and time-outs of the stack wait for `advance`.

use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::time::Duration;

use slab::Slab;
use wharf_stack::interface::{FrameSink, OffloadOut};
use wharf_stack::socket::{Host, HostConfig};
use wharf_stack::stack::{Config, HostRole, Medium, Role};
use wharf_stack::tcp::Settings;
use wharf_sys::epoll::{Interest, Poller, Ready};
use wharf_sys::frame::FrameBuffers;
use wharf_sys::process::OpenFiles;
use wharf_sys::signal::{Inherited, Origin, Signals};
use wharf_table::{DropReason, Instant};

use super::clients::{Client, Line, Listener};
use super::clock::Clock;
use super::config::{Lowered, Place};
use super::desk::Desk;
use super::device::{self, Device};
use super::error::HostError;
use super::tell::Traffic;
use super::{End, settings};
use crate::run::spawn::{ProgramExit, Sandbox};
use crate::run::start;
use crate::run::token::Token;
use crate::run::wire::{Watch, Wire};

/// Batches read from the link, and lines from one client, before the rest of the loop has its turn.
const LINK_BATCHES: usize = 4;
const LINES_A_TURN: usize = 64;
/// The most clients at a time.
const CLIENTS_MAX: usize = 256;
/// Tokens of clients lie above those of a run.
const CLIENT_BASE: u64 = 64 << 56;
/// The most data that waits in all sockets together, in bytes, and the most connections.
const BUFFER_LIMIT: usize = 512 << 20;
const CONNECTIONS_MAX: usize = 1 << 20;

/// The link, with what has crossed it.
pub(super) struct Counted {
    wire: Wire,
    buffers: FrameBuffers,
    pub(super) traffic: Traffic,
    /// There may be more to read.
    has_more: bool,
    /// The device was deleted, which was told.
    is_gone: bool,
}

impl FrameSink for Counted {
    fn frame(&mut self, head: &[u8], payload: &[&[u8]], offload: OffloadOut) -> Result<(), DropReason> {
        self.traffic.out_frames += 1;
        self.traffic.out_bytes += (head.len() + payload.iter().map(|part| part.len()).sum::<usize>()) as u64;
        self.wire.frame(head, payload, offload)
    }

    fn is_ready(&self) -> bool {
        self.wire.is_ready()
    }
}

impl Counted {
    /// Reads what has arrived, up to the link's turn. The device may be gone: whoever made it can take it away.
    pub(super) fn read(&mut self, host: &mut Host, now: Instant) {
        let Counted { wire, buffers, traffic, has_more, is_gone } = self;
        for _ in 0..LINK_BATCHES {
            let read = wire.read_batch(buffers, |frames| {
                traffic.in_frames += frames.len() as u64;
                traffic.in_bytes += frames.iter().map(|frame| frame.bytes.len() as u64).sum::<u64>();
                host.handle_frames(now, frames);
            });
            if let Err(error) = &read
                && !std::mem::replace(is_gone, true)
            {
                warn(&format!("the link is gone: {error} (its interface was deleted: start the host again)"));
            }
            *has_more = read.is_ok() && buffers.is_filled();
            if !*has_more {
                return;
            }
        }
    }
}

struct Driver {
    desk: Desk,
    link: Counted,
    poller: Poller,
    signals: Signals,
    clients: Slab<Client>,
    listener: Option<Listener>,
    sandbox: Option<Sandbox>,
    /// The client whose end is the host's, where there is one.
    master: Option<usize>,
}

/// See [`host`](super::host).
pub(super) fn run(config: &Lowered) -> Result<End, HostError> {
    let inherited = Inherited::current();
    let signals = start::take_signals().map_err(HostError::at("wait for signals"))?;
    let files = OpenFiles::raise();
    let no_random = HostError::at("draw random numbers");
    let [a, b, c, d, e, ..] = start::random_u64().map_err(&no_random)?.to_ne_bytes();
    let hardware = [0x02, a, b, c, d, e];
    // The fork into a network of its own wants nothing open.
    let device = device::open(config, hardware, inherited, files)?;
    let listener = config.socket.as_deref().map(Listener::open).transpose()?;
    let (poller, buffers) = start::engine().map_err(HostError::at("make the loop"))?;
    let (link, medium, sandbox) = match device {
        Device::Interface(link, medium) => (link, medium, None),
        Device::Program(prepared) => {
            for warning in &prepared.warnings {
                warn(warning);
            }
            let (sandbox, link) = prepared.start()?;
            (link, Medium::Ethernet, Some(sandbox))
        }
    };
    let clock = Clock::start(config.clock);
    let now = clock.now();
    let capabilities = Wire::capabilities(&link, false);
    let stack = stack(config, medium, hardware, capabilities).map_err(&no_random)?;
    let host_config = HostConfig { privileged_below: config.privileged_below, ..HostConfig::new(stack) };
    let mut host = Host::new(host_config, now);
    host.choose_ports_from(config.ports, config.algorithm, &config.reserved);
    let link = Counted {
        wire: Wire::new(link, None, 0, now),
        buffers,
        traffic: Traffic::default(),
        has_more: true,
        is_gone: false,
    };
    let mut driver = Driver {
        desk: Desk::new(host, clock, config.uid),
        link,
        poller,
        signals,
        clients: Slab::new(),
        listener,
        sandbox,
        master: None,
    };
    driver.register(config).map_err(HostError::at("make the loop"))?;
    driver.run(config).map_err(HostError::at("carry packets"))
}

/// Says what is wrong and ends nothing; nobody may be left to hear it.
fn warn(text: &str) {
    let _ = writeln!(io::stderr(), "wharf: {text}");
}

/// The stack of a host.
fn stack(
    config: &Lowered,
    medium: Medium,
    hardware_address: [u8; 6],
    capabilities: wharf_stack::interface::Capabilities,
) -> io::Result<Config> {
    let mut tcp = Settings { timestamp_offset: start::random_u64()? as u32, ..Settings::default() };
    for (name, value) in &config.settings {
        let applied = settings::apply(&mut tcp, name, value);
        debug_assert!(applied.is_ok(), "settings were checked when they were read");
    }
    let role = HostRole {
        addresses: config.addresses.clone(),
        gateway_v4: config.gateway_v4,
        gateway_v6: config.gateway_v6,
    };
    Ok(Config {
        role: Role::Host(role),
        medium,
        hardware_address,
        mtu: config.mtu,
        capabilities,
        tcp,
        buffer_limit: BUFFER_LIMIT,
        max_connections: CONNECTIONS_MAX,
        ephemeral_ports: config.ports,
        table_key: start::random_key()?,
        isn_key: start::random_key()?,
    })
}

impl Driver {
    /// Registers what the loop listens to.
    fn register(&mut self, config: &Lowered) -> io::Result<()> {
        self.link.wire.register(&self.poller, Watch::Begin)?;
        self.poller.add(&self.signals, Token::Signal.into(), Interest::Read)?;
        if let Some(sandbox) = &self.sandbox {
            self.poller.add(sandbox.status_fd(), Token::Program.into(), Interest::Read)?;
        }
        if let Some(listener) = &self.listener {
            self.poller.add(listener, Token::Listener(0).into(), Interest::Read)?;
        }
        // A terminal belongs to the program, or to the shell that has put a host with a socket into the background.
        let is_interface = matches!(config.place, Place::Interface { .. });
        let is_terminal = rustix::termios::isatty(rustix::stdio::stdin());
        if is_interface && !(self.listener.is_some() && is_terminal) {
            let key = self.add_client(Client::standard());
            self.master = key.filter(|_| self.listener.is_none());
        }
        Ok(())
    }

    /// Takes a client in. A file is always ready and can't be waited for.
    fn add_client(&mut self, client: Client) -> Option<usize> {
        if self.clients.len() >= CLIENTS_MAX {
            return None;
        }
        let key = self.clients.insert(client);
        let client = self.clients.get(key)?;
        let token = CLIENT_BASE + key as u64;
        // A file can't be waited for: it is always ready.
        if client.reader().as_raw_fd() == client.writer().as_raw_fd() {
            let _ = self.poller.add(client.reader(), token, Interest::ReadWrite);
        } else {
            let _ = self.poller.add(client.reader(), token, Interest::Read);
            let _ = self.poller.add(client.writer(), token, Interest::Write);
        }
        Some(key)
    }

    fn run(&mut self, config: &Lowered) -> io::Result<End> {
        let mut ready = Vec::with_capacity(256);
        loop {
            self.link.wire.await_room(&self.poller)?;
            ready.extend(self.poller.wait(self.timeout())?);
            let now = self.desk.now();
            for event in ready.drain(..) {
                if let Some(end) = self.on_ready(config, event)? {
                    return Ok(end);
                }
            }
            self.link.read(&mut self.desk.host, now);
            self.desk.on_timeouts(now);
            self.take_lines();
            self.desk.settle(&mut self.link);
            self.answer();
            if self.is_over() {
                return Ok(End::Done);
            }
        }
    }

    /// How long the loop may sleep.
    fn timeout(&self) -> Option<Duration> {
        let lines = self.clients.iter().any(|(_, client)| client.has_input());
        let busy = self.link.has_more || lines || self.desk.has_work() && self.link.wire.is_open();
        if busy || self.desk.is_serving() {
            return Some(Duration::ZERO);
        }
        self.desk.poll_timeout()
    }

    fn on_ready(&mut self, config: &Lowered, event: Ready) -> io::Result<Option<End>> {
        if event.token >= CLIENT_BASE {
            let key = (event.token - CLIENT_BASE) as usize;
            if let Some(client) = self.clients.get_mut(key) {
                client.on_ready(event);
            }
            return Ok(None);
        }
        match Token::from_bits(event.token) {
            Some(Token::Link) => {
                self.link.has_more |= event.readable;
                if event.writable {
                    self.link.wire.on_writable(&self.poller)?;
                }
            }
            Some(Token::Listener(_)) => {
                while let Some(client) = self.listener.as_ref().and_then(Listener::accept) {
                    self.add_client(client);
                }
            }
            Some(Token::Program) => {
                let exit: Option<ProgramExit> = self.sandbox.as_mut().and_then(Sandbox::poll_status);
                return Ok(exit.map(End::Program));
            }
            Some(Token::Signal) => return self.on_signals(config),
            _ => {}
        }
        Ok(None)
    }

    /// A signal ends a host on an interface; where a program runs, it goes on to the program, and those of the terminal reach
    /// that by themselves.
    fn on_signals(&mut self, config: &Lowered) -> io::Result<Option<End>> {
        while let Some(signal) = self.signals.read()? {
            match (&config.place, &self.sandbox) {
                (Place::Program(_), Some(sandbox))
                    if matches!(signal.origin, Origin::Process { .. }) || signal.number == start::HANG_UP =>
                {
                    sandbox.signal(signal.number)?;
                }
                (Place::Program(_), _) => {}
                _ if start::ENDING.contains(&signal.number) => return Ok(Some(End::Done)),
                _ => {}
            }
        }
        Ok(None)
    }

    /// Takes the lines that clients have written, each up to its turn.
    fn take_lines(&mut self) {
        for (key, client) in &mut self.clients {
            for _ in 0..LINES_A_TURN {
                if !client.may_ask() {
                    break;
                }
                match client.next_line() {
                    Some(Line::Whole(line)) => {
                        let answer = self.desk.ask(key, &line, &mut client.hears, &mut self.link);
                        answer.into_iter().for_each(|answer| client.say(&answer));
                    }
                    Some(Line::TooLong) => client.say(&Desk::too_long()),
                    None => break,
                }
            }
        }
    }

    /// Hands out what there is to say, and lets go of clients that have left.
    fn answer(&mut self) {
        for (key, line) in self.desk.take_answers() {
            if let Some(client) = self.clients.get_mut(key) {
                client.say(&line);
            }
        }
        for line in self.desk.take_news() {
            self.clients
                .iter_mut()
                .filter(|(_, client)| client.hears)
                .for_each(|(_, client)| client.tell(&line));
        }
        self.desk.set_heard(self.clients.iter().any(|(_, client)| client.hears));
        let (desk, master) = (&mut self.desk, self.master);
        self.clients.retain(|key, client| {
            client.write();
            let waits = desk.waiting_of(key) > 0;
            let over = client.is_over(waits) && Some(key) != master;
            if over {
                desk.forget_client(key);
            }
            !over
        });
    }

    /// Standard input has ended, what it asked for within a time is answered, and nobody else can ask.
    fn is_over(&self) -> bool {
        let Some((key, client)) = self.master.and_then(|key| Some((key, self.clients.get(key)?))) else {
            return false;
        };
        client.is_over(self.desk.has_deadline_of(key))
    }
}
