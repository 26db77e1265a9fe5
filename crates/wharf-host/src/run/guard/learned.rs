//! What a run has used, as the smallest policy that would have sufficed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use wharf_table::policy::{Hidden, Hostname};
use wharf_table::{Addr, Endpoint, Protocol};

/// Whom a flow went to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Whom {
    /// A name, and whether it was hidden where it could have been shown.
    Name(Hostname, bool),
    Host,
    Addr(Addr),
}

/// Everything that was used.
#[derive(Clone, Debug, Default)]
pub(in crate::run) struct Learned {
    used: BTreeMap<(Whom, Protocol), BTreeSet<u16>>,
}

impl Learned {
    /// A flow has gone to `remote`, which was looked up as `name`.
    pub(super) fn note(
        &mut self,
        protocol: Protocol,
        remote: Endpoint,
        name: Option<(&Hostname, Hidden)>,
        is_host: bool,
    ) {
        let whom = match name {
            _ if is_host => Whom::Host,
            Some((name, hidden)) => Whom::Name(name.clone(), hidden == Hidden::Lenient),
            None => Whom::Addr(remote.addr),
        };
        let ports = self.used.entry((whom, protocol)).or_default();
        if protocol != Protocol::Icmp {
            ports.insert(remote.port);
        }
    }
}

impl fmt::Display for Learned {
    /// As a policy file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# What the run has used. Whatever is not named here is denied.\ndefault = \"deny\"")?;
        for ((whom, protocol), ports) in &self.used {
            write!(f, "\n[[rule]]\nallow = \"")?;
            match whom {
                Whom::Name(name, _) => write!(f, "{name}")?,
                Whom::Host => f.write_str("host")?,
                Whom::Addr(addr) if addr.is_v4() => write!(f, "{addr}")?,
                Whom::Addr(addr) => write!(f, "[{addr}]")?,
            }
            for (index, port) in ports.iter().enumerate() {
                write!(f, "{}{port}", if index == 0 { ":" } else { "," })?;
            }
            writeln!(f, "/{protocol}\"")?;
            match whom {
                Whom::Addr(_) => writeln!(f, "reason = \"by its address: no look-up led there\"")?,
                Whom::Name(_, true) => {
                    writeln!(f, "hidden = \"lenient\"\nreason = \"the program hides the name\"")?
                }
                Whom::Name(..) | Whom::Host => {}
            }
        }
        Ok(())
    }
}
