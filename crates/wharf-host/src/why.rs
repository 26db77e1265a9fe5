//! Why something can't be reached, or bound: the delivery of a packet walked in order, and what would make it work.
//!
//! A question's way: [`explain`] looks around ([`ground`]), finds the addresses of a name ([`name`]), follows a packet over this
//! host ([`walk`]: routes, [`firewall`], translation, what the kernel drops by itself), looks who listens at its end
//! ([`listener`], [`meant`], [`publish`]) and at last tries it ([`probe`]). What is tried has the last word on whether it works; the
//! steps before say why. [`bind`] does the same for a port that is to be taken.
//!
//! # Invariants
//! - Nothing is changed: routes, rules and sockets are read, and one connection is made.
//! - What can't be told is said so ([`Step::ok`] is `None`), never guessed.
//! - A remedy is a command that can be typed as it stands.

mod bind;
mod conclude;
mod firewall;
mod ground;
mod listener;
mod meant;
mod name;
mod policy;
mod probe;
mod process;
mod publish;
mod reach;
mod route;
mod target;
mod walk;

use std::net::IpAddr;

use thiserror::Error;
use wharf_table::notation::Location;

use self::ground::Ground;
pub use self::target::Target;
use crate::snapshot::SnapshotError;

/// What is asked.
#[derive(Clone, Debug)]
pub enum Asked {
    /// Can this be reached?
    Reach(Box<Target>),
    /// Can the ports of this process be reached?
    Process(u32),
    /// Can this be bound?
    Bind(Location),
}

/// A question.
#[derive(Clone, Debug)]
pub struct Question {
    /// What is asked.
    pub asked: Asked,
    /// The run or the network where it is asked; `None` for this one.
    pub place: Option<String>,
}

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It works.
    Reachable,
    /// It does not.
    Unreachable,
    /// A policy, or a right that is missing, forbids it.
    Denied,
    /// This can't be told from here.
    Unknown,
}

impl Verdict {
    /// As JSON has it.
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Reachable => "reachable",
            Verdict::Unreachable => "unreachable",
            Verdict::Denied => "denied",
            Verdict::Unknown => "unknown",
        }
    }
}

/// One step of the delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which: `name`, `route`, `firewall`, `listener`...
    pub step: &'static str,
    /// What was asked.
    pub asked: String,
    /// What answered.
    pub found: String,
    /// Whether the packet goes on; `None` where that can't be told.
    pub ok: Option<bool>,
    /// The network where it was asked.
    pub network: Option<String>,
}

impl Step {
    const fn new(step: &'static str, asked: String, found: String, ok: Option<bool>) -> Step {
        Step { step, asked, found, ok, network: None }
    }

    fn at(self, network: &str) -> Step {
        Step { network: Some(network.to_owned()), ..self }
    }
}

/// The whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// How it ends.
    pub verdict: Verdict,
    /// In one sentence.
    pub sentence: String,
    /// The steps, in the order of the delivery.
    pub steps: Vec<Step>,
    /// The command that would make it work.
    pub remedy: Option<String>,
    /// What would work instead: an endpoint.
    pub instead: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum WhyError {
    /// There is no network of this name.
    #[error("no run or network {name:?} ({})", listed(.there))]
    NoNetwork {
        /// What it was called.
        name: String,
        /// The names of those that there are.
        there: Vec<String>,
    },
    /// There is no such process.
    #[error("no process {0} (wharf why takes PROTOCOL/ENDPOINT, a URL or the number of a process)")]
    NoProcess(u32),
    /// The sockets can't be listed.
    #[error(transparent)]
    Unlisted(#[from] SnapshotError),
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "there is no other".to_owned() } else { format!("there are {}", names.join(", ")) }
}

/// What a fault does to who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// Nothing comes back.
    Silent,
    /// A reset comes back, or that the port is closed.
    Refused,
    /// That it is prohibited.
    Prohibited,
    /// There is no way.
    Unreachable,
    /// The connection stands, and nobody speaks.
    NoAnswer,
    /// The name is not known.
    NoName,
}

/// Something that keeps it from working.
#[derive(Clone, Debug)]
struct Fault {
    effect: Effect,
    sentence: String,
    remedy: Option<String>,
    instead: Option<String>,
}

/// Answers a question.
///
/// # Errors
/// There is no such network or process, or the sockets can't be listed.
pub fn explain(question: &Question) -> Result<Explanation, WhyError> {
    let mut ground = Ground::survey(question.place.as_deref())?;
    match &question.asked {
        Asked::Reach(target) => Ok(reach::explain(&ground, target)),
        Asked::Process(pid) => process::explain(&mut ground, *pid),
        Asked::Bind(at) => Ok(bind::explain(&ground, at)),
    }
}

/// Whether an address is one that packets come from or go to, for sentences.
fn loopback(like: IpAddr) -> IpAddr {
    if like.is_ipv4() { std::net::Ipv4Addr::LOCALHOST.into() } else { std::net::Ipv6Addr::LOCALHOST.into() }
}
