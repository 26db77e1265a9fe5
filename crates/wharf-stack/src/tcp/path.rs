//! How large a packet the path takes: what ICMP says of it (RFC 1191; RFC 8201), with the doubts of RFC 5927, section 7.2,
//! and what is found out without ICMP (RFC 4821; as tcp_mtu_probing of Linux).
//!
//! - A claim below a size of which a segment was acknowledged may be forged: it is believed when the quoted segment has to be
//!   sent again, and forgotten when it is acknowledged.
//! - A limit that was learnt is given up after ten minutes, in case the path has changed.
//! - Where nothing comes back and ICMP is silent, segments shrink; from there the size is searched for with single larger
//!   segments, whose loss says nothing of congestion.
//!
//! Sizes count TCP options as payload, as the MSS option does.

use core::time::Duration;

use wharf_table::Instant;

use super::segment_out::SegmentOut;
use super::seq::{Range, SeqNum};
use super::{Connection, MtuProbing, State};

/// The least segment that ICMP or silence can bring about: 552, Linux' least path MTU, less headers, over IPv4; what every
/// link of IPv6 carries over that (RFC 8200, section 5).
pub(crate) const LEAST_V4: u16 = 512;
pub(crate) const LEAST_V6: u16 = 1_220;
/// Where the search begins over IPv4 (tcp_base_mss of Linux; RFC 4821, section 7.2).
const BASE_V4: u16 = 1_024;
/// How long a limit is believed (RFC 1191, section 6.3; RFC 8201, section 5.3), and between two searches.
pub(crate) const LIMIT_LASTS: Duration = Duration::from_secs(600);
/// The search ends when it is this exact (tcp_probe_threshold of Linux).
const EXACT_ENOUGH: u16 = 8;
/// Segments that the congestion window must hold, more than it holds at first (as in Linux).
const WINDOW_FOR_PROBES: u32 = 11;
/// Segments that must be ready behind a probe, so that its loss shows.
const SEGMENTS_BEHIND: u32 = 4;

/// The largest size of which a segment was acknowledged, and what is on its way to prove more.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    proven: u16,
    /// The size of a segment on its way, 0 for none.
    size: u16,
    end: SeqNum,
}

impl Proof {
    pub(super) const NONE: Proof = Proof { proven: 0, size: 0, end: SeqNum::new(0) };
}

/// What is known of the path.
#[derive(Clone, Debug)]
pub(super) struct Path {
    /// The size without what is known.
    full: u16,
    since: Instant,
    claim: Option<Claim>,
    search: Option<Search>,
    /// A limit that others to the same destination should know.
    news: Option<u16>,
}

/// What ICMP has claimed and nothing confirms.
#[derive(Clone, Debug)]
struct Claim {
    size: u16,
    quoted: SeqNum,
}

/// The search for the size: `low` gets through, above `high` nothing does.
#[derive(Clone, Debug)]
struct Search {
    low: u16,
    high: u16,
    next: Instant,
    /// The size of the probe on its way, 0 for none, and where it lies.
    size: u16,
    start: SeqNum,
    end: SeqNum,
}

impl Path {
    const fn new(full: u16, now: Instant) -> Path {
        Path { full, since: now, claim: None, search: None, news: None }
    }
}

/// What ICMP and the handshake tell.
impl Connection {
    /// A router says that the path takes only `mss` bytes of TCP payload and options a packet, its MTU less IP and TCP header,
    /// and quotes the segment at `quoted`, which is on its way. What is too large goes again, once it is believed.
    pub fn handle_path_mtu(&mut self, now: Instant, mss: u16, quoted: SeqNum) {
        let mss = mss.max(self.least_segment());
        let heard = self.limits.path_discovery || !self.tuple.remote.addr.is_v4();
        if mss >= self.mss || !heard {
            return;
        }
        if mss < self.proof.proven && self.state.is_synchronized() {
            self.path(now).claim = Some(Claim { size: mss, quoted });
            return;
        }
        self.limit_path(now, mss);
        if self.state.is_synchronized() && self.snd.flight() > 0 {
            self.resend_all();
            self.dirty = true;
        }
    }

    /// The largest packet of the path as far as it is known, in bytes, less IP and TCP header.
    pub(super) fn path_mss(&self) -> u16 {
        let path = self.rare.as_ref().and_then(|rare| rare.path.as_ref());
        if path.is_some_and(|path| self.mss < path.full) { self.mss } else { self.limits.link_mss }
    }

    /// Whether the stack should remember something of the path.
    pub(crate) fn has_path_news(&self) -> bool {
        let path = self.rare.as_ref().and_then(|rare| rare.path.as_ref());
        path.is_some_and(|path| path.news.is_some())
    }

    /// The limit that the stack should remember for the destination, once.
    pub(crate) fn take_path_news(&mut self) -> Option<u16> {
        self.rare.as_mut()?.path.as_mut()?.news.take()
    }

    /// The peer's segment size is known: what is known of the path holds from the start.
    pub(super) fn begin_path(&mut self, now: Instant) {
        let known = self.limits.path_mss;
        if known != 0 && known < self.mss {
            self.path(now);
            self.mss = known;
        }
        let base = self.base_segment();
        if self.limits.mtu_probing == MtuProbing::Always && self.mss > base {
            self.search_from(now, base);
        }
    }

    fn limit_path(&mut self, now: Instant, mss: u16) {
        let path = self.path(now);
        (path.since, path.claim, path.news) = (now, None, Some(mss));
        if let Some(search) = &mut path.search {
            (search.high, search.size) = (search.high.min(mss), 0);
            search.low = search.low.min(search.high);
        }
        (self.mss, self.proof) = (mss, Proof::NONE);
    }

