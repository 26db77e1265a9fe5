//! The running kernel's sockets over loopback.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, sockopt};

use super::{Answer, World};

/// Sockets by the names of the story.
#[derive(Default)]
pub(super) struct Kernel {
    sockets: BTreeMap<String, OwnedFd>,
}

fn errno(error: Errno) -> String {
    let number = error.raw_os_error();
    let known = wharf_stack::socket::Errno::ALL.iter().find(|errno| errno.number() == number);
    known.map_or_else(|| format!("errno {number}"), |errno| errno.name().to_owned())
}

fn done<T>(result: Result<T, Errno>) -> Answer {
    result.map(|_| "ok".to_owned()).map_err(errno)
}

fn number<T: Into<i64>>(result: Result<T, Errno>) -> Answer {
    result.map(|value| value.into().to_string()).map_err(errno)
}

impl Kernel {
    fn fd(&self, name: &str) -> &OwnedFd {
        &self.sockets[name]
    }

    fn endpoint(&self, name: &str) -> SocketAddr {
        net::getsockname(self.fd(name)).unwrap().try_into().unwrap()
    }
}

impl World for Kernel {
    fn pause(&mut self) {
        // What one call has brought about is through the loopback before the next begins.
        std::thread::sleep(Duration::from_micros(500));
    }

    fn socket(&mut self, name: &str, v6: bool, stream: bool) -> Answer {
        let family = if v6 { AddressFamily::INET6 } else { AddressFamily::INET };
        let kind = if stream { SocketType::STREAM } else { SocketType::DGRAM };
        let fd = net::socket_with(family, kind, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None);
        self.sockets.insert(name.to_owned(), fd.unwrap());
        Ok("ok".to_owned())
    }

    fn port_of(&self, name: &str) -> u16 {
        self.endpoint(name).port()
    }

    fn bind(&mut self, name: &str, at: SocketAddr) -> Answer {
        done(net::bind(self.fd(name), &at))
    }

    fn listen(&mut self, name: &str, backlog: i32) -> Answer {
        done(net::listen(self.fd(name), backlog))
    }

    fn accept(&mut self, name: &str, at: &str) -> Answer {
        let fd = net::accept_with(self.fd(at), SocketFlags::NONBLOCK).map_err(errno)?;
        self.sockets.insert(name.to_owned(), fd);
        Ok("ok".to_owned())
    }

    fn connect(&mut self, name: &str, to: SocketAddr) -> Answer {
        done(net::connect(self.fd(name), &to))
    }

    fn disconnect(&mut self, name: &str) -> Answer {
        done(net::connect_unspec(self.fd(name)))
    }

    fn send(&mut self, name: &str, count: usize, to: Option<SocketAddr>) -> Answer {
        let (fd, bytes) = (self.fd(name), vec![b'x'; count]);
        let sent = match to {
            None => net::send(fd, &bytes, SendFlags::NOSIGNAL),
            Some(to) => net::sendto(fd, &bytes, SendFlags::NOSIGNAL, &to),
        };
        sent.map(|sent| sent.to_string()).map_err(errno)
    }

    fn receive(&mut self, name: &str, count: usize, how: &str) -> Answer {
        let flags = match how {
            "peek" => RecvFlags::PEEK,
            "trunc" => RecvFlags::TRUNC,
            "oob" => RecvFlags::OOB,
            _ => RecvFlags::empty(),
        };
        let mut buffer = vec![0; count];
        let (_, len) = net::recv(self.fd(name), &mut buffer, flags).map_err(errno)?;
        Ok(len.to_string())
    }

    fn shutdown(&mut self, name: &str, how: &str) -> Answer {
        let how = match how {
            "rd" => Shutdown::Read,
            "wr" => Shutdown::Write,
            _ => Shutdown::Both,
        };
        done(net::shutdown(self.fd(name), how))
    }

    fn close(&mut self, name: &str) -> Answer {
        self.sockets.remove(name);
        Ok("ok".to_owned())
    }

    fn error(&mut self, name: &str) -> Answer {
        match sockopt::socket_error(self.fd(name)) {
            Ok(Ok(())) => Ok("none".to_owned()),
            Ok(Err(error)) => Ok(errno(error)),
            Err(error) => Err(errno(error)),
        }
    }

    fn poll(&mut self, name: &str) -> Answer {
        let all = PollFlags::IN | PollFlags::PRI | PollFlags::OUT | PollFlags::RDHUP;
        let mut fds = [PollFd::new(self.fd(name), all)];
        poll(&mut fds, Some(&Timespec::default())).map_err(errno)?;
        Ok(format!("{:#x}", fds[0].revents().bits()))
    }

    fn local(&mut self, name: &str) -> Answer {
        let at = net::getsockname(self.fd(name)).map_err(errno)?;
        Ok(shown(at.try_into().unwrap()))
    }

