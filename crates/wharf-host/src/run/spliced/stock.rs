//! Sockets in the program's network that lie ready: they come from the sandbox's init, many at a time.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use wharf_sys::socket::Family;
use wharf_table::Instant;

use crate::run::spawn::Sockets;

/// Sockets of one family.
#[derive(Default)]
struct Shelf {
    sockets: Vec<OwnedFd>,
    /// Since when more are on their way.
    asked: Option<Instant>,
}

/// The stock of both families.
pub(super) struct Stock {
    source: Sockets,
    shelves: [Shelf; 2],
    /// How many are asked for at a time.
    batch: usize,
    /// Init is gone: what lies here is the last.
    over: bool,
}

impl Stock {
    /// An empty stock, which is filled when it is first needed and never holds more than two times `batch` of a family.
    pub(super) fn new(source: Sockets, batch: usize) -> Stock {
        let batch = batch.clamp(1, Sockets::MOST);
        Stock { source, shelves: Default::default(), batch, over: false }
    }

    fn shelf(&mut self, family: Family) -> &mut Shelf {
        let [v4, v6] = &mut self.shelves;
        match family {
            Family::V4 => v4,
            Family::V6 => v6,
        }
    }

    /// A socket, if there is one. Asks for more in time.
    pub(super) fn take(&mut self, now: Instant, family: Family) -> Option<OwnedFd> {
        let socket = self.shelf(family).sockets.pop();
        let (batch, over) = (self.batch, self.over);
        let shelf = self.shelf(family);
        if shelf.sockets.len() <= batch / 2 && shelf.asked.is_none() && !over {
            shelf.asked = Some(now);
            self.over = self.source.ask(family, batch).is_err();
        }
        socket
    }

    /// Since when sockets of this family have been on their way; `None` when none are.
    pub(super) fn awaited_since(&mut self, family: Family) -> Option<Instant> {
        if self.over { None } else { self.shelf(family).asked }
    }

    /// The most descriptors that it holds.
    pub(super) fn most(&self) -> usize {
        2 * self.shelves.len() * self.batch
    }

    /// Takes what has come; `false` where an answer brought nothing, and the next would not either.
    pub(super) fn receive(&mut self) -> bool {
        let mut came = Vec::with_capacity(self.batch);
        let mut has_come = true;
        loop {
            match self.source.receive(|socket| came.push(socket)) {
                Ok(Some(family)) => {
                    has_come &= !came.is_empty();
                    let shelf = self.shelf(family);
                    shelf.sockets.append(&mut came);
                    shelf.asked = None;
                }
                Ok(None) => return has_come,
                Err(_) => {
                    self.over = true;
                    return has_come;
                }
            }
        }
    }
}

impl AsFd for Stock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}
