//! The changes of every TCP socket's state, from the tracepoint `sock:inet_sock_set_state`: of all networks of the host.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, SystemTime};

use wharf_sys::netlink::sock_diag::tcp_state;
use wharf_sys::perf::{Rings, Sample};
use wharf_sys::tracepoint::{Field, Tracepoint};
use wharf_table::rows::State;
use wharf_table::{Addr, Endpoint};

use super::clock::Clock;

/// Pages of a processor's ring: half a megabyte, five thousand changes.
const PAGES: usize = 128;
const AF_INET: u64 = 2;
const AF_INET6: u64 = 10;
const IPPROTO_TCP: u64 = 6;

/// A change of a TCP socket's state.
#[derive(Clone, Copy, Debug)]
pub(super) struct StateChange {
    pub(super) socket: u64,
    pub(super) state: State,
    pub(super) local: Endpoint,
    pub(super) remote: Option<Endpoint>,
    pub(super) at: SystemTime,
    /// The process that ran.
    pub(super) pid: u32,
}

/// The rings, and where what stands in their records.
#[derive(Debug)]
pub(super) struct States {
    rings: Rings,
    fields: Fields,
    clock: Clock,
}

#[derive(Clone, Copy, Debug)]
struct Fields {
    socket: Field,
    state: Field,
    local_port: Field,
    remote_port: Field,
    family: Field,
    protocol: Field,
    local_v4: Field,
    remote_v4: Field,
    local_v6: Field,
    remote_v6: Field,
}

impl Fields {
    fn of(point: &Tracepoint) -> Option<Fields> {
        Some(Fields {
            socket: point.field("skaddr")?,
            state: point.field("newstate")?,
            local_port: point.field("sport")?,
            remote_port: point.field("dport")?,
            family: point.field("family")?,
            protocol: point.field("protocol")?,
            local_v4: point.field("saddr")?,
            remote_v4: point.field("daddr")?,
            local_v6: point.field("saddr_v6")?,
            remote_v6: point.field("daddr_v6")?,
        })
    }

    fn read(&self, sample: &Sample<'_>, clock: Clock) -> Option<StateChange> {
        let record = sample.record;
        if self.protocol.number(record) != IPPROTO_TCP {
            return None;
        }
        let end = |port: Field, v4: Field, v6: Field| {
            let addr = match self.family.number(record) {
                AF_INET => Addr::v4(v4.bytes(record).try_into().ok()?),
                AF_INET6 => Addr::v6(v6.bytes(record).try_into().ok()?),
                _ => return None,
            };
            Some(Endpoint { addr, port: u16::try_from(port.number(record)).ok()? })
        };
        let remote = end(self.remote_port, self.remote_v4, self.remote_v6)?;
        Some(StateChange {
            socket: self.socket.number(record),
            state: tcp_state(u8::try_from(self.state.number(record)).ok()?)?,
            local: end(self.local_port, self.local_v4, self.local_v6)?,
            remote: (remote.port != 0).then_some(remote),
            at: clock.time(Duration::from_nanos(sample.at_ns)),
            pid: sample.pid,
        })
    }
}

impl States {
    /// Begins to listen.
    ///
    /// # Errors
    /// The rights are missing (CAP_PERFMON, and root to read tracefs), or the kernel has no such events.
    pub(super) fn listen() -> io::Result<States> {
        let point = Tracepoint::find("sock", "inet_sock_set_state")?;
        let fields = Fields::of(&point).ok_or(io::ErrorKind::Unsupported)?;
        Ok(States { rings: Rings::open(&[&point], PAGES)?, fields, clock: Clock::now() })
    }

    /// What to wait for.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.rings.descriptors()
    }

    /// What happened since the last time, in its order, and how much of it the kernel had to drop.
    pub(super) fn read(&mut self) -> (Vec<StateChange>, u64) {
        let mut changes = Vec::new();
        let (fields, clock) = (self.fields, self.clock);
        let dropped = self.rings.read(|sample| changes.extend(fields.read(&sample, clock)));
        // Each processor has a ring of its own.
        changes.sort_by_key(|change| change.at);
        (changes, dropped)
    }
}
