use super::*;
use wharf_sys::netlink::nftables::{
    Base, CtKey, Element, Expression, MetaKey, NatKind, Operator, PayloadBase, Set, VERDICT,
};
use wharf_table::Protocol;

struct Nowhere;

impl Surroundings for Nowhere {
    fn kind_of(&self, address: IpAddr) -> Option<u8> {
        Some(if address.is_loopback() { 2 } else { 1 })
    }

    fn address_of(&self, device: Option<&Device>, _like: IpAddr) -> Option<IpAddr> {
        device.map(|_| IpAddr::from([10, 0, 0, 1]))
    }
}

fn packet() -> Packet {
    Packet {
        protocol: Protocol::Tcp,
        source: "10.0.0.2:45000".parse().unwrap(),
        destination: "10.0.0.1:8080".parse().unwrap(),
        came_by: Some(Device { index: 2, name: "eth0".into() }),
        leaves_by: None,
        phase: Phase::First,
        mark: 0,
        user: None,
        is_tracked: true,
        is_translated: false,
    }
}

fn port(port: u16) -> Vec<Expression> {
    vec![
        Expression::Meta { key: MetaKey::Transport, to: 0 },
        Expression::Compare { from: 0, operator: Operator::Equal, value: vec![6] },
        Expression::Payload { base: PayloadBase::Transport, offset: 2, length: 2, to: 0 },
        Expression::Compare { from: 0, operator: Operator::Equal, value: port.to_be_bytes().to_vec() },
    ]
}

fn chain(name: &str, base: Option<(u32, i32, &str, Verdict)>) -> Chain {
    let base = base.map(|(hook, priority, kind, policy)| Base {
        hook,
        priority,
        kind: kind.into(),
        policy,
        devices: Vec::new(),
    });
    Chain { family: Family::Inet, table: "t".into(), name: name.into(), base }
}

fn rules(chains: Vec<Chain>, rules: Vec<(&str, Vec<Expression>)>) -> Ruleset {
    let rule = |(at, (chain, expressions)): (usize, (&str, Vec<Expression>))| Rule {
        family: Family::Inet,
        table: "t".into(),
        chain: chain.into(),
        handle: at as u64 + 1,
        expressions,
        comment: None,
    };
    Ruleset { chains, rules: rules.into_iter().enumerate().map(rule).collect(), ..Ruleset::default() }
}

fn judged(rules: &Ruleset, hook: Hook, packet: &mut Packet) -> Passage {
    Filter { rules, around: &Nowhere }.judge(hook, packet, Translation::Asked)
}

fn input(policy: Verdict) -> Chain {
    chain("input", Some((1, 0, "filter", policy)))
}

fn with(mut expressions: Vec<Expression>, verdict: Verdict) -> Vec<Expression> {
    expressions.push(Expression::Verdict(verdict));
    expressions
}

#[test]
fn the_rule_that_drops_is_named() {
    let rules = rules(
        vec![input(Verdict::Accept)],
        vec![("input", with(port(80), Verdict::Drop)), ("input", with(port(8080), Verdict::Drop))],
    );
    let passage = judged(&rules, Hook::Input, &mut packet());
    let Fate::Dropped(place) = passage.fate else { panic!("{passage:?}") };
    assert_eq!(place.to_string(), "table inet t, chain input, rule 2: tcp dport 8080 drop");
    assert_eq!(judged(&rules, Hook::Forward, &mut packet()).fate, Fate::Passes);
}

#[test]
fn a_policy_drops_what_comes_to_the_end() {
    let accepting = rules(vec![input(Verdict::Drop)], vec![("input", with(port(8080), Verdict::Accept))]);
    assert_eq!(judged(&accepting, Hook::Input, &mut packet()).fate, Fate::Passes);
    let other = rules(vec![input(Verdict::Drop)], vec![("input", with(port(22), Verdict::Accept))]);
    let Fate::Dropped(place) = judged(&other, Hook::Input, &mut packet()).fate else { panic!() };
    assert_eq!((place.handle, place.text.as_str()), (None, "policy drop"));
}

