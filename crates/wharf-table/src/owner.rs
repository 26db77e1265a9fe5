//! Who holds a port: the process behind a binding or a flow.

use alloc::string::String;
use core::fmt;

/// A process that holds a port, as rows and errors name it. What is unknown, or hidden from the one who asks, is
/// `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The process.
    pub pid: Option<u32>,
    /// The name of its command.
    pub command: Option<String>,
    /// The name of its user.
    pub user: Option<String>,
    /// The number of its user.
    pub uid: Option<u32>,
    /// The process that started it, or that took it over.
    pub parent: Option<u32>,
    /// The systemd unit that it belongs to.
    pub unit: Option<String>,
    /// The container that it belongs to.
    pub container: Option<String>,
}

impl fmt::Display for Owner {
    /// `nginx (pid 812, user www-data)`, as far as it is known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.command.as_deref().unwrap_or("a process that is hidden from you"))?;
        let mut before = " (";
        if let Some(pid) = self.pid {
            write!(f, "{before}pid {pid}")?;
            before = ", ";
        }
        match (&self.user, self.uid) {
            (Some(user), _) => write!(f, "{before}user {user}")?,
            (None, Some(uid)) => write!(f, "{before}uid {uid}")?,
            (None, None) if before == " (" => return Ok(()),
            (None, None) => {}
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn says_what_is_known() {
        let mut owner = Owner {
            pid: Some(812),
            command: Some("nginx".into()),
            user: Some("www-data".into()),
            uid: Some(33),
            ..Owner::default()
        };
        assert_eq!(owner.to_string(), "nginx (pid 812, user www-data)");
        owner.user = None;
        assert_eq!(owner.to_string(), "nginx (pid 812, uid 33)");
        owner.uid = None;
        assert_eq!(owner.to_string(), "nginx (pid 812)");
        assert_eq!(Owner::default().to_string(), "a process that is hidden from you");
        let hidden = Owner { uid: Some(33), ..Owner::default() };
        assert_eq!(hidden.to_string(), "a process that is hidden from you (uid 33)");
    }
}
