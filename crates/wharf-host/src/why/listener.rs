//! The listener: who takes what was delivered, on which address, and whether there is room.

use std::fs;
use std::net::{IpAddr, SocketAddr};

use wharf_table::rows::{Row, State, Transport};
use wharf_table::{Addr, Owner, Protocol};

use super::ground::Ground;
use super::{Effect, Fault, Step, Target, meant};

/// What was found at the end of the way.
#[derive(Debug)]
pub(super) struct Heard<'a> {
    pub(super) row: Option<&'a Row>,
    pub(super) steps: Vec<Step>,
    pub(super) fault: Option<Fault>,
}

/// Looks for who takes it.
pub(super) fn find<'a>(
    ground: &'a Ground,
    target: &Target,
    net: usize,
    to: SocketAddr,
    came_by: u32,
) -> Heard<'a> {
    let place = &ground.nets[net];
    let question = format!("{}/{to} in {}", target.protocol, place.called());
    let mut heard = Heard { row: None, steps: Vec::new(), fault: None };
    let transport = transport(target.protocol);
    let fits = |row: &&Row| is_serving(row) && row.local.port == to.port() && covers(row, to.ip(), came_by);
    // The more exact address wins, as in the kernel.
    let row = ground.rows_of(net, transport).filter(fits).max_by_key(|row| !row.local.addr.is_unspecified());
    let Some(row) = row else {
        let fault = meant::absent(ground, target, net, to, came_by);
        let found = fault.sentence.clone();
        heard.steps.push(Step::new("listener", question, found, Some(false)).at(&place.name));
        heard.fault = Some(fault);
        return heard;
    };
    heard.row = Some(row);
    let room = row.backlog.filter(|_| row.state == State::Listen);
    let waiting = room.map(|room| format!(", {} of {} wait to be taken", room.used, room.limit));
    let is_full = room.is_some_and(|room| room.used > room.limit);
    let found = format!("{} listens on {}{}", who(ground, row), local(row), waiting.unwrap_or_default());
    heard.steps.push(Step::new("listener", question, found, Some(!is_full)).at(&place.name));
    let (asked, said, ok) = describe_owner(ground, row);
    heard.steps.push(Step::new("owner", asked, said, ok).at(&place.name));
    if let Some(room) = room.filter(|_| is_full) {
        heard.fault = Some(full(ground, row, room.used, room.limit));
    } else if ok == Some(false) {
        heard.fault = Some(stopped(ground, row));
    }
    heard
}

pub(super) const fn transport(protocol: Protocol) -> Transport {
    match protocol {
        Protocol::Udp => Transport::Udp,
        _ => Transport::Tcp,
    }
}

/// Whether a row takes what comes from anybody.
pub(super) fn is_serving(row: &Row) -> bool {
    match row.transport {
        Transport::Udp => row.state == State::Bound,
        _ => row.state == State::Listen,
    }
}

/// Whether a listener takes what comes for an address by an interface.
pub(super) fn covers(row: &Row, to: IpAddr, came_by: u32) -> bool {
    (row.local.zone == 0 || row.local.zone == came_by || is_zoned(row)) && takes_address(row, to)
}

/// A link-local address has the zone of its link.
fn is_zoned(row: &Row) -> bool {
    !row.local.addr.is_v4() && row.local.addr.is_link_local()
}

/// Whether its address is this one, or any of the family.
pub(super) fn takes_address(row: &Row, to: IpAddr) -> bool {
    let own = row.local.addr;
    if own == Addr::ANY_V6 {
        return to.is_ipv6() || row.v6_only == Some(false);
    }
    own == Addr::ANY_V4 && to.is_ipv4() || own == Addr::from(to)
}

/// The local end of a row, with stars for what is any.
pub(super) fn local(row: &Row) -> String {
    let at = row.local.endpoint();
    match row.v6_only {
        Some(true) if at.addr == Addr::ANY_V6 => format!("{at} (IPv6 only)"),
        _ => at.to_string(),
    }
}

/// The owner that stands first.
pub(super) fn owner<'a>(ground: &'a Ground, row: &Row) -> Option<&'a Owner> {
    ground.rows.owners(row).map(|(owner, _)| owner).min_by_key(|owner| owner.pid)
}

/// Who holds a row, in words.
pub(super) fn who(ground: &Ground, row: &Row) -> String {
    match owner(ground, row) {
        Some(owner) => safe(&owner.to_string()),
        None => match ground.rows.user(row) {
            Some(user) => format!("a process that is hidden from you (user {user})"),
            None => "a process that is hidden from you".to_owned(),
        },
    }
}

/// A command may be called anything: nothing of it steers a terminal.
pub(super) fn safe(text: &str) -> String {
    let plain = |letter: char| -> Vec<char> {
        if letter.is_control() { letter.escape_unicode().collect() } else { vec![letter] }
    };
    text.chars().flat_map(plain).collect()
}

/// The owner as a step: what it is, its unit or container, whether it runs.
fn describe_owner(ground: &Ground, row: &Row) -> (String, String, Option<bool>) {
    let Some(owner) = owner(ground, row) else {
        return (local(row), "hidden (needs CAP_SYS_PTRACE, or root)".into(), None);
    };
    let group = ground.rows.group(row);
    let unit = group.and_then(|group| group.unit.as_deref()).map(|unit| format!(", unit {unit}"));
    let container =
        group.and_then(|group| group.container.as_deref()).map(|name| format!(", container {name}"));
    let state = owner.pid.and_then(process_state);
    let is_stopped = matches!(state, Some('T' | 't'));
    let words = if is_stopped { ", which is stopped" } else { "" };
    let command = owner.pid.map(command_line).unwrap_or_default().join(" ");
    let found = format!("{}{}{words}", unit.unwrap_or_default(), container.unwrap_or_default());
    let found = format!("{}{found}", if command.is_empty() { owner.to_string() } else { command });
    (safe(&owner.to_string()), safe(&found), Some(!is_stopped))
}

