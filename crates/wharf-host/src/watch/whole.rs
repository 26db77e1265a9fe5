//! Whole samples: everything that is there, again and again.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use wharf_sys::proc::descriptors::Walk;
use wharf_table::rows::{Network, OwnerLink, OwnerSpan, ProcessId, Role, Row, Rows, Transport};

use super::event::is_alive;
use super::watcher::News;
use crate::snapshot::{self, Ask, Owners, SnapshotError, processes};

/// Looking for all owners takes a tenth of the time at most, and everything together not more than half.
const REST: u32 = 9;

/// What tells an endpoint from others: its network's number, and its cookie.
type Cookie = (u64, u64);
/// A port of a network.
type At = (u64, Transport, u16);

/// Takes whole samples. Owners are looked for when there is something new only: that costs several times what the list does. Of
/// connections that a listener took its processes are asked first, and mostly that is enough.
#[derive(Debug)]
pub struct Sampler {
    ask: Ask,
    /// Endpoints whose owners were looked for.
    owned: HashSet<Cookie>,
    /// The processes of listeners.
    serving: HashMap<At, Vec<u32>>,
    /// Not all owners are looked for before this.
    rests_until: Instant,
}

impl Sampler {
    /// Takes what is asked for here.
    pub fn new(ask: Ask) -> Sampler {
        Sampler { ask, owned: HashSet::new(), serving: HashMap::new(), rests_until: Instant::now() }
    }

    /// Takes a sample whenever this time has passed, until nobody listens any more. The networks are told when they change.
    pub(super) fn run(mut self, every: Duration, networks: &Sender<Vec<Arc<Network>>>, to: &Sender<News>) {
        let mut known = BTreeSet::new();
        loop {
            thread::sleep(every);
            let begun = (SystemTime::now(), Instant::now());
            let news = match self.next_sample() {
                Ok(rows) => {
                    let now: BTreeSet<u64> = rows.networks.iter().map(|network| network.inode).collect();
                    if now != known {
                        known = now;
                        // Who hears it ends together with this.
                        let _ = networks.send(rows.networks.iter().cloned().map(Arc::new).collect());
                    }
                    News::Whole(rows, begun.0)
                }
                Err(error) => News::Unlisted(error),
            };
            if to.send(news).is_err() {
                return;
            }
            thread::sleep(begun.1.elapsed().saturating_sub(every));
        }
    }

    /// The next sample. Of the first one, and mostly of those with something new, owners were looked for.
    ///
    /// # Errors
    /// As for a snapshot.
    pub fn next_sample(&mut self) -> Result<Rows, SnapshotError> {
        if self.owned.is_empty() && Instant::now() >= self.rests_until {
            return self.with_owners();
        }
        let mut rows = snapshot::take(&Ask { owners: Owners::Unasked, ..self.ask.clone() })?;
        let mut fresh: Vec<usize> = rows
            .rows
            .iter()
            .enumerate()
            .filter(|(_, row)| {
                is_alive(row) && row.inode.is_some() && !self.owned.contains(&cookie(&rows, row))
            })
            .map(|(place, _)| place)
            .collect();
        if fresh.is_empty() {
            return Ok(rows);
        }
        self.served(&mut rows, &fresh);
        fresh.retain(|place| rows.rows.get(*place).is_some_and(|row| row.owners.count == 0));
        if !fresh.is_empty() && Instant::now() >= self.rests_until {
            return self.with_owners();
        }
        Ok(rows)
    }

    fn with_owners(&mut self) -> Result<Rows, SnapshotError> {
        let begun = Instant::now();
        let rows = snapshot::take(&Ask { owners: Owners::Asked, ..self.ask.clone() })?;
        self.owned = rows.rows.iter().map(|row| cookie(&rows, row)).collect();
        self.serving.clear();
        for row in rows.rows.iter().filter(|row| row.role == Role::Listener) {
            let pids = rows.owners(row).filter_map(|(owner, _)| owner.pid);
            self.serving.entry(at(&rows, row)).or_default().extend(pids);
        }
        let now = Instant::now();
        self.rests_until = now + now.duration_since(begun) * REST;
        Ok(rows)
    }

    /// Asks the processes of listeners for the connections that are fresh.
    fn served(&mut self, rows: &mut Rows, fresh: &[usize]) {
        let mut sought: HashMap<u32, usize> = HashMap::new();
        let mut pids = BTreeSet::new();
        for &place in fresh {
            let Some(row) = rows.rows.get(place) else { continue };
            let inode = row.inode.and_then(|inode| u32::try_from(inode.get()).ok());
            if let (Some(inode), Some(of)) = (inode, self.serving.get(&at(rows, row))) {
                sought.insert(inode, place);
                pids.extend(of);
            }
        }
        let Some(mut walk) = Walk::open().filter(|_| !sought.is_empty()) else { return };
        let mut found: Vec<(usize, u32, u32)> = Vec::new();
        for pid in pids {
            // One that has ended has no sockets any more.
            let _ = walk.sockets(pid, |descriptor, inode| {
                found.extend(sought.get(&inode).map(|place| (*place, pid, descriptor)));
            });
        }
        found.sort_unstable();
        found.dedup_by_key(|(place, pid, _)| (*place, *pid));
        let mut known: HashMap<u32, ProcessId> = HashMap::new();
        for (place, pid, descriptor) in found {
            let process = *known.entry(pid).or_insert_with(|| {
                rows.processes.push(processes::owner(pid, &rows.users));
                ProcessId(rows.processes.len() as u32 - 1)
            });
            let end = rows.links.len() as u32;
            rows.links.push(OwnerLink { process, descriptor });
            let Some(row) = rows.rows.get_mut(place) else { continue };
            row.ownerless = None;
            row.owners = match row.owners {
                OwnerSpan { count: 0, .. } => OwnerSpan { first: end, count: 1 },
                span => OwnerSpan { count: span.count + 1, ..span },
            };
        }
        let held: Vec<Cookie> = fresh
            .iter()
            .filter_map(|place| rows.rows.get(*place))
            .filter(|row| row.owners.count > 0)
            .map(|row| cookie(rows, row))
            .collect();
        self.owned.extend(held);
    }
}

fn cookie(rows: &Rows, row: &Row) -> Cookie {
    (rows.network(row).map_or(0, |network| network.inode), row.cookie)
}

fn at(rows: &Rows, row: &Row) -> At {
    (rows.network(row).map_or(0, |network| network.inode), row.transport, row.local.port)
}
