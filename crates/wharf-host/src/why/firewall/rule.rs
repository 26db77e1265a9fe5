//! One rule: whether a packet fits, and what the rule does then.

use std::net::{IpAddr, SocketAddr};

use wharf_sys::netlink::nftables::{
    CtKey, Expression, MetaKey, NatKind, Operator, Reject, Rule, VERDICT, Verdict,
};

use super::registers::Registers;
use super::{Device, Filter, Hook, Packet, Phase, compat, sets};

/// What a rule does with a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// Nothing that matters here.
    Other,
    /// This can't be told, and why.
    Unknown(String),
    Verdict(Verdict),
    Reject(Reject),
    Translate(SocketAddr),
    /// Another source; the address where it is told.
    Mask(Option<IpAddr>),
    Mark(u32),
    Untrack,
}

/// What an expression does.
pub(super) enum Outcome {
    Goes,
    Ends,
    Unknown(String),
    Does(Deed),
}

impl Filter<'_> {
    pub(super) fn ask(&self, rule: &Rule, hook: Hook, packet: &Packet) -> Deed {
        let mut registers = Registers::new();
        let mut unknown = None;
        let mut done = Deed::Other;
        for expression in &rule.expressions {
            match self.step(expression, rule, hook, packet, &mut registers) {
                Outcome::Goes => {}
                // What does not fit does not fit, whatever else is unknown.
                Outcome::Ends => return Deed::Other,
                Outcome::Unknown(why) => {
                    unknown.get_or_insert(why);
                }
                Outcome::Does(deed) => {
                    done = deed;
                    if !matches!(done, Deed::Mark(_) | Deed::Untrack) {
                        break;
                    }
                }
            }
        }
        match unknown {
            // A rule that decides nothing can be unknown.
            Some(_) if done == Deed::Other => Deed::Other,
            Some(why) => Deed::Unknown(why),
            None => done,
        }
    }

    fn step(
        &self,
        expression: &Expression,
        rule: &Rule,
        hook: Hook,
        packet: &Packet,
        registers: &mut Registers,
    ) -> Outcome {
        match expression {
            Expression::Payload { base, offset, length, to } => {
                let header = packet.header(*base);
                let bytes: Vec<_> =
                    (*offset..offset + length).map(|at| header.get(at as usize).copied().flatten()).collect();
                registers.put(*to, &bytes);
                Outcome::Goes
            }
            Expression::Meta { key, to } => load_meta(*key, *to, hook, packet, registers),
            Expression::SetMeta { key: MetaKey::Mark, from } => match registers.known(*from, 4) {
                Some(mark) => Outcome::Does(Deed::Mark(native(&mark))),
                None => Outcome::Unknown("its mark can't be foreseen".into()),
            },
            Expression::Ct { key, to } => load_ct(*key, *to, packet, registers),
            Expression::AddressKind { of_source, to } => {
                let address = if *of_source { packet.source.ip() } else { packet.destination.ip() };
                let kind = self.around.kind_of(address);
                let bytes = kind.map_or(vec![None; 4], |kind| known(&u32::from(kind).to_ne_bytes()));
                registers.put(*to, &bytes);
                Outcome::Goes
            }
            Expression::Value { to, value } => {
                registers.put_known(*to, value);
                Outcome::Goes
            }
            Expression::Verdict(Verdict::Continue) => Outcome::Goes,
            Expression::Verdict(Verdict::Break) => Outcome::Ends,
            Expression::Verdict(verdict) => Outcome::Does(Deed::Verdict(verdict.clone())),
            Expression::Compare { from, operator, value } => compare(registers, *from, *operator, value),
            Expression::Range { from, inverted, first, last } => match registers.known(*from, first.len()) {
                Some(key) => goes_if((*first <= key && key <= *last) != *inverted),
                None => unforeseen(),
            },
            Expression::Bitwise { from, to, mask, flip } => {
                let bits = mask.iter().zip(flip);
                let masked = |(byte, (mask, flip)): (&Option<u8>, (&u8, &u8))| match byte {
                    Some(byte) => Some(byte & mask ^ flip),
                    None if *mask == 0 => Some(*flip),
                    None => None,
                };
                let bytes: Vec<_> = registers.slice(*from, mask.len()).iter().zip(bits).map(masked).collect();
                registers.put(*to, &bytes);
                Outcome::Goes
            }
            Expression::Lookup { .. } => self.look_up(rule, expression, registers),
            Expression::NoTrack => Outcome::Does(Deed::Untrack),
            Expression::Reject(how) => Outcome::Does(Deed::Reject(*how)),
            Expression::Nat { .. } | Expression::Masquerade | Expression::Redirect { .. } => {
                self.translate(expression, hook, packet, registers)
            }
            // A single packet stays below every rate.
            Expression::Limit { inverted, .. } => goes_if(!inverted),
            Expression::Log | Expression::Counter { .. } | Expression::SetMeta { .. } => Outcome::Goes,
            Expression::Match { name, revision, info } => {
                compat::fits(name, *revision, info, packet, self.around)
            }
            Expression::Target { name, revision, info } => {
                compat::does(name, *revision, info, hook, packet, self.around)
            }
            Expression::Other(name) => Outcome::Unknown(format!("wharf does not know `{name}`")),
        }
    }

    fn look_up(&self, rule: &Rule, expression: &Expression, registers: &mut Registers) -> Outcome {
        let Expression::Lookup { set: name, from, to, inverted } = expression else { return Outcome::Goes };
        let is_meant = |set: &&wharf_sys::netlink::nftables::Set| {
            set.family == rule.family && set.table == rule.table && set.name == *name
        };
        let Some(set) = self.rules.sets.iter().find(is_meant) else {
            return Outcome::Unknown(format!("set {name} can't be read"));
        };
        let Some(key) = registers.known(*from, set.key_bytes as usize) else { return unforeseen() };
        match (sets::find(set, &key), to.as_ref()) {
            (found, None) => goes_if(found.is_some() != *inverted),
            (None, Some(_)) => Outcome::Ends,
            (Some(element), Some(&VERDICT)) => match &element.verdict {
                Some(verdict) => Outcome::Does(Deed::Verdict(verdict.clone())),
                None => Outcome::Unknown(format!("map {name} can't be read")),
            },
            (Some(element), Some(to)) => {
                registers.put_known(*to, &element.data);
                Outcome::Goes
            }
        }
    }

    fn translate(
        &self,
        expression: &Expression,
        hook: Hook,
        packet: &Packet,
        registers: &Registers,
    ) -> Outcome {
        let is_v4 = packet.destination.is_ipv4();
        let address = |word: Option<u32>| -> Option<IpAddr> {
            let bytes = registers.known(word?, if is_v4 { 4 } else { 16 })?;
            match <[u8; 4]>::try_from(bytes.as_slice()) {
                Ok(four) => Some(four.into()),
                Err(_) => <[u8; 16]>::try_from(bytes.as_slice()).ok().map(IpAddr::from),
            }
        };
        let port = |word: Option<u32>| {
            let bytes = registers.known(word?, 2)?;
            Some(u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]))
        };
        match expression {
            Expression::Nat { kind: NatKind::Destination, address: to, port: to_port } => {
                let to_address = address(*to).unwrap_or(packet.destination.ip());
                let to_port = port(*to_port).unwrap_or(packet.destination.port());
                Outcome::Does(Deed::Translate(SocketAddr::new(to_address, to_port)))
            }
            Expression::Nat { address: to, .. } => Outcome::Does(Deed::Mask(address(*to))),
            Expression::Redirect { port: to_port } => {
                let to_port = port(*to_port).unwrap_or(packet.destination.port());
                match redirected(hook, packet, self.around) {
                    Some(own) => Outcome::Does(Deed::Translate(SocketAddr::new(own, to_port))),
                    None => Outcome::Unknown("the interface has no address to redirect to".into()),
                }
            }
            _ => Outcome::Does(Deed::Mask(None)),
        }
    }
}

