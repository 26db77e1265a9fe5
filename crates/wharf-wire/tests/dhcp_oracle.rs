//! DHCPv4 against dhcproto.

use std::net::Ipv4Addr;

use dhcproto::v4::{self, DhcpOption, MessageType, OptionCode};
use dhcproto::{Decodable, Encodable};
use proptest::prelude::*;
use wharf_table::Addr;
use wharf_wire::HardwareAddr;
use wharf_wire::dhcpv4::{DhcpReplyKind, DhcpReplyRepr, DhcpRequest, DhcpRequestKind};

fn v4(octets: [u8; 4]) -> Ipv4Addr {
    octets.into()
}

prop_compose! {
    /// A request as dhcproto writes it, and what it says.
    fn their_request()(
        kind in prop::sample::select(vec![
            (MessageType::Discover, DhcpRequestKind::Discover),
            (MessageType::Request, DhcpRequestKind::Request),
            (MessageType::Decline, DhcpRequestKind::Decline),
            (MessageType::Release, DhcpRequestKind::Release),
            (MessageType::Inform, DhcpRequestKind::Inform),
        ]),
        fixed in any::<(u32, u16, bool, [u8; 4], [u8; 4], [u8; 6])>(),
        requested in any::<Option<[u8; 4]>>(),
        server in any::<Option<[u8; 4]>>(),
        client_id in prop::option::of(prop::collection::vec(any::<u8>(), 2..40)),
        host_name in prop::option::of("[a-z]{1,20}"),
        numbers in any::<(Option<u16>, Option<u32>)>(),
    ) -> (v4::Message, DhcpRequestKind, Option<Vec<u8>>, Option<String>, (Option<u16>, Option<u32>)) {
        let (xid, secs, broadcast, ciaddr, giaddr, chaddr) = fixed;
        let mut message = v4::Message::default();
        let flags = v4::Flags::default();
        message.set_xid(xid).set_secs(secs).set_ciaddr(ciaddr).set_giaddr(giaddr).set_chaddr(&chaddr)
            .set_flags(if broadcast { flags.set_broadcast() } else { flags });
        let options = message.opts_mut();
        options.insert(DhcpOption::MessageType(kind.0));
        options.insert(DhcpOption::ParameterRequestList(vec![OptionCode::SubnetMask, OptionCode::Router]));
        requested.map(|addr| options.insert(DhcpOption::RequestedIpAddress(addr.into())));
        server.map(|addr| options.insert(DhcpOption::ServerIdentifier(addr.into())));
        client_id.clone().map(|id| options.insert(DhcpOption::ClientIdentifier(id)));
        host_name.clone().map(|name| options.insert(DhcpOption::Hostname(name)));
        numbers.0.map(|len| options.insert(DhcpOption::MaxMessageSize(len)));
        numbers.1.map(|lease| options.insert(DhcpOption::AddressLeaseTime(lease)));
        (message, kind.1, client_id, host_name, numbers)
    }
}

fn addr_option(message: &v4::Message, code: OptionCode) -> Option<Addr> {
    match message.opts().get(code)? {
        DhcpOption::RequestedIpAddress(addr) | DhcpOption::ServerIdentifier(addr) => Some((*addr).into()),
        _ => None,
    }
}

