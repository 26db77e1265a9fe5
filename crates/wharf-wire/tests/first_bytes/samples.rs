//! First bytes to begin with, and to change.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, crypto};
use wharf_wire::shown::Shown;

/// What rustls is told to ask for inside.
pub(crate) fn config(alpn: &[&str]) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

/// The hello of rustls to `name`.
pub(crate) fn hello(name: &str, alpn: &[&str]) -> Vec<u8> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config(alpn)), name).unwrap();
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// The hello in `bytes`, one record, once more in records of `len` bytes.
pub(crate) fn in_records(bytes: &[u8], len: usize) -> Vec<u8> {
    let part = |part: &[u8]| [&bytes[..3], &(part.len() as u16).to_be_bytes(), part].concat();
    bytes[5..].chunks(len).flat_map(part).collect()
}

/// Heads of requests that differ in all that matters.
pub(crate) const HEADS: [&str; 8] = [
    "GET / HTTP/1.1\r\nHost: one.example\r\nAccept: */*\r\n\r\n",
    "GET /two?x=http://b.example/ HTTP/1.1\r\nUser-Agent: x\r\nhost:\ttwo.example:8080 \r\n\r\nHost: b.example\r\n\r\n",
    "GET http://three.example/ HTTP/1.1\r\nHost: three.example\r\n\r\n",
    "CONNECT four.example:443 HTTP/1.1\r\nHost: four.example:443\r\n\r\n\x16\x03\x01",
    "POST /five HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc",
    "\r\nOPTIONS * HTTP/1.1\nHost: six.example\n\n",
    "HEAD http://seven.example:81?q HTTP/1.0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: 192.0.2.8\r\nX-Host: b.example\r\nCookie: a=b\r\n\r\n",
];

/// TCP streams of all kinds, by what they are.
pub(crate) fn streams() -> Vec<(String, Vec<u8>)> {
    let long = "a-label-of-some-length.".repeat(9) + "example";
    let names = ["one.example", "Two.Example", long.as_str()];
    let hellos = names.map(|name| (format!("hello to {name}"), hello(name, &["h2", "http/1.1"])));
    let mut all = hellos.to_vec();
    all.push(("hello without a name".to_owned(), hello("192.0.2.1", &[])));
    all.push(("hello in small records".to_owned(), in_records(&hellos[0].1, 7)));
    all.push((
        "hello and more".to_owned(),
        [hellos[0].1.clone(), vec![20, 3, 3, 0, 1, 1], vec![23; 50]].concat(),
    ));
    all.extend(HEADS.map(|head| (head.to_owned(), head.as_bytes().to_vec())));
    for other in ["SSH-2.0-OpenSSH_9.2\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "EHLO a.example\r\n"] {
        all.push((other.to_owned(), other.as_bytes().to_vec()));
    }
    all
}

/// The name or address that is shown.
pub(crate) fn name(shown: &Shown) -> Option<String> {
    match shown {
        Shown::Name { host, .. } => Some(host.to_string()),
        _ => None,
    }
}
