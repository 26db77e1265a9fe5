//! Arguments and results of system calls.

use super::super::lexer::{Token, error};
use super::super::syntax::{Expression, Rest, SyntaxError};
use super::Parser;

impl Parser {
    /// One expression; `a | b | c` is one.
    pub(super) fn expression(&mut self) -> Result<Expression, SyntaxError> {
        let mut left = self.operand()?;
        while self.eat_sign('|') {
            let right = self.operand()?;
            left = Expression::Or(Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn operand(&mut self) -> Result<Expression, SyntaxError> {
        match self.resolved() {
            Token::Ellipsis => {
                self.advance();
                Ok(Expression::Any)
            }
            Token::Integer(value, _) => {
                self.advance();
                Ok(Expression::Number(value))
            }
            Token::Text(_) => self.text(),
            Token::Word(word) => self.word(word),
            Token::Sign('[') => {
                self.advance();
                Ok(Expression::List(self.expressions(']')?))
            }
            Token::Sign('{') => {
                self.advance();
                Ok(Expression::Struct(self.expressions('}')?))
            }
            _ => Err(self.expected("a number, a name, a string, `...`, `[` or `{`")),
        }
    }

    /// Strings one after the other are one.
    fn text(&mut self) -> Result<Expression, SyntaxError> {
        let mut bytes = Vec::new();
        while let Token::Text(part) = self.resolved() {
            bytes.extend_from_slice(&part);
            self.advance();
        }
        let rest = match self.token() {
            Token::Ellipsis => {
                self.advance();
                Rest::Anything
            }
            _ => Rest::Nothing,
        };
        Ok(Expression::Text(bytes, rest))
    }

    /// A constant, a field of a structure, or something applied.
    fn word(&mut self, word: String) -> Result<Expression, SyntaxError> {
        let position = self.position();
        self.advance();
        if self.is_sign('(') {
            self.advance();
            let arguments = self.expressions(')')?;
            if self.eat_sign('=') {
                return Ok(Expression::Field(word, Box::new(self.expression()?)));
            }
            return match (word.as_str(), &arguments[..]) {
                ("inet_addr" | "inet6_addr", [Expression::Text(text, Rest::Nothing)]) => {
                    let text = String::from_utf8_lossy(text);
                    let address =
                        text.parse().map_err(|_| error(position, &format!("`{text}` is no address")))?;
                    Ok(Expression::Address(address))
                }
                ("htons", [Expression::Number(port)]) => Ok(Expression::Number(*port)),
                _ => Ok(Expression::Apply(word, arguments)),
            };
        }
        // The `=` behind a call's closing bracket never follows a word.
        if self.eat_sign('=') {
            return Ok(Expression::Field(word, Box::new(self.expression()?)));
        }
        Ok(Expression::Word(word))
    }
}
