//! What ports are commonly used for, whatever is registered: a small table of ours (`data/common_use.tsv`), each line with the page
//! that says so. The registry never says this, and this never replaces what the registry says.

/// The table, sorted by first port.
static TEXT: &str = include_str!("../../data/common_use.tsv");

/// A use that is common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommonUse {
    /// First and last port.
    pub ports: (u16, u16),
    /// The protocols, `udp,tcp` say.
    pub protocols: &'static str,
    /// What for.
    pub text: &'static str,
    /// Where that is written.
    pub source: &'static str,
}

impl CommonUse {
    /// Whether it is over this protocol.
    pub fn is_over(&self, protocol: &str) -> bool {
        self.protocols.split(',').any(|it| it == protocol)
    }
}

/// All of them.
pub fn all() -> impl Iterator<Item = CommonUse> {
    TEXT.lines().filter_map(|line| {
        let mut columns = line.split('\t');
        let mut column = || columns.next();
        let ports = (column()?.parse().ok()?, column()?.parse().ok()?);
        Some(CommonUse { ports, protocols: column()?, text: column()?, source: column()? })
    })
}

/// Those of one port. O(n) of a small table.
pub fn at(port: u16) -> impl Iterator<Item = CommonUse> {
    all().filter(move |it| it.ports.0 <= port && port <= it.ports.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_whole_in_order_and_has_its_source() {
        let lines = TEXT.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(all().count(), lines);
        let mut before = 0;
        for it in all() {
            assert!(it.ports.0 >= before && it.ports.0 <= it.ports.1, "{it:?}");
            assert!(it.source.starts_with("https://") && !it.text.is_empty(), "{it:?}");
            assert!(it.protocols.split(',').all(|of| ["tcp", "udp"].contains(&of)), "{it:?}");
            before = it.ports.0;
        }
        assert!(at(5223).any(|it| it.text.contains("Apple") && it.is_over("tcp") && !it.is_over("udp")));
        assert_eq!(at(22).count(), 0);
    }
}
