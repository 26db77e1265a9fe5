//! Datagrams of one size on one way, gathered from a batch so that one call moves them all: to the host with `UDP_SEGMENT`
//! (udp(7)), to the program as a frame that its kernel cuts.
//!
//! Invariant: all have the same size but the last, which may be smaller and then is the last.

/// The most datagrams that the kernel cuts from one call (UDP_MAX_SEGMENTS of older kernels).
const COUNT_MAX: usize = 64;
/// The most bytes of one call: a datagram's, with room for headers.
const BYTES_MAX: usize = 65_000;

/// What is gathered, and the way `W` that all of it goes; [`Default`] is nothing.
#[derive(Debug)]
pub(super) struct Gathered<W> {
    way: Option<W>,
    /// Bytes of each but the last.
    size: usize,
    bytes: Vec<u8>,
    /// Whether another one may follow: the last one had the full size.
    open: bool,
}

impl<W> Default for Gathered<W> {
    fn default() -> Gathered<W> {
        Gathered { way: None, size: 0, bytes: Vec::new(), open: false }
    }
}

impl<W: Copy + PartialEq> Gathered<W> {
    /// Whether a datagram may be gathered at all: not an empty one, and none of which not even two fit.
    pub(super) fn may_begin_with(payload: &[u8]) -> bool {
        !payload.is_empty() && payload.len() <= BYTES_MAX / 2
    }

    /// Puts a datagram behind the others, if it goes their way and fits; says whether it did.
    pub(super) fn push(&mut self, way: W, payload: &[u8]) -> bool {
        let takes = self.open
            && self.way == Some(way)
            && !payload.is_empty()
            && payload.len() <= self.size
            && self.bytes.len() + payload.len() <= BYTES_MAX
            && self.count() < COUNT_MAX;
        if takes {
            self.bytes.extend_from_slice(payload);
            self.open = payload.len() == self.size;
        }
        takes
    }

    /// Begins anew with a datagram that [may](Gathered::may_begin_with) be the first.
    pub(super) fn begin(&mut self, way: W, payload: &[u8]) {
        self.clear();
        self.way = Some(way);
        self.size = payload.len();
        self.bytes.extend_from_slice(payload);
        self.open = true;
    }

    /// The way; `None` when nothing is gathered.
    pub(super) fn way(&self) -> Option<W> {
        self.way
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        if self.size == 0 { 0 } else { self.bytes.len().div_ceil(self.size) }
    }

    /// All as one, and the bytes of each; 0 where it is one.
    pub(super) fn whole(&self) -> (&[u8], u16) {
        let size =
            u16::try_from(self.size).expect("a datagram that is gathered is at most half of BYTES_MAX");
        (&self.bytes, if self.count() > 1 { size } else { 0 })
    }

    /// Each for itself.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks(self.size.max(1))
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

    #[test]
    fn one_size_goes_together_and_a_smaller_one_is_the_last() {
        let mut gathered = Gathered::default();
        assert!(!gathered.push('a', b"abcd"), "nothing has begun");
        gathered.begin('a', b"abcd");
        assert_eq!(gathered.whole(), (&b"abcd"[..], 0));
        assert!(gathered.push('a', b"efgh"));
        assert!(!gathered.push('a', b"longer"), "a longer one begins anew");
        assert!(!gathered.push('b', b"ijkl"), "another way");
        assert!(!gathered.push('a', b""), "an empty one would be lost");
        assert!(gathered.push('a', b"ij"));
        assert!(!gathered.push('a', b"kl"), "nothing follows a smaller one");
        assert_eq!(gathered.count(), 3);
        assert_eq!(gathered.whole(), (&b"abcdefghij"[..], 4));
        assert_eq!(gathered.iter().collect::<Vec<_>>(), [&b"abcd"[..], b"efgh", b"ij"]);
    }

    #[test]
    fn no_more_than_the_kernel_cuts() {
        let mut gathered = Gathered::default();
        gathered.begin((), b"a");
        while gathered.push((), b"a") {}
        assert_eq!(gathered.count(), COUNT_MAX);
        gathered.begin((), &[0; 1400]);
        while gathered.push((), &[0; 1400]) {}
        assert!(gathered.whole().0.len() <= BYTES_MAX);
    }
}
