//! From words to a [`Script`]: options, commands, times and what happens then.
//!
//! Packets and expressions have files of their own. Every error says where it is, what was expected and what stands there.

mod expression;
mod icmp;
mod packet;

use std::collections::HashMap;

use super::lexer::{Placed, Token, error, lex};
use super::setting::IpVersion;
use super::syntax::{Action, CallLine, Event, Expression, Position, Script, SyntaxError, When};

struct Parser {
    words: Vec<Placed>,
    at: usize,
    /// What `--define=NAME=VALUE` says names stand for.
    defines: HashMap<String, Token>,
    version: IpVersion,
}

/// Reads a script. The version counts where the script has no `--ip_version` of its own; it decides what the names of
/// ICMP types mean.
///
/// # Errors
/// The first place that makes no sense.
pub fn parse(text: &str, version: IpVersion) -> Result<Script, SyntaxError> {
    let words = lex(text)?;
    let mut script = Script::default();
    for comment in &words.comments {
        if let Some(why) = comment.strip_prefix("kernel: no") {
            script.not_for_kernel = Some(why.trim_start_matches([',', ' ']).to_owned());
        }
        if let Some(why) = comment.strip_prefix("stack: no") {
            script.not_for_stack = Some(why.trim_start_matches([',', ' ']).to_owned());
        }
    }
    let defines = version.defines();
    let mut parser = Parser { words: words.tokens, at: 0, defines, version };
    parser.options(&mut script)?;
    while let Token::Command(command) = parser.token() {
        let command = command.clone();
        script.setup.push((parser.position(), command));
        parser.advance();
    }
    loop {
        match parser.token() {
            Token::End => return Ok(script),
            Token::Command(command) => {
                let command = command.clone();
                script.cleanup.push((parser.position(), command));
                parser.advance();
            }
            _ if script.cleanup.is_empty() => script.events.push(parser.event()?),
            _ => return Err(parser.expected("the end of the script behind a command without a time")),
        }
    }
}

impl Parser {
    fn placed(&self) -> &Placed {
        // The last word is the end, and nothing goes beyond it.
        &self.words[self.at.min(self.words.len() - 1)]
    }

    fn token(&self) -> &Token {
        &self.placed().token
    }

    fn position(&self) -> Position {
        self.placed().position
    }

    /// Whether the next word follows the one before without a space.
    fn glued(&self) -> bool {
        self.placed().glued
    }

    fn second(&self) -> &Token {
        &self.words[(self.at + 1).min(self.words.len() - 1)].token
    }

    fn advance(&mut self) {
        self.at += 1;
    }

    fn expected(&self, what: &str) -> SyntaxError {
        error(self.position(), &format!("expected {what}, found {}", self.token().describe()))
    }

    fn is_sign(&self, sign: char) -> bool {
        *self.token() == Token::Sign(sign)
    }

    fn eat_sign(&mut self, sign: char) -> bool {
        let found = self.is_sign(sign);
        if found {
            self.advance();
        }
        found
    }

