//! Rows by the number of their socket.

use hashbrown::HashTable;
use wharf_table::rows::Row;

/// Rows by the number of their socket. The number is the kernel's choice and nobody's secret, so multiplying it is hash enough.
#[derive(Debug, Default)]
pub(super) struct Index {
    rows: HashTable<(u32, u32)>,
    /// Rows whose socket another row has as well (subflows of Multipath TCP), and that other row.
    twins: Vec<(u32, u32)>,
}

fn hash(inode: u32) -> u64 {
    u64::from(inode).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Index {
    pub(super) fn of(rows: &[Row]) -> Index {
        let count = rows.iter().filter(|row| row.inode.is_some()).count();
        let mut index = Index { rows: HashTable::with_capacity(count), twins: Vec::new() };
        for (at, row) in rows.iter().enumerate() {
            let Some(inode) = row.inode.and_then(|inode| u32::try_from(inode.get()).ok()) else { continue };
            let entry = index.rows.entry(hash(inode), |known| known.0 == inode, |known| hash(known.0));
            match entry {
                hashbrown::hash_table::Entry::Occupied(first) => {
                    index.twins.push((at as u32, first.get().1));
                }
                hashbrown::hash_table::Entry::Vacant(free) => {
                    free.insert((inode, at as u32));
                }
            }
        }
        index
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The row of a socket.
    pub(super) fn row(&self, inode: u32) -> Option<u32> {
        self.rows.find(hash(inode), |known| known.0 == inode).map(|known| known.1)
    }

    /// The rows that are none of `found`.
    pub(super) fn without(&self, found: impl Iterator<Item = u32>) -> Index {
        let most = self.rows.iter().map(|known| known.1).max().map_or(0, |row| row as usize + 1);
        let mut seen = vec![false; most];
        for row in found {
            if let Some(seen) = seen.get_mut(row as usize) {
                *seen = true;
            }
        }
        let mut index = Index::default();
        for known in self.rows.iter().filter(|known| seen.get(known.1 as usize) == Some(&false)) {
            index.rows.insert_unique(hash(known.0), *known, |known| hash(known.0));
        }
        index
    }

    /// The numbers of all sockets.
    pub(super) fn inodes(&self) -> impl Iterator<Item = u32> {
        self.rows.iter().map(|known| known.0)
    }

    /// Gives rows of the same socket the same owners.
    pub(super) fn share_owners(&self, rows: &mut [Row]) {
        for &(twin, first) in &self.twins {
            let owners = rows.get(first as usize).map(|row| row.owners).unwrap_or_default();
            if let Some(row) = rows.get_mut(twin as usize) {
                row.owners = owners;
            }
        }
    }
}
