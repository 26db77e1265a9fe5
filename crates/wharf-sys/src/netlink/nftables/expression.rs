//! The expressions of a rule, as far as they are known.

use super::parse::{find, number, number_in, parts, text, text_in};

/// What is decided on a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This hook lets it pass.
    Accept,
    /// It is gone.
    Drop,
    /// A program decides.
    Queue,
    /// The next rule.
    Continue,
    /// The next rule, without the rest of this one.
    Break,
    /// Another chain, and back.
    Jump(String),
    /// Another chain.
    Goto(String),
    /// Back to where the chain was jumped to from.
    Return,
}

/// Where in a packet the bytes stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadBase {
    /// From the Ethernet header on.
    Link,
    /// From the IP header on.
    Network,
    /// From the TCP or UDP header on.
    Transport,
    /// Behind it, or elsewhere.
    Other,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Equal.
    Equal,
    /// Not equal.
    NotEqual,
    /// Less.
    Less,
    /// Less, or equal.
    AtMost,
    /// Greater.
    Greater,
    /// Greater, or equal.
    AtLeast,
}

/// What is known beside a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaKey {
    /// Its EtherType.
    Protocol,
    /// Its mark.
    Mark,
    /// The number of the interface that it came by.
    InIndex,
    /// The number of the interface that it leaves by.
    OutIndex,
    /// The name of the interface that it came by.
    InName,
    /// The name of the interface that it leaves by.
    OutName,
    /// The user whose socket it is of.
    User,
    /// The group whose socket it is of.
    Group,
    /// Its family (`NFPROTO_IPV4` 2, `NFPROTO_IPV6` 10).
    Family,
    /// Its transport.
    Transport,
    /// Whether it is for this host, all, or a group (0, 1, 2).
    PacketType,
    /// Another, by its number.
    Other(u32),
}

/// What connection tracking knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CtKey {
    /// Its state: 1 invalid, 2 established, 4 related, 8 new, 64 untracked.
    State,
    /// 0 as the first packet went, 1 the other way.
    Direction,
    /// Its status: 0x10 the source, 0x20 the destination is translated.
    Status,
    /// Its mark.
    Mark,
    /// Another, by its number.
    Other(u32),
}

/// Which address is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NatKind {
    /// The source.
    Source,
    /// The destination.
    Destination,
}

/// How a sender is told that it was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// By a reset.
    Reset,
    /// By ICMP, with this code.
    Icmp(u8),
    /// By ICMP of either family, with this code of nf_tables: 0 no route, 1 port, 2 host, 3 prohibited.
    IcmpAny(u8),
}

/// The unit of a rate, by the seconds of its time.
pub type LimitUnit = u64;

/// One expression. Registers are numbered in words of four bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// Bytes of the packet into a register.
    Payload {
        /// Counted from here.
        base: PayloadBase,
        /// The first byte.
        offset: u32,
        /// How many.
        length: u32,
        /// The register.
        to: u32,
    },
    /// What is known beside it, into a register.
    Meta {
        /// What.
        key: MetaKey,
        /// The register.
        to: u32,
    },
    /// A register into what is known beside the packet: its mark, say.
    SetMeta {
        /// What.
        key: MetaKey,
        /// The register.
        from: u32,
    },
    /// What connection tracking knows, into a register.
    Ct {
        /// What.
        key: CtKey,
        /// The register.
        to: u32,
    },
    /// The kind of an address into a register: `RTN_LOCAL` 2, `RTN_UNICAST` 1...
    AddressKind {
        /// Whether it is the source's.
        of_source: bool,
        /// The register.
        to: u32,
    },
    /// A constant into a register.
    Value {
        /// The register.
        to: u32,
        /// The constant.
        value: Vec<u8>,
    },
    /// What is decided.
    Verdict(Verdict),
    /// Goes on if a register compares so.
    Compare {
        /// The register.
        from: u32,
        /// How.
        operator: Operator,
        /// With this.
        value: Vec<u8>,
    },
    /// Goes on if a register is in a range.
    Range {
        /// The register.
        from: u32,
        /// Or is not.
        inverted: bool,
        /// The first.
        first: Vec<u8>,
        /// The last.
        last: Vec<u8>,
    },
    /// Masks a register, and flips bits of it.
    Bitwise {
        /// The register.
        from: u32,
        /// Where the result goes.
        to: u32,
        /// What is kept.
        mask: Vec<u8>,
        /// What is flipped.
        flip: Vec<u8>,
    },
    /// Goes on if a register is in a set; of a map, what it has for it goes into another, or is the verdict.
    Lookup {
        /// The set.
        set: String,
        /// The register.
        from: u32,
        /// The register for what the map has; 0 is the verdict.
        to: Option<u32>,
        /// Goes on if it is not.
        inverted: bool,
    },
    /// Translates an address.
    Nat {
        /// Which.
        kind: NatKind,
        /// The register with the new address.
        address: Option<u32>,
        /// The register with the new port.
        port: Option<u32>,
    },
    /// Translates the source to the address of the interface.
    Masquerade,
    /// Translates the destination to this host.
    Redirect {
        /// The register with the new port.
        port: Option<u32>,
    },
    /// Refuses, and says so.
    Reject(Reject),
    /// Goes on below a rate.
    Limit {
        /// So many.
        rate: u64,
        /// In so many seconds.
        unit: LimitUnit,
        /// Goes on above it.
        inverted: bool,
    },
    /// Writes a line to the log.
    Log,
    /// Counts.
    Counter {
        /// Packets so far.
        packets: u64,
    },
    /// Leaves connection tracking out.
    NoTrack,
    /// A match of iptables.
    Match {
        /// Its name.
        name: String,
        /// Its version.
        revision: u32,
        /// What it is given.
        info: Vec<u8>,
    },
    /// A target of iptables.
    Target {
        /// Its name.
        name: String,
        /// Its version.
        revision: u32,
        /// What it is given.
        info: Vec<u8>,
    },
    /// Another.
    Other(String),
}

