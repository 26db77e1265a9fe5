//! System calls: made as the script says, and their answers compared with what it says.

mod answer;

use std::net::{IpAddr, SocketAddr};

use super::super::call::{Answer, Call, Through};
use super::super::report::{Cause, Failure};
use super::super::syntax::{CallLine, Expression, Position};
use super::arguments::{control, data, length, option_value, small, value, value_or, vector};
use super::{Blocking, Kind, PATIENCE_US, Runner, Seconds, Socket, number};

/// Room for control messages where a script expects some.
const CONTROL_ROOM: usize = 512;

impl Runner {
    pub(super) fn call(&mut self, position: Position, line: &CallLine, origin: u64) -> Result<(), Failure> {
        self.finish_call()?;
        let call = match self.prepare(line) {
            Ok(call) => call,
            Err(why) => return self.fail(position, format!("{}: {why}", line.name), Cause::Script),
        };
        self.foresee(&call);
        if let Some(span) = line.ends {
            let tolerance = self.tolerance(span);
            self.machine.begin(call.clone());
            let ends = origin + span;
            self.blocking = Some(Blocking { position, line: line.clone(), call, ends, tolerance });
            return Ok(());
        }
        let answer = match self.machine.call(call.clone()) {
            Ok(answer) => answer,
            Err(why) => return self.fail(position, format!("{}: {why}", line.name), Cause::Behaviour),
        };
        self.returned(position, line, &call, &answer)
    }

    /// Waits for the call that blocks, if one does.
    pub(super) fn finish_call(&mut self) -> Result<(), Failure> {
        let Some(Blocking { position, line, call, ends, tolerance }) = self.blocking.take() else {
            return Ok(());
        };
        let Some((at, answer)) = self.machine.finish(self.origin + ends + tolerance + PATIENCE_US) else {
            let message = format!("{} was to return at {} s and did not", line.name, Seconds(ends));
            return self.fail(position, message, Cause::Behaviour);
        };
        self.returned(position, &line, &call, &answer)?;
        let at = at.saturating_sub(self.origin);
        if at + tolerance < ends || at > ends + tolerance {
            let message =
                format!("{} returned at {} s and not at {} s", line.name, Seconds(at), Seconds(ends));
            return self.fail(position, message, Cause::Time);
        }
        Ok(())
    }

    /// What is known of a call before it returns: packets may come out earlier.
    fn foresee(&mut self, call: &Call) {
        if let Call::Connect(fd, Some(remote)) = call
            && self.kind(*fd) == Kind::Stream
        {
            let local = SocketAddr::new(self.setting.local, 0);
            self.flows.connect(local, unmapped(*remote));
        }
    }

    fn kind(&self, fd: i32) -> Kind {
        self.descriptors.values().find(|socket| socket.fd == fd).map_or(Kind::Other, |socket| socket.kind)
    }

    /// What a line's call is in numbers.
    fn prepare(&self, line: &CallLine) -> Result<Call, String> {
        let arguments = &line.arguments[..];
        match (line.name.as_str(), arguments) {
            ("socket", [domain, kind, protocol]) => {
                let family = if self.setting.local.is_ipv4() && self.setting.version == Default::default() {
                    "AF_INET"
                } else {
                    "AF_INET6"
                };
                Ok(Call::Socket {
                    domain: value_or(domain, number(family).into())? as i32,
                    kind: small(kind)?,
                    protocol: small(protocol)?,
                })
            }
            ("bind", [fd, address, _]) => {
                let address = self.address_or(address, self.setting.bind_address())?;
                Ok(Call::Bind(self.fd(fd)?, address.ok_or("an address of AF_UNSPEC can't be bound")?))
            }
            ("listen", [fd, backlog]) => Ok(Call::Listen(self.fd(fd)?, small(backlog)?)),
            ("accept", [fd, _, _]) => Ok(Call::Accept(self.fd(fd)?, 0)),
            ("accept4", [fd, _, _, flags]) => Ok(Call::Accept(self.fd(fd)?, small(flags)?)),
            ("connect", [fd, address, _]) => {
                Ok(Call::Connect(self.fd(fd)?, self.address_or(address, self.setting.connect_address())?))
            }
            ("getsockname", [fd, ..]) => Ok(Call::LocalName(self.fd(fd)?)),
            ("getpeername", [fd, ..]) => Ok(Call::PeerName(self.fd(fd)?)),
            ("close", [fd]) => Ok(Call::Close(self.fd(fd)?)),
            ("shutdown", [fd, how]) => Ok(Call::Shutdown(self.fd(fd)?, small(how)?)),
            ("fcntl", [fd, command, rest @ ..]) => {
                Ok(Call::Fcntl(self.fd(fd)?, small(command)?, rest.first().map_or(Ok(0), value)?))
            }
            ("ioctl", [fd, request, rest @ ..]) => {
                let argument = match rest.first() {
                    Some(Expression::List(items)) => items.first().map_or(Ok(0), |item| value_or(item, 0))?,
                    Some(other) => value_or(other, 0)?,
                    None => 0,
                };
                Ok(Call::Ioctl(self.fd(fd)?, value(request)? as u64, argument))
            }
            ("getsockopt", [fd, level, name, _, room]) => {
                let room = match room {
                    Expression::List(items) if items.len() == 1 => value_or(&items[0], 64)?,
                    other => value_or(other, 64)?,
                };
                let (fd, level, name) = (self.fd(fd)?, small(level)?, small(name)?);
                Ok(Call::GetOption { fd, level, name, room: room.clamp(0, 4096) as usize })
            }
            ("setsockopt", [fd, level, name, value, room]) => {
                let value = option_value(value, length(room)?)?;
                Ok(Call::SetOption { fd: self.fd(fd)?, level: small(level)?, name: small(name)?, value })
            }
            _ => self.prepare_transfer(line),
        }
    }

