//! The settings of the network namespace. Scripts change them with sysctl(8) in the namespace where packetdrill runs; the
//! host here follows what it finds there when a socket is made, so that such scripts mean what they say.
//!
//! Deliberately not here: settings that change nothing of what this stack does, such as limits of memory in pages.

use std::fs;
use std::time::Duration;

use wharf_stack::interface::Capabilities;
use wharf_stack::socket::HostConfig;
use wharf_stack::stack::{Config, HostRole, Medium, Role};
use wharf_stack::tcp::{CongestionKind, EcnMode, MissingTimestamps, Settings as TcpSettings};
use wharf_table::hash::HashKey;
use wharf_table::notation::Cidr;
use wharf_table::{Port, PortRange};

use crate::flags::Settings;
use crate::profile::Profile;
use crate::world::State;

/// Lengths of the prefixes on the link.
const PREFIX_V4: u8 = 16;
const PREFIX_V6: u8 = 64;

/// What a script may use up.
const BUFFERS: usize = 256 << 20;
const CONNECTIONS: usize = 1 << 16;

/// The host at its start.
pub(crate) fn host_config(settings: &Settings) -> HostConfig {
    let link = |addr, length| Cidr::new(addr, length).expect("the lengths are those of the families");
    let role = HostRole {
        addresses: vec![link(settings.v4, PREFIX_V4), link(settings.v6, PREFIX_V6)],
        gateway_v4: Some(settings.v4),
        gateway_v6: Some(settings.v6),
    };
    // Nobody attacks a script, and its runs are to be alike.
    let key = |byte| HashKey::new([byte; 16]);
    // As Linux has it: what was agreed on may be missing.
    let mut tcp = TcpSettings {
        missing_timestamps: MissingTimestamps::Tolerated,
        segments_cost: settings.profile == Profile::Linux,
        ..TcpSettings::default()
    };
    settings.profile.prepare(&mut tcp);
    let config = Config {
        medium: Medium::Ip,
        mtu: settings.mtu,
        capabilities: Capabilities::default(),
        ephemeral_ports: PortRange::new(port(32_768), port(60_999)).expect("they are in order"),
        role: Role::Host(role),
        hardware_address: [2, 0, 0, 0, 0, 1],
        tcp,
        buffer_limit: BUFFERS,
        max_connections: CONNECTIONS,
        table_key: key(1),
        isn_key: key(2),
    };
    HostConfig::new(config)
}

fn port(number: u16) -> Port {
    Port::new(number).expect("it is not 0")
}

/// Where settings are looked up: first what the flags say, then the namespace.
struct Lookup<'a>(&'a Settings);

impl Lookup<'_> {
    fn text(&self, name: &str) -> Option<String> {
        let told =
            self.0.sysctls.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value.clone());
        told.or_else(|| {
            let path = format!("/proc/sys/{}", name.replace('.', "/"));
            self.0.reads_namespace.then(|| fs::read_to_string(path).ok()).flatten()
        })
    }

    /// The numbers of a setting.
    fn numbers(&self, name: &str) -> Vec<i64> {
        let text = self.text(name).unwrap_or_default();
        text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
    }

    fn tcp(&self, name: &str) -> Option<i64> {
        self.numbers(&format!("net.ipv4.tcp_{name}")).first().copied()
    }

    fn seconds(&self, name: &str) -> Option<Duration> {
        self.tcp(name).and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs)
    }
}

/// Reads the settings anew: they hold for the sockets that are made from now on.
pub(crate) fn refresh(state: &mut State) {
    let settings = state.settings.clone();
    let at = Lookup(&settings);
    let tcp = state.host.tcp_settings_mut();
    let set = |field: &mut bool, name| {
        if let Some(value) = at.tcp(name) {
            *field = value != 0;
        }
    };
    set(&mut tcp.slow_start_after_idle, "slow_start_after_idle");
    set(&mut tcp.sack, "sack");
    set(&mut tcp.duplicate_sack, "dsack");
    set(&mut tcp.timestamps, "timestamps");
    set(&mut tcp.window_scale, "window_scaling");
    set(&mut tcp.tail_loss_probe, "early_retrans");
    let count = |field: &mut u8, name| {
        if let Some(value) = at.tcp(name).and_then(|value| u8::try_from(value).ok()) {
            *field = value;
        }
    };
    count(&mut tcp.syn_retries, "syn_retries");
    count(&mut tcp.train_min, "min_tso_segs");
    count(&mut tcp.syn_linear, "syn_linear_timeouts");
    count(&mut tcp.syn_ack_retries, "synack_retries");
    count(&mut tcp.max_retries, "retries2");
    if let Some(0) = at.tcp("orphan_retries") {
        // Linux' own number behind its default.
        tcp.orphan_retries = TcpSettings::default().orphan_retries;
    } else {
        count(&mut tcp.orphan_retries, "orphan_retries");
    }
    let buffer = |field: &mut u32, name, which: usize| {
        // Half of Linux' sizes is data, the other half what it costs to hold it.
        let value = at.numbers(name).get(which).and_then(|bytes| u32::try_from(*bytes / 2).ok());
        *field = value.unwrap_or(*field);
    };
    buffer(&mut tcp.receive_buffer, "net.ipv4.tcp_rmem", 1);
    buffer(&mut tcp.receive_buffer_max, "net.ipv4.tcp_rmem", 2);
    buffer(&mut tcp.receive_scale_for, "net.core.rmem_max", 0);
    buffer(&mut tcp.send_buffer, "net.ipv4.tcp_wmem", 1);
    buffer(&mut tcp.send_buffer_max, "net.ipv4.tcp_wmem", 2);
    if let Some(mode) = at.tcp("ecn") {
        tcp.ecn = match mode {
            0 => EcnMode::Off,
            1 => EcnMode::Active,
            _ => EcnMode::Passive,
        };
    }
    let congestion = at.text("net.ipv4.tcp_congestion_control");
    if let Some(kind) = congestion.and_then(|name| CongestionKind::from_name(name.trim())) {
        tcp.congestion = kind;
    }
    if let Some(mode) = at.tcp("tw_reuse") {
        // 2 is for the loopback interface only, of which scripts see nothing.
        let delay = at.tcp("tw_reuse_delay").and_then(|millis| u64::try_from(millis).ok()).unwrap_or(1_000);
        tcp.time_wait_reuse = (mode == 1).then_some(Duration::from_millis(delay));
    }
    if let Some(span) = at.seconds("fin_timeout") {
        tcp.fin_wait = span;
    }
}
