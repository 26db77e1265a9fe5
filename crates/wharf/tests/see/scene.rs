//! A network of its own with a Python program that opens sockets in it and says what it has opened.
//!
//! As root it is a network namespace; an ordinary user has a user namespace around it. wharf is started inside, so that it sees
//! this network only, whatever the host has open.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use serde_json::Value;

/// What every program begins with: words for sockets, and the loopback interface.
const PROLOGUE: &str = r#"
import fcntl, json, os, signal, socket, struct, sys, time
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
os.setpgrp()
def fail(*what):
    sys.__excepthook__(*what); os.killpg(0, signal.SIGKILL)
sys.excepthook = fail
def up(name):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, 0x8914, struct.pack('16sh14x', name.encode(), 0x1 | 0x40))
def address(text):
    n = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    raw = socket.inet_pton(socket.AF_INET6, text)
    body = struct.pack('BBBBI', 10, 128, 0x82, 254, 1) + b''.join(struct.pack('HH', 20, kind) + raw for kind in (1, 2))
    n.send(struct.pack('IHHII', 16 + len(body), 20, 0x405, 1, 0) + body); n.recv(4096)
def name(text):
    open('/proc/self/comm', 'w').write(text)
def tcp(at, port, only=None, backlog=128):
    s = socket.socket(socket.AF_INET6 if ':' in at else socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if only is not None: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
    s.bind((at, port)); s.listen(backlog); return s
def udp(at, port):
    s = socket.socket(socket.AF_INET6 if ':' in at else socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((at, port)); return s
def pair(listener, at, port, to):
    # The route to a new address comes a moment later.
    for attempt in range(500):
        c = socket.socket(listener.family)
        try: c.bind((at, port)); c.connect((to, listener.getsockname()[1])); break
        except OSError:
            if attempt == 499: raise
            c.close(); time.sleep(0.02)
    return c, listener.accept()[0]
def ready(**facts):
    print(json.dumps(dict(facts, pid=os.getpid())), flush=True)
    sys.stdin.read(); os._exit(0)
up('lo')
"#;

/// The network and its program.
pub(crate) struct Scene {
    program: Child,
    lines: BufReader<ChildStdout>,
    /// What the program said when it was ready.
    pub(crate) facts: Value,
    wharf: PathBuf,
    directory: tempdir::Directory,
}

/// Whether namespaces can be made here; says why not.
pub(crate) fn can_play() -> bool {
    for tool in ["unshare", "nsenter", "python3"] {
        let is_there = Command::new(tool).arg("--version").output().is_ok();
        if !is_there {
            println!("skipped: {tool} is missing");
            return false;
        }
    }
    let made = Command::new("unshare").args(namespaces()).arg("true").output();
    if !made.is_ok_and(|made| made.status.success()) {
        println!("skipped: no network namespace can be made here");
        return false;
    }
    true
}

/// Whether this is root, who can play other users; says it when it is not.
pub(crate) fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("skipped: only root can play two users");
    }
    root
}

fn namespaces() -> &'static [&'static str] {
    if rustix::process::geteuid().is_root() { &["-n"] } else { &["-U", "-r", "-n"] }
}

impl Scene {
    /// Runs a program until it is `ready(...)`; it ends with the scene.
    pub(crate) fn play(script: &str) -> Scene {
        let directory = tempdir::Directory::new();
        // Other users can't look into the directory of the build.
        let wharf = directory.path().join("wharf");
        std::fs::copy(env!("CARGO_BIN_EXE_wharf"), &wharf).expect("the binary was built for this test");
        let mut command = Command::new("unshare");
        command.args(namespaces()).args(["python3", "-c", &format!("{PROLOGUE}\n{script}")]);
        command.current_dir(directory.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut program = command.spawn().expect("unshare was found before");
        let mut lines = BufReader::new(program.stdout.take().expect("a pipe"));
        let mut line = String::new();
        lines.read_line(&mut line).expect("the program says what it has opened");
        let facts = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        Scene { program, lines, facts, wharf, directory }
    }

    /// The program's process.
    pub(crate) fn pid(&self) -> u64 {
        self.facts["pid"].as_u64().expect("ready() says it")
    }

    /// Where it runs, with the `wharf` that everybody may run.
    pub(crate) fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// The next line that the program says.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a pipe can be read");
        line
    }

