//! Three hosts joined by veth, as network namespaces:
//!
//! ```text
//! client 203.0.113.2 ---- 203.0.113.1 this host 198.51.100.1 ---- 198.51.100.2, .3 server ---- 198.18.7.0/24 (MTU 1300)
//! 2001:db8:c::2      ---- 2001:db8:c::1         2001:db8:5::1 ---- 2001:db8:5::2, ::3      ---- 2001:db8:7::/64
//! ```
//!
//! The server routes on: 198.18.7.0/24 lies behind a link of MTU 1300 and never answers, 198.18.0.1 it reports as unreachable,
//! 198.18.0.2 it drops without a word. The files `/etc/resolv.conf` and `/etc/hosts` of every command are the world's own.

use super::process::Proc;
use super::way::User;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Both families of the client host.
pub(crate) mod client {
    pub(crate) const V4: &str = "203.0.113.2";
    pub(crate) const V6: &str = "2001:db8:c::2";
}

/// This host, as the client sees it and as the server sees it.
pub(crate) mod host {
    pub(crate) const TO_CLIENT_V4: &str = "203.0.113.1";
    pub(crate) const TO_CLIENT_V6: &str = "2001:db8:c::1";
    pub(crate) const TO_SERVER_V4: &str = "198.51.100.1";
    pub(crate) const TO_SERVER_V6: &str = "2001:db8:5::1";
}

/// The server host has two addresses of each family.
pub(crate) mod server {
    pub(crate) const V4: &str = "198.51.100.2";
    pub(crate) const V6: &str = "2001:db8:5::2";
    pub(crate) const SECOND_V4: &str = "198.51.100.3";
    pub(crate) const SECOND_V6: &str = "2001:db8:5::3";
}

/// Beyond the server, behind a link with an MTU of 1300; nothing answers there.
pub(crate) mod far {
    pub(crate) const V4: &str = "198.18.7.1";
    pub(crate) const V6: &str = "2001:db8:7::1";
}

/// The server says that there is no way to it.
pub(crate) mod unreachable {
    pub(crate) const V4: &str = "198.18.0.1";
    pub(crate) const V6: &str = "2001:db8:dead::1";
}

/// The server drops what is sent to it.
pub(crate) mod silent {
    pub(crate) const V4: &str = "198.18.0.2";
    pub(crate) const V6: &str = "2001:db8:dead::2";
}

const PEERS: [(&str, &str); 10] = [
    ("serve.py", include_str!("../peers/serve.py")),
    ("dial.py", include_str!("../peers/dial.py")),
    ("datagram.py", include_str!("../peers/datagram.py")),
    ("dns.py", include_str!("../peers/dns.py")),
    ("last.py", include_str!("../peers/last.py")),
    ("crowd.py", include_str!("../peers/crowd.py")),
    ("hostile.py", include_str!("../peers/hostile.py")),
    ("terminal.py", include_str!("../peers/terminal.py")),
    ("zone.py", include_str!("../peers/zone.py")),
    ("attack.py", include_str!("../peers/attack.py")),
];

/// One of the three hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Reaches what this host publishes.
    Client,
    /// Where wharf runs.
    Host,
    /// What programs inside a run reach.
    Server,
}

/// The three hosts and their files; gone when dropped, also when the test panicked.
pub(crate) struct World {
    tag: String,
    folder: PathBuf,
    peers: Vec<(&'static str, String)>,
}

static WORLDS: AtomicU32 = AtomicU32::new(0);

impl World {
    /// Makes namespaces, links, addresses, routes and files under a name no other test has.
    pub(crate) fn new() -> Self {
        let number = WORLDS.fetch_add(1, Ordering::Relaxed);
        let tag = format!("wt{}x{number}", std::process::id());
        let folder = PathBuf::from(format!("/tmp/wharf-test.{tag}"));
        fs::create_dir(&folder).expect("/tmp can be written");
        open_to_all(&folder);
        let mut peers = Vec::new();
        for (name, text) in PEERS {
            let path = folder.join(name);
            fs::write(&path, text).expect("the world's folder can be written");
            peers.push((name, path.display().to_string()));
        }
        let world = Self { tag, folder, peers };
        let binary =
            std::env::var("WHARF_TEST_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_wharf").into());
        let here = world.wharf();
        // A link where the file system allows it: the binary is large and the target folder may be closed to others.
        if fs::hard_link(&binary, &here).is_err() {
            fs::copy(&binary, &here).expect("wharf was built");
            open_to_all(Path::new(&here));
        }
        world.write("resolv.conf", &format!("nameserver {}\n", server::V4));
        world.write("hosts", "127.0.0.1 localhost\n::1 localhost\n192.0.2.77 printer.lan printer\n");
        world.join();
        world
    }

