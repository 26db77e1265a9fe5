//! What `--so_flags` says: words separated by commas, each `name=value`.
//!
//! - `local=ADDRESS`: an address of the host, one of each family; 192.168.0.1 and fd3d:0a0b:17d6::1 unless told.
//! - `mtu=NUMBER`: the MTU of its link, 1500 unless told.
//! - `uid=NUMBER`: who calls; 0 unless told, and only 0 may bind ports below 1024.
//! - `profile=freebsd`: what RFCs leave to the sender is as FreeBSD has it (`linux` unless told); settings of the network
//!   namespace are not read then.
//! - `sysctl=no`: the network namespace's settings in /proc/sys/net are not read; Linux's defaults hold.
//! - any `net.*` name: a setting for this host, in place of the namespace's (spaces in the value as `+`).

use std::net::IpAddr;

use wharf_table::Addr;

use crate::profile::Profile;

/// What was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) v4: Addr,
    pub(crate) v6: Addr,
    pub(crate) mtu: u16,
    pub(crate) uid: u32,
    pub(crate) reads_namespace: bool,
    pub(crate) profile: Profile,
    /// Settings in place of the namespace's, by name.
    pub(crate) sysctls: Vec<(String, String)>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            v4: Addr::v4([192, 168, 0, 1]),
            v6: Addr::v6([0xfd, 0x3d, 0x0a, 0x0b, 0x17, 0xd6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
            mtu: 1500,
            uid: 0,
            reads_namespace: true,
            profile: Profile::Linux,
            sysctls: Vec::new(),
        }
    }
}

/// Reads the flags.
pub(crate) fn parse(text: &str) -> Result<Settings, String> {
    let mut settings = Settings::default();
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let (name, value) =
            word.split_once('=').ok_or_else(|| format!("\"{word}\": write it as name=value"))?;
        let wrong = |what: &str| format!("\"{word}\": \"{value}\" is not {what}");
        match name {
            "local" => match value.parse().map_err(|_| wrong("an address"))? {
                IpAddr::V4(it) => settings.v4 = Addr::v4(it.octets()),
                IpAddr::V6(it) => settings.v6 = Addr::v6(it.octets()),
            },
            "mtu" => {
                let mtu = value.parse().ok().filter(|mtu| *mtu >= 68);
                settings.mtu = mtu.ok_or_else(|| wrong("an MTU from 68 to 65535"))?;
            }
            "uid" => settings.uid = value.parse().map_err(|_| wrong("the number of a user"))?,
            "profile" => {
                settings.profile = match value {
                    "linux" => Profile::Linux,
                    "freebsd" => Profile::FreeBsd,
                    _ => return Err(wrong("linux or freebsd")),
                };
                settings.reads_namespace &= settings.profile == Profile::Linux;
            }
            "sysctl" => {
                settings.reads_namespace = match value {
                    "yes" => true,
                    "no" => false,
                    _ => return Err(wrong("yes or no")),
                }
            }
            _ if name.starts_with("net.") => {
                settings.sysctls.push((name.to_owned(), value.replace('+', " ")));
            }
            _ => {
                return Err(format!(
                    "\"{word}\": \"{name}\" is no flag (local, mtu, uid, profile, sysctl, net.*)"
                ));
            }
        }
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_and_slips_are_named() {
        let settings =
            parse("local=10.0.0.1,local=2001:db8::1, mtu=9000,net.ipv4.tcp_rmem=4096+540000+1").unwrap();
        assert_eq!(settings.v4, Addr::v4([10, 0, 0, 1]));
        assert_eq!(settings.mtu, 9_000);
        assert_eq!(settings.sysctls, [("net.ipv4.tcp_rmem".to_owned(), "4096 540000 1".to_owned())]);
        assert_eq!(parse("").unwrap(), Settings::default());
        for (text, why) in [
            ("mtu", "\"mtu\": write it as name=value"),
            ("mtu=1", "\"mtu=1\": \"1\" is not an MTU from 68 to 65535"),
            ("colour=red", "\"colour=red\": \"colour\" is no flag (local, mtu, uid, profile, sysctl, net.*)"),
        ] {
            assert_eq!(parse(text).unwrap_err(), why);
        }
    }
}
