//! What is wrong with a selector: which word, where, and what was perhaps meant.

use alloc::string::{String, ToString};
use core::fmt;
use core::ops::Range;

/// What is wrong with a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorError {
    /// The whole selector.
    text: String,
    /// The offending part of it.
    part: Range<usize>,
    why: Why,
}

/// Why it can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// No such word; perhaps this one was meant.
    Unknown { nearest: Option<&'static str> },
    /// The name of a service, which is no word.
    Service,
    /// The word wants something behind it.
    ValueMissing { form: &'static str },
    /// What stands behind a word does not fit it: the reason, which ends with what to write.
    Value { reason: String },
    /// A condition is missing beside `and`, `or`, `not`.
    ConditionMissing,
    /// `)` without `(`.
    NotOpened,
    /// `(` without `)`.
    NotClosed,
    /// Nothing stands in parentheses.
    Empty,
    /// A quotation mark without its fellow.
    Unquoted { quote: char },
    /// Parentheses in parentheses in parentheses...
    TooDeep { most: usize },
}

impl SelectorError {
    pub(super) fn new(text: &str, part: Range<usize>, why: Why) -> SelectorError {
        SelectorError { text: text.to_string(), part, why }
    }

    /// The offending part of the selector.
    pub fn part(&self) -> &str {
        self.text.get(self.part.clone()).unwrap_or_default()
    }

    /// Which word of the selector it is, counted from 1.
    pub fn word(&self) -> usize {
        let before = self.text.get(..self.part.start).unwrap_or_default();
        let inside_of_one = !before.is_empty() && !before.ends_with(char::is_whitespace);
        before.split_whitespace().count() + usize::from(!inside_of_one)
    }
}

impl fmt::Display for SelectorError {
    /// `"litening", word 2 of "tcp litening": no such word (write listening)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.part())?;
        if self.part() != self.text {
            write!(f, ", word {} of {:?}", self.word(), self.text)?;
        }
        f.write_str(": ")?;
        match &self.why {
            Why::Unknown { nearest: Some(nearest) } => write!(f, "no such word (write {nearest})"),
            Why::Unknown { nearest: None } => {
                f.write_str("no such word (write words like tcp, listening, port 443, user NAME; docs/selectors.md has all)")
            }
            Why::Service => write!(f, "the name of a service stands behind a word (write port {})", self.part()),
            Why::ValueMissing { form } => write!(f, "something must follow (write {form})"),
            Why::Value { reason } => f.write_str(reason),
            Why::ConditionMissing => f.write_str("a condition is missing beside it (write tcp or udp, not loopback)"),
            Why::NotOpened => f.write_str("no parenthesis is open here (write it without, or a ( before)"),
            Why::NotClosed => f.write_str("the parenthesis stays open (write a ) behind)"),
            Why::Empty => f.write_str("nothing stands in the parentheses (write a condition there)"),
            Why::Unquoted { quote } => write!(f, "the quotation stays open (write a {quote} behind)"),
            Why::TooDeep { most } => write!(f, "more than {most} parentheses in each other (write fewer)"),
        }
    }
}

impl core::error::Error for SelectorError {}
