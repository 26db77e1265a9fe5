//! Messages that we write: answers of our own, and queries.

use alloc::vec::Vec;

use wharf_table::Addr;

use super::{Edns, HEADER_LEN, Header, MAX_UDP_LEN, Message, Name, Opcode, Rcode, RecordClass, RecordType};

/// A pointer to the question's name, which stands right behind the header.
const POINTER_TO_QUESTION: [u8; 2] = [0xc0, HEADER_LEN as u8];
/// The longest message that we take over UDP, in bytes: what passes without fragments (DNS flag day 2020).
const OUR_UDP_PAYLOAD_LEN: u16 = 1232;
const OPT_LEN: usize = 11;

/// What an answer of ours holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerData {
    /// An address: written as A or AAAA.
    Addr(Addr),
    /// The name of an address.
    Ptr(Name),
    /// The name that is the true one; what follows belongs to that.
    Cname(Name),
}

/// An answer of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whose it is; `None` for the name in the question.
    pub name: Option<Name>,
    /// For how many seconds it may be kept.
    pub ttl_s: u32,
    /// What it holds.
    pub data: AnswerData,
}

/// A response of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseRepr {
    /// What its header says.
    pub header: Header,
    /// The question that it answers: name, kind and class.
    pub question: Option<(Name, RecordType, RecordClass)>,
    /// The answers.
    pub answers: Vec<Answer>,
    /// What its OPT record says; only in answer to a query that had one (RFC 6891, section 7).
    pub edns: Option<Edns>,
}

impl ResponseRepr {
    /// A response to `query` that says how it went, still without answers: NXDOMAIN, SERVFAIL, or no such record.
    pub fn to(query: &Message<'_>, rcode: Rcode) -> ResponseRepr {
        let edns = query.edns().map(|edns| Edns {
            udp_payload_len: OUR_UDP_PAYLOAD_LEN,
            extended_rcode: 0,
            version: 0,
            dnssec_ok: edns.dnssec_ok,
        });
        let question =
            query.question().map(|question| (question.name.to_name(), question.kind, question.class));
        ResponseRepr { question, edns, ..ResponseRepr::to_header(query.header(), rcode) }
    }

    /// A response to a query of which only the header could be read: FORMERR.
    pub fn to_header(query: &Header, rcode: Rcode) -> ResponseRepr {
        let header = Header {
            response: true,
            authoritative: false,
            truncated: false,
            recursion_available: true,
            authentic_data: false,
            rcode,
            ..*query
        };
        ResponseRepr { header, question: None, answers: Vec::new(), edns: None }
    }

    /// Adds an answer for the name in the question.
    pub fn push(&mut self, ttl_s: u32, data: AnswerData) {
        self.answers.push(Answer { name: None, ttl_s, data });
    }

    /// Writes the message to the front of `buf` and gives back its length. What `buf` holds is the limit: where not all answers
    /// fit, none is written and TC is set, so that the client asks again over TCP (RFC 2181, section 9).
    ///
    /// # Panics
    /// When `buf` is shorter than 512 bytes, which hold any question.
    pub fn emit(&self, buf: &mut [u8]) -> usize {
        assert!(buf.len() >= MAX_UDP_LEN, "a message may always have 512 bytes");
        let reserved = if self.edns.is_some() { OPT_LEN } else { 0 };
        let limit = buf.len().min(usize::from(u16::MAX)) - reserved;
        let mut writer = Writer { buf: &mut buf[..limit], at: HEADER_LEN };
        if let Some((name, kind, class)) = &self.question {
            writer.question(name, *kind, *class).expect("512 bytes hold any question");
        }
        let after_question = writer.at;
        let fits = self.answers.iter().all(|answer| writer.answer(answer, self.question.is_some()).is_some());
        let written = if fits { self.answers.len() } else { 0 };
        let mut at = if fits { writer.at } else { after_question };
        if let Some(edns) = &self.edns {
            buf[at..at + OPT_LEN].copy_from_slice(&opt_record(edns));
            at += OPT_LEN;
        }
        let header = Header { truncated: self.header.truncated || !fits, ..self.header };
        let counts = [usize::from(self.question.is_some()), written, 0, usize::from(self.edns.is_some())];
        emit_header(&header, counts, buf);
        at
    }
}

