//! The default ports of URL schemes.
//!
//! Where a scheme has the name of a registered service, its port is that of the registry, which a test checks; the others
//! are those of the specification or the program that the scheme is of.

use crate::tuple::Protocol;

/// What a scheme tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scheme {
    /// Its name, in lower case.
    pub name: &'static str,
    /// The port where a URL has none; `None` where a name server tells it (SRV).
    pub port: Option<u16>,
    /// The protocol; `None` where there are several.
    pub protocol: Option<Protocol>,
}

const fn tcp(name: &'static str, port: u16) -> Scheme {
    Scheme { name, port: Some(port), protocol: Some(Protocol::Tcp) }
}

const fn udp(name: &'static str, port: u16) -> Scheme {
    Scheme { name, port: Some(port), protocol: Some(Protocol::Udp) }
}

const fn either(name: &'static str, port: u16) -> Scheme {
    Scheme { name, port: Some(port), protocol: None }
}

/// All schemes that are known, by name.
pub static SCHEMES: &[Scheme] = &[
    tcp("afp", 548),
    tcp("amqp", 5672),
    tcp("amqps", 5671),
    tcp("bolt", 7687),
    tcp("cifs", 445),
    udp("coap", 5683),
    tcp("coap+tcp", 5683),
    udp("coaps", 5684),
    tcp("coaps+tcp", 5684),
    tcp("cql", 9042),
    tcp("dict", 2628),
    either("dns", 53),
    tcp("etcd", 2379),
    tcp("finger", 79),
    tcp("ftp", 21),
    tcp("ftps", 990),
    tcp("gemini", 1965),
    tcp("git", 9418),
    tcp("gopher", 70),
    tcp("hkp", 11371),
    tcp("hkps", 443),
    tcp("http", 80),
    tcp("https", 443),
    tcp("imap", 143),
    tcp("imaps", 993),
    tcp("ipp", 631),
    tcp("ipps", 631),
    tcp("irc", 6667),
    tcp("ircs", 6697),
    tcp("iscsi", 3260),
    tcp("kafka", 9092),
    tcp("ldap", 389),
    tcp("ldaps", 636),
    tcp("mariadb", 3306),
    tcp("memcached", 11211),
    tcp("mongodb", 27017),
    Scheme { name: "mongodb+srv", port: None, protocol: Some(Protocol::Tcp) },
    tcp("mqtt", 1883),
    tcp("mqtts", 8883),
    tcp("msrp", 2855),
    tcp("msrps", 2855),
    tcp("mssql", 1433),
    tcp("mysql", 3306),
    tcp("nats", 4222),
    tcp("neo4j", 7687),
    tcp("nfs", 2049),
    tcp("nntp", 119),
    tcp("nntps", 563),
    udp("ntp", 123),
    tcp("pop", 110),
    tcp("pop3", 110),
    tcp("pop3s", 995),
    tcp("pops", 995),
    tcp("postgres", 5432),
    tcp("postgresql", 5432),
    tcp("rdp", 3389),
    tcp("redis", 6379),
    tcp("rediss", 6379),
    tcp("rsync", 873),
    tcp("rtmp", 1935),
    tcp("rtsp", 554),
    tcp("rtsps", 322),
    udp("rtspu", 554),
    tcp("scp", 22),
    tcp("sftp", 22),
    either("sip", 5060),
    tcp("sips", 5061),
    tcp("smb", 445),
    tcp("smtp", 25),
    tcp("smtps", 465),
    tcp("snews", 563),
    udp("snmp", 161),
    tcp("socks4", 1080),
    tcp("socks4a", 1080),
    tcp("socks5", 1080),
    tcp("socks5h", 1080),
    tcp("sqlserver", 1433),
    tcp("ssh", 22),
    tcp("stomp", 61613),
    either("stun", 3478),
    tcp("stuns", 5349),
    tcp("submission", 587),
    tcp("submissions", 465),
    tcp("svn", 3690),
    Scheme { name: "tcp", port: None, protocol: Some(Protocol::Tcp) },
    tcp("telnet", 23),
    udp("tftp", 69),
    either("turn", 3478),
    tcp("turns", 5349),
    Scheme { name: "udp", port: None, protocol: Some(Protocol::Udp) },
    tcp("valkey", 6379),
    tcp("valkeys", 6379),
    tcp("vnc", 5900),
    tcp("whois", 43),
    tcp("ws", 80),
    tcp("wss", 443),
    tcp("xmpp", 5222),
];

/// The scheme of this name, in whatever case. Of `git+ssh` what is behind counts, of `postgresql+psycopg2` what is
/// before, and of `jdbc:postgresql` what is behind.
pub fn find(written: &str) -> Option<&'static Scheme> {
    let name = written.to_ascii_lowercase();
    let name = name.rsplit_once(':').map_or(name.as_str(), |(_, name)| name);
    let exact = |name: &str| {
        let at = SCHEMES.binary_search_by(|scheme| scheme.name.cmp(name)).ok()?;
        SCHEMES.get(at)
    };
    let (before, behind) = name.split_once('+').unwrap_or((name, name));
    exact(name).or_else(|| exact(behind)).or_else(|| exact(before))
}