#[test]
fn accept_ends_a_chain_and_no_other() {
    let later = chain("late", Some((1, 10, "filter", Verdict::Accept)));
    let rules = rules(
        vec![later, input(Verdict::Accept)],
        vec![("input", with(port(8080), Verdict::Accept)), ("late", with(port(8080), Verdict::Drop))],
    );
    let Fate::Dropped(place) = judged(&rules, Hook::Input, &mut packet()).fate else { panic!() };
    assert_eq!(place.chain, "late");
}

#[test]
fn jumps_come_back_and_gotos_do_not() {
    let jump = |verdict| {
        rules(
            vec![input(Verdict::Drop), chain("sub", None)],
            vec![
                ("input", vec![Expression::Verdict(verdict)]),
                ("input", with(port(8080), Verdict::Accept)),
                ("sub", with(port(8080), Verdict::Return)),
                ("sub", with(port(8080), Verdict::Drop)),
            ],
        )
    };
    assert_eq!(judged(&jump(Verdict::Jump("sub".into())), Hook::Input, &mut packet()).fate, Fate::Passes);
    let gone = judged(&jump(Verdict::Goto("sub".into())), Hook::Input, &mut packet()).fate;
    assert!(matches!(gone, Fate::Dropped(Place { handle: None, .. })), "{gone:?}");
    // A chain that jumps to itself is not followed for ever.
    let endless = rules(
        vec![input(Verdict::Accept), chain("sub", None)],
        vec![
            ("input", vec![Expression::Verdict(Verdict::Jump("sub".into()))]),
            ("sub", vec![Expression::Verdict(Verdict::Jump("sub".into()))]),
        ],
    );
    assert_eq!(judged(&endless, Hook::Input, &mut packet()).fate, Fate::Passes);
}

#[test]
fn what_is_not_known_is_said_and_passed_over() {
    let strange = vec![Expression::Other("osf".into()), Expression::Verdict(Verdict::Drop)];
    let mut fits_not = port(22);
    fits_not.extend(strange.clone());
    let rules = rules(vec![input(Verdict::Accept)], vec![("input", strange), ("input", fits_not)]);
    let passage = judged(&rules, Hook::Input, &mut packet());
    assert_eq!(passage.fate, Fate::Passes);
    // The one that is about another port is known not to fit.
    assert_eq!(passage.unjudged.len(), 1, "{passage:?}");
}

#[test]
fn state_tells_the_first_packet_from_an_answer() {
    let state = |bits: u32| {
        vec![
            Expression::Ct { key: CtKey::State, to: 0 },
            Expression::Bitwise { from: 0, to: 0, mask: bits.to_ne_bytes().to_vec(), flip: vec![0; 4] },
            Expression::Compare { from: 0, operator: Operator::NotEqual, value: vec![0; 4] },
        ]
    };
    let rules = rules(vec![input(Verdict::Drop)], vec![("input", with(state(2 | 4), Verdict::Accept))]);
    assert!(matches!(judged(&rules, Hook::Input, &mut packet()).fate, Fate::Dropped(_)));
    let mut reply = Packet { phase: Phase::Reply, ..packet() };
    assert_eq!(judged(&rules, Hook::Input, &mut reply).fate, Fate::Passes);
    assert_eq!(text::of(&rules.rules[0], &rules), "ct state established,related accept");
}

#[test]
fn a_translation_is_made_once() {
    let nat = |priority| {
        chain(if priority < 0 { "one" } else { "two" }, Some((0, priority, "nat", Verdict::Accept)))
    };
    let to = |address: [u8; 4]| {
        let mut rule = port(8080);
        rule.push(Expression::Value { to: 0, value: address.to_vec() });
        rule.push(Expression::Value { to: 4, value: 80_u16.to_be_bytes().to_vec() });
        rule.push(Expression::Nat { kind: NatKind::Destination, address: Some(0), port: Some(4) });
        rule
    };
    let rules =
        rules(vec![nat(5), nat(-100)], vec![("one", to([172, 17, 0, 2])), ("two", to([172, 17, 0, 3]))]);
    let mut packet = packet();
    let passage = judged(&rules, Hook::Prerouting, &mut packet);
    assert_eq!(packet.destination, "172.17.0.2:80".parse().unwrap());
    assert_eq!(passage.translated.unwrap().0.text, "tcp dport 8080 dnat to 172.17.0.2:80");
    let mut settled = self::packet();
    Filter { rules: &rules, around: &Nowhere }.judge(Hook::Prerouting, &mut settled, Translation::Settled);
    assert_eq!(settled.destination, self::packet().destination);
}

