//! Nobody listens: what was probably meant. The same port on another address, in another network or run; the same program on
//! another port; a socket that is bound and does not listen.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use wharf_table::rows::{Row, State};
use wharf_table::{Addr, Port, Protocol, registry};

use super::ground::Ground;
use super::listener::{
    command_line, covers, is_serving, local, process_state, restart, resume, takes_address, transport, who,
};
use super::probe::{self, Answer, Manner, Said, Try};
use super::walk::{End, Sent, Walk};
use super::{Effect, Fault, Target};

/// The most listeners that are asked whether they speak HTTP.
const ASKED_MAX: usize = 8;

/// Why nobody takes it, and what would be taken.
pub(super) fn absent(ground: &Ground, target: &Target, net: usize, to: SocketAddr, came_by: u32) -> Fault {
    let transport = transport(target.protocol);
    let nobody = format!("nobody listens on {}/{to} in {}", target.protocol, ground.nets[net].called());
    let at_port = |row: &&Row| row.local.port == to.port();
    let serving = ground.rows_of(net, transport).filter(at_port).find(|row| is_serving(row));
    if let Some(row) = serving {
        return elsewhere_here(ground, target, net, to, row, came_by);
    }
    if let Some(row) = ground.rows_of(net, transport).filter(at_port).find(|row| row.state == State::Bound) {
        return bound(ground, row, &nobody);
    }
    // A run publishes a port of its own: others have nothing to do with it.
    let is_published = net != ground.start && ground.nets[net].run.is_some();
    if let Some(fault) =
        is_published.then(|| on_another_port(ground, target, net, to, came_by, &nobody)).flatten()
    {
        return fault;
    }
    if let Some(fault) = in_another_network(ground, target, net, to, &nobody) {
        return fault;
    }
    if let Some(fault) = on_another_port(ground, target, net, to, came_by, &nobody) {
        return fault;
    }
    Fault {
        effect: Effect::Refused,
        sentence: nobody,
        remedy: service(ground, to.port(), target.protocol),
        instead: None,
    }
}

/// The same port on another address, of another family, or behind another interface.
fn elsewhere_here(
    ground: &Ground,
    target: &Target,
    net: usize,
    to: SocketAddr,
    row: &Row,
    came_by: u32,
) -> Fault {
    let place = &ground.nets[net];
    let who = who(ground, row);
    let why = if takes_address(row, to.ip()) {
        format!("{who} listens on {} of interface {} only", local(row), place.device(row.local.zone).name)
    } else if row.local.addr == Addr::ANY_V6 {
        let setting = place.sysctl_number("ipv6/bindv6only").unwrap_or(0);
        format!(
            "{who} listens on {} for IPv6 only (IPV6_V6ONLY; net.ipv6.bindv6only is {setting})",
            row.local.endpoint()
        )
    } else if row.local.addr == Addr::ANY_V4 {
        format!("{who} listens on {} for IPv4 only", local(row))
    } else if row.local.addr.is_loopback() {
        format!("{who} listens on {} only, which is reached from {} alone", local(row), place.called())
    } else {
        format!("{who} listens on {} only", local(row))
    };
    let sentence = format!("nobody takes {}/{to}: {why}", target.protocol);
    let other = reachable_address(ground, net, row, to.ip());
    let fault =
        |remedy, instead| Fault { effect: Effect::Refused, sentence: sentence.clone(), remedy, instead };
    if let Some(at) = other.filter(|at| leads_to(ground, target, *at, net)) {
        return target.instead(ground, at, sentence.clone(), Effect::Refused);
    }
    // From elsewhere only the server can change it.
    if row.local.zone != 0 || row.local.addr.is_unspecified() {
        return fault(None, place.link(came_by).map(|_| local(row)));
    }
    let address = (row.local.addr.to_string(), to.ip().to_string());
    fault(restart(ground, row, Some(address)), None)
}

/// An address at which a listener of this network can be asked.
fn reachable_address(ground: &Ground, net: usize, row: &Row, like: IpAddr) -> Option<SocketAddr> {
    let address = match row.local.addr {
        Addr::ANY_V4 => own_address(ground, net, Ipv4Addr::LOCALHOST.into(), like)?,
        Addr::ANY_V6 => own_address(ground, net, Ipv6Addr::LOCALHOST.into(), like)?,
        address => address.ip(),
    };
    Some(SocketAddr::new(address, row.local.port))
}

