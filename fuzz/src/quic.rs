//! What was let through shows a server the same name as it showed us, in another order and with any loss; no datagram panics.

use wharf_wire::quic::{InitialReader, InitialRepr, Quic, Version};
use wharf_wire::shown::Shown;
use wharf_wire::tls::Hello;

/// Bytes of an operation: what, whose, two of an offset, a length, which losses.
const OPERATION: usize = 6;

/// A hello to `name`, with its header.
fn message(name: &[u8; 9]) -> Vec<u8> {
    let mut message = vec![1, 0, 0, 61, 3, 3];
    message.extend([7; 32]);
    message.extend([0, 0, 2, 0x13, 1, 1, 0, 0, 18, 0, 0, 0, 14, 0, 12, 0, 0, 9]);
    message.extend(name);
    message
}

/// What a server holds that takes the first of what overlaps.
struct Server(Vec<Option<u8>>);

impl Server {
    fn take(&mut self, offset: usize, data: &[u8]) {
        for (held, &byte) in self.0[offset..].iter_mut().zip(data) {
            held.get_or_insert(byte);
        }
    }

    fn hello(&self) -> Option<String> {
        let bytes: Vec<u8> = self.0.iter().copied().collect::<Option<_>>()?;
        Hello::parse(bytes.get(4..)?).ok()?.server_name.map(|host| host.to_string())
    }
}

/// Holds for any bytes: operations, and what is left over as a datagram of its own after each.
pub fn check(bytes: &[u8]) {
    let messages = [message(b"good.test"), message(b"evil.test")];
    let (operations, raw) = bytes.as_chunks::<OPERATION>();
    let mut reader = InitialReader::new();
    // By connection: the name that was shown, and all that may have been let through.
    let mut names: [Option<String>; 3] = Default::default();
    let mut passed: [Vec<(usize, &[u8], u8)>; 3] = Default::default();
    for (number, &[what, whose, high, low, len, luck]) in operations.iter().take(12).enumerate() {
        let message = &messages[usize::from(what & 1)];
        let offset = usize::from(u16::from_be_bytes([high, low])) % message.len();
        let data = &message[offset..message.len().min(offset + usize::from(len))];
        let whose = usize::from(whose % 3);
        let dcid = [whose as u8; 8];
        let version = if what & 2 == 0 { Version::V1 } else { Version::V2 };
        // Its first identifier, or one that the server gave.
        let given = [what; 8];
        let to = if what & 4 == 0 || passed[whose].is_empty() { &dcid } else { &given };
        let repr = InitialRepr {
            version,
            dcid: to,
            scid: &raw[..raw.len().min(20)],
            token: raw,
            number: number as u32,
        };
        let shown =
            Shown::from(reader.push(&repr.seal(&dcid, &InitialRepr::crypto_frame(offset as u16, data))));
        match shown {
            Shown::Name { host, .. } => {
                let host = host.to_string();
                assert!(names[whose].as_ref().is_none_or(|name| *name == host));
                names[whose] = Some(host);
                passed[whose].push((offset, data, luck));
            }
            Shown::NeedMore => passed[whose].push((offset, data, luck)),
            _ => {}
        }
        assert!(!matches!(reader.push(raw), Quic::Hello(_)));
    }
    for (name, passed) in names.iter().zip(&passed) {
        for round in 0..8 {
            let mut server = Server(vec![None; messages[0].len()]);
            let arrived = passed.iter().filter(|(_, _, luck)| luck >> round & 1 == 0);
            if round % 2 == 0 {
                arrived.for_each(|(offset, data, _)| server.take(*offset, data));
            } else {
                arrived.rev().for_each(|(offset, data, _)| server.take(*offset, data));
            }
            if let (Some(name), Some(seen)) = (name, server.hello()) {
                assert_eq!(*name, seen);
            }
        }
    }
}
