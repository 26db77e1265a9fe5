//! A line of the protocol: which requests there are, with which fields, and what can be wrong with one.
//!
//! A line comes from a person or a program of theirs: whatever it says, the answer names the field and the place.

use std::time::Duration;

use serde_json::{Map, Value, json};
use wharf_stack::socket::SocketId;
use wharf_table::Endpoint;

use super::value::{self, Encoding};

/// The longest span that may be asked for, in seconds: a century.
const SPAN_MAX: f64 = 3_155_760_000.0;

/// What a request may say.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it means.
    pub about: &'static str,
}

macro_rules! requests {
    ($($(#[doc = $doc:literal])+ $verb:ident = $name:literal { $($field:ident $about:literal)* } -> $answer:literal,)+) => {
        /// What is asked for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Verb { $($(#[doc = $doc])+ $verb,)+ }

        impl Verb {
            /// Every request.
            pub const ALL: &'static [Verb] = &[$(Verb::$verb,)+];

            /// The word in `do`.
            pub const fn name(self) -> &'static str {
                match self { $(Verb::$verb => $name,)+ }
            }

            /// What it does.
            pub fn about(self) -> &'static str {
                match self { $(Verb::$verb => concat!($($doc),+).trim(),)+ }
            }

            /// What it may say besides `do` and `id`.
            pub const fn fields(self) -> &'static [Field] {
                match self { $(Verb::$verb => &[$(Field { name: stringify!($field), about: $about },)*],)+ }
            }

            /// What the answer says besides `do` and `id`.
            pub const fn answer(self) -> &'static str {
                match self { $(Verb::$verb => $answer,)+ }
            }
        }
    };
}

