//! What an answer says of the name that was asked for: its addresses, and the names on the way to them.

use std::time::Duration;

use wharf_table::Addr;
use wharf_table::policy::Hostname;
use wharf_wire::dns::{Message, NameRef, RecordData, RecordType, Service};

/// The most names on the way from a name to its addresses.
const CHAIN_MAX: usize = 16;
/// The kind of records that HTTPS records are a case of (RFC 9460).
const SVCB: RecordType = RecordType(64);

/// An answer, as far as it is about its question.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// Addresses, with how long they may be kept.
    pub(super) addresses: Vec<(Addr, Duration)>,
    /// Names that stand for the one that was asked for.
    pub(super) aliases: Vec<(Hostname, Duration)>,
}

/// A name as rules write it; `None` for one that no host has.
pub(in crate::run) fn hostname(name: NameRef<'_>) -> Option<Hostname> {
    let mut text = String::with_capacity(64);
    for label in name.labels() {
        if !text.is_empty() {
            text.push('.');
        }
        // A dot within a label must not read as the border of two.
        let label = str::from_utf8(label).ok().filter(|label| !label.contains('.'))?;
        text.push_str(label);
    }
    Hostname::parse(&text).ok()
}

impl Answer {
    /// Follows the chain of CNAME records from the question's name, and takes what belongs to a name on it.
    pub(super) fn read(message: &Message<'_>) -> Answer {
        let mut answer = Answer::default();
        let Some(question) = message.question() else { return answer };
        let mut chain = vec![question.name];
        // How long the whole way may be kept.
        let mut shortest = Duration::MAX;
        while chain.len() < CHAIN_MAX {
            let last = chain[chain.len() - 1];
            let next = message.answers().find_map(|record| match record.data {
                RecordData::Cname(target) if record.name == last => Some((target, record.ttl_s)),
                _ => None,
            });
            let Some((target, ttl_s)) = next.filter(|(target, _)| !chain.contains(target)) else { break };
            shortest = shortest.min(Duration::from_secs(ttl_s.into()));
            answer.aliases.extend(hostname(target).map(|name| (name, shortest)));
            chain.push(target);
        }
        for record in message.answers().filter(|record| chain.contains(&record.name)) {
            let ttl = shortest.min(Duration::from_secs(record.ttl_s.into()));
            match record.data {
                RecordData::A(addr) | RecordData::Aaaa(addr) => answer.addresses.push((addr, ttl)),
                RecordData::Other(data) if matches!(record.kind, RecordType::HTTPS | SVCB) => {
                    answer.take_service(data, ttl);
                }
                _ => {}
            }
        }
        answer
    }

    fn take_service(&mut self, data: &[u8], ttl: Duration) {
        let Ok(service) = Service::parse(data) else { return };
        self.addresses.extend(service.hints.iter().map(|&addr| (addr, ttl)));
        self.aliases.extend(hostname(service.target).map(|name| (name, ttl)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message from its records, `owner kind ttl data`, without compression.
    fn message(question: &str, records: &[(&str, u16, u32, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = vec![0, 1, 0x81, 0x80, 0, 1, 0, records.len() as u8, 0, 0, 0, 0];
        bytes.extend(wire(question));
        bytes.extend([0, 1, 0, 1]);
        for (owner, kind, ttl, data) in records {
            bytes.extend(wire(owner));
            bytes.extend(kind.to_be_bytes());
            bytes.extend([0, 1]);
            bytes.extend(ttl.to_be_bytes());
            bytes.extend((data.len() as u16).to_be_bytes());
            bytes.extend(data);
        }
        bytes
    }

    fn wire(name: &str) -> Vec<u8> {
        let labels = name.split('.').filter(|label| !label.is_empty());
        let mut wire: Vec<u8> =
            labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
        wire.push(0);
        wire
    }

    /// Addresses or names, with the seconds for which they may be kept.
    type Found = Vec<(String, u64)>;

    fn read(bytes: &[u8]) -> (Found, Found) {
        let answer = Answer::read(&Message::parse(bytes).unwrap());
        let addresses =
            answer.addresses.iter().map(|(addr, ttl)| (addr.to_string(), ttl.as_secs())).collect();
        let aliases = answer.aliases.iter().map(|(name, ttl)| (name.to_string(), ttl.as_secs())).collect();
        (addresses, aliases)
    }

    #[test]
    fn a_chain_is_followed_and_what_lies_beside_it_is_not() {
        let bytes = message(
            "Good.test",
            &[
                ("good.TEST", 5, 60, wire("cdn.test")),
                ("evil.test", 1, 600, vec![192, 0, 2, 66]),
                ("cdn.test", 5, 30, wire("edge.test")),
                ("edge.test", 1, 600, vec![192, 0, 2, 1]),
            ],
        );
        let (addresses, aliases) = read(&bytes);
        assert_eq!(addresses, [("192.0.2.1".to_owned(), 30)]);
        assert_eq!(aliases, [("cdn.test".to_owned(), 60), ("edge.test".to_owned(), 30)]);
    }

    #[test]
    fn a_loop_of_names_ends() {
        let bytes =
            message("a.test", &[("a.test", 5, 60, wire("b.test")), ("b.test", 5, 60, wire("a.test"))]);
        assert_eq!(read(&bytes), (vec![], vec![("b.test".to_owned(), 60)]));
    }

    #[test]
    fn an_https_record_leads_to_its_target_and_hints() {
        let data = [&[0, 1][..], &wire("svc.test"), &[0, 4, 0, 4, 192, 0, 2, 7]].concat();
        let (addresses, aliases) = read(&message("a.test", &[("a.test", 65, 20, data)]));
        assert_eq!(addresses, [("192.0.2.7".to_owned(), 20)]);
        assert_eq!(aliases, [("svc.test".to_owned(), 20)]);
    }

    #[test]
    fn a_dot_within_a_label_is_no_border() {
        let mut bytes = message("x", &[]);
        bytes.splice(12..15, b"\x07a.b.org\0".iter().copied());
        let question = Message::parse(&bytes).unwrap().question().unwrap();
        assert_eq!(hostname(question.name), None);
    }
}
