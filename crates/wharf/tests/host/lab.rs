//! A network namespace with a host of wharf in it, and programs of the kernel's side.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A network namespace, kept by a process that sleeps in it.
pub(crate) struct Network {
    holder: Child,
}

impl Network {
    /// A new one; `None` with a printed reason where that can't be.
    pub(crate) fn new() -> Option<Network> {
        if OpenOptions::new().read(true).write(true).open("/dev/net/tun").is_err() {
            println!("skipped: /dev/net/tun is missing or closed");
            return None;
        }
        for program in ["unshare", "nsenter", "ip", "python3", "curl", "ping", "nmap", "setpriv"] {
            if Command::new(program)
                .arg("--version")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_err()
            {
                println!("skipped: {program} isn't installed");
                return None;
            }
        }
        if !Command::new("unshare").args(["--net", "true"]).status().is_ok_and(|status| status.success()) {
            println!("skipped: only root can make network namespaces");
            return None;
        }
        let holder =
            Command::new("unshare").args(["--net", "sleep", "300"]).spawn().expect("it is installed");
        let network = Network { holder };
        let ours = fs::read_link("/proc/self/ns/net").expect("/proc is mounted");
        let end = Instant::now() + PATIENCE;
        while fs::read_link(network.path()).is_ok_and(|there| there == ours) {
            assert!(Instant::now() < end, "the namespace was not made");
            std::thread::sleep(Duration::from_millis(1));
        }
        Some(network)
    }

    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }

    /// A program on the kernel's side.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path())).args(words);
        command
    }

    /// Runs one to its end, which must be good.
    pub(crate) fn run(&self, words: &[&str]) -> String {
        good(&self.command(words).output().expect("nsenter is installed"))
    }

    /// Starts python with a program.
    pub(crate) fn python(&self, program: &str) -> Child {
        let mut command = self.command(&["python3", "-c", program]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it is installed")
    }

    /// Whether an interface of this name is there.
    pub(crate) fn has(&self, interface: &str) -> bool {
        let words = ["ip", "link", "show", interface];
        self.command(&words).output().is_ok_and(|output| output.status.success())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// What a program said that must have ended well.
pub(crate) fn good(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// The same of one that was started.
pub(crate) fn finished(child: Child) -> String {
    good(&child.wait_with_output().expect("the child is ours"))
}

/// Ends a program.
pub(crate) fn end(mut child: Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// A host of wharf, spoken to on standard input and output.
pub(crate) struct Host {
    pub(crate) child: Child,
    lines: Receiver<Value>,
    last: u64,
}

impl Host {
    /// Starts `wharf host` with both families on an interface `w0` of this kind in this network.
    pub(crate) fn new(network: &Network, kind: &str, more: &[&str]) -> Host {
        let namespace = network.path();
        let mut words =
            vec!["--address", "10.8.0.2/24", "--address", "fd00:8::2/64", kind, "w0", "--netns", &namespace];
        words.extend(["--peer", "10.8.0.1/24", "--peer", "fd00:8::1/64"]);
        words.extend(more);
        let mut host = Host::start(&words);
        // The first answer tells that everything is up.
        host.ask(json!({"do": "now"}));
        host
    }

    pub(crate) fn start(words: &[&str]) -> Host {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
        let command = command.arg("host").args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the binary was built for this test");
        let stdout = BufReader::new(child.stdout.take().expect("standard output is a pipe"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).expect("every line is JSON");
                if sender.send(value).is_err() {
                    return;
                }
            }
        });
        Host { child, lines, last: 0 }
    }

    /// Writes a line as it is.
    pub(crate) fn write(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("standard input is open");
        stdin.write_all(format!("{line}\n").as_bytes()).expect("the host reads");
    }

    /// The next line that it says.
    pub(crate) fn line(&mut self) -> Value {
        self.lines.recv_timeout(PATIENCE).expect("the host says something")
    }

    /// Asks without waiting for the answer, whose `id` is returned.
    pub(crate) fn begin(&mut self, mut request: Value) -> u64 {
        self.last += 1;
        request["id"] = self.last.into();
        self.write(&request.to_string());
        self.last
    }

    /// Asks, and gives the answer.
    #[track_caller]
    pub(crate) fn ask(&mut self, request: Value) -> Value {
        let id = self.begin(request);
        let answer = self.line();
        assert_eq!(answer["id"], json!(id), "{answer}");
        answer
    }

    /// Asks what must go well.
    #[track_caller]
    pub(crate) fn good(&mut self, request: Value) -> Value {
        let answer = self.ask(request.clone());
        assert_eq!(answer.get("error").filter(|_| answer.get("state").is_none()), None, "{request} {answer}");
        answer
    }

    /// The name of the error that a request comes to.
    #[track_caller]
    pub(crate) fn error(&mut self, request: Value) -> String {
        let answer = self.ask(request.clone());
        let error = answer["error"].as_str();
        error.unwrap_or_else(|| panic!("{request} {answer}")).to_owned()
    }

    /// A new socket.
    #[track_caller]
    pub(crate) fn socket(&mut self, request: Value) -> u64 {
        let mut all = json!({"do": "socket"});
        all.as_object_mut().expect("it is one").extend(request.as_object().expect("it is one").clone());
        self.good(all)["socket"].as_u64().expect("a number")
    }

    /// Ends its input, and gives how it ended.
    pub(crate) fn end(mut self) -> ExitStatus {
        drop(self.child.stdin.take());
        self.child.wait().expect("the child is ours")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory that everybody may use, with a copy of the binary.
pub(crate) struct Room(PathBuf);

impl Room {
    pub(crate) fn new() -> Room {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("wharf-host-test-{}-{number}", std::process::id()));
        fs::create_dir(&path).expect("the name is new");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("it is ours");
        fs::copy(env!("CARGO_BIN_EXE_wharf"), path.join("wharf"))
            .expect("the binary was built for this test");
        Room(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Waits until something is true.
#[track_caller]
pub(crate) fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_true() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
