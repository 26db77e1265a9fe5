//! The name: the hosts file, then the name servers, as a program in that network would ask.

use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use wharf_wire::dns::{Message, Name, Rcode, RecordData};

use super::ground::{Ground, Net};
use super::{Effect, Fault, Step};
use crate::run::names::resolv::ResolvConf;

/// How long a name server may take.
const PATIENCE: Duration = Duration::from_millis(1500);
/// A, and AAAA.
const KINDS: [(u16, &str); 2] = [(1, "A"), (28, "AAAA")];

/// What was found of a name.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) steps: Vec<Step>,
    pub(super) fault: Option<Fault>,
}

/// What a name server said.
enum Said {
    Records(Vec<IpAddr>, Vec<String>),
    NoSuchName,
    Nothing,
    Failed(String),
}

/// Looks a name up in the network where the question is asked.
pub(super) fn look_up(ground: &Ground, name: &str) -> Found {
    let place = ground.start();
    let mut found = Found::default();
    let hosts = place.file("/etc/hosts");
    let text = fs::read_to_string(&hosts).unwrap_or_default();
    found.addresses = in_hosts(&text, name);
    if !found.addresses.is_empty() {
        let said = format!("{} in {}", list(&found.addresses), hosts.display());
        found.steps.push(Step::new("name", name.into(), said, Some(true)).at(&place.name));
        return found;
    }
    // RFC 6761, section 6.3.
    if name == "localhost" || name.ends_with(".localhost") {
        found.addresses = vec![std::net::Ipv6Addr::LOCALHOST.into(), std::net::Ipv4Addr::LOCALHOST.into()];
        let said = format!("{}, which it always is", list(&found.addresses));
        found.steps.push(Step::new("name", name.into(), said, Some(true)).at(&place.name));
        return found;
    }
    ask_servers(place, name, &text, &mut found);
    found
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
}

fn in_hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse().ok()) else { continue };
        if words.any(|word| word.eq_ignore_ascii_case(name)) && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

fn ask_servers(place: &Net, name: &str, hosts: &str, found: &mut Found) {
    let file = place.file("/etc/resolv.conf");
    let conf = ResolvConf::parse(&fs::read_to_string(&file).unwrap_or_default());
    let is_complete = name.contains('.');
    let mut names = vec![name.trim_end_matches('.').to_owned()];
    let completed = conf.search.iter().map(|domain| format!("{name}.{domain}"));
    if is_complete {
        names.extend(completed)
    } else {
        names.splice(0..0, completed).for_each(drop)
    }
    let mut last = (String::new(), Effect::NoName);
    for name in &names {
        match first_answer(place, name, &conf.servers) {
            (server, Said::Records(addresses, through)) => {
                let through: String = through.iter().map(|alias| format!("it is {alias}, ")).collect();
                let said = format!("{through}{} from name server {server}", list(&addresses));
                found.steps.push(Step::new("name", name.clone(), said, Some(true)).at(&place.name));
                found.addresses = addresses;
                return;
            }
            (server, Said::NoSuchName) => {
                last.0 = format!("name server {} says that it does not exist (NXDOMAIN)", server.ip())
            }
            (server, Said::Nothing) => last.0 = format!("name server {} has no address for it", server.ip()),
            (_, Said::Failed(why)) => last.0 = why,
        }
        found.steps.push(Step::new("name", name.clone(), last.0.clone(), Some(false)).at(&place.name));
    }
    let near = nearest(hosts, name);
    found.fault = Some(Fault {
        effect: last.1,
        sentence: match &near {
            Some(near) => format!("the name {name} is not known: {}; {near} is", last.0),
            None => format!("the name {name} is not known: {}", last.0),
        },
        remedy: None,
        instead: near,
    });
}

/// The first server that says anything.
fn first_answer(place: &Net, name: &str, servers: &[SocketAddr]) -> (SocketAddr, Said) {
    let nobody = SocketAddr::from(([127, 0, 0, 1], 53));
    let mut last = (nobody, Said::Failed("no name server is known (/etc/resolv.conf)".into()));
    for &server in servers {
        let said = place.inside(|| ask(name, server)).unwrap_or_else(|error| Said::Failed(error.to_string()));
        let is_over = !matches!(said, Said::Failed(_));
        last = (server, said);
        if is_over {
            break;
        }
    }
    last
}

