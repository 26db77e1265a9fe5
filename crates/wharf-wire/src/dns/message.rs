//! The message: header, questions, and the walk over its records.

use super::record::{Edns, Record, RecordClass, RecordData, RecordType, Section};
use super::{HEADER_LEN, MAX_UDP_LEN, NameRef};
use crate::Malformed;

/// What a message is about (RFC 1035, section 4.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Opcode(pub u8);

impl Opcode {
    /// A standard query.
    pub const QUERY: Opcode = Opcode(0);
}

/// How a query went (RFC 1035, section 4.1.1), 0 to 15.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rcode(pub u8);

impl Rcode {
    /// It went well, though there may be no record.
    pub const NO_ERROR: Rcode = Rcode(0);
    /// The query could not be read.
    pub const FORMAT_ERROR: Rcode = Rcode(1);
    /// The server could not find out.
    pub const SERVER_FAILURE: Rcode = Rcode(2);
    /// The name does not exist (NXDOMAIN).
    pub const NAME_ERROR: Rcode = Rcode(3);
    /// The server does not do this.
    pub const NOT_IMPLEMENTED: Rcode = Rcode(4);
    /// The server does not want to.
    pub const REFUSED: Rcode = Rcode(5);
}

/// What the first four bytes of a message mean (RFC 1035, section 4.1.1; AD and CD: RFC 4035, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Tells which response belongs to which query.
    pub id: u16,
    /// It is a response (QR).
    pub response: bool,
    /// What it is about.
    pub opcode: Opcode,
    /// The server owns the name (AA).
    pub authoritative: bool,
    /// It did not fit: ask again over TCP (TC).
    pub truncated: bool,
    /// The client wants the server to find out (RD).
    pub recursion_desired: bool,
    /// The server does find out (RA).
    pub recursion_available: bool,
    /// The server has verified it (AD).
    pub authentic_data: bool,
    /// The client does not want it verified (CD).
    pub checking_disabled: bool,
    /// How it went.
    pub rcode: Rcode,
}

impl Header {
    /// Reads the header of a message of which nothing else may be readable.
    ///
    /// # Errors
    /// [`Malformed::TooShort`] below 12 bytes.
    pub fn parse(message: &[u8]) -> Result<Header, Malformed> {
        let header = message.first_chunk::<HEADER_LEN>().ok_or(Malformed::TooShort)?;
        let [id0, id1, high, low, ..] = *header;
        Ok(Header {
            id: u16::from_be_bytes([id0, id1]),
            response: high & 0x80 != 0,
            opcode: Opcode(high >> 3 & 15),
            authoritative: high & 0x04 != 0,
            truncated: high & 0x02 != 0,
            recursion_desired: high & 0x01 != 0,
            recursion_available: low & 0x80 != 0,
            authentic_data: low & 0x20 != 0,
            checking_disabled: low & 0x10 != 0,
            rcode: Rcode(low & 15),
        })
    }

    /// The first four bytes.
    pub(super) fn octets(&self) -> [u8; 4] {
        let bit = |set: bool, mask: u8| if set { mask } else { 0 };
        let [id0, id1] = self.id.to_be_bytes();
        let high = bit(self.response, 0x80)
            | (self.opcode.0 & 15) << 3
            | bit(self.authoritative, 0x04)
            | bit(self.truncated, 0x02)
            | bit(self.recursion_desired, 0x01);
        let low = bit(self.recursion_available, 0x80)
            | bit(self.authentic_data, 0x20)
            | bit(self.checking_disabled, 0x10)
            | self.rcode.0 & 15;
        [id0, id1, high, low]
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// The name.
    pub name: NameRef<'a>,
    /// The kind of record.
    pub kind: RecordType,
    /// The class.
    pub class: RecordClass,
}

impl<'a> Question<'a> {
    fn parse(message: &'a [u8], at: usize) -> Result<(Question<'a>, usize), Malformed> {
        let (name, at) = NameRef::parse(message, at)?;
        let &[t0, t1, c0, c1] =
            message.get(at..).and_then(|rest| rest.first_chunk()).ok_or(Malformed::TooShort)?;
        let kind = RecordType(u16::from_be_bytes([t0, t1]));
        let class = RecordClass(u16::from_be_bytes([c0, c1]));
        Ok((Question { name, kind, class }, at + 4))
    }
}

/// A message, known to be well-formed from its header to its last record.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    header: Header,
    /// How many questions, answers, authority and additional records.
    counts: [u16; 4],
    /// Where the first record begins.
    records_at: usize,
    edns: Option<Edns>,
}

impl<'a> Message<'a> {
    /// Reads `bytes`, one message without the length that stands before it over TCP. Bytes behind the last record are
    /// ignored.
    ///
    /// # Errors
    /// [`Malformed::TooShort`], [`Malformed::Name`], [`Malformed::Length`] for data of a wrong length, or
    /// [`Malformed::Option`] for a second or a misplaced OPT record (RFC 6891, section 6.1.1).
    pub fn parse(bytes: &'a [u8]) -> Result<Message<'a>, Malformed> {
        let header = Header::parse(bytes)?;
        let count = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let counts = [count(4), count(6), count(8), count(10)];
        let mut at = HEADER_LEN;
        for _ in 0..counts[0] {
            (_, at) = Question::parse(bytes, at)?;
        }
        let mut message = Message { bytes, header, counts, records_at: at, edns: None };
        for section in message.sections() {
            let record;
            (record, at) = Record::parse(bytes, at, section)?;
            if let RecordData::Opt(edns) = record.data {
                if section != Section::Additional || message.edns.is_some() {
                    return Err(Malformed::Option);
                }
                message.edns = Some(edns);
            }
        }
        Ok(message)
    }

    /// What the header says.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The message as it came.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The question, when there is exactly one, as nearly always (RFC 9619).
    pub fn question(&self) -> Option<Question<'a>> {
        if self.counts[0] == 1 { self.questions().next() } else { None }
    }

    /// All questions.
    pub fn questions(&self) -> impl Iterator<Item = Question<'a>> + use<'a> {
        let bytes = self.bytes;
        let mut at = HEADER_LEN;
        (0..self.counts[0]).map_while(move |_| {
            let question;
            (question, at) = Question::parse(bytes, at).ok()?;
            Some(question)
        })
    }

    /// All records, section by section.
    pub fn records(&self) -> impl Iterator<Item = Record<'a>> + use<'a> {
        let bytes = self.bytes;
        let mut at = self.records_at;
        self.sections().map_while(move |section| {
            let record;
            (record, at) = Record::parse(bytes, at, section).ok()?;
            Some(record)
        })
    }

    /// The records of the answer section.
    pub fn answers(&self) -> impl Iterator<Item = Record<'a>> + use<'a> {
        self.records().take_while(|record| record.section == Section::Answer)
    }

    /// What the sender says in its OPT record, if it has one.
    pub const fn edns(&self) -> Option<Edns> {
        self.edns
    }

    /// The longest response that the sender of this query takes over UDP, in bytes: 512, or more as it says (RFC 6891,
    /// section 6.2.3).
    pub fn udp_limit(&self) -> usize {
        self.edns.map_or(MAX_UDP_LEN, |edns| usize::from(edns.udp_payload_len).max(MAX_UDP_LEN))
    }

    /// The section of each record.
    fn sections(&self) -> impl Iterator<Item = Section> + use<'a> {
        let [_, answers, authorities, additionals] = self.counts;
        let of = |section, count: u16| core::iter::repeat_n(section, usize::from(count));
        of(Section::Answer, answers)
            .chain(of(Section::Authority, authorities))
            .chain(of(Section::Additional, additionals))
    }
}