/// Loopback where the question is asked there, else an address that others see.
fn own_address(ground: &Ground, net: usize, loopback: IpAddr, asked: IpAddr) -> Option<IpAddr> {
    if net == ground.start && asked.is_loopback() {
        return Some(loopback);
    }
    let own = ground.nets[net].addresses().iter().map(|own| own.address);
    let is_global = |address: &IpAddr| {
        !address.is_loopback()
            && !Addr::from(*address).is_link_local()
            && address.is_ipv4() == loopback.is_ipv4()
    };
    own.into_iter().find(is_global).or_else(|| (net == ground.start).then_some(loopback))
}

/// Whether a packet from where the question is asked comes to that network.
fn leads_to(ground: &Ground, target: &Target, at: SocketAddr, net: usize) -> bool {
    if at.ip().is_loopback() {
        return net == ground.start;
    }
    let sent = Sent { net: ground.start, protocol: target.protocol, from: target.from, to: at, zone: None };
    matches!(Walk::follow(ground, &sent).end, End::Delivered { net: there, .. } if there == net)
}

/// Bound, but nobody has called listen().
fn bound(ground: &Ground, row: &Row, nobody: &str) -> Fault {
    let who = who(ground, row);
    let pid = super::listener::owner(ground, row).and_then(|owner| owner.pid);
    let is_stopped = matches!(pid.and_then(process_state), Some('T' | 't'));
    let (why, remedy) = if is_stopped {
        ("it is stopped", resume(ground, row))
    } else {
        ("it has not called listen()", restart(ground, row, None))
    };
    let sentence =
        format!("{nobody}: {who} has bound {} and does not listen, as {why}", row.local.endpoint());
    Fault { effect: Effect::Refused, sentence, remedy, instead: None }
}

/// The same port in another network: a namespace, a container, a run.
fn in_another_network(
    ground: &Ground,
    target: &Target,
    net: usize,
    to: SocketAddr,
    nobody: &str,
) -> Option<Fault> {
    let transport = transport(target.protocol);
    let found = (0..ground.nets.len()).filter(|&other| other != net).find_map(|other| {
        let mut rows = ground.rows_of(other, transport);
        let row = rows.find(|row| row.local.port == to.port() && is_serving(row))?;
        Some((other, row))
    });
    let (other, row) = found?;
    let there = &ground.nets[other];
    let unpublished = if there.run.is_some() { ", which does not publish it" } else { "" };
    let sentence = format!(
        "{nobody}; {} listens on {} in {}{unpublished}",
        who(ground, row),
        local(row),
        there.called()
    );
    let at = reachable_address(ground, other, row, to.ip());
    if let Some(at) = at.filter(|at| leads_to(ground, target, *at, other)) {
        return Some(target.instead(ground, at, sentence, Effect::Refused));
    }
    let inside = match row.local.addr {
        Addr::ANY_V4 => Ipv4Addr::LOCALHOST.into(),
        Addr::ANY_V6 if row.v6_only == Some(false) => Ipv4Addr::LOCALHOST.into(),
        Addr::ANY_V6 => Ipv6Addr::LOCALHOST.into(),
        address => address.ip(),
    };
    let at = SocketAddr::new(inside, row.local.port);
    let remedy = target.command_for(at).map(|command| there.command(&command));
    Some(Fault {
        effect: Effect::Refused,
        sentence,
        remedy,
        instead: Some(format!("{at} in {}", there.called())),
    })
}

