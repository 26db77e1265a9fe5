//! Several queues of one link, each with its own loop: a run works as with one.

use crate::lab::{Lab, Place, Proc, User, host, pids_in_network, python, server, size_mib};
use std::time::{Duration, Instant};

crate::tests! {
    [all] flows_spread_and_are_whole datagrams_and_names_come_whole sigkill_leaves_nothing;
    [tap_user packet_user] published_flows_wake_up_after_a_rest attempts_end_as_without_wharf;
    [tap_user packet_user] the_limit_on_descriptors_is_common ends_with_the_program;
    [tap_root packet_root] published_flows_are_whole a_thread_for_each_queue;
}

const QUEUES: [&str; 2] = ["--queues", "3"];
const LONG: Duration = Duration::from_secs(170);

/// What the queues say at the end of a run: of each, how many connections the program asked for there.
fn asked(stderr: &str) -> Vec<u32> {
    let said = stderr.lines().filter_map(|line| line.strip_prefix("wharf: queue "));
    let count = |line: &str| line.split(' ').nth(1).and_then(|word| word.parse().ok());
    said.map(|line| count(line).unwrap_or_else(|| panic!("no count in {line}"))).collect()
}

fn handed_over(stderr: &str) -> u32 {
    let said = stderr.lines().filter_map(|line| line.strip_suffix(" frames handed over"));
    said.map(|line| line.rsplit(' ').next().and_then(|word| word.parse::<u32>().ok()).expect("a number"))
        .sum()
}

fn flows_spread_and_are_whole(lab: &Lab) {
    let _server = lab.serve(Place::Server, &["bulk", "::", "5000"]);
    let size = size_mib(48, 1024);
    for address in [server::V4, server::V6] {
        let words = lab.peer("dial.py", &["bulk", address, "5000", &size, &size, "24"]);
        let run = lab.wharf(&["--queues", "3", "-v", "-p", "8080:80"], &words).finish_within(LONG);
        assert_eq!(run.good(), "whole", "{address}");
        let asked = asked(&run.stderr);
        assert_eq!((asked.len(), asked.iter().sum::<u32>()), (3, 24), "{}", run.stderr);
        assert!(asked.iter().all(|&count| count > 0), "each queue has some: {asked:?}");
    }
}

fn published_flows_are_whole(lab: &Lab) {
    let options = [&QUEUES[..], &["-v", "-p", "0.0.0.0:5001:5000", "-p", "[::]:5001:5000"]].concat();
    let mut run = lab.wharf(&options, &lab.peer("serve.py", &["bulk", "::", "5000"]));
    run.line("ready");
    let size = size_mib(48, 1024);
    let from = [
        (Place::Client, host::TO_CLIENT_V4),
        (Place::Client, host::TO_CLIENT_V6),
        (Place::Host, "127.0.0.1"),
    ];
    for (place, address) in from {
        let words = lab.peer("dial.py", &["bulk", address, "5001", &size, &size, "12"]);
        let peer = lab.world.start(place, lab.way.user, &words);
        assert_eq!(peer.finish_within(LONG).good(), "whole", "to {address}");
    }
    run.signal("TERM");
    let end = run.finish();
    assert_eq!(asked(&end.stderr), [0, 0, 0], "{}", end.stderr);
}

/// A program whose server says something first, five seconds after its clients came: by then the kernel has forgotten in which
/// queue their flows were.
const LATE: &str = "import socket, threading, time\n\
    listener = socket.socket(); listener.bind(('', 80)); listener.listen(64)\n\
    print('ready')\n\
    def serve(stream):\n    \
        time.sleep(5); stream.sendall(b'late ' + stream.recv(99)); stream.close()\n\
    while True: threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()";

const CLIENTS: &str = "import socket, sys\n\
    made = [socket.create_connection((sys.argv[1], 8080), 10) for _ in range(24)]\n\
    for number, stream in enumerate(made): stream.sendall(b'%d' % number)\n\
    print(sum(made[number].recv(99) == b'late %d' % number for number in range(24)))";

