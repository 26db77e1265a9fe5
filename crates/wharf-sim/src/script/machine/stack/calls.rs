//! A script's calls as calls of the laboratory's host.

use wharf_packetdrill::lab::{Lab, Outcome};

use crate::script::call::{Answer, Call, ControlMessage, Errno, Through};
use crate::script::constants::value;

fn number(name: &str) -> i32 {
    value(name).unwrap_or_default() as i32
}

/// Makes a call; it may block.
pub(super) fn make(lab: &Lab, call: Call) -> Answer {
    attempt(lab, call).unwrap_or_else(|errno| Answer::failed(Errno(errno)))
}

fn attempt(lab: &Lab, call: Call) -> Outcome<Answer> {
    match call {
        Call::Socket { domain, kind, protocol } => lab.socket(domain, kind, protocol).map(Answer::returned),
        Call::Bind(fd, address) => lab.bind(fd, address).map(Answer::returned),
        Call::Listen(fd, backlog) => lab.listen(fd, backlog).map(Answer::returned),
        Call::Accept(fd, flags) => {
            let (new, peer) = lab.accept(fd)?;
            if flags & number("SOCK_NONBLOCK") != 0 {
                lab.fcntl(new, number("F_SETFL"), number("O_NONBLOCK"))?;
            }
            Ok(Answer { address: Some(peer), ..Answer::returned(new.into()) })
        }
        Call::Connect(fd, address) => lab.connect(fd, address).map(Answer::returned),
        Call::LocalName(fd) => Ok(Answer { address: Some(lab.local(fd)?), ..Answer::returned(0) }),
        Call::PeerName(fd) => Ok(Answer { address: Some(lab.peer(fd)?), ..Answer::returned(0) }),
        Call::Receive { fd, room, flags, control_room, through } => {
            receive(lab, fd, room.iter().sum(), flags, control_room, through)
        }
        Call::Send { fd, data, flags, to, through, .. } => {
            let flags = if through == Through::File { 0 } else { flags };
            lab.send(fd, &data.concat(), flags, to).map(Answer::returned)
        }
        Call::Fcntl(fd, command, argument) => lab.fcntl(fd, command, argument as i32).map(Answer::returned),
        Call::Ioctl(fd, request, argument) if request == number("FIONBIO") as u64 => {
            let flags = if argument == 0 { 0 } else { number("O_NONBLOCK") };
            lab.fcntl(fd, number("F_SETFL"), flags).map(Answer::returned)
        }
        Call::Ioctl(fd, request, _) => {
            let number = lab.ioctl(fd, request)?;
            Ok(Answer { number: number.into(), ..Answer::returned(0) })
        }
        Call::Close(fd) => lab.close(fd).map(Answer::returned),
        Call::Shutdown(fd, how) => lab.shutdown(fd, how).map(Answer::returned),
        Call::GetOption { fd, level, name, room } => {
            let mut data = lab.option(fd, level, name)?;
            data.truncate(room);
            Ok(Answer { data, ..Answer::returned(0) })
        }
        Call::SetOption { fd, level, name, value } => {
            lab.set_option(fd, level, name, &value).map(Answer::returned)
        }
        Call::Poll(waits, timeout) => {
            let (count, found) = lab.poll(&waits, timeout)?;
            Ok(Answer { found, ..Answer::returned(count) })
        }
        Call::EpollCreate => lab.epoll_create().map(Answer::returned),
        Call::EpollControl { set, operation, fd, events, data } => {
            lab.epoll_control(set, operation, fd, events, data).map(Answer::returned)
        }
        Call::EpollWait(set, room, timeout) => {
            let events = lab.epoll_wait(set, room as i32, timeout)?;
            Ok(Answer { result: Ok(events.len() as i64), events, ..Answer::default() })
        }
        // Pipes are the kernel's own; scripts that need them are for it.
        Call::Pipe => Err(number("EOPNOTSUPP")),
        Call::Splice { from, to, length, flags } => lab.splice(from, to, length, flags).map(Answer::returned),
    }
}

fn receive(
    lab: &Lab,
    fd: i32,
    room: usize,
    flags: i32,
    control_room: usize,
    through: Through,
) -> Outcome<Answer> {
    let flags = if through == Through::File { 0 } else { flags };
    let received = lab.receive(fd, room, flags)?;
    let control = received.control.into_iter().filter(|_| control_room > 0);
    Ok(Answer {
        data: received.bytes,
        address: received.from,
        flags: received.flags,
        control: control.map(|(level, kind, data)| ControlMessage { level, kind, data }).collect(),
        ..Answer::returned(received.answer)
    })
}
