//! Whole samples: everything that is there, again and again.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use wharf_table::rows::{Network, Rows};

use super::event::is_alive;
use super::watcher::News;
use crate::snapshot::{self, Ask, Owners, SnapshotError};

/// Looking for owners takes a tenth of the time at most, and everything together not more than half.
const REST: u32 = 9;

/// Takes whole samples. Owners are looked for when there is something new only: that costs several times what the list does.
#[derive(Debug)]
pub struct Sampler {
    ask: Ask,
    /// Sockets that were there when owners were last looked for, by network and cookie.
    owned: HashSet<(u64, u64)>,
    /// Owners are not looked for before this.
    rests_until: Instant,
}

impl Sampler {
    /// Takes what is asked for here.
    pub fn new(ask: Ask) -> Sampler {
        Sampler { ask, owned: HashSet::new(), rests_until: Instant::now() }
    }

    /// The networks that are watched.
    pub(super) fn networks(&self) -> Result<Vec<Arc<Network>>, SnapshotError> {
        let ask = Ask { owners: Owners::Unasked, ..self.ask.clone() };
        Ok(snapshot::take(&ask)?.networks.into_iter().map(Arc::new).collect())
    }

    /// Takes a sample whenever this time has passed, until nobody listens any more.
    pub(super) fn run(mut self, every: Duration, to: &Sender<News>) {
        loop {
            thread::sleep(every);
            let begun = (SystemTime::now(), Instant::now());
            let news = match self.next_sample() {
                Ok(rows) => News::Whole(rows, begun.0),
                Err(error) => News::Unlisted(error),
            };
            if to.send(news).is_err() {
                return;
            }
            let took = begun.1.elapsed();
            thread::sleep(took.saturating_sub(every));
        }
    }

    /// The next sample. Of the first one, and mostly of those with something new, owners were looked for.
    ///
    /// # Errors
    /// As for a snapshot.
    pub fn next_sample(&mut self) -> Result<Rows, SnapshotError> {
        let rows = snapshot::take(&Ask { owners: Owners::Unasked, ..self.ask.clone() })?;
        let is_new = |row: &wharf_table::rows::Row| {
            let network = rows.network(row).map_or(0, |network| network.inode);
            is_alive(row) && row.inode.is_some() && !self.owned.contains(&(network, row.cookie))
        };
        if Instant::now() >= self.rests_until && rows.rows.iter().any(is_new) {
            return self.with_owners();
        }
        Ok(rows)
    }

    fn with_owners(&mut self) -> Result<Rows, SnapshotError> {
        let begun = Instant::now();
        let rows = snapshot::take(&Ask { owners: Owners::Asked, ..self.ask.clone() })?;
        self.owned.clear();
        self.owned.extend(
            rows.rows.iter().map(|row| (rows.network(row).map_or(0, |network| network.inode), row.cookie)),
        );
        let now = Instant::now();
        self.rests_until = now + now.duration_since(begun) * REST;
        Ok(rows)
    }
}
