//! Handing held ports to a program, by systemd's protocol (sd_listen_fds(3)).
//!
//! The sockets are at descriptor 3 and on, in the order of the ports, TCP before UDP; TCP listens. `LISTEN_FDS` says how many,
//! `LISTEN_PID` for whom, `LISTEN_FDNAMES` which. wharf becomes the program: nothing stands between it and its signals, its
//! terminal and its exit code, and nothing is left when it ends.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use thiserror::Error;
use wharf_sys::handing;

use super::{Found, Held, Kind};

/// Connections that wait for the program; the kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Why the program did not start.
#[derive(Debug, Error)]
pub enum HandError {
    /// A socket can't be made into what a program is handed.
    #[error("hand over port {port}: {error}")]
    Socket {
        /// The port.
        port: u16,
        /// The system's reason.
        error: io::Error,
    },
    /// The sockets find no place.
    #[error("hand over {count} sockets: {error} (raise the limit of open files)")]
    Place {
        /// How many.
        count: usize,
        /// The system's reason.
        error: io::Error,
    },
    /// The program can't be run.
    #[error("run {program:?}: {error}")]
    Run {
        /// Its name.
        program: OsString,
        /// The system's reason.
        error: io::Error,
    },
}

impl HandError {
    /// 127 for a program that is not there, 126 for one that can't be run, 125 for all else.
    pub fn exit_code(&self) -> u8 {
        match self {
            HandError::Run { error, .. } if error.kind() == io::ErrorKind::NotFound => 127,
            HandError::Run { .. } => 126,
            _ => 125,
        }
    }
}

/// Becomes the program, with the ports. `{}` in its arguments is the port, with commas between several; `{1}` the first and so on.
/// `WHARF_PORT` is the first, `WHARF_PORTS` all with spaces between. Comes back only with an error.
pub fn become_program(found: Found, command: &[OsString]) -> HandError {
    let Found { held, limit } = found;
    let ports: Vec<u16> = held.iter().map(|it| it.port).collect();
    let (mut names, mut sockets) = (Vec::new(), Vec::new());
    for Held { port, sockets: of_port } in held {
        for (kind, socket) in of_port {
            if kind == Kind::Tcp
                && let Err(error) = rustix::net::listen(&socket, BACKLOG)
            {
                return HandError::Socket { port, error: error.into() };
            }
            names.push(format!("{}-{port}", kind.name()));
            sockets.push(socket);
        }
    }
    let count = sockets.len();
    if let Err(error) = handing::place(sockets) {
        return HandError::Place { count, error };
    }
    // A limit that can't be set back is one that can't have been raised.
    let _ = limit.set();
    let mut words = command.iter().map(|word| filled(word, &ports));
    let program = words.next().unwrap_or_default();
    let all = ports.iter().map(u16::to_string).collect::<Vec<_>>();
    let error = Command::new(&program)
        .args(words)
        .env("LISTEN_FDS", count.to_string())
        .env("LISTEN_PID", std::process::id().to_string())
        .env("LISTEN_FDNAMES", names.join(":"))
        .env("WHARF_PORT", all.first().map(String::as_str).unwrap_or_default())
        .env("WHARF_PORTS", all.join(" "))
        .exec();
    HandError::Run { program, error }
}

/// An argument with the ports in place of `{}`, `{1}`, `{2}`...; other braces stay.
fn filled(word: &OsStr, ports: &[u16]) -> OsString {
    let mut filled = Vec::new();
    let mut rest = word.as_bytes();
    while let Some(open) = rest.iter().position(|&byte| byte == b'{') {
        let (before, from) = rest.split_at(open);
        filled.extend_from_slice(before);
        let close = from.iter().position(|&byte| byte == b'}');
        let inside = close.map(|close| &from[1..close]);
        let text = inside.and_then(|inside| in_place_of(inside, ports));
        match (text, close) {
            (Some(text), Some(close)) => {
                filled.extend_from_slice(text.as_bytes());
                rest = &from[close + 1..];
            }
            _ => {
                filled.push(b'{');
                rest = &from[1..];
            }
        }
    }
    filled.extend_from_slice(rest);
    OsString::from_vec(filled)
}

fn in_place_of(inside: &[u8], ports: &[u16]) -> Option<String> {
    if inside.is_empty() {
        return Some(ports.iter().map(u16::to_string).collect::<Vec<_>>().join(","));
    }
    let number: usize = std::str::from_utf8(inside).ok()?.parse().ok()?;
    ports.get(number.checked_sub(1)?).map(u16::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_are_filled() {
        let table = [
            ("--port={}", "--port=8080,8081"),
            ("{1}:{2}", "8080:8081"),
            ("{3}{0}{x}{", "{3}{0}{x}{"),
            ("{{}}", "{8080,8081}"),
            ("plain", "plain"),
            ("", ""),
        ];
        for (word, expected) in table {
            assert_eq!(filled(OsStr::new(word), &[8080, 8081]), expected, "{word}");
        }
    }
}
