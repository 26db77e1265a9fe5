//! Who must not be heard, and who must not hold anybody up.

use super::{ask, ask_as, flows, told};
use crate::lab::{Lab, Place, User, python, server};

crate::tests! {
    [all] nobody_inside_reaches_it;
    [tap_user packet_user] hostile_clients_hold_up_nobody;
    [tap_root] runs_of_others_are_not_shown_nor_asked a_stranger_poses_as_nobody;
}

/// Says which control sockets it can see and reach, by all names that there may be.
const INSIDE: &str = "import os, socket, sys\n\
    seen = [line.split()[-1][1:] for line in open('/proc/net/unix') if '@wharf/' in line]\n\
    pids = [word for word in os.listdir('/proc') if word.isdigit()] + sys.stdin.readline().split()\n\
    for pid in pids:\n    \
        for user in {os.getuid(), os.geteuid(), 0, 65534}:\n        \
            try: socket.socket(socket.AF_UNIX).connect('\\0wharf/%d/%s/inside' % (user, pid)); seen.append(pid)\n        \
            except ConnectionRefusedError: pass\n\
    print('seen', seen, flush=True)";

fn nobody_inside_reaches_it(lab: &Lab) {
    let mut run = lab.wharf(&["--name", "inside"], &[python(), "-c", INSIDE]);
    let pid = loop {
        if let [run] = &told(lab, &["ps", "--json"])[..] {
            break run["wharf_pid"].to_string();
        }
    };
    run.write(&format!("{pid}\n"));
    assert_eq!(run.line("seen"), "[]");
    let wharf = lab.world.wharf();
    let inner = lab.run(&["--name", "outer"], &[&wharf, "ps", "--json"]);
    assert_eq!(inner.good(), "[]", "{}", inner.stderr);
}

/// Clients of a control socket that do what none should.
const HOSTILE: &str = "import os, socket, sys, time\n\
    name = [line.split()[-1][1:] for line in open('/proc/net/unix') if '@wharf/' in line and line.strip().endswith('/target')][0]\n\
    def dial():\n    \
        own = socket.socket(socket.AF_UNIX); own.settimeout(5); own.connect('\\0' + name); return own\n\
    def answer(own):\n    \
        got = b''\n    \
        while not got.endswith(b'\\n'):\n        \
            more = own.recv(65536)\n        \
            if not more: return got\n        \
            got += more\n    \
        return got\n\
    for garbage in [b'\\0' * 50, b'{', b'[1,2]', b'{\"do\":7}', b'{\"do\":\"flws\"}', os.urandom(40).replace(b'\\n', b'?'), b'\\xff\\xfe', b'[' * 4000]:\n    \
        own = dial(); own.sendall(garbage + b'\\n'); got = answer(own)\n    \
        assert b'\"bad_request\"' in got, (garbage, got)\n    \
        own.sendall(b'{\"do\":\"status\",\"id\":[1]}\\n'); got = answer(own); assert b'\"id\":[1]' in got, got\n\
    own = dial()\n\
    try:\n    \
        for _ in range(100): own.sendall(b'x' * 100000)\n\
    except OSError: pass\n\
    held = []\n\
    for _ in range(100):\n    \
        try: own = dial(); own.sendall(b'{\"do\":\"flows\"}\\n' * 50); held.append(own)\n    \
        except OSError: pass\n\
    print('held', len(held) > 5, flush=True)\n\
    sys.stdin.readline()\n\
    print('silent', flush=True); sys.stdin.read()";

fn hostile_clients_hold_up_nobody(lab: &Lab) {
    let many = super::TALK.replace("sys.argv[3:]", "sys.argv[3:] * 500");
    let _server = super::answer(lab, Place::Server, &[server::V4, "80", "3", "5"]);
    let target = format!("{} 80", server::V4);
    let mut run = lab.wharf(&["--name", "target"], &[python(), "-c", &many, "3", "5", &target]);
    run.line("ready");
    let resident = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
    };
    assert_eq!(flows(lab, "target", "tcp", 500).len(), 500);
    let before = resident(run.pid());
    let mut hostile = lab.world.start(Place::Host, lab.way.user, &[python(), "-c", HOSTILE]);
    assert_eq!(hostile.line("held"), "True");
    // The socket of one who does not read is full, and others are answered meanwhile.
    for _ in 0..5 {
        assert_eq!(flows(lab, "target", "tcp", 500).len(), 500);
    }
    let grown = resident(run.pid()).saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB more for those who do not read");
    hostile.write("\n");
    hostile.line("silent");
    run.write("");
    assert_eq!(run.finish().code(), 0);
}

