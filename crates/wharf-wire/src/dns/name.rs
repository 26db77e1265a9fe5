//! Names (RFC 1035, section 3.1): up to 127 labels of up to 63 bytes, 255 bytes in all. Any byte may stand in a label;
//! ASCII letters are equal in both cases (RFC 4343).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::fmt::Write as _;
use core::hash::{Hash, Hasher};
use core::net::IpAddr;
use core::str::FromStr;

use wharf_table::Addr;

use crate::Malformed;

/// Bytes of the longest name on the wire, root included (RFC 1035, section 2.3.4).
pub const MAX_NAME_LEN: usize = 255;
const MAX_LABEL_LEN: usize = 63;
const POINTER: u8 = 0xc0;
/// As many pointers as labels: those of any name that was compressed, and a bound to what a name costs to read. Without it a
/// chain through all of a message, to which each of its records points, would cost its length squared.
const MAX_POINTERS: usize = 127;

/// A name within a message, perhaps compressed, known to be well-formed.
#[derive(Clone, Copy)]
pub struct NameRef<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> NameRef<'a> {
    /// Reads the name at `at` of `message`; gives back where its bytes end.
    ///
    /// A pointer must lead to before the place where the name, or the part that pointed, began: that makes loops impossible
    /// (RFC 1035, section 4.1.4, speaks of a *prior* occurrence). More pointers than a name can have labels are no name.
    pub(super) fn parse(message: &'a [u8], at: usize) -> Result<(NameRef<'a>, usize), Malformed> {
        let name = NameRef { message, at };
        let (mut pos, mut before, mut end, mut len) = (at, at, None, 1);
        let mut pointers = 0;
        loop {
            let &first = message.get(pos).ok_or(Malformed::Name)?;
            match first {
                0 => return Ok((name, end.unwrap_or(pos + 1))),
                1..=0x3f => {
                    len += usize::from(first) + 1;
                    pos += usize::from(first) + 1;
                    if len > MAX_NAME_LEN {
                        return Err(Malformed::Name);
                    }
                }
                POINTER.. => {
                    let &second = message.get(pos + 1).ok_or(Malformed::Name)?;
                    let target = usize::from(u16::from_be_bytes([first & !POINTER, second]));
                    pointers += 1;
                    if target >= before || pointers > MAX_POINTERS {
                        return Err(Malformed::Name);
                    }
                    end = end.or(Some(pos + 2));
                    (pos, before) = (target, target);
                }
                // 01 and 10 are label types that nobody uses any more (RFC 6891, section 5).
                _ => return Err(Malformed::Name),
            }
        }
    }

    /// The labels, the root left out.
    pub fn labels(self) -> impl Iterator<Item = &'a [u8]> {
        let mut pos = self.at;
        core::iter::from_fn(move || {
            loop {
                match *self.message.get(pos)? {
                    0 => return None,
                    first if first < POINTER => {
                        let label = self.message.get(pos + 1..pos + 1 + usize::from(first))?;
                        pos += 1 + label.len();
                        return Some(label);
                    }
                    first => {
                        let second = *self.message.get(pos + 1)?;
                        pos = usize::from(u16::from_be_bytes([first & !POINTER, second]));
                    }
                }
            }
        })
    }

    /// The name on its own.
    pub fn to_name(self) -> Name {
        let mut wire = Vec::with_capacity(32);
        for label in self.labels() {
            wire.push(label.len() as u8);
            wire.extend_from_slice(label);
        }
        wire.push(0);
        Name { wire: wire.into() }
    }
}

impl PartialEq for NameRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        same_labels(self.labels(), other.labels())
    }
}

impl Eq for NameRef<'_> {}

impl PartialEq<Name> for NameRef<'_> {
    fn eq(&self, other: &Name) -> bool {
        same_labels(self.labels(), other.labels())
    }
}

impl fmt::Display for NameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_labels(self.labels(), f)
    }
}

impl fmt::Debug for NameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_labels(self.labels(), f)
    }
}

/// A name on its own. Equality, order and hash don't look at the case of ASCII letters; the case is kept.
#[derive(Clone)]
pub struct Name {
    /// Uncompressed, root included.
    wire: Box<[u8]>,
}

impl Name {
    /// The root.
    pub fn root() -> Name {
        Name { wire: Box::new([0]) }
    }

    /// The name under which the name of `addr` is found: `1.2.0.192.in-addr.arpa` (RFC 1035, section 3.5) or the nibbles under
    /// `ip6.arpa` (RFC 3596, section 2.5).
    pub fn reverse(addr: Addr) -> Name {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut wire = Vec::with_capacity(74);
        let mut put = |label: &[u8]| {
            wire.push(label.len() as u8);
            wire.extend_from_slice(label);
        };
        match addr.ip() {
            IpAddr::V4(ip) => {
                for octet in ip.octets().iter().rev() {
                    put(alloc::format!("{octet}").as_bytes());
                }
                put(b"in-addr");
            }
            IpAddr::V6(ip) => {
                for octet in ip.octets().iter().rev() {
                    put(&[HEX[usize::from(octet & 15)]]);
                    put(&[HEX[usize::from(octet >> 4)]]);
                }
                put(b"ip6");
            }
        }
        put(b"arpa");
        wire.push(0);
        Name { wire: wire.into() }
    }

