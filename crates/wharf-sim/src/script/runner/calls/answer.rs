//! What a call must have brought.

use super::super::super::call::Answer;
use super::super::super::constants;
use super::super::super::syntax::{CallLine, Expression, Rest};
use super::super::arguments::{control, value};
use super::super::{Runner, tcp_info};
use super::unmapped;

/// The members of `epoll_data` that a script can name.
pub(super) const EPOLL_DATA: [&str; 4] = ["fd", "ptr", "u32", "u64"];

impl Runner {
    /// The first thing in which an answer is not what the line says.
    pub(super) fn compare_answer(&self, line: &CallLine, answer: &Answer) -> Result<(), String> {
        self.compare_result(line, answer)?;
        if answer.result.is_err() {
            return Ok(());
        }
        let arguments = &line.arguments[..];
        match (line.name.as_str(), arguments) {
            ("read", [_, bytes, _]) | ("recv", [_, bytes, ..]) => compare_data(bytes, answer),
            ("recvfrom", [_, bytes, _, _, from, ..]) => {
                compare_data(bytes, answer)?;
                self.compare_address(from, answer)
            }
            ("recvmsg", [_, message, _]) => self.compare_message(message, answer),
            ("accept" | "accept4" | "getsockname" | "getpeername", [_, address, ..]) => {
                self.compare_address(address, answer)
            }
            ("ioctl", [_, _, Expression::List(items)]) => match items.first() {
                Some(item) => compare_number("the number", item, answer.number),
                None => Ok(()),
            },
            ("fcntl", [..]) => Ok(()),
            ("getsockopt", [_, _, _, said, room]) => compare_option(said, room, answer),
            ("poll", [Expression::List(items), ..]) => {
                for (item, found) in items.iter().zip(&answer.found) {
                    let nothing = Expression::Number(0);
                    let said = item.field("revents").unwrap_or(&nothing);
                    compare_number("revents", said, i64::from(*found))?;
                }
                Ok(())
            }
            ("epoll_wait", [_, events, ..]) => compare_events(events, answer),
            _ => Ok(()),
        }
    }

    fn compare_result(&self, line: &CallLine, answer: &Answer) -> Result<(), String> {
        let said = match &line.errno {
            Some(errno) => format!("{} {errno}", line.result),
            None => line.result.to_string(),
        };
        match (&answer.result, &line.errno) {
            (Ok(result), None) => {
                // A descriptor has the script's name, whatever it is on the machine.
                let named = matches!(
                    line.name.as_str(),
                    "socket" | "accept" | "accept4" | "epoll_create" | "epoll_create1"
                );
                let fits = match &line.result {
                    Expression::Any => true,
                    said if named => value(said)? >= 0,
                    said => value(said)? == *result,
                };
                if fits { Ok(()) } else { Err(format!("it returned {result} and not {said}")) }
            }
            (Ok(result), Some(_)) => Err(format!("it returned {result} and not {said}")),
            (Err(errno), Some(name)) => {
                let number =
                    constants::errno(name).ok_or_else(|| format!("`{name}` is no error known here"))?;
                if errno.0 == number { Ok(()) } else { Err(format!("it returned -1 {errno} and not {said}")) }
            }
            (Err(errno), None) if line.result == Expression::Number(-1) => {
                // The line says that it fails, and not how.
                let _ = errno;
                Ok(())
            }
            (Err(errno), None) => Err(format!("it returned -1 {errno} and not {said}")),
        }
    }

    fn compare_address(&self, said: &Expression, answer: &Answer) -> Result<(), String> {
        if !matches!(said, Expression::Struct(_)) {
            return Ok(());
        }
        let expected = self.address_or(said, self.setting.connect_address())?.map(unmapped);
        let found = answer.address.map(unmapped);
        if expected == found { Ok(()) } else { Err(format!("the address is {found:?} and not {expected:?}")) }
    }

