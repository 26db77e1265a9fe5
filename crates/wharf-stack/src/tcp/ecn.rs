//! Explicit congestion notification (RFC 3168, section 6): what the handshake agrees on, which segments a router may
//! mark, and how a mark comes back to the sender.
//!
//! On a packet's way: [`segment_in`](super::segment_in) tells of marks and echoes as they arrive,
//! [`segment_out`](super::segment_out) asks for the bits of what leaves; the reduction itself is a recovery without losses
//! ([`recovery`](super::recovery)).
//!
//! Invariants: only new data is ECT, never a SYN, a pure acknowledgment, a probe or a retransmission; the window is
//! reduced once a round trip; nothing is believed or sent before both sides have agreed.
//!
//! Deliberately not here: ECT(1) and L4S (RFC 9331), accurate feedback (AccECN), nonces (RFC 3540).

use wharf_wire::tcp::TcpFlags;

use super::segment_in::Ecn;
use super::state::State;

/// Whether a connection does explicit congestion notification (RFC 3168).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EcnMode {
    /// Never.
    Off,
    /// When the peer asks for it, as Linux does unless told otherwise.
    #[default]
    Passive,
    /// Asks for it as well. A SYN that has to be repeated asks no more, since a middlebox may have dropped it for asking
    /// (RFC 3168, section 6.1.1.1).
    Active,
}

/// ECE and CWR together: an ECN-setup SYN.
const SETUP: TcpFlags = TcpFlags::ECE.union(TcpFlags::CWR);

/// Where a connection stands with ECN.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EcnState(u8);

super::park::packed!(struct EcnState (1));

/// Our SYN asks for ECN.
const OFFERS: u8 = 1;
/// We agree when asked.
const ANSWERS: u8 = 2;
/// Both sides do it.
const AGREED: u8 = 4;
/// A mark has come, and the peer has not said that it knows: acknowledgments say ECE.
const ECHOES: u8 = 8;
/// The window was reduced: the next new data says CWR.
const REDUCED: u8 = 16;
/// A packet with ECT or CE has come.
const SEEN: u8 = 32;

impl EcnState {
    pub(super) const fn new(mode: EcnMode) -> EcnState {
        EcnState(match mode {
            EcnMode::Off => 0,
            EcnMode::Passive => ANSWERS,
            EcnMode::Active => ANSWERS | OFFERS,
        })
    }

    const fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }

    fn set(&mut self, flag: u8, on: bool) {
        self.0 = if on { self.0 | flag } else { self.0 & !flag };
    }

    /// Both sides do ECN.
    pub(super) const fn is_agreed(self) -> bool {
        self.has(AGREED)
    }

    /// A packet came whose sender does ECN.
    pub(super) const fn has_seen(self) -> bool {
        self.has(SEEN)
    }

    /// What the SYN says that leaves for the `retries`th time after the first (RFC 3168, section 6.1.1). Linux too stops
    /// asking with the first repetition.
    pub(super) fn on_syn(&mut self, retries: u8) -> TcpFlags {
        if retries > 0 {
            self.set(OFFERS, false);
        }
        if self.has(OFFERS) { SETUP } else { TcpFlags::NONE }
    }

    /// What our SYN-ACK says: ECE and never CWR.
    pub(super) const fn syn_ack_flags(self) -> TcpFlags {
        if self.has(AGREED) { TcpFlags::ECE } else { TcpFlags::NONE }
    }

    /// The peer's SYN or SYN-ACK has come while we were in `state`. A SYN-ACK with CWR only reflects what we sent.
    pub(super) fn on_syn_arrived(&mut self, state: State, flags: TcpFlags) {
        let asks = flags.contains(SETUP);
        let agreed = match state {
            State::SynSent if flags.contains(TcpFlags::ACK) => {
                self.has(OFFERS) && flags.contains(TcpFlags::ECE) && !flags.contains(TcpFlags::CWR)
            }
            State::SynSent => self.has(OFFERS) && asks,
            _ => self.has(ANSWERS) && asks,
        };
        self.set(AGREED, agreed);
    }

    /// Data has come that says CWR: the peer knows; whether it wants to hear so at once, its window being small.
    pub(super) fn on_data(&mut self, flags: TcpFlags) -> bool {
        let knows = self.has(AGREED) && flags.contains(TcpFlags::CWR);
        if knows {
            self.set(ECHOES, false);
        }
        knows
    }

    /// Data that counts has come with these bits in its IP header; whether it is marked and the peer has to hear so at once.
    pub(super) fn on_mark(&mut self, ecn: Ecn) -> bool {
        if !self.has(AGREED) || ecn == Ecn::NotCapable {
            return false;
        }
        self.set(SEEN, true);
        let news = ecn == Ecn::Experienced && !self.has(ECHOES);
        self.set(ECHOES, self.has(ECHOES) || ecn == Ecn::Experienced);
        news
    }

    /// The mark that an acknowledgment echoes, if it does.
    pub(super) const fn echo(self, flags: TcpFlags) -> Ecn {
        match self.has(AGREED) && flags.contains(TcpFlags::ECE) && !flags.contains(TcpFlags::SYN) {
            true => Ecn::Experienced,
            false => Ecn::NotCapable,
        }
    }

    /// The window was reduced, for whatever reason (RFC 3168, section 6.1.2).
    pub(super) fn on_reduced(&mut self) {
        self.set(REDUCED, self.has(AGREED));
    }

    /// What every segment behind the handshake says of marks that came.
    pub(super) const fn echo_flags(self) -> TcpFlags {
        if self.has(ECHOES) { TcpFlags::ECE } else { TcpFlags::NONE }
    }

    /// The bits of a segment with new data that leaves: the flag, and what its IP header says.
    pub(super) fn on_new_data(&mut self) -> (TcpFlags, Ecn) {
        if !self.has(AGREED) {
            return (TcpFlags::NONE, Ecn::NotCapable);
        }
        let reduced = self.has(REDUCED);
        self.set(REDUCED, false);
        (if reduced { TcpFlags::CWR } else { TcpFlags::NONE }, Ecn::Capable)
    }
}
