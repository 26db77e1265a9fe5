//! Our host's sockets over its loopback.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use wharf_stack::socket::{Domain, Errno, Host, How, Kind, OptionName, OptionValue};
use wharf_stack::socket::{ReceiveFlags, SendFlags, SocketId, User};
use wharf_stack::stack::{HostRole, Medium, Role};
use wharf_table::{Endpoint, Instant};

use super::kernel::shown;
use super::{Answer, World};
use crate::hosts;

/// Sockets by the names of the story.
pub(super) struct Ours {
    host: Host,
    now: Instant,
    sockets: BTreeMap<String, SocketId>,
}

impl Ours {
    pub(super) fn new() -> Ours {
        let mut config = hosts::config(1, Medium::Ip);
        config.stack.role = Role::Host(HostRole::default());
        let now = Instant::from_millis(1_000);
        Ours { host: Host::new(config, now), now, sockets: BTreeMap::new() }
    }

    fn id(&self, name: &str) -> SocketId {
        self.sockets[name]
    }
}

fn done<T>(result: Result<T, Errno>) -> Answer {
    result.map(|_| "ok".to_owned()).map_err(|errno| errno.name().to_owned())
}

fn number(result: Result<usize, Errno>) -> Answer {
    result.map(|count| count.to_string()).map_err(|errno| errno.name().to_owned())
}

fn endpoint(result: Result<Endpoint, Errno>) -> Answer {
    result.map(|at| shown(at.socket_addr())).map_err(|errno| errno.name().to_owned())
}

impl World for Ours {
    fn pause(&mut self) {
        self.now += std::time::Duration::from_micros(500);
        self.host.handle_timeout(self.now);
    }

    fn socket(&mut self, name: &str, v6: bool, stream: bool) -> Answer {
        let domain = if v6 { Domain::V6 } else { Domain::V4 };
        let kind = if stream { Kind::Stream } else { Kind::Datagram };
        let id = self.host.socket(User::ROOT, domain, kind).unwrap();
        self.sockets.insert(name.to_owned(), id);
        Ok("ok".to_owned())
    }

    fn port_of(&self, name: &str) -> u16 {
        self.host.local(self.id(name)).unwrap().port
    }

    fn bind(&mut self, name: &str, at: SocketAddr) -> Answer {
        done(self.host.bind(self.id(name), at.into()))
    }

    fn listen(&mut self, name: &str, backlog: i32) -> Answer {
        done(self.host.listen(self.now, self.id(name), backlog))
    }

    fn accept(&mut self, name: &str, at: &str) -> Answer {
        let accepted = self.host.accept(self.now, self.id(at));
        if let Ok((id, _)) = accepted {
            self.sockets.insert(name.to_owned(), id);
        }
        done(accepted)
    }

    fn connect(&mut self, name: &str, to: SocketAddr) -> Answer {
        done(self.host.connect(self.now, self.id(name), to.into()))
    }

    fn disconnect(&mut self, name: &str) -> Answer {
        done(self.host.disconnect(self.now, self.id(name)))
    }

    fn send(&mut self, name: &str, count: usize, to: Option<SocketAddr>) -> Answer {
        let (id, bytes, flags) = (self.id(name), vec![b'x'; count], SendFlags::default());
        number(match to {
            None => self.host.send(self.now, id, &bytes, flags),
            Some(to) => self.host.send_to(self.now, id, &bytes, to.into(), flags),
        })
    }

    fn receive(&mut self, name: &str, count: usize, how: &str) -> Answer {
        let flags = ReceiveFlags {
            peek: how == "peek",
            truncate: how == "trunc",
            out_of_band: how == "oob",
            ..ReceiveFlags::default()
        };
        let mut buffer = vec![0; count];
        let received = self.host.receive(self.now, self.id(name), &mut buffer, flags);
        number(received.map(|received| received.count))
    }

    fn shutdown(&mut self, name: &str, how: &str) -> Answer {
        let how = match how {
            "rd" => How::Read,
            "wr" => How::Write,
            _ => How::Both,
        };
        done(self.host.shutdown(self.now, self.id(name), how))
    }

    fn close(&mut self, name: &str) -> Answer {
        done(self.host.close(self.now, self.sockets.remove(name).unwrap()))
    }

    fn error(&mut self, name: &str) -> Answer {
        match self.host.option(self.id(name), OptionName::Error) {
            Ok(OptionValue::Error(error)) => Ok(error.map_or("none", Errno::name).to_owned()),
            other => panic!("SO_ERROR is {other:?}"),
        }
    }

    fn poll(&mut self, name: &str) -> Answer {
        Ok(format!("{:#x}", self.host.readiness(self.id(name)).unwrap().bits()))
    }

    fn local(&mut self, name: &str) -> Answer {
        endpoint(self.host.local(self.id(name)))
    }

    fn peer(&mut self, name: &str) -> Answer {
        endpoint(self.host.peer(self.id(name)))
    }

    fn unread(&mut self, name: &str) -> Answer {
        number(self.host.unread(self.id(name)))
    }

    fn set(&mut self, name: &str, option: &str, value: i32) -> Answer {
        let option = OptionName::from_name(option).unwrap();
        let value = match option {
            OptionName::Linger => OptionValue::Linger(u16::try_from(value).ok()),
            _ => OptionValue::Number(value),
        };
        done(self.host.set_option(self.now, self.id(name), option, &value))
    }

    fn get(&mut self, name: &str, option: &str) -> Answer {
        let option = OptionName::from_name(option).unwrap();
        match self.host.option(self.id(name), option) {
            Ok(OptionValue::Linger(linger)) => Ok(linger.map_or(-1, i32::from).to_string()),
            Ok(value) => Ok(value.as_number().unwrap().to_string()),
            Err(errno) => Err(errno.name().to_owned()),
        }
    }
}
