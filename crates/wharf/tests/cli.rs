//! What is typed, and what wharf says to it: help, version, and every wrong argument, as reviewed snapshots.
//!
//! `SNAPSHOTS=overwrite cargo test -p wharf --test cli` writes them anew. Nothing here needs a namespace: what is wrong is found
//! before one is made.

use std::process::{Command, Output, Stdio};

use snapbox::{IntoData as _, assert_data_eq, str};

fn wharf(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
    command.args(words).env("SHELL", "/bin/sh").env_remove("COLUMNS").stdin(Stdio::null());
    command.output().expect("the binary was built for this test")
}

/// Standard output of what must end well and say nothing else.
fn said(words: &[&str]) -> String {
    let output = wharf(words);
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{words:?}");
    String::from_utf8(output.stdout).expect("wharf speaks UTF-8")
}

/// Each command line with its exit code and its one line on standard error.
fn refused(lines: &[&[&str]]) -> String {
    let tell = |words: &&[&str]| {
        let output = wharf(words);
        let error = String::from_utf8(output.stderr).expect("wharf speaks UTF-8");
        assert!(output.stdout.is_empty(), "{words:?} wrote to standard output");
        assert_eq!(error.lines().count(), 1, "{words:?}: {error}");
        let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        format!("$ wharf {}\n{}: {error}", words.join(" "), output.status.code().unwrap_or(-1))
    };
    lines.iter().map(tell).collect()
}

fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:,=%@".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) { word.to_owned() } else { format!("'{word}'") }
}

