//! What `-v` and `--json` tell on standard error, for people and for programs.

use crate::lab::{Lab, Place, host, server};
use serde_json::Value;

crate::tests! {
    [tap_user packet_user] verbose_names_each_flow json_is_one_object_a_line;
    [tap_user] silent_without_being_asked;
}

/// A program that reaches out once, is refused once, and serves one client.
fn story(lab: &Lab, options: &[&str]) -> String {
    let _server = lab.serve(Place::Server, &["peer", server::V4, "80"]);
    let dial = |port: &str| lab.peer("dial.py", &["errno", server::V4, port]).join(" ");
    let serve = lab.peer("serve.py", &["peer", "0.0.0.0", "80"]).join(" ");
    let script = format!("{}; {}; exec {serve}", dial("80"), dial("81"));
    let options = [options, &["-p", "0.0.0.0:0:80", "-p", "0.0.0.0:8080:80"]].concat();
    let mut run = lab.wharf(&options, &["sh", "-c", &script]);
    run.line("ready");
    let words = lab.peer("dial.py", &["peer", host::TO_CLIENT_V4, "8080"]);
    lab.world.run(Place::Client, &words).good();
    run.signal("TERM");
    let end = run.finish();
    assert_eq!(end.stdout.lines().collect::<Vec<_>>(), ["connected", "ECONNREFUSED", "ready"]);
    end.stderr
}

fn silent_without_being_asked(lab: &Lab) {
    let said = story(lab, &[]);
    assert_eq!(said.lines().count(), 1, "the port that was chosen, and no more: {said}");
    assert!(said.starts_with("wharf: published tcp 0.0.0.0:"), "{said}");
}

fn verbose_names_each_flow(lab: &Lab) {
    let said = story(lab, &["-v"]);
    assert!(said.lines().all(|line| line.starts_with("wharf: ")), "{said}");
    for word in
        ["published tcp 0.0.0.0:8080 -> 80", "198.51.100.2:80", "198.51.100.2:81", "client 203.0.113.2:"]
    {
        assert!(said.contains(word), "no {word}: {said}");
    }
}

fn json_is_one_object_a_line(lab: &Lab) {
    let said = story(lab, &["--json", "-v"]);
    let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
    let events: Vec<Value> = said.lines().map(read).collect();
    assert!(events.iter().all(|event| event["event"].is_string()), "{said}");
    let of = |kind: &str| -> Vec<&Value> { events.iter().filter(|event| event["event"] == kind).collect() };
    let published = of("published");
    assert_eq!(published.len(), 2, "{said}");
    for (event, port) in published.iter().zip([None, Some(8080)]) {
        let number = event["local"]["port"].as_u64().expect("a number");
        assert!(port.is_none_or(|port| port == number) && number != 0, "{event}");
        let local = serde_json::json!({
            "address": "0.0.0.0", "zone": null, "port": number, "text": format!("0.0.0.0:{number}")
        });
        let all =
            serde_json::json!({"event": "published", "protocol": "tcp", "local": local, "inside_port": 80});
        assert_eq!(**event, all);
    }
    let open = of("open");
    let ends = |event: &Value| {
        [&event["inside"]["remote"]["text"], &event["outside"]["remote"]["text"]].map(Value::to_string)
    };
    let there = ["\"198.51.100.2:80\"", "\"198.51.100.2:81\""].map(|text| [text.to_owned(), text.to_owned()]);
    assert_eq!(open.iter().map(|event| ends(event)).collect::<Vec<_>>(), there, "{said}");
    assert_eq!(open[0]["protocol"], "tcp");
    assert_eq!(open[0]["inside"]["local"]["address"], "10.0.2.100");
    assert!(open[0]["inside"]["local"]["port"].as_u64().is_some_and(|port| port > 0), "{said}");
    let alone = story(lab, &["--json"]);
    let alone: Vec<Value> = alone.lines().map(read).collect();
    assert_eq!(alone.len(), 1, "the port that was chosen: {alone:?}");
}
