//! Which user and group ids of a user namespace stand for which outside (user_namespaces(7)).

use std::fmt::{self, Write as _};
use std::io;

/// A run of ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    inside: u32,
    outside: u32,
    count: u32,
}

/// Ids inside and what they are outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdMap(Vec<Extent>);

/// Users or groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// Users.
    User,
    /// Groups.
    Group,
}

impl Ids {
    const fn file(self) -> &'static str {
        match self {
            Ids::User => "uid_map",
            Ids::Group => "gid_map",
        }
    }
}

/// Whose user namespace is to get a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// That of this process, which every user may give one id.
    Own,
    /// That of the process with this number, which this process may give what it has the rights for.
    Of(u32),
}

impl Whose {
    fn path(self, file: &str) -> String {
        match self {
            Whose::Own => format!("/proc/self/{file}"),
            Whose::Of(pid) => format!("/proc/{pid}/{file}"),
        }
    }
}

/// Whether programs inside may change their supplementary groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setgroups {
    /// As the rights inside say.
    Allow,
    /// Never; what an unprivileged writer of a group map must say first.
    Deny,
}

impl IdMap {
    /// One id.
    pub fn single(inside: u32, outside: u32) -> IdMap {
        IdMap(vec![Extent { inside, outside, count: 1 }])
    }

    /// Every id that the namespace of this process knows, as itself.
    ///
    /// # Errors
    /// `/proc` is not there.
    pub fn identity(ids: Ids) -> io::Result<IdMap> {
        let text = std::fs::read_to_string(Whose::Own.path(ids.file()))?;
        Ok(IdMap(text.lines().filter_map(parse_line).collect()))
    }

    /// The largest run of ids inside that holds `id`: its first and last.
    pub fn run_of(&self, id: u32) -> Option<(u32, u32)> {
        let holds = |extent: &&Extent| id >= extent.inside && id - extent.inside < extent.count;
        let extent = self.0.iter().find(holds)?;
        Some((extent.inside, extent.inside.saturating_add(extent.count - 1)))
    }

    /// Gives a user namespace this map, once and for all.
    ///
    /// # Errors
    /// `EPERM` when this process may not map these ids.
    pub fn write(&self, whose: Whose, ids: Ids) -> io::Result<()> {
        // The kernel takes a map in one write only.
        std::fs::write(whose.path(ids.file()), self.to_string())
    }
}

/// A line of a map, ids in its own namespace on both sides.
fn parse_line(line: &str) -> Option<Extent> {
    let mut numbers = line.split_whitespace().map(str::parse::<u32>);
    let inside = numbers.next()?.ok()?;
    let _outside = numbers.next()?;
    let count = numbers.next()?.ok().filter(|&count| count > 0)?;
    Some(Extent { inside, outside: inside, count })
}

impl fmt::Display for IdMap {
    /// As the kernel reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for Extent { inside, outside, count } in &self.0 {
            writeln!(text, "{inside} {outside} {count}")?;
        }
        f.write_str(&text)
    }
}

/// Decides about supplementary groups in a user namespace; before its group map is written.
///
/// # Errors
/// The namespace has its group map already.
pub fn write_setgroups(whose: Whose, setgroups: Setgroups) -> io::Result<()> {
    let word = match setgroups {
        Setgroups::Allow => "allow",
        Setgroups::Deny => "deny",
    };
    std::fs::write(whose.path("setgroups"), word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_map_keeps_the_inside_ids_only() {
        let map = IdMap(
            "         0     100000      65536\n     65536  1000 1\n".lines().filter_map(parse_line).collect(),
        );
        assert_eq!(map.to_string(), "0 0 65536\n65536 65536 1\n");
        assert_eq!(map.run_of(33), Some((0, 65535)));
        assert_eq!(map.run_of(65536), Some((65536, 65536)));
        assert_eq!(map.run_of(65537), None);
    }

    #[test]
    fn the_whole_range_is_one_run() {
        let map = IdMap("0 0 4294967295".lines().filter_map(parse_line).collect());
        assert_eq!(map.run_of(1001), Some((0, 4294967294)));
    }
}
