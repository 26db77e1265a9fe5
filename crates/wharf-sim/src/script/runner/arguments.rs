//! From expressions to numbers, addresses and bytes.

use std::net::{IpAddr, SocketAddr};

use super::super::call::ControlMessage;
use super::super::constants;
use super::super::setting::IpVersion;
use super::super::syntax::Expression;
use super::{Runner, Socket};

/// The most bytes that a call can be asked for.
const MOST_BYTES: i64 = 64 << 20;

/// The number that an expression stands for.
pub(super) fn value(expression: &Expression) -> Result<i64, String> {
    match expression {
        Expression::Number(value) => Ok(*value),
        Expression::Word(word) if word == "NULL" => Ok(0),
        Expression::Word(word) => {
            constants::value(word).ok_or_else(|| format!("`{word}` is no constant that is known here"))
        }
        Expression::Or(left, right) => Ok(value(left)? | value(right)?),
        other => Err(format!("`{other}` is no number")),
    }
}

/// The same, where 32 bits count.
pub(super) fn small(expression: &Expression) -> Result<i32, String> {
    Ok(value(expression)? as i32)
}

/// The number, or what stands for `...`.
pub(super) fn value_or(expression: &Expression, otherwise: i64) -> Result<i64, String> {
    match expression {
        Expression::Any => Ok(otherwise),
        other => value(other),
    }
}

pub(super) fn length(expression: &Expression) -> Result<usize, String> {
    match value(expression)? {
        length @ 0..=MOST_BYTES => Ok(length as usize),
        length => Err(format!("{length} is no length")),
    }
}

/// An address that a script writes out; `None` for AF_UNSPEC.
fn written_address(expression: &Expression) -> Result<Option<SocketAddr>, String> {
    let family = expression.field("sa_family").ok_or_else(|| format!("`{expression}` is no address"))?;
    if value(family)? == 0 {
        return Ok(None);
    }
    let port = expression.field("sin_port").map_or(Ok(0), value)?;
    let port = u16::try_from(port).map_err(|_| format!("{port} is no port"))?;
    let address = match expression.field("sin_addr").or_else(|| expression.field("sin6_addr")) {
        Some(Expression::Address(address)) => *address,
        Some(Expression::Word(word)) if word == "INADDR_ANY" => IpAddr::from([0, 0, 0, 0]),
        _ => return Err(format!("`{expression}` has no address")),
    };
    let v6 = value(family)? == i64::from(super::number("AF_INET6"));
    let address = match address {
        IpAddr::V4(address) if v6 => IpAddr::V6(address.to_ipv6_mapped()),
        address => address,
    };
    Ok(Some(SocketAddr::new(address, port)))
}

impl Runner {
    /// The machine's descriptor for one of the script's; one that is closed or was never there stays wrong.
    pub(super) fn socket(&self, expression: &Expression) -> Result<Socket, String> {
        let number = value(expression)?;
        let unknown = Socket { fd: -1, kind: super::Kind::Other };
        Ok(self.descriptors.get(&number).copied().unwrap_or(unknown))
    }

    pub(super) fn fd(&self, expression: &Expression) -> Result<i32, String> {
        Ok(self.socket(expression)?.fd)
    }

    /// An address as a socket of this setting takes it.
    fn as_sockets_have_it(&self, address: SocketAddr) -> SocketAddr {
        match (address.ip(), self.setting.version) {
            (IpAddr::V4(ip), IpVersion::Mapped) => {
                SocketAddr::new(ip.to_ipv6_mapped().into(), address.port())
            }
            _ => address,
        }
    }

    /// The address given, or what stands for `...`; `None` for AF_UNSPEC.
    pub(super) fn address_or(
        &self,
        expression: &Expression,
        otherwise: SocketAddr,
    ) -> Result<Option<SocketAddr>, String> {
        match expression {
            Expression::Any => Ok(Some(self.as_sockets_have_it(otherwise))),
            other => written_address(other),
        }
    }

    /// Where a datagram goes: `NULL` is nowhere in particular.
    pub(super) fn receiver(&self, expression: Option<&Expression>) -> Result<Option<SocketAddr>, String> {
        match expression {
            None => Ok(None),
            Some(Expression::Word(word)) if word == "NULL" => Ok(None),
            Some(Expression::Number(0)) => Ok(None),
            Some(other) => self.address_or(other, self.setting.connect_address()),
        }
    }
}

