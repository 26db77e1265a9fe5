//! Streams of HTTP whose every request is looked at: a connection may carry one for another host behind the first.
//!
//! A head goes out when it is whole and judged, a body as it comes.

use wharf_stack::stack::{ConnId, Stack};
use wharf_table::Instant;
use wharf_table::policy::{Outcome, Shown};
use wharf_wire::http::{Head, Next, Requests};

use super::super::guard::{Guard, Ruling, name_of};
use super::Stream;

/// How far a stream of requests was read.
#[derive(Default)]
pub(super) struct Following {
    requests: Requests,
    /// Bytes at the front of what was received that were read.
    read: usize,
    /// Those of them that may go out.
    passed: usize,
    /// Another protocol has taken over: everything may go out.
    over: bool,
    /// A request that is denied.
    denied: Option<Box<Ruling>>,
}

impl Following {
    /// Bytes have gone out.
    fn consume(&mut self, count: usize) {
        self.read = self.read.saturating_sub(count);
        self.passed = self.passed.saturating_sub(count);
    }

    /// Reads bytes that follow those that were read.
    fn push(&mut self, mut bytes: &[u8], mut judge: impl FnMut(Option<&Head>) -> Result<(), Box<Ruling>>) {
        while !bytes.is_empty() && !self.over && self.denied.is_none() {
            let (taken, next) = self.requests.take(bytes);
            self.read += taken;
            bytes = bytes.get(taken..).unwrap_or_default();
            let judged = match next {
                Next::NeedMore => continue,
                Next::Body => Ok(()),
                Next::Head(head) => judge(Some(&head)),
                Next::Other => {
                    self.over = true;
                    Ok(())
                }
                Next::Malformed(_) => judge(None),
            };
            match judged {
                Ok(()) => self.passed = self.read,
                Err(ruling) => self.denied = Some(ruling),
            }
        }
    }
}

impl Stream {
    /// Reads on in the requests that have come, where they are followed.
    pub(super) fn follow(&mut self, now: Instant, id: ConnId, stack: &Stack) {
        let Some(held) = self.held.as_deref_mut() else { return };
        let super::held::Held { guard, tuple, following: Some(following), .. } = held else { return };
        let judge = |head: Option<&Head>| judge(now, guard, tuple, head);
        let (slices, _) = stack.received(id);
        let mut before = following.read;
        for slice in slices {
            let skipped = before.min(slice.len());
            before -= skipped;
            following.push(&slice[skipped..], judge);
        }
    }

    /// How much of what was received may go out now.
    pub(super) fn may_send(&self) -> usize {
        let following = self.held.as_ref().and_then(|held| held.following.as_deref());
        following.map_or(usize::MAX, |following| if following.over { usize::MAX } else { following.passed })
    }

    /// So much has gone out.
    pub(super) fn on_sent(&mut self, count: usize) {
        if let Some(following) = self.held.as_mut().and_then(|held| held.following.as_deref_mut()) {
            following.consume(count);
        }
    }

    /// The request that must not go out, if one has come.
    pub(super) fn take_denied(&mut self) -> Option<Box<Ruling>> {
        self.held.as_mut()?.following.as_mut()?.denied.take()
    }
}

/// What the guard says of a request, or of what can't be read as one.
fn judge(
    now: Instant,
    guard: &Guard,
    tuple: &wharf_table::Tuple,
    head: Option<&Head>,
) -> Result<(), Box<Ruling>> {
    let name = head.and_then(|head| head.host.as_ref()).and_then(name_of);
    let ruling = guard.decide(now, tuple, name.as_ref().map_or(Shown::Hidden, Shown::Name));
    if ruling.outcome == Outcome::Deny { Err(Box::new(ruling)) } else { Ok(()) }
}
