//! What an owner changes about a connection while it lives: the socket options.

use core::time::Duration;

use super::segment_in::Arrival;
use super::settings::{self, DSCP_MASK};
use super::{CongestionKind, Connection, Context, Keepalive, State};

/// One change of what [`Settings`](super::Settings) said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Whether a small segment waits for another one that is on its way (RFC 9293, section 3.7.4, MUST-17). What was held
    /// back leaves at once.
    Nagle(bool),
    /// Whether only full segments leave (TCP_CORK of Linux); the rest follows after 200 ms or when this ends.
    Cork(bool),
    /// Whether acknowledgments are quick for a while: not held back for an answer that they could go with (TCP_QUICKACK).
    QuickAck(bool),
    /// Whether acknowledgments wait for company (RFC 9293, section 3.8.6.3).
    DelayedAck(bool),
    /// When an idle peer is asked whether it is there; `None`: never (RFC 9293, section 3.8.4, MUST-24).
    Keepalive(Option<Keepalive>),
    /// Retransmissions or probes without an answer after which the connection is given up (R2; RFC 9293, section 3.8.3,
    /// MUST-21).
    MaxRetries(u8),
    /// The same for SYN.
    SynRetries(u8),
    /// How long data may wait for its acknowledgment; `None` leaves it to the count.
    UserTimeout(Option<Duration>),
    /// The user time-out that the peer is told, with the next segment, where both exchange them (RFC 5482).
    AdvertisedUserTimeout(Duration),
    /// How long FIN-WAIT-2 lasts once nobody reads; zero: it is not waited in (TCP_LINGER2 of Linux).
    FinWait(Duration),
    /// Hops that packets may take; 0 counts as 1.
    HopLimit(u8),
    /// The codepoint of packets, 0 to 63. It should not change while data is on its way (RFC 9293, section 3.9.2, SHLD-21
    /// and 23).
    Dscp(u8),
    /// Whether the data that is queued next goes on in data that follows at once (MSG_MORE): then no small segment leaves
    /// before that, or an acknowledgment, or 200 ms.
    MoreFollows(bool),
    /// What is queued so far ends a record: no segment goes on beyond it (MSG_EOR).
    EndRecord,
    /// The largest segment that is sent, in bytes, options counted as payload; it only shrinks.
    MaxSegment(u16),
    /// Whether packets may not be cut on their way, and ICMP is heard that says that they are too large (see
    /// [`Settings::path_discovery`](super::Settings::path_discovery)).
    PathDiscovery(bool),
    /// The most bytes that wait to be acknowledged; the buffer grows no more.
    SendBuffer(u32),
    /// The most bytes that wait to be read; the buffer grows no more. What the peer was promised already is still taken.
    ReceiveBuffer(u32),
    /// The most that is offered to the peer at once.
    WindowClamp(u32),
    /// With so many bytes queued and never sent there is no room for more; 0 for no limit.
    NotSentLowWater(u32),
    /// Who decides how much may be on its way; the window stays.
    Congestion(CongestionKind),
    /// The most bytes a second that leave; `u64::MAX` for no limit.
    MaxPacingRate(u64),
}

/// The least segment that an owner may ask for: Linux' TCP_MIN_MSS.
const MIN_MAX_SEGMENT: u16 = 88;

impl Connection {
    /// Changes one of the settings; it holds from the next segment on.
    pub fn change(&mut self, cx: &mut Context<'_>, change: Change) {
        match change {
            Change::Nagle(on) => {
                self.limits.nagle = on;
                if !on {
                    // As in Linux, also what another option holds back.
                    self.push_tail();
                }
            }
            Change::MoreFollows(follows) => self.set_more_follows(follows),
            Change::EndRecord => self.end_record(),
            Change::Cork(on) => {
                self.corked = on;
                self.dirty |= !on;
            }
            Change::QuickAck(on) => self.set_quick_ack(on),
            Change::DelayedAck(on) => self.limits.delayed_ack = on,
            Change::Keepalive(keepalive) => {
                self.limits.set_keepalive(keepalive);
                self.change_keepalive(cx);
            }
            Change::MaxRetries(count) => self.limits.max_retries = count,
            Change::SynRetries(count) => self.limits.syn_retries = count,
            Change::UserTimeout(timeout) => self.choose_user_timeout(timeout),
            Change::AdvertisedUserTimeout(timeout) => self.advertise_user_timeout(timeout),
            Change::FinWait(span) => self.limits.set_fin_wait(span),
            Change::HopLimit(hops) => self.limits.hop_limit = hops.max(1),
            Change::Dscp(codepoint) => self.limits.dscp = codepoint & DSCP_MASK,
            Change::MaxSegment(mss) => {
                let mss = mss.max(MIN_MAX_SEGMENT);
                self.limits.mss = self.limits.mss.min(mss);
                self.mss = self.mss.min(mss);
            }
            Change::PathDiscovery(on) => self.limits.path_discovery = on,
            Change::SendBuffer(bytes) => self.fix_send_buffer(settings::bounded(bytes)),
            Change::ReceiveBuffer(bytes) => self.rcv.fix(settings::bounded(bytes)),
            Change::WindowClamp(bytes) => self.rcv.clamp_to(bytes),
            Change::NotSentLowWater(bytes) => self.limits.not_sent_low_water = bytes,
            Change::Congestion(kind) => self.set_congestion(kind, cx.now),
            Change::MaxPacingRate(rate) => self.set_max_pacing_rate(cx.now, rate),
        }
    }

    /// Whether small segments wait ([`Change::Cork`]).
    pub const fn is_corked(&self) -> bool {
        self.corked
    }

    /// The owner reads no more. What still comes is taken and lost; once the owner has finished as well, data is answered
    /// with RST (RFC 1122, section 4.2.2.13).
    pub fn stop_reading(&mut self) {
        self.rare().deaf = true;
    }

    /// Hops that its packets may take.
    pub const fn hop_limit(&self) -> u8 {
        self.limits.hop_limit
    }

    /// The differentiated services codepoint of its packets.
    pub const fn dscp(&self) -> u8 {
        self.limits.dscp
    }

    /// Whether its packets may not be cut on their way.
    pub(crate) const fn discovers_path(&self) -> bool {
        self.limits.path_discovery
    }

    fn change_keepalive(&mut self, cx: &Context<'_>) {
        let waits = self.state == State::TimeWait || self.state == State::FinWait2 && self.detached;
        if self.limits.keepalive_idle().is_some() {
            self.restart_keepalive(cx);
        } else if !waits {
            self.timers.stop(super::timers::Timer::Idle);
        }
    }

    /// What options say that both sides may say at any time.
    pub(super) fn hear_options(&mut self, arrival: &Arrival<'_>) {
        self.hear_user_timeout(arrival.header.options.user_timeout);
    }
}
