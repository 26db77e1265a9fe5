//! The system calls on sockets, once their pointers are read.

use libc::{c_int, c_uint, c_ulong};
use wharf_stack::socket::{
    Domain, How, Kind, OptionName, OptionValue, Privilege, Readiness, ReceiveFlags, SendFlags, User,
};
use wharf_stack::tcp::TcpInfo;
use wharf_table::Endpoint;

use crate::address::Named;
use crate::descriptor::Socket;
use crate::errno::{Errno, Result};
use crate::message::{Control, Received};
use crate::profile::Profile;
use crate::world::{Patience, State, World};
use crate::{info, option, sysctl};

/// No call takes more at once: what a caller says beyond is cut, as Linux does with MAX_RW_COUNT.
const RECEIVE_MAX: usize = 1 << 24;
/// The calls that are about how much waits, by Linux' numbers.
const SIOCINQ: c_ulong = 0x541b;
const SIOCOUTQ: c_ulong = 0x5411;
const SIOCOUTQNSD: c_ulong = 0x894b;
const SIOCATMARK: c_ulong = 0x8905;
/// The option that lets each receive say how much is left, which is also the kind of the control message.
const TCP_INQ: (c_int, c_int) = (libc::IPPROTO_TCP, 36);
const RECEIVE_BUFFER: (c_int, c_int) = (libc::SOL_SOCKET, libc::SO_RCVBUF);

/// What timestamps take of a segment, in bytes (RFC 7323, appendix A).
const TIMESTAMPS: u32 = 12;

/// How long a call on this socket waits.
fn patience(state: &mut State, fd: c_int, flags: c_int, timeout: OptionName) -> Patience {
    let Some(socket) = state.descriptors.known_socket(fd) else { return Patience::None };
    if !socket.blocks || flags & libc::MSG_DONTWAIT != 0 {
        return Patience::None;
    }
    match state.host.option(socket.id, timeout) {
        Ok(OptionValue::Timeout(Some(span))) => Patience::For(span),
        _ => Patience::Endless,
    }
}

impl World {
    pub(crate) fn socket(&self, domain: c_int, kind: c_int, protocol: c_int) -> Result<i64> {
        let domain = match domain {
            libc::AF_INET => Domain::V4,
            libc::AF_INET6 => Domain::V6,
            _ => return Err(Errno(libc::EAFNOSUPPORT)),
        };
        let blocks = kind & libc::SOCK_NONBLOCK == 0;
        let kind = match (kind & !(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC), protocol) {
            (libc::SOCK_STREAM, 0 | libc::IPPROTO_TCP) => Kind::Stream,
            (libc::SOCK_DGRAM, 0 | libc::IPPROTO_UDP) => Kind::Datagram,
            (libc::SOCK_STREAM | libc::SOCK_DGRAM, _) => return Err(Errno(libc::EPROTONOSUPPORT)),
            _ => return Err(Errno(libc::ESOCKTNOSUPPORT)),
        };
        self.look(|state| {
            sysctl::refresh(state);
            let uid = state.settings.uid;
            let privilege = if uid == 0 { Privilege::LowPorts } else { Privilege::None };
            let id = state.host.socket(User { uid, privilege }, domain, kind)?;
            state.descriptors.add_socket(id, domain, kind, blocks).map(i64::from)
        })
    }

    pub(crate) fn bind(&self, fd: c_int, named: Named) -> Result<i64> {
        self.at_once(fd, |state, socket| {
            let Named::Endpoint(family, at) = named else { return Err(Errno(libc::EAFNOSUPPORT)) };
            if family != socket.domain {
                let errno = if socket.domain == Domain::V6 { libc::EINVAL } else { libc::EAFNOSUPPORT };
                return Err(Errno(errno));
            }
            Ok(state.host.bind(socket.id, at).map(|()| 0)?)
        })
    }

    pub(crate) fn listen(&self, fd: c_int, backlog: c_int) -> Result<i64> {
        self.at_once(fd, |state, socket| {
            let now = state.now();
            Ok(state.host.listen(now, socket.id, backlog).map(|()| 0)?)
        })
    }

    pub(crate) fn accept(&self, fd: c_int) -> Result<(c_int, Domain, Endpoint)> {
        self.call(
            |state| patience(state, fd, 0, OptionName::ReceiveTimeout),
            |state| {
                let socket = state.descriptors.socket(fd)?;
                let now = state.now();
                let (id, peer) = state.host.accept(now, socket.id)?;
                let new = state.descriptors.add_socket(id, socket.domain, socket.kind, true)?;
                let accepted = state.descriptors.socket_mut(new)?;
                (accepted.tells_unread, accepted.is_sized) = (socket.tells_unread, socket.is_sized);
                Ok((new, socket.domain, peer))
            },
        )
    }

