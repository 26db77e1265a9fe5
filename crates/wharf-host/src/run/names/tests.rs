//! The name server against a real one: a python program on loopback that behaves as the question's first label says.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::time;

use super::*;
use wharf_wire::dns::{Header, QueryRepr, Rcode, RecordData, RecordType};

/// A name server of a test; gone when dropped.
struct Server {
    process: Child,
    at: SocketAddr,
}

impl Server {
    /// Starts one, over UDP and TCP or, with `udp`, without TCP. `None`, with a printed reason, without python.
    fn start(words: &[&str]) -> Option<Server> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/run/names/tests/server.py");
        let mut command = Command::new("python3");
        let Ok(mut process) = command.arg(script).args(words).stdout(Stdio::piped()).spawn() else {
            println!("skipped: python3 isn't installed");
            return None;
        };
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port: u16 = line.trim().parse().unwrap();
        Some(Server { process, at: ([127, 0, 0, 1], port).into() })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// A name server with its loop.
struct Lab {
    names: Names,
    poller: Poller,
    start: time::Instant,
    resolv_conf: PathBuf,
}

impl Drop for Lab {
    fn drop(&mut self) {
        std::fs::remove_file(&self.resolv_conf).unwrap();
    }
}

impl Lab {
    fn new(servers: &[SocketAddr], resolv_conf: &str) -> Lab {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("wharf-names-{}-{number}", std::process::id()));
        std::fs::write(&path, resolv_conf).unwrap();
        let config = NamesConfig {
            hosts: "/nonexistent/hosts".into(),
            resolv_conf: path.clone(),
            zone: "wharf.internal".parse().unwrap(),
            names: vec![("gateway.wharf.internal".parse().unwrap(), vec![Addr::v4([10, 0, 2, 2])])],
            first_token: 7 << 40,
            servers: (!servers.is_empty()).then(|| servers.to_vec()),
        };
        let poller = Poller::new(64).unwrap();
        let mut state = 1u64;
        let random = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 32
        };
        Lab {
            names: Names::new(config, poller.try_clone().unwrap(), random),
            poller,
            start: time::Instant::now(),
            resolv_conf: path,
        }
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.start.elapsed().as_micros() as u64)
    }

    fn query(&mut self, client: u64, transport: Transport, message: &[u8]) -> bool {
        self.names.handle_query(self.now(), ClientToken(client), transport, message)
    }

    /// The next answer, with the work that is needed for it.
    fn answer(&mut self) -> (u64, Vec<u8>) {
        loop {
            if let Some((ClientToken(client), answer)) = self.names.poll_answer() {
                return (client, answer);
            }
            assert!(self.start.elapsed().as_secs() < 30, "no answer");
            let until = self.names.poll_timeout().expect("something is under way");
            let now = self.now();
            let tokens: Vec<u64> =
                self.poller.wait(Some(until.since(now))).unwrap().map(|ready| ready.token).collect();
            tokens.into_iter().for_each(|token| self.names.handle_ready(self.now(), token));
            self.names.handle_timeout(self.now());
        }
    }

    fn ask(&mut self, name: &str, transport: Transport, edns: Option<u16>) -> Said {
        assert!(self.query(5, transport, &query(0x1234, name, edns)));
        let (client, answer) = self.answer();
        assert_eq!(client, 5);
        let said = Said::read(&answer);
        assert_eq!(said.header.id, 0x1234);
        said
    }
}

/// What an answer says.
struct Said {
    header: Header,
    texts: Vec<String>,
    len: usize,
}

impl Said {
    fn read(answer: &[u8]) -> Said {
        let message = Message::parse(answer).unwrap();
        assert!(message.header().response);
        let text = |data: RecordData<'_>| match data {
            RecordData::Other(text) => String::from_utf8(text[1..].to_vec()).unwrap(),
            RecordData::A(addr) => addr.to_string(),
            other => panic!("{other:?}"),
        };
        let texts = message.answers().map(|record| text(record.data)).collect();
        Said { header: *message.header(), texts, len: answer.len() }
    }
}

const UDP: Transport = Transport::Udp { max: 65_507 };

fn query(id: u16, name: &str, udp_payload_len: Option<u16>) -> Vec<u8> {
    let repr = QueryRepr { id, name: name.parse().unwrap(), kind: RecordType::TXT, udp_payload_len };
    let mut bytes = vec![0; repr.len()];
    repr.emit(&mut bytes);
    bytes
}

