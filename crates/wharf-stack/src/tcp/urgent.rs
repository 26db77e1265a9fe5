//! Urgent data (RFC 9293, section 3.8.5; RFC 6093).
//!
//! It is part of the stream and passed as such, in order and whole: no byte is taken out of band. What is added is a mark,
//! one for each direction: the first number behind the urgent data (MUST-62), which only moves on.

use super::segment_in::Arrival;
use super::seq::SeqNum;
use super::state::{Events, State};
use super::{Connection, Context};
use wharf_wire::tcp::{TcpFlags, TcpRepr};

impl Connection {
    /// How many bytes lie between what was read last and the end of the peer's urgent data, which may not all have come yet;
    /// `None` when no urgent data is to be read. A 1 means that the next byte is the one that BSD calls out-of-band data
    /// (SIOCATMARK).
    pub fn urgent_mark(&self) -> Option<usize> {
        let end = self.rare.as_ref()?.rcv_up?;
        let read = self.rcv.rcv_nxt - self.received_in_order();
        (end.after(read)).then(|| end.since(read) as usize)
    }

    /// Queues `bytes` as [`Connection::send`] does and marks the last that were taken as the end of urgent data. New programs
    /// should not (SHLD-13).
    pub fn send_urgent(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> usize {
        let queued = self.send(cx, bytes);
        if queued > 0 {
            let end = self.data_end();
            self.rare().snd_up = Some(end);
        }
        queued
    }

    /// Sixth: the URG bit, also when the window is closed (MUST-66). The mark only moves on.
    pub(super) fn check_urgent(&mut self, arrival: &Arrival<'_>) {
        let may = matches!(self.state, State::Established | State::FinWait1 | State::FinWait2);
        if !arrival.has(TcpFlags::URG) || !may {
            return;
        }
        let end = arrival.seq + u32::from(arrival.header.urgent);
        let known = self.rare.as_ref().and_then(|rare| rare.rcv_up);
        let news = end.after(self.rcv.rcv_nxt) && known.is_none_or(|known| end.after(known));
        if news {
            self.rare().rcv_up = Some(end);
            self.events |= Events::URGENT;
        }
    }

    /// The owner has read: a mark behind which it stands is no longer one.
    pub(super) fn forget_read_mark(&mut self) {
        if self.urgent_mark().is_none()
            && let Some(rare) = &mut self.rare
        {
            rare.rcv_up = None;
        }
    }

    /// The connection ends. Of one that has ended the peer's FIN is counted, also where none has come; then the mark moves
    /// with it, so that it stays where it is in what is still to be read.
    pub(super) fn keep_mark_at_end(&mut self) {
        if self.state.may_receive()
            && let Some(end) = self.rare.as_mut().and_then(|rare| rare.rcv_up.as_mut())
        {
            *end = *end - 1;
        }
    }

    /// Puts the mark into a header, as Linux does: into each segment before it, as far as its field reaches.
    pub(super) fn mark_urgent(&self, header: &mut TcpRepr) {
        let Some(end) = self.urgent_end() else { return };
        let seq = SeqNum::new(header.seq);
        if end.after(seq) {
            header.flags |= TcpFlags::URG;
            header.urgent = u16::try_from(end.since(seq)).unwrap_or(u16::MAX);
        }
    }

    /// Where our urgent data ends, while not all of it is acknowledged.
    pub(super) fn urgent_end(&self) -> Option<SeqNum> {
        let end = self.rare.as_ref()?.snd_up?;
        end.after(self.snd.snd_una).then_some(end)
    }

    fn received_in_order(&self) -> u32 {
        let fin = u32::from(self.peer_has_finished());
        self.receive_queue.len() as u32 + fin
    }
}