    pub(crate) fn connect(&self, fd: c_int, named: Named) -> Result<i64> {
        let mut begun = false;
        let result = self.call(
            |state| patience(state, fd, 0, OptionName::SendTimeout),
            |state| {
                let socket = state.descriptors.socket(fd)?;
                let now = state.now();
                let Named::Endpoint(_, to) = named else {
                    return Ok(state.host.disconnect(now, socket.id).map(|()| 0)?);
                };
                match state.host.connect(now, socket.id, to).map_err(Errno::from) {
                    Err(Errno(libc::EINPROGRESS)) if socket.blocks => {
                        begun = true;
                        Err(Errno::AGAIN)
                    }
                    Err(Errno(libc::EALREADY)) if begun => Err(Errno::AGAIN),
                    result => result.map(|()| 0),
                }
            },
        );
        match result {
            // The patience of SO_SNDTIMEO was at its end.
            Err(Errno::AGAIN) if begun => Err(Errno(libc::EINPROGRESS)),
            result => result,
        }
    }

    pub(crate) fn receive(&self, fd: c_int, len: usize, flags: c_int) -> Result<Received> {
        if self.look(|state| state.descriptors.socket(fd).is_err()) {
            return read_elsewhere(fd, len);
        }
        let len = len.min(RECEIVE_MAX);
        if flags & libc::MSG_ERRQUEUE != 0 {
            return self.at_once(fd, |state, socket| {
                if socket.kind == Kind::Stream {
                    let numbers = state.host.receive_zero_copy(socket.id)?;
                    return Ok(info::zero_copy(socket.domain, numbers));
                }
                let error = state.host.receive_error(socket.id)?;
                Ok(info::queued_error(&error, len))
            });
        }
        let mut so_far = Received::default();
        let result = self.call(
            |state| patience(state, fd, flags, OptionName::ReceiveTimeout),
            |state| {
                let count = receive_once(state, fd, len, flags, &mut so_far)?;
                let all = flags & (libc::MSG_WAITALL | libc::MSG_PEEK) == libc::MSG_WAITALL;
                let more = all && so_far.from.is_none() && count > 0 && so_far.bytes.len() < len;
                if more { Err(Errno::AGAIN) } else { Ok(()) }
            },
        );
        match result {
            Err(_) if !so_far.bytes.is_empty() => Ok(so_far),
            result => result.map(|()| so_far),
        }
    }

    pub(crate) fn send(&self, fd: c_int, bytes: &[u8], flags: c_int, to: Option<Named>) -> Result<i64> {
        if self.look(|state| state.descriptors.socket(fd).is_err()) {
            // SAFETY: the bytes are there, and the descriptor is none of ours.
            let count = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
            return if count < 0 { Err(Errno::last()) } else { Ok(count as i64) };
        }
        let how = SendFlags {
            out_of_band: flags & libc::MSG_OOB != 0,
            more: flags & libc::MSG_MORE != 0,
            end_of_record: flags & libc::MSG_EOR != 0,
            fast_open: flags & libc::MSG_FASTOPEN != 0,
        };
        let to = match to {
            Some(Named::Endpoint(_, to)) => Some(to),
            Some(Named::Nobody) | None => None,
        };
        let mut sent = 0;
        let result = self.call(
            |state| patience(state, fd, flags, OptionName::SendTimeout),
            |state| {
                let socket = state.descriptors.socket(fd)?;
                let now = state.now();
                let rest = &bytes[sent..];
                sent += match to {
                    Some(to) => state.host.send_to(now, socket.id, rest, to, how)?,
                    None => state.host.send(now, socket.id, rest, how)?,
                };
                // A call that blocks sends everything.
                if sent < bytes.len() && socket.kind == Kind::Stream { Err(Errno::AGAIN) } else { Ok(()) }
            },
        );
        if flags & libc::MSG_ZEROCOPY != 0 && sent > 0 {
            self.at_once(fd, |state, socket| Ok(state.host.note_zero_copy(socket.id)?))?;
        }
        match result {
            Err(_) if sent > 0 => Ok(sent as i64),
            result => result.map(|()| sent as i64),
        }
    }

    /// write(2): like send(2), but that of nothing nothing is sent.
    pub(crate) fn write(&self, fd: c_int, bytes: &[u8]) -> Result<i64> {
        if bytes.is_empty() { self.at_once(fd, |_, _| Ok(0)) } else { self.send(fd, bytes, 0, None) }
    }

