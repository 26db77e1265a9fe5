//! What goes back to the client: answers of our own, and those of a server cut to the client's measure.

use wharf_wire::dns::{Header, MAX_UDP_LEN, Message, Opcode, Question, Rcode, RecordType, ResponseRepr};

use super::Transport;
use super::local::LocalAnswer;

/// The longest query that is taken, in bytes. Real ones stay below 512; the limit bounds what a program can make us hold.
const QUERY_MAX: usize = 4096;
/// For how many seconds a local answer may be kept: not at all, as the file behind it may change.
const LOCAL_TTL_S: u32 = 0;
/// Bytes of a message before its question.
const HEADER_BYTES: usize = 12;
/// Zone transfers (RFC 5936, RFC 1995) are answered in many messages, and clients of a resolver have no use for them.
const TRANSFERS: [RecordType; 2] = [RecordType(252), RecordType(251)];

/// What is to be done with a message from a client.
pub(super) enum Taken<'a> {
    /// A query to be answered.
    Query(Message<'a>, Question<'a>),
    /// To be answered with this at once.
    Refused(Vec<u8>),
    /// To be dropped without a word: it is no query.
    Ignored,
}

/// Reads a message from a client.
pub(super) fn take(bytes: &[u8]) -> Taken<'_> {
    let Ok(header) = Header::parse(bytes) else { return Taken::Ignored };
    if header.response {
        // An answer to an answer might go round for ever.
        return Taken::Ignored;
    }
    let refused = |rcode| Taken::Refused(emit(&ResponseRepr::to_header(&header, rcode), MAX_UDP_LEN));
    if header.opcode != Opcode::QUERY {
        return refused(Rcode::NOT_IMPLEMENTED);
    }
    if bytes.len() > QUERY_MAX || header.truncated {
        return refused(Rcode::FORMAT_ERROR);
    }
    match Message::parse(bytes) {
        Ok(message) => match message.question() {
            Some(question) if TRANSFERS.contains(&question.kind) => {
                Taken::Refused(emit(&ResponseRepr::to(&message, Rcode::REFUSED), MAX_UDP_LEN))
            }
            Some(question) => Taken::Query(message, question),
            None => refused(Rcode::FORMAT_ERROR),
        },
        Err(_) => refused(Rcode::FORMAT_ERROR),
    }
}

/// The most bytes that the client of this query takes.
pub(super) fn limit(query: &Message<'_>, transport: Transport) -> usize {
    match transport {
        Transport::Udp { max } => query.udp_limit().min(max).max(MAX_UDP_LEN),
        Transport::Tcp => usize::from(u16::MAX),
    }
}

/// An answer that was found here.
pub(super) fn local(query: &Message<'_>, answer: LocalAnswer, limit: usize) -> Vec<u8> {
    let mut response = ResponseRepr::to(query, answer.rcode);
    response.header.authoritative = true;
    answer.records.into_iter().for_each(|data| response.push(LOCAL_TTL_S, data));
    emit(&response, limit)
}

/// For a client who asked `query` with `id`: no server could find out.
pub(super) fn failure(query: &Message<'_>, id: u16) -> Vec<u8> {
    let mut response = ResponseRepr::to(query, Rcode::SERVER_FAILURE);
    response.header.id = id;
    emit(&response, MAX_UDP_LEN)
}

/// A server's `answer` to `query` for a client who asked with `id` and takes `limit` bytes: whole, or, where it does not fit,
/// without its records and marked as truncated, so that the client asks again over TCP (RFC 2181, section 9).
pub(super) fn fit(answer: &[u8], query: &Message<'_>, id: u16, limit: usize) -> Vec<u8> {
    let Ok(header) = Header::parse(answer) else { return failure(query, id) };
    if answer.len() <= limit && Message::parse(answer).is_ok() {
        return [&id.to_be_bytes(), answer.get(2..).unwrap_or_default()].concat();
    }
    let mut response = ResponseRepr::to(query, header.rcode);
    response.header = Header { id, truncated: true, ..header };
    emit(&response, MAX_UDP_LEN)
}

/// Gives the question of an answer the spelling of the client, whose case is part of what it compares.
pub(super) fn respell(answer: &mut [u8], spelled: &[u8]) {
    let at = answer.get_mut(HEADER_BYTES..HEADER_BYTES + spelled.len());
    if let Some(name) = at.filter(|name| name.eq_ignore_ascii_case(spelled)) {
        name.copy_from_slice(spelled);
    }
}

/// The same answer without what it says, as one of a server that failed.
pub(super) fn unsaid(answer: &[u8]) -> Vec<u8> {
    match Message::parse(answer) {
        Ok(message) => {
            let mut response = ResponseRepr::to(&message, Rcode::SERVER_FAILURE);
            response.header = Header { rcode: Rcode::SERVER_FAILURE, ..*message.header() };
            emit(&response, MAX_UDP_LEN)
        }
        Err(_) => Vec::new(),
    }
}

fn emit(response: &ResponseRepr, limit: usize) -> Vec<u8> {
    let mut bytes = vec![0; limit.max(MAX_UDP_LEN)];
    let len = response.emit(&mut bytes);
    bytes.truncate(len);
    bytes
}
