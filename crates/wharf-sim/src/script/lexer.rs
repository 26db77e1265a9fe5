//! From characters to words, numbers, strings and signs, each with its place.
//!
//! Comments (`//`, `/* */` and lines that start with `#`) are passed over; two of them are listened to, those that begin
//! `kernel: no` and `stack: no`.

use std::iter::Peekable;
use std::str::Chars;

use super::syntax::{Position, SyntaxError};

/// A word of the language.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    /// A name, or a number with letters in it.
    Word(String),
    /// A number without a point, as it was typed: the digits matter in `<hex 00ff>`.
    Integer(i64, String),
    /// `1.5` or `.5`, in millionths, as it was typed.
    Decimal(u64, String),
    /// Between double quotes, escapes resolved.
    Text(Vec<u8>),
    /// Between backquotes.
    Command(String),
    /// Between `%{` and `}%`.
    Code(String),
    /// `--name` or `--name=value`.
    Option(String, Option<String>),
    /// Anything else, one character.
    Sign(char),
    /// `...`.
    Ellipsis,
    /// The end of the script.
    End,
}

impl Token {
    /// For messages.
    pub(crate) fn describe(&self) -> String {
        match self {
            Token::Word(word) => format!("`{word}`"),
            Token::Integer(_, text) | Token::Decimal(_, text) => format!("`{text}`"),
            Token::Text(text) => format!("\"{}\"", text.escape_ascii()),
            Token::Command(_) => "a command in backquotes".to_owned(),
            Token::Code(_) => "code between %{ and }%".to_owned(),
            Token::Option(name, _) => format!("`--{name}`"),
            Token::Sign(sign) => format!("`{sign}`"),
            Token::Ellipsis => "`...`".to_owned(),
            Token::End => "the end of the script".to_owned(),
        }
    }
}

/// A word and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) token: Token,
    pub(crate) position: Position,
    /// Whether it follows the one before without a space.
    pub(crate) glued: bool,
}

/// The words of a script, and the comments that count.
#[derive(Debug)]
pub(crate) struct Words {
    pub(crate) tokens: Vec<Placed>,
    pub(crate) comments: Vec<String>,
}

struct Lexer<'a> {
    chars: Peekable<Chars<'a>>,
    line: u32,
    column: u32,
    words: Words,
}

/// Cuts a script into words.
pub(crate) fn lex(text: &str) -> Result<Words, SyntaxError> {
    let words = Words { tokens: Vec::new(), comments: Vec::new() };
    let mut lexer = Lexer { chars: text.chars().peekable(), line: 1, column: 1, words };
    let mut glued = false;
    loop {
        let position = lexer.position();
        let Some(&next) = lexer.chars.peek() else { break };
        if next.is_whitespace() {
            lexer.next();
            glued = false;
            continue;
        }
        if lexer.comment(next, position)? {
            glued = false;
            continue;
        }
        let token = lexer.token(position)?;
        lexer.words.tokens.push(Placed { token, position, glued });
        glued = true;
    }
    let position = lexer.position();
    lexer.words.tokens.push(Placed { token: Token::End, position, glued: false });
    Ok(lexer.words)
}

