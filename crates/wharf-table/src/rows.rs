//! Rows: every endpoint of a host as a list, whoever filled it in.
//!
//! Three fillers write the same rows: the kernel, a run's stack, the control socket of another wharf. Whoever lists,
//! searches, watches or draws reads [`Rows`] and nothing else. A row is small and owns no text: processes, networks and
//! groups stand once in lists beside the rows, so that half a million rows cost what they must.

mod detail;
mod row;
mod state;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

pub use detail::{CongestionState, TcpDetail};
pub use row::{
    Backlog, DetailId, End, Group, Network, NetworkId, OwnerLink, OwnerSpan, Ownerless, ProcessId, Row,
};
pub use state::{Role, State, Transport};

use crate::owner::Owner;

/// The endpoints of one host at one moment, and what the rows refer to.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// The rows, in the order of their filler.
    pub rows: Vec<Row>,
    /// Processes, each once; [`OwnerLink::process`] points here.
    pub processes: Vec<Owner>,
    /// Who holds which row; [`Row::owners`] is a span of this.
    pub links: Vec<OwnerLink>,
    /// What the kernel tells of a TCP connection; [`Row::detail`] points here.
    pub details: Vec<TcpDetail>,
    /// The networks that were looked at; [`Row::network`] points here.
    pub networks: Vec<Network>,
    /// Control groups by their number, as far as they could be read.
    pub groups: BTreeMap<u64, Group>,
    /// Names of users by their number, as far as they are known.
    pub users: BTreeMap<u32, String>,
    /// What could not be looked at and which right is missing, one sentence each.
    pub hidden: Vec<String>,
}

impl Rows {
    /// The processes that hold a row, all of them, with their descriptors.
    pub fn owners(&self, row: &Row) -> impl Iterator<Item = (&Owner, OwnerLink)> + Clone {
        let span =
            row.owners.first as usize..(row.owners.first as usize).saturating_add(row.owners.count as usize);
        let links = self.links.get(span).unwrap_or_default();
        links.iter().filter_map(|link| Some((self.processes.get(link.process.0 as usize)?, *link)))
    }

    /// What the kernel tells of a row's connection.
    pub fn detail(&self, row: &Row) -> Option<&TcpDetail> {
        self.details.get(row.detail?.index())
    }

    /// The network of a row.
    pub fn network(&self, row: &Row) -> Option<&Network> {
        self.networks.get(row.network.0 as usize)
    }

    /// The control group of a row's socket: known where the process is hidden too.
    pub fn group(&self, row: &Row) -> Option<&Group> {
        self.groups.get(&row.cgroup?.get())
    }

    /// The name of the user of a row's socket.
    pub fn user(&self, row: &Row) -> Option<&str> {
        self.users.get(&row.uid?).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_small() {
        // With a detail and an owner this is less than 300 bytes a socket.
        assert!(size_of::<Row>() <= 144, "{}", size_of::<Row>());
        assert!(size_of::<TcpDetail>() <= 112, "{}", size_of::<TcpDetail>());
        assert_eq!(size_of::<OwnerLink>(), 8);
    }

    #[test]
    fn a_row_finds_what_it_refers_to() {
        let owner = |pid| Owner { pid: Some(pid), ..Owner::default() };
        let mut rows = Rows {
            processes: alloc::vec![owner(7), owner(8)],
            links: alloc::vec![
                OwnerLink { process: ProcessId(1), descriptor: 3 },
                OwnerLink { process: ProcessId(0), descriptor: 4 },
            ],
            ..Rows::default()
        };
        let mut row =
            Row::new(Transport::Tcp, End::new("192.0.2.1:80".parse().expect("an endpoint")), State::Listen);
        row.owners = OwnerSpan { first: 0, count: 2 };
        let pids: Vec<_> = rows.owners(&row).map(|(owner, link)| (owner.pid, link.descriptor)).collect();
        assert_eq!(pids, [(Some(8), 3), (Some(7), 4)]);
        // A span that points nowhere is no owner, and no panic.
        rows.links.clear();
        assert_eq!(rows.owners(&row).count(), 0);
        assert!(rows.detail(&row).is_none() && rows.network(&row).is_none() && rows.group(&row).is_none());
    }
}
