//! A rule as `nft` would write it, near enough to be found there.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use wharf_sys::netlink::nftables::{
    CtKey, Element, Expression, MetaKey, NatKind, Operator, PayloadBase, Reject, Rule, Ruleset, Set, Verdict,
};

/// How many elements of a set are written out.
const ELEMENTS_MAX: usize = 8;

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Number,
    /// A number in the machine's order.
    Native,
    Address,
    Name,
    Transport,
    Family,
    EtherType,
    State,
    Bytes,
}

/// What a register holds.
#[derive(Clone, Debug)]
struct Symbol {
    name: String,
    kind: Kind,
    mask: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

impl Symbol {
    fn of(name: impl Into<String>, kind: Kind) -> Symbol {
        Symbol { name: name.into(), kind, mask: None, value: None }
    }
}

/// Writes a rule.
pub(super) fn of(rule: &Rule, rules: &Ruleset) -> String {
    let mut writer = Writer { rule, rules, registers: BTreeMap::new(), parts: Vec::new(), transport: "th" };
    rule.expressions.iter().for_each(|expression| writer.add(expression));
    let starts = |parts: &[String], with: &str| parts.iter().any(|part| part.starts_with(with));
    let mut parts = writer.parts;
    // As `nft` leaves out what the next word says.
    for (implied, by) in [
        ("meta l4proto tcp", "tcp "),
        ("meta l4proto udp", "udp "),
        ("meta nfproto ipv4", "ip "),
        ("meta nfproto ipv6", "ip6 "),
        ("meta protocol ip", "ip "),
        ("meta protocol ip6", "ip6 "),
    ] {
        if starts(&parts, by) {
            parts.retain(|part| part != implied);
        }
    }
    if let Some(comment) = &rule.comment {
        parts.push(format!("comment \"{comment}\""));
    }
    parts.join(" ")
}

struct Writer<'a> {
    rule: &'a Rule,
    rules: &'a Ruleset,
    registers: BTreeMap<u32, Symbol>,
    parts: Vec<String>,
    transport: &'static str,
}