    fn peer(&mut self, name: &str) -> Answer {
        let at = net::getpeername(self.fd(name)).map_err(errno)?;
        Ok(shown(
            at.map_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0), |at| at.try_into().unwrap()),
        ))
    }

    fn unread(&mut self, name: &str) -> Answer {
        number(rustix::io::ioctl_fionread(self.fd(name)).map(|count| count as i64))
    }

    fn set(&mut self, name: &str, option: &str, value: i32) -> Answer {
        let (fd, on) = (self.fd(name), value != 0);
        let seconds = Duration::from_secs(value.unsigned_abs().into());
        done(match option {
            "SO_REUSEADDR" => sockopt::set_socket_reuseaddr(fd, on),
            "SO_REUSEPORT" => sockopt::set_socket_reuseport(fd, on),
            "SO_KEEPALIVE" => sockopt::set_socket_keepalive(fd, on),
            "SO_BROADCAST" => sockopt::set_socket_broadcast(fd, on),
            "SO_OOBINLINE" => sockopt::set_socket_oobinline(fd, on),
            "SO_RCVBUF" => sockopt::set_socket_recv_buffer_size(fd, value as usize),
            "SO_SNDBUF" => sockopt::set_socket_send_buffer_size(fd, value as usize),
            "SO_LINGER" => sockopt::set_socket_linger(fd, (value >= 0).then_some(seconds)),
            "TCP_NODELAY" => sockopt::set_tcp_nodelay(fd, on),
            "TCP_CORK" => sockopt::set_tcp_cork(fd, on),
            "TCP_QUICKACK" => sockopt::set_tcp_quickack(fd, on),
            "TCP_KEEPIDLE" => sockopt::set_tcp_keepidle(fd, seconds),
            "TCP_KEEPINTVL" => sockopt::set_tcp_keepintvl(fd, seconds),
            "TCP_KEEPCNT" => sockopt::set_tcp_keepcnt(fd, value as u32),
            "TCP_USER_TIMEOUT" => sockopt::set_tcp_user_timeout(fd, value as u32),
            "IP_TTL" => sockopt::set_ip_ttl(fd, value as u32),
            "IP_TOS" => sockopt::set_ip_tos(fd, value as u8),
            "IPV6_V6ONLY" => sockopt::set_ipv6_v6only(fd, on),
            "IPV6_UNICAST_HOPS" => sockopt::set_ipv6_unicast_hops(fd, u8::try_from(value).ok()),
            "IPV6_TCLASS" => sockopt::set_ipv6_tclass(fd, value as u32),
            other => panic!("the kernel is not asked to set {other}"),
        })
    }

    fn get(&mut self, name: &str, option: &str) -> Answer {
        let fd = self.fd(name);
        let seconds = |span: Duration| span.as_secs() as i64;
        number(match option {
            "SO_REUSEADDR" => sockopt::socket_reuseaddr(fd).map(i64::from),
            "SO_REUSEPORT" => sockopt::socket_reuseport(fd).map(i64::from),
            "SO_KEEPALIVE" => sockopt::socket_keepalive(fd).map(i64::from),
            "SO_BROADCAST" => sockopt::socket_broadcast(fd).map(i64::from),
            "SO_OOBINLINE" => sockopt::socket_oobinline(fd).map(i64::from),
            "SO_ACCEPTCONN" => sockopt::socket_acceptconn(fd).map(i64::from),
            "SO_RCVBUF" => sockopt::socket_recv_buffer_size(fd).map(|size| size as i64),
            "SO_SNDBUF" => sockopt::socket_send_buffer_size(fd).map(|size| size as i64),
            "SO_TYPE" => sockopt::socket_type(fd).map(|kind| i64::from(kind.as_raw())),
            "SO_DOMAIN" => sockopt::socket_domain(fd).map(|family| i64::from(family.as_raw())),
            "SO_LINGER" => sockopt::socket_linger(fd).map(|linger| linger.map_or(-1, seconds)),
            "TCP_NODELAY" => sockopt::tcp_nodelay(fd).map(i64::from),
            "TCP_CORK" => sockopt::tcp_cork(fd).map(i64::from),
            "TCP_QUICKACK" => sockopt::tcp_quickack(fd).map(i64::from),
            "TCP_KEEPIDLE" => sockopt::tcp_keepidle(fd).map(seconds),
            "TCP_KEEPINTVL" => sockopt::tcp_keepintvl(fd).map(seconds),
            "TCP_KEEPCNT" => sockopt::tcp_keepcnt(fd).map(i64::from),
            "TCP_USER_TIMEOUT" => sockopt::tcp_user_timeout(fd).map(i64::from),
            "IP_TTL" => sockopt::ip_ttl(fd).map(i64::from),
            "IP_TOS" => sockopt::ip_tos(fd).map(i64::from),
            "IPV6_V6ONLY" => sockopt::ipv6_v6only(fd).map(i64::from),
            "IPV6_UNICAST_HOPS" => sockopt::ipv6_unicast_hops(fd).map(i64::from),
            "IPV6_TCLASS" => sockopt::ipv6_tclass(fd).map(i64::from),
            other => panic!("the kernel is not asked for {other}"),
        })
    }
}

/// An endpoint without what the worlds choose differently: ports that were not named.
pub(super) fn shown(at: SocketAddr) -> String {
    let ip = match at.ip() {
        IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4),
        ip => ip,
    };
    let any = ip == IpAddr::V6(Ipv6Addr::UNSPECIFIED) || ip == IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let ip = if any { "any".to_owned() } else { ip.to_string() };
    format!("{ip}:{}", if at.port() == 0 { "none" } else { "some" })
}
