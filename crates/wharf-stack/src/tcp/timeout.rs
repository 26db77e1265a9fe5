//! What time brings.

use core::time::Duration;

use super::state::{CloseReason, Events, State};
use super::timers::{Awaits, Timer};
use super::{Connection, Context};

/// R1 (RFC 9293, section 3.8.3, SHLD-10; tcp_retries1 of Linux).
const RETRIES_UNTIL_DOUBT: u8 = 3;

/// The least retransmission time-out and the longest: how long `retries` of them take is reckoned from these.
const RTO_MIN: Duration = Duration::from_millis(200);
const RTO_MAX: Duration = Duration::from_secs(120);
/// So often the least can double before it is the longest: log2(600).
const DOUBLINGS: u32 = 9;

/// How long so many retransmissions take, each after twice the time of the one before (tcp_model_timeout of Linux).
pub(super) fn time_of_retries(retries: u8) -> Duration {
    let retries = u32::from(retries);
    let doubling = RTO_MIN * ((2 << retries.min(DOUBLINGS)) - 1);
    doubling + RTO_MAX * retries.saturating_sub(DOUBLINGS)
}

impl Connection {
    /// Time has come to what [`Connection::poll_timeout`] said, or later. Earlier is harmless.
    pub fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        self.dirty |= self.release_paced(cx.now);
        for timer in Timer::ALL {
            if self.timers.take_expired(timer, cx.now) {
                self.dirty = true;
                match timer {
                    Timer::Retransmit => self.on_retransmit_timer(cx),
                    Timer::DelayedAck => self.on_delayed_ack_timer(),
                    Timer::Idle => self.on_idle_timer(cx),
                }
            }
        }
    }

    fn on_retransmit_timer(&mut self, cx: &mut Context<'_>) {
        match self.state {
            State::SynSent | State::SynReceived => {
                let linear = if self.state == State::SynSent { self.limits.syn_linear } else { 0 };
                if self.has_waited_enough(cx.now, self.limits.syn_retries.saturating_add(linear)) {
                    return self.give_up(CloseReason::TimedOut);
                }
                self.count_retry();
                if self.retries > linear {
                    self.rtt.back_off();
                }
                self.owed.syn = true;
            }
            _ if self.snd.flight() > 0 => match self.awaits {
                Awaits::Acknowledgment => self.on_retransmission_timeout(cx.now),
                Awaits::Probe => self.on_probe_timer(cx.now),
                Awaits::Reordering => self.on_reordering_timer(cx.now),
            },
            _ => self.on_persist_timer(cx),
        }
    }

    /// The peer takes nothing, or too little: ask again, ever more seldom (RFC 9293, section 3.8.6.1). As long as it
    /// answers, this goes on for ever.
    fn on_persist_timer(&mut self, cx: &Context<'_>) {
        if self.has_waited_enough(cx.now, self.retries_allowed()) {
            return self.give_up(CloseReason::TimedOut);
        }
        self.count_retry();
        self.rtt.back_off();
        self.owed.probe = true;
    }

    fn on_idle_timer(&mut self, cx: &mut Context<'_>) {
        match self.state {
            State::TimeWait => self.end(CloseReason::Finished),
            State::FinWait2 if self.detached => self.end(CloseReason::TimedOut),
            _ => self.on_keepalive_timer(cx),
        }
    }

    /// Nothing was heard for long (RFC 9293, section 3.8.4).
    fn on_keepalive_timer(&mut self, cx: &mut Context<'_>) {
        if self.limits.keepalive_idle().is_none() {
            return;
        }
        self.timers.set(Timer::Idle, cx.now + self.limits.keepalive_interval());
        if self.timers.is_set(Timer::Retransmit) {
            // Somebody else is asking already.
            return;
        }
        let often = self.keepalives >= self.limits.keepalive_probes;
        let enough =
            self.user_timeout().map_or(often, |limit| self.keepalives > 0 && self.silence() >= limit);
        if enough {
            self.give_up(CloseReason::TimedOut);
            self.owed.reset = true;
            return;
        }
        self.keepalives = self.keepalives.saturating_add(1);
        self.owed.probe = true;
    }

    /// How long nothing was heard, as far as keepalive has counted.
    fn silence(&self) -> Duration {
        let idle = self.limits.keepalive_idle().unwrap_or_default();
        idle + self.limits.keepalive_interval() * u32::from(self.keepalives)
    }

    /// R2: it is less once nobody owns the connection.
    pub(super) fn retries_allowed(&self) -> u8 {
        if self.detached { self.limits.orphan_retries } else { self.limits.max_retries }
    }

    /// One more retransmission or probe has no answer. From R1 on the owner is told, and the way to the peer is doubted (RFC
    /// 9293, section 3.8.3, MUST-20, SHLD-9).
    pub(super) fn count_retry(&mut self) {
        self.retries = self.retries.saturating_add(1);
        if self.retries == RETRIES_UNTIL_DOUBT {
            self.events |= Events::SOFT_ERROR;
        }
    }

    /// Whether so much went unanswered that the way to the peer, and not only the peer, is doubted.
    pub const fn is_unanswered(&self) -> bool {
        self.retries >= RETRIES_UNTIL_DOUBT
    }

    /// Something was heard.
    pub(super) fn restart_keepalive(&mut self, cx: &Context<'_>) {
        self.keepalives = 0;
        if let Some(idle) = self.limits.keepalive_idle()
            && self.state.is_synchronized()
            && self.state != State::TimeWait
            && !(self.state == State::FinWait2 && self.detached)
        {
            self.timers.set(Timer::Idle, cx.now + idle);
        }
    }
}
