//! Selectors: words that say which rows are meant, and read like speech.
//!
//! `tcp listening port 8000-9000`, `user www-data not loopback`, `( established or time-wait ) to 10.0.0.0/8`. Words that
//! stand together are joined by "and"; `or`, `not` and parentheses do what they say. Every verb that takes rows takes
//! selectors, and [`words`] has all words: documentation, help and what was perhaps meant come from that table.
//!
//! | words | value | rows |
//! |---|---|---|
//! | `tcp` `mptcp` `udp` `udplite` `sctp` `dccp` `raw` `icmp` | | of this protocol |
//! | `ipv4` `ipv6` | | whose local address is of this family |
//! | `all` | | every one |
//! | `listening` | | take connections, or datagrams from anybody |
//! | `exposed` | | listen or are bound where other hosts reach them |
//! | `connected` | | have a peer, or had one |
//! | `state` `exclude` | `NAME[,NAME]` | in one of these states; in none of them |
//! | `listen` `established` `time-wait` ... | | in this state |
//! | `role` | `listener` `server` `client` `bound` | play this part |
//! | `queued` | | with bytes or connections waiting |
//! | `port` | `PORTS` | either port is one of these; `PORTS` alone says the same |
//! | `local port` `from port` `on port` `sport` | `PORTS` | the local port |
//! | `remote port` `to port` `with port` `dport` | `PORTS` | the remote port |
//! | `=` `!=` `<` `<=` `>` `>=` `above` `below` | `PORT` | behind a word for a port: compares |
//! | `service` | `NAME` | whose port is registered for this name |
//! | `to` `with` `remote` `dst` | `ADDRESS\|CIDR[:PORTS]` | the remote end is there |
//! | `from` `local` `src` | `ADDRESS\|CIDR[:PORTS]` | the local end is there |
//! | `on` | `ADDRESS[:PORTS]` | answer at this address, wildcards included |
//! | `address` | `ADDRESS\|CIDR[:PORTS]` | either end is there; the address alone says the same |
//! | `loopback` | | either end is on loopback |
//! | `interface` `dev` | `NAME` | tied to this interface |
//! | `user` | `NAME\|UID` | held by a process of this user |
//! | `process` `pid` | `NAME`, `N` | held by this process |
//! | `unit` `container` `cgroup` | `NAME`, `PATH` | of this unit, container, control group |
//! | `in` | `NETWORK` | in this network |
//! | `owned` `ownerless` | | a process that holds it is known, or not |
//! | `older` `younger` | `[than] TIME` | exist for more, for less |
//!
//! What is unknown of a row meets no condition about it, and so meets every `not`: a row without a remote end is not `to`
//! anywhere. Names are compared by case, words are not. A value with spaces stands in quotes.
//!
//! Deliberately absent: names of hosts (nothing here asks a name server), and what a row does not tell (socket marks).

mod condition;
mod error;
mod lex;
mod narrow;
mod parse;
mod value;
pub mod words;

use alloc::string::String;

pub use error::SelectorError;
pub use narrow::{Narrow, States, Transports};

use crate::notation::Services;
use crate::rows::{Row, Rows};
use condition::{Condition, Expr};

/// Which rows are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    expr: Expr,
}

impl Selector {
    /// The selector that takes every row.
    pub const fn all() -> Selector {
        Selector { expr: Expr::All(alloc::vec::Vec::new()) }
    }

    /// Reads a selector; the empty one takes every row.
    ///
    /// # Errors
    /// [`SelectorError`] says which word is wrong, where it stands, and what was perhaps meant.
    pub fn parse(text: &str, services: Services<'_>) -> Result<Selector, SelectorError> {
        parse::parse(text, services).map(|expr| Selector { expr })
    }

    /// Reads several arguments of a command line as one selector.
    ///
    /// # Errors
    /// As [`Selector::parse`].
    pub fn parse_words<S: AsRef<str>>(
        words: &[S],
        services: Services<'_>,
    ) -> Result<Selector, SelectorError> {
        let mut text = String::new();
        for word in words {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word.as_ref());
        }
        Selector::parse(&text, services)
    }

    /// Whether a row is meant.
    pub fn matches(&self, rows: &Rows, row: &Row) -> bool {
        self.expr.matches(rows, row)
    }

    /// What every row that is meant has in common, for a filter in the kernel.
    pub fn narrow(&self) -> Narrow {
        narrow::narrow(&self.expr, narrow::Sense::Wanted)
    }

    /// Whether it asks who holds a row, so that owners must be looked for before it is asked.
    pub fn asks_owners(&self) -> bool {
        self.expr.has(&|condition| {
            matches!(
                condition,
                Condition::Owned
                    | Condition::User(_)
                    | Condition::Process(_)
                    | Condition::Pid(_)
                    | Condition::Unit(_)
                    | Condition::Container(_)
            )
        })
    }

    /// Whether it asks in which network a row is, so that others than the host's must be looked at.
    pub fn asks_networks(&self) -> bool {
        self.expr.has(&|condition| matches!(condition, Condition::Network(_)))
    }
}

#[cfg(test)]
mod tests;