/// Asks one server for both kinds of addresses.
fn ask(name: &str, server: SocketAddr) -> Said {
    let Ok(wire) = name.parse::<Name>() else { return Said::Failed(format!("{name:?} is no name")) };
    let any: SocketAddr =
        if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { (std::net::Ipv6Addr::UNSPECIFIED, 0).into() };
    let failed = |error: std::io::Error| Said::Failed(format!("name server {}: {error}", server.ip()));
    let opened = UdpSocket::bind(any).and_then(|socket| {
        socket.connect(server)?;
        Ok(socket)
    });
    let socket = match opened {
        Ok(socket) => socket,
        Err(error) => return failed(error),
    };
    let (mut addresses, mut aliases, mut exists, mut answered) = (Vec::new(), Vec::new(), true, 0);
    for (kind, _) in KINDS {
        let message = query(&wire, kind);
        if let Err(error) = socket.send(&message) {
            return failed(error);
        }
    }
    let end = Instant::now() + PATIENCE;
    let mut room = [0; 4096];
    while answered < KINDS.len() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || socket.set_read_timeout(Some(left)).is_err() {
            break;
        }
        let length = match socket.recv(&mut room) {
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
            Err(error) => return failed(error),
        };
        let Ok(message) = Message::parse(room.get(..length).unwrap_or_default()) else { continue };
        let is_ours = KINDS.iter().any(|(kind, _)| message.header().id == id(*kind));
        if !message.header().response || !is_ours {
            continue;
        }
        answered += 1;
        match message.header().rcode {
            Rcode::NO_ERROR => {}
            Rcode::NAME_ERROR => exists = false,
            Rcode(code) => {
                return Said::Failed(format!("name server {} refuses to say (code {code})", server.ip()));
            }
        }
        for record in message.answers() {
            match record.data {
                RecordData::A(address) | RecordData::Aaaa(address) => addresses.push(address.ip()),
                RecordData::Cname(alias) => aliases.push(alias.to_name().to_string()),
                _ => {}
            }
        }
    }
    aliases.dedup();
    match (addresses.is_empty(), exists, answered) {
        (false, ..) => Said::Records(addresses, aliases),
        (true, _, 0) => Said::Failed(format!("name server {} is silent", server.ip())),
        (true, false, _) => Said::NoSuchName,
        (true, true, _) => Said::Nothing,
    }
}

/// Two questions, told apart by their numbers.
const fn id(kind: u16) -> u16 {
    0x7761 ^ kind
}

/// A query that wants the server to find out (RFC 1035, section 4.1).
fn query(name: &Name, kind: u16) -> Vec<u8> {
    let [high, low] = id(kind).to_be_bytes();
    let header = [high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    [&header[..], name.wire(), &kind.to_be_bytes(), &[0, 1]].concat()
}

/// A name of the hosts file that differs by a letter.
fn nearest(hosts: &str, name: &str) -> Option<String> {
    let words = hosts.lines().flat_map(|line| {
        line.split('#').next().unwrap_or_default().split_ascii_whitespace().skip(1).collect::<Vec<_>>()
    });
    words.filter(|word| super::meant::distance(word, name) == 1).map(str::to_owned).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_all_addresses_of_a_name() {
        let text = "127.0.0.1 localhost\n::1 LOCALHOST # loop\n#10.0.0.1 hidden\n10.0.0.2 db db.example\n";
        assert_eq!(list(&in_hosts(text, "localhost")), "127.0.0.1, ::1");
        assert_eq!(list(&in_hosts(text, "db.example")), "10.0.0.2");
        assert!(in_hosts(text, "hidden").is_empty());
        assert_eq!(nearest(text, "localhos").as_deref(), Some("localhost"));
        assert_eq!(nearest(text, "nothing"), None);
    }

    #[test]
    fn a_query_is_read_back() {
        let name: Name = "example.org".parse().unwrap();
        let message = query(&name, 28);
        let message = Message::parse(&message).unwrap();
        let question = message.question().unwrap();
        assert_eq!((question.name.to_name(), question.kind.0), (name, 28));
        assert!(message.header().recursion_desired && !message.header().response);
    }
}