    fn join(&self) {
        let script = include_str!("world.sh");
        let output = Command::new("sh").args(["-ec", script, "sh", &self.tag]).output().expect("sh runs");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the world could not be made: {complaint}");
    }

    /// The path of the binary under test, which every user may run.
    pub(crate) fn wharf(&self) -> String {
        self.folder.join("wharf").display().to_string()
    }

    /// The path of a peer program.
    pub(crate) fn peer(&self, file: &str) -> &str {
        let found = self.peers.iter().find(|(name, _)| *name == file);
        &found.expect("the peer is in the list of peers").1
    }

    /// A path in the world's own folder, which every user may write.
    pub(crate) fn path(&self, file: &str) -> String {
        self.folder.join(file).display().to_string()
    }

    /// Writes a file of the world in place, so that commands that see it already see the change.
    pub(crate) fn write(&self, file: &str, text: &str) {
        let path = self.folder.join(file);
        fs::write(&path, text).expect("the world's folder can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("the file is ours");
    }

    /// A word that all processes of this world have in their environment, and its namespaces in their names.
    pub(crate) fn tag(&self) -> &str {
        &self.tag
    }

    /// The file of a host's network namespace.
    pub(crate) fn network(&self, place: Place) -> String {
        let suffix = match place {
            Place::Client => 'c',
            Place::Host => 'h',
            Place::Server => 's',
        };
        format!("/run/netns/{}-{suffix}", self.tag)
    }

    /// Starts a command on a host. Its pid is that of the command itself: everything before it is `exec`.
    pub(crate) fn start(&self, place: Place, user: User, command: &[&str]) -> Proc {
        let mut words: Vec<String> = vec![format!("--net={}", self.network(place)), "unshare".into()];
        words.extend(["--mount", "--propagation", "private", "sh", "-ec", ENTER, "sh"].map(String::from));
        words.push(self.folder.display().to_string());
        words.push(if user == User::Root { "root" } else { "ordinary" }.into());
        words.extend(command.iter().map(|word| (*word).to_owned()));
        let child = Command::new("nsenter")
            .args(&words)
            .env("WHARF_TEST_WORLD", &self.tag)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env_remove("RUST_BACKTRACE")
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("nsenter is installed");
        Proc::new(child, command.join(" "))
    }

    /// Runs a command as root on a host, to its end.
    pub(crate) fn run(&self, place: Place, command: &[&str]) -> super::Finished {
        self.start(place, User::Root, command).finish()
    }

    /// Whether `address` is one of this host's own as the outside sees it.
    pub(crate) fn is_host(address: &str) -> bool {
        let same = |own: &str| own.parse::<IpAddr>().ok() == address.parse::<IpAddr>().ok();
        [host::TO_CLIENT_V4, host::TO_CLIENT_V6, host::TO_SERVER_V4, host::TO_SERVER_V6].into_iter().any(same)
    }
}

/// What stands between the laboratory and a command: the world's files over the machine's, and for an ordinary user a
/// `/dev/net/tun` that is open to all, as most systems have it.
const ENTER: &str = r#"
folder=$1 user=$2
shift 2
mount --bind "$folder/resolv.conf" /etc/resolv.conf
mount --bind "$folder/hosts" /etc/hosts
[ "$user" = ordinary ] || exec "$@"
if [ -e /dev/net ]; then mount -t tmpfs none /dev/net; mknod -m 666 /dev/net/tun c 10 200; fi
exec setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all -- "$@"
"#;

fn open_to_all(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("the file is ours");
}

impl Drop for World {
    fn drop(&mut self) {
        for pid in super::host_pids_in(&format!("WHARF_TEST_WORLD={}", self.tag)) {
            drop(Command::new("kill").args(["-9", &pid.to_string()]).output());
        }
        for suffix in ["c", "h", "s"] {
            drop(Command::new("ip").args(["netns", "del", &format!("{}-{suffix}", self.tag)]).output());
        }
        drop(fs::remove_dir_all(&self.folder));
    }
}