/// Where `redirect` leads: to loopback what was made here, else to the address of the interface.
pub(super) fn redirected(hook: Hook, packet: &Packet, around: &dyn super::Surroundings) -> Option<IpAddr> {
    let like = packet.destination.ip();
    match (hook, like) {
        (Hook::Output, IpAddr::V4(_)) => Some(IpAddr::from([127, 0, 0, 1])),
        (Hook::Output, IpAddr::V6(_)) => Some(std::net::Ipv6Addr::LOCALHOST.into()),
        _ => around.address_of(packet.came_by.as_ref(), like),
    }
}

pub(super) fn goes_if(fits: bool) -> Outcome {
    if fits { Outcome::Goes } else { Outcome::Ends }
}

fn unforeseen() -> Outcome {
    Outcome::Unknown("it looks at what can't be foreseen of a packet".into())
}

fn known(bytes: &[u8]) -> Vec<Option<u8>> {
    bytes.iter().map(|&byte| Some(byte)).collect()
}

fn native(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(0, u32::from_ne_bytes)
}

fn compare(registers: &Registers, from: u32, operator: Operator, value: &[u8]) -> Outcome {
    let have = registers.slice(from, value.len());
    // One byte that differs is enough.
    let differs = have.iter().zip(value).any(|(have, wanted)| have.is_some_and(|have| have != *wanted));
    match (operator, registers.known(from, value.len())) {
        (Operator::Equal, _) if differs => Outcome::Ends,
        (Operator::NotEqual, _) if differs => Outcome::Goes,
        (_, None) => unforeseen(),
        (Operator::Equal, Some(have)) => goes_if(have == value),
        (Operator::NotEqual, Some(have)) => goes_if(have != value),
        (Operator::Less, Some(have)) => goes_if(have.as_slice() < value),
        (Operator::AtMost, Some(have)) => goes_if(have.as_slice() <= value),
        (Operator::Greater, Some(have)) => goes_if(have.as_slice() > value),
        (Operator::AtLeast, Some(have)) => goes_if(have.as_slice() >= value),
    }
}