/// A query of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryRepr {
    /// Tells which response belongs to it.
    pub id: u16,
    /// The name.
    pub name: Name,
    /// The kind of record.
    pub kind: RecordType,
    /// The longest response that we take over UDP, in bytes, when EDNS is used.
    pub udp_payload_len: Option<u16>,
}

impl QueryRepr {
    /// Bytes that [`QueryRepr::emit`] writes.
    #[expect(clippy::len_without_is_empty, reason = "a message is never empty")]
    pub fn len(&self) -> usize {
        HEADER_LEN + self.name.wire().len() + 4 + self.udp_payload_len.map_or(0, |_| OPT_LEN)
    }

    /// Writes the message, with recursion desired, to the front of `buf`.
    ///
    /// # Panics
    /// When `buf` is shorter than [`QueryRepr::len`].
    pub fn emit(&self, buf: &mut [u8]) {
        let buf = &mut buf[..self.len()];
        let mut writer = Writer { buf, at: HEADER_LEN };
        writer.question(&self.name, self.kind, RecordClass::IN).expect("the buffer holds the query");
        if let Some(udp_payload_len) = self.udp_payload_len {
            let edns = Edns { udp_payload_len, extended_rcode: 0, version: 0, dnssec_ok: false };
            writer.put(&opt_record(&edns)).expect("the buffer holds the query");
        }
        let header = Header {
            id: self.id,
            response: false,
            opcode: Opcode::QUERY,
            authoritative: false,
            truncated: false,
            recursion_desired: true,
            recursion_available: false,
            authentic_data: false,
            checking_disabled: false,
            rcode: Rcode::NO_ERROR,
        };
        emit_header(&header, [1, 0, 0, usize::from(self.udp_payload_len.is_some())], buf);
    }
}

fn emit_header(header: &Header, counts: [usize; 4], buf: &mut [u8]) {
    buf[..4].copy_from_slice(&header.octets());
    for (to, count) in buf[4..HEADER_LEN].chunks_exact_mut(2).zip(counts) {
        to.copy_from_slice(&(count as u16).to_be_bytes());
    }
}

/// The root name, type OPT, and the fields as RFC 6891, section 6.1.2, spreads them over class and TTL; no options.
fn opt_record(edns: &Edns) -> [u8; OPT_LEN] {
    let ([t0, t1], [s0, s1]) = (RecordType::OPT.0.to_be_bytes(), edns.udp_payload_len.to_be_bytes());
    let flags = if edns.dnssec_ok { 0x80 } else { 0 };
    [0, t0, t1, s0, s1, edns.extended_rcode, edns.version, flags, 0, 0, 0]
}

/// Writes until the buffer is full, which `None` says.
struct Writer<'a> {
    buf: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.at + bytes.len();
        self.buf.get_mut(self.at..end)?.copy_from_slice(bytes);
        self.at = end;
        Some(())
    }

    fn question(&mut self, name: &Name, kind: RecordType, class: RecordClass) -> Option<()> {
        self.put(name.wire())?;
        self.put(&kind.0.to_be_bytes())?;
        self.put(&class.0.to_be_bytes())
    }

    fn answer(&mut self, answer: &Answer, has_question: bool) -> Option<()> {
        match &answer.name {
            Some(name) => self.put(name.wire())?,
            None if has_question => self.put(&POINTER_TO_QUESTION)?,
            None => self.put(&[0])?,
        }
        let v4;
        let v6;
        let (kind, data) = match &answer.data {
            AnswerData::Addr(addr) => match addr.v4_octets() {
                Some(octets) => {
                    v4 = octets;
                    (RecordType::A, &v4[..])
                }
                None => {
                    v6 = addr.octets();
                    (RecordType::AAAA, &v6[..])
                }
            },
            AnswerData::Ptr(name) => (RecordType::PTR, name.wire()),
            AnswerData::Cname(name) => (RecordType::CNAME, name.wire()),
        };
        self.put(&kind.0.to_be_bytes())?;
        self.put(&RecordClass::IN.0.to_be_bytes())?;
        self.put(&answer.ttl_s.to_be_bytes())?;
        self.put(&(data.len() as u16).to_be_bytes())?;
        self.put(data)
    }
}