    pub(crate) fn fcntl(&self, fd: c_int, command: c_int, argument: c_int) -> Result<i64> {
        self.look(|state| {
            let Ok(socket) = state.descriptors.socket_mut(fd) else {
                // SAFETY: a descriptor that is none of ours, and an argument that is a number.
                let result = unsafe { libc::fcntl(fd, command, argument) };
                return if result < 0 { Err(Errno::last()) } else { Ok(result.into()) };
            };
            match command {
                libc::F_GETFL => Ok((libc::O_RDWR | if socket.blocks { 0 } else { libc::O_NONBLOCK }).into()),
                libc::F_SETFL => {
                    socket.blocks = argument & libc::O_NONBLOCK == 0;
                    Ok(0)
                }
                libc::F_GETFD | libc::F_SETFD => Ok(0),
                _ => Err(Errno::INVALID),
            }
        })
    }

    pub(crate) fn ioctl(&self, fd: c_int, request: c_ulong) -> Result<c_int> {
        self.at_once(fd, |state, socket| {
            let host = &state.host;
            let count = match request {
                SIOCINQ => host.unread(socket.id)?,
                SIOCOUTQ => host.unacknowledged(socket.id)?,
                SIOCOUTQNSD => host.unsent(state.now(), socket.id)?,
                SIOCATMARK => host.at_mark(socket.id)?.into(),
                _ => return Err(Errno(libc::ENOTTY)),
            };
            Ok(c_int::try_from(count).unwrap_or(c_int::MAX))
        })
    }

    pub(crate) fn close(&self, fd: c_int) -> Result<i64> {
        let linger = |state: &State| {
            let socket = state.descriptors.known_socket(fd).filter(|socket| socket.blocks)?;
            state.host.linger(socket.id)
        };
        let known = self.look(|state| state.descriptors.known_socket(fd).is_some());
        if known {
            // What was sent is waited for where SO_LINGER asks for it, and however that ends, the socket is closed.
            let span = self.look(|state| linger(state));
            if let Some(span) = span {
                self.finish_sending(fd, span);
            }
        }
        self.call(
            |_| Patience::None,
            |state| match state.descriptors.remove(fd) {
                Ok(Some(id)) => {
                    let now = state.now();
                    Ok(state.host.close(now, id).map(|()| 0)?)
                }
                Ok(None) => Ok(0),
                // SAFETY: a descriptor that is none of ours.
                Err(_) => match unsafe { libc::close(fd) } {
                    0 => Ok(0),
                    _ => Err(Errno::last()),
                },
            },
        )
    }

    /// Sends the FIN and waits until everything is acknowledged, for `span` at most.
    fn finish_sending(&self, fd: c_int, span: std::time::Duration) {
        let shut = self.at_once(fd, |state, socket| {
            let now = state.now();
            Ok(state.host.shutdown(now, socket.id, How::Write)?)
        });
        if shut.is_ok() {
            let waited = self.call(
                |_| Patience::For(span),
                |state| {
                    let socket = state.descriptors.socket(fd)?;
                    if state.host.unacknowledged(socket.id)? > 0 { Err(Errno::AGAIN) } else { Ok(()) }
                },
            );
            let _ = waited;
        }
    }

    pub(crate) fn shutdown(&self, fd: c_int, how: c_int) -> Result<i64> {
        let how = match how {
            libc::SHUT_RD => How::Read,
            libc::SHUT_WR => How::Write,
            libc::SHUT_RDWR => How::Both,
            _ => return Err(Errno::INVALID),
        };
        self.at_once(fd, |state, socket| {
            let now = state.now();
            Ok(state.host.shutdown(now, socket.id, how).map(|()| 0)?)
        })
    }

    pub(crate) fn option(&self, fd: c_int, level: c_int, name: c_int) -> Result<Vec<u8>> {
        self.at_once(fd, |state, socket| match (level, name) {
            TCP_INQ => Ok(c_int::from(socket.tells_unread).to_ne_bytes().to_vec()),
            RECEIVE_BUFFER if !socket.is_sized => match receive_buffer(state, socket)? {
                Some(bytes) => Ok(bytes.to_ne_bytes().to_vec()),
                None => option::read(state, socket, level, name),
            },
            _ => option::read(state, socket, level, name),
        })
    }

    pub(crate) fn set_option(&self, fd: c_int, level: c_int, name: c_int, value: &[u8]) -> Result<i64> {
        self.at_once(fd, |state, socket| match (level, name) {
            TCP_INQ => {
                state.descriptors.socket_mut(fd)?.tells_unread = option::flag(value)?;
                Ok(0)
            }
            _ => {
                option::write(state, socket, level, name, value)?;
                state.descriptors.socket_mut(fd)?.is_sized |= (level, name) == RECEIVE_BUFFER;
                Ok(0)
            }
        })
    }