impl Writer<'_> {
    fn add(&mut self, expression: &Expression) {
        match expression {
            Expression::Payload { base, offset, length, to } => {
                let symbol = self.payload(*base, *offset, *length);
                self.registers.insert(*to, symbol);
            }
            Expression::Meta { key, to } => drop(self.registers.insert(*to, meta(*key))),
            Expression::Ct { key, to } => drop(self.registers.insert(*to, ct(*key))),
            Expression::AddressKind { of_source, to } => {
                let of = if *of_source { "saddr" } else { "daddr" };
                self.registers.insert(*to, Symbol::of(format!("fib {of} type"), Kind::Native));
            }
            Expression::Value { to, value } => {
                let symbol = Symbol { value: Some(value.clone()), ..Symbol::of("", Kind::Bytes) };
                self.registers.insert(*to, symbol);
            }
            Expression::Bitwise { from, to, mask, .. } => {
                let symbol = Symbol { mask: Some(mask.clone()), ..self.symbol(*from) };
                self.registers.insert(*to, symbol);
            }
            Expression::Compare { from, operator, value } => self.compare(*from, *operator, value),
            Expression::Range { from, inverted, first, last } => {
                let symbol = self.symbol(*from);
                let not = if *inverted { "!= " } else { "" };
                let (first, last) = (value(symbol.kind, first), value(symbol.kind, last));
                self.parts.push(format!("{} {not}{first}-{last}", symbol.name));
            }
            Expression::Lookup { .. } => self.look_up(expression),
            Expression::SetMeta { key, from } => {
                let (name, symbol) = (meta(*key), self.symbol(*from));
                let new = symbol.value.map(|bytes| value(name.kind, &bytes)).unwrap_or(symbol.name);
                self.parts.push(format!("{} set {new}", name.name));
            }
            Expression::Verdict(decided) => self.parts.push(verdict(decided)),
            Expression::Nat { kind, address, port } => self.nat(*kind, *address, *port),
            Expression::Masquerade => self.parts.push("masquerade".into()),
            Expression::Redirect { port } => {
                let to = port.map(|port| format!(" to :{}", self.constant(port, Kind::Number)));
                self.parts.push(format!("redirect{}", to.unwrap_or_default()));
            }
            Expression::Reject(how) => self.parts.push(reject(*how)),
            Expression::Limit { rate, unit, inverted } => {
                let over = if *inverted { "over " } else { "" };
                let unit = match unit {
                    1 => "second",
                    60 => "minute",
                    3600 => "hour",
                    86_400 => "day",
                    _ => "week",
                };
                self.parts.push(format!("limit rate {over}{rate}/{unit}"));
            }
            Expression::Log => self.parts.push("log".into()),
            Expression::Counter { .. } => {}
            Expression::NoTrack => self.parts.push("notrack".into()),
            Expression::Match { name, info, .. } => self.parts.push(foreign_match(name, info)),
            Expression::Target { name, .. } => self.parts.push(format!("-j {name}")),
            Expression::Other(name) => self.parts.push(format!("({name})")),
        }
    }

    fn symbol(&self, word: u32) -> Symbol {
        self.registers.get(&word).cloned().unwrap_or_else(|| Symbol::of("?", Kind::Bytes))
    }

    fn constant(&self, word: u32, kind: Kind) -> String {
        self.symbol(word).value.map_or_else(|| "?".into(), |bytes| value(kind, &bytes))
    }

    fn payload(&self, base: PayloadBase, offset: u32, length: u32) -> Symbol {
        let transport = self.transport;
        match (base, offset, length) {
            (PayloadBase::Network, 12, 4) => Symbol::of("ip saddr", Kind::Address),
            (PayloadBase::Network, 16, 4) => Symbol::of("ip daddr", Kind::Address),
            (PayloadBase::Network, 9, 1) => Symbol::of("ip protocol", Kind::Transport),
            (PayloadBase::Network, 8, 16) => Symbol::of("ip6 saddr", Kind::Address),
            (PayloadBase::Network, 24, 16) => Symbol::of("ip6 daddr", Kind::Address),
            (PayloadBase::Network, 6, 1) => Symbol::of("ip6 nexthdr", Kind::Transport),
            // The first bytes of an address are its network.
            (PayloadBase::Network, 12, 1..=3) => Symbol::of("ip saddr", Kind::Bytes),
            (PayloadBase::Network, 16, 1..=3) => Symbol::of("ip daddr", Kind::Bytes),
            (PayloadBase::Transport, 0, 2) => Symbol::of(format!("{transport} sport"), Kind::Number),
            (PayloadBase::Transport, 2, 2) => Symbol::of(format!("{transport} dport"), Kind::Number),
            (PayloadBase::Transport, 13, 1) => Symbol::of(format!("{transport} flags"), Kind::Bytes),
            (base, offset, length) => {
                let base = match base {
                    PayloadBase::Link => "ll",
                    PayloadBase::Network => "nh",
                    PayloadBase::Transport => "th",
                    PayloadBase::Other => "ih",
                };
                Symbol::of(format!("@{base},{},{}", offset * 8, length * 8), Kind::Bytes)
            }
        }
    }

    fn compare(&mut self, from: u32, operator: Operator, bytes: &[u8]) {
        let symbol = self.symbol(from);
        if symbol.kind == Kind::Transport && operator == Operator::Equal {
            match bytes.first() {
                Some(6) => self.transport = "tcp",
                Some(17) => self.transport = "udp",
                _ => {}
            }
        }
        let sign = match operator {
            Operator::Equal => "",
            Operator::NotEqual => "!= ",
            Operator::Less => "< ",
            Operator::AtMost => "<= ",
            Operator::Greater => "> ",
            Operator::AtLeast => ">= ",
        };
        let text = match (&symbol.mask, symbol.kind) {
            // `ct state new` is written as a mask that does not give zero.
            (Some(mask), Kind::State)
                if operator == Operator::NotEqual && bytes.iter().all(|&byte| byte == 0) =>
            {
                format!("{} {}", symbol.name, value(Kind::State, mask))
            }
            (Some(mask), Kind::Address) => {
                let bits: u32 = mask.iter().map(|byte| byte.count_ones()).sum();
                format!("{} {sign}{}/{bits}", symbol.name, value(symbol.kind, bytes))
            }
            (Some(mask), kind) => {
                format!("{} & {} {sign}{}", symbol.name, value(Kind::Bytes, mask), value(kind, bytes))
            }
            (None, Kind::Bytes) if symbol.name.starts_with("ip ") => {
                let mut address = [0; 4];
                address.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
                format!("{} {sign}{}/{}", symbol.name, Ipv4Addr::from(address), bytes.len() * 8)
            }
            (None, Kind::Name) if bytes.last().is_some_and(|&byte| byte != 0) => {
                format!("{} {sign}\"{}*\"", symbol.name, String::from_utf8_lossy(bytes))
            }
            (None, kind) => format!("{} {sign}{}", symbol.name, value(kind, bytes)),
        };
        self.parts.push(text);
    }

    fn look_up(&mut self, expression: &Expression) {
        let Expression::Lookup { set: name, from, to, inverted } = expression else { return };
        let is_meant =
            |set: &&Set| set.family == self.rule.family && set.table == self.rule.table && set.name == *name;
        let symbol = self.symbol(*from);
        let set = self.rules.sets.iter().find(is_meant);
        let inside = match set.filter(|set| set.is_anonymous) {
            Some(set) => elements(set, symbol.kind),
            None => format!("@{name}"),
        };
        match to {
            Some(to) => {
                let written = format!("{} vmap {inside}", symbol.name);
                if *to == wharf_sys::netlink::nftables::VERDICT {
                    self.parts.push(written);
                } else {
                    self.registers
                        .insert(*to, Symbol::of(format!("{} map {inside}", symbol.name), Kind::Bytes));
                }
            }
            None => {
                let not = if *inverted { "!= " } else { "" };
                self.parts.push(format!("{} {not}{inside}", symbol.name));
            }
        }
    }

    fn nat(&mut self, kind: NatKind, address: Option<u32>, port: Option<u32>) {
        let verb = match kind {
            NatKind::Source => "snat",
            NatKind::Destination => "dnat",
        };
        let address = address.map(|word| self.constant(word, Kind::Address));
        let port = port.map(|word| format!(":{}", self.constant(word, Kind::Number)));
        self.parts.push(format!("{verb} to {}{}", address.unwrap_or_default(), port.unwrap_or_default()));
    }
}

