//! The cases: each is true in every setting.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::setting::Setting;

type Case = fn(&Setting);

pub(crate) const ALL: &[(&str, Case)] = &[
    ("the network is up before the program starts", network_is_up),
    ("a network without IPv6 has none", ipv4_only),
    ("settings of the kernel", settings),
    ("a frame goes out and another comes in", echo),
    ("one large frame where the kernel may", large_frames),
    ("many small frames where it may not", small_frames),
    ("one large frame comes in as many datagrams", segments_in),
    ("the program ends with its own code", exit_codes),
    ("what can't be run is told", exec_errors),
    ("no descriptor of ours is inherited", descriptors),
    ("without a device the other link is taken, or its absence told", no_device),
    ("the program is who it was", identity),
    ("with root it is root", root),
    ("signals are as they were", signals),
    ("a signal is passed on", terminated),
    ("directory, umask and environment are as they were", surroundings),
    ("resolv.conf is ours inside only", resolv_conf),
    ("processes left behind end with the program", orphans),
    ("nothing stays when the parent is killed", parent_killed),
    ("nothing stays when the parent is killed before the start", parent_killed_early),
    ("nothing stays when the parent is killed at any moment", parent_killed_any_time),
];

/// Whether a tool is installed; where it is not, the case says so and ends.
fn have(tool: &str) -> bool {
    let found =
        Command::new("sh").args(["-c", &format!("command -v {tool} >/dev/null")]).status().unwrap().success();
    if !found {
        println!("{tool} is not installed: skipped");
    }
    found
}

fn network_is_up(setting: &Setting) {
    if !have("ip") {
        return;
    }
    let printed = setting.printed(&[], "ip -o addr; ip route; ip -6 route; ip link show eth0");
    for part in [
        "lo    inet 127.0.0.1/8",
        "lo    inet6 ::1/128",
        "eth0    inet 10.0.2.100/24 brd 10.0.2.255",
        "eth0    inet6 fd00:77::100/64",
        "default via 10.0.2.2 dev eth0 congctl cubic",
        "10.0.2.0/24 dev eth0 scope link src 10.0.2.100 congctl cubic",
        "default via fe80::2 dev eth0 metric 1024 congctl cubic",
        "link/ether 02:00:00:00:00:01",
        "mtu 1500",
        "LOWER_UP",
    ] {
        assert!(printed.contains(part), "{part:?} is not in\n{printed}");
    }
    assert!(!printed.contains("tentative"), "an address waits:\n{printed}");
    assert!(setting.printed(&["mtu-9000"], "ip link show eth0").contains("mtu 9000"));
}

fn ipv4_only(setting: &Setting) {
    if !have("ip") {
        return;
    }
    let printed = setting.printed(&["ipv4-only"], "ip -o addr");
    assert!(printed.contains("inet 10.0.2.100/24"), "{printed}");
    assert!(printed.contains("inet6 ::1/128"), "{printed}");
    assert!(!printed.contains("eth0    inet6"), "{printed}");
}

fn settings(setting: &Setting) {
    let printed =
        setting.printed(&[], "cd /proc/sys/net/ipv4; cat ip_unprivileged_port_start ping_group_range");
    let group = if setting.is_root() { "0\t2147483647" } else { "1001\t1001" };
    assert!(printed.starts_with("0\n"), "{printed}");
    // The ids of an ordinary user are known when the driver chose it.
    if crate::setting::driver_is_root() {
        assert_eq!(printed, format!("0\n{group}\n"));
    }
}

fn echo(setting: &Setting) {
    if !have("ping") {
        return;
    }
    let printed = setting.printed(&["echo"], "ping -c 3 -i 0.01 -W 2 10.0.2.2");
    assert!(printed.contains("3 packets transmitted, 3 received, 0% packet loss"), "{printed}");
}

const SEND_SEGMENTS: &str = "python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); \
    s.setsockopt(17, 103, 1000); s.sendto(bytes(5000), (\"10.0.2.2\", 9))'; sleep 0.1";

fn large_frames(setting: &Setting) {
    if !have("python3") {
        return;
    }
    let printed = setting.printed(&["frames"], SEND_SEGMENTS);
    let frames: Vec<_> = printed.lines().filter(|line| line.starts_with("udp")).collect();
    // 14 + 20 + 8 bytes of headers; 1: checksum left undone; 5: VIRTIO_NET_HDR_GSO_UDP_L4.
    let whole = ["udp 5042 bytes, flags 1, gso 5 of 1000"];
    let cut = ["udp 1042 bytes, flags 1, gso 0 of 0"; 5];
    // Kernels before 6.2 cut before the link.
    assert!(frames == whole || frames == cut, "{printed}");
}