fn published_flows_wake_up_after_a_rest(lab: &Lab) {
    let options = [&QUEUES[..], &["-v", "-p", "0.0.0.0:8080:80"]].concat();
    let mut run = lab.wharf(&options, &[python(), "-u", "-c", LATE]);
    run.line("ready");
    let words = [python(), "-c", CLIENTS, host::TO_CLIENT_V4];
    assert_eq!(lab.world.run(Place::Client, &words).good(), "24");
    run.signal("TERM");
    let end = run.finish();
    println!("{} frames were handed over", handed_over(&end.stderr));
}

/// Sockets whose datagrams come in all queues, some of them in fragments, and queries between them.
const ASK: &str = "import socket, sys, time\n\
    right = 0\n\
    for number in range(40):\n    \
        family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET\n    \
        own = socket.socket(family, socket.SOCK_DGRAM); own.settimeout(5)\n    \
        size = [10, 1400, 20000][number % 3]\n    \
        word = b'%d ' % number + b'x' * size\n    \
        own.sendto(word, (sys.argv[1], 4000))\n    \
        right += own.recv(65536).endswith(word)\n    \
        right += socket.getaddrinfo('printer.lan', 80, socket.AF_INET, socket.SOCK_STREAM)[0][4][0] == '192.0.2.77'\n\
    for number in range(20):\n    \
        asked = socket.create_connection(('10.0.2.3', 53), 5)\n    \
        query = b'\\0%c\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\7printer\\3lan\\0\\0\\1\\0\\1' % number\n    \
        asked.sendall(len(query).to_bytes(2, 'big') + query)\n    \
        right += asked.recv(999)[-4:] == bytes([192, 0, 2, 77])\n\
    print(right)";

fn datagrams_and_names_come_whole(lab: &Lab) {
    for address in [server::V4, server::V6] {
        let _server = lab.serve(Place::Server, &["datagrams", address, "4000"]);
        let run = lab.run(&[&QUEUES[..], &["-v"]].concat(), &[python(), "-c", ASK, address]);
        assert_eq!(run.good(), "100", "{address}: {}", run.stderr);
        println!("{} frames were handed over", handed_over(&run.stderr));
        // The hosts have found each other by then: a request that is lost later was lost by wharf.
        lab.bare(&["ping", "-n", "-c", "1", "-W", "5", address]).good();
        for _ in 0..4 {
            // The program's kernel takes some milliseconds until it hears its own IPv6 address.
            let ping = format!("sleep 0.2; ping -n -c 2 -i 0.2 -W 3 {address}");
            let ping = lab.run(&QUEUES, &["sh", "-c", &ping]);
            assert!(ping.good().contains(" 2 received"), "{address}: {}", ping.stdout);
        }
    }
}

const KNOCK: &str = "import errno, socket, struct, sys\n\
    seen = set()\n\
    for number in range(40):\n    \
        own = socket.socket(); own.settimeout(5)\n    \
        try: own.connect((sys.argv[1], int(sys.argv[2])))\n    \
        except OSError as why: seen.add(errno.errorcode[why.errno]); continue\n    \
        try: own.sendall(b'x'); own.recv(9); seen.add('read')\n    \
        except OSError as why: seen.add(errno.errorcode[why.errno])\n\
    print(*sorted(seen))";