fn elements(set: &Set, kind: Kind) -> String {
    let write = |element: &Element| {
        let key = match (&element.key_end, element.is_rest) {
            (_, true) => "*".to_owned(),
            (Some(end), _) => format!("{}-{}", value(kind, &element.key), value(kind, end)),
            (None, _) => value(kind, &element.key),
        };
        match &element.verdict {
            Some(decided) => format!("{key} : {}", verdict(decided)),
            None => key,
        }
    };
    let mut shown: Vec<String> =
        if set.has_ranges && set.elements.iter().all(|element| element.key_end.is_none()) {
            ranges(set, kind)
        } else {
            set.elements.iter().filter(|element| !element.ends_range).map(write).collect()
        };
    if shown.len() > ELEMENTS_MAX {
        shown.truncate(ELEMENTS_MAX);
        shown.push("...".into());
    }
    format!("{{ {} }}", shown.join(", "))
}

/// Ranges as the kernel keeps them: a first key, and another one behind the last.
fn ranges(set: &Set, kind: Kind) -> Vec<String> {
    let mut sorted: Vec<&Element> = set.elements.iter().collect();
    sorted.sort_by(|one, other| one.key.cmp(&other.key).then(other.ends_range.cmp(&one.ends_range)));
    let mut shown = Vec::new();
    let mut begun: Option<&Element> = None;
    for element in sorted {
        if let (Some(first), true) = (begun, element.ends_range) {
            let last = before(&element.key);
            let text = value(kind, &first.key);
            shown.push(if last == first.key { text } else { format!("{text}-{}", value(kind, &last)) });
        }
        begun = (!element.ends_range).then_some(element);
    }
    shown.extend(begun.map(|first| format!("{}-", value(kind, &first.key))));
    shown
}

/// One less.
fn before(key: &[u8]) -> Vec<u8> {
    let mut key = key.to_vec();
    for byte in key.iter_mut().rev() {
        let (less, borrows) = byte.overflowing_sub(1);
        *byte = less;
        if !borrows {
            break;
        }
    }
    key
}

fn verdict(decided: &Verdict) -> String {
    match decided {
        Verdict::Accept => "accept".into(),
        Verdict::Drop => "drop".into(),
        Verdict::Queue => "queue".into(),
        Verdict::Continue => "continue".into(),
        Verdict::Break => "break".into(),
        Verdict::Jump(chain) => format!("jump {chain}"),
        Verdict::Goto(chain) => format!("goto {chain}"),
        Verdict::Return => "return".into(),
    }
}