requests! {
    /// Makes a socket.
    Socket = "socket" {
        kind "stream (TCP, unless told otherwise) or datagram (UDP)"
        family "ipv4 (unless told otherwise) or ipv6, which speaks IPv4 too"
        uid "in whose name; that of --uid unless told otherwise"
        privileged "whether it may bind privileged ports; true for user 0 unless told otherwise"
    } -> "socket: its number",
    /// Claims a port.
    Bind = "bind" {
        socket "its number"
        at "an endpoint, \"10.8.0.2:80\" say; or"
        port "a port on any address; 0, or nothing at all, lets one be chosen"
    } -> "local: the endpoint",
    /// Takes connections.
    Listen = "listen" {
        socket "its number"
        backlog "how many may wait to be accepted; 128 unless told otherwise"
    } -> "local: the endpoint",
    /// Takes the oldest connection that waits.
    Accept = "accept" {
        socket "the listener's number"
        wait "true: until there is one"
        timeout_s "so many seconds at most"
    } -> "socket: the new one; peer: who it is from",
    /// Opens a connection, or names the peer of datagrams.
    Connect = "connect" {
        socket "its number"
        to "an endpoint; null takes a peer away (AF_UNSPEC)"
        wait "true: until it is established"
        timeout_s "so many seconds at most"
    } -> "local, peer: the endpoints",
    /// Sends on a connected socket. Who waits sends all, who does not as much as there is room for.
    Send = "send" {
        socket "its number"
        text "the data; or"
        base64 "the data; or"
        hex "the data"
        out_of_band "true: the last byte is urgent"
        more "true: more follows, a small segment may wait for it"
        end_of_record "true: what follows goes in another segment"
        wait "true: until all is taken"
        timeout_s "so many seconds at most"
    } -> "sent_bytes",
    /// Sends a datagram.
    SendTo = "send_to" {
        socket "its number"
        to "an endpoint"
        text "the data; or"
        base64 "the data; or"
        hex "the data"
        wait "true: until there is room"
        timeout_s "so many seconds at most"
    } -> "sent_bytes",
    /// Receives what is there, or the next datagram.
    Receive = "receive" {
        socket "its number"
        max_bytes "at most so many; 65536 unless told otherwise"
        all "true: exactly max_bytes, or up to the end of the stream"
        as "how the data comes: text (unless told otherwise; base64 where it is no UTF-8), base64 or hex"
        peek "true: what is read stays"
        out_of_band "true: the urgent byte"
        wait "true: until something is there"
        timeout_s "so many seconds at most"
    } -> "received_bytes; text, base64 or hex; end: true at the end of a stream; from, to, truncated, hop_limit, traffic_class: of a datagram",
    /// Ends one direction of a connection, or both.
    Shutdown = "shutdown" {
        socket "its number"
        how "read, write or both (unless told otherwise)"
    } -> "nothing more",
    /// Closes a socket; its number is used again.
    Close = "close" {
        socket "its number"
    } -> "nothing more",
    /// Sets a socket option.
    SetOption = "set_option" {
        socket "its number"
        name "SO_REUSEADDR say"
        value "a number, true or false; seconds or null for SO_LINGER, SO_RCVTIMEO and SO_SNDTIMEO; a name for TCP_CONGESTION"
    } -> "nothing more",
    /// Reads a socket option.
    Option = "option" {
        socket "its number"
        name "SO_ERROR say"
    } -> "value",
    /// The local end of a socket (getsockname).
    Local = "local" {
        socket "its number"
    } -> "local: the endpoint",
    /// The far end of a connected socket (getpeername).
    Peer = "peer" {
        socket "its number"
    } -> "peer: the endpoint",
    /// How a connection fares (TCP_INFO).
    Info = "info" {
        socket "its number"
    } -> "info: an object, null without a connection",
    /// Waits until something can be done.
    Wait = "wait" {
        sockets "numbers of sockets, in a list"
        for "what: readable, writable, closed, in a list; any of them unless told otherwise"
        timeout_s "so many seconds at most; as long as it takes unless told otherwise"
    } -> "ready: a list of {socket, readable, writable, urgent, error, hang_up, peer_finished}; empty when the time is over",
    /// Lets the host serve a port by itself.
    Serve = "serve" {
        port "the port"
        as "echo, discard, chargen or http"
        protocol "tcp (unless told otherwise) or udp"
        address "on this address only"
    } -> "socket: the listener's number, whose close ends it; local: the endpoint",
    /// The rows of the port table, in pages.
    Table = "table" {
        after "the `next` of the page before"
        limit "rows of a page; 100 unless told otherwise, 1000 at most"
    } -> "rows; next: null after the last page",
    /// The sockets, in pages.
    Sockets = "sockets" {
        after "the `next` of the page before"
        limit "sockets of a page; 100 unless told otherwise, 1000 at most"
    } -> "sockets; next: null after the last page",
    /// What was counted: drops by reason, frames, connections, memory.
    Statistics = "statistics" {} -> "drops, frames, connections, memory",
    /// Moves a virtual clock, and does everything that is due on the way.
    Advance = "advance" {
        by_s "by so many seconds; or"
        until_s "to so many seconds after the start; or"
        next "true: to what is due next"
    } -> "now_s; steps: how often something was due",
    /// What the clock shows, and when something is due.
    Now = "now" {} -> "now_s: seconds since the start; next_s: when something is due, null for never; clock: real or virtual",
    /// Gives the host one more address.
    AddAddress = "add_address" {
        address "an address with its prefix, \"10.8.0.3/24\" say"
    } -> "nothing more",
    /// Changes how the TCP of sockets behaves that are made from now on.
    Setting = "setting" {
        name "as in --setting"
        value "as in --setting"
    } -> "nothing more",
    /// Has this client told what happens at sockets, in lines of their own.
    Events = "events" {
        on "true or false"
    } -> "nothing more",
    /// What can be asked.
    Help = "help" {
        about "the name of one request"
    } -> "requests: a list of {do, about, fields, answer}",
}

impl Verb {
    /// The request of this name.
    pub fn from_name(name: &str) -> Option<Verb> {
        Verb::ALL.iter().copied().find(|verb| verb.name() == name)
    }

    /// What `help` tells of it.
    pub(super) fn help(self) -> Value {
        let fields: Map<String, Value> =
            self.fields().iter().map(|field| (field.name.to_owned(), field.about.into())).collect();
        json!({"do": self.name(), "about": self.about(), "fields": fields, "answer": self.answer()})
    }
}

/// A line that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// The field that is wrong; `None` for the line as a whole.
    pub field: Option<String>,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Bad {
    /// A field that is wrong.
    pub(super) fn field(name: &str, why: impl std::fmt::Display) -> Bad {
        Bad { field: Some(name.to_owned()), message: format!("field {name:?}: {why}") }
    }
}

/// A line that was understood.
#[derive(Clone, Debug)]
pub struct Request {
    /// What the answer repeats.
    pub id: Value,
    /// What is asked for.
    pub verb: Verb,
    fields: Map<String, Value>,
}

