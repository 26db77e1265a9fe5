//! The grammar: from tokens to a tree of conditions.
//!
//! ```text
//! selector  = either
//! either    = all *( "or" all )
//! all       = negated *( [ "and" ] negated )
//! negated   = *"not" ( "(" either ")" / condition )
//! condition = word [ value ]
//! ```

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::nearest::nearest;
use crate::notation::Services;
use crate::rows::Role;
use crate::selector::condition::{Condition, Expr, Family, Pattern, Place, Side, Where};
use crate::selector::error::{SelectorError, Why};
use crate::selector::lex::{Kind, Token, tokens};
use crate::selector::value::{self, Spec};
use crate::selector::words;

/// How deep parentheses may be nested: far more than anybody reads, far less than the stack holds.
const DEEPEST: usize = 64;

/// Reads a selector; an empty one takes every row.
pub(super) fn parse(text: &str, services: Services<'_>) -> Result<Expr, SelectorError> {
    let tokens = tokens(text)?;
    let mut parser = Parser { text, tokens: &tokens, at: 0, services };
    if tokens.is_empty() {
        return Ok(Expr::All(Vec::new()));
    }
    let expr = parser.either(0)?;
    match parser.next() {
        None => Ok(expr),
        Some(token) => Err(parser.error(token, Why::NotOpened)),
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: &'a [Token],
    at: usize,
    services: Services<'a>,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<&'a Token> {
        let token = self.peek()?;
        self.at += 1;
        Some(token)
    }

    /// Takes the next token where it is this word.
    fn take(&mut self, word: &str) -> Option<&'a Token> {
        let token = self.peek().filter(|token| token.keyword().as_deref() == Some(word))?;
        self.at += 1;
        Some(token)
    }

    fn error(&self, token: &Token, why: Why) -> SelectorError {
        SelectorError::new(self.text, token.start..token.end, why)
    }

    fn either(&mut self, depth: usize) -> Result<Expr, SelectorError> {
        let mut parts = Vec::from([self.all(depth)?]);
        while let Some(or) = self.take("or") {
            self.expect_condition(or)?;
            parts.push(self.all(depth)?);
        }
        Ok(single(parts, Expr::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Expr, SelectorError> {
        let mut parts = Vec::from([self.negated(depth)?]);
        loop {
            if let Some(and) = self.take("and") {
                self.expect_condition(and)?;
            } else if self
                .peek()
                .is_none_or(|next| next.kind == Kind::Close || next.keyword().as_deref() == Some("or"))
            {
                return Ok(single(parts, Expr::All));
            }
            parts.push(self.negated(depth)?);
        }
    }

    /// A condition must follow `token`, which joins.
    fn expect_condition(&self, token: &Token) -> Result<(), SelectorError> {
        let joins = |next: &Token| matches!(next.keyword().as_deref(), Some("and" | "or"));
        match self.peek() {
            Some(next) if next.kind != Kind::Close && !joins(next) => Ok(()),
            _ => Err(self.error(token, Why::ConditionMissing)),
        }
    }

    fn negated(&mut self, depth: usize) -> Result<Expr, SelectorError> {
        let mut is_ruled_out = false;
        while let Some(not) = self.take("not") {
            self.expect_condition(not)?;
            is_ruled_out = !is_ruled_out;
        }
        let expr = match self.next() {
            Some(open) if open.kind == Kind::Open => self.parenthesized(open, depth)?,
            Some(token) => self.condition(token)?,
            None => Expr::All(Vec::new()),
        };
        Ok(if is_ruled_out { Expr::Not(Box::new(expr)) } else { expr })
    }

    fn parenthesized(&mut self, open: &Token, depth: usize) -> Result<Expr, SelectorError> {
        if depth == DEEPEST {
            return Err(self.error(open, Why::TooDeep { most: DEEPEST }));
        }
        match self.peek() {
            Some(close) if close.kind == Kind::Close => return Err(self.error(close, Why::Empty)),
            None => return Err(self.error(open, Why::NotClosed)),
            Some(_) => {}
        }
        let expr = self.either(depth + 1)?;
        match self.next() {
            Some(close) if close.kind == Kind::Close => Ok(expr),
            _ => Err(self.error(open, Why::NotClosed)),
        }
    }

    fn condition(&mut self, token: &'a Token) -> Result<Expr, SelectorError> {
        let Some(word) = token.keyword() else { return Err(self.unknown(token)) };
        let is = |condition| Ok(Expr::Is(condition));
        match word.as_str() {
            "and" | "or" => Err(self.error(token, Why::ConditionMissing)),
            "all" => is(Condition::All),
            "ipv4" => is(Condition::Family(Family::V4)),
            "ipv6" => is(Condition::Family(Family::V6)),
            "listening" => is(Condition::Listening),
            "exposed" => is(Condition::Exposed),
            "queued" => is(Condition::Queued),
            "owned" => is(Condition::Owned),
            "ownerless" => Ok(Expr::Not(Box::new(Expr::Is(Condition::Owned)))),
            "state" => self.value(token, "state established,time-wait", value::states),
            "exclude" => {
                let states = self.value(token, "exclude time-wait", value::states)?;
                Ok(Expr::Not(Box::new(states)))
            }
            "role" => self.value(token, "role server", role),
            "port" => self.ports(token, Side::Either),
            "sport" => self.ports(token, Side::Local),
            "dport" => self.ports(token, Side::Remote),
            "from" | "local" | "src" => self.end(token, Side::Local),
            "to" | "with" | "remote" | "dst" => self.end(token, Side::Remote),
            "address" => self.end(token, Side::Either),
            "on" => self.on(token),
            "loopback" => {
                is(Condition::At(Side::Either, Place { at: Where::Loopback, zone: None, ports: None }))
            }
            "service" => self.service(token),
            "interface" | "dev" => self.text_value(token, "interface eth0", Condition::Interface),
            "user" => self.text_value(token, "user www-data", Condition::User),
            "process" => self.text_value(token, "process nginx", |name| Condition::Process(Pattern(name))),
            "pid" => self.value(token, "pid 812", |text| value::pids(text).map(Condition::Pid)),
            "unit" => self.text_value(token, "unit nginx.service", |name| Condition::Unit(Pattern(name))),
            "container" => {
                self.text_value(token, "container web", |name| Condition::Container(Pattern(name)))
            }
            "cgroup" => self.text_value(token, "cgroup /system.slice", Condition::Group),
            "in" => self.text_value(token, "in host", |name| Condition::Network(Pattern(name))),
            "older" => self.age(token, "older than 5m", Condition::Older),
            "younger" => self.age(token, "younger than 5m", Condition::Younger),
            _ => self.bare(token, &word),
        }
    }

    /// A word without a value: a protocol, a state; or a port, an address, where these stand alone.
    fn bare(&self, token: &Token, word: &str) -> Result<Expr, SelectorError> {
        if let Some(transports) = value::transport(word) {
            return Ok(Expr::Is(Condition::Transport(transports)));
        }
        if let Some(states) = value::state(word) {
            return Ok(Expr::Is(Condition::State(states)));
        }
        let fails = |reason| self.error(token, Why::Value { reason });
        if value::is_port_like(word) {
            return value::ports(&token.text, self.services)
                .map(|spec| spec_of(spec, Side::Either))
                .map_err(fails);
        }
        if value::is_place_like(word) {
            let place = value::place(&token.text, self.services).map_err(fails)?;
            return Ok(Expr::Is(Condition::At(Side::Either, place)));
        }
        Err(self.unknown(token))
    }

    fn unknown(&self, token: &Token) -> SelectorError {
        if value::service(&token.text, self.services).is_ok() {
            return self.error(token, Why::Service);
        }
        let nearest = nearest(&token.text, words::all());
        self.error(token, Why::Unknown { nearest })
    }

    /// The token behind `word`; a word that joins is none.
    fn following(&mut self, word: &Token, form: &'static str) -> Result<&'a Token, SelectorError> {
        let is_value = |token: &&Token| match token.kind {
            Kind::Quoted => true,
            Kind::Word => !matches!(token.keyword().as_deref(), Some("and" | "or" | "not")),
            _ => false,
        };
        let token = self.peek().filter(is_value);
        let token = token.ok_or_else(|| self.error(word, Why::ValueMissing { form }))?;
        self.at += 1;
        Ok(token)
    }

    fn value(
        &mut self,
        word: &Token,
        form: &'static str,
        read: impl Fn(&str) -> Result<Condition, String>,
    ) -> Result<Expr, SelectorError> {
        let token = self.following(word, form)?;
        read(&token.text).map(Expr::Is).map_err(|reason| self.error(token, Why::Value { reason }))
    }

    fn text_value(
        &mut self,
        word: &Token,
        form: &'static str,
        condition: impl Fn(String) -> Condition,
    ) -> Result<Expr, SelectorError> {
        self.value(word, form, |text| match text {
            "" => Err(alloc::format!("a name is never empty (write {form})")),
            _ => Ok(condition(text.to_string())),
        })
    }

    fn age(
        &mut self,
        word: &Token,
        form: &'static str,
        condition: impl Fn(core::time::Duration) -> Condition,
    ) -> Result<Expr, SelectorError> {
        self.take("than");
        self.value(word, form, |text| value::time(text).map(&condition))
    }

    /// Ports behind a word for a port, perhaps with a comparison between.
    fn ports(&mut self, word: &Token, side: Side) -> Result<Expr, SelectorError> {
        let operator = self.peek().and_then(value::operator);
        if operator.is_some() {
            self.at += 1;
        }
        let token = self.following(word, "port 443, port 80,443, port 8000-8999 or port https")?;
        let fails = |reason| self.error(token, Why::Value { reason });
        let spec = value::ports(&token.text, self.services).map_err(fails)?;
        let Some(operator) = operator else { return Ok(spec_of(spec, side)) };
        let (ports, is_ruled_out) = value::compared(operator, &spec.ports).map_err(fails)?;
        let expr = spec_of(Spec { ports, ..spec }, side);
        Ok(if is_ruled_out { Expr::Not(Box::new(expr)) } else { expr })
    }

    /// Behind a word for an end: `port PORTS`, or a place.
    fn end(&mut self, word: &Token, side: Side) -> Result<Expr, SelectorError> {
        if let Some(port) = self.take("port") {
            return self.ports(port, side);
        }
        let services = self.services;
        self.value(word, "to 10.0.0.0/8, to [2001:db8::1]:443 or to port 443", |text| {
            value::place(text, services).map(|place| Condition::At(side, place))
        })
    }

    fn on(&mut self, word: &Token) -> Result<Expr, SelectorError> {
        if let Some(port) = self.take("port") {
            return self.ports(port, Side::Local);
        }
        let services = self.services;
        self.value(word, "on 127.0.0.1 or on [::1]:8080", |text| {
            value::place(text, services).map(Condition::On)
        })
    }

    fn service(&mut self, word: &Token) -> Result<Expr, SelectorError> {
        let services = self.services;
        self.value(word, "service postgresql", |text| value::service(text, services))
    }
}

fn single(mut parts: Vec<Expr>, many: impl Fn(Vec<Expr>) -> Expr) -> Expr {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            many(parts)
        }
    }
}

/// Ports on a side, of a protocol where one was written.
fn spec_of(spec: Spec, side: Side) -> Expr {
    let ports = Expr::Is(Condition::Port(side, spec.ports));
    match spec.transports {
        None => ports,
        Some(transports) => Expr::All(Vec::from([Expr::Is(Condition::Transport(transports)), ports])),
    }
}

fn role(text: &str) -> Result<Condition, String> {
    const ROLES: [Role; 4] = [Role::Listener, Role::Server, Role::Client, Role::Bound];
    let written = text.to_ascii_lowercase();
    let role = ROLES.into_iter().find(|role| role.name() == written);
    role.map(Condition::Role)
        .ok_or_else(|| String::from("no such role (write listener, server, client or bound)"))
}
