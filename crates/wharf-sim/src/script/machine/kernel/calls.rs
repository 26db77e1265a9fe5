//! The thread that makes a script's system calls, one after the other.

use std::collections::HashMap;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, epoll};
use rustix::fs::OFlags;
use wharf_sys::socket::{self, bare};

use crate::script::call::{Answer, Call, ControlMessage, Errno, Fd, Through};
use crate::script::constants::value;

/// Makes the calls that come, until nobody is left to make them for.
pub(super) fn serve(calls: &Receiver<Call>, answers: &Sender<(Instant, Answer)>) {
    let mut descriptors = Descriptors::default();
    while let Ok(call) = calls.recv() {
        let answer = descriptors
            .make(call)
            .unwrap_or_else(|error| Answer::failed(Errno(error.raw_os_error().unwrap_or_default())));
        if answers.send((Instant::now(), answer)).is_err() {
            return;
        }
    }
}

/// The script's descriptors.
#[derive(Debug, Default)]
struct Descriptors(HashMap<Fd, OwnedFd>);

fn bad_descriptor() -> io::Error {
    rustix::io::Errno::BADF.into()
}

fn number(name: &str) -> i32 {
    value(name).unwrap_or_default() as i32
}

impl Descriptors {
    fn find(&self, fd: Fd) -> io::Result<&OwnedFd> {
        self.0.get(&fd).ok_or_else(bad_descriptor)
    }

    fn keep(&mut self, fd: OwnedFd) -> Fd {
        let number = fd.as_raw_fd();
        self.0.insert(number, fd);
        number
    }

    fn make(&mut self, call: Call) -> io::Result<Answer> {
        let done = |()| Answer::returned(0);
        match call {
            Call::Socket { domain, kind, protocol } => {
                let fd = bare::socket(domain, kind, protocol)?;
                Ok(Answer::returned(self.keep(fd).into()))
            }
            Call::Bind(fd, address) => socket::bind(self.find(fd)?, address).map(done),
            Call::Listen(fd, backlog) => socket::listen(self.find(fd)?, backlog).map(done),
            Call::Accept(fd, flags) => {
                let (fd, address) = bare::accept(self.find(fd)?, flags)?;
                Ok(Answer { address, ..Answer::returned(self.keep(fd).into()) })
            }
            Call::Connect(fd, address) => bare::connect(self.find(fd)?, address).map(done),
            Call::LocalName(fd) => {
                let address = socket::local_address(self.find(fd)?)?;
                Ok(Answer { address: Some(address), ..Answer::returned(0) })
            }
            Call::PeerName(fd) => {
                let address = bare::peer_address(self.find(fd)?)?;
                Ok(Answer { address, ..Answer::returned(0) })
            }
            Call::Receive { fd, room, flags, control_room, through } => {
                self.receive(fd, &room, flags, control_room, through)
            }
            Call::Send { fd, data, flags, to, control, through } => {
                let fd = self.find(fd)?;
                let slices: Vec<IoSlice<'_>> = data.iter().map(|data| IoSlice::new(data)).collect();
                let sent = match through {
                    Through::File => rustix::io::writev(fd, &slices)?,
                    Through::Socket | Through::Message => {
                        let control: Vec<bare::ControlMessage> =
                            control.into_iter().map(|part| (part.level, part.kind, part.data)).collect();
                        // A broken pipe would end this process.
                        bare::send(fd, &slices, to, &control, flags | number("MSG_NOSIGNAL"))?
                    }
                };
                Ok(Answer::returned(sent as i64))
            }
            Call::Fcntl(fd, command, argument) => self.fcntl(fd, command, argument),
            Call::Ioctl(fd, request, argument) => {
                let number = bare::number(self.find(fd)?, request, argument as i32)?;
                Ok(Answer { number: number.into(), ..Answer::returned(0) })
            }
            Call::Close(fd) => {
                drop(self.0.remove(&fd).ok_or_else(bad_descriptor)?);
                Ok(Answer::returned(0))
            }
            Call::Shutdown(fd, how) => {
                use rustix::net::Shutdown;
                let how = match how {
                    0 => Shutdown::Read,
                    1 => Shutdown::Write,
                    2 => Shutdown::Both,
                    _ => return Err(rustix::io::Errno::INVAL.into()),
                };
                Ok(rustix::net::shutdown(self.find(fd)?, how).map(done)?)
            }
            Call::GetOption { fd, level, name, room } => {
                let data = bare::option(self.find(fd)?, level, name, room)?;
                Ok(Answer { data, ..Answer::returned(0) })
            }
            Call::SetOption { fd, level, name, value } => {
                bare::set_option(self.find(fd)?, level, name, &value).map(done)
            }
            Call::Poll(waits, timeout) => self.poll(&waits, timeout),
            Call::EpollCreate => {
                let fd = epoll::create(epoll::CreateFlags::CLOEXEC)?;
                Ok(Answer::returned(self.keep(fd).into()))
            }
            Call::EpollControl { set, operation, fd, events, data } => {
                self.epoll_control(set, operation, fd, events, data)
            }
            Call::EpollWait(set, room, timeout) => self.epoll_wait(set, room, timeout),
            Call::Pipe => {
                let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
                let ends = Some((self.keep(read), self.keep(write)));
                Ok(Answer { ends, ..Answer::returned(0) })
            }
            Call::Splice { from, to, length, flags } => {
                let flags = rustix::pipe::SpliceFlags::from_bits_retain(flags);
                let moved =
                    rustix::pipe::splice(self.find(from)?, None, self.find(to)?, None, length, flags)?;
                Ok(Answer::returned(moved as i64))
            }
        }
    }

