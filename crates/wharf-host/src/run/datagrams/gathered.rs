//! Datagrams of one size on their way to one place, gathered from a batch of frames so that one system call sends them all
//! (`UDP_SEGMENT`, udp(7)).
//!
//! Invariant: all have the same size but the last, which may be smaller and then is the last.

use std::net::SocketAddr;

use wharf_stack::stack::DatagramIn;
use wharf_table::{Endpoint, Protocol};

/// The most datagrams that the kernel cuts from one call (UDP_MAX_SEGMENTS of older kernels).
const COUNT_MAX: usize = 64;
/// The most bytes of one call: a datagram's.
const BYTES_MAX: usize = 65_000;

/// What is gathered; [`Default`] is nothing.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    way: Option<Way>,
    /// Bytes of each but the last.
    size: usize,
    bytes: Vec<u8>,
    /// Whether another one may follow: the last one had the full size.
    open: bool,
}

/// What all have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Way {
    key: u32,
    to: SocketAddr,
    source: Endpoint,
    destination: Endpoint,
    hop_limit: u8,
    dont_fragment: bool,
}

impl Way {
    fn of(key: u32, to: SocketAddr, datagram: &DatagramIn<'_>) -> Way {
        let DatagramIn { source, destination, hop_limit, dont_fragment, .. } = *datagram;
        Way { key, to, source, destination, hop_limit, dont_fragment }
    }
}

impl Gathered {
    /// Whether a datagram may be gathered at all: one that is many already goes alone, as does an empty one.
    pub(super) fn may_begin_with(datagram: &DatagramIn<'_>) -> bool {
        datagram.gso_size == 0 && !datagram.payload.is_empty() && datagram.payload.len() <= BYTES_MAX / 2
    }

    /// Whether a datagram goes the way of those that are gathered, behind them.
    pub(super) fn takes(&self, key: u32, to: SocketAddr, datagram: &DatagramIn<'_>) -> bool {
        let len = datagram.payload.len();
        self.open
            && Gathered::may_begin_with(datagram)
            && len <= self.size
            && self.bytes.len() + len <= BYTES_MAX
            && self.count() < COUNT_MAX
            && self.way == Some(Way::of(key, to, datagram))
    }

    /// Begins with a datagram for the socket `key`.
    pub(super) fn begin(&mut self, key: u32, to: SocketAddr, datagram: &DatagramIn<'_>) {
        self.clear();
        self.way = Some(Way::of(key, to, datagram));
        self.size = datagram.payload.len();
        self.push(datagram);
    }

    /// Puts a datagram behind the others, which has been [taken](Gathered::takes).
    pub(super) fn push(&mut self, datagram: &DatagramIn<'_>) {
        self.bytes.extend_from_slice(datagram.payload);
        self.open = datagram.payload.len() == self.size;
    }

    /// The socket and where to; `None` when nothing is gathered.
    pub(super) fn destination(&self) -> Option<(u32, SocketAddr)> {
        self.way.map(|way| (way.key, way.to))
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        if self.size == 0 { 0 } else { self.bytes.len().div_ceil(self.size) }
    }

    /// All as one, to be cut by the kernel.
    pub(super) fn whole(&self) -> DatagramIn<'_> {
        let size =
            u16::try_from(self.size).expect("a datagram that is gathered is at most half of BYTES_MAX");
        self.part(&self.bytes, size)
    }

    /// Each for itself.
    pub(super) fn iter(&self) -> impl Iterator<Item = DatagramIn<'_>> {
        self.bytes.chunks(self.size.max(1)).map(|payload| self.part(payload, 0))
    }

    fn part<'a>(&self, payload: &'a [u8], gso_size: u16) -> DatagramIn<'a> {
        let way = self.way.expect("what is gathered has a way");
        DatagramIn {
            source: way.source,
            destination: way.destination,
            protocol: Protocol::Udp,
            binding: None,
            payload,
            gso_size,
            hop_limit: way.hop_limit,
            dont_fragment: way.dont_fragment,
        }
    }

    /// Forgets all, but keeps the memory.
    pub(super) fn clear(&mut self) {
        self.way = None;
        self.size = 0;
        self.bytes.clear();
        self.open = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(payload: &[u8]) -> DatagramIn<'_> {
        let at = |text: &str| text.parse::<SocketAddr>().expect("a socket address").into();
        DatagramIn {
            source: at("10.0.2.100:5000"),
            destination: at("192.0.2.1:53"),
            protocol: Protocol::Udp,
            binding: None,
            payload,
            gso_size: 0,
            hop_limit: 63,
            dont_fragment: true,
        }
    }

    fn to() -> SocketAddr {
        "192.0.2.1:53".parse().expect("a socket address")
    }

    #[test]
    fn one_size_goes_together_and_a_smaller_one_is_the_last() {
        let mut gathered = Gathered::default();
        assert!(!gathered.takes(1, to(), &datagram(b"abcd")));
        gathered.begin(1, to(), &datagram(b"abcd"));
        assert!(gathered.takes(1, to(), &datagram(b"efgh")));
        gathered.push(&datagram(b"efgh"));
        assert!(!gathered.takes(1, to(), &datagram(b"longer")), "a longer one begins anew");
        assert!(!gathered.takes(2, to(), &datagram(b"ijkl")), "another socket");
        gathered.push(&datagram(b"ij"));
        assert!(!gathered.takes(1, to(), &datagram(b"kl")), "nothing follows a smaller one");
        assert_eq!(gathered.count(), 3);
        assert_eq!((gathered.whole().payload, gathered.whole().gso_size), (&b"abcdefghij"[..], 4));
        let parts: Vec<&[u8]> = gathered.iter().map(|part| part.payload).collect();
        assert_eq!(parts, [&b"abcd"[..], b"efgh", b"ij"]);
    }

    #[test]
    fn other_hop_limits_and_empty_ones_go_their_own_way() {
        let mut gathered = Gathered::default();
        gathered.begin(1, to(), &datagram(b"abcd"));
        assert!(!gathered.takes(1, to(), &DatagramIn { hop_limit: 3, ..datagram(b"abcd") }));
        assert!(!gathered.takes(1, to(), &datagram(b"")));
        assert!(!Gathered::may_begin_with(&datagram(b"")));
        assert!(!Gathered::may_begin_with(&DatagramIn { gso_size: 2, ..datagram(b"abcd") }));
    }

    #[test]
    fn no_more_than_the_kernel_cuts() {
        let mut gathered = Gathered::default();
        gathered.begin(1, to(), &datagram(b"a"));
        while gathered.takes(1, to(), &datagram(b"a")) {
            gathered.push(&datagram(b"a"));
        }
        assert_eq!(gathered.count(), COUNT_MAX);
    }
}
