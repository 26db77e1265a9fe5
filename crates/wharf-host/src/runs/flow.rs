//! A flow of a run, as JSON has it: what a run tells is read, and `wharf flows --json` writes the same again.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};
use wharf_table::Owner;

/// A flow.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Flow {
    /// The name of the run.
    pub network: String,
    /// `tcp`, `udp` or `icmp`.
    pub protocol: String,
    /// Its two ends as the program sees them; `local` is the program's.
    pub inside: Ends,
    /// The host's socket: its own end, and the far one.
    pub outside: Option<Ends>,
    /// Who began: `outward` the program, `inward` a client of a published port.
    pub direction: String,
    /// The name by which the program found the far end.
    pub name: Option<String>,
    /// What let it through.
    pub rule: Option<String>,
    /// The process that holds it inside; `None` where that is not known, or hidden from who asks.
    pub owner: Option<FlowOwner>,
    /// `frames` over the program's link, `splice` past it.
    pub path: String,
    /// What the program has sent.
    pub sent_bytes: u64,
    /// The same in packets.
    pub sent_packets: u64,
    /// What came for the program.
    pub received_bytes: u64,
    /// The same in packets.
    pub received_packets: u64,
    /// The state of TCP, as the program's kernel has it; `established` or `idle` for others.
    pub state: String,
    /// For how long it has existed, in seconds.
    pub age_s: f64,
}

/// Two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub struct Ends {
    /// The near one.
    pub local: Option<End>,
    /// The far one.
    pub remote: Option<End>,
}

/// An end: an address, and a port unless it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(from = "Written", into = "Written")]
pub struct End {
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: Option<u16>,
}

/// An end as JSON has it.
#[derive(Deserialize, Serialize)]
struct Written {
    address: IpAddr,
    zone: Option<String>,
    port: Option<u16>,
    text: String,
}

impl From<Written> for End {
    fn from(written: Written) -> End {
        End { address: written.address, port: written.port }
    }
}

impl From<End> for Written {
    fn from(end: End) -> Written {
        Written { address: end.address, zone: None, port: end.port, text: end.to_string() }
    }
}

impl std::fmt::Display for End {
    /// `192.0.2.1:443`, `[2001:db8::1]:443`, without a port the address alone.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.address, port).fmt(f),
            None => self.address.fmt(f),
        }
    }
}

/// Who holds a flow.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct FlowOwner {
    /// Its process, as the host numbers it.
    pub pid: Option<u32>,
    /// The name of its command.
    pub command: Option<String>,
    /// The name of its user.
    pub user: Option<String>,
    /// The number of its user.
    pub uid: Option<u32>,
    /// The systemd unit that it belongs to.
    pub unit: Option<String>,
    /// The container that it belongs to.
    pub container: Option<String>,
}

impl From<Owner> for FlowOwner {
    fn from(owner: Owner) -> FlowOwner {
        let Owner { pid, command, user, uid, unit, container, .. } = owner;
        FlowOwner { pid, command, user, uid, unit, container }
    }
}

/// What a run answers.
#[derive(Deserialize)]
struct Answer {
    flows: Vec<Flow>,
}

/// Reads an answer.
///
/// # Errors
/// It is none.
pub(super) fn parse(answer: &[u8]) -> Result<Vec<Flow>, serde_json::Error> {
    serde_json::from_slice::<Answer>(answer).map(|answer| answer.flows)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOW: &str = r#"{"network":"web","protocol":"tcp","inside":{"local":{"address":"10.0.2.100","zone":null,"port":80,"text":"10.0.2.100:80"},"remote":{"address":"10.0.2.2","zone":null,"port":null,"text":"10.0.2.2"}},"outside":{"local":null,"remote":{"address":"::1","zone":null,"port":9,"text":"[::1]:9"}},"direction":"inward","name":null,"rule":"-p 80:80/tcp","owner":null,"path":"splice","sent_bytes":1,"sent_packets":2,"received_bytes":3,"received_packets":4,"state":"established","age_s":1.5}"#;

    #[test]
    fn what_is_read_is_written_the_same() {
        let answer = format!("{{\"do\":\"flows\",\"id\":null,\"network\":\"web\",\"flows\":[{FLOW}]}}\n");
        let flows = parse(answer.as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&flows[0]).unwrap(), FLOW);
        assert!(parse(b"{\"error\":\"bad_request\"}").is_err());
    }

    #[test]
    fn a_field_that_is_new_is_no_fault() {
        let flow = FLOW.replacen('{', "{\"later\":[1],", 1);
        assert!(serde_json::from_str::<Flow>(&flow).is_ok());
    }
}
