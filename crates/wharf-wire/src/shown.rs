//! Whom does a client ask for? One question to all protocols that say so in the first bytes that the client sends.
//!
//! [`FirstBytes`] reads a TCP stream and finds out itself what is spoken; [`crate::quic::InitialReader`] reads the datagrams of a
//! flow, and `Shown::from` says the same of them. The answers are alike for all protocols, so that who decides by names needs
//! to know none of them.
//!
//! [`Shown::NeedMore`] may last for ever: who waits for the server to speak first (SMTP, FTP, MySQL) sends nothing, and who means
//! ill sends half a hello. Who asks has to give up after a time of its own, and hold back what came until then.
//! [`Shown::Silent`] is no name either: it means that none is to be expected, not that the client is harmless.

use crate::Malformed;
use crate::host_name::Host;
use crate::http::{Form, HeadReader, Http};
use crate::quic::Quic;
use crate::tls::{Hello, HelloReader, Tls};

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// TLS, whatever is inside.
    Tls,
    /// HTTP/1.0 or 1.1, without TLS.
    Http,
    /// HTTP/2, without TLS.
    Http2,
    /// QUIC.
    Quic,
    /// SSH.
    Ssh,
    /// None of these.
    Other,
}

/// Why a client does not say whom it asks for, though its protocol can.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Hidden {
    /// It leaves the name out.
    Omitted,
    /// There is an encrypted ClientHello, or what looks like one (RFC 9849, section 6.2), beside the name that everybody may see.
    Encrypted(Option<Host>),
    /// The name is in a form that can't be read here: HTTP/2 without TLS, a version of QUIC that is not known.
    Unreadable,
}

/// What the first bytes of a client show.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Shown {
    /// Nothing yet.
    NeedMore,
    /// Whom it asks for.
    Name {
        /// What it speaks.
        protocol: Protocol,
        /// The name, or the address that stands in its place.
        host: Host,
        /// The port beside the name, which HTTP has.
        port: Option<u16>,
        /// Of whom that is asked.
        of: Asked,
    },
    /// It could say whom it asks for, and doesn't.
    Hidden {
        /// What it speaks.
        protocol: Protocol,
        /// Why no name is to be seen.
        why: Hidden,
    },
    /// Its protocol knows no names, or is not known here.
    Silent(Protocol),
    /// It can't be read in one way only: each server could see another name, or none.
    Malformed {
        /// What it seems to speak.
        protocol: Protocol,
        /// What was wrong.
        why: Malformed,
    },
    /// A datagram of a connection whose name was shown before.
    Later,
}

/// Of whom something is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asked {
    /// Of the host that is named.
    Server,
    /// Of a proxy, for the host that is named: the target of the request has a host in it (RFC 9112, sections 3.2.2 and 3.2.3).
    Proxy,
}

/// Reads the first bytes of a TCP client as they come.
#[derive(Clone, Debug, Default)]
pub struct FirstBytes {
    tls: HelloReader,
    http: HeadReader,
}

impl FirstBytes {
    /// One that has seen nothing.
    pub fn new() -> FirstBytes {
        FirstBytes::default()
    }

    /// What is known of the client when it has sent `bytes` behind all that was given before. Once it is more than
    /// [`Shown::NeedMore`] it stays as it is, and further bytes are not looked at.
    ///
    /// No bytes are the beginning of two protocols that show names: the readers run side by side, and each but one gives up at
    /// its first bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Shown {
        let shown = match self.tls.push(bytes) {
            Tls::NotTls => None,
            tls => Some(Shown::from(tls)),
        };
        match self.http.push(bytes) {
            Http::NotHttp => shown.unwrap_or(Shown::Silent(Protocol::Other)),
            http if shown.is_none() => Shown::from(http),
            // Before the first byte, both wait.
            _ => Shown::NeedMore,
        }
    }
}

/// What the first bytes of a TCP client show, all that is known of them.
pub fn first_bytes(bytes: &[u8]) -> Shown {
    FirstBytes::new().push(bytes)
}

fn of_hello(protocol: Protocol, hello: Hello<'_>) -> Shown {
    match hello.server_name {
        name if hello.encrypted_hello => Shown::Hidden { protocol, why: Hidden::Encrypted(name) },
        Some(host) => Shown::Name { protocol, host, port: None, of: Asked::Server },
        None => Shown::Hidden { protocol, why: Hidden::Omitted },
    }
}

impl From<Tls<'_>> for Shown {
    fn from(tls: Tls<'_>) -> Shown {
        let protocol = Protocol::Tls;
        match tls {
            Tls::NeedMore => Shown::NeedMore,
            Tls::NotTls => Shown::Silent(Protocol::Other),
            Tls::Malformed(why) => Shown::Malformed { protocol, why },
            Tls::Hello(hello) => of_hello(protocol, hello),
            Tls::OldHello => Shown::Hidden { protocol, why: Hidden::Omitted },
        }
    }
}

impl From<&Http> for Shown {
    fn from(http: &Http) -> Shown {
        let protocol = Protocol::Http;
        match http {
            Http::NeedMore => Shown::NeedMore,
            Http::NotHttp => Shown::Silent(Protocol::Other),
            Http::Malformed(why) => Shown::Malformed { protocol, why: *why },
            Http::Head(head) => match &head.host {
                Some(host) => {
                    let of = match head.form {
                        Form::Origin | Form::Asterisk => Asked::Server,
                        Form::Absolute | Form::Authority => Asked::Proxy,
                    };
                    Shown::Name { protocol, host: host.clone(), port: head.port, of }
                }
                None => Shown::Hidden { protocol, why: Hidden::Omitted },
            },
            Http::Http2 => Shown::Hidden { protocol: Protocol::Http2, why: Hidden::Unreadable },
            Http::Ssh => Shown::Silent(Protocol::Ssh),
        }
    }
}

impl From<Quic<'_>> for Shown {
    fn from(quic: Quic<'_>) -> Shown {
        let protocol = Protocol::Quic;
        match quic {
            Quic::NeedMore => Shown::NeedMore,
            Quic::NotQuic => Shown::Silent(Protocol::Other),
            Quic::Malformed(why) => Shown::Malformed { protocol, why },
            Quic::Hello(hello) => of_hello(protocol, hello),
            Quic::Later => Shown::Later,
            Quic::Unknown(_) => Shown::Hidden { protocol, why: Hidden::Unreadable },
        }
    }
}