    /// Writes to the program's input.
    pub(crate) fn tell(&mut self, text: &str) {
        use std::io::Write as _;
        let input = self.program.stdin.as_mut().expect("it is open as long as the scene");
        input.write_all(text.as_bytes()).expect("the program reads");
    }

    /// A command in the network.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.pid().to_string(), "-n"]);
        if !rustix::process::geteuid().is_root() {
            command.args(["-U", "--preserve-credentials"]);
        }
        command.arg("--").args(words).stdin(Stdio::null()).env_remove("COLUMNS").env_remove("NO_COLOR");
        command
    }

    /// `wharf WORDS`, as a command.
    pub(crate) fn wharf_command(&self, words: &[&str]) -> Command {
        let mut command = self.command(&[self.wharf.to_str().expect("a path of letters")]);
        command.args(words);
        command
    }

    /// `wharf WORDS`, to its end.
    pub(crate) fn wharf(&self, words: &[&str]) -> Said {
        Said::of(self.wharf_command(words).output().expect("nsenter was found before"))
    }

    /// `wharf WORDS` as a user who is nobody.
    pub(crate) fn wharf_as_nobody(&self, words: &[&str]) -> Said {
        let wharf = self.wharf.to_str().expect("a path of letters");
        let user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", wharf];
        Said::of(self.command(&user).args(words).output().expect("nsenter was found before"))
    }

    /// `wharf WORDS` on a terminal of so many columns; `keys` are typed when `until` is seen.
    pub(crate) fn terminal(&self, columns: u16, words: &[&str], until: &str, keys: &str) -> Said {
        const PTY: &str = r#"
import fcntl, os, pty, struct, sys, termios
columns, until, keys = int(sys.argv[1]), sys.argv[2].encode(), sys.argv[3].encode()
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('4H', 24, columns, 0, 0)); os.execvp(sys.argv[4], sys.argv[4:])
seen = b''
while True:
    try: part = os.read(terminal, 65536)
    except OSError: break
    if not part: break
    seen += part
    if keys and until in seen: os.write(terminal, keys); keys = b''
sys.stdout.buffer.write(seen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;
        let wharf = self.wharf.to_str().expect("a path of letters");
        let mut command = self.command(&["python3", "-c", PTY, &columns.to_string(), until, keys, wharf]);
        Said::of(command.args(words).env("TERM", "xterm").output().expect("nsenter was found before"))
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // Its children are in its group.
        if let Some(group) = rustix::process::Pid::from_raw(self.program.id() as i32) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    /// Its exit code.
    pub(crate) code: Option<i32>,
    /// On standard output.
    pub(crate) out: String,
    /// On standard error.
    pub(crate) error: String,
}

impl Said {
    fn of(output: Output) -> Said {
        let text = |bytes| String::from_utf8(bytes).expect("wharf speaks UTF-8");
        Said { code: output.status.code(), out: text(output.stdout), error: text(output.stderr) }
    }

    /// What was said by a command that ended well.
    pub(crate) fn good(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:?}");
        &self.out
    }

    /// The JSON that was said.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.good()).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Directories that everybody may look into, and that go away.
mod tempdir {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicU32, Ordering};

    pub(crate) struct Directory(PathBuf);

    impl Directory {
        pub(crate) fn new() -> Directory {
            static NUMBER: AtomicU32 = AtomicU32::new(0);
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("wharf-see-{}-{number}", std::process::id()));
            std::fs::create_dir_all(&path).expect("there is room");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
            Directory(path)
        }

        pub(crate) fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}
