//! What a run tells of itself.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

/// What a run tells of itself, as far as others need it; [`Status::document`] is all of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// The run's init, as it says: [`Run::init_pid`](super::Run::init_pid) is what the kernel confirms.
    pub(super) init_pid: u32,
    /// The program's process; `None` when it has ended.
    pub program_pid: Option<u32>,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// When it began (RFC 3339).
    pub since: String,
    /// For how long it has been running, in seconds.
    pub age_s: f64,
    /// The published ports.
    pub published: Vec<Published>,
    /// How many flows it has.
    pub flows: u64,
    /// What crossed its link: from the program, and to it, in bytes of frames. `None` where the kernel does not tell.
    pub link_bytes: Option<(u64, u64)>,
    /// Everything, as it was told: fields are only ever added.
    pub document: Value,
}

/// A published port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Where it is open on the host.
    pub local: SocketAddr,
    /// The program's port that it leads to.
    pub inside_port: u16,
    /// The option that asked for it: `-p 8080:80/tcp`.
    pub rule: String,
}

impl Status {
    /// Reads an answer; `None` when it is none.
    pub(super) fn parse(answer: &[u8]) -> Option<Status> {
        let document: Value = serde_json::from_slice(answer).ok()?;
        let number = |value: &Value| u32::try_from(value.as_u64()?).ok();
        let command = document["command"].as_array()?.iter();
        let totals = &document["counters"]["link"];
        Some(Status {
            init_pid: number(&document["init_pid"])?,
            program_pid: number(&document["program_pid"]),
            command: command.map(|word| word.as_str().map(str::to_owned)).collect::<Option<_>>()?,
            since: document["since"].as_str()?.to_owned(),
            age_s: document["age_s"].as_f64()?,
            published: document["published"]
                .as_array()?
                .iter()
                .map(Published::parse)
                .collect::<Option<_>>()?,
            flows: document["flows"].as_object()?.values().filter_map(Value::as_u64).sum(),
            link_bytes: totals["sent_bytes"].as_u64().zip(totals["received_bytes"].as_u64()),
            document,
        })
    }
}

impl Published {
    fn parse(port: &Value) -> Option<Published> {
        let local = &port["local"];
        let ip: IpAddr = local["address"].as_str()?.parse().ok()?;
        Some(Published {
            protocol: port["protocol"].as_str()?.to_owned(),
            local: SocketAddr::new(ip, u16::try_from(local["port"].as_u64()?).ok()?),
            inside_port: u16::try_from(port["inside_port"].as_u64()?).ok()?,
            rule: port["rule"].as_str()?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"do":"status","init_pid":12,"program_pid":13,"command":["nc","-l"],"since":"2026-12-01T00:00:00.000Z",
        "age_s":1.5,"flows":{"tcp_frames":2,"udp":1},"counters":{"link":{"sent_bytes":5,"received_bytes":7}},"more":true,
        "published":[{"protocol":"tcp","local":{"address":"::1","port":8080,"text":"[::1]:8080"},"inside_port":80,"rule":"-p 8080:80/tcp"}]}"#;

    #[test]
    fn an_answer_is_read_and_more_of_it_is_kept() {
        let status = Status::parse(ANSWER.as_bytes()).unwrap();
        assert_eq!((status.init_pid, status.program_pid, status.flows), (12, Some(13), 3));
        assert_eq!(status.published[0].local, "[::1]:8080".parse().unwrap());
        assert_eq!(status.link_bytes, Some((5, 7)));
        assert_eq!(status.document["more"], true);
    }

    #[test]
    fn what_is_no_status_is_none() {
        for field in ["init_pid", "command", "since", "published", "flows", "age_s"] {
            let answer = ANSWER.replacen(&format!("\"{field}\""), "\"other\"", 1);
            assert_eq!(Status::parse(answer.as_bytes()), None, "{field}");
        }
        for answer in ["", "[]", "null", "{}", "{\"error\":\"bad_request\"}"] {
            assert_eq!(Status::parse(answer.as_bytes()), None, "{answer}");
        }
    }
}
