//! How a TCP segment finds its connection, a listener, or nobody.

use wharf_table::binding::BindingId;
use wharf_table::flow::{Far, FlowId};
use wharf_table::policy::Verdict;
use wharf_table::table::Found;
use wharf_table::trace::Silent;
use wharf_table::{DropReason, Endpoint, Instant, Protocol, Tuple};
use wharf_wire::tcp::{TcpFlags, TcpRepr};

use super::connections::Opening;
use super::{IcmpError, Role, Stack, Unreachable};
use crate::ip::Packet;
use crate::tcp::{self, Connection, Context, State};

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
        match self.table.find(&tuple, &mut Silent) {
            Found::Flow(flow) => {
                let key = self.connection_of(flow);
                if self.is_reopened_by(key, &segment) {
                    self.remove(key);
                    return self.on_tcp(now, packet);
                }
                let work = self.connections.work(key, &self.table).ok_or(DropReason::NoConnection)?;
                let mut cx = Context { now, pool: &mut self.pool };
                let result = work.conn.handle_segment(&mut cx, &segment, payload, packet.ecn);
                self.settle(now, key);
                result
            }
            Found::Binding(binding) => self.on_segment_for_listener(now, tuple, &segment, payload, binding),
            Found::Request(_) | Found::Waiting(_) | Found::Nothing => {
                self.on_segment_for_nobody(now, packet, tuple, &segment, payload)
            }
        }
    }

    pub(super) fn connection_of(&self, flow: FlowId) -> u32 {
        match self.table.far(flow) {
            Some(Far::Application(key)) => key,
            _ => unreachable!("a TCP flow of a stack ends at one of its connections"),
        }
    }

    /// A SYN may take over the tuple of a connection in TIME-WAIT (RFC 6191; RFC 9293, section 3.6.1).
    fn is_reopened_by(&self, key: u32, segment: &TcpRepr) -> bool {
        // One in TIME-WAIT is never parked.
        let Some(work) = self.connections.look_at_work(key) else { return false };
        !work.held
            && work.conn.state() == State::TimeWait
            && segment.flags.contains(TcpFlags::SYN)
            && !segment.flags.contains(TcpFlags::ACK)
            && work.conn.may_be_reopened_by(segment)
    }

    fn on_segment_for_listener(
        &mut self,
        now: Instant,
        tuple: Tuple,
        segment: &TcpRepr,
        payload: &[u8],
        binding: BindingId,
    ) -> Result<(), DropReason> {
        let listener = self.table.binding(binding).map(|binding| binding.app());
        if !is_opening(segment) {
            self.reply_reset(tuple, segment, payload.len());
            return Err(DropReason::NoConnection);
        }
        self.open_incoming(now, tuple, segment, listener)?;
        Ok(())
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
        self.open_incoming(now, tuple, segment, None)
    }

    fn open_incoming(
        &mut self,
        now: Instant,
        tuple: Tuple,
        syn: &TcpRepr,
        listener: Option<u32>,
    ) -> Result<(), DropReason> {
        let settings = self.tcp_settings(tuple.remote.addr);
        let iss = tcp::initial_sequence_number(&self.config.isn_key, &tuple, now);
        let mut conn = Connection::incoming(&settings, tuple, iss, syn, now);
        let opening = if listener.is_some() {
            conn.accept();
            Opening::Listener
        } else {
            Opening::Outside
        };
        match self.open(now, conn, listener, opening) {
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

fn is_opening(segment: &TcpRepr) -> bool {
    segment.flags.contains(TcpFlags::SYN)
        && !segment.flags.contains(TcpFlags::ACK)
        && !segment.flags.contains(TcpFlags::RST)
        && !segment.flags.contains(TcpFlags::FIN)
}
