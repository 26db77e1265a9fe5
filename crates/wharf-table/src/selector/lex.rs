//! A selector as tokens, each with its place in the text.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::selector::error::{SelectorError, Why};

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A word as it was written.
    Word,
    /// What stood in quotes: never a word of the grammar.
    Quoted,
    /// `(`
    Open,
    /// `)`
    Close,
    /// `=`, `==`, `!=`, `<`, `<=`, `>`, `>=`.
    Operator,
    /// `!`
    Not,
    /// `&`, `&&`
    And,
    /// `|`, `||`
    Or,
}

/// A token.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Its text, without quotes.
    pub(super) text: String,
    /// Where it starts in the selector, in bytes.
    pub(super) start: usize,
    /// Where it ends.
    pub(super) end: usize,
}

impl Token {
    /// The word in lower case; `None` for what no word of the grammar can be.
    pub(super) fn keyword(&self) -> Option<String> {
        match self.kind {
            Kind::Word => Some(self.text.to_ascii_lowercase()),
            Kind::And => Some("and".into()),
            Kind::Or => Some("or".into()),
            Kind::Not => Some("not".into()),
            _ => None,
        }
    }
}

/// Splits a selector into tokens. Parentheses, `!`, `&`, `|` and comparisons need no space beside them.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, SelectorError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        if next.is_whitespace() {
            at += next.len_utf8();
            continue;
        }
        let token = match next {
            '"' | '\'' => quoted(text, at, next)?,
            _ => plain(text, at),
        };
        at = token.end;
        tokens.push(token);
    }
    Ok(tokens)
}

fn quoted(text: &str, start: usize, quote: char) -> Result<Token, SelectorError> {
    let inside = &text[start + 1..];
    let Some(len) = inside.find(quote) else {
        return Err(SelectorError::new(text, start..text.len(), Why::Unquoted { quote }));
    };
    Ok(Token { kind: Kind::Quoted, text: inside[..len].to_string(), start, end: start + len + 2 })
}

fn plain(text: &str, start: usize) -> Token {
    const SIGNS: [(&str, Kind); 14] = [
        ("(", Kind::Open),
        (")", Kind::Close),
        ("==", Kind::Operator),
        ("!=", Kind::Operator),
        ("<=", Kind::Operator),
        (">=", Kind::Operator),
        ("=", Kind::Operator),
        ("<", Kind::Operator),
        (">", Kind::Operator),
        ("&&", Kind::And),
        ("&", Kind::And),
        ("||", Kind::Or),
        ("|", Kind::Or),
        ("!", Kind::Not),
    ];
    let rest = &text[start..];
    let sign = SIGNS.iter().find(|(sign, _)| rest.starts_with(sign));
    let (len, kind) = match sign {
        Some((sign, kind)) => (sign.len(), kind.clone()),
        None => {
            let ends = |letter: char| letter.is_whitespace() || "()=<>!&|\"'".contains(letter);
            (rest.find(ends).unwrap_or(rest.len()), Kind::Word)
        }
    };
    Token { kind, text: rest[..len].to_string(), start, end: start + len }
}
