//! Rules by example, and against a model that knows no index and no merging.

use super::*;
use crate::notation::no_services;
use crate::policy::Target;
use proptest::prelude::*;
use std::net::IpAddr;
use std::vec;

fn rule(text: &str) -> Rule {
    let (action, target) = text.split_once(' ').unwrap();
    let action = if action == "allow" { Action::Allow } else { Action::Deny };
    let (target, hidden) = match target.strip_suffix(" lenient") {
        Some(target) => (target, Hidden::Lenient),
        None => (target, Hidden::Strict),
    };
    Rule { hidden, ..Rule::new(action, Target::parse(target, &no_services).unwrap()) }
}

fn rules(texts: &[&str], default: Action) -> Rules {
    Rules::new(texts.iter().map(|text| rule(text)).collect(), default)
}

fn name(text: &str) -> Hostname {
    Hostname::parse(text).unwrap()
}

/// `192.0.2.1:443`, the names that it was answered for, and what is shown: `?`, `-` (nothing), `hidden`, or a name.
fn ask(rules: &Rules, to: &str, names: &[&str], shown: &str) -> Outcome {
    let at: crate::Endpoint = to.parse().unwrap();
    let names: Vec<Hostname> = names.iter().map(|text| name(text)).collect();
    let seen = name(if shown.contains('.') { shown } else { "x" });
    let shown = match shown {
        "?" => Shown::NotYet,
        "-" => Shown::Nothing,
        "hidden" => Shown::Hidden,
        _ => Shown::Name(&seen),
    };
    let ground = ground_of(at.addr);
    let question = Question {
        protocol: Protocol::Tcp,
        addr: at.addr,
        port: at.port,
        ground,
        names: &names,
        shown,
        programs: &["curl".into(), "sh".into()],
    };
    let decision = rules.decide(&question);
    assert_eq!(decision, rules.decide_slowly(&question));
    decision.outcome
}

#[test]
fn a_name_is_allowed_at_its_addresses_and_shown_as_itself() {
    let rules = rules(&["allow good.test:443"], Action::Deny);
    let at = "192.0.2.1:443";
    assert_eq!(ask(&rules, at, &["good.test"], "?"), Outcome::AllowOnceShown);
    assert_eq!(ask(&rules, at, &["good.test"], "good.test"), Outcome::Allow);
    assert_eq!(ask(&rules, at, &["good.test"], "evil.test"), Outcome::Deny);
    assert_eq!(ask(&rules, at, &["good.test"], "hidden"), Outcome::Deny);
    assert_eq!(ask(&rules, at, &["good.test"], "-"), Outcome::Allow, "ssh shows no name");
    assert_eq!(ask(&rules, "192.0.2.1:80", &["good.test"], "?"), Outcome::Deny, "another port");
    assert_eq!(ask(&rules, at, &[], "?"), Outcome::Deny, "a bare address");
    assert_eq!(ask(&rules, at, &[], "good.test"), Outcome::Deny, "a bare address that names itself");
    assert_eq!(ask(&rules, at, &["other.test"], "good.test"), Outcome::Deny, "answered for another name");
}

#[test]
fn a_lenient_rule_takes_what_is_hidden() {
    let rules = rules(&["allow good.test:443 lenient"], Action::Deny);
    assert_eq!(ask(&rules, "192.0.2.1:443", &["good.test"], "hidden"), Outcome::Allow);
    assert_eq!(ask(&rules, "192.0.2.1:443", &[], "hidden"), Outcome::Deny);
    assert_eq!(ask(&rules, "192.0.2.1:443", &["good.test"], "evil.test"), Outcome::Deny);
}

#[test]
fn two_names_on_one_address_are_told_apart() {
    let rules = rules(&["deny evil.test", "allow any:443"], Action::Deny);
    let at = "192.0.2.1:443";
    assert_eq!(ask(&rules, at, &["good.test"], "?"), Outcome::AllowOnceShown);
    assert_eq!(ask(&rules, at, &["good.test"], "evil.test"), Outcome::Deny);
    assert_eq!(ask(&rules, at, &["good.test", "evil.test"], "good.test"), Outcome::Allow);
    assert_eq!(ask(&rules, at, &[], "evil.test"), Outcome::Deny, "by its address");
    assert_eq!(ask(&rules, at, &[], "-"), Outcome::Allow);
    assert_eq!(ask(&rules, "192.0.2.1:80", &[], "?"), Outcome::Deny, "what follows would deny it anyway");
}

