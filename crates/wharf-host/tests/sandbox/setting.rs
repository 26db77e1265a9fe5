//! Who runs a case, and over which link.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::runner;

/// An ordinary user for cases that root starts.
const ORDINARY: &str = "1001";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// The user of the driver.
    Same,
    /// An ordinary user, the driver being root.
    Ordinary,
}

#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) who: Who,
    pub(crate) link: &'static str,
    /// This program, where every user can execute it.
    pub(crate) program: PathBuf,
}

pub(crate) fn driver_is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Every setting that makes sense for the user of the driver.
pub(crate) fn all() -> Vec<Setting> {
    let program = copy_of_this_program();
    let users: &[Who] = if driver_is_root() { &[Who::Same, Who::Ordinary] } else { &[Who::Same] };
    let with = |who| ["tap", "packet"].map(|link| Setting { who, link, program: program.clone() });
    users.iter().flat_map(|&who| with(who)).collect()
}

/// Where this program is copied to.
fn directory() -> PathBuf {
    std::env::temp_dir().join(format!("wharf-sandbox-{}", std::process::id()))
}

/// Takes the copy away.
pub(crate) fn clean_up() {
    fs::remove_dir_all(directory()).unwrap();
}

/// The build directory may be closed to other users.
fn copy_of_this_program() -> PathBuf {
    let directory = directory();
    fs::create_dir_all(&directory).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
    let program = directory.join("sandbox");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

impl Setting {
    /// Whether the user of the case is root.
    pub(crate) fn is_root(&self) -> bool {
        self.who == Who::Same && driver_is_root()
    }

    /// A shell command, run by the user of the case, outside of any sandbox.
    pub(crate) fn outside(&self, script: &str) -> Command {
        let mut command = self.as_user();
        command.args(["sh", "-c", script]);
        command
    }

    /// The runner with these options and this program, by the user of the case.
    pub(crate) fn runner(&self, options: &[&str], program: &[&str]) -> Command {
        let mut command = self.as_user();
        command.arg(&self.program).args([runner::WORD, self.link]).args(options).arg("--").args(program);
        command
    }

    /// What a shell script in a sandbox prints and how it ends.
    pub(crate) fn shell(&self, options: &[&str], script: &str) -> Output {
        self.runner(options, &["sh", "-c", script]).output().unwrap()
    }

    /// What a shell script in a sandbox prints; it has to succeed.
    pub(crate) fn printed(&self, options: &[&str], script: &str) -> String {
        let output = self.shell(options, script);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{script}: {}\n{errors}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Whether a sandbox can be made at all in this setting.
    pub(crate) fn probe(&self) -> Result<(), String> {
        let output = self.shell(&[], "true");
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }

    fn as_user(&self) -> Command {
        let mut command = match (self.who, self.link) {
            (Who::Same, _) => Command::new("env"),
            (Who::Ordinary, "tap") => {
                // A device that every user may open, as most hosts have it, in a mount namespace of the case.
                let script = "mount --make-rprivate / && mount -t tmpfs tun /mnt && mknod -m 666 /mnt/tun c 10 200 && \
                              mount --bind /mnt/tun /dev/net/tun && \
                              exec setpriv --reuid \"$0\" --regid \"$0\" --clear-groups \"$@\"";
                let mut command = Command::new("unshare");
                command.args(["-m", "sh", "-c", script, ORDINARY]);
                command
            }
            (Who::Ordinary, _) => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", ORDINARY, "--regid", ORDINARY, "--clear-groups"]);
                command
            }
        };
        command.stdin(Stdio::null());
        command
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = if self.is_root() { "as root" } else { "as an ordinary user" };
        write!(f, "{who} over {}", self.link)
    }
}
