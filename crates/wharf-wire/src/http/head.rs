//! The lines of a request's head (RFC 9112, sections 3 and 5).

use super::Http;
use super::body::{Body, Fields};
use crate::Malformed;
use crate::host_name::Host;

/// The longest method. The longest that is registered, UPDATEREDIRECTREF, has 17 bytes.
const MAX_METHOD_LEN: usize = 32;
/// Those of RFC 9110, section 9, and RFC 5789.
const METHODS: [&[u8]; 9] =
    [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH"];
/// The first line of what a client of HTTP/2 sends when it knows that the server speaks it (RFC 9113, section 3.4).
const PREFACE_LINE: &[u8] = b"PRI * HTTP/2.0";
/// How what a client of SSH sends first begins (RFC 4253, section 4.2).
const SSH_BANNER: &[u8] = b"SSH-";

/// How a request names what it is about (RFC 9112, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// `/path`: of the server's host.
    Origin,
    /// `http://host/path`: the server is a proxy, unless it is that host.
    Absolute,
    /// `host:port`, of CONNECT: the server is a proxy.
    Authority,
    /// `*`: the server as a whole.
    Asterisk,
}

/// What the head of a request shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Whom the client wants, from the request target or from `Host`; `None` when it says nobody.
    pub host: Option<Host>,
    /// The port beside it, if there is one.
    pub port: Option<u16>,
    /// What the target looks like.
    pub form: Form,
    /// What stands behind the head.
    pub body: Body,
}

/// A host and the port beside it.
type Authority = (Host, Option<u16>);

impl Head {
    /// Reads all lines of a head, the empty one at its end included.
    ///
    /// # Errors
    /// [`Malformed::Line`] for a line that is none, and for HTTP/1.1 without `Host`; [`Malformed::TwoNames`] for two `Host`
    /// lines, and for one that is not the target's host; [`Malformed::Name`] and [`Malformed::Length`] for what stands where
    /// a host, a port and the length of the body should.
    pub fn parse(head: &[u8]) -> Result<Head, Malformed> {
        let mut lines =
            head.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let request = RequestLine::parse(lines.next().unwrap_or_default())?;
        let (form, target) = request.target_host()?;
        let mut field: Option<&[u8]> = None;
        let mut fields = Fields::default();
        for line in lines.take_while(|line| !line.is_empty()) {
            let (name, value) = split_field(line)?;
            if name.eq_ignore_ascii_case(b"host") && field.replace(value).is_some() {
                return Err(Malformed::TwoNames);
            }
            fields.take(name, value)?;
        }
        // "A client MUST send a Host header field in all HTTP/1.1 request messages" (RFC 9112, section 3.2), and an empty one
        // when the target has no authority.
        let field = match field {
            None if request.minor >= b'1' => return Err(Malformed::Line),
            None | Some([]) => None,
            Some(value) => Some(Host::parse_authority(value)?),
        };
        let chosen = match (target, field) {
            (Some((target, _)), Some((field, _))) if target != field => return Err(Malformed::TwoNames),
            (Some(target), _) => Some(target),
            (None, field) => field,
        };
        let (host, port) = chosen.map_or((None, None), |(host, port)| (Some(host), port));
        Ok(Head { host, port, form, body: fields.body(request.method, request.minor)? })
    }
}

/// `GET / HTTP/1.1`.
struct RequestLine<'a> {
    method: &'a [u8],
    target: &'a [u8],
    /// The digit behind `HTTP/1.`.
    minor: u8,
}

impl<'a> RequestLine<'a> {
    fn parse(line: &'a [u8]) -> Result<RequestLine<'a>, Malformed> {
        let mut parts = line.split(|&byte| byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Malformed::Line);
        };
        // Not only what a URI may hold: bytes from 0x80 on are sent as they are by many.
        let target_fits = !target.is_empty() && target.iter().all(|&byte| byte > b' ' && byte != 0x7f);
        match version {
            &[b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'0'..=b'9']
                if is_token(method) && target_fits =>
            {
                Ok(RequestLine { method, target, minor })
            }
            _ => Err(Malformed::Line),
        }
    }

