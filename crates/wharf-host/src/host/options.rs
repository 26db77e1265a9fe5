//! setsockopt(2) and getsockopt(2) as requests: options by the names that programs know, values as JSON has them.

use serde_json::{Map, Value};
use wharf_stack::socket::{Errno, Host, OptionName, OptionValue};
use wharf_stack::tcp::CongestionKind;
use wharf_table::Instant;

use super::calls::{Answer, Failure, answer};
use super::request::{self, Bad, Request};

fn option_name(request: &Request) -> Result<OptionName, Bad> {
    let name = request.text("name")?.ok_or_else(|| Bad::field("name", "missing (SO_REUSEADDR say)"))?;
    OptionName::from_name(name).ok_or_else(|| {
        let names: Vec<_> = OptionName::ALL.iter().map(|name| name.name()).collect();
        Bad::field("name", format!("{name:?}: no such option (there are {})", names.join(", ")))
    })
}

/// setsockopt(2).
pub(super) fn set_option(host: &mut Host, now: Instant, request: &Request) -> Answer {
    let (socket, name) = (request.socket()?, option_name(request)?);
    let given = request.any("value")?;
    let wrong = |why: String| Bad::field("value", why);
    let value = match (name, given) {
        (OptionName::Linger, Value::Null) => OptionValue::Linger(None),
        (OptionName::Linger, _) => {
            let seconds = request.number("value", u16::MAX.into())?.unwrap_or(0);
            OptionValue::Linger(Some(seconds as u16))
        }
        (OptionName::ReceiveTimeout | OptionName::SendTimeout, Value::Null) => OptionValue::Timeout(None),
        (OptionName::ReceiveTimeout | OptionName::SendTimeout, given) => {
            let span = request::to_span(given).map_err(wrong)?;
            OptionValue::Timeout((!span.is_zero()).then_some(span))
        }
        (OptionName::Congestion, given) => {
            let kind = given.as_str().and_then(CongestionKind::from_name);
            let kinds: Vec<_> = CongestionKind::ALL.iter().map(|kind| kind.name()).collect();
            let kind = kind.ok_or_else(|| wrong(format!("{given}: none of {}", kinds.join(", "))))?;
            OptionValue::Congestion(kind)
        }
        (_, Value::Bool(flag)) => OptionValue::Number((*flag).into()),
        _ => {
            let number = request.integer("value")?;
            OptionValue::Number(number.ok_or_else(|| wrong("null: not a number".to_owned()))?)
        }
    };
    let what = format!("set {} of socket {}", name.name(), socket.index());
    host.set_option(now, socket, name, &value).map_err(Failure::of(what))?;
    Ok(Map::new())
}

/// getsockopt(2).
pub(super) fn option(host: &mut Host, request: &Request) -> Answer {
    let (socket, name) = (request.socket()?, option_name(request)?);
    let what = format!("read {} of socket {}", name.name(), socket.index());
    let value = match host.option(socket, name).map_err(Failure::of(what))? {
        OptionValue::Number(number) => number.into(),
        OptionValue::Linger(linger) => linger.into(),
        OptionValue::Timeout(span) => span.map(|span| span.as_secs_f64()).into(),
        OptionValue::Congestion(kind) => kind.name().into(),
        OptionValue::Error(error) => error.map(Errno::name).into(),
    };
    Ok(answer([("value", value)]))
}
