//! Names that are answered here and asked of nobody: those of the run itself, the host's `/etc/hosts`, and localhost.
//!
//! A name that is known with addresses of one family only has none of the other: it exists, so the answer is empty rather
//! than NXDOMAIN, and no server outside is asked to say otherwise. Records of other kinds come from outside.

use std::net::{Ipv4Addr, Ipv6Addr};

use wharf_table::Addr;
use wharf_wire::dns::{AnswerData, Name, Question, Rcode, RecordClass, RecordType};

use super::hosts::Hosts;

/// An answer that was found here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LocalAnswer {
    pub(super) rcode: Rcode,
    pub(super) records: Vec<AnswerData>,
}

impl LocalAnswer {
    pub(super) fn of(records: Vec<AnswerData>) -> LocalAnswer {
        LocalAnswer { rcode: Rcode::NO_ERROR, records }
    }

    pub(super) const NO_SUCH_NAME: LocalAnswer =
        LocalAnswer { rcode: Rcode::NAME_ERROR, records: Vec::new() };
}

/// The names of a run.
#[derive(Debug)]
pub(super) struct Local {
    /// Everything below is ours: what has no address here does not exist.
    zone: Name,
    localhost: Name,
    names: Vec<(Name, Vec<Addr>)>,
}

impl Local {
    /// Answers for `names`, and for nothing else below `zone`.
    pub(super) fn new(zone: Name, names: Vec<(Name, Vec<Addr>)>) -> Local {
        Local { zone, localhost: "localhost".parse().expect("localhost is a name"), names }
    }

    /// Whether a name is one of the run's own.
    pub(super) fn owns(&self, name: &Name) -> bool {
        name.is_in(&self.zone)
    }

    /// The answer, if the question can be answered here.
    pub(super) fn answer(&self, hosts: &Hosts, question: &Question<'_>) -> Option<LocalAnswer> {
        if !matches!(question.class, RecordClass::IN | RecordClass::ANY) {
            return None;
        }
        let name = question.name.to_name();
        if question.kind == RecordType::PTR
            && let Some(addr) = name.reverse_addr()
        {
            return self
                .name_of(hosts, addr)
                .map(|name| LocalAnswer::of(vec![AnswerData::Ptr(name.clone())]));
        }
        let ours = name.is_in(&self.zone);
        let known = self.addrs(hosts, &name);
        match (known, question.kind) {
            (Some(addrs), RecordType::A | RecordType::AAAA | RecordType::ANY) => {
                let fits = |addr: &Addr| match question.kind {
                    RecordType::A => addr.is_v4(),
                    RecordType::AAAA => !addr.is_v4(),
                    _ => true,
                };
                Some(LocalAnswer::of(addrs.into_iter().filter(fits).map(AnswerData::Addr).collect()))
            }
            (Some(_), _) if ours => Some(LocalAnswer::of(Vec::new())),
            (None, _) if ours && name == self.zone => Some(LocalAnswer::of(Vec::new())),
            (None, _) if ours => Some(LocalAnswer::NO_SUCH_NAME),
            _ => None,
        }
    }

    fn addrs(&self, hosts: &Hosts, name: &Name) -> Option<Vec<Addr>> {
        let own = self.names.iter().find(|(own, _)| own == name).map(|(_, addrs)| addrs.clone());
        // Names below localhost are the loopback of whoever asks, whatever a server says (RFC 6761, section 6.3).
        let loopback = || {
            let of_localhost = name.is_in(&self.localhost);
            of_localhost.then(|| vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
        };
        own.or_else(|| hosts.addrs(name).map(<[Addr]>::to_vec)).or_else(loopback)
    }

    /// The name of an address, the first where there are more.
    pub(super) fn name_of<'a>(&'a self, hosts: &'a Hosts, addr: Addr) -> Option<&'a Name> {
        let own = self.names.iter().find(|(_, addrs)| addrs.contains(&addr)).map(|(name, _)| name);
        own.or_else(|| hosts.name(addr)).or_else(|| addr.is_loopback().then_some(&self.localhost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_wire::dns::{Message, QueryRepr};

    fn ask(name: &str, kind: RecordType) -> Option<Vec<String>> {
        let host = ["10.0.2.4", "fd00::4"].map(|addr| addr.parse::<std::net::IpAddr>().unwrap().into());
        let names = vec![("host.wharf.internal".parse().unwrap(), host.to_vec())];
        let local = Local::new("wharf.internal".parse().unwrap(), names);
        let hosts = Hosts::parse("192.0.2.1 printer\n");
        let query = QueryRepr { id: 1, name: name.parse().unwrap(), kind, udp_payload_len: None };
        let mut bytes = vec![0; query.len()];
        query.emit(&mut bytes);
        let answer = local.answer(&hosts, &Message::parse(&bytes).unwrap().question().unwrap())?;
        let mut words: Vec<String> = answer
            .records
            .iter()
            .map(|record| match record {
                AnswerData::Addr(addr) => addr.to_string(),
                AnswerData::Ptr(name) | AnswerData::Cname(name) => name.to_string(),
            })
            .collect();
        if answer.rcode != Rcode::NO_ERROR {
            words.push(format!("rcode {}", answer.rcode.0));
        }
        Some(words)
    }

    #[test]
    fn names_of_the_run_and_of_the_host() {
        let some = |words: &[&str]| Some(words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
        assert_eq!(ask("host.wharf.internal", RecordType::A), some(&["10.0.2.4"]));
        assert_eq!(ask("HOST.wharf.internal", RecordType::AAAA), some(&["fd00::4"]));
        assert_eq!(ask("host.wharf.internal", RecordType::ANY), some(&["10.0.2.4", "fd00::4"]));
        assert_eq!(ask("host.wharf.internal", RecordType::MX), some(&[]));
        assert_eq!(ask("other.wharf.internal", RecordType::A), some(&["rcode 3"]));
        assert_eq!(ask("wharf.internal", RecordType::A), some(&[]));
        assert_eq!(ask("4.2.0.10.in-addr.arpa", RecordType::PTR), some(&["host.wharf.internal"]));
        assert_eq!(ask("printer", RecordType::A), some(&["192.0.2.1"]));
        assert_eq!(ask("printer", RecordType::AAAA), some(&[]), "it exists, in the other family");
        assert_eq!(ask("1.2.0.192.in-addr.arpa", RecordType::PTR), some(&["printer"]));
        assert_eq!(ask("localhost", RecordType::A), some(&["127.0.0.1"]));
        assert_eq!(ask("app.localhost", RecordType::AAAA), some(&["::1"]));
        assert_eq!(ask("1.0.0.127.in-addr.arpa", RecordType::PTR), some(&["localhost"]));
    }

    #[test]
    fn the_rest_is_asked_outside() {
        for (name, kind) in [
            ("example.org", RecordType::A),
            ("printer", RecordType::MX),
            ("9.2.0.192.in-addr.arpa", RecordType::PTR),
            ("in-addr.arpa", RecordType::PTR),
            (".", RecordType::NS),
        ] {
            assert_eq!(ask(name, kind), None, "{name}");
        }
    }
}