    /// Calls that move data.
    fn prepare_transfer(&self, line: &CallLine) -> Result<Call, String> {
        let receive = |fd, room, flags, control_room, through| {
            Ok(Call::Receive { fd, room, flags, control_room, through })
        };
        let lengths =
            |buffers: Vec<(Expression, usize)>| buffers.into_iter().map(|(_, length)| length).collect();
        match (line.name.as_str(), &line.arguments[..]) {
            ("read", [fd, _, room]) => receive(self.fd(fd)?, vec![length(room)?], 0, 0, Through::File),
            ("readv", [fd, buffers, _]) => {
                receive(self.fd(fd)?, lengths(vector(buffers)?), 0, 0, Through::File)
            }
            ("recv", [fd, _, room, flags]) | ("recvfrom", [fd, _, room, flags, ..]) => {
                receive(self.fd(fd)?, vec![length(room)?], small(flags)?, 0, Through::Socket)
            }
            ("recvmsg", [fd, message, flags]) => {
                let buffers = vector(message.field("msg_iov").ok_or("the message has no msg_iov")?)?;
                let control = message.field("msg_control").map_or(0, |_| CONTROL_ROOM);
                receive(self.fd(fd)?, lengths(buffers), small(flags)?, control, Through::Message)
            }
            ("write", [fd, bytes, room]) => self.send(fd, vec![data(bytes, length(room)?)], Through::File),
            ("writev", [fd, buffers, _]) => {
                let data = vector(buffers)?.iter().map(|(base, length)| data(base, *length)).collect();
                self.send(fd, data, Through::File)
            }
            ("send", [fd, bytes, room, flags]) => {
                let call = self.send(fd, vec![data(bytes, length(room)?)], Through::Socket)?;
                Ok(with_flags(call, small(flags)?, None))
            }
            ("sendto", [fd, bytes, room, flags, to, ..]) => {
                let call = self.send(fd, vec![data(bytes, length(room)?)], Through::Socket)?;
                Ok(with_flags(call, small(flags)?, self.receiver(Some(to))?))
            }
            ("sendmsg", [fd, message, flags]) => {
                let buffers = vector(message.field("msg_iov").ok_or("the message has no msg_iov")?)?;
                let bytes = buffers.iter().map(|(base, length)| data(base, *length)).collect();
                let call = self.send(fd, bytes, Through::Message)?;
                let to = match message.field("msg_name") {
                    Some(Expression::Any) | None => None,
                    other => self.receiver(other)?,
                };
                let mut call = with_flags(call, small(flags)?, to);
                if let Call::Send { control: messages, .. } = &mut call {
                    *messages = control(message.field("msg_control"))?;
                }
                Ok(call)
            }
            _ => self.prepare_waiting(line),
        }
    }

    /// Calls that wait for others, and pipes.
    fn prepare_waiting(&self, line: &CallLine) -> Result<Call, String> {
        match (line.name.as_str(), &line.arguments[..]) {
            ("poll", [Expression::List(items), _, timeout]) => {
                let waits = items.iter().map(|item| {
                    let field = |name| item.field(name).ok_or_else(|| format!("`{item}` has no {name}"));
                    Ok((self.fd(field("fd")?)?, value(field("events")?)? as i16))
                });
                Ok(Call::Poll(waits.collect::<Result<_, String>>()?, small(timeout)?))
            }
            ("epoll_create" | "epoll_create1", [_]) => Ok(Call::EpollCreate),
            ("epoll_ctl", [set, operation, fd, event]) => {
                let events = event.field("events").map_or(Ok(0), value)? as u32;
                let data =
                    answer::EPOLL_DATA.iter().find_map(|name| event.field(name)).map_or(Ok(0), value)?;
                let (set, fd) = (self.fd(set)?, self.fd(fd)?);
                Ok(Call::EpollControl { set, operation: small(operation)?, fd, events, data: data as u64 })
            }
            ("epoll_wait", [set, _, room, timeout]) => {
                Ok(Call::EpollWait(self.fd(set)?, length(room)?, small(timeout)?))
            }
            ("pipe", [_]) => Ok(Call::Pipe),
            ("splice", [from, _, to, _, count, flags]) => {
                let (from, to) = (self.fd(from)?, self.fd(to)?);
                Ok(Call::Splice { from, to, length: length(count)?, flags: value(flags)? as u32 })
            }
            (name, arguments) => {
                Err(format!("no system call `{name}` with {} arguments is known here", arguments.len()))
            }
        }
    }