fn reject(how: Reject) -> String {
    match how {
        Reject::Reset => "reject with tcp reset".into(),
        Reject::IcmpAny(1) | Reject::Icmp(3) => "reject".into(),
        Reject::IcmpAny(code) => {
            let codes = ["no-route", "port-unreachable", "host-unreachable", "admin-prohibited"];
            format!("reject with icmpx {}", codes.get(usize::from(code)).copied().unwrap_or("?"))
        }
        Reject::Icmp(13) => "reject with icmp admin-prohibited".into(),
        Reject::Icmp(code) => format!("reject with icmp {code}"),
    }
}

fn foreign_match(name: &str, info: &[u8]) -> String {
    let half =
        |at: usize| info.get(at..at + 2).and_then(|two| two.try_into().ok()).map_or(0, u16::from_ne_bytes);
    let port =
        |first: u16, last: u16| if first == last { first.to_string() } else { format!("{first}:{last}") };
    match name {
        "comment" => format!("/* {} */", String::from_utf8_lossy(info).trim_end_matches('\0')),
        "tcp" | "udp" if info.len() >= 8 => {
            let mut text = format!("-p {name}");
            for (option, at) in [("--sport", 0), ("--dport", 4)] {
                if (half(at), half(at + 2)) != (0, u16::MAX) {
                    text += &format!(" {option} {}", port(half(at), half(at + 2)));
                }
            }
            text
        }
        _ => format!("-m {name}"),
    }
}

fn meta(key: MetaKey) -> Symbol {
    match key {
        MetaKey::Protocol => Symbol::of("meta protocol", Kind::EtherType),
        MetaKey::Mark => Symbol::of("meta mark", Kind::Native),
        MetaKey::InIndex => Symbol::of("iif", Kind::Native),
        MetaKey::OutIndex => Symbol::of("oif", Kind::Native),
        MetaKey::InName => Symbol::of("iifname", Kind::Name),
        MetaKey::OutName => Symbol::of("oifname", Kind::Name),
        MetaKey::User => Symbol::of("meta skuid", Kind::Native),
        MetaKey::Group => Symbol::of("meta skgid", Kind::Native),
        MetaKey::Family => Symbol::of("meta nfproto", Kind::Family),
        MetaKey::Transport => Symbol::of("meta l4proto", Kind::Transport),
        MetaKey::PacketType => Symbol::of("meta pkttype", Kind::Number),
        MetaKey::Other(number) => Symbol::of(format!("meta key {number}"), Kind::Bytes),
    }
}

fn ct(key: CtKey) -> Symbol {
    match key {
        CtKey::State => Symbol::of("ct state", Kind::State),
        CtKey::Direction => Symbol::of("ct direction", Kind::Number),
        CtKey::Status => Symbol::of("ct status", Kind::Native),
        CtKey::Mark => Symbol::of("ct mark", Kind::Native),
        CtKey::Other(number) => Symbol::of(format!("ct key {number}"), Kind::Bytes),
    }
}

fn value(kind: Kind, bytes: &[u8]) -> String {
    let network = bytes.iter().take(8).fold(0_u64, |sum, &byte| sum << 8 | u64::from(byte));
    let native = || bytes.iter().take(8).rev().fold(0_u64, |sum, &byte| sum << 8 | u64::from(byte));
    match kind {
        Kind::Number => network.to_string(),
        Kind::Native if cfg!(target_endian = "big") => network.to_string(),
        Kind::Native => native().to_string(),
        Kind::Address => match (<[u8; 4]>::try_from(bytes), <[u8; 16]>::try_from(bytes)) {
            (Ok(four), _) => Ipv4Addr::from(four).to_string(),
            (_, Ok(sixteen)) => Ipv6Addr::from(sixteen).to_string(),
            _ => value(Kind::Bytes, bytes),
        },
        Kind::Name => {
            let name = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
            format!("\"{}\"", String::from_utf8_lossy(name))
        }
        Kind::Transport => match network {
            1 => "icmp".into(),
            6 => "tcp".into(),
            17 => "udp".into(),
            58 => "icmpv6".into(),
            other => other.to_string(),
        },
        Kind::Family => match network {
            2 => "ipv4".into(),
            10 => "ipv6".into(),
            other => other.to_string(),
        },
        Kind::EtherType => match network {
            0x0800 => "ip".into(),
            0x86dd => "ip6".into(),
            other => format!("{other:#06x}"),
        },
        Kind::State => {
            let bits = if cfg!(target_endian = "big") { network } else { native() };
            let names = [(1, "invalid"), (2, "established"), (4, "related"), (8, "new"), (64, "untracked")];
            let set: Vec<&str> =
                names.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect();
            set.join(",")
        }
        Kind::Bytes => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("0x{hex}")
        }
    }
}
