//! What must hold for any bytes: one property a file, each of which says in its first line what it is.
//!
//! A fuzz target is a property and a search for bytes that break it. The properties stand here so that an ordinary test can ask
//! them too, about every seed (`crates/wharf-sim/tests/seeds.rs`): seeds that nothing reads would rot.

pub mod arp;
pub mod checksum;
pub mod dhcpv4;
pub mod dns;
pub mod ethernet;
pub mod handle_frame;
pub mod host;
pub mod http;
pub mod icmpv4;
pub mod icmpv6;
pub mod ipv4;
pub mod ipv6;
pub mod name;
pub mod ndp;
pub mod quic;
pub mod quoted;
pub mod script;
pub mod shown;
pub mod table;
pub mod tcp;
pub mod tls;
pub mod udp;

/// A property, by the name of its target.
pub type Property = (&'static str, fn(&[u8]));

/// All of them.
pub const PROPERTIES: &[Property] = &[
    ("arp", arp::check),
    ("checksum", checksum::check),
    ("dhcpv4", dhcpv4::check),
    ("dns", dns::check),
    ("ethernet", ethernet::check),
    ("handle_frame", handle_frame::check),
    ("host", host::check),
    ("http", http::check),
    ("icmpv4", icmpv4::check),
    ("icmpv6", icmpv6::check),
    ("ipv4", ipv4::check),
    ("ipv6", ipv6::check),
    ("name", name::check),
    ("ndp", ndp::check),
    ("quic", quic::check),
    ("quoted", quoted::check),
    ("script", script::check),
    ("shown", shown::check),
    ("table", table::check),
    ("tcp", tcp::check),
    ("tls", tls::check),
    ("udp", udp::check),
];
