//! How a TCP segment finds its connection, a listener, or nobody.

use wharf_table::flow::{Far, FlowId};
use wharf_table::policy::Verdict;
use wharf_table::table::Found;
use wharf_table::trace::Silent;
use wharf_table::{DropReason, Endpoint, Instant, Protocol, Tuple};
use wharf_wire::tcp::{TcpFlags, TcpRepr};

use super::connections::Opening;
use super::{IcmpError, Role, Stack, Unreachable};
use crate::ip::Packet;
use crate::tcp::{self, Connection, Context, Ecn, SeqNum};

impl Stack {
    /// A segment has arrived: to its connection, to a listener, or to a gateway that asks its owner.
    pub(super) fn on_tcp(&mut self, now: Instant, packet: &Packet<'_>) -> Result<(), DropReason> {
        let (segment, payload) =
            TcpRepr::parse(packet.payload).map_err(|_| DropReason::TransportMalformed)?;
        if segment.src_port == 0 || segment.dst_port == 0 {
            return Err(DropReason::PortZero);
        }
        let tuple = Tuple {
            protocol: Protocol::Tcp,
            local: Endpoint::new(packet.dst, segment.dst_port),
            remote: Endpoint::new(packet.src, segment.src_port),
        };
        match self.find_segment(&tuple) {
            Found::Flow(flow) => {
                let key = self.connection_of(flow);
                let work = self.connections.work(key, &self.table).ok_or(DropReason::NoConnection)?;
                let mut cx = Context { now, pool: &mut self.pool };
                let result = work.conn.handle_segment(&mut cx, &segment, payload, packet.ecn);
                self.settle(now, key);
                result
            }
            Found::Request(id) => self.on_segment_for_request(now, id, (&segment, payload), packet.ecn),
            Found::Waiting(id) => match self.on_segment_for_waiting(now, id, &segment, payload.len())? {
                Some(after) => {
                    let found = self.table.find(&tuple, &mut Silent);
                    self.on_segment_for_newcomer(
                        now,
                        packet,
                        (tuple, found),
                        (&segment, payload),
                        Some(after),
                    )
                }
                None => Ok(()),
            },
            found => self.on_segment_for_newcomer(now, packet, (tuple, found), (&segment, payload), None),
        }
    }

    /// A segment whose tuple nobody has, and the binding that was found for it. What begins a connection begins it behind the
    /// number `after`.
    fn on_segment_for_newcomer(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        (tuple, found): (Tuple, Found),
        (segment, payload): (&TcpRepr, &[u8]),
        after: Option<SeqNum>,
    ) -> Result<(), DropReason> {
        let unasked;
        let segment = if is_opening(segment) && packet.ecn != Ecn::NotCapable {
            // A SYN must not say ECT (RFC 3168, section 6.1.1): who does has not asked for ECN in earnest.
            unasked = without_ecn(segment);
            &unasked
        } else {
            segment
        };
        let Found::Binding(binding) = found else {
            return self.on_segment_for_nobody(now, packet, tuple, segment, payload);
        };
        if is_opening(segment) {
            if packet.ecn == Ecn::NotCapable {
                return self.on_syn_for_listener(now, tuple, segment, binding, after);
            }
            // No SYN is sent with a mark (RFC 3168, section 6.1.1): who marks this one marks everything, and ECN is refused.
            let asks = (TcpFlags::ECE | TcpFlags::CWR).bits();
            let plain = TcpRepr { flags: TcpFlags::from_bits(segment.flags.bits() & !asks), ..*segment };
            return self.on_syn_for_listener(now, tuple, &plain, binding, after);
        }
        if let Some(taken) = self.on_cookie(now, tuple, binding, (segment, payload), packet.ecn) {
            return taken;
        }
        let answered = segment.flags.contains(TcpFlags::ACK) || self.listeners.listener(binding).is_none();
        if !answered {
            // Neither RST, ACK nor an opening SYN: a listener has nothing to say (RFC 9293, section 3.10.7.2, fourth).
            return Err(DropReason::AckMissing);
        }
        self.reply_reset(tuple, segment, payload.len());
        Err(DropReason::NoConnection)
    }

    pub(super) fn connection_of(&self, flow: FlowId) -> u32 {
        match self.table.far(flow) {
            Some(Far::Application(key)) => key,
            _ => unreachable!("a TCP flow of a stack ends at one of its connections"),
        }
    }

    fn on_segment_for_nobody(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        tuple: Tuple,
        segment: &TcpRepr,
        payload: &[u8],
    ) -> Result<(), DropReason> {
        if !is_opening(segment) {
            self.reply_reset(tuple, segment, payload.len());
            return Err(DropReason::NoConnection);
        }
        let Role::Gateway(gateway) = &self.config.role else {
            self.reply_reset(tuple, segment, payload.len());
            return Err(DropReason::NoListener);
        };
        let host = gateway.policy.is_host(tuple.local.addr);
        match gateway.policy.decide(&tuple.reversed(), &mut Silent) {
            Verdict::Deny(_) if self.is_own(tuple.local.addr) => {
                self.reply_reset(tuple, segment, payload.len());
                return Err(DropReason::DestinationDenied);
            }
            Verdict::Deny(_) => {
                self.reply_icmp(now, packet, IcmpError::Unreachable(Unreachable::Prohibited));
                return Err(DropReason::DestinationDenied);
            }
            Verdict::Allow if self.is_own(tuple.local.addr) && !host => {
                self.reply_reset(tuple, segment, payload.len());
                return Err(DropReason::NoListener);
            }
            Verdict::Allow => {}
        }
        self.open_incoming(now, tuple, segment)
    }

    /// A SYN to an address outside: its answer waits for the owner.
    fn open_incoming(&mut self, now: Instant, tuple: Tuple, syn: &TcpRepr) -> Result<(), DropReason> {
        let settings = self.tcp_settings(tuple.remote.addr);
        let iss = tcp::initial_sequence_number(&self.config.isn_key, &tuple, now);
        let conn = Connection::incoming(&settings, tuple, iss, syn, now);
        match self.open(now, conn, None, Opening::Outside) {
            Ok(id) => {
                self.settle(now, id.number());
                Ok(())
            }
            Err(reason) => {
                self.reply_reset(tuple, syn, 0);
                Err(reason)
            }
        }
    }
}

fn without_ecn(segment: &TcpRepr) -> TcpRepr {
    let mut segment = *segment;
    let asks = (TcpFlags::ECE | TcpFlags::CWR).bits();
    segment.flags = TcpFlags::from_bits(segment.flags.bits() & !asks);
    segment
}

fn is_opening(segment: &TcpRepr) -> bool {
    segment.flags.contains(TcpFlags::SYN)
        && !segment.flags.contains(TcpFlags::ACK)
        && !segment.flags.contains(TcpFlags::RST)
        && !segment.flags.contains(TcpFlags::FIN)
}
