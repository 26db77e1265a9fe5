//! The words of a selector: one table for the documentation, for the help and for what was perhaps meant.

/// A word, or several that mean the same.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    /// As it may be written, the usual form first.
    pub forms: &'static [&'static str],
    /// What follows it; empty for nothing.
    pub value: &'static str,
    /// Which rows it takes.
    pub meaning: &'static str,
    /// A selector that uses it.
    pub example: &'static str,
}

const fn word(
    forms: &'static [&'static str],
    value: &'static str,
    meaning: &'static str,
    example: &'static str,
) -> Word {
    Word { forms, value, meaning, example }
}

/// The words that join conditions, from the one that binds most.
pub static JOINING: &[Word] = &[
    word(&["(", ")"], "", "together", "( tcp or udp ) port 53"),
    word(&["not", "!"], "", "what the next condition does not take", "tcp not port 22"),
    word(&["and", "&", "&&"], "", "both; the same as just standing together", "tcp and listening"),
    word(&["or", "|", "||"], "", "either", "port 22 or user root"),
];

/// The words that are conditions, in groups.
pub static CONDITIONS: &[(&str, &[Word])] = &[
    (
        "What it is",
        &[
            word(
                &["tcp", "mptcp", "udp", "udplite", "sctp", "dccp", "raw", "icmp"],
                "",
                "endpoints of this protocol",
                "udp port 53",
            ),
            word(&["ipv4", "ipv6"], "", "whose local address is of this family", "ipv6 listening"),
            word(&["all"], "", "every row", "all"),
        ],
    ),
    (
        "State and role",
        &[
            word(
                &["listening"],
                "",
                "takes connections, or datagrams from anybody",
                "tcp listening port 8000-9000",
            ),
            word(
                &["exposed"],
                "",
                "listens or is bound where other hosts reach it: not on loopback only",
                "exposed not port 22",
            ),
            word(
                &["connected"],
                "",
                "has a peer, or had one: every state but listen, bound and closed",
                "connected to 10.0.0.0/8",
            ),
            word(
                &["state"],
                "NAME[,NAME...]",
                "in one of these states: wharf's names or those of ss, also all, connected, synchronized, bucket, big",
                "state established,time-wait",
            ),
            word(&["exclude"], "NAME[,NAME...]", "in none of these states", "tcp exclude time-wait"),
            word(
                &[
                    "listen",
                    "syn-sent",
                    "syn-received",
                    "established",
                    "fin-wait-1",
                    "fin-wait-2",
                    "close-wait",
                    "closing",
                    "last-ack",
                    "time-wait",
                    "closed",
                    "bound",
                ],
                "",
                "in this state",
                "established user www-data",
            ),
            word(
                &["role"],
                "listener|server|client|bound",
                "plays this part, told by the listener and not by the number",
                "role client to port 443",
            ),
            word(&["queued"], "", "has bytes or connections waiting in a queue", "tcp queued"),
        ],
    ),
    (
        "Ports",
        &[
            word(
                &["port"],
                "PORTS",
                "either port is one of these: 443, 80,443, 8000-8999, https, 53/udp; PORTS alone says the same",
                "port 80,443",
            ),
            word(
                &["local port", "from port", "on port", "sport"],
                "PORTS",
                "the local port is one of these",
                "local port 8080",
            ),
            word(
                &["remote port", "to port", "with port", "dport"],
                "PORTS",
                "the remote port is one of these",
                "to port https",
            ),
            word(
                &["above", "below", "<", "<=", ">", ">=", "=", "!="],
                "PORT",
                "behind a word for a port: compares, as ss does; also eq, ne, lt, le, gt, ge",
                "local port above 1023 dport != :22",
            ),
            word(
                &["service"],
                "NAME",
                "the service's port is registered for this name: the local port, a client's remote one",
                "service postgresql",
            ),
        ],
    ),
    (
        "Addresses",
        &[
            word(
                &["to", "with", "remote", "dst"],
                "ADDRESS|CIDR[:PORTS]",
                "the remote end is there; also loopback, *:PORTS, [ADDRESS]:PORTS",
                "to 10.0.0.0/8:5432",
            ),
            word(
                &["from", "local", "src"],
                "ADDRESS|CIDR[:PORTS]",
                "the local end is there",
                "from 192.0.2.1",
            ),
            word(
                &["on"],
                "ADDRESS[:PORTS]",
                "answers at this address: bound to it, or to all addresses of its family",
                "listening on 127.0.0.1",
            ),
            word(
                &["address"],
                "ADDRESS|CIDR[:PORTS]",
                "either end is there; the address alone says the same",
                "address fe80::/10",
            ),
            word(&["loopback"], "", "either end is on loopback", "tcp not loopback"),
            word(
                &["interface", "dev"],
                "NAME",
                "tied to this interface, by name or index",
                "udp interface eth0",
            ),
        ],
    ),
    (
        "Owners",
        &[
            word(
                &["user"],
                "NAME|UID",
                "held by a process of this user; where none is known, made by this user",
                "user www-data",
            ),
            word(
                &["process"],
                "NAME",
                "held by a process with this command; * stands for anything",
                "process nginx",
            ),
            word(&["pid"], "N[,N...]", "held by this process", "pid 812"),
            word(
                &["unit"],
                "NAME",
                "of this systemd unit; .service may be left out, * stands for anything",
                "unit nginx",
            ),
            word(
                &["container"],
                "NAME",
                "of this container; 12 digits of its number do, * stands for anything",
                "container web*",
            ),
            word(&["cgroup"], "PATH", "of this control group, or of one in it", "cgroup /system.slice"),
            word(
                &["in"],
                "NETWORK",
                "in this network: host, a run, a namespace; * stands for anything",
                "in host listening",
            ),
            word(&["owned"], "", "a process that holds it is known", "owned time-wait"),
            word(&["ownerless"], "", "no process that holds it is known", "ownerless not time-wait"),
        ],
    ),
    (
        "Age",
        &[
            word(
                &["older"],
                "[than] TIME",
                "exists for more than this: 500ms, 30s, 5m, 2h, 1d, 1h30m",
                "established older than 1h",
            ),
            word(&["younger"], "[than] TIME", "exists for less than this", "younger than 5m"),
        ],
    ),
];

/// Every single word that a selector can begin a condition with, or join conditions by.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    let conditions = CONDITIONS.iter().flat_map(|(_, words)| words.iter());
    let forms = JOINING.iter().chain(conditions).flat_map(|word| word.forms.iter().copied());
    forms.flat_map(|form| form.split(' ')).filter(|form| form.starts_with(|c: char| c.is_ascii_alphabetic()))
}