fn small_frames(setting: &Setting) {
    if !have("python3") {
        return;
    }
    let printed = setting.printed(&["frames", "no-offload"], SEND_SEGMENTS);
    let frames: Vec<_> = printed.lines().filter(|line| line.starts_with("udp")).collect();
    assert_eq!(frames, ["udp 1042 bytes, flags 0, gso 0 of 0"; 5]);
}

fn segments_in(setting: &Setting) {
    if !have("python3") {
        return;
    }
    let script = "python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2); \
        s.connect((\"10.0.2.2\", 9)); s.send(b\"!\"); got = [s.recv(9000) for _ in range(5)]; \
        print(all(one == bytes([i]) * 1000 for i, one in enumerate(got)))'";
    let printed = setting.printed(&["segments"], script);
    assert!(printed.starts_with("True\n"), "{printed}");
}

fn exit_codes(setting: &Setting) {
    assert_eq!(setting.shell(&[], "exit 7").status.code(), Some(7));
    assert_eq!(setting.shell(&[], "exit 255").status.code(), Some(255));
    assert_eq!(setting.shell(&[], "kill -SEGV $$").status.code(), Some(128 + 11));
    assert_eq!(setting.shell(&[], "kill -KILL $$").status.code(), Some(128 + 9));
}

fn exec_errors(setting: &Setting) {
    for (program, code, reason) in [
        ("no-such-program", 127, "run \"no-such-program\": not found in PATH"),
        ("/no/such/program", 127, "run \"/no/such/program\": not found"),
        ("/etc", 126, "run \"/etc\": it is a directory"),
        ("/etc/passwd", 126, "run \"/etc/passwd\": permission denied (is it executable? chmod +x)"),
    ] {
        let output = setting.runner(&[], &[program]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{program}");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.lines().any(|line| line == reason), "{program}: {errors}");
    }
}

fn no_device(setting: &Setting) {
    if !crate::setting::driver_is_root() {
        return println!("only root can hide /dev/net/tun: skipped");
    }
    let hidden = |link: &'static str| {
        let runner = Setting { link, ..setting.clone() }.runner(&[], &["ip", "-o", "link"]);
        let mut command = Command::new("unshare");
        command.args([
            "-m",
            "sh",
            "-c",
            "mount --make-rprivate / && mount -t tmpfs none /dev/net && exec \"$@\"",
            "sh",
        ]);
        command.arg(runner.get_program()).args(runner.get_args()).output().unwrap()
    };
    let auto = hidden("auto");
    assert!(String::from_utf8_lossy(&auto.stdout).contains("eth0@if2"), "{auto:?}");
    let tap = hidden("none but tap");
    assert_eq!(tap.status.code(), Some(125));
    let told = String::from_utf8_lossy(&tap.stderr).into_owned();
    assert!(
        told.starts_with("open a TAP device: /dev/net/tun: No such file or directory (load the module"),
        "{told}"
    );
    assert_eq!(told.lines().count(), 1, "{told}");
}

fn descriptors(setting: &Setting) {
    let script = "ls -l /proc/self/fd | sed 's/.* [0-9]* -> //' | sed 's/[0-9][0-9]*/N/g' | sort";
    let outside = setting.outside(script).output().unwrap();
    assert_eq!(setting.printed(&[], script), String::from_utf8(outside.stdout).unwrap());
}

fn identity(setting: &Setting) {
    let script = "id -u; id -g; grep CapEff /proc/self/status";
    let printed = setting.printed(&[], script);
    let outside = setting.outside("id -u; id -g").output().unwrap();
    let outside = String::from_utf8(outside.stdout).unwrap();
    assert!(printed.starts_with(&outside), "{printed} after {outside}");
    let rights = printed.lines().last().unwrap().trim_start_matches("CapEff:").trim();
    let none = u64::from_str_radix(rights, 16).unwrap() == 0;
    assert_eq!(none, !setting.is_root(), "{printed}");
    if setting.is_root() {
        // Every id is there: a program may become another user.
        assert_eq!(setting.printed(&[], "setpriv --reuid 33 --regid 33 --clear-groups id -u"), "33\n");
    }
}

fn root(setting: &Setting) {
    if !have("ip") {
        return;
    }
    let script =
        "id -u; ip link set eth0 mtu 1400 && ip link show eth0 && mount -t tmpfs none /mnt && echo mounted";
    let printed = setting.printed(&["root"], script);
    assert!(printed.starts_with("0\n"), "{printed}");
    assert!(printed.contains("mtu 1400"), "{printed}");
    assert!(printed.ends_with("mounted\n"), "{printed}");
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(" /mnt tmpfs"), "a mount came out: {mounts}");
}

