//! The ClientHello itself (RFC 8446, section 4.1.2; the same form since TLS 1.0).

use alloc::vec::Vec;
use core::fmt;

use crate::Malformed;
use crate::cursor::Cursor;
use crate::host_name::Host;

/// Types of extensions that matter here (IANA "TLS ExtensionType Values").
mod extension {
    pub(super) const SERVER_NAME: u16 = 0;
    pub(super) const ALPN: u16 = 16;
    /// Encrypted Client Hello as in RFC 9849, section 5, and as in the drafts 8 to 12 before it.
    pub(super) const ENCRYPTED_HELLO: core::ops::RangeInclusive<u16> = 0xfe08..=0xfe0d;
    /// What was there before: the encrypted server name (draft-ietf-tls-esni-06).
    pub(super) const ENCRYPTED_NAME: u16 = 0xffce;
}

/// The only type of name that there is (RFC 6066, section 3).
const HOST_NAME: u8 = 0;

/// What a ClientHello shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello<'a> {
    /// Whom the client wants, if it says so. Beside an encrypted hello it is the name that everybody may see.
    pub server_name: Option<Host>,
    /// There is an encrypted hello, which may ask for another name; or what looks like one, by a client that wants the two
    /// not to be told apart (RFC 9849, section 6.2).
    pub encrypted_hello: bool,
    /// What the client wants to speak inside (RFC 7301), best first.
    pub alpn: Alpn<'a>,
}

impl<'a> Hello<'a> {
    /// Reads the body of a ClientHello, all of it.
    ///
    /// # Errors
    /// [`Malformed::Length`] for a part that does not fit; [`Malformed::Option`] for an extension twice ("There MUST NOT be more
    /// than one extension of the same type", RFC 8446, section 4.2); [`Malformed::TwoNames`] for a second name of a host ("MUST
    /// NOT contain more than one name of the same name_type", RFC 6066, section 3); [`Malformed::Name`] for one that is none.
    pub fn parse(body: &'a [u8]) -> Result<Hello<'a>, Malformed> {
        let mut rest = Cursor(body);
        let mut hello = Hello { server_name: None, encrypted_hello: false, alpn: Alpn(&[]) };
        // The version, which all of TLS 1.2 and later leave at 3.3, and 32 bytes of randomness.
        if rest.u8()? != 3 {
            return Err(Malformed::Version);
        }
        rest.take(1 + 32)?;
        let session_id = rest.vec8()?;
        let suites = rest.vec16()?;
        let compression = rest.vec8()?;
        if session_id.len() > 32 || suites.is_empty() || suites.len() % 2 != 0 || compression.is_empty() {
            return Err(Malformed::Length);
        }
        // Before TLS 1.2 the extensions could be missing as a whole (RFC 5246, section 7.4.1.2).
        if !rest.is_done() {
            let extensions = rest.vec16()?;
            if !rest.is_done() {
                return Err(Malformed::Length);
            }
            hello.read_extensions(Cursor(extensions))?;
        }
        Ok(hello)
    }

    fn read_extensions(&mut self, mut rest: Cursor<'a>) -> Result<(), Malformed> {
        let mut seen = Vec::with_capacity(24);
        while !rest.is_done() {
            let (kind, data) = (rest.u16()?, rest.vec16()?);
            seen.push(kind);
            match kind {
                extension::SERVER_NAME => self.server_name = read_names(data)?,
                extension::ALPN => self.alpn = Alpn::parse(data)?,
                extension::ENCRYPTED_NAME => self.encrypted_hello = true,
                kind if extension::ENCRYPTED_HELLO.contains(&kind) => self.encrypted_hello = true,
                _ => {}
            }
        }
        // Sorted rather than compared one by one: a hello of 16 KiB may have four thousand.
        seen.sort_unstable();
        if seen.windows(2).any(|pair| pair[0] == pair[1]) { Err(Malformed::Option) } else { Ok(()) }
    }
}

/// The names of the extension `server_name`, of which a client's must have one.
fn read_names(data: &[u8]) -> Result<Option<Host>, Malformed> {
    let mut whole = Cursor(data);
    let mut list = Cursor(whole.vec16()?);
    if list.is_done() || !whole.is_done() {
        return Err(Malformed::Length);
    }
    let mut found = None;
    while !list.is_done() {
        // All types that may ever come begin with a length of two bytes (RFC 6066, section 3).
        let (kind, name) = (list.u8()?, list.vec16()?);
        if kind == HOST_NAME && found.replace(Host::parse_server_name(name)?).is_some() {
            return Err(Malformed::TwoNames);
        }
    }
    Ok(found)
}

/// The protocols that a client wants to speak inside of TLS (RFC 7301, section 3.1).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Alpn<'a>(&'a [u8]);

impl<'a> Alpn<'a> {
    fn parse(data: &'a [u8]) -> Result<Alpn<'a>, Malformed> {
        let mut whole = Cursor(data);
        let list = whole.vec16()?;
        if list.is_empty() || !whole.is_done() {
            return Err(Malformed::Length);
        }
        let mut rest = Cursor(list);
        while !rest.is_done() {
            // "Empty strings MUST NOT be included".
            if rest.vec8()?.is_empty() {
                return Err(Malformed::Length);
            }
        }
        Ok(Alpn(list))
    }

    /// Their names, any bytes: `h2`, `http/1.1`, `h3`.
    pub fn protocols(self) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = Cursor(self.0);
        core::iter::from_fn(move || rest.vec8().ok())
    }
}

impl fmt::Debug for Alpn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.protocols().try_for_each(|name| write!(f, "[{}]", name.escape_ascii()))
    }
}
