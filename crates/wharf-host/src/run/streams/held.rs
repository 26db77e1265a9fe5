//! Streams of which no byte goes out before it is known which name is meant.
//!
//! The guard has let the flow open because a name may be meant that a rule allows; several may share its address. What the program
//! sends stays in the receive buffer until its first bytes show a name, or that they show none. What the host sends goes in all
//! the time: some protocols begin there.

use arrayvec::ArrayVec;
use wharf_stack::stack::{ConnId, Stack};
use wharf_table::policy::{Outcome, Shown};
use wharf_table::{Instant, Tuple};

use super::super::guard::{Guard, Look, Ruling, look};
use super::followed::Following;
use super::{Drained, Stream, Streams, Turn};

/// What is looked at, in bytes: a record of TLS with its header, and a little more.
const LOOK_MAX: usize = 20 * 1024;

/// A stream that was judged, and may be judged again.
pub(super) struct Held {
    pub(super) guard: Guard,
    /// The flow as the program sees it.
    pub(super) tuple: Tuple,
    /// What was said of it last.
    ruling: Ruling,
    /// How many bytes were looked at when more were wanted.
    seen: usize,
    /// Set where one request may follow another.
    pub(super) following: Option<Box<Following>>,
}

/// What came of a look.
pub(super) enum Examined {
    /// Its bytes may go out from now on.
    Free,
    /// More is wanted.
    Wait,
    /// It ends here.
    Denied(Box<Ruling>),
}

/// Whether more may come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum More {
    May,
    No,
}

impl Held {
    pub(super) fn new(guard: Guard, tuple: Tuple, ruling: Ruling) -> Box<Held> {
        Box::new(Held { guard, tuple, ruling, seen: 0, following: None })
    }

    fn obey(&mut self, ruling: Ruling) -> Examined {
        if ruling.outcome == Outcome::Deny {
            return Examined::Denied(Box::new(ruling));
        }
        self.ruling = ruling;
        Examined::Free
    }

    /// What let it through, and the name that it goes to.
    pub(super) fn ruling(&self) -> &Ruling {
        &self.ruling
    }
}

impl Stream {
    /// Looks at what the program has sent so far, if it is to be looked at.
    pub(super) fn examine(&mut self, now: Instant, id: ConnId, stack: &Stack, more: More) -> Examined {
        let Some(held) = self.held.as_mut().filter(|held| held.ruling.outcome == Outcome::AllowOnceShown)
        else {
            return Examined::Free;
        };
        let (slices, len) = stack.received(id);
        let more = if stack.connection(id).peer_has_finished() { More::No } else { more };
        if len == held.seen && more == More::May {
            return Examined::Wait;
        }
        held.seen = len;
        let mut bytes = ArrayVec::<u8, LOOK_MAX>::new();
        for slice in slices {
            let part = slice.len().min(bytes.remaining_capacity());
            // What is cut here would have fitted into no hello.
            let fitted = bytes.try_extend_from_slice(&slice[..part]);
            if part < slice.len() || fitted.is_err() {
                break;
            }
        }
        let shown = match look(&bytes) {
            Look::NeedMore if more == More::May && !bytes.is_full() => return Examined::Wait,
            // Nothing was sent, and nothing will be.
            Look::NeedMore if bytes.is_empty() => Shown::Nothing,
            Look::NeedMore | Look::Hidden => Shown::Hidden,
            Look::Nothing => Shown::Nothing,
            Look::Name(ref name) => return held.obey(held.guard.decide(now, &held.tuple, Shown::Name(name))),
            Look::Request(ref name) => {
                held.following = Some(Box::default());
                return held.obey(held.guard.decide(now, &held.tuple, Shown::Name(name)));
            }
        };
        held.obey(held.guard.decide(now, &held.tuple, shown))
    }

    /// Whether what the program sends waits.
    pub(super) fn is_held(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.ruling.outcome == Outcome::AllowOnceShown)
    }

    /// Whether text may go to the host as it comes from the link.
    pub(super) fn takes_text(&self) -> bool {
        self.held
            .as_ref()
            .is_none_or(|held| held.ruling.outcome != Outcome::AllowOnceShown && held.following.is_none())
    }

    /// A turn of a stream that may be held.
    pub(super) fn held_turn(
        &mut self,
        now: Instant,
        id: ConnId,
        stack: &mut Stack,
    ) -> Result<Turn, Box<Ruling>> {
        match self.examine(now, id, stack, More::May) {
            Examined::Free => Ok(self.turn(now, id, stack)),
            Examined::Denied(ruling) => Err(ruling),
            Examined::Wait => Ok(match self.move_to_program(now, id, stack) {
                Turn::Done if self.host_reset => Turn::Broken,
                turn => turn,
            }),
        }
    }
}

impl Streams {
    /// A denied flow, as the program sees it, and why.
    pub(in super::super) fn poll_denied(&mut self) -> Option<(Tuple, Box<Ruling>)> {
        self.denied.pop_front()
    }

    /// Other rules are in force: what they deny ends.
    pub(in super::super) fn rejudge(&mut self, now: Instant, guard: &Guard, stack: &mut Stack) {
        for number in 0..self.streams.len() {
            let Some(stream) = self.streams.get(number).and_then(Option::as_ref) else { continue };
            let id = ConnId::from_number(number as u32);
            if !stack.connection(id).is_passive() {
                continue;
            }
            let tuple = stack.tuple(id).reversed();
            let ruling = match &stream.held {
                Some(held) if !stream.is_held() => guard.rejudge(&tuple, &held.ruling),
                Some(_) => guard.decide(now, &tuple, Shown::NotYet),
                // It opened when nobody was asked, and what it showed is not known.
                None => guard.decide(now, &tuple, Shown::Nothing),
            };
            if ruling.outcome == Outcome::Deny {
                self.end_denied(now, id, (tuple, ruling), stack);
            } else if let Some(held) = self.get_mut(id).and_then(|stream| stream.held.as_mut()) {
                held.ruling = ruling;
            }
        }
    }

    fn end_denied(&mut self, now: Instant, id: ConnId, (tuple, ruling): (Tuple, Ruling), stack: &mut Stack) {
        if let Some(stream) = self.remove(id) {
            super::reset(&stream.socket);
        }
        self.denied.push_back((tuple, Box::new(ruling)));
        stack.abort(now, id);
        stack.release(now, id);
    }

    /// The program's end has closed: whether what it sent may go out, which is the last chance to say no.
    pub(super) fn examine_rest(&mut self, now: Instant, id: ConnId, stack: &Stack) -> Option<Drained> {
        let stream = self.get_mut(id)?;
        let tuple = stream.held.as_ref().filter(|_| stream.is_held())?.tuple;
        match stream.examine(now, id, stack, More::No) {
            Examined::Free => None,
            Examined::Wait => Some(Drained::Whole),
            Examined::Denied(ruling) => {
                stream.broken = true;
                self.denied.push_back((tuple, ruling));
                Some(Drained::Whole)
            }
        }
    }
}