    fn send(&self, fd: &Expression, data: Vec<Vec<u8>>, through: Through) -> Result<Call, String> {
        Ok(Call::Send { fd: self.fd(fd)?, data, flags: 0, to: None, control: Vec::new(), through })
    }

    /// Compares an answer with what the line says, and remembers what it brought.
    fn returned(
        &mut self,
        position: Position,
        line: &CallLine,
        call: &Call,
        answer: &Answer,
    ) -> Result<(), Failure> {
        if let Err(why) = self.compare_answer(line, answer) {
            return self.fail(position, format!("{}: {why}", line.name), Cause::Behaviour);
        }
        if let Err(why) = self.remember(line, call, answer) {
            return self.fail(position, format!("{}: {why}", line.name), Cause::Script);
        }
        Ok(())
    }

    /// Keeps descriptors and addresses for later lines.
    fn remember(&mut self, line: &CallLine, call: &Call, answer: &Answer) -> Result<(), String> {
        let in_progress = line.errno.as_deref() == Some("EINPROGRESS");
        let Ok(result) = answer.result else {
            if let (Call::Connect(fd, _), true) = (call, in_progress) {
                self.under_test = Some(*fd);
            }
            return Ok(());
        };
        match call {
            Call::Socket { kind, .. } => {
                let kind = match kind & 0xf {
                    1 => Kind::Stream,
                    2 => Kind::Datagram,
                    _ => Kind::Other,
                };
                self.adopt(&line.result, result, kind)?;
                if kind == Kind::Stream {
                    self.under_test = Some(result as i32);
                }
            }
            Call::Accept(..) => {
                self.adopt(&line.result, result, Kind::Stream)?;
                self.under_test = Some(result as i32);
            }
            Call::EpollCreate => self.adopt(&line.result, result, Kind::Other)?,
            Call::Pipe => {
                if let (Some(Expression::List(ends)), Some((read, write))) =
                    (line.arguments.first(), answer.ends)
                    && let [first, second] = &ends[..]
                {
                    self.adopt(first, read.into(), Kind::Other)?;
                    self.adopt(second, write.into(), Kind::Other)?;
                }
            }
            Call::Close(fd) => self.descriptors.retain(|_, socket| socket.fd != *fd),
            Call::Bind(fd, address) if self.kind(*fd) == Kind::Datagram => {
                self.flows.forget_current();
                let local = self.local_name(*fd, *address);
                self.flows.listen(local);
            }
            Call::Listen(fd, _) => {
                let local = self.local_name(*fd, self.setting.bind_address());
                self.flows.listen(local);
            }
            Call::Connect(fd, Some(remote)) if self.kind(*fd) == Kind::Datagram => self.speak(*fd, *remote),
            Call::Send { fd, to: Some(remote), .. } if self.kind(*fd) == Kind::Datagram => {
                self.speak(*fd, *remote);
            }
            _ => {}
        }
        Ok(())
    }

    /// A socket of datagrams speaks to `remote`.
    fn speak(&mut self, fd: i32, remote: SocketAddr) {
        let local = self.local_name(fd, SocketAddr::new(self.setting.local, 0));
        self.flows.datagrams(local, unmapped(remote));
    }

    /// Where a socket is bound, as packets show it.
    fn local_name(&mut self, fd: i32, otherwise: SocketAddr) -> SocketAddr {
        let answer = self.machine.call(Call::LocalName(fd)).ok();
        let mut local = unmapped(answer.and_then(|answer| answer.address).unwrap_or(otherwise));
        if local.ip().is_unspecified() {
            local.set_ip(self.setting.local);
        }
        local
    }

    /// The script's name for a descriptor that a call brought.
    fn adopt(&mut self, name: &Expression, fd: i64, kind: Kind) -> Result<(), String> {
        let name = value(name)?;
        self.descriptors.insert(name, Socket { fd: fd as i32, kind });
        Ok(())
    }
}

fn with_flags(mut call: Call, new: i32, receiver: Option<SocketAddr>) -> Call {
    if let Call::Send { flags, to, .. } = &mut call {
        *flags = new;
        *to = receiver;
    }
    call
}

/// An address as packets show it.
fn unmapped(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => SocketAddr::new(ip.into(), address.port()),
            None => address,
        },
        IpAddr::V4(_) => address,
    }
}
