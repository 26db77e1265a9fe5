//! Names of hosts as rules and name servers compare them: lower case, without the dot at the end.

use alloc::string::String;
use core::borrow::Borrow;
use core::fmt;

/// The most letters of a name (RFC 1035, section 2.3.4, without the lengths of the wire).
const NAME_MAX: usize = 253;
/// The most letters of a label.
const LABEL_MAX: usize = 63;

/// A name of a host: labels of letters, digits, `-` and `_`, in lower case.
///
/// Case carries nothing (RFC 4343): every spelling of a name is the same value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hostname(String);

impl Hostname {
    /// Reads a name in whatever case, with or without the dot at its end.
    ///
    /// # Errors
    /// [`HostnameError`], with the offending part.
    pub fn parse(text: &str) -> Result<Hostname, HostnameError> {
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() {
            return Err(HostnameError::Empty);
        }
        if name.len() > NAME_MAX {
            return Err(HostnameError::TooLong { letters: name.len() });
        }
        name.split('.').try_for_each(label)?;
        Ok(Hostname(name.to_ascii_lowercase()))
    }

    /// A name that is nobody's, and that no pattern covers.
    pub(super) const fn nobody() -> Hostname {
        Hostname(String::new())
    }

    /// The name, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names that this one lies below, nearest first: for `a.b.c`, `b.c` and `c`.
    pub fn parents(&self) -> impl Iterator<Item = &str> {
        let mut rest = self.as_str();
        core::iter::from_fn(move || {
            rest = rest.split_once('.')?.1;
            Some(rest)
        })
    }
}

impl Borrow<str> for Hostname {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

fn label(label: &str) -> Result<(), HostnameError> {
    if label.is_empty() {
        return Err(HostnameError::EmptyLabel);
    }
    if label.len() > LABEL_MAX {
        return Err(HostnameError::LongLabel { label: label.into() });
    }
    match label.chars().find(|letter| !(letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_'))) {
        Some(letter) if letter.is_ascii() => Err(HostnameError::Letter { letter, label: label.into() }),
        Some(_) => Err(HostnameError::NotAscii { label: label.into() }),
        None => Ok(()),
    }
}

/// What is wrong with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostnameError {
    /// Nothing stands where a name must.
    Empty,
    /// Two dots, or one at the beginning.
    EmptyLabel,
    /// More than 253 letters.
    TooLong {
        /// How many.
        letters: usize,
    },
    /// A label of more than 63 letters.
    LongLabel {
        /// The offending part.
        label: String,
    },
    /// A letter that no name of a host has.
    Letter {
        /// It.
        letter: char,
        /// Where it stands.
        label: String,
    },
    /// A name in other letters than ASCII.
    NotAscii {
        /// The offending part.
        label: String,
    },
}

impl fmt::Display for HostnameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostnameError::Empty => f.write_str("a name is missing (write example.org)"),
            HostnameError::EmptyLabel => {
                f.write_str("something is missing between two dots (write example.org)")
            }
            HostnameError::TooLong { letters } => {
                write!(f, "a name of {letters} letters: the longest has {NAME_MAX}")
            }
            HostnameError::LongLabel { label } => {
                write!(f, "{label:?}: the longest part between dots has {LABEL_MAX} letters")
            }
            HostnameError::Letter { letter: '*', label } => {
                write!(f, "{label:?}: * stands alone and first (write *.example.org)")
            }
            HostnameError::Letter { letter, label } => {
                write!(f, "{label:?}: {letter:?} stands in no name of a host")
            }
            HostnameError::NotAscii { label } => {
                write!(f, "{label:?}: names are written in ASCII (write the xn-- form, as look-ups do)")
            }
        }
    }
}

impl core::error::Error for HostnameError {}

/// The names that a rule stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NamePattern {
    /// This name, and none below it.
    Exactly(Hostname),
    /// Every name below this one, at any depth, and not the name itself.
    Below(Hostname),
}

impl NamePattern {
    /// Reads `example.org` or `*.example.org`.
    ///
    /// # Errors
    /// [`HostnameError`], with the offending part.
    pub fn parse(text: &str) -> Result<NamePattern, HostnameError> {
        match text.strip_prefix("*.") {
            Some(parent) => Hostname::parse(parent).map(NamePattern::Below),
            None => Hostname::parse(text).map(NamePattern::Exactly),
        }
    }

    /// Whether it stands for this name.
    pub fn covers(&self, name: &Hostname) -> bool {
        match self {
            NamePattern::Exactly(exactly) => exactly == name,
            NamePattern::Below(parent) => name
                .as_str()
                .strip_suffix(parent.as_str())
                .and_then(|before| before.strip_suffix('.'))
                .is_some_and(|before| !before.is_empty()),
        }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NamePattern::Exactly(name) => name.fmt(f),
            NamePattern::Below(parent) => write!(f, "*.{parent}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    fn name(text: &str) -> Hostname {
        Hostname::parse(text).unwrap()
    }

    #[test]
    fn case_and_the_last_dot_carry_nothing() {
        assert_eq!(name("ExAmPle.ORG."), name("example.org"));
        assert_eq!(name("a.b.c").parents().collect::<std::vec::Vec<_>>(), ["b.c", "c"]);
    }

    #[test]
    fn a_wildcard_stands_for_what_lies_below_and_nothing_beside() {
        let pattern = NamePattern::parse("*.Example.org").unwrap();
        for (text, covered) in [
            ("www.example.org", true),
            ("a.b.example.org", true),
            ("example.org", false),
            ("notexample.org", false),
            (".example.org", false),
            ("example.org.evil.test", false),
        ] {
            let covers = Hostname::parse(text).is_ok_and(|name| pattern.covers(&name));
            assert_eq!(covers, covered, "{text}");
        }
        let exactly = NamePattern::parse("example.org").unwrap();
        assert!(exactly.covers(&name("EXAMPLE.org")) && !exactly.covers(&name("www.example.org")));
    }

    #[test]
    fn an_error_quotes_the_offending_part() {
        let error = |text| NamePattern::parse(text).unwrap_err().to_string();
        assert_eq!(error("a..b"), "something is missing between two dots (write example.org)");
        assert_eq!(error("w*.example.org"), "\"w*\": * stands alone and first (write *.example.org)");
        assert_eq!(error("exa mple.org"), "\"exa mple\": ' ' stands in no name of a host");
        assert_eq!(
            error("bücher.test"),
            "\"bücher\": names are written in ASCII (write the xn-- form, as look-ups do)"
        );
        assert!(Hostname::parse(&"a.".repeat(130)).is_err());
        assert!(Hostname::parse(&"a".repeat(64)).is_err());
    }
}