    /// The form of the target, and the host in it.
    fn target_host(&self) -> Result<(Form, Option<Authority>), Malformed> {
        if self.method == b"CONNECT" {
            let (host, port) = Host::parse_authority(self.target)?;
            // "There is no default port" (RFC 9110, section 9.3.6).
            return if port.is_none() {
                Err(Malformed::Length)
            } else {
                Ok((Form::Authority, Some((host, port))))
            };
        }
        match self.target {
            [b'/', ..] => Ok((Form::Origin, None)),
            b"*" => Ok((Form::Asterisk, None)),
            target => Ok((Form::Absolute, Some(Host::parse_authority(authority(target)?)?))),
        }
    }
}

/// What stands between `scheme://` and the path. Only `/` and `?` end it: a `#`, which must not be sent, and a `\`, which some
/// take for `/`, become a part of it that no host has.
fn authority(target: &[u8]) -> Result<&[u8], Malformed> {
    let colon = target.iter().position(|&byte| byte == b':').ok_or(Malformed::Line)?;
    let (scheme, rest) = target.split_at(colon);
    let fits = |&byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let rest = rest.strip_prefix(b"://").filter(|_| !scheme.is_empty() && scheme.iter().all(fits));
    let rest = rest.ok_or(Malformed::Line)?;
    Ok(&rest[..rest.iter().position(|byte| b"/?".contains(byte)).unwrap_or(rest.len())])
}

/// `name: value`, without white space around the value. None may stand before the colon ("A server MUST reject", RFC 9112,
/// section 5.1), and none in front of the name, where it would continue the line above (section 5.2).
pub(super) fn split_field(line: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let colon = line.iter().position(|&byte| byte == b':').ok_or(Malformed::Line)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let value_fits = value.iter().all(|&byte| byte == b'\t' || byte >= b' ' && byte != 0x7f);
    if !is_token(name) || !value_fits {
        return Err(Malformed::Line);
    }
    Ok((name, value.trim_ascii()))
}

fn is_token(bytes: &[u8]) -> bool {
    let fits = |&byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !bytes.is_empty() && bytes.iter().all(fits)
}

/// What a client speaks whose first line begins so and has not ended.
pub(super) fn unfinished_line(line: &[u8]) -> Http {
    if line.starts_with(SSH_BANNER) {
        return Http::Ssh;
    }
    // The end of the line may be under way; so may the empty line that is passed over.
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    // Not only tokens: there are servers that take any word, and white space before it, so the end of the line has to tell.
    let (before, text) = line.split_at(line.len() - line.trim_ascii_start().len());
    let word = text.split(|&byte| byte == b' ').next().unwrap_or_default();
    let fits = before.len() + word.len() <= MAX_METHOD_LEN && word.iter().all(u8::is_ascii_graphic);
    if fits && !before.contains(&b'\r') { Http::NeedMore } else { Http::NotHttp }
}

/// What a client speaks whose first line is this: [`Http::NeedMore`] when it is that of a request.
pub(super) fn first_line(line: &[u8]) -> Http {
    let begun = unfinished_line(line);
    if begun != Http::NeedMore {
        return begun;
    }
    if line == PREFACE_LINE {
        return Http::Http2;
    }
    let method = line.split(|&byte| byte == b' ').next().unwrap_or_default();
    match RequestLine::parse(line) {
        Ok(_) => Http::NeedMore,
        Err(why) if line.windows(6).any(|part| part == b" HTTP/") => Http::Malformed(why),
        // HTTP/0.9 has no version and no fields, but there are servers that read them (and nobody else says GET).
        Err(why) if METHODS.contains(&method) && method.len() < line.len() => Http::Malformed(why),
        // Whatever else begins with a word: EHLO, USER, NICK.
        Err(_) => Http::NotHttp,
    }
}