    fn compare_message(&self, message: &Expression, answer: &Answer) -> Result<(), String> {
        if let Some(Expression::List(buffers)) = message.field("msg_iov") {
            let mut rest = &answer.data[..];
            for buffer in buffers {
                let Expression::Struct(fields) = buffer else { continue };
                let [base, room] = &fields[..] else { continue };
                let (part, behind) = rest.split_at(rest.len().min(value(room)?.max(0) as usize));
                compare_bytes(base, part)?;
                rest = behind;
            }
        }
        if let Some(flags) = message.field("msg_flags") {
            compare_number("msg_flags", flags, answer.flags.into())?;
        }
        if let Some(name) = message.field("msg_name") {
            self.compare_address(name, answer)?;
        }
        let said = message.field("msg_control");
        if !matches!(said, Some(Expression::List(_))) {
            return Ok(());
        }
        let said = control(said)?;
        if said.len() != answer.control.len() {
            return Err(format!("control messages: {:?} and not {said:?}", answer.control));
        }
        for (said, found) in said.iter().zip(&answer.control) {
            // Behind an extended error stands the address of whoever sent it, of which scripts do not speak.
            let starts = found.data.starts_with(&said.data);
            if (said.level, said.kind) != (found.level, found.kind) || !starts {
                return Err(format!("a control message is {found:?} and not {said:?}"));
            }
        }
        Ok(())
    }
}

fn compare_number(what: &str, said: &Expression, found: i64) -> Result<(), String> {
    match said {
        Expression::Any => Ok(()),
        said => {
            let expected = value(said)?;
            if expected == found {
                Ok(())
            } else {
                Err(format!("{what} is {found:#x} and not {expected:#x} ({said})"))
            }
        }
    }
}

fn compare_data(said: &Expression, answer: &Answer) -> Result<(), String> {
    compare_bytes(said, &answer.data)
}

fn compare_bytes(said: &Expression, found: &[u8]) -> Result<(), String> {
    let fits = match said {
        Expression::Text(text, Rest::Nothing) => found == text,
        Expression::Text(text, Rest::Anything) => found.starts_with(text),
        _ => true,
    };
    let shown = &found[..found.len().min(64)];
    if fits { Ok(()) } else { Err(format!("the data is \"{}\" and not {said}", shown.escape_ascii())) }
}

fn compare_option(said: &Expression, room: &Expression, answer: &Answer) -> Result<(), String> {
    if let Expression::List(items) = room
        && let Some(item) = items.first()
    {
        compare_number("the length", item, answer.data.len() as i64)?;
    }
    let word = |at: usize| -> i64 {
        let bytes = answer.data.get(at..at + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
        match (bytes, answer.data.get(at)) {
            (Some(bytes), _) => i32::from_ne_bytes(bytes).into(),
            (None, Some(byte)) => i64::from(*byte),
            (None, None) => 0,
        }
    };
    match said {
        Expression::List(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| compare_number("the value", item, word(index * 4))),
        Expression::Text(text, rest) => {
            let end = answer.data.iter().position(|byte| *byte == 0).unwrap_or(answer.data.len());
            compare_bytes(&Expression::Text(text.clone(), *rest), &answer.data[..end])
        }
        Expression::Struct(fields) => fields.iter().try_for_each(|field| {
            let Expression::Field(name, said) = field else { return Ok(()) };
            match name.as_str() {
                "onoff" => compare_number(name, said, word(0)),
                "linger" => compare_number(name, said, word(4)),
                name => match tcp_info::field(name, &answer.data) {
                    Some(found) => compare_number(name, said, found as i64),
                    None => Err(format!("`{name}` is not known")),
                },
            }
        }),
        _ => Ok(()),
    }
}

fn compare_events(said: &Expression, answer: &Answer) -> Result<(), String> {
    let items = match said {
        Expression::List(items) => &items[..],
        one @ Expression::Struct(_) => std::slice::from_ref(one),
        _ => return Ok(()),
    };
    for (item, (events, data)) in items.iter().zip(&answer.events) {
        if let Some(said) = item.field("events") {
            compare_number("events", said, i64::from(*events))?;
        }
        if let Some(said) = EPOLL_DATA.iter().find_map(|name| item.field(name)) {
            compare_number("the data", said, *data as i64)?;
        }
    }
    Ok(())
}