proptest! {
    #[test]
    fn requests_of_others_are_read((theirs, kind, client_id, host_name, numbers) in their_request()) {
        let bytes = theirs.to_vec().unwrap();
        let ours = DhcpRequest::parse(&bytes).unwrap();
        prop_assert_eq!((ours.kind, ours.transaction, ours.elapsed_s), (kind, theirs.xid(), theirs.secs()));
        prop_assert_eq!(ours.broadcast, theirs.flags().broadcast());
        prop_assert_eq!((ours.client_addr, ours.relay), (theirs.ciaddr().into(), theirs.giaddr().into()));
        prop_assert_eq!(&ours.hardware.0[..], theirs.chaddr());
        prop_assert_eq!(ours.requested, addr_option(&theirs, OptionCode::RequestedIpAddress));
        prop_assert_eq!(ours.server_id, addr_option(&theirs, OptionCode::ServerIdentifier));
        prop_assert_eq!(ours.client_id, client_id.as_deref());
        prop_assert_eq!(ours.host_name, host_name.as_ref().map(|name| name.as_bytes()));
        prop_assert_eq!(ours.parameters, &[1, 3][..]);
        prop_assert_eq!((ours.max_message_len, ours.lease_s), numbers);
    }

    #[test]
    fn our_replies_are_read_by_others(
        (request, ..) in their_request(),
        kind in prop::sample::select(vec![
            (DhcpReplyKind::Offer, MessageType::Offer),
            (DhcpReplyKind::Ack, MessageType::Ack),
            (DhcpReplyKind::Nak, MessageType::Nak),
        ]),
        addrs in any::<([u8; 4], [u8; 4], [u8; 4])>(),
        dns in prop::collection::vec(any::<[u8; 4]>(), 0..=3),
        times in any::<(u32, u32, u32)>(),
        mtu: u16,
        prefix_len in 0..=32u8,
    ) {
        let bytes = request.to_vec().unwrap();
        let ours = DhcpRequest::parse(&bytes).unwrap();
        let reply = DhcpReplyRepr {
            your_addr: Addr::v4(addrs.0),
            lease_s: Some(times.0),
            renewal_s: Some(times.1),
            rebinding_s: Some(times.2),
            prefix_len: Some(prefix_len),
            router: Some(Addr::v4(addrs.2)),
            dns: dns.iter().copied().map(Addr::v4).collect(),
            mtu: Some(mtu),
            ..ours.reply(kind.0, Addr::v4(addrs.1))
        };
        prop_assert_eq!(reply.hardware, HardwareAddr(request.chaddr().try_into().unwrap()));
        let mut bytes = vec![0xee; reply.len()];
        reply.emit(&mut bytes);
        prop_assert!((300..=576).contains(&bytes.len()));

        let theirs = v4::Message::from_bytes(&bytes).unwrap();
        prop_assert_eq!(theirs.opcode(), v4::Opcode::BootReply);
        prop_assert_eq!((theirs.xid(), theirs.flags()), (request.xid(), request.flags()));
        prop_assert_eq!((theirs.giaddr(), theirs.chaddr()), (request.giaddr(), request.chaddr()));
        prop_assert_eq!(theirs.yiaddr(), v4(addrs.0));
        let option = |code| theirs.opts().get(code).cloned();
        prop_assert_eq!(theirs.opts().msg_type(), Some(kind.1));
        let client_id = request.opts().get(OptionCode::ClientIdentifier).cloned();
        prop_assert_eq!(option(OptionCode::ClientIdentifier), client_id);
        prop_assert_eq!(option(OptionCode::ServerIdentifier), Some(DhcpOption::ServerIdentifier(v4(addrs.1))));
        let unless_nak = |option: DhcpOption| (kind.0 != DhcpReplyKind::Nak).then_some(option);
        let mask = Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - u32::from(prefix_len)).unwrap_or(0));
        prop_assert_eq!(option(OptionCode::SubnetMask), unless_nak(DhcpOption::SubnetMask(mask)));
        prop_assert_eq!(option(OptionCode::Router), unless_nak(DhcpOption::Router(vec![v4(addrs.2)])));
        prop_assert_eq!(option(OptionCode::InterfaceMtu), unless_nak(DhcpOption::InterfaceMtu(mtu)));
        prop_assert_eq!(option(OptionCode::AddressLeaseTime), unless_nak(DhcpOption::AddressLeaseTime(times.0)));
        prop_assert_eq!(option(OptionCode::Renewal), unless_nak(DhcpOption::Renewal(times.1)));
        prop_assert_eq!(option(OptionCode::Rebinding), unless_nak(DhcpOption::Rebinding(times.2)));
        let servers = (!dns.is_empty()).then(|| DhcpOption::DomainNameServer(dns.iter().copied().map(v4).collect()));
        prop_assert_eq!(option(OptionCode::DomainNameServer), servers.and_then(unless_nak));
    }
}