    /// splice(2): one side is a pipe, the other a socket.
    pub(crate) fn splice(&self, from: c_int, to: c_int, len: usize, flags: c_uint) -> Result<i64> {
        // At urgent data it stops, and says so by nothing.
        if self.at_once(from, |state, socket| Ok(state.host.at_mark(socket.id)?)) == Ok(true) {
            return Ok(0);
        }
        let how = if flags & libc::SPLICE_F_NONBLOCK != 0 { libc::MSG_DONTWAIT } else { 0 };
        let bytes = self.receive(from, len.min(RECEIVE_MAX), how)?.bytes;
        if bytes.is_empty() { Ok(0) } else { self.send(to, &bytes, how, None) }
    }

    /// A call that never waits.
    fn at_once<R>(&self, fd: c_int, mut run: impl FnMut(&mut State, Socket) -> Result<R>) -> Result<R> {
        self.call(
            |_| Patience::None,
            |state| {
                let socket = state.descriptors.socket(fd)?;
                run(state, socket)
            },
        )
    }
}

/// What the profile says of a receive buffer that nobody has set; `None` when the stack is to say it.
fn receive_buffer(state: &mut State, socket: Socket) -> Result<Option<u32>> {
    let (now, profile) = (state.now(), state.settings.profile);
    if socket.kind != Kind::Stream || profile == Profile::Linux {
        return Ok(None);
    }
    let info = state.host.info(now, socket.id)?.filter(|info| info.state.is_synchronized());
    let segment =
        |info: TcpInfo| (info.snd_mss + if info.options.timestamps { TIMESTAMPS } else { 0 }) as u16;
    Ok(profile.receive_buffer(info.map(segment)))
}

/// Takes what is there, on top of what was taken before, and says how much that was.
fn receive_once(
    state: &mut State,
    fd: c_int,
    len: usize,
    flags: c_int,
    so_far: &mut Received,
) -> Result<usize> {
    let socket = state.descriptors.socket(fd)?;
    let now = state.now();
    let how = ReceiveFlags {
        peek: flags & libc::MSG_PEEK != 0,
        truncate: flags & libc::MSG_TRUNC != 0,
        out_of_band: flags & libc::MSG_OOB != 0,
        blocking: socket.blocks && flags & libc::MSG_DONTWAIT == 0,
    };
    let mut buffer = vec![0; len - so_far.bytes.len()];
    let got = state.host.receive(now, socket.id, &mut buffer, how)?;
    buffer.truncate(got.count);
    so_far.bytes.append(&mut buffer);
    so_far.answer += got.count as i64;
    so_far.from = got.from.map(|from| (socket.domain, from));
    if got.truncated {
        so_far.flags |= libc::MSG_TRUNC;
    }
    if how.out_of_band {
        so_far.flags |= libc::MSG_OOB;
    }
    if socket.tells_unread {
        let left = state.host.unread(socket.id)?;
        // The end counts as a byte once nothing else is left.
        let ended = left == 0 && state.host.readiness(socket.id)?.contains(Readiness::RDHUP);
        let left = c_int::try_from(left).unwrap_or(c_int::MAX).max(ended.into());
        so_far.control.retain(|part| (part.level, part.kind) != TCP_INQ);
        so_far.control.push(Control { level: TCP_INQ.0, kind: TCP_INQ.1, data: left.to_ne_bytes().to_vec() });
    }
    let v6 = socket.domain == Domain::V6;
    let mut tell = |level, kind, value: u8| {
        so_far.control.push(Control { level, kind, data: c_int::from(value).to_ne_bytes().to_vec() });
    };
    if let Some(limit) = got.hop_limit {
        if v6 {
            tell(libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT, limit)
        } else {
            tell(libc::IPPROTO_IP, libc::IP_TTL, limit)
        }
    }
    if let Some(class) = got.traffic_class {
        if v6 {
            tell(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, class)
        } else {
            tell(libc::IPPROTO_IP, libc::IP_TOS, class)
        }
    }
    Ok(got.count)
}

/// read(2) of a descriptor that is none of ours, such as a pipe's.
fn read_elsewhere(fd: c_int, len: usize) -> Result<Received> {
    let mut bytes = vec![0_u8; len.min(RECEIVE_MAX)];
    // SAFETY: the buffer has so many bytes, and the descriptor is none of ours.
    let count = unsafe { libc::read(fd, bytes.as_mut_ptr().cast(), bytes.len()) };
    if count < 0 {
        return Err(Errno::last());
    }
    bytes.truncate(count as usize);
    Ok(Received { answer: count as i64, bytes, ..Received::default() })
}
