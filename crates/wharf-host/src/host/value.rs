//! Values of the protocol: endpoints, bytes as text, base64 or hex, and errors in words.

use serde_json::{Map, Value, json};
use wharf_stack::socket::Errno;
use wharf_table::{Addr, Endpoint};

/// How bytes stand in a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As text; what is not UTF-8 comes as base64.
    #[default]
    Text,
    /// In base64 (RFC 4648, section 4).
    Base64,
    /// Two hexadecimal digits a byte.
    Hex,
}

impl Encoding {
    pub(super) fn from_name(name: &str) -> Option<Encoding> {
        match name {
            "text" => Some(Encoding::Text),
            "base64" => Some(Encoding::Base64),
            "hex" => Some(Encoding::Hex),
            _ => None,
        }
    }

    /// Puts bytes into an answer, under the name of their encoding.
    pub(super) fn put(self, bytes: &[u8], answer: &mut Map<String, Value>) {
        match (self, std::str::from_utf8(bytes)) {
            (Encoding::Text, Ok(text)) => answer.insert("text".into(), text.into()),
            (Encoding::Hex, _) => answer.insert("hex".into(), hex(bytes).into()),
            _ => answer.insert("base64".into(), base64(bytes).into()),
        };
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= three.len() { letter.into() } else { '=' });
        }
    }
    text
}

/// The bytes; `None` when it is no base64. Padding may be left out.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let letters = text.trim_end_matches('=').as_bytes();
    if letters.len() % 4 == 1 || text.len() - letters.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(letters.len() / 4 * 3 + 2);
    for four in letters.chunks(4) {
        let mut bits = 0_u32;
        for letter in four {
            bits = bits << 6 | sextet(*letter)?;
        }
        bits <<= 6 * (4 - four.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    Some(bytes)
}

fn sextet(letter: u8) -> Option<u32> {
    let value = match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value.into())
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The bytes; `None` when it is no even number of hexadecimal digits.
pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| Some(c.to_digit(16)? as u8)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks(2).map(|two| two[0] << 4 | two[1]).collect())
}

/// An endpoint as every verb writes it; port 0 is any.
pub(super) fn endpoint(at: Endpoint) -> Value {
    let port = (at.port > 0).then_some(at.port);
    let text = match (at.addr.is_unspecified(), at.port) {
        (_, 0) if at.addr.is_v4() => format!("{}:*", at.addr),
        (_, 0) => format!("[{}]:*", at.addr),
        _ => at.to_string(),
    };
    json!({"address": at.addr.to_string(), "zone": null, "port": port, "text": text})
}

/// An endpoint as it may be written: `10.8.0.1:80`, `[::1]:80`, or an object with `address` and `port`.
pub(super) fn to_endpoint(value: &Value) -> Result<Endpoint, String> {
    match value {
        Value::String(text) => {
            text.parse().map_err(|error: wharf_table::notation::EndpointError| error.to_string())
        }
        Value::Object(of) => {
            if let Some(name) =
                of.keys().find(|name| !["address", "port", "zone", "text"].contains(&name.as_str()))
            {
                return Err(format!("{name:?}: no part of an endpoint (there are address and port)"));
            }
            let addr = of.get("address").and_then(Value::as_str).ok_or("\"address\": missing (as text)")?;
            let addr = to_address(addr)?;
            let port = match of.get("port") {
                None | Some(Value::Null) => 0,
                Some(port) => to_port(port)?,
            };
            Ok(Endpoint { addr, port })
        }
        other => Err(format!(
            "{other}: not an endpoint (write \"10.8.0.1:80\" or {{\"address\": .., \"port\": ..}})"
        )),
    }
}

pub(super) fn to_address(text: &str) -> Result<Addr, String> {
    let ip: std::net::IpAddr = text.parse().map_err(|_| format!("{text:?}: not an address"))?;
    Ok(ip.into())
}

