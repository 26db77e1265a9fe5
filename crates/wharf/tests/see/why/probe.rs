//! What servers say that are reached: other protocols than were asked for, and certificates that nobody takes.

use super::lab::{lab, shell};

/// A certificate for a name, and its key.
fn certificate(lab: &super::lab::Lab, name: &str, days: i32) -> [String; 2] {
    let base = format!("/tmp/{}-{name}", lab.a);
    let [cert, key] = [format!("{base}.crt"), format!("{base}.key")];
    shell(&format!(
        "openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN={name} -keyout {key} -out {base}.req 2>/dev/null \
         && echo subjectAltName=DNS:{name} > {base}.ext \
         && openssl x509 -req -in {base}.req -signkey {key} -days {days} -extfile {base}.ext -out {cert} 2>/dev/null; rm -f {base}.req {base}.ext"
    ));
    [cert, key]
}

#[test]
fn http_where_tls_was_asked_for_and_the_other_way_round() {
    let Some(mut lab) = lab() else { return };
    let a = lab.a.clone();
    lab.serve(&a, "127.0.0.1", 8080, "");
    let plain = lab.why(&a, &["https://127.0.0.1:8080/"]);
    plain.names(&["speaks plain HTTP", "where TLS was asked for"]);
    lab.heals(&plain, &a, &[]);
    let [cert, key] = certificate(&lab, "server.test", 2);
    lab.serve_with(&a, "127.0.0.1", 8443, 5, &["tls", &cert, &key]);
    // Python's server says nothing to a request that is no hello; what it does is told.
    let other = lab.why(&a, &["http://127.0.0.1:8443/"]);
    assert_eq!(other.code, Some(1), "{:#}", other.json);
    shell(&format!("rm -f {cert} {key}"));
}

#[test]
fn a_certificate_for_another_name() {
    let Some(mut lab) = lab() else { return };
    let a = lab.a.clone();
    let [cert, key] = certificate(&lab, "server.test", 2);
    lab.serve_with(&a, "127.0.0.1", 8443, 5, &["tls", &cert, &key]);
    let said = lab.why(&a, &["https://localhost:8443/"]);
    said.names(&["a certificate that no client takes", "it is for server.test"]);
    // Trusted, and asked for by its name, it is taken: the one step that the sentence leaves.
    let line = format!(
        "ip netns exec {a} env SSL_CERT_FILE={cert} {} why --json https://localhost:8443/ --in /proc/self/ns/net || true",
        super::lab::wharf()
    );
    let said: serde_json::Value = serde_json::from_str(&shell(&line)).expect("it is JSON");
    assert!(!said["sentence"].as_str().unwrap().contains("signed"), "{said:#}");
    let remedy = said["remedy"].as_str().expect("a remedy").replace("curl ", "curl -sS -o /dev/null ");
    shell(&format!("CURL_CA_BUNDLE={cert} ip netns exec {a} {remedy}"));
    shell(&format!("rm -f {cert} {key}"));
}

#[test]
fn a_certificate_that_has_expired() {
    let Some(mut lab) = lab() else { return };
    let a = lab.a.clone();
    let [cert, key] = certificate(&lab, "localhost", -1);
    lab.serve_with(&a, "127.0.0.1", 8443, 5, &["tls", &cert, &key]);
    let said = lab.why(&a, &["https://localhost:8443/"]);
    said.names(&["it has expired on 20"]);
    shell(&format!("rm -f {cert} {key}"));
}

#[test]
fn a_server_that_resets_and_one_that_speaks_first() {
    let Some(mut lab) = lab() else { return };
    let a = lab.a.clone();
    lab.start_script(
        &a,
        "import socket, struct, threading\ndef serve(port, act):\n one = socket.socket(); one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); one.bind(('127.0.0.1', port)); one.listen()\n while True: act(one.accept()[0])\ndef reset(one): one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); one.close()\ndef greet(one): one.sendall(b'220 ready\\r\\n'); threading.Timer(5, one.close).start()\nthreading.Thread(target=serve, args=(2525, greet)).start()\nserve(2526, reset)",
    );
    lab.wait_for(&a, 2525);
    lab.wait_for(&a, 2526);
    let greeted = lab.why(&a, &["127.0.0.1:2525"]);
    greeted.is_well();
    assert!(greeted.sentence().contains("says \"220 ready\""), "{greeted:?}");
    lab.why(&a, &["127.0.0.1:2526"]).names(&["takes the connection to tcp/127.0.0.1:2526 and resets it"]);
}
