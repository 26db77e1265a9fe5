//! The zone of an address: the interface that it belongs to (RFC 4007, section 11).

use alloc::string::{String, ToString};
use core::fmt;

use crate::notation::location::LocationError;

/// An interface by name or by number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Zone {
    /// By name.
    Name(String),
    /// By its index, never 0.
    Index(u32),
}

impl Zone {
    /// The longest name of an interface (IFNAMSIZ, without its zero).
    const LONGEST: usize = 15;

    /// Reads what stands behind `%`: digits are an index.
    pub(super) fn parse(text: &str) -> Result<Zone, LocationError> {
        let wrong = || LocationError::Zone { part: text.to_string() };
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            let index = text.parse().ok().filter(|&index| index != 0 && !text.starts_with('0'));
            return index.map(Zone::Index).ok_or_else(wrong);
        }
        let is_name = text.len() <= Zone::LONGEST
            && text.chars().all(|letter| letter.is_ascii_graphic() && !"/:%[]".contains(letter));
        if is_name { Ok(Zone::Name(text.to_string())) } else { Err(wrong()) }
    }

    /// The index; `None` where no interface has the name.
    pub fn index(&self, interfaces: &dyn Fn(&str) -> Option<u32>) -> Option<u32> {
        match self {
            Zone::Name(name) => interfaces(name),
            Zone::Index(index) => Some(*index),
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Zone::Name(name) => f.write_str(name),
            Zone::Index(index) => index.fmt(f),
        }
    }
}
