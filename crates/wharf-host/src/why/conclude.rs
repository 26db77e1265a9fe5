//! The verdict: what was tried has the last word on whether it works, and the steps say why.

use std::net::SocketAddr;

use super::ground::Ground;
use super::probe::{Answer, Said, TlsFault, TlsReport};
use super::reach::Attempt;
use super::{Effect, Fault, Step, Target, Verdict, bind, listener};
use wharf_table::Protocol;

/// What an address came to.
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    /// Its sentence is that of the verdict, whatever that is.
    pub(super) fault: Fault,
}

/// The probe as a step.
pub(super) fn step(ground: &Ground, target: &Target, to: SocketAddr, answer: &Answer) -> Step {
    let place = ground.start();
    let asked = format!("{}/{to} from {}", target.protocol, place.called());
    let (found, ok) = match answer {
        Answer::Open(said) => said_words(said, target.protocol),
        Answer::Refused(None) => ("refused: a reset came back".to_owned(), Some(false)),
        Answer::Refused(Some(by)) => (format!("refused: {by}"), Some(false)),
        Answer::Prohibited(by) => (format!("prohibited: {by}"), Some(false)),
        Answer::Silent(after) => {
            let ok = if target.protocol == Protocol::Udp { None } else { Some(false) };
            (format!("silence for {:.1} s", after.as_secs_f64()), ok)
        }
        Answer::Unreachable(why) => (format!("unreachable: {why}"), Some(false)),
        Answer::NoPort => ("no port is left to ask from".to_owned(), Some(false)),
        Answer::Failed(why) => (format!("it can't be tried: {why}"), Some(false)),
    };
    Step::new("probe", asked, found, ok).at(&place.name)
}

fn said_words(said: &Said, protocol: Protocol) -> (String, Option<bool>) {
    match said {
        Said::Nothing if protocol == Protocol::Udp => ("a datagram came back".into(), Some(true)),
        Said::Nothing => ("connected; the server does not speak first".into(), Some(true)),
        Said::Reset => ("connected, and reset at once".into(), Some(false)),
        Said::Closed => ("connected, and closed at once".into(), None),
        Said::Text(line) => (format!("connected; it says {line:?}"), Some(true)),
        Said::Http(line) => (format!("connected; {line}"), Some(true)),
        Said::TlsAlert => ("connected; it speaks TLS, and HTTP was asked for".into(), Some(false)),
        Said::NotTls(line) => (format!("connected; TLS was asked for, and it says {line:?}"), Some(false)),
        Said::TlsFailed(why) => (format!("connected; the TLS handshake failed: {why}"), Some(false)),
        Said::Tls(report) => {
            let names = if report.names.is_empty() { "nobody".to_owned() } else { report.names.join(", ") };
            (
                format!("connected; {}, a certificate for {names}", report.version),
                Some(report.faults.is_empty()),
            )
        }
    }
}

/// The verdict on one address.
pub(super) fn conclude(ground: &Ground, target: &Target, attempt: &Attempt<'_>) -> Outcome {
    let effect = match &attempt.answer {
        Answer::Open(said) => return open(ground, target, attempt, said),
        Answer::NoPort => return no_port(ground, target, attempt),
        Answer::Silent(_) if target.protocol == Protocol::Udp => {
            return silent_datagram(ground, target, attempt);
        }
        Answer::Refused(_) => Effect::Refused,
        Answer::Prohibited(_) => Effect::Prohibited,
        Answer::Silent(_) => Effect::Silent,
        Answer::Unreachable(_) => Effect::Unreachable,
        Answer::Failed(_) => Effect::Unreachable,
    };
    let fits = attempt.faults.iter().find(|fault| fault.effect == effect).or(attempt.faults.first());
    if let Some(fault) = fits {
        let verdict = if attempt.is_denied { Verdict::Denied } else { Verdict::Unreachable };
        return Outcome { verdict, fault: fault.clone() };
    }
    let what = match &attempt.answer {
        Answer::Refused(Some(by)) => format!("is refused ({by})"),
        Answer::Refused(None) => "is refused".to_owned(),
        Answer::Prohibited(by) => format!("is prohibited ({by})"),
        Answer::Unreachable(why) => format!("can't be reached ({why})"),
        Answer::Failed(why) => format!("can't be tried ({why})"),
        _ => "is silent".to_owned(),
    };
    let why = match &attempt.doubt {
        Some(doubt) => format!("; the packet filter may be the reason ({doubt})"),
        None if attempt.is_seen => "; nothing that can be seen on this host is the reason".to_owned(),
        None => ", beyond this host".to_owned(),
    };
    unreachable(format!("{} {what}{why}", called(target, attempt)), None)
}

fn called(target: &Target, attempt: &Attempt<'_>) -> String {
    let called = target.called();
    let at = attempt.to.ip().to_string();
    if called.contains(&at) { called } else { format!("{called} at {at}") }
}

fn unreachable(sentence: String, remedy: Option<String>) -> Outcome {
    let fault = Fault { effect: Effect::Refused, sentence, remedy, instead: None };
    Outcome { verdict: Verdict::Unreachable, fault }
}