/// Bytes to be sent: what the string says, or zeros, cut or filled to `length`.
pub(super) fn data(expression: &Expression, length: usize) -> Vec<u8> {
    let mut bytes = match expression {
        Expression::Text(text, _) => text.clone(),
        _ => Vec::new(),
    };
    bytes.resize(length, 0);
    bytes
}

/// `[{..., 100}, {..., 200}]`: buffers and their lengths.
pub(super) fn vector(expression: &Expression) -> Result<Vec<(Expression, usize)>, String> {
    let Expression::List(items) = expression else {
        return Err(format!("`{expression}` is no list of buffers"));
    };
    items
        .iter()
        .map(|item| match item {
            Expression::Struct(fields) => match &fields[..] {
                [base, room] => Ok((base.clone(), length(room)?)),
                _ => Err(format!("`{item}` is no buffer")),
            },
            _ => Err(format!("`{item}` is no buffer")),
        })
        .collect()
}

/// The value of an option, as the kernel reads it: `[1]`, `{onoff=1, linger=0}`, `"reno"`.
pub(super) fn option_value(expression: &Expression, length: usize) -> Result<Vec<u8>, String> {
    let numbers =
        |values: &[i64]| values.iter().flat_map(|value| (*value as i32).to_ne_bytes()).collect::<Vec<u8>>();
    let mut bytes = match expression {
        Expression::List(items) => numbers(&items.iter().map(value).collect::<Result<Vec<i64>, String>>()?),
        Expression::Text(text, _) => text.clone(),
        Expression::Number(_) | Expression::Word(_) | Expression::Or(..) => numbers(&[value(expression)?]),
        Expression::Any => vec![0; length],
        Expression::Struct(_) => match (expression.field("onoff"), expression.field("tv_sec")) {
            (Some(onoff), _) => {
                let linger = expression.field("linger").map_or(Ok(0), value)?;
                numbers(&[value(onoff)?, linger])
            }
            (None, Some(seconds)) => {
                let micros = expression.field("tv_usec").map_or(Ok(0), value)?;
                [value(seconds)?.to_ne_bytes(), micros.to_ne_bytes()].concat()
            }
            _ => return Err(format!("`{expression}` is no value of an option")),
        },
        other => return Err(format!("`{other}` is no value of an option")),
    };
    // A script may give fewer bytes than the value has, and see what comes of it.
    bytes.resize(length, 0);
    Ok(bytes)
}

/// `[{cmsg_level=..., cmsg_type=..., cmsg_data=...}]`.
pub(super) fn control(expression: Option<&Expression>) -> Result<Vec<ControlMessage>, String> {
    let Some(Expression::List(items)) = expression else { return Ok(Vec::new()) };
    items
        .iter()
        .map(|item| {
            let field = |name| item.field(name).ok_or_else(|| format!("`{item}` has no {name}"));
            let (level, kind) = (small(field("cmsg_level")?)?, small(field("cmsg_type")?)?);
            Ok(ControlMessage { level, kind, data: control_data(level, kind, field("cmsg_data")?)? })
        })
        .collect()
}

/// What a control message says. A TOS is one byte when it is told, and may be when it is given (ip(7)).
fn control_data(level: i32, kind: i32, data: &Expression) -> Result<Vec<u8>, String> {
    if data.field("ee_errno").is_some() {
        return extended_error(data);
    }
    let number = value(match data {
        Expression::List(items) if items.len() == 1 => &items[0],
        other => other,
    })?;
    if (level, kind) == (super::number("SOL_IP"), super::number("IP_TOS")) {
        return Ok(vec![number as u8]);
    }
    Ok((number as i32).to_ne_bytes().to_vec())
}

/// `struct sock_extended_err`: its first sixteen bytes, behind which an address may follow.
fn extended_error(data: &Expression) -> Result<Vec<u8>, String> {
    let field = |name| data.field(name).map_or(Ok(0), |expression| value_or(expression, 0));
    let mut bytes = (field("ee_errno")? as u32).to_ne_bytes().to_vec();
    bytes.extend_from_slice(&[
        field("ee_origin")? as u8,
        field("ee_type")? as u8,
        field("ee_code")? as u8,
        0,
    ]);
    bytes.extend_from_slice(&(field("ee_info")? as u32).to_ne_bytes());
    bytes.extend_from_slice(&(field("ee_data")? as u32).to_ne_bytes());
    Ok(bytes)
}