/// An address of loopback at which nobody listens.
fn nobody() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn every_query_has_a_port_and_an_id_of_its_own() {
    let Some(server) = Server::start(&[]) else { return };
    let mut lab = Lab::new(&[server.at], "");
    let mut seen = HashSet::new();
    for number in 0..50 {
        let said = lab.ask(&format!("any{number}.example"), UDP, None);
        let [how, port, id] = said.texts[0].split(' ').collect::<Vec<_>>()[..] else { panic!() };
        assert_eq!(how, "udp");
        assert_ne!(id, "4660", "the client's ID stays here");
        seen.insert((port.to_owned(), id.to_owned()));
    }
    let ports: HashSet<_> = seen.iter().map(|(port, _)| port).collect();
    let ids: HashSet<_> = seen.iter().map(|(_, id)| id).collect();
    assert!(ports.len() > 45 && ids.len() > 45, "{} ports, {} IDs", ports.len(), ids.len());
    assert_eq!(lab.names.exchanges.len() + lab.names.by_query.len() + lab.names.deadlines.len(), 0);
}

#[test]
fn a_truncated_answer_is_fetched_over_tcp_and_cut_to_the_clients_measure() {
    let Some(server) = Server::start(&[]) else { return };
    let mut lab = Lab::new(&[server.at], "");
    let whole = lab.ask("big.example", UDP, Some(8192));
    assert_eq!((whole.texts.len(), whole.header.truncated), (40, false));
    assert!(whole.len > 4000);
    let cut = lab.ask("big.example", UDP, Some(1232));
    assert_eq!((cut.texts.len(), cut.header.truncated), (0, true));
    let cut = lab.ask("medium.example", UDP, None);
    assert_eq!((cut.texts.len(), cut.header.truncated), (0, true), "900 bytes for who takes 512");
    assert_eq!(lab.ask("medium.example", UDP, Some(1232)).texts.len(), 8);
    assert!(lab.ask("medium.example", Transport::Udp { max: 600 }, Some(1232)).header.truncated);
    assert_eq!(lab.ask("big.example", Transport::Tcp, None).texts.len(), 40);
}

#[test]
fn without_tcp_a_truncated_answer_is_better_than_none() {
    let Some(server) = Server::start(&["udp"]) else { return };
    let mut lab = Lab::new(&[server.at], "");
    let said = lab.ask("onlyudp.example", UDP, None);
    assert_eq!((said.texts.len(), said.header.truncated), (2, true));
    assert!(lab.ask("any.example", Transport::Tcp, None).texts[0].starts_with("udp "), "asked over UDP then");
}

#[test]
fn forged_and_broken_answers_are_not_taken() {
    let Some(server) = Server::start(&[]) else { return };
    let mut lab = Lab::new(&[server.at], "");
    assert_eq!(lab.ask("forged.example", UDP, None).texts, ["right"]);
    assert_eq!(lab.ask("broken.example", UDP, None).header.rcode, Rcode::SERVER_FAILURE);
    assert_eq!(lab.ask("unread.example", UDP, None).header.rcode, Rcode::FORMAT_ERROR);
}

#[test]
fn the_next_server_is_asked_and_the_silent_one_last_from_then_on() {
    let Some(server) = Server::start(&[]) else { return };
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut lab = Lab::new(&[silent.local_addr().unwrap(), server.at], "options timeout:1\n");
    assert_eq!(lab.ask("any.example", UDP, None).texts.len(), 1);
    assert!(lab.start.elapsed() >= Duration::from_secs(1));
    let again = time::Instant::now();
    assert_eq!(lab.ask("other.example", UDP, None).texts.len(), 1);
    assert!(again.elapsed() < Duration::from_millis(900));
}

#[test]
fn a_failure_is_said_when_all_fail() {
    let Some(server) = Server::start(&[]) else { return };
    let mut lab = Lab::new(&[nobody(), nobody()], "");
    assert_eq!(lab.ask("any.example", UDP, None).header.rcode, Rcode::SERVER_FAILURE);
    assert!(lab.start.elapsed() < Duration::from_millis(900), "a refusal needs no time-out");
    let mut lab = Lab::new(&[nobody(), server.at], "");
    assert_eq!(lab.ask("any.example", Transport::Tcp, None).texts.len(), 1);
    assert_eq!(lab.ask("refused.example", UDP, None).header.rcode, Rcode::REFUSED, "as the server said");
    assert_eq!(lab.ask("servfail.example", Transport::Tcp, None).header.rcode, Rcode::SERVER_FAILURE);
    let mut lab = Lab::new(&[server.at], "options timeout:1 attempts:2\n");
    assert_eq!(lab.ask("silent.example", UDP, None).header.rcode, Rcode::SERVER_FAILURE);
    assert!((2..4).contains(&lab.start.elapsed().as_secs()));
}

