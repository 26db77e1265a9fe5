//! DHCP for a link with one program on it (RFC 2131): its one address is offered to whoever asks, for good.

use wharf_table::Addr;
use wharf_wire::dhcpv4::{DhcpReplyKind, DhcpReplyRepr, DhcpRequest, DhcpRequestKind};

use crate::stack::GatewayAddresses;

/// For how many seconds the address is lent; nobody else gets it before or after.
const LEASE_S: u32 = 86_400;

/// The answer to a client's message; `None` where it asks for none, or asks another server.
pub fn answer<'a>(
    network: &GatewayAddresses,
    mtu: u16,
    request: &DhcpRequest<'a>,
) -> Option<DhcpReplyRepr<'a>> {
    let program = network.program.addr();
    let ours = request.server_id.is_none_or(|server| server == network.gateway);
    match request.kind {
        DhcpRequestKind::Discover => Some(lease(network, mtu, request, DhcpReplyKind::Offer)),
        DhcpRequestKind::Request if !ours => None,
        DhcpRequestKind::Request => {
            let unset = Addr::ANY_V4;
            let asked = request.requested.unwrap_or(request.client_addr);
            if asked == program {
                Some(lease(network, mtu, request, DhcpReplyKind::Ack))
            } else if asked == unset {
                None
            } else {
                Some(request.reply(DhcpReplyKind::Nak, network.gateway))
            }
        }
        DhcpRequestKind::Inform => {
            let mut reply = request.reply(DhcpReplyKind::Ack, network.gateway);
            describe(network, mtu, &mut reply);
            Some(reply)
        }
        DhcpRequestKind::Decline | DhcpRequestKind::Release => None,
    }
}

fn lease<'a>(
    network: &GatewayAddresses,
    mtu: u16,
    request: &DhcpRequest<'a>,
    kind: DhcpReplyKind,
) -> DhcpReplyRepr<'a> {
    let mut reply = request.reply(kind, network.gateway);
    reply.your_addr = network.program.addr();
    reply.lease_s = Some(LEASE_S);
    reply.renewal_s = Some(LEASE_S / 2);
    reply.rebinding_s = Some(LEASE_S / 8 * 7);
    describe(network, mtu, &mut reply);
    reply
}

fn describe(network: &GatewayAddresses, mtu: u16, reply: &mut DhcpReplyRepr<'_>) {
    reply.prefix_len = Some(network.program.prefix_len());
    reply.router = Some(network.gateway);
    reply.dns.push(network.dns);
    reply.mtu = Some(mtu);
}

#[cfg(test)]
mod tests {
    use wharf_table::notation::Cidr;
    use wharf_wire::HardwareAddr;

    use super::*;

    fn network() -> GatewayAddresses {
        let program = Cidr::new(Addr::v4([10, 0, 2, 100]), 24).expect("24 is a prefix length");
        let at = |last| Addr::v4([10, 0, 2, last]);
        GatewayAddresses { program, gateway: at(2), dns: at(3), host: at(4) }
    }

    fn request(
        kind: DhcpRequestKind,
        requested: Option<Addr>,
        server_id: Option<Addr>,
    ) -> DhcpRequest<'static> {
        DhcpRequest {
            kind,
            transaction: 7,
            elapsed_s: 0,
            broadcast: false,
            client_addr: Addr::ANY_V4,
            relay: Addr::ANY_V4,
            hardware: HardwareAddr([2, 0, 0, 0, 0, 1]),
            requested,
            server_id,
            client_id: None,
            host_name: None,
            parameters: &[],
            max_message_len: None,
            lease_s: None,
        }
    }

    fn kind_of(
        kind: DhcpRequestKind,
        requested: Option<Addr>,
        server: Option<Addr>,
    ) -> Option<DhcpReplyKind> {
        answer(&network(), 1500, &request(kind, requested, server)).map(|reply| reply.kind)
    }

    #[test]
    fn the_one_address_is_offered_and_given_and_no_other() {
        let (ours, other) = (Some(network().program.addr()), Some(Addr::v4([10, 0, 2, 55])));
        assert_eq!(kind_of(DhcpRequestKind::Discover, other, None), Some(DhcpReplyKind::Offer));
        assert_eq!(
            kind_of(DhcpRequestKind::Request, ours, Some(network().gateway)),
            Some(DhcpReplyKind::Ack)
        );
        assert_eq!(kind_of(DhcpRequestKind::Request, other, None), Some(DhcpReplyKind::Nak));
        assert_eq!(kind_of(DhcpRequestKind::Request, ours, other), None, "another server was chosen");
        assert_eq!(kind_of(DhcpRequestKind::Release, ours, None), None);
    }

    #[test]
    fn an_offer_says_all_that_a_host_needs() {
        let reply =
            answer(&network(), 1500, &request(DhcpRequestKind::Discover, None, None)).expect("an offer");
        assert_eq!(reply.your_addr, network().program.addr());
        assert_eq!(
            (reply.prefix_len, reply.router, reply.mtu),
            (Some(24), Some(network().gateway), Some(1500))
        );
        assert_eq!(reply.dns.as_slice(), [network().dns]);
        let informed =
            answer(&network(), 1500, &request(DhcpRequestKind::Inform, None, None)).expect("an ack");
        assert_eq!((informed.your_addr, informed.lease_s), (Addr::ANY_V4, None));
    }
}
