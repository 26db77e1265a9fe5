//! Walks through a script: lets time pass, sends packets in, makes calls, and looks at what comes out.
//!
//! What came out is looked at in the order in which it came: a packet that the script does not speak of fails the next line
//! that expects one. Packets are expected from the moment the line before is done, as in packetdrill, and their times
//! count from what happened before, within the tolerance.

mod arguments;
mod calls;
mod outbound;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::call::{Answer, Call, Fd};
use super::code;
use super::constants;
use super::flow::Flows;
use super::machine::{Machine, Maker};
use super::packet::emit;
use super::parser::parse;
use super::report::{Cause, Failure, Success};
use super::setting::{IpVersion, Setting};
use super::syntax::{Action, CallLine, Event, PacketLine, Position, When};
use super::tcp_info;

/// Reads and runs a script against a machine that `maker` makes.
///
/// # Errors
/// Where and why it failed.
pub fn run_file(file: &Path, version: IpVersion, maker: &dyn Maker) -> Result<Success, Failure> {
    let fail = |position, message, cause| Failure { file: file.to_owned(), position, message, cause };
    let text = std::fs::read_to_string(file)
        .map_err(|error| fail(Position::default(), format!("read: {error}"), Cause::Script))?;
    let script = parse(&text, version).map_err(|error| fail(error.position, error.message, Cause::Script))?;
    let setting = Setting::new(version)
        .with_options(&script.options)
        .map_err(|why| fail(Position::default(), why, Cause::Script))?;
    let machine = maker.make(&setting).map_err(|why| fail(Position::default(), why, Cause::Script))?;
    let mut runner = Runner::new(file, setting, machine);
    for (position, command) in &script.setup {
        runner.command(*position, command)?;
    }
    runner.origin = runner.machine.now();
    let outcome =
        script.events.iter().try_for_each(|event| runner.event(event)).and_then(|()| runner.finish_call());
    for (position, command) in &script.cleanup {
        let cleaned = runner.command(*position, command);
        if outcome.is_ok() {
            cleaned?;
        }
    }
    outcome.map(|()| Success { notes: runner.machine.notes() })
}

/// How long a packet or a return that is late is waited for, to be able to say how late it is.
const PATIENCE_US: u64 = 500_000;
/// How long a packet may take of which the script does not say when it comes.
const ANY_TIME_US: u64 = 60_000_000;

struct Runner {
    file: PathBuf,
    setting: Setting,
    machine: Box<dyn Machine>,
    flows: Flows,
    /// The machine's descriptor for each of the script's.
    descriptors: HashMap<i64, Socket>,
    /// The socket that assertions ask.
    under_test: Option<Fd>,
    /// When the script began, on the machine's clock.
    origin: u64,
    /// When the event before happened, since then.
    before: u64,
    blocking: Option<Blocking>,
    variables: HashMap<String, f64>,
}

/// A descriptor of the machine.
#[derive(Clone, Copy, Debug)]
struct Socket {
    fd: Fd,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Stream,
    Datagram,
    Other,
}

/// A call that has not returned.
struct Blocking {
    position: Position,
    line: CallLine,
    call: Call,
    /// When it is to return.
    ends: u64,
    /// How far that may be off.
    tolerance: u64,
}

impl Runner {
    fn new(file: &Path, setting: Setting, machine: Box<dyn Machine>) -> Runner {
        Runner {
            file: file.to_owned(),
            setting,
            machine,
            flows: Flows::default(),
            descriptors: HashMap::new(),
            under_test: None,
            origin: 0,
            before: 0,
            blocking: None,
            variables: HashMap::new(),
        }
    }

    fn fail<T>(&self, position: Position, message: String, cause: Cause) -> Result<T, Failure> {
        Err(Failure { file: self.file.clone(), position, message, cause })
    }

    fn now(&mut self) -> u64 {
        self.machine.now().saturating_sub(self.origin)
    }

    /// How far something that happens `span` after the event before may be off.
    fn tolerance(&self, span: u64) -> u64 {
        self.setting.tolerance_us.max(span * self.setting.tolerance_permille / 1_000) + self.machine.slack()
    }

    fn event(&mut self, event: &Event) -> Result<(), Failure> {
        let (from, to) = match event.when {
            When::Absolute(at) => (at, at),
            When::Relative(after) => (self.before + after, self.before + after),
            When::AbsoluteRange(from, to) => (from, to),
            When::RelativeRange(from, to) => (self.before + from, self.before + to),
            When::Any => (0, u64::MAX),
        };
        if let Action::Outbound(line) = &event.action {
            return self.outbound(event.position, line, from, to);
        }
        self.machine.sleep_until(self.origin + from);
        let now = self.now();
        let tolerance = self.tolerance(from.saturating_sub(self.before));
        if now > from + tolerance {
            let message = format!("it is {} s and not {} s: too late for this", Seconds(now), Seconds(from));
            return self.fail(event.position, message, Cause::Time);
        }
        // The end of a call is told from where its beginning is told from.
        let origin = if matches!(event.when, When::Absolute(_)) { 0 } else { self.before };
        self.before = now;
        match &event.action {
            Action::Inbound(line) => self.inbound(event.position, line)?,
            Action::Call(line) => self.call(event.position, line, origin)?,
            Action::Command(command) => self.command(event.position, command)?,
            Action::Code(code) => self.code(event.position, code)?,
            Action::Outbound(_) => {}
        }
        // What takes real time puts off what follows, rather than being late for it.
        self.before = self.now();
        Ok(())
    }

    fn inbound(&mut self, position: Position, line: &PacketLine) -> Result<(), Failure> {
        let packet = self.flows.of_inbound(line, &self.setting).inbound(line);
        match self.machine.inject(&emit(&packet)) {
            Ok(()) => Ok(()),
            Err(why) => self.fail(position, format!("the packet can't go in: {why}"), Cause::Script),
        }
    }

    fn command(&mut self, position: Position, command: &str) -> Result<(), Failure> {
        let directory = self.file.parent().filter(|path| !path.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new(".")).to_owned();
        match self.machine.command(command, &directory) {
            Ok(()) => Ok(()),
            Err(why) => self.fail(position, format!("`{command}`: {why}"), Cause::Script),
        }
    }

    fn code(&mut self, position: Position, text: &str) -> Result<(), Failure> {
        let Some(fd) = self.under_test else {
            return self.fail(position, "there is no socket to ask".to_owned(), Cause::Script);
        };
        let (level, name) = (number("SOL_TCP"), number("TCP_INFO"));
        let answer = self.machine.call(Call::GetOption { fd, level, name, room: tcp_info::ROOM });
        let info = match answer {
            Ok(Answer { result: Ok(_), data, .. }) => data,
            Ok(Answer { result: Err(errno), .. }) => {
                return self.fail(position, format!("TCP_INFO: {errno}"), Cause::Behaviour);
            }
            Err(why) => return self.fail(position, format!("TCP_INFO: {why}"), Cause::Behaviour),
        };
        let outcome = code::run(text, &mut self.variables, &mut Info(&info));
        outcome.or_else(|why| self.fail(position, why, Cause::Behaviour))
    }
}

/// The number of a constant that is there.
fn number(name: &str) -> i32 {
    constants::value(name).unwrap_or_default() as i32
}

/// What assertions can name.
struct Info<'a>(&'a [u8]);

impl code::Names for Info<'_> {
    fn value(&mut self, name: &str) -> Option<i64> {
        tcp_info::field(name, self.0).map(|value| value as i64).or_else(|| constants::value(name))
    }
}

/// Microseconds as scripts write times.
struct Seconds(u64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}
