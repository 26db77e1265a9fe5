//! How long data may wait for its acknowledgment before the connection is given up: a count of retransmissions, or a time
//! that the owner (TCP_USER_TIMEOUT of Linux) or both sides (RFC 5482) have chosen.

use core::time::Duration;

use wharf_table::Instant;

use super::timeout::time_of_retries;
use super::timers::Timer;
use super::{Connection, Settings, UserTimeoutOption};

/// What was chosen and said.
#[derive(Clone, Debug, Default)]
pub(super) struct UserTimeout {
    chosen: Option<Duration>,
    exchanged: Option<UserTimeoutOption>,
    /// The peer's, in seconds.
    heard: Option<u32>,
    /// Ours is to be told with the next segment.
    pub(super) is_news: bool,
}

impl UserTimeout {
    pub(super) fn new(settings: &Settings) -> UserTimeout {
        let (chosen, exchanged) = (settings.user_timeout, settings.user_timeout_option);
        UserTimeout { chosen, exchanged, heard: None, is_news: false }
    }

    pub(super) const fn is_default(&self) -> bool {
        self.chosen.is_none() && self.exchanged.is_none()
    }

    /// `min(U_LIMIT, max(ADV_UTO, REMOTE_UTO, L_LIMIT))`, unless the owner has chosen (RFC 5482, section 3.1).
    fn effective(&self) -> Option<Duration> {
        if self.chosen.is_some() {
            return self.chosen;
        }
        let (exchanged, heard) = (self.exchanged?, self.heard?);
        let heard = Duration::from_secs(u64::from(heard));
        Some(exchanged.advertised.max(heard).max(exchanged.least).min(exchanged.most))
    }

    /// What the peer is told, in seconds; `None` when user time-outs are not exchanged.
    pub(super) fn advertised(&self) -> Option<u32> {
        let seconds = self.exchanged?.advertised.as_secs().max(1);
        Some(u32::try_from(seconds).unwrap_or(u32::MAX))
    }
}

impl Connection {
    /// The time that was chosen; `None` when retransmissions are counted.
    pub fn user_timeout(&self) -> Option<Duration> {
        self.rare.as_ref()?.timeout.effective()
    }

    pub(super) fn advertised_timeout(&self) -> Option<u32> {
        self.rare.as_ref()?.timeout.advertised()
    }

    pub(super) fn choose_user_timeout(&mut self, timeout: Option<Duration>) {
        if timeout.is_some() || self.rare.is_some() {
            self.rare().timeout.chosen = timeout;
        }
    }

    pub(super) fn advertise_user_timeout(&mut self, advertised: Duration) {
        let tells = self.state.is_synchronized();
        let Some(rare) = &mut self.rare else { return };
        let Some(exchanged) = &mut rare.timeout.exchanged else { return };
        exchanged.advertised = advertised;
        rare.timeout.is_news = tells;
        if tells {
            self.owe_ack();
        }
    }

    /// The peer has said its user time-out, in seconds; nobody listens unless both sides exchange them.
    pub(super) fn hear_user_timeout(&mut self, heard: Option<u32>) {
        if heard.is_some()
            && let Some(rare) = &mut self.rare
            && rare.timeout.exchanged.is_some()
        {
            rare.timeout.heard = heard;
        }
    }

    /// The timer has run out again: whether that was often or long enough to give up.
    pub(super) fn has_waited_enough(&mut self, now: Instant, most_retries: u8) -> bool {
        let Some(limit) = self.user_timeout() else { return self.retries >= most_retries };
        let began = Instant::from_micros(now.micros().saturating_sub(self.rtt.rto().as_micros() as u64));
        let since = *self.rare().stalled_since.get_or_insert(began);
        now.since(since) >= limit
    }

    /// The retransmission timer has run out: the same, where the count stands for the time that so many retransmissions
    /// would take (retransmits_timed_out of Linux).
    pub(super) fn has_resent_enough(&mut self, now: Instant) -> bool {
        if self.user_timeout().is_some() {
            return self.has_waited_enough(now, 0);
        }
        let limit = time_of_retries(self.retries_allowed());
        let since = self.recovery.as_ref().map(|recovery| recovery.stalled_since);
        self.retries > 0 && since.is_some_and(|since| now.since(since) >= limit)
    }

    /// Something was acknowledged, or nothing was on its way until now.
    pub(super) fn restart_user_timeout(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.stalled_since = None;
        }
    }

    /// The retransmission timer has been set: it runs no longer than the owner wants to wait.
    pub(super) fn clamp_to_user_timeout(&mut self) {
        let since = self.rare.as_ref().and_then(|rare| rare.stalled_since);
        if let (Some(since), Some(limit)) = (since, self.user_timeout()) {
            self.timers.advance(Timer::Retransmit, since + limit);
        }
    }
}

super::park::packed!(struct UserTimeoutOption { advertised, least, most });
super::park::packed!(struct UserTimeout { chosen, exchanged, heard, is_news });
