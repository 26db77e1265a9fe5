//! What the guard says of a query, and the form in which a guarded one goes out.
//!
//! Where rules are in force, nothing of a query leaves as the program wrote it: name, kind and whether it speaks EDNS are
//! written anew, in lower case. So neither the case of letters nor an option can carry something out.

use wharf_table::Instant;
use wharf_table::policy::Outcome;
use wharf_wire::dns::{AnswerData, Message, Name, QueryRepr, Question, Rcode, RecordClass, RecordType};

use super::Names;
use super::local::LocalAnswer;
use super::{ClientToken, reply};
use crate::run::guard;

/// What is asked for where a client speaks EDNS: what crosses most paths whole (DNS flag day 2020).
const PAYLOAD_BYTES: u16 = 1232;
/// Kinds of records that programs ask for: A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, NAPTR, SSHFP, TLSA, SVCB, HTTPS, ANY, CAA.
const KINDS: [u16; 16] = [1, 2, 5, 6, 12, 15, 16, 28, 33, 35, 44, 52, 64, 65, 255, 257];

/// What becomes of a query.
pub(super) enum Asked {
    /// It goes its way as it is.
    AsWritten,
    /// It goes its way in this form.
    Anew(Vec<u8>),
    /// It is answered with this, and nobody is asked.
    No(LocalAnswer),
}

impl Asked {
    /// The message to the host's name servers.
    pub(super) fn message(&self, query: &Message<'_>) -> Vec<u8> {
        match self {
            Asked::Anew(bytes) => bytes.clone(),
            Asked::AsWritten | Asked::No(_) => query.bytes().to_vec(),
        }
    }

    /// The name as the client spelled it, where that is not how it is asked for.
    pub(super) fn spelled(&self, question: &Question<'_>) -> Option<Box<[u8]>> {
        matches!(self, Asked::Anew(_)).then(|| question.name.to_name().wire().into())
    }
}

impl Names {
    /// Asks the guard about a query.
    pub(super) fn examine(&mut self, now: Instant, query: &Message<'_>, question: &Question<'_>) -> Asked {
        if self.guard.is_open() || self.local.owns(&question.name.to_name()) {
            return Asked::AsWritten;
        }
        let nobody = || Asked::No(LocalAnswer::NO_SUCH_NAME);
        if question.kind == RecordType::PTR
            && let Some(addr) = question.name.to_name().reverse_addr()
        {
            // Asked of nobody: who is asked is whoever has the address, and learns of it.
            let name = self.guard.name_of(now, addr).and_then(|name| name.as_str().parse::<Name>().ok());
            return name.map_or_else(nobody, |name| Asked::No(LocalAnswer::of(vec![AnswerData::Ptr(name)])));
        }
        let Some(name) = guard::hostname(question.name) else { return nobody() };
        if let Err(ruling) = self.guard.may_ask(now, &name) {
            let denied = ruling.outcome == Outcome::Deny;
            self.denials.push_back((name.to_string(), ruling));
            if denied {
                return nobody();
            }
        }
        if !KINDS.contains(&question.kind.0) || question.class != RecordClass::IN {
            return Asked::No(LocalAnswer { rcode: Rcode::NOT_IMPLEMENTED, records: Vec::new() });
        }
        let Ok(name) = name.as_str().parse() else { return nobody() };
        let speaks_edns = query.edns().is_some();
        let anew = QueryRepr {
            id: 0,
            name,
            kind: question.kind,
            udp_payload_len: speaks_edns.then_some(PAYLOAD_BYTES),
        };
        let mut bytes = vec![0; anew.len()];
        anew.emit(&mut bytes);
        Asked::Anew(bytes)
    }

    /// Gives an answer to a client, when the guard has taken note of it. What can't be remembered is not said.
    pub(super) fn answer(&mut self, now: Instant, client: ClientToken, answer: Vec<u8>) {
        // Rules may come later that go by what was answered before.
        let kept = Message::parse(&answer).is_ok_and(|message| self.guard.on_answer(now, &message));
        let kept = kept || self.guard.is_open();
        self.answers.push_back((client, if kept { answer } else { reply::unsaid(&answer) }));
    }
}