/// The same program on another port.
fn on_another_port(
    ground: &Ground,
    target: &Target,
    net: usize,
    to: SocketAddr,
    came_by: u32,
    nobody: &str,
) -> Option<Fault> {
    let fits = |row: &&Row| is_serving(row) && row.local.port != to.port() && covers(row, to.ip(), came_by);
    let mut rows: Vec<&Row> = ground.rows_of(net, transport(target.protocol)).filter(fits).collect();
    rows.sort_by_key(|row| row.local.port);
    rows.dedup_by_key(|row| row.local.port);
    let best = rows
        .iter()
        .map(|row| (likeness(ground, target, to.port(), row), *row))
        .max_by_key(|(score, row)| (*score, std::cmp::Reverse(row.local.port)));
    let row = match best {
        Some((score, row)) if score > 0 => row,
        _ => rows.iter().take(ASKED_MAX).find(|row| speaks_http(ground, target, net, to.ip(), row))?,
    };
    let at = SocketAddr::new(to.ip(), row.local.port);
    let sentence = format!("{nobody}; {} listens on port {}", who(ground, row), row.local.port);
    if net == ground.start || leads_to(ground, target, at, net) {
        return Some(target.instead(ground, at, sentence, Effect::Refused));
    }
    let there = &ground.nets[net];
    let remedy = target.command_for(at).map(|command| there.command(&command));
    let instead = Some(format!("{at} in {}", there.called()));
    Some(Fault { effect: Effect::Refused, sentence, remedy, instead })
}

/// How much a listener looks like the one that was meant.
fn likeness(ground: &Ground, target: &Target, port: u16, row: &Row) -> u32 {
    let owner = super::listener::owner(ground, row);
    let words = owner.and_then(|owner| owner.pid).map(command_line).unwrap_or_default();
    let number = port.to_string();
    let says_port = words
        .iter()
        .any(|word| word.split(|letter: char| !letter.is_ascii_digit()).any(|digits| digits == number));
    if says_port {
        return 100;
    }
    let name = Port::new(port).and_then(|port| registry::name(port, target.protocol));
    let command = owner.and_then(|owner| owner.command.as_deref()).unwrap_or_default();
    if [name, target.scheme()].into_iter().flatten().any(|name| !name.is_empty() && command.contains(name)) {
        return 60;
    }
    let other = row.local.port.to_string();
    let same_digits = |text: &str| {
        let mut digits: Vec<u8> = text.bytes().collect();
        digits.sort_unstable();
        digits
    };
    let is_near = distance(&number, &other) == 1
        || same_digits(&number) == same_digits(&other)
        || number.ends_with(&other)
        || other.ends_with(&number);
    // A port of the kernel's own choice is like another by chance.
    if is_near && port < 32_768 { 40 } else { 0 }
}

fn speaks_http(ground: &Ground, target: &Target, net: usize, to: IpAddr, row: &Row) -> bool {
    if !target.wants_http() || target.protocol == Protocol::Udp {
        return false;
    }
    let to = SocketAddr::new(to, row.local.port);
    let manner = Manner::Http { host: to.to_string(), path: "/".into() };
    let what = Try { protocol: Protocol::Tcp, from: None, to, zone: 0, manner };
    let answer = ground.nets[net].inside(|| probe::run(&what));
    match answer {
        Ok(Answer::Open(Said::Http(_))) => !target.wants_tls(),
        Ok(Answer::Open(Said::TlsAlert)) => target.wants_tls(),
        _ => false,
    }
}

/// The unit that serves a registered name, where one is installed.
fn service(ground: &Ground, port: u16, protocol: Protocol) -> Option<String> {
    if ground.start().netns().is_some() || ground.start().run.is_some() {
        return None;
    }
    let name = registry::name(Port::new(port)?, protocol)?;
    let units = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
    let is_there = |unit: &String| units.iter().any(|dir| std::path::Path::new(dir).join(unit).exists());
    let unit = [format!("{name}.service"), format!("{name}d.service")].into_iter().find(is_there)?;
    Some(format!("systemctl start {unit}"))
}

/// How many letters must be changed, put in or left out (Levenshtein).
pub(super) fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut before = at;
        let mut last = at + 1;
        for (slot, &against) in row.iter_mut().skip(1).zip(&other) {
            let changed = before + usize::from(letter != against);
            before = *slot;
            last = changed.min(before + 1).min(last + 1);
            *slot = last;
        }
        if let Some(first) = row.first_mut() {
            *first = at + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_letters() {
        assert_eq!(distance("8080", "8080"), 0);
        assert_eq!(distance("8080", "8081"), 1);
        assert_eq!(distance("8080", "808"), 1);
        assert_eq!(distance("8080", "18080"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
