//! What `/proc` tells of one process and of those that it comes from (proc_pid_stat(5), proc_pid_cmdline(5)).

use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::time::Duration;

use wharf_table::owner::Owner;

/// More ancestors than any process has; a chain that was read while processes ended could be a circle.
const ANCESTORS_MAX: usize = 64;

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Who it is.
    pub owner: Owner,
    /// What it was started with; empty where that is hidden.
    pub arguments: Vec<String>,
    /// Its working directory, where that may be read.
    pub directory: Option<PathBuf>,
    /// The file that it runs, where that may be read.
    pub executable: Option<PathBuf>,
    /// How long it has run.
    pub age: Option<Duration>,
    /// When it was started, in ticks since the host was: with the number this is one process for ever.
    pub started_ticks: Option<u64>,
    /// Its parent, the parent's parent and so on.
    pub ancestors: Vec<Ancestor>,
    /// What started it.
    pub origin: Origin,
    /// Places in [`Answer::others`](super::Answer::others) of what else it holds.
    pub others: Vec<u32>,
}

/// A process from which another comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ancestor {
    /// Its number.
    pub pid: u32,
    /// Its command; empty where `/proc` hides it.
    pub command: String,
}

/// What started a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Which kind of thing.
    pub kind: OriginKind,
    /// Its name: of the unit, the container, the command.
    pub name: String,
    /// Its process, where it is one.
    pub pid: Option<u32>,
}

/// What starts processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginKind {
    /// A container.
    Container,
    /// A systemd unit.
    Unit,
    /// A run of wharf.
    Run,
    /// A session over ssh.
    Ssh,
    /// A time table.
    Cron,
    /// A terminal that stays when its user leaves.
    Multiplexer,
    /// A shell.
    Shell,
    /// Another process.
    Process,
    /// Its parent has ended, or it is the first process.
    Unknown,
}

impl OriginKind {
    /// The stable name, as JSON prints it.
    pub const fn name(self) -> &'static str {
        match self {
            OriginKind::Container => "container",
            OriginKind::Unit => "unit",
            OriginKind::Run => "run",
            OriginKind::Ssh => "ssh",
            OriginKind::Cron => "cron",
            OriginKind::Multiplexer => "multiplexer",
            OriginKind::Shell => "shell",
            OriginKind::Process => "process",
            OriginKind::Unknown => "unknown",
        }
    }
}

impl Process {
    /// Reads what is known of an owner.
    pub fn read(owner: Owner) -> Process {
        let pid = owner.pid.unwrap_or_default();
        let stat = Stat::read(pid);
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let ancestors = ancestors(owner.parent);
        Process {
            arguments: split(&arguments),
            directory: fs::read_link(format!("/proc/{pid}/cwd")).ok(),
            executable: fs::read_link(format!("/proc/{pid}/exe")).ok(),
            age: stat.as_ref().and_then(Stat::age),
            started_ticks: stat.map(|stat| stat.started_ticks),
            origin: origin(&owner, &ancestors),
            ancestors,
            owner,
            others: Vec::new(),
        }
    }
}

/// The arguments between zeros. A program may write over them, and then ends them as it likes.
fn split(arguments: &[u8]) -> Vec<String> {
    let end = arguments.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let arguments = arguments.get(..end).unwrap_or_default();
    if arguments.is_empty() {
        return Vec::new();
    }
    let text =
        |argument: &[u8]| std::ffi::OsString::from_vec(argument.to_vec()).to_string_lossy().into_owned();
    arguments.split(|&byte| byte == 0).map(text).collect()
}

/// The parent, its parent and so on, up to the first process.
fn ancestors(parent: Option<u32>) -> Vec<Ancestor> {
    let mut found = Vec::new();
    let mut next = parent;
    while let Some(pid) = next
        && found.len() < ANCESTORS_MAX
    {
        let stat = Stat::read(pid);
        next = stat.as_ref().map(|stat| stat.parent).filter(|&parent| parent != 0);
        found.push(Ancestor { pid, command: stat.map(|stat| stat.command).unwrap_or_default() });
    }
    found
}

/// The nearest thing among those from which a process comes that a person would call its starter.
fn origin(owner: &Owner, ancestors: &[Ancestor]) -> Origin {
    let named = |kind, name: &str| Origin { kind, name: name.to_owned(), pid: None };
    if let Some(container) = &owner.container {
        return named(OriginKind::Container, container);
    }
    // What people type lives in units of their sessions, of which they never heard.
    let is_service =
        |unit: &&String| !unit.ends_with(".scope") && !unit.ends_with(".slice") && !unit.starts_with("user@");
    let is_typed = ancestors.iter().any(|ancestor| starter(&ancestor.command) == Some(OriginKind::Ssh));
    if let Some(unit) = owner.unit.as_ref().filter(is_service).filter(|_| !is_typed) {
        return named(OriginKind::Unit, unit);
    }
    let known = ancestors.iter().filter_map(|ancestor| Some((starter(&ancestor.command)?, ancestor)));
    // A shell is only where it was typed; what lies behind it says more.
    let best = known.min_by_key(|(kind, _)| *kind == OriginKind::Shell);
    match (best, ancestors.first()) {
        (Some((kind, ancestor)), _) => {
            Origin { kind, name: ancestor.command.clone(), pid: Some(ancestor.pid) }
        }
        (None, Some(parent)) if parent.pid != 1 => {
            Origin { kind: OriginKind::Process, name: parent.command.clone(), pid: Some(parent.pid) }
        }
        _ => named(OriginKind::Unknown, ""),
    }
}

