//! The words of code: names, numbers, strings, signs and the ends of statements.

/// A word of code.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    Name(String),
    Number(f64),
    Text(String),
    Sign(&'static str),
    EndOfStatement,
}

/// The longer ones first.
const SIGNS: [&str; 23] = [
    "==", "!=", "<=", ">=", "//", "<", ">", "=", "+", "-", "*", "/", "%", "(", ")", ",", "&", "|", "[", "]",
    ".", ":", "\\",
];

/// Cuts code into words. A line's end ends a statement, but not between brackets.
pub(super) fn words(code: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut depth = 0;
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        if let Some(behind) = rest.strip_prefix("\\\n") {
            rest = behind;
            continue;
        }
        match first {
            '\n' | ';' => {
                if depth == 0 {
                    words.push(Word::EndOfStatement);
                }
                rest = &rest[1..];
            }
            '#' => rest = rest.find('\n').map_or("", |end| &rest[end..]),
            _ if first.is_whitespace() => rest = &rest[first.len_utf8()..],
            '"' | '\'' => {
                let inside = &rest[1..];
                let end = inside.find(first).ok_or("a string never ends")?;
                words.push(Word::Text(inside[..end].to_owned()));
                rest = &inside[end + 1..];
            }
            _ if first.is_ascii_digit() => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(rest.len());
                words.push(Word::Number(number(&rest[..end])?));
                rest = &rest[end..];
            }
            _ if first.is_alphabetic() || first == '_' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                words.push(Word::Name(rest[..end].to_owned()));
                rest = &rest[end..];
            }
            _ => {
                let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
                let sign = sign.ok_or_else(|| format!("`{first}` is not understood"))?;
                match sign {
                    "(" | "[" => depth += 1,
                    ")" | "]" => depth -= 1,
                    _ => {}
                }
                words.push(Word::Sign(sign));
                rest = &rest[sign.len()..];
            }
        }
    }
    Ok(words)
}

fn number(text: &str) -> Result<f64, String> {
    let value = match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok().map(|value| value as f64),
        None => text.parse().ok(),
    };
    value.ok_or_else(|| format!("`{text}` is no number"))
}