/// The name in the sixteen bytes that a register has for it.
fn device_name(device: Option<&Device>) -> [u8; 16] {
    let mut name = [0; 16];
    for (to, from) in name.iter_mut().zip(device.map(|device| device.name.bytes()).into_iter().flatten()) {
        *to = from;
    }
    name
}

fn load_meta(key: MetaKey, to: u32, hook: Hook, packet: &Packet, registers: &mut Registers) -> Outcome {
    let is_v4 = packet.destination.is_ipv4();
    let index = |device: Option<&Device>| device.map_or(0, |device| device.index).to_ne_bytes();
    // Neither side is known beyond its own hooks.
    let came_by = packet.came_by.as_ref().filter(|_| hook != Hook::Output);
    let leaves_by = packet.leaves_by.as_ref().filter(|_| !matches!(hook, Hook::Prerouting | Hook::Input));
    match key {
        MetaKey::Protocol => {
            registers.put_known(to, &(if is_v4 { 0x0800_u16 } else { 0x86dd }).to_be_bytes());
        }
        MetaKey::Mark => registers.put_known(to, &packet.mark.to_ne_bytes()),
        MetaKey::InIndex => registers.put_known(to, &index(came_by)),
        MetaKey::OutIndex => registers.put_known(to, &index(leaves_by)),
        MetaKey::InName => registers.put_known(to, &device_name(came_by)),
        MetaKey::OutName => registers.put_known(to, &device_name(leaves_by)),
        MetaKey::Family => registers.put_known(to, &[if is_v4 { 2 } else { 10 }]),
        MetaKey::Transport => registers.put_known(to, &[packet.transport()]),
        MetaKey::User | MetaKey::Group => match packet.user {
            Some((user, group)) => {
                let id = if key == MetaKey::User { user } else { group };
                registers.put_known(to, &id.to_ne_bytes());
            }
            // No socket of this network sends it.
            None => return Outcome::Ends,
        },
        MetaKey::PacketType => match &packet.came_by {
            Some(device) if device.name != "lo" => registers.put_known(to, &[0]),
            _ => registers.put(to, &[None]),
        },
        MetaKey::Other(number) => return Outcome::Unknown(format!("wharf does not know meta key {number}")),
    }
    Outcome::Goes
}

fn load_ct(key: CtKey, to: u32, packet: &Packet, registers: &mut Registers) -> Outcome {
    let is_first = packet.phase == Phase::First;
    let translated = if packet.is_translated { 0x20 } else { 0 };
    let value: u32 = match key {
        CtKey::State if !packet.is_tracked => 64,
        CtKey::State => {
            if is_first {
                8
            } else {
                2
            }
        }
        CtKey::Direction => {
            registers.put_known(to, &[u8::from(!is_first)]);
            return Outcome::Goes;
        }
        CtKey::Status => translated | if is_first { 0 } else { 0x0a },
        CtKey::Mark => 0,
        CtKey::Other(number) => return Outcome::Unknown(format!("wharf does not know ct key {number}")),
    };
    registers.put_known(to, &value.to_ne_bytes());
    Outcome::Goes
}
