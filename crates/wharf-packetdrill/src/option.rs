//! Socket options as bytes.

use std::time::Duration;

use libc::c_int;
use wharf_stack::socket::{OptionName, OptionValue};
use wharf_stack::tcp::CongestionKind;

use crate::descriptor::Socket;
use crate::errno::{Errno, Result};
use crate::info;
use crate::world::State;

const UNKNOWN: Errno = Errno(libc::ENOPROTOOPT);

/// getsockopt(2).
pub(crate) fn read(state: &mut State, socket: Socket, level: c_int, number: c_int) -> Result<Vec<u8>> {
    let name = OptionName::from_number(level, number).ok_or(UNKNOWN)?;
    let now = state.now();
    if name == OptionName::Info {
        return Ok(match state.host.info(now, socket.id)? {
            Some(info) => info::tcp_info(&info),
            None => info::without_connection(state.host.backlog(socket.id).ok()),
        });
    }
    let words = |numbers: &[i64]| numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
    Ok(match state.host.option(socket.id, name)? {
        OptionValue::Linger(linger) => {
            let on = c_int::from(linger.is_some()).to_ne_bytes();
            [on, c_int::from(linger.unwrap_or(0) as i16).to_ne_bytes()].concat()
        }
        OptionValue::Timeout(span) => {
            let span = span.unwrap_or_default();
            words(&[span.as_secs() as i64, span.subsec_micros().into()])
        }
        OptionValue::Congestion(kind) => {
            let mut name = kind.name().as_bytes().to_vec();
            name.resize(16, 0);
            name
        }
        value => value.as_number()?.to_ne_bytes().to_vec(),
    })
}

/// setsockopt(2).
pub(crate) fn write(
    state: &mut State,
    socket: Socket,
    level: c_int,
    number: c_int,
    bytes: &[u8],
) -> Result<()> {
    let name = OptionName::from_number(level, number).ok_or(UNKNOWN)?;
    let value = match name {
        OptionName::Linger => match (int(bytes, 0)?, int(bytes, 4)?) {
            (0, _) => OptionValue::Linger(None),
            (_, seconds) => OptionValue::Linger(Some(u16::try_from(seconds).unwrap_or(u16::MAX))),
        },
        OptionName::ReceiveTimeout | OptionName::SendTimeout => OptionValue::Timeout(timeout(bytes)?),
        OptionName::Congestion => {
            let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
            let name = std::str::from_utf8(name).map_err(|_| Errno(libc::ENOENT))?;
            OptionValue::Congestion(CongestionKind::from_name(name).ok_or(Errno(libc::ENOENT))?)
        }
        // Linux takes a single byte for these as well.
        _ if level == libc::IPPROTO_IP && (1..4).contains(&bytes.len()) => {
            OptionValue::Number(bytes[0].into())
        }
        _ => OptionValue::Number(int(bytes, 0)?),
    };
    let now = state.now();
    Ok(state.host.set_option(now, socket.id, name, &value)?)
}

/// A yes or no that this library keeps itself: it must be one of the two, as Linux wants it.
pub(crate) fn flag(bytes: &[u8]) -> Result<bool> {
    match int(bytes, 0)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Errno::INVALID),
    }
}

fn int(bytes: &[u8], at: usize) -> Result<c_int> {
    let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).ok_or(Errno::INVALID)?;
    Ok(c_int::from_ne_bytes(word))
}

/// A `struct timeval`; zero is for ever.
fn timeout(bytes: &[u8]) -> Result<Option<Duration>> {
    let long =
        |at: usize| bytes.get(at..at + 8).and_then(|word| word.try_into().ok()).map(i64::from_ne_bytes);
    let (seconds, micros) = long(0).zip(long(8)).ok_or(Errno::INVALID)?;
    let micros = u32::try_from(micros).ok().filter(|micros| *micros < 1_000_000).ok_or(Errno(libc::EDOM))?;
    let span = Duration::new(u64::try_from(seconds).unwrap_or(0), micros * 1_000);
    Ok((!span.is_zero()).then_some(span))
}
