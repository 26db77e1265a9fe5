//! The choice of an ephemeral port: RFC 6056, section 3.3.4, algorithm 4 (double-hash port selection).
//!
//! Ports to one destination follow each other, so that they are reused as late as possible; what stands between the
//! sequences of two destinations is not to be guessed without the key. A port that is taken costs one look-up more;
//! every port of the range is tried before the answer is `None`.

use alloc::vec;
use alloc::vec::Vec;

use crate::endpoint::{Addr, Endpoint};
use crate::hash::HashKey;
use crate::port::{Port, PortRange};
use crate::table::Table;
use crate::tuple::{Protocol, Tuple};

/// The counters of algorithm 4, `TABLE_LENGTH` of them: more tell less about other destinations.
const COUNTERS: usize = 1024;

/// The state of the choice.
#[derive(Debug)]
pub struct Ephemeral {
    offset_key: HashKey,
    counter_key: HashKey,
    counters: Vec<u32>,
}

impl Ephemeral {
    /// The state that follows from `key`, which must be random.
    pub fn new(key: HashKey) -> Ephemeral {
        Ephemeral { offset_key: key.derive(1), counter_key: key.derive(2), counters: vec![0; COUNTERS] }
    }

    /// A port of `range` with which (protocol, `local`, `remote`) is free in `table`: no flow has the tuple, no
    /// binding has the port on that address, and the two ends are not the same. `None` when there is none left.
    ///
    /// One hash and one look-up where the next port is free; one more look-up for each that is not.
    pub fn choose(
        &mut self,
        protocol: Protocol,
        local: Addr,
        remote: Endpoint,
        range: PortRange,
        table: &Table,
    ) -> Option<Port> {
        self.choose_where(protocol, local, remote, range, |port| {
            let local = Endpoint { addr: local, port: port.number() };
            local != remote && table.is_free(&Tuple { protocol, local, remote })
        })
    }

    /// The same with another idea of what is free.
    pub(crate) fn choose_where(
        &mut self,
        protocol: Protocol,
        local: Addr,
        remote: Endpoint,
        range: PortRange,
        mut is_free: impl FnMut(Port) -> bool,
    ) -> Option<Port> {
        let asked = Tuple { protocol, local: Endpoint { addr: local, port: 0 }, remote };
        let offset = self.offset_key.hash_tuple(&asked);
        let counter = &mut self.counters[self.counter_key.hash_tuple(&asked) as usize % COUNTERS];
        let count = u64::from(range.count());
        for _ in 0..count {
            let step = (offset % count + u64::from(*counter)) % count;
            *counter = counter.wrapping_add(1);
            let number = u64::from(range.first().number()) + step;
            let port = u16::try_from(number).ok().and_then(Port::new).expect("a range ends at 65535");
            if is_free(port) {
                return Some(port);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
