//! Several ports: lists and ranges.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::fmt;

use crate::notation::port::{PortError, is_decimal, parse_number};

/// A set of port numbers from 0 to 65535, as ranges in order that neither meet nor touch: `80,443,8000-8999`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ports {
    ranges: Vec<(u16, u16)>,
}

impl Ports {
    /// No port at all.
    pub const NONE: Ports = Ports { ranges: Vec::new() };

    /// Every number, 0 included.
    pub fn all() -> Ports {
        Ports::range(0, u16::MAX)
    }

    /// One port.
    pub fn single(port: u16) -> Ports {
        Ports::range(port, port)
    }

    /// Both ends and what lies between; nothing where `last` comes before `first`.
    pub fn range(first: u16, last: u16) -> Ports {
        [(first, last)].into_iter().collect()
    }

    /// Reads `443`, `80,443`, `8000-8999` or a mixture; `names` reads what holds a letter.
    ///
    /// # Errors
    /// [`PortError`], with the offending part.
    pub fn parse<E: From<PortError>>(
        text: &str,
        mut names: impl FnMut(&str) -> Result<Ports, E>,
    ) -> Result<Ports, E> {
        let mut ranges = Vec::new();
        for part in text.split(',') {
            if part.contains(|letter: char| letter.is_ascii_alphabetic()) {
                ranges.extend(names(part)?.ranges);
                continue;
            }
            if part.is_empty() && part.len() != text.len() {
                return Err(PortError::EmptyPart { text: text.to_string() }.into());
            }
            ranges.push(parse_numbers(part)?);
        }
        Ok(ranges.into_iter().collect())
    }

    /// Whether `port` is one of them. O(log n) of the ranges.
    pub fn contains(&self, port: u16) -> bool {
        let after = self.ranges.partition_point(|&(first, _)| first <= port);
        after.checked_sub(1).is_some_and(|at| port <= self.ranges[at].1)
    }

    /// The ranges, in order.
    pub fn ranges(&self) -> &[(u16, u16)] {
        &self.ranges
    }

    /// Each port, in order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + Clone {
        self.ranges.iter().flat_map(|&(first, last)| first..=last)
    }

    /// How many.
    pub fn count(&self) -> u32 {
        self.ranges.iter().map(|&(first, last)| u32::from(last - first) + 1).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether every number is one of them.
    pub fn is_all(&self) -> bool {
        self.ranges == [(0, u16::MAX)]
    }

    /// Those that are in either.
    #[must_use]
    pub fn union(&self, other: &Ports) -> Ports {
        self.ranges.iter().chain(&other.ranges).copied().collect()
    }

    /// Those that are in both.
    #[must_use]
    pub fn intersection(&self, other: &Ports) -> Ports {
        self.complement().union(&other.complement()).complement()
    }

    /// All others.
    #[must_use]
    pub fn complement(&self) -> Ports {
        let mut others = Vec::new();
        let mut next = Some(0_u16);
        for &(first, last) in &self.ranges {
            if let Some(from) = next
                && let Some(to) = first.checked_sub(1)
                && from <= to
            {
                others.push((from, to));
            }
            next = last.checked_add(1);
        }
        others.extend(next.map(|from| (from, u16::MAX)));
        Ports { ranges: others }
    }
}

/// `PORT` or `PORT-END`, in digits.
fn parse_numbers(part: &str) -> Result<(u16, u16), PortError> {
    let is_range =
        |&(first, last): &(&str, &str)| is_decimal(first.as_bytes()) && is_decimal(last.as_bytes());
    match part.split_once('-').filter(is_range) {
        None => parse_number(part).map(|port| (port, port)),
        Some((first, last)) => match (parse_number(first)?, parse_number(last)?) {
            (first, last) if last < first => Err(PortError::Backwards { first: last, last: first }),
            ends => Ok(ends),
        },
    }
}

impl FromIterator<(u16, u16)> for Ports {
    /// The union of ranges, each with both ends.
    fn from_iter<I: IntoIterator<Item = (u16, u16)>>(ranges: I) -> Ports {
        let mut ranges: Vec<_> = ranges.into_iter().filter(|&(first, last)| first <= last).collect();
        ranges.sort_unstable();
        let mut merged: Vec<(u16, u16)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(before) if u32::from(first) <= u32::from(before.1) + 1 => before.1 = before.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Ports { ranges: merged }
    }
}

impl fmt::Display for Ports {
    /// `80,443,8000-8999`, which reads back as the same set; `none` for the empty one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        for (index, &(first, last)) in self.ranges.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}
