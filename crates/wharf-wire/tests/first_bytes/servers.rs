//! What servers make of bytes that are nearly a hello or a head: nothing, where we refuse; or the name that we read.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use rustls::server::Acceptor;
use wharf_wire::host_name::Host;
use wharf_wire::shown::{Asked, Hidden, Protocol, Shown, first_bytes};

use crate::samples::{HEADS, hello, in_records};
use crate::splits::{apply, change};

/// `count` changed copies of these, and these.
fn changed(samples: &[Vec<u8>], count: usize) -> Vec<Vec<u8>> {
    let mut runner = TestRunner::deterministic();
    let strategy = (prop::sample::select(samples.to_vec()), prop::collection::vec(change(), 1..4));
    let copies = (0..count).map(|_| {
        let (mut bytes, changes) = strategy.new_tree(&mut runner).unwrap().current();
        changes.into_iter().for_each(|change| apply(&mut bytes, change));
        bytes
    });
    samples.iter().cloned().chain(copies).collect()
}

/// What a script in `peers` says of each of `inputs`, a line each.
fn ask(script: &str, inputs: &[Vec<u8>]) -> Option<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/first_bytes/peers").join(script);
    let child = Command::new("python3")
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else {
        println!("skipped: no python3");
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    let lines: String = inputs
        .iter()
        .map(|bytes| {
            bytes.iter().map(|byte| format!("{byte:02x}")).chain(["\n".to_owned()]).collect::<String>()
        })
        .collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let answers: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(answers.len(), inputs.len(), "{script} failed");
    Some(answers)
}

fn hellos() -> Vec<Vec<u8>> {
    let one = hello("one.example", &["h2", "http/1.1"]);
    let old = openssl_like(&one);
    vec![in_records(&one, 40), one, hello("Two.Example", &[]), hello("192.0.2.1", &["h3"]), old]
}

/// The hello with its extensions in another order: the name last.
fn openssl_like(hello: &[u8]) -> Vec<u8> {
    let at = 5 + 4 + 2 + 32;
    let session = at + 1 + usize::from(hello[at]);
    let suites = session + 2 + usize::from(u16::from_be_bytes([hello[session], hello[session + 1]]));
    let extensions = suites + 1 + usize::from(hello[suites]) + 2;
    let (mut front, mut rest, mut others, mut name) =
        (hello[..extensions].to_vec(), &hello[extensions..], vec![], vec![]);
    while !rest.is_empty() {
        let (extension, behind) = rest.split_at(4 + usize::from(u16::from_be_bytes([rest[2], rest[3]])));
        if extension[..2] == [0, 0] {
            name.extend_from_slice(extension)
        } else {
            others.extend_from_slice(extension)
        }
        rest = behind;
    }
    front.extend([others, name].concat());
    front
}

/// Whether `shown` lets a server see `name`, or a hello or head without one, and nothing else.
fn agrees(shown: &Shown, name: Option<&str>) -> bool {
    match (shown, name) {
        (Shown::Malformed { .. }, _) => true,
        (Shown::Name { host, .. } | Shown::Hidden { why: Hidden::Encrypted(Some(host)), .. }, Some(name)) => {
            Host::parse_server_name(name.as_bytes()).is_ok_and(|seen| seen == *host)
        }
        // An address in place of a name may be passed over (RFC 6066, section 3).
        (Shown::Name { host: Host::Addr(_), .. }, None) => true,
        (Shown::Hidden { .. }, None) => true,
        _ => false,
    }
}

#[test]
fn openssl_sees_no_other_name() {
    let inputs = changed(&hellos(), 6000);
    let Some(answers) = ask("tls_server.py", &inputs) else { return };
    let mut counts = [0; 3];
    for (bytes, answer) in inputs.iter().zip(&answers) {
        let shown = first_bytes(bytes);
        let name = match answer.as_str() {
            "!" => continue,
            "-" => None,
            name => Some(name),
        };
        counts[usize::from(name.is_some()) + usize::from(matches!(shown, Shown::Malformed { .. }))] += 1;
        assert!(agrees(&shown, name), "{answer:?}, we: {shown:?}, of {}", bytes.escape_ascii());
    }
    // Most that OpenSSL takes we take too, or the test would say nothing.
    println!("without a name {}, the same name {}, refused by us {}", counts[0], counts[1], counts[2]);
    assert!(counts[1] > 500 && counts[2] < counts[1], "{counts:?}");
}

