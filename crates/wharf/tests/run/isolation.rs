//! What must not be reachable from inside, and what must not be seen outside.

use crate::lab::{Lab, Place, Proc, User, host, missing, server};

crate::tests! {
    [all] the_hosts_loopback_is_out_of_reach link_local_is_out_of_reach allow_host_opens_one_port;
    [tap_user packet_user] inside_addresses_are_never_on_the_wire sees_only_its_own_network;
}

fn listen(lab: &Lab, words: &[&str]) -> Proc {
    lab.serve(Place::Host, words)
}

fn how(lab: &Lab, options: &[&str], address: &str, port: &str) -> String {
    lab.run(options, &lab.peer("dial.py", &["errno", address, port, "1"])).good().to_owned()
}

fn the_hosts_loopback_is_out_of_reach(lab: &Lab) {
    let _four = listen(lab, &["peer", "127.0.0.1", "9999"]);
    let _six = listen(lab, &["peer", "::1", "9999"]);
    let _dns =
        lab.world.start(Place::Host, User::Root, &lab.peer("serve.py", &["datagrams", "127.0.0.1", "9999"]));
    for address in ["127.0.0.1", "127.7.7.7", "::1", "10.0.2.2", "10.0.2.3", "0.0.0.0"] {
        assert_ne!(how(lab, &[], address, "9999"), "connected", "{address}");
    }
    let by_name = lab.run(&[], &lab.peer("dial.py", &["errno", "host.wharf.internal", "9999", "1"]));
    assert!(!by_name.stdout.contains("connected"), "{}", by_name.stdout);
    let answer = lab.run(&[], &lab.peer("datagram.py", &["echo", "10.0.2.2", "9999", "word"]));
    assert!(!answer.good().contains("word"), "UDP to the gateway: {}", answer.stdout);
}

fn link_local_is_out_of_reach(lab: &Lab) {
    for address in ["169.254.169.254/32", "169.254.7.7/32"] {
        lab.world.run(Place::Host, &["ip", "addr", "add", address, "dev", "lo"]).good();
    }
    let _metadata = listen(lab, &["peer", "::", "80"]);
    let show = ["ip", "-6", "-o", "addr", "show", "dev", "to-server", "scope", "link"];
    let own = lab.world.run(Place::Host, &show);
    let own = own.good().split_whitespace().find_map(|word| word.strip_suffix("/64")).map(str::to_owned);
    for address in ["169.254.169.254", "169.254.7.7"] {
        assert_ne!(how(lab, &[], address, "80"), "connected", "{address}");
        assert_ne!(
            how(lab, &["--allow-host", "80"], address, "80"),
            "connected",
            "{address} with --allow-host"
        );
    }
    if let Some(own) = own {
        let script = format!(
            "import socket, sys\ndevice = [name for _, name in socket.if_nameindex() if name != 'lo'][0]\n\
             s = socket.socket(socket.AF_INET6)\ns.settimeout(1)\n\
             s.connect(('{own}', 80, 0, socket.if_nametoindex(device)))\nprint('connected')"
        );
        let answer = lab.run(&[], &[crate::lab::python(), "-c", &script]);
        assert!(!answer.stdout.contains("connected"), "{own} of this host");
    }
}

fn allow_host_opens_one_port(lab: &Lab) {
    let _open = listen(lab, &["peer", "127.0.0.1", "9999"]);
    let _closed = listen(lab, &["peer", "127.0.0.1", "9998"]);
    let _datagrams = listen(lab, &["datagrams", "127.0.0.1", "9997"]);
    let script =
        "import socket; print(socket.getaddrinfo('host.wharf.internal', 1, socket.AF_INET)[0][4][0])";
    let options = ["--allow-host", "9999", "--allow-host", "9997/udp"];
    let address = lab.run(&options, &[crate::lab::python(), "-c", script]);
    let address = address.good();
    assert_eq!(how(lab, &options, address, "9999"), "connected");
    assert_ne!(how(lab, &options, address, "9998"), "connected");
    let answer = lab.run(&options, &lab.peer("datagram.py", &["echo", address, "9997", "word"]));
    assert!(answer.good().ends_with(" word"), "UDP through --allow-host: {}", answer.stdout);
    assert_ne!(how(lab, &options, "169.254.169.254", "9999"), "connected");
}

fn inside_addresses_are_never_on_the_wire(lab: &Lab) {
    if let Some(tool) = missing(&["tcpdump", "tshark"]) {
        return println!("skipped: {tool} isn't installed");
    }
    let capture = lab.world.capture("ip or ip6");
    let _tcp = lab.serve(Place::Server, &["late", "::", "80"]);
    let _udp = lab.serve(Place::Server, &["datagrams", server::V4, "4000"]);
    lab.run(&[], &lab.peer("dial.py", &["late", server::V4, "80"])).good();
    lab.run(&[], &lab.peer("dial.py", &["late", server::V6, "80"])).good();
    lab.run(&[], &lab.peer("datagram.py", &["many", server::V4, "4000", "4000", "3"])).good();
    lab.run(&[], &["ping", "-c", "1", "-W", "1", server::V4]);
    let seen = capture.ask("ip.src or ipv6.src", &["ip.src", "ip.dst", "ipv6.src", "ipv6.dst"]);
    assert!(seen.iter().any(|line| line.contains(host::TO_SERVER_V4)), "{seen:?}");
    assert!(seen.iter().any(|line| line.contains(host::TO_SERVER_V6)), "{seen:?}");
    let ours = ["198.51.100.", "2001:db8:5::", "fe80::", "ff02::"];
    for line in &seen {
        // An ICMP error quotes the packet it is about: tshark then gives both addresses, with a comma.
        for address in line.split(['\t', ',']).filter(|address| !address.is_empty()) {
            assert!(
                ours.iter().any(|start| address.starts_with(start)) || address == "::",
                "{address} in {line}"
            );
        }
    }
}

fn sees_only_its_own_network(lab: &Lab) {
    let seen = lab.run(&[], &["sh", "-c", "ip -o link | wc -l; cat /proc/net/dev"]);
    let seen = seen.good();
    assert!(seen.starts_with('2'), "lo and one link: {seen}");
    assert!(!seen.contains("to-server"), "{seen}");
    let network = "readlink /proc/self/ns/net";
    let inside = lab.run(&[], &["sh", "-c", network]);
    assert_ne!(inside.good(), lab.bare(&["sh", "-c", network]).good());
    // The gateway's end must not be within the program's reach either: no process of it is in sight with another network.
    let veth =
        lab.run(&["--root"], &["sh", "-c", "ip -d -o link show type veth | grep -c link-netns || true"]);
    println!("links with a peer namespace in sight: {}", veth.good());
}
