//! `wharf flows --watch`: what comes and goes.

use super::{TALK, answer};
use crate::lab::{Lab, Place, python, server};
use serde_json::Value;

crate::tests! {
    [tap_user packet_root] what_comes_and_goes_is_told;
}

fn what_comes_and_goes_is_told(lab: &Lab) {
    let _server = answer(lab, Place::Server, &[server::V4, "80", "1", "1"]);
    let target = format!("{} 80", server::V4);
    // One after the other, and each stays until a line comes.
    let slow = TALK.replace("made.append(stream)", "made.append(stream); sys.stdin.readline()");
    let mut run = lab.wharf(&["--name", "watched"], &[python(), "-c", &slow, "1", "1", &target, &target]);
    let first = run.line("end");
    let wharf = lab.world.wharf();
    let words = [&wharf, "flows", "--json", "--watch=0.05", "--in", "watched"];
    let mut watch = lab.world.start(Place::Host, lab.way.user, &words);
    let mut heard = |change: &str| -> Value {
        // The line begins with the time.
        let line = watch.line_with(&format!("\"change\":\"{change}\""));
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    };
    assert_eq!(heard("present")["flow"]["inside"]["local"]["port"].to_string(), first);
    run.write("\n");
    let new = heard("new");
    assert_eq!(new["flow"]["state"], "established");
    assert_ne!(new["flow"]["inside"]["local"]["port"].to_string(), first);
    watch.signal("INT");
    assert_eq!(watch.finish().code(), 0);
    // When the run has ended, so has the watch of it, which was named.
    let mut watch = lab.world.start(Place::Host, lab.way.user, &words[..]);
    watch.line_with("\"present\"");
    run.write("\n");
    drop(run);
    let end = watch.finish();
    assert_eq!(end.code(), 1, "{}", end.stderr);
    assert!(end.stderr.contains("no run \"watched\""), "{}", end.stderr);
}