#[test]
fn options_of_the_host_are_heeded() {
    let Some(server) = Server::start(&[]) else { return };
    let Some(other) = Server::start(&[]) else { return };
    let mut lab = Lab::new(&[server.at], "options use-vc\n");
    assert!(lab.ask("any.example", UDP, None).texts[0].starts_with("tcp "));
    let mut lab = Lab::new(&[server.at, other.at], "options rotate\n");
    lab.names.resolv_conf.refresh();
    let first = |lab: &mut Lab| lab.names.servers_in_order(Instant::ZERO)[0];
    assert_ne!(first(&mut lab), first(&mut lab));
}

#[test]
fn the_same_query_is_asked_once() {
    let Some(server) = Server::start(&[]) else { return };
    let mut lab = Lab::new(&[server.at], "");
    for client in 0..40 {
        assert!(lab.query(client, UDP, &query(client as u16, "any.example", None)));
    }
    assert_eq!(lab.names.exchanges.len(), 1);
    let mut said = HashSet::new();
    for _ in 0..40 {
        let (client, answer) = lab.answer();
        let answer = Said::read(&answer);
        assert_eq!(u64::from(answer.header.id), client);
        said.insert((answer.header.rcode.0, answer.texts.concat()));
    }
    assert_eq!(
        said.len(),
        2,
        "one answer for those who share it, SERVFAIL for those beyond the limit: {said:?}"
    );
}

#[test]
fn what_is_under_way_is_bounded() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut lab = Lab::new(&[silent.local_addr().unwrap()], "options timeout:30\n");
    for client in 0..EXCHANGES_MAX as u64 + 10 {
        assert!(lab.query(client, UDP, &query(1, &format!("n{client}.example"), None)));
    }
    assert!(lab.names.exchanges.len() <= EXCHANGES_MAX);
    let refused = std::iter::from_fn(|| lab.names.poll_answer()).count();
    assert_eq!(refused + lab.names.exchanges.len(), EXCHANGES_MAX + 10);
}

#[test]
fn hostile_messages_get_an_error_or_nothing() {
    let mut lab = Lab::new(&[nobody()], "");
    let good = query(0x1234, "gateway.wharf.internal", None);
    let mut with = |at: usize, value: u8| {
        let mut message = good.clone();
        message[at] = value;
        lab.query(1, UDP, &message).then(|| Header::parse(&lab.answer().1).unwrap().rcode)
    };
    assert_eq!(with(0, 0x12), Some(Rcode::NO_ERROR));
    assert_eq!(with(2, 0x80), None, "a response");
    assert_eq!(with(2, 5 << 3), Some(Rcode::NOT_IMPLEMENTED), "an update");
    assert_eq!(with(5, 0), Some(Rcode::FORMAT_ERROR), "no question");
    assert_eq!(with(5, 2), Some(Rcode::FORMAT_ERROR), "two questions, one there");
    assert_eq!(with(12, 0xc0), Some(Rcode::FORMAT_ERROR), "a name that points ahead");
    assert_eq!(with(good.len() - 3, 252), Some(Rcode::REFUSED), "a zone transfer");
    for len in 0..good.len() {
        let rcode = lab.query(1, UDP, &good[..len]).then(|| Header::parse(&lab.answer().1).unwrap().rcode);
        assert_eq!(rcode, (len >= 12).then_some(Rcode::FORMAT_ERROR), "{len} bytes");
    }
    let long = [good, vec![0; 5000]].concat();
    assert!(lab.query(1, Transport::Tcp, &long));
    assert_eq!(Header::parse(&lab.answer().1).unwrap().rcode, Rcode::FORMAT_ERROR);
}

#[test]
fn mutated_messages_do_no_harm() {
    let mut state = 88_172_645_463_325_252u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let good = query(7, "some.name.example", Some(1232));
    let parsed = Message::parse(&good).unwrap();
    let mut taken = 0;
    for _ in 0..200_000 {
        let mut message = good.clone();
        for _ in 0..1 + random() % 4 {
            let at = random() as usize % message.len();
            message[at] = random() as u8;
        }
        message.truncate(1 + random() as usize % (message.len() + 8));
        match reply::take(&message) {
            Taken::Query(query, question) => {
                taken += 1;
                let _ = reply::limit(&query, UDP);
                let _ =
                    Local::new("internal".parse().unwrap(), Vec::new()).answer(&Hosts::default(), &question);
            }
            Taken::Refused(answer) => {
                assert!(Message::parse(&answer).is_ok_and(|answer| answer.header().response))
            }
            Taken::Ignored => {}
        }
        let fitted = reply::fit(&message, &parsed, 9, 512);
        assert!(
            Message::parse(&fitted)
                .is_ok_and(|fitted| fitted.header().id == 9 && fitted.bytes().len() <= 512)
        );
    }
    assert!(taken > 1000, "{taken} were queries still");
}