    /// The address of which this is the [`Name::reverse`], if it is one.
    pub fn reverse_addr(&self) -> Option<Addr> {
        let labels: Vec<&[u8]> = self.labels().collect();
        let [octets @ .., zone, arpa] = labels.as_slice() else { return None };
        if !arpa.eq_ignore_ascii_case(b"arpa") {
            return None;
        }
        if zone.eq_ignore_ascii_case(b"in-addr") {
            let octets: [&[u8]; 4] = octets.try_into().ok()?;
            let mut addr = [0; 4];
            for (to, label) in addr.iter_mut().rev().zip(octets) {
                *to = decimal(label)?;
            }
            Some(Addr::v4(addr))
        } else if zone.eq_ignore_ascii_case(b"ip6") {
            let nibbles: [&[u8]; 32] = octets.try_into().ok()?;
            let mut addr = [0; 16];
            for (to, pair) in addr.iter_mut().rev().zip(nibbles.chunks_exact(2)) {
                *to = nibble(pair[1])? << 4 | nibble(pair[0])?;
            }
            Some(Addr::v6(addr))
        } else {
            None
        }
    }

    /// The labels, the root left out.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        NameRef { message: &self.wire, at: 0 }.labels()
    }

    /// Whether this name is `zone` or lies below it.
    pub fn is_in(&self, zone: &Name) -> bool {
        let below = self.labels().count().checked_sub(zone.labels().count());
        below.is_some_and(|below| same_labels(self.labels().skip(below), zone.labels()))
    }

    /// The uncompressed wire form, 1 to 255 bytes.
    pub fn wire(&self) -> &[u8] {
        &self.wire
    }
}

impl FromStr for Name {
    type Err = Malformed;

    /// Reads `example.org`, `example.org.` or `.`, with `\.` and `\DDD` for bytes that could not stand otherwise (RFC 1035,
    /// section 5.1).
    fn from_str(text: &str) -> Result<Name, Malformed> {
        let mut wire = Vec::with_capacity(text.len() + 2);
        let mut label = Vec::new();
        if text == "." {
            return Ok(Name::root());
        }
        let mut bytes = text.bytes();
        loop {
            match bytes.next() {
                Some(b'\\') => label.push(unescape(&mut bytes)?),
                Some(byte) if byte != b'.' => label.push(byte),
                // The dot behind the last label.
                None if label.is_empty() && !wire.is_empty() => break,
                end => {
                    if label.is_empty() || label.len() > MAX_LABEL_LEN {
                        return Err(Malformed::Name);
                    }
                    wire.push(label.len() as u8);
                    wire.append(&mut label);
                    if end.is_none() {
                        break;
                    }
                }
            }
        }
        wire.push(0);
        if wire.len() > MAX_NAME_LEN { Err(Malformed::Name) } else { Ok(Name { wire: wire.into() }) }
    }
}

/// The byte that stands behind a backslash.
fn unescape(bytes: &mut impl Iterator<Item = u8>) -> Result<u8, Malformed> {
    let first = bytes.next().ok_or(Malformed::Name)?;
    if !first.is_ascii_digit() {
        return Ok(first);
    }
    let digits = [Some(first), bytes.next(), bytes.next()].map(|digit| digit.unwrap_or(0));
    decimal(&digits).ok_or(Malformed::Name)
}

/// The number up to 255 that `digits`, one to three, write.
fn decimal(digits: &[u8]) -> Option<u8> {
    if digits.is_empty() || digits.len() > 3 {
        return None;
    }
    digits.iter().try_fold(0u8, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// The value of a label of one hexadecimal digit.
fn nibble(label: &[u8]) -> Option<u8> {
    let &[digit] = label else { return None };
    char::from(digit).to_digit(16).map(|value| value as u8)
}

fn same_labels<'a, 'b>(a: impl Iterator<Item = &'a [u8]>, mut b: impl Iterator<Item = &'b [u8]>) -> bool {
    for label in a {
        if !b.next().is_some_and(|other| label.eq_ignore_ascii_case(other)) {
            return false;
        }
    }
    b.next().is_none()
}

fn write_labels<'a>(labels: impl Iterator<Item = &'a [u8]>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut is_root = true;
    for label in labels {
        if !is_root {
            f.write_char('.')?;
        }
        is_root = false;
        for &byte in label {
            match byte {
                b'.' | b'\\' => write!(f, "\\{}", char::from(byte))?,
                b'!'..=b'~' => f.write_char(char::from(byte))?,
                _ => write!(f, "\\{byte:03}")?,
            }
        }
    }
    if is_root { f.write_char('.') } else { Ok(()) }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        // Lengths of labels lie below the letters, so that the whole wire form can be compared.
        self.wire.eq_ignore_ascii_case(&other.wire)
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        let lower = |name: &'_ Name| name.wire.to_ascii_lowercase();
        lower(self).cmp(&lower(other))
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in &self.wire {
            state.write_u8(byte.to_ascii_lowercase());
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_labels(self.labels(), f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_labels(self.labels(), f)
    }
}