impl Request {
    /// Reads a line. Beside what is wrong stands the `id` of the line as far as there is one.
    ///
    /// # Errors
    /// [`Bad`].
    pub fn parse(line: &[u8]) -> Result<Request, (Value, Bad)> {
        let whole = |message| (Value::Null, Bad { field: None, message });
        let value: Value = serde_json::from_slice(line).map_err(|error| whole(not_json(&error)))?;
        let Value::Object(mut fields) = value else {
            return Err(whole("the line is no JSON object (write {\"do\": \"help\"})".to_owned()));
        };
        let id = fields.remove("id").unwrap_or(Value::Null);
        let wrong = |bad| (id.clone(), bad);
        let name = match fields.remove("do") {
            Some(Value::String(name)) => name,
            Some(other) => {
                return Err(wrong(Bad::field("do", format!("{other}: not the name of a request"))));
            }
            None => return Err(wrong(Bad::field("do", "missing ({\"do\": \"help\"} lists the requests)"))),
        };
        let Some(verb) = Verb::from_name(&name) else {
            let why = format!("{name:?}: no such request ({{\"do\": \"help\"}} lists them)");
            return Err(wrong(Bad::field("do", why)));
        };
        let known = |name: &str| verb.fields().iter().any(|field| field.name == name);
        if let Some(name) = fields.keys().find(|name| !known(name)) {
            let fields: Vec<_> = verb.fields().iter().map(|field| field.name).collect();
            let there = if fields.is_empty() { "none".to_owned() } else { fields.join(", ") };
            return Err(wrong(Bad::field(
                name,
                format!("{} has no such field (there are: {there})", verb.name()),
            )));
        }
        Ok(Request { id, verb, fields })
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// Whether the field is there at all, be it null.
    pub(super) fn says(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    pub(super) fn any(&self, name: &str) -> Result<&Value, Bad> {
        self.fields.get(name).ok_or_else(|| Bad::field(name, "missing"))
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Bad> {
        let Some(value) = self.value(name) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| Bad::field(name, format!("{value}: not a text")))
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, Bad> {
        match self.value(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(Bad::field(name, format!("{other}: neither true nor false"))),
        }
    }

    pub(super) fn number(&self, name: &str, most: u64) -> Result<Option<u64>, Bad> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let number = value.as_u64().filter(|number| *number <= most);
        number.map(Some).ok_or_else(|| Bad::field(name, format!("{value}: not a number from 0 to {most}")))
    }

    /// A signed number, as system calls take it.
    pub(super) fn integer(&self, name: &str) -> Result<Option<i32>, Bad> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
        number.map(Some).ok_or_else(|| Bad::field(name, format!("{value}: not a number of 32 bits")))
    }

    pub(super) fn span(&self, name: &str) -> Result<Option<Duration>, Bad> {
        self.value(name).map(|value| to_span(value).map_err(|why| Bad::field(name, why))).transpose()
    }

    pub(super) fn socket(&self) -> Result<SocketId, Bad> {
        to_socket(self.any("socket")?).map_err(|why| Bad::field("socket", why))
    }

    pub(super) fn endpoint(&self, name: &str) -> Result<Option<Endpoint>, Bad> {
        self.value(name)
            .map(|value| value::to_endpoint(value).map_err(|why| Bad::field(name, why)))
            .transpose()
    }

    pub(super) fn port(&self, name: &str) -> Result<Option<u16>, Bad> {
        self.value(name).map(|value| value::to_port(value).map_err(|why| Bad::field(name, why))).transpose()
    }

    /// One of a few words; the first is meant where nothing is said.
    pub(super) fn word(&self, name: &str, words: &[&'static str]) -> Result<&'static str, Bad> {
        let first = words.first().copied().unwrap_or_default();
        let Some(text) = self.text(name)? else { return Ok(first) };
        let known = words.iter().copied().find(|word| *word == text);
        known.ok_or_else(|| Bad::field(name, format!("{text:?}: none of {}", words.join(", "))))
    }

    pub(super) fn encoding(&self) -> Result<Encoding, Bad> {
        let name = self.word("as", &["text", "base64", "hex"])?;
        Ok(Encoding::from_name(name).unwrap_or_default())
    }

    /// The data of a request, in the one encoding that it has.
    pub(super) fn data(&self) -> Result<Vec<u8>, Bad> {
        let mut given = ["text", "base64", "hex"].into_iter().filter(|name| self.value(name).is_some());
        let name = given.next().ok_or_else(|| Bad::field("text", "missing (or base64, or hex: the data)"))?;
        if let Some(second) = given.next() {
            return Err(Bad::field(second, format!("the data stands in {name:?} already")));
        }
        let text = self.text(name)?.unwrap_or_default();
        let bytes = match name {
            "base64" => value::from_base64(text),
            "hex" => value::from_hex(text),
            _ => Some(text.as_bytes().to_vec()),
        };
        bytes.ok_or_else(|| Bad::field(name, format!("not {name}")))
    }

    /// How long the request may wait: `None` when it may not, `Some(None)` when for ever.
    #[allow(clippy::option_option, reason = "not at all, for ever, or so long")]
    pub(super) fn patience(&self) -> Result<Option<Option<Duration>>, Bad> {
        match self.span("timeout_s")? {
            Some(span) => Ok(Some(Some(span))),
            None => Ok(self.flag("wait")?.then_some(None)),
        }
    }

    /// The sockets of a list.
    pub(super) fn sockets(&self, name: &str) -> Result<Vec<SocketId>, Bad> {
        let value = self.any(name)?;
        let list =
            value.as_array().ok_or_else(|| Bad::field(name, format!("{value}: not a list of sockets")))?;
        list.iter().map(|value| to_socket(value).map_err(|why| Bad::field(name, why))).collect()
    }

    /// The words of a list; `None` when nothing is said.
    pub(super) fn words(&self, name: &str) -> Result<Option<Vec<&str>>, Bad> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let wrong = || Bad::field(name, format!("{value}: not a list of words"));
        let list = value.as_array().ok_or_else(wrong)?;
        list.iter().map(|word| word.as_str().ok_or_else(wrong)).collect::<Result<_, _>>().map(Some)
    }
}

/// A span from seconds.
pub(super) fn to_span(value: &Value) -> Result<Duration, String> {
    let seconds = value.as_f64().filter(|seconds| (0.0..=SPAN_MAX).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| format!("{value}: not a span in seconds"))
}

fn to_socket(value: &Value) -> Result<SocketId, String> {
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    number.map(SocketId::from_index).ok_or_else(|| format!("{value}: not the number of a socket"))
}

/// What the parser says, without its line number: there is one line.
fn not_json(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let why = text.split(" at line ").next().unwrap_or(&text);
    format!("column {}: {why} (a request is one JSON object on one line)", error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(line: &str) -> String {
        Request::parse(line.as_bytes()).unwrap_err().1.message
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        assert!(bad("{\"do\": }").starts_with("column 8: expected value"));
        assert!(bad("[1]").starts_with("the line is no JSON object"));
        assert!(bad("{}").starts_with("field \"do\": missing"));
        assert!(bad("{\"do\": \"bnd\"}").starts_with("field \"do\": \"bnd\": no such request"));
        let wrong = bad("{\"do\": \"bind\", \"prot\": 80}");
        assert_eq!(wrong, "field \"prot\": bind has no such field (there are: socket, at, port)");
        let (id, _) = Request::parse(b"{\"do\": 7, \"id\": [1]}").unwrap_err();
        assert_eq!(id, json!([1]));
    }

    #[test]
    fn fields_are_read_by_type() {
        let request = |line: &str| Request::parse(line.as_bytes()).unwrap();
        let send = request("{\"do\": \"send\", \"socket\": 3, \"hex\": \"0a\", \"timeout_s\": 0.5}");
        assert_eq!((send.socket().unwrap().index(), send.data().unwrap()), (3, vec![10]));
        assert_eq!(send.patience().unwrap(), Some(Some(Duration::from_millis(500))));
        let both = request("{\"do\": \"send\", \"socket\": 3, \"hex\": \"0a\", \"text\": \"x\"}");
        assert!(both.data().unwrap_err().message.contains("already"));
        let wrong = request("{\"do\": \"send\", \"socket\": -1, \"timeout_s\": -1, \"wait\": 1}");
        assert!(wrong.socket().is_err() && wrong.span("timeout_s").is_err() && wrong.flag("wait").is_err());
    }

    #[test]
    fn the_page_about_the_protocol_tells_all_of_it() {
        let page = include_str!("../../../../docs/host.md");
        for verb in Verb::ALL {
            assert!(page.contains(&format!("`{}`", verb.name())), "{}", verb.name());
            for field in verb.fields() {
                assert!(page.contains(&format!("`{}`", field.name)), "{}: {}", verb.name(), field.name);
            }
        }
    }
}