/// What a program finds of signals, printed.
const SIGNALS: [&str; 4] = ["grep", "-E", "Sig(Ign|Blk)", "/proc/self/status"];

fn signals(setting: &Setting) {
    let outside = |trap: &str| {
        let script = format!("{trap} exec grep -E 'Sig(Ign|Blk)' /proc/self/status");
        String::from_utf8(setting.outside(&script).output().unwrap().stdout).unwrap()
    };
    let inside = |trap: &str| {
        let runner = setting.runner(&[], &SIGNALS);
        // A shell ignores signals for what it starts.
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("{trap} exec \"$@\""), "sh"])
            .arg(runner.get_program())
            .args(runner.get_args());
        String::from_utf8(shell.stdin(Stdio::null()).output().unwrap().stdout).unwrap()
    };
    let traps = ["", "trap '' PIPE;", "trap '' HUP CHLD;"];
    for trap in traps {
        assert_eq!(inside(trap), outside(trap), "{trap}");
        assert_eq!(outside(trap) == outside(""), trap.is_empty());
    }
}

fn terminated(setting: &Setting) {
    let output = setting.shell(&["terminate"], "trap 'exit 5' TERM; while :; do sleep 0.02; done");
    assert_eq!(output.status.code(), Some(5));
}

fn surroundings(setting: &Setting) {
    let script = "umask; pwd; echo $MARK";
    let mut runner = setting.runner(&[], &["sh", "-c", script]);
    let output = runner.current_dir("/usr/lib").env("MARK", "here").output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed.lines().collect::<Vec<_>>(), ["0022", "/usr/lib", "here"]);
}

fn resolv_conf(setting: &Setting) {
    let Ok(before) = fs::read("/etc/resolv.conf") else {
        return println!("no /etc/resolv.conf here: skipped");
    };
    assert_eq!(setting.printed(&[], "cat /etc/resolv.conf"), "nameserver 10.0.2.3\n");
    assert_eq!(fs::read("/etc/resolv.conf").unwrap(), before);
    // Inside, processes are numbered from 1: init, then the program.
    assert_eq!(setting.printed(&[], "echo $$"), "2\n");
}

/// A length of sleep that no other process on the machine has.
fn mark(case: u32) -> String {
    format!("{}.{case}", 100_000 + std::process::id())
}

/// The processes with this word in their command line.
fn processes_with(word: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(word))
        .collect()
}

/// The processes in this network namespace, as its link in `/proc/PID/ns` names it.
fn processes_in(namespace: &str) -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let namespaces = entries.filter_map(|entry| fs::read_link(entry.path().join("ns/net")).ok());
    namespaces.filter(|link| link.as_os_str() == namespace).count()
}

fn wait_until_gone(word: &str) {
    let start = Instant::now();
    while !processes_with(word).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(1), "still there: {:?}", processes_with(word));
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn orphans(setting: &Setting) {
    let mark = mark(1);
    let script = format!("setsid sleep {mark} >/dev/null 2>&1 & (sleep {mark} >/dev/null 2>&1 &) ; exit 3");
    assert_eq!(setting.shell(&[], &script).status.code(), Some(3));
    // When the parent has ended, init at most is left, and it knows the mark from its command line.
    let left: Vec<_> = processes_with(&mark).into_iter().filter(|line| line.starts_with("sleep")).collect();
    assert!(left.is_empty(), "{left:?}");
    wait_until_gone(&mark);
}

fn parent_killed(setting: &Setting) {
    let mark = mark(2);
    let script = format!("setsid sleep {mark} & readlink /proc/self/ns/net; exec sleep {mark}");
    let mut runner = setting.runner(&[], &["sh", "-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut namespace = String::new();
    BufReader::new(runner.stdout.take().unwrap()).read_line(&mut namespace).unwrap();
    assert!(processes_in(namespace.trim()) >= 2, "{namespace}");
    runner.kill().unwrap();
    assert_eq!(runner.wait().unwrap().signal(), Some(9));
    wait_until_gone(&mark);
    assert_eq!(processes_in(namespace.trim()), 0);
}

fn parent_killed_early(setting: &Setting) {
    let mark = mark(3);
    let mut runner =
        setting.runner(&["never-start"], &["sleep", &mark]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(runner.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "prepared\n");
    // The parent, init, and the process that was to become the program.
    assert_eq!(processes_with(&mark).len(), 3);
    runner.kill().unwrap();
    runner.wait().unwrap();
    wait_until_gone(&mark);
}

fn parent_killed_any_time(setting: &Setting) {
    let mark = mark(4);
    for step in 0..50 {
        let mut runner = setting.runner(&[], &["sleep", &mark]).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(step * 300));
        runner.kill().unwrap();
        runner.wait().unwrap();
        wait_until_gone(&mark);
    }
}