/// What a command is to those that it starts.
fn starter(command: &str) -> Option<OriginKind> {
    Some(match command {
        "wharf" => OriginKind::Run,
        "sshd" | "sshd-session" | "dropbear" => OriginKind::Ssh,
        "cron" | "crond" | "atd" | "anacron" => OriginKind::Cron,
        "screen" | "zellij" => OriginKind::Multiplexer,
        _ if command.starts_with("tmux") => OriginKind::Multiplexer,
        "sh" | "bash" | "dash" | "zsh" | "fish" | "ksh" | "ash" | "nu" => OriginKind::Shell,
        _ => return None,
    })
}

/// The fields of `/proc/PID/stat` that are of use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    command: String,
    parent: u32,
    pub(super) started_ticks: u64,
}

impl Stat {
    /// Reads it; `None` when there is no such process, or it is hidden.
    pub(super) fn read(pid: u32) -> Option<Stat> {
        let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
        Stat::parse(&String::from_utf8_lossy(&text))
    }

    /// The command stands in parentheses and may hold any letter, so the last one ends it.
    fn parse(text: &str) -> Option<Stat> {
        let (before, after) = text.rsplit_once(')')?;
        let command = before.split_once('(')?.1.to_owned();
        let mut fields = after.split_whitespace();
        let parent = fields.nth(1)?.parse().ok()?;
        let started_ticks = fields.nth(17)?.parse().ok()?;
        Some(Stat { command, parent, started_ticks })
    }

    fn age(&self) -> Option<Duration> {
        // Both are told by the clock of this process's time namespace.
        let uptime = fs::read_to_string("/proc/uptime").ok()?;
        let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
        let started = self.started_ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
        Duration::try_from_secs_f64((uptime - started).max(0.0)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_may_hold_parentheses() {
        let text = "7 (a) b (c)) S 3 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 2 3";
        let stat = Stat { command: "a) b (c)".into(), parent: 3, started_ticks: 4711 };
        assert_eq!(Stat::parse(text), Some(stat));
        assert_eq!(Stat::parse("7 (a"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn arguments_stand_between_zeros() {
        assert_eq!(split(b"python3\0-m\0\0x\0"), ["python3", "-m", "", "x"]);
        assert_eq!(split(b"nginx: master process\0\0\0"), ["nginx: master process"]);
        assert!(split(b"").is_empty() && split(b"\0\0").is_empty());
    }

    #[test]
    fn this_process_is_read() {
        let owner = Owner {
            pid: Some(std::process::id()),
            parent: Some(std::os::unix::process::parent_id()),
            ..Owner::default()
        };
        let process = Process::read(owner);
        assert_eq!(process.directory, std::env::current_dir().ok());
        assert_eq!(process.executable, std::env::current_exe().ok());
        assert!(process.age.is_some_and(|age| age < Duration::from_secs(3_600)));
        assert_eq!(process.ancestors.first().map(|parent| parent.pid), process.owner.parent);
        assert_eq!(process.arguments, std::env::args().collect::<Vec<_>>());
    }

    #[test]
    fn the_starter_is_what_a_person_would_name() {
        let chain = |commands: &[&str]| -> Vec<Ancestor> {
            let ancestor = |(place, command): (usize, &&str)| Ancestor {
                pid: place as u32 + 10,
                command: (*command).to_owned(),
            };
            commands.iter().enumerate().map(ancestor).collect()
        };
        let owner = |unit: Option<&str>| Owner { unit: unit.map(str::to_owned), ..Owner::default() };
        let told = |unit, commands: &[&str]| {
            let origin = origin(&owner(unit), &chain(commands));
            format!("{} {} {:?}", origin.kind.name(), origin.name, origin.pid)
        };
        assert_eq!(told(Some("nginx.service"), &["systemd"]), "unit nginx.service None");
        assert_eq!(told(Some("session-3.scope"), &["bash", "sshd", "sshd"]), "ssh sshd Some(11)");
        assert_eq!(told(Some("ssh.service"), &["bash", "sshd", "sshd"]), "ssh sshd Some(11)");
        assert_eq!(told(None, &["bash", "tmux: server"]), "multiplexer tmux: server Some(11)");
        assert_eq!(told(None, &["make", "bash"]), "shell bash Some(11)");
        assert_eq!(told(None, &["make", "init"]), "process make Some(10)");
        assert_eq!(told(None, &[]), "unknown  None");
    }
}
