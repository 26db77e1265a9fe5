//! The loop of a lane that is not the first: TCP flows that the program opened, and nothing else.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use wharf_stack::interface::FrameIn;
use wharf_stack::stack::{DatagramIn, DatagramSink, Stack};
use wharf_sys::epoll::{Interest, Ready};
use wharf_table::{DropReason, Instant};

use super::super::lane::{self, Lane};
use super::super::token::Token;
use super::super::wire::Watch;
use super::Account;
use super::handed::{self, Message, Outlet};
use super::shares::Share;

/// Everything that the loop holds.
pub(super) struct Side {
    lane: Lane,
    outlet: Outlet,
    share: Share,
    end: Arc<OwnedFd>,
    notice: Notice,
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
        share: Share,
        end: Arc<OwnedFd>,
        index: usize,
    ) -> io::Result<Side> {
        lane.wire.register(&lane.poller, Watch::Begin)?;
        lane.poller.add(&end, Token::End.into(), Interest::Read)?;
        let notice = Notice { outlet: outlet.clone(), index };
        Ok(Side { lane, outlet, share, end, notice })
    }

    /// Runs until it is told to end, and says what came of it.
    ///
    /// # Errors
    /// A failed system call of the loop itself.
    pub(super) fn run(self) -> io::Result<Account> {
        // Whatever comes, the notice goes last.
        let Side { mut lane, mut outlet, mut share, end, notice } = self;
        let result = carry(&mut lane, &mut outlet, &mut share);
        let account = Account { drops: lane.stack.drops().clone(), asked: lane.asked, handed: outlet.handed };
        drop((lane, end));
        drop(notice);
        result.map(|()| account)
    }
}

/// The loop, until the word to end.
fn carry(lane: &mut Lane, outlet: &mut Outlet, share: &mut Share) -> io::Result<()> {
    let mut ready = Vec::with_capacity(512);
    loop {
        lane.wire.await_room(&lane.poller)?;
        let timeout = timeout(lane);
        lane.wait(&mut ready, timeout)?;
        let now = lane.clock.now();
        lane.wire.set_now(now);
        for event in ready.drain(..) {
            match Token::from_bits(event.token) {
                Some(Token::End) => return Ok(()),
                Some(token) => on_ready(lane, now, token, event)?,
                None => {}
            }
        }
        share.take(&mut lane.stack);
        read_link(lane, outlet, now);
        lane.stack.handle_timeout(now);
        settle(lane, now);
        share.tell(&lane.stack);
    }
}

/// How long the loop may sleep.
fn timeout(lane: &Lane) -> Option<Duration> {
    if lane.has_work() {
        return Some(Duration::ZERO);
    }
    lane.deadline([]).map(|next| next.since(lane.clock.now()))
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
    let Lane { stack, wire, buffers, addresses, .. } = lane;
    let mut astray = outlet.frames();
    let turn = lane::read_turn(wire, buffers, |frames| {
        sort(
            stack,
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
    stack: &mut Stack,
    frames: &[FrameIn<'_>],
    now: Instant,
    is_own: impl Fn(&Stack, &FrameIn<'_>) -> bool,
    mut hand_over: impl FnMut(&FrameIn<'_>) -> Result<(), DropReason>,
) {
    let mut rest = frames;
    while let Some((first, behind)) = rest.split_first() {
        let own = rest.iter().position(|frame| !is_own(stack, frame)).unwrap_or(rest.len());
        if own > 0 {
            stack.handle_frames(now, &rest[..own], &mut NoDatagrams);
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
    lane.stack.poll_frames(now, &mut lane.wire);
}

fn on_events(lane: &mut Lane, now: Instant) {
    while let Some(event) = lane.stack.poll_event() {
        lane.on_event(now, event);
    }
}
