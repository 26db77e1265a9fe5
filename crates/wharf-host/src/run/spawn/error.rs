//! Why a sandbox could not be made, in one line each, with what to do about it.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;

use rustix::io::Errno;
use thiserror::Error;
use wharf_sys::proc::limits::{sysctl, sysctl_number};
use wharf_sys::process::Program;
use wharf_sys::tap::TUN_DEVICE;

use super::report::Step;

/// Why a sandbox could not be made or its program not be started.
#[derive(Debug, Error)]
pub enum SpawnError {
    /// The command is empty, or a word of it can't be passed on.
    #[error("start the program: the command is empty or holds a NUL byte (name a program after --)")]
    Command,
    /// No channel between the processes.
    #[error("open a channel to the sandbox: {} (see ulimit -n)", said(.0))]
    Channel(#[source] io::Error),
    /// Namespaces could not be made.
    #[error("make a user and network namespace: {why}")]
    Namespaces {
        /// The reason and what to do.
        why: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The ids of the namespace could not be mapped.
    #[error(
        "map the user and group ids of the sandbox: {0} (is /proc mounted, and is this user known to newer namespaces?)"
    )]
    Identity(#[source] io::Error),
    /// There is neither a TAP nor a packet socket.
    #[error("make a link to the program: {TUN_DEVICE}: {}; {step}: {} ({remedy})", said(tap), said(packet))]
    NoLink {
        /// Why there is no TAP.
        tap: io::Error,
        /// Where the way over a packet socket ended.
        step: Step,
        /// Why.
        packet: io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// A step of the set-up failed.
    #[error("{step}: {why}")]
    Setup {
        /// The step.
        step: Step,
        /// The reason and what to do.
        why: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The sandbox ended without a word.
    #[error("set up the sandbox: its first process was killed (by the kernel for want of memory? see dmesg)")]
    InitGone,
    /// The program stands nowhere.
    #[error("run {}: not found{}", quoted(command), if *searched { " in PATH" } else { "" })]
    NotFound {
        /// Its name.
        command: PathBuf,
        /// Whether the directories of PATH were searched.
        searched: bool,
    },
    /// The program stands where it should, and can't be executed.
    #[error("run {}: {why}", quoted(command))]
    NotExecutable {
        /// Its path.
        command: PathBuf,
        /// The reason and what to do.
        why: String,
    },
}

/// What the kernel said, in its words alone.
fn said(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error").map_or(text.as_str(), |(words, _)| words).to_owned()
}

fn quoted(command: &PathBuf) -> String {
    format!("{:?}", AsRef::<OsStr>::as_ref(command))
}

impl SpawnError {
    /// The code that wharf ends with: 127 for a program not found, 126 for one that can't be executed, else 125.
    pub fn exit_code(&self) -> u8 {
        match self {
            SpawnError::NotFound { .. } => 127,
            SpawnError::NotExecutable { .. } => 126,
            _ => 125,
        }
    }

    /// The fork into new namespaces failed.
    pub(super) fn namespaces(source: io::Error) -> SpawnError {
        let why = match Errno::from_io_error(&source) {
            Some(Errno::NOSPC | Errno::USERS) => limit_reached(),
            Some(Errno::PERM | Errno::ACCESS) => denied(),
            Some(Errno::INVAL) => "this kernel has no user namespaces (CONFIG_USER_NS)".to_owned(),
            Some(Errno::DEADLK) => "wharf has started threads before (a bug of wharf's)".to_owned(),
            Some(Errno::AGAIN) => "no more processes are allowed (see ulimit -u and pids.max)".to_owned(),
            _ => said(&source),
        };
        SpawnError::Namespaces { why, source }
    }

    /// A step within the namespaces failed; `tap` is why there was no TAP before.
    pub(super) fn setup(step: Step, source: io::Error, tap: Option<io::Error>) -> SpawnError {
        let link = matches!(step, Step::PacketSocket | Step::SecondNetwork | Step::Veth);
        if let Some(tap) = tap.filter(|_| link) {
            let remedy = link_remedy(&tap);
            return SpawnError::NoLink { tap, step, packet: source, remedy };
        }
        let why = match (step, Errno::from_io_error(&source)) {
            (Step::Tap, _) => format!("{TUN_DEVICE}: {} ({})", said(&source), link_remedy(&source)),
            (
                Step::Address4 | Step::Address6 | Step::Route4 | Step::Route6,
                Some(Errno::INVAL | Errno::NETUNREACH),
            ) => "the address, its prefix and the gateway don't fit together (see --address and --gateway)"
                .to_owned(),
            (_, Some(Errno::NOSPC)) => limit_reached(),
            (_, Some(Errno::PERM | Errno::ACCESS)) => denied(),
            _ => said(&source),
        };
        SpawnError::Setup { step, why, source }
    }

    /// The program could not be executed.
    pub(super) fn exec(program: &Program, source: io::Error) -> SpawnError {
        let candidates = program.candidates();
        let there = candidates.iter().find(|path| path.exists());
        let command = match (there, candidates) {
            (Some(path), _) => path.clone(),
            (None, [only]) => only.clone(),
            (None, _) => candidates.first().and_then(|path| path.file_name()).unwrap_or_default().into(),
        };
        let missing = matches!(Errno::from_io_error(&source), Some(Errno::NOENT | Errno::NOTDIR));
        if missing && there.is_none() {
            let searched = command.components().count() == 1;
            return SpawnError::NotFound { command, searched };
        }
        let why = match Errno::from_io_error(&source) {
            _ if command.is_dir() => "it is a directory".to_owned(),
            Some(Errno::NOENT) => {
                "the interpreter that it names is not there (see its first line)".to_owned()
            }
            Some(Errno::ACCESS) => "permission denied (is it executable? chmod +x)".to_owned(),
            Some(Errno::NOEXEC) => "it is no program for this machine".to_owned(),
            Some(Errno::TOOBIG) => "arguments and environment are too long (see ulimit -s)".to_owned(),
            _ => said(&source),
        };
        SpawnError::NotExecutable { command, why }
    }
}

impl Step {
    /// The sentence for a step that failed and that not every program needs.
    pub(super) fn warning(self, error: &io::Error) -> String {
        let missing = error.kind() == io::ErrorKind::NotFound;
        let error = said(error);
        match self {
            Step::ResolvConf if missing => {
                "/etc/resolv.conf does not exist, so programs may not find the name server (create it, empty)"
                    .to_owned()
            }
            Step::Proc => format!("{self}: {error}; process numbers in /proc are the host's"),
            _ => format!("{self}: {error}"),
        }
    }
}

fn link_remedy(tap: &io::Error) -> &'static str {
    match Errno::from_io_error(tap) {
        Some(Errno::NOENT | Errno::NODEV | Errno::NXIO) => {
            "load the module tun, or in a container pass --device /dev/net/tun"
        }
        Some(Errno::ACCESS | Errno::PERM) => {
            "chmod 666 /dev/net/tun, which is safe: rights are checked where it is used"
        }
        _ => "load the module tun or veth",
    }
}

/// Which limit on namespaces keeps us from making one.
fn limit_reached() -> String {
    for kind in ["user", "net", "pid", "mnt"] {
        let name = format!("user.max_{kind}_namespaces");
        if sysctl_number(&name) == Some(0) {
            return format!("they are switched off (sysctl -w {name}=15000)");
        }
    }
    "a limit on namespaces is reached (see sysctl user.max_user_namespaces and user.max_net_namespaces; or they are \
     nested too deep)"
        .to_owned()
}

/// Who denies namespaces, or rights within them.
fn denied() -> String {
    if sysctl_number("user.max_user_namespaces") == Some(0) {
        return limit_reached();
    }
    if sysctl_number("kernel.unprivileged_userns_clone") == Some(0) {
        return "they are for root only on this host (sysctl -w kernel.unprivileged_userns_clone=1)"
            .to_owned();
    }
    if sysctl("kernel.apparmor_restrict_unprivileged_userns").is_some_and(|value| value != "0") {
        return apparmor_remedy();
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if status.lines().any(|line| line.split_whitespace().eq(["Seccomp:", "2"])) {
        return "a seccomp filter forbids it (in a container: --security-opt seccomp=unconfined, or a profile that \
                allows clone and unshare of user namespaces)"
            .to_owned();
    }
    "permission denied (in a chroot, or by a security module? see dmesg)".to_owned()
}

fn apparmor_remedy() -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| "/usr/bin/wharf".into());
    let profile = format!("profile wharf {} flags=(unconfined) {{ userns, }}", program.display());
    format!(
        "AppArmor restricts them on this host (as root: echo 'abi <abi/4.0>, {profile}' > /etc/apparmor.d/wharf && \
         apparmor_parser -r /etc/apparmor.d/wharf; or sysctl -w kernel.apparmor_restrict_unprivileged_userns=0)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exec_error(word: &str, number: Errno) -> SpawnError {
        let program = Program::find(&[word.into()], Some("/bin:/usr/bin".into())).unwrap();
        SpawnError::exec(&program, number.into())
    }

    #[test]
    fn an_exec_error_has_its_code_and_its_reason() {
        let missing = exec_error("no-such-program", Errno::NOENT);
        assert_eq!(missing.to_string(), "run \"no-such-program\": not found in PATH");
        assert_eq!(missing.exit_code(), 127);
        let missing = exec_error("/no/such/program", Errno::NOENT);
        assert_eq!(missing.to_string(), "run \"/no/such/program\": not found");
        let directory = exec_error("/etc", Errno::ACCESS);
        assert_eq!(directory.to_string(), "run \"/etc\": it is a directory");
        assert_eq!(directory.exit_code(), 126);
        let text = exec_error("/etc/passwd", Errno::ACCESS);
        assert_eq!(text.to_string(), "run \"/etc/passwd\": permission denied (is it executable? chmod +x)");
    }

    #[test]
    fn without_any_link_both_ways_are_named() {
        let tap = Some(Errno::NOENT.into());
        let error = SpawnError::setup(Step::PacketSocket, Errno::PERM.into(), tap);
        let text = error.to_string();
        assert!(
            text.starts_with("make a link to the program: /dev/net/tun: No such file or directory"),
            "{text}"
        );
        assert!(text.contains("open a packet socket: Operation not permitted"), "{text}");
        assert!(!text.contains("os error"), "{text}");
        assert_eq!(error.exit_code(), 125);
    }
}
