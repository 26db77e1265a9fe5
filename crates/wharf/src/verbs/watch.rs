//! `wharf watch`: what happens to the endpoints of this host, as lines, as JSON, and as a record.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use wharf_host::history::{self, About, Recorder};
use wharf_host::snapshot::Networks;
use wharf_host::watch::{Config, Event, Turn, Watcher};
use wharf_table::selector::Selector;

use super::note;
use super::read::{one, seconds};
use crate::args::WatchArgs;
use crate::exit::{self, Failure};
use crate::render::Registered;
use crate::render::event::{self, Day};
use crate::services::LocalServices;

/// A record is kept for sure once in this time.
const COMMIT: Duration = Duration::from_secs(1);
/// Everything is not looked at more often than this.
const LEAST: Duration = Duration::from_millis(20);

/// What was typed, read.
struct Typed {
    selector: Selector,
    config: Config,
    about: About,
    record: Option<PathBuf>,
    end: Option<Duration>,
    form: Form,
    voice: Voice,
}

/// What events are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Json,
}

/// Whether anything is said beside the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Voice {
    Loud,
    Quiet,
}

/// Watches until a signal asks to end, the time is over, or the reader is gone: 0.
///
/// # Errors
/// [`Failure`], 2: wrong usage, the kernel does not list its sockets, or the record can't be written.
pub(crate) fn watch(args: WatchArgs) -> Result<ExitCode, Failure> {
    let typed = read(args)?;
    let begun = (SystemTime::now(), Instant::now());
    // What is wrong with the record is told before anything else is done.
    let recorder = typed.record.as_deref().map(|path| Recorder::begin(path, &typed.about, begun.0));
    let recorder = recorder.transpose().map_err(Failure::usage)?;
    let watcher = Watcher::start(&typed.config).map_err(Failure::usage)?;
    let end = typed.end.map(|span| begun.1 + span);
    let mut session =
        Session { typed, watcher, recorder, services: Registered::default(), day: Day::default() };
    session.begin()?;
    let told = session.go_on(end);
    let kept = session.end();
    let code = told?;
    kept?;
    Ok(code)
}

/// Reads the text of every option.
fn read(args: WatchArgs) -> Result<Typed, Failure> {
    let local = LocalServices::default();
    let services = |name: &str, protocol| local.port(name, protocol);
    let selector = Selector::parse_words(&args.selector, &services).map_err(Failure::usage)?;
    let every = one("--every", args.every.as_deref(), seconds)?.map(|every| every.max(LEAST));
    let mut config = Config::default();
    config.every = every.unwrap_or(config.every);
    config.networks = if args.r#in.is_empty() { Networks::All } else { Networks::Named(args.r#in) };
    let record = args.record.map(|file| file.map_or_else(history::usual_path, Ok)).transpose();
    let about = About {
        selector: (!args.selector.is_empty()).then(|| args.selector.join(" ")),
        every: config.every,
        version: env!("CARGO_PKG_VERSION").into(),
    };
    Ok(Typed {
        selector,
        config,
        about,
        record: record.map_err(Failure::usage)?,
        end: one("--for", args.r#for.as_deref(), seconds)?,
        form: if args.json { Form::Json } else { Form::Text },
        voice: if args.quiet { Voice::Quiet } else { Voice::Loud },
    })
}

/// A watch that is going on.
struct Session {
    typed: Typed,
    watcher: Watcher,
    recorder: Option<Recorder>,
    services: Registered,
    day: Day,
}

impl Session {
    /// Says what may be missed, and records what is there.
    fn begin(&mut self) -> Result<(), Failure> {
        let selector = &self.typed.selector;
        let meant = self.watcher.present().filter(|event| selector.matches(event.rows(), event.row()));
        let mut count = 0_usize;
        for event in meant {
            count += 1;
            if let Some(recorder) = &mut self.recorder {
                recorder.write(&event).map_err(Failure::usage)?;
            }
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.commit(SystemTime::now()).map_err(Failure::usage)?;
        }
        if self.typed.voice == Voice::Loud {
            let into = self.typed.record.as_ref();
            let into = into.map(|path| format!("; recording into {}", path.display())).unwrap_or_default();
            let endpoints = if count == 1 { "endpoint" } else { "endpoints" };
            note(&format!("watching {count} {endpoints}{into} (Ctrl-C ends it)"));
            self.watcher.limits().sentences().iter().for_each(|sentence| note(sentence));
        }
        Ok(())
    }

    fn go_on(&mut self, end: Option<Instant>) -> Result<ExitCode, Failure> {
        let mut out = BufWriter::new(io::stdout().lock());
        let mut events = Vec::new();
        let mut commit = Instant::now() + COMMIT;
        loop {
            let until = end.map_or(commit, |end| end.min(commit));
            let turn = self.watcher.turn(until, &mut events).map_err(Failure::usage)?;
            events.sort_by_key(|event: &Event| (event.at, event.number));
            let told = self.tell(&mut out, &events)?;
            events.clear();
            if let Err(error) = told.and_then(|()| out.flush()) {
                return exit::written(Err(error));
            }
            let now = Instant::now();
            if now >= commit {
                commit = now + COMMIT;
                self.commit()?;
            }
            if turn == Turn::AskedToEnd || end.is_some_and(|end| now >= end) {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }

    /// Writes events, and records them. The inner result is that of standard output.
    fn tell(&mut self, out: &mut impl Write, events: &[Event]) -> Result<io::Result<()>, Failure> {
        let mut written = Ok(());
        for event in events {
            if !self.typed.selector.matches(event.rows(), event.row()) {
                continue;
            }
            if let Some(recorder) = &mut self.recorder {
                recorder.write(event).map_err(Failure::usage)?;
            }
            written = written.and_then(|()| match self.typed.form {
                Form::Text => event::write_text(out, event, &self.services, &mut self.day),
                Form::Json => event::write_json(out, event, &self.services),
            });
        }
        Ok(written)
    }

    fn commit(&mut self) -> Result<(), Failure> {
        let lost = self.watcher.take_lost();
        if lost > 0 && self.typed.voice == Voice::Loud {
            note(&format!("more happened than could be read: {lost} of the kernel's messages were lost"));
        }
        let Some(recorder) = &mut self.recorder else { return Ok(()) };
        if lost > 0 {
            recorder.lost(lost).map_err(Failure::usage)?;
        }
        recorder.commit(SystemTime::now()).map_err(Failure::usage)
    }

    /// Completes the record.
    fn end(self) -> Result<(), Failure> {
        let Some(recorder) = self.recorder else { return Ok(()) };
        recorder.end(SystemTime::now()).map_err(Failure::usage)
    }
}