#[test]
fn the_first_rule_decides() {
    let open = rules(&["allow 10.1.0.0/16", "deny 10.0.0.0/8", "deny lan:22"], Action::Allow);
    assert_eq!(ask(&open, "10.1.2.3:22", &[], "?"), Outcome::Allow);
    assert_eq!(ask(&open, "10.2.2.3:80", &[], "?"), Outcome::Deny);
    assert_eq!(ask(&open, "192.168.0.1:22", &[], "?"), Outcome::Deny);
    assert_eq!(ask(&open, "192.168.0.1:80", &[], "?"), Outcome::Allow);
    let bound = rules(&["allow git:any:22", "allow curl:any:443"], Action::Deny);
    assert_eq!(ask(&bound, "192.0.2.1:22", &[], "?"), Outcome::Deny);
    assert_eq!(ask(&bound, "192.0.2.1:443", &[], "?"), Outcome::Allow);
    assert_eq!(ask(&rules(&["allow sh:any"], Action::Deny), "192.0.2.1:443", &[], "?"), Outcome::Allow);
}

/// 10.0.2.4 stands for the host, and a metadata service is closed.
fn ground_of(addr: Addr) -> Ground {
    match addr.v4_octets() {
        Some([10, 0, 2, 4]) => Ground::Host,
        Some([169, 254, ..]) => Ground::Closed,
        _ => Ground::Open,
    }
}

#[test]
fn what_is_closed_by_itself_is_opened_by_its_address_only() {
    let at = "169.254.169.254:80";
    for texts in [&["allow any"][..], &["allow lan"], &["allow meta.test"], &["allow host"], &[]] {
        assert_eq!(ask(&rules(texts, Action::Allow), at, &["meta.test"], "-"), Outcome::Deny, "{texts:?}");
    }
    assert_eq!(ask(&rules(&["allow 169.254.169.254:80"], Action::Deny), at, &[], "?"), Outcome::Allow);
}

#[test]
fn the_hosts_loopback_is_open_where_it_is_named() {
    assert_eq!(ask(&rules(&["allow any"], Action::Deny), "10.0.2.4:80", &[], "?"), Outcome::Deny);
    assert_eq!(ask(&rules(&["allow lan"], Action::Deny), "10.0.2.4:80", &[], "?"), Outcome::Deny);
    assert_eq!(ask(&rules(&["allow host:80"], Action::Deny), "10.0.2.4:80", &[], "?"), Outcome::Allow);
    assert_eq!(ask(&rules(&["allow host:80"], Action::Deny), "10.0.2.4:81", &[], "?"), Outcome::Deny);
}

#[test]
fn only_names_that_a_rule_could_allow_may_be_asked_for() {
    let strict =
        rules(&["deny ads.example.org", "allow *.example.org:443", "allow 192.0.2.0/24"], Action::Deny);
    let may = |rules: &Rules, text| rules.may_ask(&name(text));
    assert_eq!(may(&strict, "www.example.org"), Ok(Some(RuleId(1))));
    assert_eq!(may(&strict, "ads.example.org"), Err(Some(RuleId(0))));
    assert_eq!(may(&strict, "example.org"), Err(None));
    assert_eq!(may(&strict, "c2VjcmV0.evil.test"), Err(None), "a rule by address opens no look-up");
    assert_eq!(may(&rules(&["allow any:443"], Action::Deny), "evil.test"), Ok(Some(RuleId(0))));
    assert_eq!(
        may(&rules(&["deny evil.test:25"], Action::Allow), "evil.test"),
        Ok(None),
        "other ports are open"
    );
    assert_eq!(may(&rules(&["deny evil.test"], Action::Allow), "evil.test"), Err(Some(RuleId(0))));
}