    fn path(&mut self, now: Instant) -> &mut Path {
        let full = self.mss;
        self.rare().path.get_or_insert_with(|| Path::new(full, now))
    }

    fn least_segment(&self) -> u16 {
        if self.tuple.remote.addr.is_v4() { LEAST_V4 } else { LEAST_V6 }
    }

    fn base_segment(&self) -> u16 {
        BASE_V4.max(self.least_segment())
    }
}

/// What acknowledgments, their absence and time tell.
impl Connection {
    /// A segment with these numbers leaves; a full one will prove its size.
    pub(super) fn note_full_segment(&mut self, range: Range, segment: u32) {
        // A small window of the peer makes segments that prove nothing of the path.
        let is_full = range.len() >= segment && self.snd.worth() >= u32::from(self.mss);
        if self.proof.size == 0 && self.proof.proven != self.mss && is_full {
            (self.proof.size, self.proof.end) = (self.mss, range.left + segment);
        }
    }

    /// `snd_una` has moved.
    pub(super) fn on_path_progress(&mut self, now: Instant) {
        let una = self.snd.snd_una;
        if self.proof.size != 0 && !una.before(self.proof.end) {
            (self.proof.proven, self.proof.size) = (self.proof.size, 0);
        }
        let Some(path) = self.rare.as_mut().and_then(|rare| rare.path.as_mut()) else { return };
        if path.claim.as_ref().is_some_and(|claim| una.after(claim.quoted)) {
            path.claim = None;
        }
        if let Some(search) = &mut path.search
            && search.size != 0
            && !una.before(search.end)
        {
            // The probe has arrived: so large may all be.
            (self.mss, search.low) = (search.size, search.size);
            (search.size, path.since) = (0, now);
            self.proof = Proof { proven: self.mss, ..Proof::NONE };
        }
    }

    /// The retransmission timer has run out. A claim that waited for this is believed; without one, silence for long is taken
    /// for a path that swallows what is too large (RFC 4821, section 7.7).
    pub(super) fn doubt_path(&mut self, now: Instant) {
        let claim = self.rare.as_mut().and_then(|rare| rare.path.as_mut()?.claim.take());
        if let Some(claim) = claim {
            return self.limit_path(now, claim.size);
        }
        if let Some(search) = self.search() {
            search.size = 0;
        }
        if self.limits.mtu_probing == MtuProbing::Off || !self.is_unanswered() {
            return;
        }
        let base = self.base_segment();
        let smaller = if self.mss > base { base } else { (self.mss / 2).max(self.least_segment()) };
        if smaller < self.mss {
            self.search_from(now, smaller);
        }
    }

    /// A limit that is old is tried again (RFC 1191, section 6.3).
    pub(super) fn raise_old_limit(&mut self, now: Instant) {
        let Some(path) = self.rare.as_mut().and_then(|rare| rare.path.as_mut()) else { return };
        if path.since + LIMIT_LASTS > now {
            return;
        }
        path.since = now;
        match &mut path.search {
            Some(search) => search.high = path.full,
            None => self.mss = path.full,
        }
    }

    fn search_from(&mut self, now: Instant, low: u16) {
        let path = self.path(now);
        let high = path.full;
        let at = SeqNum::new(0);
        path.search = Some(Search { low, high, next: now, size: 0, start: at, end: at });
        path.since = now;
        (self.mss, self.proof) = (low, Proof::NONE);
    }

    fn search(&mut self) -> Option<&mut Search> {
        self.rare.as_mut()?.path.as_mut()?.search.as_mut()
    }
}

/// Probes.
impl Connection {
    /// A single larger segment, when the size is searched for and there is enough behind it to show its loss (RFC 4821,
    /// section 7.4).
    pub(super) fn path_probe(&mut self, now: Instant, unsent: u32, out: &mut SegmentOut) -> bool {
        let (mss, options) = (u32::from(self.mss), u32::from(self.mss) - self.segment_size());
        let quiet = self.recovery.is_none()
            && self.state == State::Established
            && self.congestion.window() >= WINDOW_FOR_PROBES * mss;
        let congestion = self.congestion.window().saturating_sub(self.pipe());
        let room = unsent.min(self.snd.usable());
        let Some(search) = self.search() else { return false };
        if !quiet || search.size != 0 || search.next > now || search.high - search.low < EXACT_ENOUGH {
            return false;
        }
        let size = search.low + (search.high - search.low).div_ceil(2);
        let len = u32::from(size) - options;
        if room < len + SEGMENTS_BEHIND * mss || congestion < len {
            return false;
        }
        let start = self.snd.snd_nxt;
        self.new_segment(now, len, out);
        out.gso_size = None;
        if let Some(search) = self.search() {
            (search.size, search.start, search.end) = (size, start, start + len);
        }
        true
    }

    /// What is lost at the head is the probe: it was too large, and nothing else is said (RFC 4821, section 7.5). Whether
    /// it was.
    pub(super) fn on_probe_lost(&mut self) -> bool {
        let una = self.snd.snd_una;
        let Some(search) = self.search() else { return false };
        if search.size == 0 || search.start != una {
            return false;
        }
        (search.high, search.size) = (search.size - 1, 0);
        true
    }

    /// What is sent again is no probe any more.
    pub(super) fn forget_resent_probe(&mut self, range: Range) {
        if let Some(search) = self.search()
            && search.size != 0
            && !range.right.before(search.start)
            && range.left.before(search.end)
        {
            search.size = 0;
        }
    }
}

super::park::packed!(struct Proof { proven, size, end });
super::park::packed!(struct Claim { size, quoted });
super::park::packed!(struct Search { low, high, next, size, start, end });
super::park::packed!(struct Path { full, since, claim, search, news });
