//! Who watches: starts the threads, feeds the ledger with what they send, and hands events on.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::Signal;
use thiserror::Error;
use wharf_sys::netlink::destroyed::Destroyed;
use wharf_sys::signal::Signals;
use wharf_table::rows::{Network, Rows};

use super::event::Event;
use super::ledger::{Ledger, Passing};
use super::limits::Limits;
use super::listening::Which;
use super::quick::{Quick, Watched};
use super::states::States;
use super::whole::Sampler;
use crate::snapshot::{Ask, Networks, SnapshotError, networks};

/// How often what listens is looked at, where the kernel does not tell of it.
pub const QUICK: Duration = Duration::from_millis(20);

/// What is to be watched, and how closely.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which networks.
    pub networks: Networks,
    /// How often everything is looked at.
    pub every: Duration,
    /// How often what listens is looked at, where the kernel does not tell.
    pub quick: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config { networks: Networks::Here, every: Duration::from_secs(1), quick: QUICK }
    }
}

/// Why there is nothing to watch.
#[derive(Debug, Error)]
pub enum WatchError {
    /// Nothing can be listed.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A thread, a descriptor or a signal can't be had, or the kernel stopped to answer.
    #[error("watch the sockets of this host: {0} (is the limit of open files too low?)")]
    System(#[from] io::Error),
}

/// What the threads send.
pub(super) enum News {
    /// All that is there, begun at this time.
    Whole(Rows, SystemTime),
    Passed(Passing),
    Ended(Arc<Network>, Destroyed, SystemTime),
    Seen(Rows, SystemTime),
    /// So many of the kernel's messages were lost.
    Lost(u64),
    AskedToEnd,
    Failed(io::Error),
    Unlisted(SnapshotError),
}

/// How a turn of watching ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Go on.
    On,
    /// A signal asked to end, or nobody reads standard output any more.
    AskedToEnd,
}

/// Watches the endpoints of this host.
pub struct Watcher {
    news: Receiver<News>,
    ledger: Ledger,
    limits: Limits,
    lost: u64,
}

impl Watcher {
    /// Begins to watch. From now on Ctrl-C, SIGTERM and SIGHUP end a turn instead of the process.
    ///
    /// # Errors
    /// [`WatchError`].
    pub fn start(config: &Config) -> Result<Watcher, WatchError> {
        let (to, news) = mpsc::channel();
        let signals = Signals::take(&[Signal::INT, Signal::TERM, Signal::HUP].map(Signal::as_raw))?;
        // First the kernel is heard and then everything looked at: what happens in between is known from one of the two.
        let states = States::listen();
        let which = if states.is_ok() { Which::Udp } else { Which::Both };
        let mut limits = Limits::new(config, &states);
        let mut networks = Vec::new();
        for place in networks::open(&config.networks, &mut Vec::new())? {
            let watched = Watched::open(Arc::new(place.network), which)?;
            if watched.ends.is_none() {
                limits.ends_are_missed();
            }
            networks.push(watched);
        }
        let (tell_networks, changes) = mpsc::channel();
        let quick = Quick { states: states.ok(), networks, changes, every: config.quick, signals };
        spawn("wharf-quick", &to, move |to| quick.run(to))?;
        let mut whole = Sampler::new(Ask { networks: config.networks.clone(), ..Ask::default() });
        let begun = SystemTime::now();
        let (rows, mut ledger) = (whole.next_sample()?, Ledger::new());
        limits.hidden(&rows);
        ledger.sample(rows, begun, &mut Vec::new());
        let every = config.every;
        spawn("wharf-whole", &to, move |to| whole.run(every, &tell_networks, to))?;
        Ok(Watcher { news, ledger, limits, lost: 0 })
    }

    /// What may be missed, for whoever reads the events.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How many of the kernel's messages were lost since this was last asked, because more came than could be read. What they
    /// told of is still seen where it outlives a sample.
    pub fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// What is there.
    pub fn present(&self) -> impl Iterator<Item = Event> + '_ {
        self.ledger.present()
    }

    /// Waits until something happens or it is `until`, and tells what happened.
    ///
    /// # Errors
    /// The kernel stopped to answer.
    pub fn turn(&mut self, until: Instant, events: &mut Vec<Event>) -> Result<Turn, WatchError> {
        let wait = until.saturating_duration_since(Instant::now());
        let mut next = match self.news.recv_timeout(wait) {
            Ok(news) => Some(news),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
            }
        };
        while let Some(news) = next {
            match news {
                News::Whole(rows, begun) => self.ledger.sample(rows, begun, events),
                News::Passed(passing) => self.ledger.passed(passing, events),
                News::Ended(network, ended, at) => self.ledger.ended(&network, ended, at, events),
                News::Seen(rows, at) => self.ledger.seen(rows, at, events),
                News::Lost(count) => self.lost += count,
                News::AskedToEnd => return Ok(Turn::AskedToEnd),
                News::Failed(error) => return Err(error.into()),
                News::Unlisted(error) => return Err(error.into()),
            }
            // No more than a handful at once, so that whoever prints keeps up.
            next = if events.len() < 1024 { self.news.try_recv().ok() } else { None };
        }
        Ok(Turn::On)
    }
}

/// A thread that ends when nobody hears it any more.
fn spawn(name: &str, to: &Sender<News>, run: impl FnOnce(&Sender<News>) + Send + 'static) -> io::Result<()> {
    let to = to.clone();
    thread::Builder::new().name(name.into()).spawn(move || run(&to)).map(drop)
}
