//! The trace: what a look-up or a decision asked, in order.
//!
//! The data path passes [`Silent`], which hears nothing and costs nothing; an explanation passes [`Written`]. Both run
//! the same code, so the explanation can't drift from the delivery.

use alloc::vec::Vec;
use core::fmt;

use crate::binding::BindingId;
use crate::endpoint::{Addr, Endpoint};
use crate::flow::Holder;
use crate::policy::Verdict;
use crate::port::Port;
use crate::tuple::{Protocol, Tuple};

/// One question and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// First degree of `find`: a flow with exactly this tuple on one of its sides, or what stands for one.
    ExactTuple {
        /// What was asked.
        tuple: Tuple,
        /// What answered.
        found: Option<Holder>,
    },
    /// Second degree: a binding of this port on this address.
    OnAddress {
        /// The protocol asked for.
        protocol: Protocol,
        /// The address and port asked for.
        local: Endpoint,
        /// What answered.
        found: Option<BindingId>,
    },
    /// Third degree: a binding of this port on any address of the family.
    OnAny {
        /// The protocol asked for.
        protocol: Protocol,
        /// [`Addr::ANY_V4`] or [`Addr::ANY_V6`].
        any: Addr,
        /// The port asked for; `None` where the wire said 0.
        port: Option<Port>,
        /// What answered.
        found: Option<BindingId>,
    },
    /// A policy was asked whether a flow may open.
    Decision {
        /// The flow, as its initiator sees it.
        tuple: Tuple,
        /// The answer.
        verdict: Verdict,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::ExactTuple { tuple, found } => {
                write!(f, "flow {tuple}: {}", answer(found.is_some()))
            }
            Step::OnAddress { protocol, local, found } => {
                write!(f, "binding of {protocol} {local}: {}", answer(found.is_some()))
            }
            Step::OnAny { protocol, any, port, found } => {
                let at = Endpoint::new(*any, port.map_or(0, Port::number));
                write!(f, "binding of {protocol} {at}: {}", answer(found.is_some()))
            }
            Step::Decision { tuple, verdict } => write!(f, "may {tuple} open: {verdict}"),
        }
    }
}

const fn answer(found: bool) -> &'static str {
    if found { "found" } else { "none" }
}

/// Who listens to the steps.
pub trait Trace {
    /// Takes one step.
    fn step(&mut self, step: Step);
}

/// Hears nothing, costs nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Trace for Silent {
    #[inline(always)]
    fn step(&mut self, _step: Step) {}
}

/// Writes every step down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    steps: Vec<Step>,
}

impl Written {
    /// An empty trace.
    pub const fn new() -> Written {
        Written { steps: Vec::new() }
    }

    /// The steps so far, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

impl Trace for Written {
    fn step(&mut self, step: Step) {
        self.steps.push(step);
    }
}
