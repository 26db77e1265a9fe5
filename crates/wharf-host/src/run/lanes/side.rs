//! The loop of a lane that is not the first: TCP flows that the program opened, and nothing else.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use wharf_stack::interface::FrameIn;
use wharf_stack::stack::{DatagramIn, DatagramSink, Stack};
use wharf_sys::epoll::{Interest, Ready};
use wharf_table::{DropReason, Instant};

use super::super::control::{Ask, Content, Question, Reply};
use super::super::descriptors::Descriptors;
use super::super::draining::Draining;
use super::super::lane::{self, Lane};
use super::super::streams::Streams;
use super::super::token::Token;
use super::super::wire::Watch;
use super::handed::{self, Message, Outlet};
use super::{Account, DELIVER, END, End};

/// Everything that the loop holds.
pub(super) struct Side {
    lane: Lane,
    outlet: Outlet,
    descriptors: Descriptors,
    end: Arc<End>,
    /// What it is asked by who wants to know what the run does.
    asks: Receiver<Ask>,
    /// Since the program has ended: until what it sent is delivered, and then.
    draining: Option<Progress>,
    notice: Notice,
}

/// How far a lane is with what the program sent before it ended.
enum Progress {
    Draining(Draining),
    Drained,
}

/// Tells the first lane of this one's end, by whatever it comes.
struct Notice {
    outlet: Outlet,
    index: usize,
}

impl Drop for Notice {
    fn drop(&mut self) {
        self.outlet.tell(Message::Ended(self.index));
    }
}

/// Datagrams are handed over before the stack sees them.
struct NoDatagrams;

impl DatagramSink for NoDatagrams {
    fn datagram(&mut self, _: DatagramIn<'_>) {}
}

impl Side {
    /// A lane that hands over through `outlet` and ends with `end`; `index` is its number among those that are not the first.
    ///
    /// # Errors
    /// The kernel's limit on watches is reached.
    pub(super) fn new(
        lane: Lane,
        outlet: Outlet,
        descriptors: Descriptors,
        end: Arc<End>,
        asks: Receiver<Ask>,
        index: usize,
    ) -> io::Result<Side> {
        lane.wire.register(&lane.poller, Watch::Begin)?;
        lane.poller.add(&end.bell, Token::End.into(), Interest::Read)?;
        let notice = Notice { outlet: outlet.clone(), index };
        Ok(Side { lane, outlet, descriptors, end, asks, draining: None, notice })
    }

    /// Runs until it is told to end, and says what came of it.
    ///
    /// # Errors
    /// A failed system call of the loop itself.
    pub(super) fn run(mut self) -> io::Result<Account> {
        let result = self.carry();
        let Side { mut lane, outlet, notice, .. } = self;
        let account = Account { drops: lane.all_drops(), asked: lane.asked, handed: outlet.handed };
        drop(lane);
        // Whatever came, the notice goes last.
        drop(notice);
        result.map(|()| account)
    }

    /// The loop, until the word to end.
    fn carry(&mut self) -> io::Result<()> {
        let mut ready = Vec::with_capacity(512);
        loop {
            let timeout = self.timeout();
            let now = self.lane.wait(&mut ready, timeout)?;
            for event in ready.drain(..) {
                match Token::from_bits(event.token) {
                    Some(Token::End) if self.end.word() == END => {
                        self.lane.streams.give_all_up(now, &mut self.lane.stack);
                        return Ok(());
                    }
                    Some(Token::End) => self.on_bell(now),
                    Some(token) => on_ready(&mut self.lane, now, token, event)?,
                    None => {}
                }
            }
            read_link(&mut self.lane, &mut self.outlet, now);
            self.lane.stack.handle_timeout(now);
            settle(&mut self.lane, now);
            self.after_turn(now);
        }
    }

    /// The first lane has something to say: that the program has ended, or a question.
    fn on_bell(&mut self, now: Instant) {
        if self.end.word() == DELIVER && self.draining.is_none() {
            self.draining = Some(Progress::Draining(Draining::begin(now, &mut self.lane)));
        }
        while let Ok(Ask { asker, question }) = self.asks.try_recv() {
            let content = match question {
                Question::Count => Content::Count(Box::new(self.lane.count())),
                Question::Flows { from } => Content::Flows(self.lane.page(from)),
            };
            self.outlet.tell(Message::Reply(Reply { asker, content }));
        }
    }

    /// Says what the first lane has to know.
    fn after_turn(&mut self, now: Instant) {
        if self.descriptors.has_advice() {
            self.outlet.wake();
        }
        if let Some(Progress::Draining(draining)) = &mut self.draining
            && draining.is_over(now, &mut self.lane)
        {
            self.draining = Some(Progress::Drained);
            self.outlet.tell(Message::Drained);
        }
    }

    /// How long the loop may sleep.
    fn timeout(&self) -> Option<Duration> {
        if self.lane.has_work() {
            return Some(Duration::ZERO);
        }
        let look = match &self.draining {
            Some(Progress::Draining(draining)) => Some(draining.next_look()),
            Some(Progress::Drained) | None => None,
        };
        self.lane.deadline([look]).map(|next| next.since(self.lane.clock.now()))
    }
}

fn on_ready(lane: &mut Lane, now: Instant, token: Token, ready: Ready) -> io::Result<()> {
    match token {
        Token::Link => lane.on_link(ready)?,
        Token::Stream(id) => lane.on_stream(now, id, ready),
        // Nothing else is registered in this lane.
        _ => {}
    }
    Ok(())
}

fn read_link(lane: &mut Lane, outlet: &mut Outlet, now: Instant) {
    if !lane.link_has_more {
        return;
    }
    let Lane { stack, wire, buffers, addresses, streams, .. } = lane;
    let mut astray = outlet.frames();
    let turn = lane::read_turn(wire, buffers, |frames| {
        sort(
            (stack, streams),
            frames,
            now,
            |stack, frame| handed::is_own(stack, addresses, frame),
            |frame| outlet.take(&mut astray, frame),
        );
    });
    outlet.send(astray);
    lane.on_link_turn(turn);
}

/// Gives each frame to the stack or to `hand_over`. In their order: one may open the connection of the next.
fn sort(
    (stack, streams): (&mut Stack, &mut Streams),
    frames: &[FrameIn<'_>],
    now: Instant,
    is_own: impl Fn(&Stack, &FrameIn<'_>) -> bool,
    mut hand_over: impl FnMut(&FrameIn<'_>) -> Result<(), DropReason>,
) {
    let mut rest = frames;
    while let Some((first, behind)) = rest.split_first() {
        let own = rest.iter().position(|frame| !is_own(stack, frame)).unwrap_or(rest.len());
        if own > 0 {
            stack.handle_frames_with(now, &rest[..own], &mut NoDatagrams, streams);
            rest = &rest[own..];
        } else {
            rest = behind;
            if let Err(reason) = hand_over(first) {
                stack.count_drop(reason);
            }
        }
    }
}

fn settle(lane: &mut Lane, now: Instant) {
    on_events(lane, now);
    lane.streams.work(now, &mut lane.stack);
    on_events(lane, now);
    lane.follow_guard(now);
    lane.tell_denied(now);
    lane.stack.poll_frames(now, &mut lane.wire);
}

fn on_events(lane: &mut Lane, now: Instant) {
    while let Some(event) = lane.stack.poll_event() {
        lane.on_event(now, event);
    }
}