#[test]
fn the_help_of_run_fits_a_screen_and_starts_with_examples() {
    let help = said(&["run", "--help"]);
    assert_eq!(help, said(&["run", "-h"]));
    assert!(help.lines().count() <= 24, "{} lines", help.lines().count());
    assert!(help.lines().all(|line| line.chars().count() < 80), "a line is too long");
    assert_data_eq!(
        help,
        str![[r#"
Examples:
  wharf run -p 8080:80 -- python3 -m http.server 80   port 80 inside, 8080 here
  wharf run curl -v http://example.org/               out into the world
  wharf run --allow example.org:443 -- ./build        one name, and no other

Usage: wharf run [OPTIONS] [--] [COMMAND...]   (your shell without a COMMAND)
  -p, --publish <SPEC>     [ADDRESS:]HOSTPORT[-END]:PORT[-END][/tcp|/udp]
      --allow <TARGET>     Whom it may reach: example.org:443, *.a.b, lan, any
      --deny <TARGET>      Whom not; the first rule that fits decides
      --policy <FILE>      Rules and reasons from a file (docs/policy.md)
      --default <WORD>     allow or deny the rest [deny behind an --allow]
      --dry-run            Let all through, tell what would be denied
      --learn <FILE>       Let all through, write down what it used
      --allow-host <PORT>  A port of the host's loopback that it may reach
      --address <CIDR>     Its address [10.0.2.100/24, a random /64 of IPv6]
      --dns <ADDR>         The name server's address there [10.0.2.3, ::3]
      --mtu <N>            The largest packet of its link, in bytes [1500]
      --ipv4-only          No IPv6
      --ipv6-only          No IPv4
      --name <NAME>        The run's name: NAME.wharf.internal inside
      --link <SPEC>        A bad line: delay=2ms,loss=1% (a wrong one tells)
      --root               Be root inside
  -v, --verbose            Tell on standard error what happens
      --json               Tell it as JSON, one object a line

"#]]
        .raw()
    );
}

#[test]
fn the_help_of_host_fits_a_screen_and_starts_with_examples() {
    let help = said(&["host", "--help"]);
    assert!(help.lines().count() <= 24, "{} lines", help.lines().count());
    assert!(help.lines().all(|line| line.chars().count() < 80), "a line is too long");
    assert_data_eq!(
        help,
        str![[r#"
Examples:
  wharf host --address 10.8.0.2/24 --socket h.sock -- bash
  wharf host --address 10.8.0.2/24 --tap w0 --peer 10.8.0.1/24
  wharf host --address fd00:8::2/64 --tun t0 --netns lab --clock virtual

Usage: wharf host --address CIDR [OPTIONS] [-- COMMAND...]   (docs/host.md)

      --address <CIDR>           The host's address and network
      --gateway <ADDR>           Its gateway, for what lies beyond
      --tap <NAME>               Its link: an Ethernet interface [wharf0]
      --tun <NAME>               Its link: an interface of IP packets
      --netns <NAME>             In this network namespace: a name or a path
      --peer <CIDR>              The kernel's address on the link
      --mtu <N>                  The largest packet of the link [1500]
      --socket <PATH>            Requests come from a UNIX socket as well
      --clock <KIND>             real, or virtual: time is told to move
      --no-offload               Frames no larger than the MTU
      --ports <RANGE>            Chosen ports: A-B, linux or iana [iana]
      --algorithm <N>            How they are: 1 to 5, of RFC 6056 [4]
      --reserve <PORTS>          Ports that are never chosen: 443,8000-8999
      --privileged-below <PORT>  Ports below need a right [1024]
      --uid <N>                  Whose sockets are [0, who has that right]
      --setting <SETTING>        Of its TCP: ecn=active (a wrong one lists all)
  -h, --help                     Print help

"#]]
        .raw()
    );
}

#[test]
fn hosts_that_make_no_sense() {
    let told = refused(&[
        &["host"],
        &["host", "10.8.0.2/24"],
        &["host", "--address", "10.8.0.2"],
        &["host", "--address", "10.8.0.0/24"],
        &["host", "--address", "10.8.0.2/24", "--peer", "10.9.0.1/24", "--tap", "w0"],
        &["host", "--address", "10.8.0.2/24", "--peer", "10.8.0.2/24", "--tap", "w0"],
        &["host", "--address", "10.8.0.2/24", "--gateway", "10.9.0.1"],
        &["host", "--address", "10.8.0.2/24", "--tap", "a/b"],
        &["host", "--address", "10.8.0.2/24", "--tap", "a", "--tun", "b"],
        &["host", "--address", "10.8.0.2/24", "--tun", "t0", "--", "true"],
        &["host", "--address", "10.8.0.2/24", "--netns", "lab", "--", "true"],
        &["host", "--address", "10.8.0.2/32", "--", "true"],
        &["host", "--address", "10.8.0.2/24", "--mtu", "99"],
        &["host", "--address", "10.8.0.2/24", "--clock", "slow"],
        &["host", "--address", "10.8.0.2/24", "--ports", "9000-8000"],
        &["host", "--address", "10.8.0.2/24", "--ports", "all"],
        &["host", "--address", "10.8.0.2/24", "--algorithm", "6"],
        &["host", "--address", "10.8.0.2/24", "--reserve", "80,x"],
        &["host", "--address", "10.8.0.2/24", "--privileged-below", "70000"],
        &["host", "--address", "10.8.0.2/24", "--uid", "root"],
        &["host", "--address", "10.8.0.2/24", "--setting", "ecn=maybe"],
        &["host", "--address", "10.8.0.2/24", "--setting", "enc=on"],
        &["host", "--address", "10.8.0.2/24", "--netns", "no-such-namespace"],
    ]);
    assert_data_eq!(told, str![[r#"
$ wharf host
2: wharf: --address: missing (the host's address and network, 10.8.0.2/24 say)
$ wharf host 10.8.0.2/24
2: wharf: unexpected argument '10.8.0.2/24' found (wharf host --help lists all)
$ wharf host --address 10.8.0.2
2: wharf: --address "10.8.0.2": a prefix length is missing (write 10.0.2.100/24 or fd00::1/64)
$ wharf host --address 10.8.0.0/24
2: wharf: --address "10.8.0.0/24": no host can have this address (choose another one of the network)
$ wharf host --address 10.8.0.2/24 --peer 10.9.0.1/24 --tap w0
2: wharf: --peer "10.9.0.1": lies in none of the host's networks (see --address)
$ wharf host --address 10.8.0.2/24 --peer 10.8.0.2/24 --tap w0
2: wharf: --peer "10.8.0.2": the host has this address (give the kernel's side another one)
$ wharf host --address 10.8.0.2/24 --gateway 10.9.0.1
2: wharf: --gateway "10.9.0.1": lies in none of the host's networks (see --address)
$ wharf host --address 10.8.0.2/24 --tap a/b
2: wharf: --tap "a/b": not a name for an interface (1 to 15 letters, digits, "-", "_" or ".")
$ wharf host --address 10.8.0.2/24 --tap a --tun b
2: wharf: the argument '--tap <NAME>' cannot be used with '--tun <NAME>' (wharf host --help lists all)
$ wharf host --address 10.8.0.2/24 --tun t0 -- true
2: wharf: --tun: a COMMAND runs in a network of its own, which has its own interface (leave out --tun, or the COMMAND)
$ wharf host --address 10.8.0.2/24 --netns lab -- true
2: wharf: --netns: a COMMAND runs in a network of its own, which has its own interface (leave out --netns, or the COMMAND)
$ wharf host --address 10.8.0.2/32 -- true
2: wharf: --peer: the network of 10.8.0.2/32 has no second address (write a shorter prefix, or give --peer)
$ wharf host --address 10.8.0.2/24 --mtu 99
2: wharf: --mtu "99": not an MTU of this link (write 576 to 65520)
$ wharf host --address 10.8.0.2/24 --clock slow
2: wharf: --clock "slow": no such clock (write real or virtual)
$ wharf host --address 10.8.0.2/24 --ports 9000-8000
2: wharf: --ports "9000-8000": a range runs upwards (write 8000-9000)
$ wharf host --address 10.8.0.2/24 --ports all
2: wharf: --ports "all": no tcp service has this name (write its port number)
$ wharf host --address 10.8.0.2/24 --algorithm 6
2: wharf: --algorithm "6": no such algorithm (write 1 to 5, the numbers of RFC 6056, section 3.3)
$ wharf host --address 10.8.0.2/24 --reserve 80,x
2: wharf: --reserve 80,x: "x": no tcp service has this name (write its port number)
$ wharf host --address 10.8.0.2/24 --privileged-below 70000
2: wharf: --privileged-below "70000": not a port (write a number from 0 to 65535)
$ wharf host --address 10.8.0.2/24 --uid root
2: wharf: --uid "root": not the number of a user (write 1000 say)
$ wharf host --address 10.8.0.2/24 --setting ecn=maybe
2: wharf: --setting ecn=maybe: "maybe": no value of ecn (write off, passive or active)
$ wharf host --address 10.8.0.2/24 --setting enc=on
2: wharf: --setting enc=on: "enc": no such setting (there are congestion, ecn, sack, timestamps, window_scale, nagle, delayed_ack, receive_buffer, send_buffer, max_pacing_rate, max_retries, syn_retries, time_wait, user_timeout, keepalive, missing_timestamps, mtu_probing, hop_limit, dscp)
$ wharf host --address 10.8.0.2/24 --netns no-such-namespace
2: wharf: enter the network namespace "/run/netns/no-such-namespace": No such file or directory (ip netns list shows those with a name; a path has a slash in it)

"#]].raw());
}

#[test]
fn help_and_version() {
    assert_data_eq!(
        said(&["--help"]),
        str![[r#"
The port layer in one program

Examples:
  wharf run -p 8080:80 -- python3 -m http.server 80
  wharf run curl http://example.org/
  wharf run --help

Usage: wharf <VERB>

  run     Run a program in a network of its own
  host    Run a host of wharf's own stack, driven by JSON lines
  port    Tell what a port is registered as, and where a name leads
  free    Find ports that are free now, and hold them
  list    Show the endpoints of this host and who holds them [alias: ls]
  who     Tell who holds a local port, or end that
  flows   Show the flows of runs: both ends inside and outside, names, owners
  ps      List the runs that are there
  why     Explain why something can't be reached or bound, and what helps
  policy  The rules of a run, or other ones for it
  watch   Tell what happens to endpoints as it happens, and record it
  top     Show ports with their talkers on a page, busiest first

  -h, --help     Print help
  -V, --version  Print version

"#]]
        .raw()
    );
    assert_eq!(said(&["--version"]), concat!("wharf ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn unknown_words() {
    let told = refused(&[
        &[],
        &["runn"],
        &["--verbose"],
        &["run", "--prot", "80"],
        &["run", "--adress", "10.0.2.1/24", "true"],
        &["run", "-x", "true"],
        &["run", "--mtu"],
        &["run", "-p"],
        &["run", "--ipv4-only=yes"],
        &["run", "--ipv4-only", "--ipv6-only", "true"],
    ]);
    assert_data_eq!(told, str![[r#"
$ wharf 
2: wharf: a verb is missing (wharf run COMMAND runs a program; wharf --help has more)
$ wharf runn
2: wharf: unrecognized subcommand 'runn' (a similar subcommand exists: 'run'; wharf --help lists all)
$ wharf --verbose
2: wharf: unexpected argument '--verbose' found (a similar argument exists: '--version'; wharf --help lists all)
$ wharf run --prot 80
2: wharf: unexpected argument '--prot' found (a similar argument exists: '--root'; wharf run --help lists all)
$ wharf run --adress 10.0.2.1/24 true
2: wharf: unexpected argument '--adress' found (a similar argument exists: '--address'; wharf run --help lists all)
$ wharf run -x true
2: wharf: unexpected argument '-x' found (to pass '-x' as a value, use '-- -x'; wharf run --help lists all)
$ wharf run --mtu
2: wharf: a value is required for '--mtu <N>' but none was supplied (wharf run --help lists all)
$ wharf run -p
2: wharf: a value is required for '--publish <SPEC>' but none was supplied (wharf run --help lists all)
$ wharf run --ipv4-only=yes
2: wharf: unexpected value 'yes' for '--ipv4-only' found; no more were expected (wharf run --help lists all)
$ wharf run --ipv4-only --ipv6-only true
2: wharf: the argument '--ipv4-only' cannot be used with '--ipv6-only' (wharf run --help lists all)

"#]].raw());
}

#[test]
fn publish_specs_that_are_wrong() {
    let told = refused(&[
        &["run", "-p", "", "true"],
        &["run", "-p", "99999:80", "true"],
        &["run", "-p", "08080:80", "true"],
        &["run", "-p", "8080:0", "true"],
        &["run", "-p", "8080:eighty", "true"],
        &["run", "-p", "8080:80/sctp", "true"],
        &["run", "-p", "1.2.3:8080:80", "true"],
        &["run", "-p", "127.0.0.1:80", "true"],
        &["run", "-p", "[::1:8080:80", "true"],
        &["run", "-p", "::1:8080:80", "true"],
        &["run", "-p", "9001-9000:80-81", "true"],
        &["run", "-p", "9000-9001:80-82", "true"],
        &["run", "-p", "1:2:3:4", "true"],
        &["run", "--ipv4-only", "--allow-host", "0x50", "true"],
        &["run", "--allow-host", "0", "true"],
        &["run", "--allow-host", "5432/icmp", "true"],
    ]);
    assert_data_eq!(
        told,
        str![[r#"
$ wharf run -p '' true
2: wharf: -p "": nothing to publish (write HOSTPORT:PORT, 8080:80 say)
$ wharf run -p 99999:80 true
2: wharf: -p 99999:80: "99999": the highest port is 65535
$ wharf run -p 08080:80 true
2: wharf: -p 08080:80: "08080": a port has no leading zeros (write 8080)
$ wharf run -p 8080:0 true
2: wharf: -p 8080:0: "0": port 0 stands only for one host port that is to be chosen (write 0:80)
$ wharf run -p 8080:eighty true
2: wharf: -p 8080:eighty: "eighty": no tcp service has this name (write its port number)
$ wharf run -p 8080:80/sctp true
2: wharf: -p 8080:80/sctp: "/sctp": unknown protocol (write /tcp or /udp)
$ wharf run -p 1.2.3:8080:80 true
2: wharf: -p 1.2.3:8080:80: "1.2.3": not an IPv4 address (write ADDRESS:HOSTPORT:PORT, 127.0.0.1:8080:80 say)
$ wharf run -p 127.0.0.1:80 true
2: wharf: -p "127.0.0.1:80": an address is followed by two ports (write 127.0.0.1:80:80)
$ wharf run -p '[::1:8080:80' true
2: wharf: -p "[::1:8080:80": brackets hold an IPv6 address, and ports follow (write [::1]:8080:80)
$ wharf run -p ::1:8080:80 true
2: wharf: -p "::1:8080:80": an IPv6 address before a port stands in brackets (write [::1]:8080:80)
$ wharf run -p 9001-9000:80-81 true
2: wharf: -p 9001-9000:80-81: "9001-9000": a range runs upwards (write 9000-9001)
$ wharf run -p 9000-9001:80-82 true
2: wharf: -p "9000-9001:80-82": 2 against 3 ports, and both sides need as many (write 9000-9002:80-82)
$ wharf run -p 1:2:3:4 true
2: wharf: -p "1:2:3:4": too many parts (write ADDRESS:HOSTPORT:PORT, 127.0.0.1:8080:80 say)
$ wharf run --ipv4-only --allow-host 0x50 true
2: wharf: --allow-host "0x50": no tcp service has this name (write its port number)
$ wharf run --allow-host 0 true
2: wharf: --allow-host "0": port 0 can't be opened (write a number from 1 to 65535)
$ wharf run --allow-host 5432/icmp true
2: wharf: --allow-host 5432/icmp: "/icmp": unknown protocol (write /tcp or /udp)

"#]]
        .raw()
    );
}

#[test]
fn addresses_that_are_wrong() {
    let told = refused(&[
        &["run", "--address", "192.168.70.5", "true"],
        &["run", "--address", "192.168.70.300/24", "true"],
        &["run", "--address", "192.168.70.5/33", "true"],
        &["run", "--address", "192.168.70.0/24", "true"],
        &["run", "--address", "192.168.70.5/31", "true"],
        &["run", "--address", "127.0.0.2/8", "true"],
        &["run", "--address", "192.168.70.5/24", "--address", "192.168.71.5/24", "true"],
        &["run", "--address", "192.168.70.5/24", "--ipv6-only", "true"],
        &["run", "--gateway", "gate", "true"],
        &["run", "--address", "192.168.70.5/24", "--gateway", "192.168.71.1", "true"],
        &["run", "--address", "192.168.70.5/24", "--gateway", "192.168.70.5", "true"],
        &["run", "--address", "192.168.70.5/24", "--dns", "192.168.70.255", "true"],
        &["run", "--dns", "fd00::3", "--ipv4-only", "true"],
    ]);
    assert_data_eq!(told, str![[r#"
$ wharf run --address 192.168.70.5 true
2: wharf: --address "192.168.70.5": a prefix length is missing (write 10.0.2.100/24 or fd00::1/64)
$ wharf run --address 192.168.70.300/24 true
2: wharf: --address 192.168.70.300/24: "192.168.70.300": not an address (write 10.0.2.100/24 or fd00::1/64)
$ wharf run --address 192.168.70.5/33 true
2: wharf: --address 192.168.70.5/33: "/33": not a prefix length (write /0 to /32)
$ wharf run --address 192.168.70.0/24 true
2: wharf: --address "192.168.70.0": no host can have this address in 192.168.70.0/24 (choose another one)
$ wharf run --address 192.168.70.5/31 true
2: wharf: --address "192.168.70.5/31": the network is too small for program, gateway, name server and host (write /29 or shorter)
$ wharf run --address 127.0.0.2/8 true
2: wharf: --address "127.0.0.2": no host can have this address in 127.0.0.0/8 (choose another one)
$ wharf run --address 192.168.70.5/24 --address 192.168.71.5/24 true
2: wharf: --address "192.168.71.5": given twice for IPv4 (give one for each family)
$ wharf run --address 192.168.70.5/24 --ipv6-only true
2: wharf: --address "192.168.70.5": the run has no IPv4 (leave out --ipv6-only)
$ wharf run --gateway gate true
2: wharf: --gateway "gate": not an address (write 10.0.2.2 or fd00::2 say)
$ wharf run --address 192.168.70.5/24 --gateway 192.168.71.1 true
2: wharf: --gateway "192.168.71.1": lies outside the program's network 192.168.70.0/24 (choose one inside, or give --address as well)
$ wharf run --address 192.168.70.5/24 --gateway 192.168.70.5 true
2: wharf: --gateway "192.168.70.5": the program has this address (choose another one)
$ wharf run --address 192.168.70.5/24 --dns 192.168.70.255 true
2: wharf: --dns "192.168.70.255": no host can have this address in 192.168.70.0/24 (choose another one)
$ wharf run --dns fd00::3 --ipv4-only true
2: wharf: --dns "fd00::3": the run has no IPv6 (leave out --ipv4-only)

"#]].raw());
}

#[test]
fn other_values_that_are_wrong() {
    let told = refused(&[
        &["run", "--mtu", "17", "true"],
        &["run", "--mtu", "large", "true"],
        &["run", "--mtu", "1000", "true"],
        &["run", "--mtu", "500", "--ipv4-only", "true"],
        &["run", "--mtu", "65521", "true"],
        &["run", "--buffer", "128K", "true"],
        &["run", "--buffer", "65M", "true"],
        &["run", "--buffer", "1.5M", "true"],
        &["run", "--name", "my run", "true"],
        &["run", "--name", "gateway", "true"],
        &["run", "--device", "tun", "true"],
        &["run", "--queues", "0", "true"],
        &["run", "--queues", "65", "true"],
        &["run", "--queues", "some", "true"],
        &["run", "--queues", "2", "--link", "loss=1%", "true"],
        &["run", "--link", "delay=20", "true"],
        &["run", "--link", "delay=20ms,lost=1%", "true"],
    ]);
    assert_data_eq!(told, str![[r#"
$ wharf run --mtu 17 true
2: wharf: --mtu "17": not an MTU of this link (write 1280 to 65520, or from 576 with --ipv4-only)
$ wharf run --mtu large true
2: wharf: --mtu "large": not a number of bytes (write 1500 say)
$ wharf run --mtu 1000 true
2: wharf: --mtu "1000": not an MTU of this link (write 1280 to 65520, or from 576 with --ipv4-only)
$ wharf run --mtu 500 --ipv4-only true
2: wharf: --mtu "500": not an MTU of this link (write 576 to 65520)
$ wharf run --mtu 65521 true
2: wharf: --mtu "65521": not an MTU of this link (write 1280 to 65520, or from 576 with --ipv4-only)
$ wharf run --buffer 128K true
2: wharf: --buffer "128K": not a buffer of a flow (write 256K to 64M)
$ wharf run --buffer 65M true
2: wharf: --buffer "65M": not a buffer of a flow (write 256K to 64M)
$ wharf run --buffer 1.5M true
2: wharf: --buffer "1.5M": not a size (write 512K or 4M say)
$ wharf run --name 'my run' true
2: wharf: --name "my run": not a name for a run (letters, digits and hyphens, 63 at most; not host, gateway or dns)
$ wharf run --name gateway true
2: wharf: --name "gateway": not a name for a run (letters, digits and hyphens, 63 at most; not host, gateway or dns)
$ wharf run --device tun true
2: wharf: --device "tun": no such link (write auto, tap or packet)
$ wharf run --queues 0 true
2: wharf: --queues "0": not a number of queues (write 1 to 64)
$ wharf run --queues 65 true
2: wharf: --queues "65": not a number of queues (write 1 to 64)
$ wharf run --queues some true
2: wharf: --queues "some": not a number of queues (write 1 to 64)
$ wharf run --queues 2 --link loss=1% true
2: wharf: --queues "2": a bad line has one queue (leave out --queues or --link)
$ wharf run --link delay=20 true
2: wharf: --link "delay=20" has no span of time, as in 20ms (us, ms, s)
$ wharf run --link delay=20ms,lost=1% true
2: wharf: --link delay=20ms,lost=1%: "lost=1%" is none of delay=, jitter=, loss=, reorder=, duplicate=, corrupt=, rate=, queue=, mark=

"#]].raw());
}

#[test]
fn a_closed_pipe_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_wharf"))
        .args(["run", "--help"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built for this test");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the child is ours");
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}