#[test]
fn rustls_sees_no_other_name() {
    let mut same = 0;
    for bytes in changed(&hellos(), 20_000) {
        let mut acceptor = Acceptor::default();
        let mut rest = bytes.as_slice();
        let accepted = loop {
            if rest.is_empty() || acceptor.read_tls(&mut rest).is_err() {
                break None;
            }
            match acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => break Some(accepted),
                Err(_) => break None,
            }
        };
        let Some(accepted) = accepted else { continue };
        let (shown, hello) = (first_bytes(&bytes), accepted.client_hello());
        assert!(
            agrees(&shown, hello.server_name()),
            "{:?}, we: {shown:?}, of {}",
            hello.server_name(),
            bytes.escape_ascii()
        );
        same += usize::from(matches!(shown, Shown::Name { .. }));
    }
    assert!(same > 1000, "{same}");
}

/// Whether `shown` is what a server makes of this `Host`; the target's is of no interest to most.
fn agrees_on_host(shown: &Shown, field: Option<&str>) -> bool {
    match (shown, field.map(str::trim).filter(|field| !field.is_empty())) {
        (Shown::Malformed { .. }, _) => true,
        (Shown::Name { host, .. }, Some(field)) => {
            Host::parse_authority(field.as_bytes()).is_ok_and(|(seen, _)| seen == *host)
        }
        (Shown::Name { of: Asked::Proxy, .. } | Shown::Hidden { .. } | Shown::Silent(_), None) => true,
        _ => false,
    }
}

fn heads() -> Vec<Vec<u8>> {
    HEADS.iter().map(|head| head.as_bytes().to_vec()).collect()
}

#[test]
fn python_sees_no_other_host() {
    // It takes no empty lines before a request, so those are left out.
    let mut inputs = changed(&heads(), 6000);
    inputs.retain(|bytes| !bytes.starts_with(b"\r") && !bytes.starts_with(b"\n"));
    let Some(answers) = ask("http_server.py", &inputs) else { return };
    let mut same = 0;
    for (bytes, answer) in inputs.iter().zip(&answers) {
        let shown = first_bytes(bytes);
        let field = match answer.as_str() {
            "!" => continue,
            "-" => None,
            field => Some(field),
        };
        // A head that the input does not end is waited for by us; Python takes the end of the input for its end. It also takes
        // methods of any bytes, of which we say that they are not HTTP's.
        let method = bytes.trim_ascii_start().split(|&byte| byte == b' ').next().unwrap_or_default();
        let odd = method.len() > 32 || !method.iter().all(u8::is_ascii_graphic);
        let passed_over = shown == Shown::NeedMore || odd && shown == Shown::Silent(Protocol::Other);
        assert!(
            passed_over || agrees_on_host(&shown, field),
            "{answer:?}, we: {shown:?}, of {}",
            bytes.escape_ascii()
        );
        same += usize::from(matches!(shown, Shown::Name { .. }));
    }
    assert!(same > 300, "{same}");
}

#[test]
fn httparse_sees_no_other_host() {
    let mut same = 0;
    for bytes in changed(&heads(), 20_000) {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        let mut config = httparse::ParserConfig::default();
        config.allow_multiple_spaces_in_request_line_delimiters(true);
        let Ok(httparse::Status::Complete(_)) = config.parse_request(&mut request, &bytes) else { continue };
        let shown = first_bytes(&bytes);
        let field = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("host"));
        let field = field.map(|field| String::from_utf8_lossy(field.value).into_owned());
        assert!(
            agrees_on_host(&shown, field.as_deref()),
            "{field:?}, we: {shown:?}, of {}",
            bytes.escape_ascii()
        );
        same += usize::from(matches!(shown, Shown::Name { .. }));
    }
    assert!(same > 1000, "{same}");
}
