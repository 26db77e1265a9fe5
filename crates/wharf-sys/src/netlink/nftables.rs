//! The packet filter of a network namespace, read and never changed: tables, chains, rules and sets of nf_tables, which holds
//! the rules of `nft` and of today's `iptables` (`linux/netfilter/nf_tables.h`).
//!
//! What an [`Expression`] is gets decoded here; what it makes of a packet is the caller's question. An expression that is not
//! known keeps its name.

mod expression;
mod parse;

use std::io;

use super::receive::{DUMP, Room};
use super::{Batch, Netlink};

pub use expression::{
    CtKey, Expression, LimitUnit, MetaKey, NatKind, Operator, PayloadBase, Reject, VERDICT, Verdict,
};

const NFNL_SUBSYS_NFTABLES: u16 = 10;
const GETTABLE: u16 = 1;
const GETCHAIN: u16 = 4;
const GETRULE: u16 = 7;
const GETSET: u16 = 10;
const GETSETELEM: u16 = 13;
const SET_ELEM_LIST_TABLE: u16 = 1;
const SET_ELEM_LIST_SET: u16 = 2;

/// What the rules of a table are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// Both.
    Inet,
    /// Frames as they come from a device.
    Netdev,
    /// Frames on a bridge.
    Bridge,
    /// ARP.
    Arp,
}

impl Family {
    fn parse(number: u8) -> Option<Family> {
        Some(match number {
            1 => Family::Inet,
            2 => Family::Ip,
            3 => Family::Arp,
            5 => Family::Netdev,
            7 => Family::Bridge,
            10 => Family::Ip6,
            _ => return None,
        })
    }

    const fn number(self) -> u8 {
        match self {
            Family::Inet => 1,
            Family::Ip => 2,
            Family::Arp => 3,
            Family::Netdev => 5,
            Family::Bridge => 7,
            Family::Ip6 => 10,
        }
    }

    /// As `nft` writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Family::Inet => "inet",
            Family::Ip => "ip",
            Family::Arp => "arp",
            Family::Netdev => "netdev",
            Family::Bridge => "bridge",
            Family::Ip6 => "ip6",
        }
    }
}

/// What makes a chain be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// The number of the hook in its family: of IP 0 prerouting, 1 input, 2 forward, 3 output, 4 postrouting, 5 ingress; of
    /// netdev 0 ingress, 1 egress.
    pub hook: u32,
    /// Its place among the chains of the hook: low ones come first.
    pub priority: i32,
    /// `filter`, `nat` or `route`.
    pub kind: String,
    /// Whether what comes to its end passes.
    pub policy: Verdict,
    /// Of which devices, where it is about some.
    pub devices: Vec<String>,
}

/// A chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Its family.
    pub family: Family,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// What makes it be asked; `None` for one that others jump to.
    pub base: Option<Base>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its family.
    pub family: Family,
    /// Its table.
    pub table: String,
    /// Its chain.
    pub chain: String,
    /// Its number in the table, by which it can be deleted.
    pub handle: u64,
    /// What it does, in order.
    pub expressions: Vec<Expression>,
    /// What its author says of it.
    pub comment: Option<String>,
}

/// An element of a set or a map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// The key; empty for the one that stands for everything else.
    pub key: Vec<u8>,
    /// The end of a range of keys, included.
    pub key_end: Option<Vec<u8>>,
    /// What a map has for it.
    pub data: Vec<u8>,
    /// What a map of verdicts has for it.
    pub verdict: Option<Verdict>,
    /// That a range ends before this key.
    pub ends_range: bool,
    /// That it stands for everything else.
    pub is_rest: bool,
}

/// A set or a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Its family.
    pub family: Family,
    /// Its table.
    pub table: String,
    /// Its name; one that was made for a rule is called `__set0` or so.
    pub name: String,
    /// Whether it was made for one rule.
    pub is_anonymous: bool,
    /// Whether its keys are ranges.
    pub has_ranges: bool,
    /// Bytes of a key.
    pub key_bytes: u32,
    /// Bytes of each part of a key that has several, without their padding.
    pub fields: Vec<u32>,
    /// Its elements, in the order of the kernel.
    pub elements: Vec<Element>,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// Tables that are switched off.
    pub dormant: Vec<(Family, String)>,
    /// Chains.
    pub chains: Vec<Chain>,
    /// Rules, those of a chain in their order.
    pub rules: Vec<Rule>,
    /// Sets and maps.
    pub sets: Vec<Set>,
}

/// Reads the packet filter of the network namespace of this thread.
///
/// # Errors
/// `EPERM` without CAP_NET_ADMIN there. A kernel without nf_tables has no rules, and that is no error.
pub fn read() -> io::Result<Ruleset> {
    let netlink = Netlink::open_family(libc::NETLINK_NETFILTER)?;
    let mut ruleset = Ruleset::default();
    let mut room = Room::new();
    for (what, number) in [(GETTABLE, 0), (GETCHAIN, 1), (GETRULE, 2), (GETSET, 3)] {
        let mut request = Batch::new();
        request.request(NFNL_SUBSYS_NFTABLES << 8 | what, DUMP, &[0; 4], |_| {});
        let listed = netlink.list(&request, &mut room, |message| {
            let Some((family, body)) = split(message.body) else { return };
            match number {
                0 => ruleset.dormant.extend(parse::dormant(family, body)),
                1 => ruleset.chains.extend(parse::chain(family, body)),
                2 => ruleset.rules.extend(parse::rule(family, body)),
                _ => ruleset.sets.extend(parse::set(family, body)),
            }
        });
        match listed {
            Ok(_) => {}
            Err(error) if is_absent(&error) => return Ok(Ruleset::default()),
            Err(error) => return Err(error),
        }
    }
    for set in &mut ruleset.sets {
        let mut request = Batch::new();
        let (table, name) = (zero_ended(&set.table), zero_ended(&set.name));
        let fixed = [set.family.number(), 0, 0, 0];
        request.request(NFNL_SUBSYS_NFTABLES << 8 | GETSETELEM, DUMP, &fixed, |put| {
            put.put(SET_ELEM_LIST_TABLE, &table).put(SET_ELEM_LIST_SET, &name);
        });
        let elements = &mut set.elements;
        let listed = netlink.list(&request, &mut room, |message| {
            if let Some((_, body)) = split(message.body) {
                parse::elements(body, elements);
            }
        });
        // It may be gone by now.
        if listed.is_err() {
            elements.clear();
        }
    }
    Ok(ruleset)
}

fn zero_ended(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

/// The family of a message, and its attributes (`nfgenmsg`).
fn split(body: &[u8]) -> Option<(Family, &[u8])> {
    Some((Family::parse(*body.first()?)?, body.get(4..)?))
}

/// Whether the kernel says that it has no nf_tables.
fn is_absent(error: &io::Error) -> bool {
    let absent = [libc::ENOENT, libc::EOPNOTSUPP, libc::EPROTONOSUPPORT, libc::EINVAL];
    error.raw_os_error().is_some_and(|number| absent.contains(&number))
}