/// The letter of a process's state (proc(5)).
pub(super) fn process_state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// A process's program and its arguments.
pub(super) fn command_line(pid: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = bytes.split(|&byte| byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    let mut words: Vec<String> = words.collect();
    words.pop();
    words
}

/// Its backlog is full: it does not accept.
fn full(ground: &Ground, row: &Row, used: u32, limit: u32) -> Fault {
    let stopped = owner(ground, row).and_then(|owner| owner.pid).and_then(process_state);
    let is_stopped = matches!(stopped, Some('T' | 't'));
    let why = if is_stopped { "it is stopped" } else { "it does not accept them" };
    Fault {
        effect: Effect::Silent,
        sentence: format!(
            "the backlog of {} is full: {used} connections wait at {} where {limit} may, as {why}",
            who(ground, row),
            row.local.endpoint()
        ),
        remedy: if is_stopped { resume(ground, row) } else { restart(ground, row, None) },
        instead: None,
    }
}

fn stopped(ground: &Ground, row: &Row) -> Fault {
    Fault {
        effect: Effect::NoAnswer,
        sentence: format!("{} listens on {}, but is stopped", who(ground, row), local(row)),
        remedy: resume(ground, row),
        instead: None,
    }
}

/// The command that lets a stopped process go on.
pub(super) fn resume(ground: &Ground, row: &Row) -> Option<String> {
    owner(ground, row)?.pid.map(|pid| format!("kill -CONT {pid}"))
}

/// The command that starts it anew: by its unit, else as it was started, with another address where one is told.
pub(super) fn restart(ground: &Ground, row: &Row, address: Option<(String, String)>) -> Option<String> {
    let pid = owner(ground, row)?.pid?;
    let unit = ground.rows.group(row).and_then(|group| group.unit.clone());
    if let (Some(unit), None) = (unit.filter(|unit| unit.ends_with(".service")), &address) {
        return Some(format!("systemctl restart {unit}"));
    }
    let mut words = command_line(pid);
    if words.is_empty() {
        return None;
    }
    if let Some((old, new)) = address {
        let replaced: Vec<String> = words.iter().map(|word| replace_address(word, &old, &new)).collect();
        if replaced == words {
            return None;
        }
        words = replaced;
    }
    let directory = fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
    let place = ground.nets.iter().find(|net| net.id == row.network)?;
    let line: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    let command = place.command(&line.join(" "));
    Some(format!("kill {pid}; sleep 1; cd {} && {command} &", quoted(&directory.to_string_lossy())))
}

/// The word with another address in it, where the address stands by itself.
fn replace_address(word: &str, old: &str, new: &str) -> String {
    let is_edge =
        |letter: Option<char>| letter.is_none_or(|letter| !letter.is_ascii_alphanumeric() && letter != '.');
    match word.find(old) {
        Some(at)
            if is_edge(word.get(..at).and_then(|before| before.chars().next_back()))
                && is_edge(word.get(at + old.len()..).and_then(|behind| behind.chars().next())) =>
        {
            word.replacen(old, new, 1)
        }
        _ => word.to_owned(),
    }
}

/// A word as a shell takes it.
pub(super) fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:,=%@+".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_table::rows::End;

    fn row(at: &str, v6_only: Option<bool>) -> Row {
        let at: SocketAddr = at.parse().unwrap();
        Row { v6_only, ..Row::new(Transport::Tcp, End::new(at.into()), State::Listen) }
    }

    #[test]
    fn a_listener_takes_its_address_or_all_of_its_families() {
        let takes = |at: &str, v6_only, to: &str| covers(&row(at, v6_only), to.parse().unwrap(), 2);
        assert!(takes("0.0.0.0:80", None, "10.0.0.1") && !takes("0.0.0.0:80", None, "::1"));
        assert!(takes("[::]:80", Some(false), "10.0.0.1") && takes("[::]:80", Some(false), "::1"));
        assert!(!takes("[::]:80", Some(true), "10.0.0.1") && takes("[::]:80", Some(true), "::1"));
        assert!(takes("127.0.0.1:80", None, "127.0.0.1") && !takes("127.0.0.1:80", None, "127.0.0.2"));
        let mut bound = row("0.0.0.0:80", None);
        bound.local.zone = 3;
        assert!(
            !covers(&bound, "10.0.0.1".parse().unwrap(), 2) && covers(&bound, "10.0.0.1".parse().unwrap(), 3)
        );
    }

    #[test]
    fn an_address_is_replaced_where_it_stands_by_itself() {
        let replaced = |word| replace_address(word, "127.0.0.1", "10.0.0.1");
        assert_eq!(replaced("127.0.0.1"), "10.0.0.1");
        assert_eq!(replaced("--bind=127.0.0.1:80"), "--bind=10.0.0.1:80");
        assert_eq!(replaced("127.0.0.11"), "127.0.0.11");
        assert_eq!(replaced("9127.0.0.1"), "9127.0.0.1");
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }
}