/// Reads one expression.
pub(super) fn parse(bytes: &[u8]) -> Option<Expression> {
    let name = text_in(bytes, 1)?;
    let data = find(bytes, 2).unwrap_or_default();
    Some(known(&name, data).unwrap_or(Expression::Other(name)))
}

/// A register in words: the four old ones have four words each, the new ones one.
fn word(register: u32) -> Option<u32> {
    match register {
        1..=4 => Some((register - 1) * 4),
        8..=23 => Some(register - 8),
        _ => None,
    }
}

fn register(data: &[u8], wanted: u16) -> Option<u32> {
    word(number_in(data, wanted)?)
}

/// A constant (`NFTA_DATA_VALUE`).
fn constant(data: &[u8], wanted: u16) -> Option<Vec<u8>> {
    find(find(data, wanted)?, 1).map(<[u8]>::to_vec)
}

/// A verdict (`NFTA_DATA_VERDICT`).
pub(super) fn verdict(data: &[u8]) -> Option<Verdict> {
    let chain = || text_in(data, 2);
    Some(match number_in(data, 1)? as i32 {
        0 => Verdict::Drop,
        1 => Verdict::Accept,
        3 => Verdict::Queue,
        -1 => Verdict::Continue,
        -2 => Verdict::Break,
        -3 => Verdict::Jump(chain()?),
        -4 => Verdict::Goto(chain()?),
        -5 => Verdict::Return,
        _ => return None,
    })
}

fn known(name: &str, data: &[u8]) -> Option<Expression> {
    Some(match name {
        "payload" => payload(data)?,
        "meta" => match (register(data, 1), register(data, 3)) {
            (Some(to), _) => Expression::Meta { key: meta(number_in(data, 2)?), to },
            (None, from) => Expression::SetMeta { key: meta(number_in(data, 2)?), from: from? },
        },
        "ct" => Expression::Ct { key: ct(number_in(data, 2)?), to: register(data, 1)? },
        "fib" => address_kind(data)?,
        "immediate" => immediate(data)?,
        "cmp" => Expression::Compare {
            from: register(data, 1)?,
            operator: operator(number_in(data, 2)?)?,
            value: constant(data, 3)?,
        },
        "range" => Expression::Range {
            from: register(data, 1)?,
            inverted: number_in(data, 2)? == 1,
            first: constant(data, 3)?,
            last: constant(data, 4)?,
        },
        "bitwise" if number_in(data, 6).unwrap_or(0) == 0 => Expression::Bitwise {
            from: register(data, 1)?,
            to: register(data, 2)?,
            mask: constant(data, 4)?,
            flip: constant(data, 5)?,
        },
        "lookup" => Expression::Lookup {
            set: text_in(data, 1)?,
            from: register(data, 2)?,
            to: match number_in(data, 3) {
                Some(0) => Some(VERDICT),
                Some(other) => Some(word(other)?),
                None => None,
            },
            inverted: number_in(data, 5).unwrap_or(0) & 1 != 0,
        },
        "counter" => Expression::Counter { packets: long(find(data, 2)?)? },
        "log" => Expression::Log,
        "notrack" => Expression::NoTrack,
        "limit" => Expression::Limit {
            rate: long(find(data, 1)?)?,
            unit: long(find(data, 2)?)?,
            inverted: number_in(data, 5).unwrap_or(0) & 1 != 0,
        },
        "match" => {
            let (name, revision, info) = foreign(data)?;
            Expression::Match { name, revision, info }
        }
        "target" => {
            let (name, revision, info) = foreign(data)?;
            Expression::Target { name, revision, info }
        }
        _ => return translation(name, data),
    })
}

