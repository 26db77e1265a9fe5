//! Who is who in a sandbox: the ids that are mapped, and by whom.
//!
//! Root maps every id it knows as itself, from outside, so that programs which change user work. An ordinary user may
//! map its own id only, from inside; then nobody can change groups, which the kernel demands
//! (user_namespaces(7), "Defining user and group ID mappings").

use std::io;

use wharf_sys::idmap::{self, IdMap, Ids, Setgroups, Whose};

use super::RootMap;

/// The ids of a sandbox.
pub(super) struct Identity {
    /// Every user and group, where this process is root.
    all: Option<(IdMap, IdMap)>,
    /// The one user and group that every process may map, inside and outside.
    user: (u32, u32),
    group: (u32, u32),
}

/// Which ids a sandbox has got from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Mapped {
    /// All that root knows.
    All = 0,
    /// All users, but no groups yet.
    Users = 1,
    /// None yet.
    Nothing = 2,
}

impl Mapped {
    /// What was sent as a byte.
    pub(super) fn from_byte(byte: u8) -> Mapped {
        match byte {
            0 => Mapped::All,
            1 => Mapped::Users,
            _ => Mapped::Nothing,
        }
    }
}

impl Identity {
    /// What this process can give a sandbox.
    pub(super) fn of_this_process(root: RootMap) -> io::Result<Identity> {
        let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let inside = |id| match root {
            RootMap::Keep => id,
            RootMap::Root => 0,
        };
        let all = match user {
            0 => Some((IdMap::identity(Ids::User)?, IdMap::identity(Ids::Group)?)),
            _ => None,
        };
        Ok(Identity { all, user: (inside(user), user), group: (inside(group), group) })
    }

    /// Maps what can be mapped from outside for the process `pid`. Root that lacks the right maps nothing.
    pub(super) fn give_to(&self, pid: u32) -> Mapped {
        let Some((users, groups)) = &self.all else { return Mapped::Nothing };
        if users.write(Whose::Of(pid), Ids::User).is_err() {
            return Mapped::Nothing;
        }
        match groups.write(Whose::Of(pid), Ids::Group) {
            Ok(()) => Mapped::All,
            Err(_) => Mapped::Users,
        }
    }

    /// Maps the rest from inside, for this process.
    pub(super) fn complete(&self, mapped: Mapped) -> io::Result<()> {
        if mapped == Mapped::All {
            return Ok(());
        }
        idmap::write_setgroups(Whose::Own, Setgroups::Deny)?;
        if mapped == Mapped::Nothing {
            IdMap::single(self.user.0, self.user.1).write(Whose::Own, Ids::User)?;
        }
        IdMap::single(self.group.0, self.group.1).write(Whose::Own, Ids::Group)
    }

    /// The groups, as they are called inside, that may use ping sockets: first and last.
    pub(super) fn ping_groups(&self, mapped: Mapped) -> (u32, u32) {
        let own = (self.group.0, self.group.0);
        let (first, last) = match (&self.all, mapped) {
            (Some((_, groups)), Mapped::All) => groups.run_of(self.group.1).unwrap_or(own),
            _ => own,
        };
        // The kernel takes groups up to 2^31 - 1.
        (first, last.min(i32::MAX.unsigned_abs()))
    }
}
