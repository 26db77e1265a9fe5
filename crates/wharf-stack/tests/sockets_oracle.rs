//! The running kernel as an oracle: the same calls on its sockets over loopback and on those of our host, and every answer
//! is the same: counts, errnos, poll(2), names.
//!
//! A story is a list of calls, one a line, ended by `;`:
//!
//! - `c = tcp4`, `tcp6`, `udp4`, `udp6`: socket(2), never blocking; `n = accept s`;
//! - `bind s ADDRESS`, `listen s 5`, `connect c ADDRESS`, `unspec c` (connect(2) with AF_UNSPEC);
//! - `send c 5`, `sendto u 5 ADDRESS`, `recv c 10`, `peek c 10`, `trunc c 10`, `oob c 1`;
//! - `shut c rd|wr|both`, `close c`, `error c` (SO_ERROR), `poll c`, `local c`, `peer c`, `inq c`;
//! - `set c OPTION NUMBER`, `get c OPTION`.
//!
//! An ADDRESS is an address with a port, `@s` (the loopback address with the port of socket `s`) or `ADDRESS@s`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod hosts;
#[path = "oracle/kernel.rs"]
mod kernel;
#[path = "oracle/ours.rs"]
mod ours;
#[path = "oracle/stories.rs"]
mod stories;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use stories::STORIES;

/// What a call has come to: its result, or its errno.
type Answer = Result<String, String>;

/// Somewhere with sockets.
trait World {
    fn pause(&mut self);
    fn socket(&mut self, name: &str, v6: bool, stream: bool) -> Answer;
    fn port_of(&self, name: &str) -> u16;
    fn bind(&mut self, name: &str, at: SocketAddr) -> Answer;
    fn listen(&mut self, name: &str, backlog: i32) -> Answer;
    fn accept(&mut self, name: &str, at: &str) -> Answer;
    fn connect(&mut self, name: &str, to: SocketAddr) -> Answer;
    fn disconnect(&mut self, name: &str) -> Answer;
    fn send(&mut self, name: &str, count: usize, to: Option<SocketAddr>) -> Answer;
    fn receive(&mut self, name: &str, count: usize, how: &str) -> Answer;
    fn shutdown(&mut self, name: &str, how: &str) -> Answer;
    fn close(&mut self, name: &str) -> Answer;
    fn error(&mut self, name: &str) -> Answer;
    fn poll(&mut self, name: &str) -> Answer;
    fn local(&mut self, name: &str) -> Answer;
    fn peer(&mut self, name: &str) -> Answer;
    fn unread(&mut self, name: &str) -> Answer;
    fn set(&mut self, name: &str, option: &str, value: i32) -> Answer;
    fn get(&mut self, name: &str, option: &str) -> Answer;
}

fn address(world: &dyn World, v6: bool, text: &str) -> SocketAddr {
    let Some((ip, of)) = text.split_once('@') else { return text.parse().unwrap() };
    let ip = match ip {
        "" if v6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
        "" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        ip => ip.trim_matches(['[', ']']).parse().unwrap(),
    };
    SocketAddr::new(ip, world.port_of(of))
}

fn step(world: &mut dyn World, v6: &mut Vec<String>, line: &str) -> Answer {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_v6 = |name: &str, v6: &[String]| v6.iter().any(|known| known == name);
    match words[..] {
        [name, "=", "accept", at] => world.accept(name, at),
        [name, "=", kind] => {
            let (kind, family) = kind.split_at(3);
            if family == "6" {
                v6.push(name.to_owned());
            }
            world.socket(name, family == "6", kind == "tcp")
        }
        ["bind", name, at] => world.bind(name, address(world, is_v6(name, v6), at)),
        ["listen", name, backlog] => world.listen(name, backlog.parse().unwrap()),
        ["connect", name, to] => world.connect(name, address(world, is_v6(name, v6), to)),
        ["unspec", name] => world.disconnect(name),
        ["send", name, count] => world.send(name, count.parse().unwrap(), None),
        ["sendto", name, count, to] => {
            let to = address(world, is_v6(name, v6), to);
            world.send(name, count.parse().unwrap(), Some(to))
        }
        [how @ ("recv" | "peek" | "trunc" | "oob"), name, count] => {
            world.receive(name, count.parse().unwrap(), how)
        }
        ["shut", name, how] => world.shutdown(name, how),
        ["close", name] => world.close(name),
        ["error", name] => world.error(name),
        ["poll", name] => world.poll(name),
        ["local", name] => world.local(name),
        ["peer", name] => world.peer(name),
        ["inq", name] => world.unread(name),
        ["set", name, option, value] => world.set(name, option, value.parse().unwrap()),
        ["get", name, option] => world.get(name, option),
        _ => panic!("no call is written so: {line}"),
    }
}

fn tell(world: &mut dyn World, story: &str) -> Vec<String> {
    let mut v6 = Vec::new();
    let lines = story.split(';').map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let answer = step(world, &mut v6, line);
            world.pause();
            format!("{line} -> {}", answer.unwrap_or_else(|errno| errno))
        })
        .collect()
}

#[test]
fn every_answer_is_the_kernels() {
    assert!(STORIES.len() >= 60, "{} stories", STORIES.len());
    let mut wrong = Vec::new();
    for (name, story) in STORIES {
        let theirs = tell(&mut kernel::Kernel::default(), story);
        let ours = tell(&mut ours::Ours::new(), story);
        for (ours, theirs) in ours.iter().zip(&theirs) {
            if ours != theirs {
                let (_, ours) = ours.split_once(" -> ").unwrap();
                wrong.push(format!("{name}: {theirs}, but ours {ours}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} answers differ:\n{}", wrong.len(), wrong.join("\n"));
}
