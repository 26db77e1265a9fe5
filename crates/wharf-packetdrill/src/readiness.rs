//! poll(2) and epoll(7).

use std::collections::BTreeMap;
use std::time::Duration;

use libc::{c_int, epoll_event, pollfd};
use wharf_stack::socket::Readiness;

use crate::errno::{Errno, Result};
use crate::world::{Patience, State, World};

/// What is always reported.
const ALWAYS: u32 = (Readiness::ERR.bits() | Readiness::HUP.bits()) as u32;
/// EPOLLRDNORM and EPOLLWRNORM stand for EPOLLIN and EPOLLOUT.
const READ_NORMAL: u32 = 0x040;
const WRITE_NORMAL: u32 = 0x100;
const EDGE: u32 = libc::EPOLLET as u32;
const ONCE: u32 = libc::EPOLLONESHOT as u32;
const FLAGS: u32 = EDGE | ONCE | libc::EPOLLWAKEUP as u32 | libc::EPOLLEXCLUSIVE as u32;

/// An epoll instance.
#[derive(Debug, Default)]
pub(crate) struct Epoll {
    interests: BTreeMap<c_int, Interest>,
}

#[derive(Clone, Copy, Debug)]
struct Interest {
    events: u32,
    data: u64,
    /// How many changes had been reported.
    reported: u64,
    spent: bool,
}

impl Epoll {
    pub(crate) fn forget(&mut self, fd: c_int) {
        self.interests.remove(&fd);
    }
}

/// How long a timeout in milliseconds is.
fn patience(timeout: c_int) -> Patience {
    match u64::try_from(timeout) {
        Err(_) => Patience::Endless,
        Ok(0) => Patience::None,
        Ok(millis) => Patience::For(Duration::from_millis(millis)),
    }
}

/// What a descriptor has to report of `asked`; `None` when it is none of ours.
fn ready(state: &State, fd: c_int, asked: u32) -> Option<u32> {
    let socket = state.descriptors.known_socket(fd)?;
    let mut bits = u32::from(state.host.readiness(socket.id).ok()?.bits());
    if bits & u32::from(Readiness::IN.bits()) != 0 {
        bits |= READ_NORMAL;
    }
    if bits & u32::from(Readiness::OUT.bits()) != 0 {
        bits |= WRITE_NORMAL;
    }
    Some(bits & (asked | ALWAYS))
}

/// poll(2).
pub(crate) fn poll(world: &World, fds: &mut [pollfd], timeout: c_int) -> Result<i64> {
    let found = world.call(
        |_| patience(timeout),
        |state| {
            let mut count = 0;
            for it in fds.iter_mut() {
                let bits = match it.fd {
                    ..0 => 0,
                    fd => ready(state, fd, it.events as u16 as u32).unwrap_or(libc::POLLNVAL as u32),
                };
                it.revents = bits as i16;
                count += i64::from(bits != 0);
            }
            if count == 0 { Err(Errno::AGAIN) } else { Ok(count) }
        },
    );
    if found == Err(Errno::AGAIN) { Ok(0) } else { found }
}

/// epoll_create(2).
pub(crate) fn epoll_create(world: &World, size: c_int) -> Result<i64> {
    if size <= 0 {
        return Err(Errno::INVALID);
    }
    world.look(|state| state.descriptors.add_epoll().map(i64::from))
}

/// epoll_ctl(2).
pub(crate) fn epoll_ctl(
    world: &World,
    epoll: c_int,
    operation: c_int,
    fd: c_int,
    event: Option<epoll_event>,
) -> Result<i64> {
    world.look(|state| {
        let known = state.descriptors.known_socket(fd).is_some();
        let interests = &mut state.descriptors.epoll_mut(epoll)?.interests;
        if !known {
            return Err(Errno::BAD_DESCRIPTOR);
        }
        if operation == libc::EPOLL_CTL_DEL {
            return interests.remove(&fd).map(|_| 0).ok_or(Errno(libc::ENOENT));
        }
        let event = event.ok_or(Errno::FAULT)?;
        let interest = Interest { events: event.events, data: event.u64, reported: 0, spent: false };
        match (operation, interests.contains_key(&fd)) {
            (libc::EPOLL_CTL_ADD, true) => Err(Errno(libc::EEXIST)),
            (libc::EPOLL_CTL_MOD, false) => Err(Errno(libc::ENOENT)),
            (libc::EPOLL_CTL_ADD | libc::EPOLL_CTL_MOD, _) => {
                interests.insert(fd, interest);
                Ok(0)
            }
            _ => Err(Errno::INVALID),
        }
    })
}

/// epoll_wait(2).
pub(crate) fn epoll_wait(
    world: &World,
    epoll: c_int,
    max: c_int,
    timeout: c_int,
) -> Result<Vec<epoll_event>> {
    let max = usize::try_from(max).ok().filter(|max| *max > 0).ok_or(Errno::INVALID)?;
    let found = world.call(
        |_| patience(timeout),
        |state| match collect(state, epoll, max)? {
            events if events.is_empty() => Err(Errno::AGAIN),
            events => Ok(events),
        },
    );
    if matches!(found, Err(Errno::AGAIN)) { Ok(Vec::new()) } else { found }
}

/// What is ready now. What was reported at an edge is not reported again before something changes.
fn collect(state: &mut State, epoll: c_int, max: usize) -> Result<Vec<epoll_event>> {
    let interests = state.descriptors.epoll_mut(epoll)?.interests.clone();
    let mut events = Vec::new();
    for (fd, interest) in interests.iter().filter(|(_, interest)| !interest.spent) {
        let changes = state.descriptors.known_socket(*fd).map_or(0, |socket| socket.changes);
        let bits = ready(state, *fd, interest.events & !FLAGS).unwrap_or(0);
        let news = interest.events & EDGE == 0 || interest.reported < changes;
        if bits == 0 || !news || events.len() == max {
            continue;
        }
        events.push(epoll_event { events: bits, u64: interest.data });
        if let Some(kept) = state.descriptors.epoll_mut(epoll)?.interests.get_mut(fd) {
            kept.reported = changes;
            kept.spent = interest.events & ONCE != 0;
        }
    }
    Ok(events)
}
