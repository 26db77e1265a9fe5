//! Whether a key is in a set.

use wharf_sys::netlink::nftables::{Element, Set};

/// The element that a key finds.
pub(super) fn find<'a>(set: &'a Set, key: &[u8]) -> Option<&'a Element> {
    let rest = || set.elements.iter().find(|element| element.is_rest);
    let exact = |element: &&Element| !element.is_rest && !element.ends_range && element.key == key;
    if !set.has_ranges {
        return set.elements.iter().find(exact).or_else(rest);
    }
    let within = |element: &&Element| {
        let Some(end) = &element.key_end else { return false };
        is_within(&set.fields, key, &element.key, end)
    };
    if let Some(found) = set.elements.iter().find(within) {
        return Some(found);
    }
    // The last that begins or ends at the key or before it; where both are the same, a range begins.
    let last = set
        .elements
        .iter()
        .filter(|element| element.key_end.is_none() && !element.is_rest && element.key.as_slice() <= key)
        .max_by(|one, other| one.key.cmp(&other.key).then(other.ends_range.cmp(&one.ends_range)));
    last.filter(|element| !element.ends_range).or_else(rest)
}

/// Whether each part of a key is in its range.
fn is_within(fields: &[u32], key: &[u8], first: &[u8], last: &[u8]) -> bool {
    let whole = [key.len() as u32];
    let fields = if fields.is_empty() { &whole[..] } else { fields };
    let mut at = 0;
    fields.iter().all(|&length| {
        let part = at..at + length as usize;
        at = part.end.next_multiple_of(4);
        match (key.get(part.clone()), first.get(part.clone()), last.get(part)) {
            (Some(key), Some(first), Some(last)) => first <= key && key <= last,
            _ => false,
        }
    })
}