    fn sign(&mut self, sign: char) -> Result<(), SyntaxError> {
        if self.eat_sign(sign) { Ok(()) } else { Err(self.expected(&format!("`{sign}`"))) }
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.token(), Token::Word(found) if found == word)
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.advance();
        }
        found
    }

    fn integer(&mut self, what: &str, largest: i64) -> Result<i64, SyntaxError> {
        match *self.token() {
            Token::Integer(value, _) if (0..=largest).contains(&value) => {
                self.advance();
                Ok(value)
            }
            Token::Integer(..) => Err(error(self.position(), &format!("{what} is out of range"))),
            _ => Err(self.expected(what)),
        }
    }

    fn u16(&mut self, what: &str) -> Result<u16, SyntaxError> {
        self.integer(what, u16::MAX.into()).map(|value| value as u16)
    }

    fn u32(&mut self, what: &str) -> Result<u32, SyntaxError> {
        self.integer(what, u32::MAX.into()).map(|value| value as u32)
    }

    fn u8(&mut self, what: &str) -> Result<u8, SyntaxError> {
        self.integer(what, u8::MAX.into()).map(|value| value as u8)
    }

    fn options(&mut self, script: &mut Script) -> Result<(), SyntaxError> {
        while let Token::Option(name, value) = self.token().clone() {
            let position = self.position();
            self.advance();
            match (name.as_str(), &value) {
                ("define", Some(definition)) => self.define(position, definition)?,
                ("ip_version", Some(version)) => {
                    self.version = version.parse().map_err(|why: String| error(position, &why))?;
                }
                _ => {}
            }
            script.options.push((name, value));
        }
        Ok(())
    }

    fn define(&mut self, position: Position, definition: &str) -> Result<(), SyntaxError> {
        let (name, value) =
            definition.split_once('=').ok_or_else(|| error(position, "expected --define=NAME=VALUE"))?;
        let words = lex(value)?;
        match &words.tokens[..] {
            [only, end] if end.token == Token::End => {
                self.defines.insert(name.to_owned(), only.token.clone());
                Ok(())
            }
            _ => Err(error(position, "a definition is one word, number, string or command")),
        }
    }

    /// The next word, or what it was defined to be.
    fn resolved(&self) -> Token {
        match self.token() {
            Token::Word(word) => self.defines.get(word).cloned().unwrap_or_else(|| self.token().clone()),
            other => other.clone(),
        }
    }

    fn event(&mut self) -> Result<Event, SyntaxError> {
        let position = self.position();
        let when = self.when()?;
        let action = self.action()?;
        let outbound = matches!(action, Action::Outbound(_));
        if !outbound && matches!(when, When::Any | When::AbsoluteRange(..) | When::RelativeRange(..)) {
            return Err(error(
                position,
                "only a packet that comes out can have any time or a range of times",
            ));
        }
        Ok(Event { position, when, action })
    }

    fn when(&mut self) -> Result<When, SyntaxError> {
        if self.eat_sign('*') {
            return Ok(When::Any);
        }
        let relative = self.eat_sign('+');
        let position = self.position();
        let from = self.time()?;
        if !self.eat_sign('~') {
            return Ok(if relative { When::Relative(from) } else { When::Absolute(from) });
        }
        if relative {
            self.sign('+')?;
        }
        let to = self.time()?;
        if to < from {
            return Err(error(position, "this range of times goes backwards"));
        }
        Ok(if relative { When::RelativeRange(from, to) } else { When::AbsoluteRange(from, to) })
    }

    /// Seconds, as microseconds.
    fn time(&mut self) -> Result<u64, SyntaxError> {
        let micros = match *self.token() {
            Token::Integer(seconds, _) => {
                u64::try_from(seconds).ok().and_then(|seconds| seconds.checked_mul(1_000_000))
            }
            Token::Decimal(micros, _) => Some(micros),
            _ => None,
        };
        let micros = micros.ok_or_else(|| self.expected("a time in seconds"))?;
        self.advance();
        Ok(micros)
    }

    fn action(&mut self) -> Result<Action, SyntaxError> {
        match self.resolved() {
            Token::Sign('<') => {
                self.advance();
                Ok(Action::Inbound(self.packet(packet::Direction::Inbound)?))
            }
            Token::Sign('>') => {
                self.advance();
                Ok(Action::Outbound(self.packet(packet::Direction::Outbound)?))
            }
            Token::Command(command) => {
                self.advance();
                Ok(Action::Command(command))
            }
            Token::Code(code) => {
                self.advance();
                Ok(Action::Code(code))
            }
            Token::Ellipsis => {
                self.advance();
                let ends = self.time()?;
                self.call(Some(ends))
            }
            Token::Word(_) => self.call(None),
            _ => Err(self.expected("`<`, `>`, a system call, a command or code")),
        }
    }

    fn call(&mut self, ends: Option<u64>) -> Result<Action, SyntaxError> {
        let Token::Word(name) = self.token().clone() else {
            return Err(self.expected("the name of a system call"));
        };
        self.advance();
        self.sign('(')?;
        let arguments = self.expressions(')')?;
        self.sign('=')?;
        let result = self.expression()?;
        let errno = match self.token().clone() {
            Token::Word(word) => {
                self.advance();
                Some(word)
            }
            _ => None,
        };
        self.note()?;
        Ok(Action::Call(CallLine { ends, name, arguments, result, errno }))
    }

    /// `(in words what the error means)`: passed over.
    fn note(&mut self) -> Result<(), SyntaxError> {
        if !self.eat_sign('(') {
            return Ok(());
        }
        while !self.eat_sign(')') {
            if *self.token() == Token::End {
                return Err(self.expected("`)`"));
            }
            self.advance();
        }
        Ok(())
    }

    /// Expressions between commas, up to the sign that ends them.
    fn expressions(&mut self, close: char) -> Result<Vec<Expression>, SyntaxError> {
        let mut list = Vec::new();
        if self.eat_sign(close) {
            return Ok(list);
        }
        loop {
            list.push(self.expression()?);
            if self.eat_sign(close) {
                return Ok(list);
            }
            self.sign(',')?;
        }
    }
}

#[cfg(test)]
mod tests;