fn range(first: u16, behind: u16) -> [Element; 2] {
    let at = |port: u16, ends_range| Element {
        key: port.to_be_bytes().to_vec(),
        ends_range,
        ..Element::default()
    };
    [at(first, false), at(behind, true)]
}

#[test]
fn sets_have_keys_ranges_and_verdicts() {
    let mut rule = port(8080);
    rule.truncate(3);
    rule.push(Expression::Lookup { set: "__set0".into(), from: 0, to: None, inverted: false });
    let mut found = rules(vec![input(Verdict::Accept)], vec![("input", with(rule, Verdict::Drop))]);
    let set = |has_ranges, elements| Set {
        family: Family::Inet,
        table: "t".into(),
        name: "__set0".into(),
        is_anonymous: true,
        has_ranges,
        key_bytes: 2,
        fields: Vec::new(),
        elements,
    };
    // As the kernel lists them: from above.
    let [first, behind] = range(8000, 8081);
    let [second, end] = range(8081, 9000);
    found.sets = vec![set(true, vec![end, second.clone(), behind.clone(), first.clone()])];
    assert!(matches!(judged(&found, Hook::Input, &mut packet()).fate, Fate::Dropped(_)));
    assert_eq!(text::of(&found.rules[0], &found), "tcp dport { 8000-8080, 8081-8999 } drop");
    let at = |port: u16, rules: &Ruleset| {
        let mut packet = packet();
        packet.destination.set_port(port);
        judged(rules, Hook::Input, &mut packet).fate != Fate::Passes
    };
    assert_eq!([7999, 8000, 8081, 8999, 9000].map(|port| at(port, &found)), [false, true, true, true, false]);
    let key = |port: u16, verdict| Element {
        key: port.to_be_bytes().to_vec(),
        verdict: Some(verdict),
        ..Element::default()
    };
    let mut mapped = port(8080);
    mapped.truncate(3);
    mapped.push(Expression::Lookup { set: "__set0".into(), from: 0, to: Some(VERDICT), inverted: false });
    let mut mapping = rules(vec![input(Verdict::Accept)], vec![("input", mapped)]);
    mapping.sets = vec![set(false, vec![key(22, Verdict::Accept), key(8080, Verdict::Drop)])];
    assert_eq!([22, 23, 8080].map(|port| at(port, &mapping)), [false, false, true]);
    assert_eq!(text::of(&mapping.rules[0], &mapping), "tcp dport vmap { 22 : accept, 8080 : drop }");
}

#[test]
fn iptables_names_ports_in_structures_of_its_own() {
    let mut info = vec![0, 0, 255, 255];
    info.extend(8080_u16.to_ne_bytes());
    info.extend(8080_u16.to_ne_bytes());
    info.extend([0; 4]);
    let compat = |info: Vec<u8>| {
        vec![
            Expression::Match { name: "tcp".into(), revision: 0, info },
            Expression::Target { name: "REJECT".into(), revision: 0, info: 3_u32.to_ne_bytes().to_vec() },
        ]
    };
    let rules = rules(vec![input(Verdict::Accept)], vec![("input", compat(info))]);
    let Fate::Rejected(place, how) = judged(&rules, Hook::Input, &mut packet()).fate else { panic!() };
    assert_eq!((how, place.text.as_str()), (Reject::Icmp(3), "-p tcp --dport 8080 -j REJECT"));
    let mut other = packet();
    other.destination.set_port(8081);
    assert_eq!(judged(&rules, Hook::Input, &mut other).fate, Fate::Passes);
}