pub(super) fn to_port(value: &Value) -> Result<u16, String> {
    let port = value.as_u64().and_then(|port| u16::try_from(port).ok());
    port.ok_or_else(|| format!("{value}: not a port (write a number from 0 to 65535)"))
}

/// What an error number means, in words.
pub(super) fn words(errno: Errno) -> &'static str {
    match errno {
        Errno::NoEntry => "nothing of that kind is there",
        Errno::BadDescriptor => "there is no such socket (see sockets)",
        Errno::Again => "it would block (wait for it with \"wait\": true or \"timeout_s\")",
        Errno::NoMemory => "no memory is left for it",
        Errno::Access => "permission denied",
        Errno::Invalid => "this makes no sense for the socket as it is now",
        Errno::TooManyOpen => "too many sockets are open",
        Errno::BrokenPipe => "the direction is closed: nobody will read it",
        Errno::Domain => "the number is out of its range",
        Errno::Protocol => "ICMP says that the protocol was violated",
        Errno::DestinationRequired => "a datagram needs a destination (send_to, or connect first)",
        Errno::MessageSize => "the datagram is larger than can be sent",
        Errno::NoProtocolOption => "a socket of this kind has no such option, or the peer no such protocol",
        Errno::NotSupported => "a socket of this kind has no such call",
        Errno::FamilyNotSupported => "the address is of a family that the socket does not speak",
        Errno::AddressInUse => "address in use",
        Errno::AddressNotAvailable => "the address is none of the host's, or no port is left",
        Errno::NetworkUnreachable => "no route leads there (see --gateway)",
        Errno::ConnectionAborted => "the connection ended before it was accepted",
        Errno::ConnectionReset => "the peer reset the connection",
        Errno::NoBuffers => "no buffer is left",
        Errno::IsConnected => "it is connected already",
        Errno::NotConnected => "it is not connected",
        Errno::TimedOut => "nothing came back for too long",
        Errno::ConnectionRefused => "nobody listens there",
        Errno::HostDown => "ICMP says that the host is down",
        Errno::HostUnreachable => "the host does not answer",
        Errno::Already => "a connection attempt is under way already",
        Errno::InProgress => "the connection attempt has begun (wait for it, or for \"writable\")",
        Errno::NoNetwork => "ICMP says that the host is not on the network",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_by_the_vectors_of_its_standard() {
        // RFC 4648, section 10.
        let vectors = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        for (length, text) in vectors.into_iter().enumerate() {
            let bytes = &b"foobar"[..length];
            assert_eq!(base64(bytes), text);
            assert_eq!(from_base64(text).as_deref(), Some(bytes));
            assert_eq!(from_base64(text.trim_end_matches('=')).as_deref(), Some(bytes));
        }
        for wrong in ["Z", "Zg=a", "Z g=", "Zm9vY", "Zg===", "Zm-_"] {
            assert_eq!(from_base64(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn hex_both_ways() {
        assert_eq!(hex(&[0, 15, 255]), "000fff");
        assert_eq!(from_hex("000FfF"), Some(vec![0, 15, 255]));
        assert_eq!((from_hex("0"), from_hex("0g")), (None, None));
    }

    #[test]
    fn endpoints_as_text_and_as_objects() {
        let of = |value: Value| to_endpoint(&value).map(|at| at.to_string());
        assert_eq!(of(json!("[fd00::1]:80")).unwrap(), "[fd00::1]:80");
        assert_eq!(of(json!({"address": "10.0.0.1", "port": 7})).unwrap(), "10.0.0.1:7");
        assert!(of(json!("10.0.0.1")).is_err());
        assert!(of(json!(80)).is_err());
        assert!(of(json!({"address": "10.0.0.1", "prot": 7})).unwrap_err().contains("\"prot\""));
        assert_eq!(
            endpoint("0.0.0.0:0".parse().unwrap_or(Endpoint { addr: Addr::ANY_V4, port: 0 }))["port"],
            Value::Null
        );
    }
}
