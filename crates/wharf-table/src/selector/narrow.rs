//! What a kernel's filter can take over of a selector: a box around everything that it can match.

use crate::notation::Ports;
use crate::rows::{State, Transport};
use crate::selector::condition::{Condition, Expr, Side, Where};

/// A set of transports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Transports(u8);

/// A set of states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct States(u16);

macro_rules! set {
    ($set:ident, $item:ident, $word:ty) => {
        impl $set {
            /// None of them.
            pub const NONE: $set = $set(0);
            /// All of them.
            pub const ALL: $set = $set(((1_u32 << $item::ALL.len()) - 1) as $word);

            /// These.
            pub fn of(items: &[$item]) -> $set {
                $set(items.iter().fold(0, |set, &item| set | 1 << item as u32))
            }

            /// Whether it is one of them.
            pub const fn contains(self, item: $item) -> bool {
                self.0 >> item as u32 & 1 != 0
            }

            /// Each, in the order of `ALL`.
            pub fn iter(self) -> impl Iterator<Item = $item> {
                $item::ALL.into_iter().filter(move |&item| self.contains(item))
            }

            /// Those in either.
            #[must_use]
            pub const fn union(self, other: $set) -> $set {
                $set(self.0 | other.0)
            }

            /// Those in both.
            #[must_use]
            pub const fn intersection(self, other: $set) -> $set {
                $set(self.0 & other.0)
            }

            /// All others.
            #[must_use]
            pub const fn complement(self) -> $set {
                $set(!self.0 & $set::ALL.0)
            }
        }
    };
}

set!(Transports, Transport, u8);
set!(States, State, u16);

/// Every row that a selector matches is of one of these transports, in one of these states, and has one of these local
/// ports. Not every such row is matched: the selector still has the last word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Narrow {
    /// The transports.
    pub transports: Transports,
    /// The states.
    pub states: States,
    /// The local ports, 0 among them where a row may have none.
    pub local_ports: Ports,
}

impl Narrow {
    /// No limit at all.
    pub fn everything() -> Narrow {
        Narrow { transports: Transports::ALL, states: States::ALL, local_ports: Ports::all() }
    }

    /// Whether nothing can be left out.
    pub fn is_everything(&self) -> bool {
        self.transports == Transports::ALL && self.states == States::ALL && self.local_ports.is_all()
    }

    fn nothing() -> Narrow {
        Narrow { transports: Transports::NONE, states: States::NONE, local_ports: Ports::NONE }
    }

    fn is_nothing(&self) -> bool {
        self.transports == Transports::NONE || self.states == States::NONE || self.local_ports.is_empty()
    }

    fn and(self, other: &Narrow) -> Narrow {
        Narrow {
            transports: self.transports.intersection(other.transports),
            states: self.states.intersection(other.states),
            local_ports: self.local_ports.intersection(&other.local_ports),
        }
    }

    /// The smallest box around both.
    fn or(self, other: Narrow) -> Narrow {
        if self.is_nothing() {
            return other;
        }
        if other.is_nothing() {
            return self;
        }
        Narrow {
            transports: self.transports.union(other.transports),
            states: self.states.union(other.states),
            local_ports: self.local_ports.union(&other.local_ports),
        }
    }
}

impl Default for Narrow {
    fn default() -> Narrow {
        Narrow::everything()
    }
}

/// Whether a condition is asked for or ruled out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sense {
    Wanted,
    RuledOut,
}

/// The box around what `expr` matches, or around what it does not.
pub(super) fn narrow(expr: &Expr, sense: Sense) -> Narrow {
    let both = |parts: &[Expr]| {
        parts.iter().fold(Narrow::everything(), |narrow, part| narrow.and(&self::narrow(part, sense)))
    };
    let either = |parts: &[Expr]| {
        parts.iter().fold(Narrow::nothing(), |narrow, part| narrow.or(self::narrow(part, sense)))
    };
    match (expr, sense) {
        (Expr::Is(condition), sense) => of_condition(condition, sense),
        (Expr::Not(inner), Sense::Wanted) => narrow(inner, Sense::RuledOut),
        (Expr::Not(inner), Sense::RuledOut) => narrow(inner, Sense::Wanted),
        (Expr::All(parts), Sense::Wanted) | (Expr::Any(parts), Sense::RuledOut) => both(parts),
        (Expr::Any(parts), Sense::Wanted) | (Expr::All(parts), Sense::RuledOut) => either(parts),
    }
}

fn of_condition(condition: &Condition, sense: Sense) -> Narrow {
    let all = Narrow::everything();
    let wanted = sense == Sense::Wanted;
    match condition {
        Condition::All if wanted => all,
        Condition::All => Narrow::nothing(),
        // One dimension and nothing else: what is ruled out is exactly the rest.
        Condition::Transport(set) => {
            Narrow { transports: if wanted { *set } else { set.complement() }, ..all }
        }
        Condition::State(set) => Narrow { states: if wanted { *set } else { set.complement() }, ..all },
        Condition::Port(Side::Local, ports) => {
            Narrow { local_ports: if wanted { ports.clone() } else { ports.complement() }, ..all }
        }
        Condition::At(Side::Local, place) if wanted => {
            Narrow { local_ports: place.ports.clone().unwrap_or_else(Ports::all), ..all }
        }
        Condition::At(Side::Local, place) if matches!(place.at, Where::Anywhere) => {
            Narrow { local_ports: place.ports.as_ref().map_or(Ports::NONE, Ports::complement), ..all }
        }
        Condition::On(place) if wanted => {
            Narrow { local_ports: place.ports.clone().unwrap_or_else(Ports::all), ..all }
        }
        Condition::Exposed if wanted => Narrow { states: States::of(&[State::Listen, State::Bound]), ..all },
        _ => all,
    }
}
