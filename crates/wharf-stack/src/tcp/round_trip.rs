//! How long the round trip takes, by what an acknowledgment says (RFC 6298, section 3; RFC 7323, section 4).
//!
//! The times at which segments left are exact, so they come first, as in Linux; but not where one of what is acknowledged
//! went again (Karn's algorithm). Then the echo of a timestamp tells, in milliseconds.

use core::time::Duration;

use wharf_table::Instant;
use wharf_wire::tcp::TcpRepr;

use super::Connection;
use super::sack::{Delivered, Hearing};
use super::seq::SeqNum;

/// An echo of our clock that is older makes no sense.
const ECHO_MAX_MS: u32 = 1 << 20;

impl Connection {
    /// What an acknowledgment that comes now is measured by.
    pub(super) fn hearing(&self, now: Instant, segment: &TcpRepr) -> Hearing {
        let echo = segment.options.timestamps.filter(|&(_, echo)| self.timestamps.enabled && echo != 0);
        let age = echo.map(|(_, echo)| self.timestamps.clock(now).wrapping_sub(echo));
        let echo_until = age.filter(|&age| age < ECHO_MAX_MS).map(|age| {
            Instant::from_millis(now.millis().saturating_sub(age.into())) + Duration::from_millis(1)
        });
        let recover = self.recovery.as_ref().map_or(self.snd.snd_una, |recovery| recovery.recover);
        Hearing { now, min_rtt: self.tally.min_rtt.get(), echo_until, recover }
    }

    /// Takes the round trip of what was delivered, if it can be told.
    pub(super) fn measure_round_trip(&mut self, now: Instant, segment: &TcpRepr, delivered: &Delivered) {
        let timed = delivered.acked.filter(|_| !delivered.again_acked);
        let (oldest, latest) = match (timed, delivered.reported) {
            (Some((oldest, latest)), reported) => (oldest, reported.map_or(latest, |(_, latest)| latest)),
            (None, Some(reported)) => reported,
            (None, None) if delivered.again_acked => {
                if let Some(micros) = self.echoed_round_trip(now, segment) {
                    self.take_round_trip(now, micros);
                }
                return;
            }
            (None, None) => return,
        };
        self.take_round_trip(now, now.micros_since(oldest));
        self.count_round_trip(now.micros_since(latest), now);
    }

    /// The SYN, or SYN-ACK, is acknowledged.
    pub(super) fn measure_handshake(&mut self, now: Instant, segment: &TcpRepr) {
        let rtt = match self.retries {
            // A cookie does not tell when it left.
            0 if self.last_sent == Instant::NEVER => {
                self.last_sent = now;
                None
            }
            0 => Some(now.micros_since(self.last_sent)),
            _ => self.echoed_round_trip(now, segment),
        };
        if let Some(micros) = rtt {
            self.take_round_trip(now, micros);
        }
    }

    /// Takes a round trip of so many microseconds.
    #[inline]
    pub(super) fn take_round_trip(&mut self, now: Instant, micros: u64) {
        self.rtt.on_sample(micros, self.snd.snd_una, self.snd.snd_nxt);
        self.congestion.on_round_trip(micros);
        self.count_round_trip(micros, now);
    }

    /// Whole milliseconds are all that the echo tells, and never none; in microseconds.
    fn echoed_round_trip(&self, now: Instant, segment: &TcpRepr) -> Option<u64> {
        let (_, echo) = segment.options.timestamps.filter(|_| self.timestamps.enabled)?;
        // An echo from before the time-out belongs to an acknowledgment that was lost or late: the wait for the timer is
        // no round trip. Until a later one comes, the time-out stays backed off.
        let timed_out_at = self.recovery.as_ref().and_then(|recovery| recovery.timed_out_at);
        if echo == 0 || timed_out_at.is_some_and(|at| SeqNum::new(echo).before(SeqNum::new(at))) {
            return None;
        }
        let age = self.timestamps.clock(now).wrapping_sub(echo);
        (age < ECHO_MAX_MS).then(|| 1_000 * u64::from(age.max(1)))
    }
}
