//! The TCP settings of a host by name, as `--setting NAME=VALUE` and the request `setting` give them.

use std::fmt::{self, Write as _};
use std::time::Duration;

use wharf_stack::tcp::{CongestionKind, EcnMode, Keepalive, MissingTimestamps, MtuProbing, Settings};

/// A setting: its name, what may be written, and how it is set.
struct Known {
    name: &'static str,
    values: &'static str,
    set: fn(&mut Settings, &str) -> Option<()>,
}

/// Sets a field to what `parse` makes of the text.
macro_rules! known {
    ($($name:ident $values:literal $field:ident = $parse:expr,)+) => {
        &[$(Known {
            name: stringify!($name),
            values: $values,
            set: |settings, text| {
                settings.$field = $parse(text)?;
                Some(())
            },
        },)+]
    };
}

/// Every setting.
const KNOWN: &[Known] = known! {
    congestion "cubic, reno or bbr" congestion = CongestionKind::from_name,
    ecn "off, passive or active" ecn = ecn,
    sack "on or off" sack = switch,
    timestamps "on or off" timestamps = switch,
    window_scale "on or off" window_scale = switch,
    nagle "on or off" nagle = switch,
    delayed_ack "on or off" delayed_ack = switch,
    receive_buffer "bytes, 4096 or more" receive_buffer = buffer,
    send_buffer "bytes, 4096 or more" send_buffer = buffer,
    max_pacing_rate "bytes a second" max_pacing_rate = number,
    max_retries "a count up to 255" max_retries = number,
    syn_retries "a count up to 255" syn_retries = number,
    time_wait "seconds" time_wait = seconds,
    user_timeout "seconds, or off" user_timeout = optional_seconds,
    keepalive "seconds of silence, or off" keepalive = keepalive,
    missing_timestamps "dropped or tolerated" missing_timestamps = missing_timestamps,
    mtu_probing "off, blackhole or always" mtu_probing = mtu_probing,
    hop_limit "1 to 255" hop_limit = hop_limit,
    dscp "0 to 63" dscp = dscp,
};

/// Why a setting is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingError {
    /// There is none of this name.
    Unknown {
        /// The name.
        name: String,
    },
    /// The value makes no sense.
    Value {
        /// The name.
        name: &'static str,
        /// The value.
        value: String,
        /// What may be written.
        values: &'static str,
    },
    /// No equals sign.
    NoValue {
        /// The whole text.
        text: String,
    },
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SettingError::Unknown { name } => write!(f, "{name:?}: no such setting (there are {})", names()),
            SettingError::Value { name, value, values } => {
                write!(f, "{value:?}: no value of {name} (write {values})")
            }
            SettingError::NoValue { text } => {
                write!(f, "{text:?}: no value (write NAME=VALUE; there are {})", names())
            }
        }
    }
}

impl std::error::Error for SettingError {}

fn names() -> String {
    let mut text = String::new();
    for (index, known) in KNOWN.iter().enumerate() {
        let before = if index == 0 { "" } else { ", " };
        // Writing to a string does not fail.
        let _ = write!(text, "{before}{}", known.name);
    }
    text
}

/// Splits `NAME=VALUE`, and makes sure that both make sense.
///
/// # Errors
/// [`SettingError`], with the offending part.
pub fn parse(text: &str) -> Result<(String, String), SettingError> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| SettingError::NoValue { text: text.to_owned() })?;
    apply(&mut Settings::default(), name, value)?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Sets one setting.
///
/// # Errors
/// [`SettingError`], with the offending part; nothing has changed then.
pub fn apply(settings: &mut Settings, name: &str, value: &str) -> Result<(), SettingError> {
    let known = KNOWN.iter().find(|known| known.name == name);
    let known = known.ok_or_else(|| SettingError::Unknown { name: name.to_owned() })?;
    (known.set)(settings, value).ok_or_else(|| SettingError::Value {
        name: known.name,
        value: value.to_owned(),
        values: known.values,
    })
}

fn switch(text: &str) -> Option<bool> {
    match text {
        "on" | "true" | "1" => Some(true),
        "off" | "false" | "0" => Some(false),
        _ => None,
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn buffer(text: &str) -> Option<u32> {
    number(text).filter(|bytes| (4_096..=1 << 30).contains(bytes))
}

fn hop_limit(text: &str) -> Option<u8> {
    number(text).filter(|hops| *hops > 0)
}

fn dscp(text: &str) -> Option<u8> {
    number(text).filter(|codepoint| *codepoint < 64)
}

/// A span in seconds, up to a year.
fn seconds(text: &str) -> Option<Duration> {
    let seconds = number::<f64>(text).filter(|seconds| (0.0..=31_536_000.0).contains(seconds))?;
    Some(Duration::from_secs_f64(seconds))
}

#[allow(clippy::option_option, reason = "no value, or none of these")]
fn optional_seconds(text: &str) -> Option<Option<Duration>> {
    if text == "off" { Some(None) } else { seconds(text).map(Some) }
}

#[allow(clippy::option_option, reason = "no value, or none of these")]
fn keepalive(text: &str) -> Option<Option<Keepalive>> {
    let idle = optional_seconds(text)?;
    Some(idle.map(|idle| Keepalive { idle, ..Keepalive::default() }))
}

fn ecn(text: &str) -> Option<EcnMode> {
    match text {
        "off" => Some(EcnMode::Off),
        "passive" => Some(EcnMode::Passive),
        "active" => Some(EcnMode::Active),
        _ => None,
    }
}

fn missing_timestamps(text: &str) -> Option<MissingTimestamps> {
    match text {
        "dropped" => Some(MissingTimestamps::Dropped),
        "tolerated" => Some(MissingTimestamps::Tolerated),
        _ => None,
    }
}

fn mtu_probing(text: &str) -> Option<MtuProbing> {
    match text {
        "off" => Some(MtuProbing::Off),
        "blackhole" => Some(MtuProbing::OnBlackhole),
        "always" => Some(MtuProbing::Always),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_by_name() {
        let mut settings = Settings::default();
        for (name, value) in [("ecn", "active"), ("congestion", "bbr"), ("sack", "off"), ("time_wait", "1.5")]
        {
            apply(&mut settings, name, value).unwrap();
        }
        assert_eq!(settings.ecn, EcnMode::Active);
        assert_eq!(settings.congestion, CongestionKind::Bbr);
        assert!(!settings.sack);
        assert_eq!(settings.time_wait, Duration::from_millis(1_500));
    }

    #[test]
    fn what_is_wrong_is_quoted() {
        assert_eq!(
            parse("ecn=yes").unwrap_err().to_string(),
            "\"yes\": no value of ecn (write off, passive or active)"
        );
        assert!(
            parse("enc=on")
                .unwrap_err()
                .to_string()
                .starts_with("\"enc\": no such setting (there are congestion, ecn,")
        );
        assert!(parse("ecn").unwrap_err().to_string().starts_with("\"ecn\": no value (write NAME=VALUE"));
        assert!(parse("receive_buffer=17").is_err());
        assert!(parse("time_wait=-1").is_err());
        assert!(parse("time_wait=NaN").is_err());
    }
}
