//! Packets that must come out.

use super::super::expect::difference;
use super::super::packet::{Body, Packet, flag, read};
use super::super::report::{Cause, Failure};
use super::super::setting::Segments;
use super::super::syntax::{PacketLine, Position};
use super::{ANY_TIME_US, PATIENCE_US, Runner, Seconds};

impl Runner {
    /// Takes the next packet that comes out and compares it with `line`, which may come from `from` to `to`.
    pub(super) fn outbound(
        &mut self,
        position: Position,
        line: &PacketLine,
        from: u64,
        to: u64,
    ) -> Result<(), Failure> {
        let any = to == u64::MAX;
        let tolerance = if any { 0 } else { self.tolerance(to.saturating_sub(self.before)) };
        let deadline = match any {
            true => self.now() + ANY_TIME_US,
            false => to.max(self.before) + tolerance + PATIENCE_US,
        };
        let (at, seen) = match self.next_packet(deadline) {
            Ok(Some(came)) => came,
            Ok(None) => {
                let message =
                    format!("expected  {}\nbut nothing came until {} s", line.packet, Seconds(deadline));
                return self.fail(position, message, Cause::Behaviour);
            }
            Err(why) => return self.fail(position, why, Cause::Behaviour),
        };
        let seen = self.joined(line, seen, deadline)?;
        let shown = self.compare(position, line, at, seen)?;
        let late = !any && (at + tolerance < from || at > to + tolerance);
        if late {
            let when = if from == to {
                format!("at {} s", Seconds(from))
            } else {
                format!("from {} s to {} s", Seconds(from), Seconds(to))
            };
            let message = format!(
                "expected {when} (within {} s), but it came at {} s: {}",
                Seconds(tolerance),
                Seconds(at),
                shown
            );
            return self.fail(position, message, Cause::Time);
        }
        self.before = at;
        Ok(())
    }

    fn next_packet(&mut self, deadline: u64) -> Result<Option<(u64, Packet)>, String> {
        let Some((at, bytes)) = self.machine.receive(self.origin + deadline) else { return Ok(None) };
        let at = at.saturating_sub(self.origin);
        match read(&bytes) {
            Ok(packet) => Ok(Some((at, packet))),
            Err(why) => {
                Err(format!("at {} s a packet came that can't be read: {why}: {bytes:02x?}", Seconds(at)))
            }
        }
    }

    /// As many segments as the line's payload takes, as one, where the setting allows it.
    fn joined(&mut self, line: &PacketLine, mut seen: Packet, deadline: u64) -> Result<Packet, Failure> {
        let Some(said) = line.packet.segment() else { return Ok(seen) };
        if self.setting.segments == Segments::Strict {
            return Ok(seen);
        }
        while let Body::Tcp(whole) = &mut seen.body
            && !whole.payload.is_empty()
            && whole.payload.len() < said.payload.len()
        {
            let missing = said.payload.len() - whole.payload.len();
            // What comes next may be something else; then the comparison of what there is fails, and says so.
            let Ok(Some((_, next))) = self.next_packet(deadline) else { return Ok(seen) };
            let Body::Tcp(more) = next.body else { return Ok(seen) };
            let follows = more.seq == whole.seq.wrapping_add(whole.payload.len() as u32)
                && more.destination_port == whole.destination_port
                && more.ack == whole.ack
                && more.payload.len() <= missing
                && !more.payload.is_empty();
            if !follows {
                return Ok(seen);
            }
            whole.payload.bytes.extend_from_slice(&more.payload.bytes);
            // The last one says what the whole says, but for CWR, which the first one carries.
            whole.flags = more.flags & !flag::CWR | whole.flags & flag::CWR;
        }
        Ok(seen)
    }

    fn compare(
        &mut self,
        position: Position,
        line: &PacketLine,
        at: u64,
        seen: Packet,
    ) -> Result<Packet, Failure> {
        let Some(flow) = self.flows.of_outbound(line, &self.setting) else {
            let message = format!("nobody speaks yet, but at {} s came  {seen}", Seconds(at));
            return self.fail(position, message, Cause::Behaviour);
        };
        let belongs = flow.sent(&seen);
        if belongs {
            flow.learn(&seen, line);
        }
        let shown = flow.outbound(seen);
        let mut said = line.packet.clone();
        (said.source, said.destination) = (flow.local.ip(), flow.remote.ip());
        match &mut said.body {
            Body::Tcp(segment) => {
                (segment.source_port, segment.destination_port) = (flow.local.port(), flow.remote.port());
            }
            Body::Udp(datagram) => {
                (datagram.source_port, datagram.destination_port) = (flow.local.port(), flow.remote.port());
            }
            Body::Icmp(_) | Body::Other { .. } => {}
        }
        let why = match belongs {
            true => difference(line, &shown, &self.setting),
            false => Some("it belongs to another conversation".to_owned()),
        };
        match why {
            None => Ok(shown),
            Some(why) => {
                let message = format!("{why}\nexpected  {said}\nbut at {} s came  {shown}", Seconds(at));
                self.fail(position, message, Cause::Behaviour)
            }
        }
    }
}
