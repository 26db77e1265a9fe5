//! The thread that must not be late: it hears what the kernel tells, looks processes up while they live, and takes quick
//! samples. What it learns it sends on; it decides nothing.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant, SystemTime};

use wharf_sys::Poller;
use wharf_sys::epoll::Interest;
use wharf_sys::netlink::destroyed::{Destroyed, Destructions};
use wharf_sys::signal::Signals;
use wharf_table::rows::{Network, State};

use super::ledger::{Doer, Passing};
use super::listening::{Listening, Which};
use super::people::People;
use super::states::{StateChange, States};
use super::watcher::News;
use crate::snapshot::{Networks, SnapshotError, networks};

/// The token of what asks to end; all else only wakes the loop.
const END: u64 = 1;
const NEWS: u64 = 0;

/// Everything that tells by itself.
pub(super) struct Quick {
    pub(super) states: Option<States>,
    pub(super) networks: Vec<Watched>,
    /// The networks that there are, when others come or go.
    pub(super) changes: Receiver<Vec<Arc<Network>>>,
    pub(super) every: Duration,
    pub(super) signals: Signals,
}

/// A network that is heard.
pub(super) struct Watched {
    pub(super) network: Arc<Network>,
    /// Its sockets that end; `None` where the kernel does not tell.
    pub(super) ends: Option<Destructions>,
    listening: Listening,
}

impl Watched {
    /// Begins to hear what a network tells. While it is heard it can't end.
    pub(super) fn open(network: Arc<Network>, which: Which) -> Result<Watched, SnapshotError> {
        let enter = || networks::open(&Networks::Named(vec![network.inode.to_string()]), &mut Vec::new());
        let (first, second) = (enter()?.pop(), enter()?.pop());
        let (Some(first), Some(second)) = (first, second) else {
            return Err(SnapshotError::NoNetwork { name: network.name.clone() });
        };
        let ends = Destructions::listen(first.vantage.diag).ok();
        let listening = Listening::new(network.clone(), second.vantage.diag, which);
        Ok(Watched { network, ends, listening })
    }
}

impl Quick {
    /// Runs until nobody listens any more.
    pub(super) fn run(mut self, to: &Sender<News>) {
        if let Err(error) = self.turn_until_unheard(to) {
            // Nobody listens any more, or the error reaches who does.
            let _ = to.send(News::Failed(error));
        }
    }

    fn turn_until_unheard(&mut self, to: &Sender<News>) -> io::Result<()> {
        let mut people = People::new();
        let mut poller = self.poller()?;
        let mut next = Instant::now();
        loop {
            let ended = {
                let wait = next.saturating_duration_since(Instant::now());
                poller.wait(Some(wait))?.any(|ready| ready.token == END)
            };
            if ended && to.send(News::AskedToEnd).is_err() {
                return Ok(());
            }
            let mut news = self.told(&mut people);
            let now = Instant::now();
            if now >= next {
                next = now + self.every;
                let at = SystemTime::now();
                for watched in &mut self.networks {
                    let fresh = watched.listening.fresh(&mut people)?;
                    news.extend(fresh.into_iter().map(|rows| News::Seen(rows, at)));
                }
            }
            for one in news {
                if to.send(one).is_err() {
                    return Ok(());
                }
            }
            if let Some(there) = self.changes.try_iter().last() {
                self.follow(there, &poller)?;
            }
        }
    }

    /// Hears the networks that there are now, and lets go of the others.
    fn follow(&mut self, there: Vec<Arc<Network>>, poller: &Poller) -> io::Result<()> {
        self.networks.retain(|known| there.iter().any(|network| network.inode == known.network.inode));
        let which = if self.states.is_some() { Which::Udp } else { Which::Both };
        for network in there {
            if self.networks.iter().any(|known| known.network.inode == network.inode) {
                continue;
            }
            // One that has ended meanwhile, or can't be entered, is left to the samples.
            if let Ok(watched) = Watched::open(network, which) {
                if let Some(ends) = &watched.ends {
                    poller.add(ends.as_fd(), NEWS, Interest::Read)?;
                }
                self.networks.push(watched);
            }
        }
        Ok(())
    }

    fn poller(&self) -> io::Result<Poller> {
        let poller = Poller::new(16)?;
        for ring in self.states.iter().flat_map(States::descriptors) {
            poller.add(ring, NEWS, Interest::Read)?;
        }
        for ends in self.networks.iter().filter_map(|watched| watched.ends.as_ref()) {
            poller.add(ends.as_fd(), NEWS, Interest::Read)?;
        }
        poller.add(self.signals.as_fd(), END, Interest::Read)?;
        // Only whether its reader is gone, which a file can't tell.
        let _ = poller.add(io::stdout(), END, Interest::Nothing);
        Ok(poller)
    }

    /// What the kernel has told since the last time.
    fn told(&mut self, people: &mut People) -> Vec<News> {
        let (ended, mut lost) = self.ended();
        // What is read second holds all that came before what was read first, and so an end never precedes its beginning.
        let (changes, dropped) = self.states.as_mut().map(States::read).unwrap_or_default();
        lost += dropped;
        let mut news: Vec<_> =
            changes.into_iter().filter_map(|change| self.passing(change, people)).map(News::Passed).collect();
        news.extend(ended);
        if lost > 0 {
            news.push(News::Lost(lost));
        }
        news
    }

    fn ended(&mut self) -> (Vec<News>, u64) {
        let (mut news, mut lost) = (Vec::new(), 0);
        for Watched { network, ends, .. } in &mut self.networks {
            let Some(ends) = ends else { continue };
            let at = SystemTime::now();
            let mut each = |ended: Destroyed| news.push(News::Ended(network.clone(), ended, at));
            // Of an overflow the kernel does not say how many were lost. What is behind it is read on.
            while ends.read(&mut each).is_err() {
                lost += 1;
            }
        }
        (news, lost)
    }

    /// A change with its process, looked up at once. `None` for one of a network that is not watched.
    fn passing(&self, change: StateChange, people: &mut People) -> Option<Passing> {
        let person = match change.state {
            State::Listen => Some(people.now(change.pid)),
            State::SynSent => Some(people.recent(change.pid)),
            // These happen when a packet comes, and whoever is interrupted by it has no part in it.
            State::Established | State::Closed => None,
            _ => return None,
        };
        let network = person.as_ref().and_then(|person| person.network);
        let watched = network.and_then(|number| self.networks.iter().find(|one| one.network.inode == number));
        if network.is_some() && watched.is_none() {
            return None;
        }
        Some(Passing {
            socket: change.socket,
            state: change.state,
            local: change.local,
            remote: change.remote,
            at: change.at,
            doer: person.map(|person| Doer {
                owner: person.owner,
                network: watched.map(|watched| watched.network.clone()),
            }),
        })
    }
}