fn reachable(sentence: String) -> Outcome {
    let fault = Fault { effect: Effect::NoAnswer, sentence, remedy: None, instead: None };
    Outcome { verdict: Verdict::Reachable, fault }
}

/// The connection stands.
fn open(ground: &Ground, target: &Target, attempt: &Attempt<'_>, said: &Said) -> Outcome {
    let name = called(target, attempt);
    let start = ground.start();
    let who = attempt.row.map_or_else(|| "the server".to_owned(), |row| listener::who(ground, row));
    let wants_answer = target.wants_http() || target.wants_tls();
    let no_answer = attempt.faults.iter().find(|fault| fault.effect == Effect::NoAnswer);
    match said {
        Said::Nothing | Said::Closed | Said::Reset
            if no_answer.is_some() && (wants_answer || !matches!(said, Said::Closed)) =>
        {
            let fault = no_answer.cloned();
            fault.map_or_else(
                || unreachable(format!("{name} does not answer"), None),
                |fault| Outcome { verdict: Verdict::Unreachable, fault },
            )
        }
        Said::Reset => unreachable(format!("{who} takes the connection to {name} and resets it"), None),
        Said::Nothing if wants_answer => {
            unreachable(format!("{who} takes the connection to {name} and says nothing"), None)
        }
        Said::Closed if wants_answer => {
            unreachable(format!("{who} takes the connection to {name} and closes it without an answer"), None)
        }
        Said::TlsAlert => {
            let remedy = target.command_with("https").map(|command| start.command(&command));
            unreachable(format!("{who} speaks TLS at {name}, where HTTP was asked for"), remedy)
        }
        Said::NotTls(line) => {
            let remedy = target.command_with("http").filter(|_| target.wants_http());
            let what = if target.wants_http() { "plain HTTP" } else { "no TLS" };
            let sentence =
                format!("{who} speaks {what} at {name}, where TLS was asked for (it says {line:?})");
            unreachable(sentence, remedy.map(|command| start.command(&command)))
        }
        Said::TlsFailed(why) => unreachable(format!("the TLS handshake with {name} failed: {why}"), None),
        Said::Tls(report) if !report.faults.is_empty() => certificate(ground, target, attempt, report),
        Said::Tls(report) => reachable(format!("{name} is reachable: {who} speaks {}", report.version)),
        Said::Http(line) => reachable(format!("{name} is reachable: {who} answers {line}")),
        Said::Text(line) => reachable(format!("{name} is reachable: {who} says {line:?}")),
        Said::Closed => reachable(format!("{name} is reachable, though {who} closes the connection at once")),
        Said::Nothing if target.protocol == Protocol::Udp => {
            reachable(format!("{name} is reachable: {who} answers"))
        }
        Said::Nothing => reachable(format!("{name} is reachable: {who} takes the connection")),
    }
}

/// The certificate is not one that a client takes.
fn certificate(ground: &Ground, target: &Target, attempt: &Attempt<'_>, report: &TlsReport) -> Outcome {
    let name = called(target, attempt);
    let names = if report.names.is_empty() { "no name at all".to_owned() } else { report.names.join(", ") };
    let words = |fault: &TlsFault| match fault {
        TlsFault::Name => format!("it is for {names}"),
        TlsFault::Expired(when) => format!("it has expired on {when}"),
        TlsFault::NotYet(when) => format!("it is good from {when} on only"),
        TlsFault::Untrusted => "nobody whom this host trusts has signed it".to_owned(),
    };
    let why: Vec<String> = report.faults.iter().map(words).collect();
    let other = report.names.first().filter(|_| report.faults == [TlsFault::Name]);
    let remedy = other.and_then(|other| target.command_by_name(other, attempt.to));
    unreachable(
        format!("{name} answers with a certificate that no client takes: {}", why.join("; ")),
        remedy.map(|command| ground.start().command(&command)),
    )
}

/// Nothing came back to a datagram, which says nothing by itself.
fn silent_datagram(ground: &Ground, target: &Target, attempt: &Attempt<'_>) -> Outcome {
    if let Some(fault) = attempt.faults.first() {
        let verdict = if attempt.is_denied { Verdict::Denied } else { Verdict::Unreachable };
        return Outcome { verdict, fault: fault.clone() };
    }
    let name = called(target, attempt);
    match attempt.row {
        Some(row) => reachable(format!(
            "{name} is reachable: {} takes datagrams there, and did not answer an empty one",
            listener::who(ground, row)
        )),
        None => {
            let sentence = format!("{name} did not answer an empty datagram, which it need not");
            let fault = Fault { effect: Effect::Silent, sentence, remedy: None, instead: None };
            Outcome { verdict: Verdict::Unknown, fault }
        }
    }
}

/// No port to ask from: who holds them, or the address is nobody's here.
fn no_port(ground: &Ground, target: &Target, attempt: &Attempt<'_>) -> Outcome {
    let fault = attempt.faults.first().cloned();
    let fault = fault.unwrap_or_else(|| bind::exhausted(ground, target, attempt.to));
    Outcome { verdict: Verdict::Unreachable, fault }
}
