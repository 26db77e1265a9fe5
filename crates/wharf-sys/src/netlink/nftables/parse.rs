//! Messages of nf_tables: every number is in network order, every name ends with a zero.

use super::expression::{self, verdict};
use super::{Base, Chain, Element, Family, Rule, Set, Verdict};
use crate::netlink::receive::{array, attributes};

const TABLE_F_DORMANT: u32 = 1;
const SET_ANONYMOUS: u32 = 1;
const SET_INTERVAL: u32 = 4;
const ELEM_INTERVAL_END: u32 = 1;
const ELEM_CATCHALL: u32 = 2;
/// The kind of an entry of `NFTA_RULE_USERDATA` that is a comment.
const COMMENT: u8 = 0;

/// Attributes without the marks that say how they are written.
pub(super) fn parts(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    attributes(bytes).map(|(kind, value)| (kind & 0x3fff, value))
}

pub(super) fn find(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    parts(bytes).find(|&(kind, _)| kind == wanted).map(|(_, value)| value)
}

pub(super) fn number(value: &[u8]) -> Option<u32> {
    array(value, 0).map(u32::from_be_bytes)
}

pub(super) fn number_in(bytes: &[u8], wanted: u16) -> Option<u32> {
    number(find(bytes, wanted)?)
}

pub(super) fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.split(|&byte| byte == 0).next().unwrap_or_default()).into_owned()
}

pub(super) fn text_in(bytes: &[u8], wanted: u16) -> Option<String> {
    find(bytes, wanted).map(text)
}

/// The table, if it is switched off.
pub(super) fn dormant(family: Family, body: &[u8]) -> Option<(Family, String)> {
    let flags = number_in(body, 2)?;
    if flags & TABLE_F_DORMANT == 0 { None } else { Some((family, text_in(body, 1)?)) }
}

pub(super) fn chain(family: Family, body: &[u8]) -> Option<Chain> {
    let policy = match number_in(body, 5) {
        Some(0) => Verdict::Drop,
        _ => Verdict::Accept,
    };
    let base = find(body, 4).and_then(|hook| {
        let mut devices: Vec<String> = text_in(hook, 3).into_iter().collect();
        devices.extend(find(hook, 4).into_iter().flat_map(parts).map(|(_, value)| text(value)));
        Some(Base {
            hook: number_in(hook, 1)?,
            priority: number_in(hook, 2)? as i32,
            kind: text_in(body, 7).unwrap_or_default(),
            policy,
            devices,
        })
    });
    Some(Chain { family, table: text_in(body, 1)?, name: text_in(body, 3)?, base })
}

pub(super) fn rule(family: Family, body: &[u8]) -> Option<Rule> {
    let expressions = find(body, 4).into_iter().flat_map(parts);
    Some(Rule {
        family,
        table: text_in(body, 1)?,
        chain: text_in(body, 2)?,
        handle: array(find(body, 3)?, 0).map(u64::from_be_bytes)?,
        expressions: expressions.filter_map(|(_, value)| expression::parse(value)).collect(),
        comment: find(body, 7).and_then(comment),
    })
}

/// What `nft` keeps beside a rule: kind, length, value.
fn comment(mut data: &[u8]) -> Option<String> {
    while let [kind, length, rest @ ..] = data {
        let value = rest.get(..usize::from(*length))?;
        if *kind == COMMENT {
            return Some(text(value));
        }
        data = rest.get(usize::from(*length)..)?;
    }
    None
}

pub(super) fn set(family: Family, body: &[u8]) -> Option<Set> {
    let flags = number_in(body, 3).unwrap_or_default();
    let concat = find(body, 9).and_then(|description| find(description, 2));
    let fields = concat.into_iter().flat_map(parts).filter_map(|(_, field)| number_in(field, 1));
    Some(Set {
        family,
        table: text_in(body, 1)?,
        name: text_in(body, 2)?,
        is_anonymous: flags & SET_ANONYMOUS != 0,
        has_ranges: flags & SET_INTERVAL != 0,
        key_bytes: number_in(body, 5).unwrap_or_default(),
        fields: fields.collect(),
        elements: Vec::new(),
    })
}

pub(super) fn elements(body: &[u8], into: &mut Vec<Element>) {
    for (_, value) in find(body, 3).into_iter().flat_map(parts) {
        let mut element = Element::default();
        for (kind, value) in parts(value) {
            let data = || find(value, 1).unwrap_or_default().to_vec();
            match kind {
                1 => element.key = data(),
                2 => {
                    element.data = data();
                    element.verdict = find(value, 2).and_then(verdict);
                }
                3 => {
                    let flags = number(value).unwrap_or_default();
                    element.ends_range = flags & ELEM_INTERVAL_END != 0;
                    element.is_rest = flags & ELEM_CATCHALL != 0;
                }
                10 => element.key_end = Some(data()),
                _ => {}
            }
        }
        into.push(element);
    }
}