/// The rules as the page says them: for every name that could yet be shown, the first rule that stands decides; before it is shown
/// the flow opens if any of them would let it.
fn model(rules: &Rules, question: &Question<'_>) -> Outcome {
    let verdict = |shown: Shown<'_>| {
        for rule in rules.rules() {
            if !rule.target.fits(question.protocol, question.port, question.programs) {
                continue;
            }
            let stands = match (&rule.target.peer, shown, rule.action) {
                (Peer::Host, ..) => question.ground == Ground::Host,
                (Peer::Any | Peer::Lan | Peer::Name(_), ..) if question.ground != Ground::Open => false,
                (Peer::Name(pattern), Shown::Name(shown), Action::Deny) => pattern.covers(shown),
                (Peer::Name(pattern), Shown::Name(shown), Action::Allow) => {
                    pattern.covers(shown) && question.names.iter().any(|name| name == shown)
                }
                (Peer::Name(_), Shown::Hidden, Action::Allow) if rule.hidden == Hidden::Strict => false,
                (Peer::Name(pattern), ..) => question.names.iter().any(|name| pattern.covers(name)),
                (peer, ..) => peer.contains(question.addr),
            };
            if stands {
                return rule.action;
            }
        }
        if question.ground == Ground::Open { rules.default_action() } else { Action::Deny }
    };
    if question.shown != Shown::NotYet {
        return Outcome::of(verdict(question.shown));
    }
    let others: Vec<Hostname> = NAMES.iter().map(|text| name(text)).collect();
    let possible = [Shown::Hidden, Shown::Nothing].into_iter().chain(others.iter().map(Shown::Name));
    let verdicts: Vec<Action> = possible.map(verdict).collect();
    if verdicts.iter().all(|&action| action == Action::Deny) {
        Outcome::Deny
    } else if verdicts.iter().all(|&action| action == Action::Allow) {
        Outcome::Allow
    } else {
        Outcome::AllowOnceShown
    }
}

const NAMES: [&str; 6] = ["a.test", "b.test", "x.a.test", "y.x.a.test", "c.test", "nowhere.invalid"];

fn any_rule() -> impl Strategy<Value = Rule> {
    let peers = prop::sample::select(vec![
        "a.test",
        "b.test",
        "*.a.test",
        "*.test",
        "x.a.test",
        "192.0.2.1",
        "192.0.2.0/24",
        "10.0.0.0/8",
        "host",
        "lan",
        "any",
    ]);
    let ports = prop::sample::select(vec!["", ":80", ":443", ":80,443", ":1-100"]);
    let program = prop::sample::select(vec!["", "", "", "curl:", "git:"]);
    (prop::sample::select(vec!["allow", "deny"]), program, peers, ports, any::<bool>()).prop_map(
        |(action, program, peer, ports, lenient)| {
            rule(&std::format!("{action} {program}{peer}{ports}{}", if lenient { " lenient" } else { "" }))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn decisions_are_those_of_the_model(
        list in prop::collection::vec(any_rule(), 0..12),
        default in any::<bool>(),
        addr in prop::sample::select(vec!["192.0.2.1", "192.0.2.9", "10.0.2.4", "169.254.169.254", "10.9.9.9", "198.51.100.1"]),
        port in prop::sample::select(vec![22u16, 80, 443]),
        names in prop::collection::btree_set(prop::sample::select(NAMES.to_vec()), 0..3),
        shown in 0usize..9,
    ) {
        let rules = Rules::new(list, if default { Action::Allow } else { Action::Deny });
        let names: Vec<Hostname> = names.into_iter().map(name).collect();
        let seen = name(NAMES[shown.saturating_sub(3) % NAMES.len()]);
        let shown = match shown {
            0 => Shown::NotYet,
            1 => Shown::Hidden,
            2 => Shown::Nothing,
            _ => Shown::Name(&seen),
        };
        let addr: Addr = addr.parse::<IpAddr>().unwrap().into();
        let ground = ground_of(addr);
        let question = Question { protocol: Protocol::Tcp, addr, port, ground, names: &names, shown, programs: &["curl".into(), "sh".into()] };
        let decision = rules.decide(&question);
        prop_assert_eq!(decision, rules.decide_slowly(&question));
        // What is certain may be judged as what is yet to be shown, never the other way round: then a byte would go out unseen.
        match (model(&rules, &question), decision.outcome) {
            (expected, outcome) if expected == outcome => {}
            (Outcome::Allow, Outcome::AllowOnceShown) if question.shown == Shown::NotYet => {}
            (expected, outcome) => prop_assert!(false, "{:?} where the model says {:?}", outcome, expected),
        }
    }
}