fn attempts_end_as_without_wharf(lab: &Lab) {
    let knock = |address, port| lab.run(&QUEUES, &[python(), "-c", KNOCK, address, port]).good().to_owned();
    let _reset = lab.serve(Place::Server, &["reset", server::V4, "80"]);
    assert_eq!(knock(server::V4, "80"), "ECONNRESET");
    assert_eq!(knock(server::V4, "81"), "ECONNREFUSED");
    assert_eq!(knock("10.0.2.2", "81"), "ECONNREFUSED", "the gateway has no such port");
    assert_eq!(knock("10.0.2.4", "81"), "ECONNREFUSED", "the host's loopback is closed");
    let options = [&QUEUES[..], &["-p", "0.0.0.0:8080:80"]].concat();
    let mut run = lab.wharf(&options, &lab.peer("serve.py", &["reset", "0.0.0.0", "80"]));
    run.line("ready");
    let words = [python(), "-c", KNOCK, host::TO_CLIENT_V4, "8080"];
    assert_eq!(lab.world.run(Place::Client, &words).good(), "ECONNRESET");
}

fn the_limit_on_descriptors_is_common(lab: &Lab) {
    let words = lab.peer("serve.py", &["nonce", "0.0.0.0", "80"]);
    let mut server = lab.world.start(Place::Server, User::Root, &words);
    server.line("ready");
    let served = |queues| {
        let words =
            lab.words(&["--queues", queues], &lab.peer("dial.py", &["limit", server::V4, "80", "600"]));
        // The program has the same limit, and little else open.
        let mut limited = vec!["sh", "-c", "ulimit -Sn 300; ulimit -Hn 300; exec \"$@\"", "sh"];
        limited.extend(words.iter().map(String::as_str));
        let answer = lab.world.start(Place::Host, lab.way.user, &limited).finish();
        println!("--queues {queues}: {}", answer.good());
        let told = answer.stderr.matches("no descriptor is left for new flows").count();
        assert_eq!(told, 1, "said once: {}", answer.stderr);
        let (count, rest) = answer.good().split_once(' ').expect("a count and how it ended");
        assert_eq!(rest, "ECONNREFUSED, earlier ones answer");
        count.parse::<u32>().expect("a number")
    };
    // Each queue has two descriptors of its own, and two bells are common.
    assert_eq!(served("3"), served("1") - 6);
}

fn threads(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/task")).expect("wharf is there").count()
}

fn a_thread_for_each_queue(lab: &Lab) {
    for (queues, count) in [("1", 1), ("2", 2), ("7", 7)] {
        let mut run = lab.wharf(&["--queues", queues], &["sh", "-c", "echo ready; exec sleep 100"]);
        run.line("ready");
        assert_eq!(threads(run.pid()), count, "--queues {queues}");
    }
}

fn ends_with_the_program(lab: &Lab) {
    for _ in 0..5 {
        assert_eq!(lab.run(&QUEUES, &["sh", "-c", "exit 3"]).code(), 3);
    }
    let mut run = lab.wharf(&QUEUES, &["sh", "-c", "echo ready; exec sleep 100"]);
    run.line("ready");
    run.signal("INT");
    assert_eq!(run.finish().code(), 128 + 2);
    assert_eq!(lab.run(&QUEUES, &["no-such-program-anywhere"]).code(), 127);
}

/// A run with flows in all its queues, and the network of its program.
fn busy(lab: &Lab) -> (Proc, String) {
    let hold = lab.peer("dial.py", &["hold", server::V4, "80", "30"]).join(" ");
    let script = format!("readlink /proc/self/ns/net; sleep 1000 & {hold}");
    let mut run = lab.wharf(&QUEUES, &["sh", "-c", &script]);
    let network = run.line("net:");
    run.line("begun");
    run.write("\n");
    run.line("held");
    (run, network)
}

fn sigkill_leaves_nothing(lab: &Lab) {
    let words = lab.peer("serve.py", &["nonce", "0.0.0.0", "80"]);
    let mut server = lab.world.start(Place::Server, User::Root, &words);
    server.line("ready");
    let (run, network) = busy(lab);
    run.signal("KILL");
    assert_eq!(run.finish().code(), 128 + 9);
    let end = Instant::now() + Duration::from_secs(1);
    while !pids_in_network(&network).is_empty() {
        assert!(Instant::now() < end, "{network}: {:?}", pids_in_network(&network));
        std::thread::sleep(Duration::from_millis(10));
    }
}
