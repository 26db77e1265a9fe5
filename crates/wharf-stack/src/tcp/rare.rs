//! What few connections ever need, kept apart so that the many don't pay for it.

use alloc::boxed::Box;

use wharf_table::Instant;

use super::Connection;
use super::Settings;
use super::path::Path;
use super::record::Records;
use super::seq::SeqNum;
use super::user_timeout::UserTimeout;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Rare {
    /// RCV.UP: the first number behind the peer's urgent data, until that is read.
    pub(super) rcv_up: Option<SeqNum>,
    /// SND.UP: the first number behind our urgent data, until that is acknowledged.
    pub(super) snd_up: Option<SeqNum>,
    /// Since when nothing was acknowledged although it should, once the timer has run out.
    pub(super) stalled_since: Option<Instant>,
    pub(super) timeout: UserTimeout,
    /// What is known of the path, once that is less than the link.
    pub(super) path: Option<Path>,
    /// Where records end that the owner has marked.
    pub(super) records: Records,
    /// The owner reads no more: what comes after it has finished too is answered with RST.
    pub(super) deaf: bool,
}

impl Rare {
    /// What settings ask for beyond the usual; `None` for nothing.
    pub(super) fn of(settings: &Settings) -> Option<Box<Rare>> {
        let timeout = UserTimeout::new(settings);
        (!timeout.is_default()).then(|| Box::new(Rare { timeout, ..Rare::default() }))
    }
}

impl Connection {
    /// What is rare about this connection, made when it is needed first.
    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_with(Box::default)
    }
}

super::park::packed!(struct Rare { rcv_up, snd_up, stalled_since, timeout, path, records, deaf });