impl Lexer<'_> {
    fn position(&self) -> Position {
        Position { line: self.line, column: self.column }
    }

    fn next(&mut self) -> Option<char> {
        let next = self.chars.next()?;
        if next == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(next)
    }

    /// The character after the next.
    fn second(&self) -> Option<char> {
        self.chars.clone().nth(1)
    }

    fn third(&self) -> Option<char> {
        self.chars.clone().nth(2)
    }

    /// Passes over a comment, if one starts here.
    fn comment(&mut self, next: char, position: Position) -> Result<bool, SyntaxError> {
        match (next, self.second()) {
            ('/', Some('/')) => {
                let text = self.line_rest();
                self.words.comments.push(text.trim_start_matches('/').trim().to_owned());
            }
            // A line of its own, as shells have it.
            ('#', _) if position.column == 1 => {
                self.line_rest();
            }
            ('/', Some('*')) => {
                self.next();
                self.next();
                let mut last = ' ';
                loop {
                    match self.next() {
                        Some('/') if last == '*' => break,
                        Some(other) => last = other,
                        None => return Err(error(position, "this comment never ends")),
                    }
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn line_rest(&mut self) -> String {
        let mut text = String::new();
        while let Some(next) = self.chars.next_if(|next| *next != '\n') {
            self.column += 1;
            text.push(next);
        }
        text
    }

    fn token(&mut self, position: Position) -> Result<Token, SyntaxError> {
        let next = self.chars.peek().copied().unwrap_or(' ');
        let second = self.second();
        match next {
            '"' => Ok(Token::Text(self.text(position)?)),
            '`' => Ok(Token::Command(self.command(position)?)),
            '%' if second == Some('{') => Ok(Token::Code(self.code(position)?)),
            '-' if second == Some('-') => {
                self.next();
                self.next();
                let name = self.while_matching(is_word);
                let value = self.chars.next_if_eq(&'=').map(|_| self.option_value());
                Ok(Token::Option(name, value))
            }
            '-' if second.is_some_and(|digit| digit.is_ascii_digit()) => {
                self.next();
                let text = self.while_matching(|c| c.is_ascii_digit());
                let value = text.parse::<i64>().map_err(|_| error(position, "this number is too large"))?;
                Ok(Token::Integer(-value, format!("-{text}")))
            }
            '.' if second == Some('.') && self.third() == Some('.') => {
                (0..3).for_each(|_| {
                    self.next();
                });
                Ok(Token::Ellipsis)
            }
            '.' if second.is_some_and(|digit| digit.is_ascii_digit()) => {
                self.decimal(position, "0".to_owned())
            }
            digit if digit.is_ascii_digit() => self.number(position),
            letter if is_word(letter) => Ok(Token::Word(self.while_matching(is_word))),
            sign => {
                self.next();
                Ok(Token::Sign(sign))
            }
        }
    }

    fn while_matching(&mut self, fits: impl Fn(char) -> bool) -> String {
        let mut text = String::new();
        while let Some(next) = self.chars.next_if(|next| fits(*next)) {
            self.column += 1;
            text.push(next);
        }
        text
    }

    /// Up to the next space that stands in no quotes.
    fn option_value(&mut self) -> String {
        self.column += 1;
        let mut quote = None;
        let mut text = String::new();
        while let Some(next) = self.chars.next_if(|next| quote.is_some() || !next.is_whitespace()) {
            self.column += 1;
            match quote {
                Some(open) if open == next => quote = None,
                None if matches!(next, '"' | '`') => quote = Some(next),
                _ => {}
            }
            text.push(next);
        }
        text
    }

    fn number(&mut self, position: Position) -> Result<Token, SyntaxError> {
        let text = self.while_matching(is_word);
        if let Some(digits) = text.strip_prefix("0x") {
            let value = u64::from_str_radix(digits, 16)
                .map_err(|_| error(position, &format!("`{text}` is no hexadecimal number")))?;
            return Ok(Token::Integer(value as i64, text));
        }
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Token::Word(text));
        }
        let point = self.chars.peek() == Some(&'.') && self.second().is_some_and(|c| c.is_ascii_digit());
        if point {
            return self.decimal(position, text);
        }
        let value = text.parse::<i64>().map_err(|_| error(position, "this number is too large"))?;
        Ok(Token::Integer(value, text))
    }

    /// What follows the point; what is finer than a millionth is cut.
    fn decimal(&mut self, position: Position, whole: String) -> Result<Token, SyntaxError> {
        self.next();
        let fraction = self.while_matching(|c| c.is_ascii_digit());
        let millionths: u64 = format!("{fraction:0<6}")[..6].parse().unwrap_or(0);
        let value = whole
            .parse::<u64>()
            .ok()
            .and_then(|whole| whole.checked_mul(1_000_000)?.checked_add(millionths))
            .ok_or_else(|| error(position, "this number is too large"))?;
        Ok(Token::Decimal(value, format!("{whole}.{fraction}")))
    }

    fn text(&mut self, position: Position) -> Result<Vec<u8>, SyntaxError> {
        self.next();
        let mut bytes = Vec::new();
        loop {
            match self.next() {
                Some('"') => return Ok(bytes),
                Some('\\') => self.escape(&mut bytes, position)?,
                Some(other) => bytes.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
                None => return Err(error(position, "this string never ends")),
            }
        }
    }

    fn escape(&mut self, bytes: &mut Vec<u8>, position: Position) -> Result<(), SyntaxError> {
        match self.next() {
            Some('n') => bytes.push(b'\n'),
            Some('r') => bytes.push(b'\r'),
            Some('t') => bytes.push(b'\t'),
            Some('0') => bytes.push(0),
            Some('x') => {
                let digits: String = [self.next(), self.next()].into_iter().flatten().collect();
                let byte = u8::from_str_radix(&digits, 16)
                    .map_err(|_| error(position, "two hexadecimal digits follow \\x"))?;
                bytes.push(byte);
            }
            Some(other) => bytes.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            None => return Err(error(position, "this string never ends")),
        }
        Ok(())
    }

    fn command(&mut self, position: Position) -> Result<String, SyntaxError> {
        self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                Some('`') => return Ok(text),
                Some('\\') if self.chars.peek() == Some(&'`') => {}
                Some(other) => text.push(other),
                None => return Err(error(position, "this command never ends")),
            }
        }
    }

    fn code(&mut self, position: Position) -> Result<String, SyntaxError> {
        self.next();
        self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                Some('}') if self.chars.peek() == Some(&'%') => {
                    self.next();
                    return Ok(text);
                }
                Some(other) => text.push(other),
                None => return Err(error(position, "this code never ends")),
            }
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

pub(crate) fn error(position: Position, message: &str) -> SyntaxError {
    SyntaxError { position, message: message.to_owned() }
}
