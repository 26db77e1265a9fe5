//! The list as text, as it is reviewed.

use std::process::{Command, Stdio};

use snapbox::{IntoData as _, assert_data_eq, str};

use super::SCRIPT;
use crate::scene::{Scene, can_play};

/// Without colours and numbers of processes, and with the line ends of files.
fn plain(text: &str) -> String {
    let mut text = text.replace("\r\n", "\n");
    while let Some(start) = text.find("\x1b[") {
        let end = text[start..].find('m').expect("a colour ends") + start;
        text.replace_range(start..=end, "");
    }
    // What stands above a table is counted.
    let is_title =
        |line: &str| ["Listening (", "Connections ", "Bound, "].iter().any(|title| line.starts_with(title));
    text.split_inclusive('\n')
        .map(|line| if is_title(line) { line.to_owned() } else { without_numbers(line) })
        .collect()
}

fn without_numbers(line: &str) -> String {
    let mut plain = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once(" (") {
        let digits = after.len() - after.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
        plain.push_str(before);
        plain.push_str(" (");
        plain.push_str(if digits > 0 { "PID" } else { "" });
        rest = &after[digits..];
    }
    plain + rest
}

#[test]
fn a_terminal_has_a_table_for_each_role() {
    if !can_play() {
        return;
    }
    let scene = Scene::play(SCRIPT);
    let narrow = scene.terminal(80, &["list", "--in", "/proc/self/ns/net"], "", "");
    assert!(narrow.good().contains("\x1b[1mPROTO\x1b[0m"), "{narrow:?}");
    let narrow = plain(narrow.good());
    assert!(narrow.lines().all(|line| line.chars().count() <= 80 || line.starts_with("wharf: ")), "{narrow}");
    assert_data_eq!(
        narrow,
        str![[r#"
Listening (5)
PROTO  LOCAL         SERVICE     USER  OWNER
udp    127.0.0.1:53  domain      root  master (PID)
tcp    0.0.0.0:80    http        root  master (PID), nginx (PID), +2 workers
udp    [::1]:5353    mdns        root  master (PID)
tcp    [::1]:5432    postgresql  root  master (PID), nginx (PID), +2 workers
tcp    *:8080        http-alt    root  master (PID), nginx (PID), +2 workers

Connections taken (3)
PROTO  LOCAL                  REMOTE                 STATE        OWNER
tcp    127.0.0.1:80           127.0.0.1:40001        established  master (PID)
tcp    127.0.0.3:80           127.0.0.2:40002        established  master (PID)
tcp    [2001:db8:…7348]:8080  [2001:db8:…348]:40003  established  master (PID)

Connections made (4)
PROTO  LOCAL                  REMOTE                 STATE        OWNER
tcp    127.0.0.1:40001        127.0.0.1:80           established  master (PID)
tcp    127.0.0.2:40002        127.0.0.3:80           established  master (PID)
udp    [::1]:4444             [::1]:5353             established  master (PID)
tcp    [2001:db8:…348]:40003  [2001:db8:…7348]:8080  established  master (PID)

Bound, and nothing else (1)
PROTO  LOCAL           SERVICE  USER  OWNER
tcp    127.0.0.1:7777  cbt      root  master (PID)
wharf: USER, SERVICE: left out, and … marks what was cut, to fit the terminal (--wide shows all)

"#]]
        .raw()
    );
    let wide = plain(scene.terminal(160, &["list", "--in", "/proc/self/ns/net"], "", "").good());
    assert_data_eq!(
        wide,
        str![[r#"
Listening (5)
PROTO  LOCAL         SERVICE     USER  OWNER
udp    127.0.0.1:53  domain      root  master (PID)
tcp    0.0.0.0:80    http        root  master (PID), nginx (PID), +2 workers
udp    [::1]:5353    mdns        root  master (PID)
tcp    [::1]:5432    postgresql  root  master (PID), nginx (PID), +2 workers
tcp    *:8080        http-alt    root  master (PID), nginx (PID), +2 workers

Connections taken (3)
PROTO  LOCAL                       REMOTE                       STATE        SERVICE   USER  OWNER
tcp    127.0.0.1:80                127.0.0.1:40001              established  http      root  master (PID)
tcp    127.0.0.3:80                127.0.0.2:40002              established  http      root  master (PID)
tcp    [2001:db8:85a3::7348]:8080  [2001:db8:85a3::7348]:40003  established  http-alt  root  master (PID)

Connections made (4)
PROTO  LOCAL                        REMOTE                      STATE        SERVICE   USER  OWNER
tcp    127.0.0.1:40001              127.0.0.1:80                established  http      root  master (PID)
tcp    127.0.0.2:40002              127.0.0.3:80                established  http      root  master (PID)
udp    [::1]:4444                   [::1]:5353                  established  mdns      root  master (PID)
tcp    [2001:db8:85a3::7348]:40003  [2001:db8:85a3::7348]:8080  established  http-alt  root  master (PID)

Bound, and nothing else (1)
PROTO  LOCAL           SERVICE  USER  OWNER
tcp    127.0.0.1:7777  cbt      root  master (PID)

"#]]
        .raw()
    );
    let whole =
        scene.terminal(80, &["list", "--in", "/proc/self/ns/net", "--wide", "--color", "never"], "", "");
    assert!(!whole.good().contains('…') && !whole.good().contains('\x1b'), "{whole:?}");
}

#[test]
fn elsewhere_it_is_one_table_that_is_never_cut() {
    if !can_play() {
        return;
    }
    let scene = Scene::play(SCRIPT);
    let said = scene.wharf(&["list", "--in", "/proc/self/ns/net"]);
    assert_data_eq!(plain(said.good()), str![[r#"
PROTO  ROLE      STATE        LOCAL                        REMOTE                       SERVICE     USER  OWNER
udp    listener  bound        127.0.0.1:53                                              domain      root  master (PID)
tcp    listener  listen       0.0.0.0:80                                                http        root  master (PID), nginx (PID), +2 workers
udp    listener  bound        [::1]:5353                                                mdns        root  master (PID)
tcp    listener  listen       [::1]:5432                                                postgresql  root  master (PID), nginx (PID), +2 workers
tcp    listener  listen       *:8080                                                    http-alt    root  master (PID), nginx (PID), +2 workers
tcp    server    established  127.0.0.1:80                 127.0.0.1:40001              http        root  master (PID)
tcp    server    established  127.0.0.3:80                 127.0.0.2:40002              http        root  master (PID)
tcp    server    established  [2001:db8:85a3::7348]:8080   [2001:db8:85a3::7348]:40003  http-alt    root  master (PID)
tcp    client    established  127.0.0.1:40001              127.0.0.1:80                 http        root  master (PID)
tcp    client    established  127.0.0.2:40002              127.0.0.3:80                 http        root  master (PID)
udp    client    established  [::1]:4444                   [::1]:5353                   mdns        root  master (PID)
tcp    client    established  [2001:db8:85a3::7348]:40003  [2001:db8:85a3::7348]:8080   http-alt    root  master (PID)
tcp    bound     bound        127.0.0.1:7777                                            cbt         root  master (PID)

"#]].raw());
    let coloured = scene.wharf(&["list", "--in", "/proc/self/ns/net", "--color", "always", "port 53"]);
    assert!(coloured.good().contains("\x1b[1mPROTO\x1b[0m"), "{coloured:?}");
}

#[test]
fn details_stand_below_each_row() {
    if !can_play() {
        return;
    }
    let scene = Scene::play(SCRIPT);
    let said = scene.wharf(&["list", "--in", "/proc/self/ns/net", "-v", "tcp", "listening", "port", "8080"]);
    let lines: Vec<&str> = said.good().lines().collect();
    assert!(lines[2].starts_with("      0 of 128 wait to be accepted, master ("), "{lines:?}");
    assert_eq!(lines[2].matches(") descriptor 4").count(), 4, "{lines:?}");
    let said =
        scene.wharf(&["list", "--in", "/proc/self/ns/net", "-v", "established", "local", "port", "40001"]);
    let line = said.good().lines().nth(2).unwrap();
    assert!(line.contains("sent 0 B, received 0 B, ") && line.contains(" open, window "), "{line}");
}

#[test]
fn names_of_commands_never_steer_a_terminal() {
    if !can_play() {
        return;
    }
    let scene = Scene::play("name('a\\x1b[31mb\\nc'); keep = tcp('127.0.0.1', 81); ready()");
    let said = scene.terminal(80, &["list", "--in", "/proc/self/ns/net", "--color", "never"], "", "");
    assert!(said.good().contains("a\\u{1b}[31mb\\nc ("), "{said:?}");
    assert!(!said.good().contains('\x1b'), "{said:?}");
}

#[test]
fn a_terminal_is_as_before_when_watching_ends() {
    if !can_play() {
        return;
    }
    let scene = Scene::play("keep = tcp('127.0.0.1', 81); ready()");
    let said =
        scene.terminal(80, &["list", "--in", "/proc/self/ns/net", "--watch=60"], "127.0.0.1:81", "\x03");
    let text = said.good();
    assert!(text.starts_with("\x1b[?1049h\x1b[?25l\x1b[?7l"), "{text:?}");
    assert!(text.trim_end_matches("^C").ends_with("\x1b[?7h\x1b[?25h\x1b[?1049l"), "{text:?}");
}

#[test]
fn a_pipe_gets_text_without_a_terminal_or_another_program() {
    if !can_play() {
        return;
    }
    if Command::new("strace").arg("-V").output().is_err() {
        println!("skipped: strace is missing");
        return;
    }
    let scene = Scene::play("keep = [udp('127.0.0.1', port) for port in range(2000, 2500)]; ready()");
    let trace = scene.directory().join("trace");
    let trace = trace.to_str().unwrap();
    let wharf = scene.directory().join("wharf");
    let calls = "trace=ioctl,execve,execveat,fork,vfork,clone,clone3";
    let strace = [
        "strace",
        "-f",
        "-o",
        trace,
        "-e",
        calls,
        wharf.to_str().unwrap(),
        "list",
        "--in",
        "/proc/self/ns/net",
    ];
    // What could be asked is there: standard input and error are those of the test.
    let output = scene.command(&strace).stdin(Stdio::inherit()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 501, "{text}");
    let calls = std::fs::read_to_string(trace).unwrap();
    assert_eq!(calls.matches("execve").count(), 1, "{calls}");
    assert!(!calls.contains("TIOCGWINSZ"), "{calls}");
    // Threads are no programs.
    assert!(
        calls.lines().filter(|line| line.contains("clone")).all(|line| line.contains("CLONE_THREAD")),
        "{calls}"
    );
}

#[test]
fn what_is_wrong_is_one_line() {
    let wrong = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_wharf")).args(words).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{words:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let lines = [
        wrong(&["list", "--columns", "local,colour"]),
        wrong(&["list", "--sort", "-"]),
        wrong(&["list", "--watch=0x"]),
        wrong(&["list", "--color", "blue"]),
        wrong(&["list", "port", "99999"]),
        wrong(&["list", "--in", "nowhere"]),
        wrong(&["list", "--json", "--csv"]),
    ];
    assert!(lines.iter().all(|line| line.lines().count() == 1), "{lines:#?}");
    assert_data_eq!(lines.concat(), str![[r#"
wharf: --columns local,colour: "colour": no such column (there are network, protocol, state, role, local, local_address, local_port, remote, remote_address, remote_port, service, owner, pid, command, user, uid, unit, container, ownerless, receive_queue_bytes, send_queue_bytes, backlog_used, backlog_limit, age_s, sent_bytes, received_bytes, retransmitted_bytes, retransmissions, rtt_s, congestion, congestion_control, congestion_window, inode)
wharf: --sort -: "": no such column (there are network, protocol, state, role, local, local_address, local_port, remote, remote_address, remote_port, service, owner, pid, command, user, uid, unit, container, ownerless, receive_queue_bytes, send_queue_bytes, backlog_used, backlog_limit, age_s, sent_bytes, received_bytes, retransmitted_bytes, retransmissions, rtt_s, congestion, congestion_control, congestion_window, inode)
wharf: --watch "0x": not a span of time (write 0.5, 500ms, 5s or 2m say)
wharf: invalid value 'blue' for '--color <WHEN>' [possible values: auto, always, never] (wharf list --help lists all)
wharf: "99999", word 2 of "port 99999": the highest port is 65535
wharf: no network "nowhere" here (a name of `wharf list`, pid:N, a path, or the number of a namespace)
wharf: the argument '--json' cannot be used with '--csv' (wharf list --help lists all)

"#]].raw());
}

#[test]
fn the_help_fits_a_screen_and_starts_with_examples() {
    for verb in ["list", "who"] {
        let output = Command::new(env!("CARGO_BIN_EXE_wharf")).args([verb, "--help"]).output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(help.lines().count() <= 24, "{} lines", help.lines().count());
        assert!(help.lines().all(|line| line.chars().count() < 80), "{help}");
        assert!(help.starts_with("Examples:\n"), "{help}");
        assert_eq!(help.lines().filter(|line| line.starts_with("  wharf ")).count(), 3, "{help}");
    }
}