    fn receive(
        &self,
        fd: Fd,
        room: &[usize],
        flags: i32,
        control_room: usize,
        through: Through,
    ) -> io::Result<Answer> {
        let fd = self.find(fd)?;
        let mut buffers: Vec<Vec<u8>> = room.iter().map(|length| vec![0; *length]).collect();
        let mut slices: Vec<IoSliceMut<'_>> =
            buffers.iter_mut().map(|buffer| IoSliceMut::new(buffer)).collect();
        let message = match through {
            Through::File => {
                let length = rustix::io::readv(fd, &mut slices)?;
                bare::Message { length, ..bare::Message::default() }
            }
            Through::Socket | Through::Message => bare::receive(fd, &mut slices, control_room, flags)?,
        };
        let mut data = buffers.concat();
        data.truncate(message.length);
        let control = message.control.into_iter();
        Ok(Answer {
            data,
            address: message.address,
            flags: message.flags,
            control: control.map(|(level, kind, data)| ControlMessage { level, kind, data }).collect(),
            ..Answer::returned(message.length as i64)
        })
    }

    fn fcntl(&self, fd: Fd, command: i32, argument: i64) -> io::Result<Answer> {
        let fd = self.find(fd)?;
        if command == number("F_GETFL") {
            return Ok(Answer::returned(rustix::fs::fcntl_getfl(fd)?.bits().into()));
        }
        if command == number("F_SETFL") {
            rustix::fs::fcntl_setfl(fd, OFlags::from_bits_retain(argument as u32))?;
            return Ok(Answer::returned(0));
        }
        Err(rustix::io::Errno::INVAL.into())
    }

    fn poll(&self, waits: &[(Fd, i16)], timeout: i32) -> io::Result<Answer> {
        let mut fds = Vec::new();
        for (fd, events) in waits {
            let flags = PollFlags::from_bits_retain(*events as u16);
            fds.push(PollFd::from_borrowed_fd(self.find(*fd)?.as_fd(), flags));
        }
        let ready = rustix::event::poll(&mut fds, span(timeout).as_ref())?;
        let found = fds.iter().map(|fd| fd.revents().bits() as i16).collect();
        Ok(Answer { found, ..Answer::returned(ready as i64) })
    }

    fn epoll_control(&self, set: Fd, operation: i32, fd: Fd, events: u32, data: u64) -> io::Result<Answer> {
        let (set, fd) = (self.find(set)?, self.find(fd)?);
        let (data, events) = (epoll::EventData::new_u64(data), epoll::EventFlags::from_bits_retain(events));
        match operation {
            1 => epoll::add(set, fd, data, events)?,
            2 => epoll::delete(set, fd)?,
            3 => epoll::modify(set, fd, data, events)?,
            _ => return Err(rustix::io::Errno::INVAL.into()),
        }
        Ok(Answer::returned(0))
    }

    fn epoll_wait(&self, set: Fd, room: usize, timeout: i32) -> io::Result<Answer> {
        let mut events = vec![MaybeUninit::uninit(); room];
        let (ready, _) = epoll::wait(self.find(set)?, &mut events[..], span(timeout).as_ref())?;
        let events: Vec<(u32, u64)> =
            ready.iter().map(|event| ({ event.flags }.bits(), { event.data }.u64())).collect();
        Ok(Answer { result: Ok(events.len() as i64), events, ..Answer::default() })
    }
}

/// Milliseconds, or no end.
fn span(timeout: i32) -> Option<Timespec> {
    let span = Duration::from_millis(timeout.try_into().ok()?);
    Some(Timespec { tv_sec: span.as_secs() as i64, tv_nsec: span.subsec_nanos().into() })
}