/// The register of verdicts, beyond those of data.
pub const VERDICT: u32 = u32::MAX;

fn translation(name: &str, data: &[u8]) -> Option<Expression> {
    Some(match name {
        "nat" => Expression::Nat {
            kind: if number_in(data, 1)? == 0 { NatKind::Source } else { NatKind::Destination },
            address: register(data, 3),
            port: register(data, 5),
        },
        "masq" => Expression::Masquerade,
        "redir" => Expression::Redirect { port: register(data, 1) },
        "reject" => {
            let code = find(data, 2).and_then(|code| code.first().copied()).unwrap_or(0);
            Expression::Reject(match number_in(data, 1)? {
                1 => Reject::Reset,
                2 => Reject::IcmpAny(code),
                _ => Reject::Icmp(code),
            })
        }
        _ => return None,
    })
}

fn payload(data: &[u8]) -> Option<Expression> {
    let base = match number_in(data, 2)? {
        0 => PayloadBase::Link,
        1 => PayloadBase::Network,
        2 => PayloadBase::Transport,
        _ => PayloadBase::Other,
    };
    // Without such a register it writes to the packet.
    let to = register(data, 1)?;
    Some(Expression::Payload { base, offset: number_in(data, 3)?, length: number_in(data, 4)?, to })
}

/// `fib saddr type` and `fib daddr type`; others are not known.
fn address_kind(data: &[u8]) -> Option<Expression> {
    const ADDRTYPE: u32 = 3;
    let of_source = match number_in(data, 3)? {
        1 => true,
        2 => false,
        _ => return None,
    };
    (number_in(data, 2)? == ADDRTYPE).then_some(())?;
    Some(Expression::AddressKind { of_source, to: register(data, 1)? })
}

fn immediate(data: &[u8]) -> Option<Expression> {
    let value = find(data, 2)?;
    match parts(value).next()? {
        (2, inner) => verdict(inner).map(Expression::Verdict),
        (_, inner) => Some(Expression::Value { to: register(data, 1)?, value: inner.to_vec() }),
    }
}

fn foreign(data: &[u8]) -> Option<(String, u32, Vec<u8>)> {
    let revision = number_in(data, 2).unwrap_or(0);
    Some((text(find(data, 1)?), revision, find(data, 3).unwrap_or_default().to_vec()))
}

fn long(value: &[u8]) -> Option<u64> {
    let high = number(value)?;
    Some(u64::from(high) << 32 | u64::from(number(value.get(4..)?)?))
}

fn meta(key: u32) -> MetaKey {
    match key {
        1 => MetaKey::Protocol,
        3 => MetaKey::Mark,
        4 => MetaKey::InIndex,
        5 => MetaKey::OutIndex,
        6 => MetaKey::InName,
        7 => MetaKey::OutName,
        10 => MetaKey::User,
        11 => MetaKey::Group,
        15 => MetaKey::Family,
        16 => MetaKey::Transport,
        19 => MetaKey::PacketType,
        other => MetaKey::Other(other),
    }
}

fn ct(key: u32) -> CtKey {
    match key {
        0 => CtKey::State,
        1 => CtKey::Direction,
        2 => CtKey::Status,
        3 => CtKey::Mark,
        other => CtKey::Other(other),
    }
}

fn operator(number: u32) -> Option<Operator> {
    Some(match number {
        0 => Operator::Equal,
        1 => Operator::NotEqual,
        2 => Operator::Less,
        3 => Operator::AtMost,
        4 => Operator::Greater,
        5 => Operator::AtLeast,
        _ => return None,
    })
}