/// Asks every control socket in sight.
const KNOCK: &str = "import socket\n\
    for line in open('/proc/net/unix'):\n    \
        if '@wharf/' in line and line.split()[3] == '00010000':\n        \
            own = socket.socket(socket.AF_UNIX); own.connect('\\0' + line.split()[-1][1:])\n        \
            try: own.sendall(b'{\"do\":\"status\"}\\n')\n        \
            except BrokenPipeError: pass\n        \
            print(own.recv(999).decode())";

fn runs_of_others_are_not_shown_nor_asked(lab: &Lab) {
    let wharf = lab.world.wharf();
    let start = |user| {
        let name = if user == User::Root { "roots" } else { "theirs" };
        let words = [&wharf, "run", "--name", name, "--", "sh", "-c", "echo ready; sleep 60"];
        let mut run = lab.world.start(Place::Host, user, &words);
        run.line("ready");
        run
    };
    let _runs = (start(User::Root), start(User::Ordinary));
    let names = |user| {
        let end = ask_as(lab, user, &["ps", "--json"]);
        let runs: serde_json::Value = serde_json::from_str(end.good()).expect("JSON");
        let names = runs.as_array().expect("an array").iter();
        let mut names: Vec<String> = names.map(|run| super::text(&run["name"]).to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(names(User::Root), ["roots", "theirs"]);
    assert_eq!(names(User::Ordinary), ["theirs"]);
    let refused = ask_as(lab, User::Ordinary, &["flows", "roots"]);
    assert_eq!((refused.code(), refused.stderr.trim()), (1, "wharf: no run \"roots\" (there is theirs)"));
    // By hand neither.
    let knocked = lab.world.start(Place::Host, User::Ordinary, &[python(), "-c", KNOCK]).finish();
    let answers: Vec<&str> = knocked.good().lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(answers.len(), 2, "{answers:?}");
    assert_eq!(answers.iter().filter(|line| line.contains("\"not_yours\"")).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|line| line.contains("\"roots\"")).count(), 0, "{answers:?}");
}

/// Listens as if it were runs: root's, and one of its own that claims another's init.
const POSE: &str = "import json, os, socket, threading\n\
    status = {'do': 'status', 'init_pid': 1, 'program_pid': 1, 'command': ['x'], 'since': '2026', 'age_s': 1, 'published': [], 'flows': {}}\n\
    def serve(listener):\n    \
        while True:\n        \
            own = listener.accept()[0]; own.recv(999); own.sendall(json.dumps(status).encode() + b'\\n')\n\
    for name in ['wharf/0/1/root', 'wharf/%d/%d/mine' % (os.getuid(), os.getpid())]:\n    \
        own = socket.socket(socket.AF_UNIX); own.bind('\\0' + name); own.listen(9)\n    \
        threading.Thread(target=serve, args=(own,)).start()\n\
    print('ready', flush=True)";

fn a_stranger_poses_as_nobody(lab: &Lab) {
    let mut poser = lab.world.start(Place::Host, User::Ordinary, &[python(), "-c", POSE]);
    poser.line("ready");
    let runs = told(lab, &["ps", "--json"]);
    let [mine] = &runs[..] else { panic!("one, as its own user: {runs:?}") };
    assert_eq!((&mine["name"], &mine["uid"]), (&"mine".into(), &65534.into()));
    assert_eq!(mine["wharf_pid"], poser.pid());
    assert_eq!(mine["init_pid"], serde_json::Value::Null, "process 1 is not its child");
    assert_eq!(mine["network_inode"], serde_json::Value::Null);
    let found = ask(lab, &["flows", "root"]);
    assert_eq!(found.code(), 1, "{}", found.stderr);
    let unread = ask(lab, &["flows", "mine"]);
    assert_eq!(unread.code(), 2, "{}", unread.stderr);
    assert!(unread.stderr.contains("its answer can't be read"), "{}", unread.stderr);
}
