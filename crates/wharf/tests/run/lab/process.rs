//! A process of a test: its output is read as it comes, its time is bounded, and it is gone when dropped.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// How long anything in a test may take unless it says otherwise.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a peer may take to say what is waited for.
const LINE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Said {
    bytes: Mutex<(Vec<u8>, bool)>,
    more: Condvar,
}

/// A running process.
pub(crate) struct Proc {
    child: Child,
    what: String,
    stdin: Option<ChildStdin>,
    stdout: Arc<Said>,
    stderr: Arc<Said>,
}

/// A process that has ended, and what it left.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Proc {
    pub(crate) fn new(mut child: Child, what: String) -> Self {
        let stdout = listen(child.stdout.take().expect("standard output is a pipe"));
        let stderr = listen(child.stderr.take().expect("standard error is a pipe"));
        let stdin = child.stdin.take();
        Self { child, what, stdin, stdout, stderr }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line on standard output that starts with `beginning`; gives the rest of it.
    pub(crate) fn line(&mut self, beginning: &str) -> String {
        let found = wait_for_line(&self.stdout, beginning, LINE);
        found.unwrap_or_else(|| self.complain(&format!("did not print \"{beginning}\"")))
    }

    /// Waits for a line on standard output that has `word` in it; gives it whole.
    #[allow(dead_code, reason = "not every test program reads such lines")]
    pub(crate) fn line_with(&mut self, word: &str) -> String {
        let found = wait_for(&self.stdout, LINE, |line| line.contains(word).then(|| line.to_owned()));
        found.unwrap_or_else(|| self.complain(&format!("did not print a line with \"{word}\"")))
    }

    /// The same on standard error, where wharf speaks.
    pub(crate) fn error_line(&mut self, beginning: &str) -> String {
        let found = wait_for_line(&self.stderr, beginning, LINE);
        found.unwrap_or_else(|| self.complain(&format!("did not say \"{beginning}\"")))
    }

    /// Writes to the process, and leaves its standard input open.
    pub(crate) fn write(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("standard input is still open");
        stdin.write_all(text.as_bytes()).expect("the process reads");
    }

    /// Sends it a signal, by name without SIG.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "signal {name} to {}", self.what);
    }

    /// Whether it has not ended yet.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the child is ours").is_none()
    }

    /// Waits for its end.
    pub(crate) fn finish(self) -> Finished {
        self.finish_within(PATIENCE)
    }

    /// Waits for its end, and fails the test when it takes longer.
    pub(crate) fn finish_within(mut self, patience: Duration) -> Finished {
        self.stdin = None;
        let end = Instant::now() + patience;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("the child is ours") {
                break status;
            }
            if Instant::now() > end {
                self.complain::<()>(&format!("did not end within {patience:?}"));
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        Finished { status, stdout: rest_of(&self.stdout), stderr: rest_of(&self.stderr) }
    }

    fn complain<T>(&mut self, why: &str) -> T {
        drop(self.child.kill());
        panic!("{} {why}\nstdout: {}\nstderr: {}", self.what, text_of(&self.stdout), text_of(&self.stderr));
    }
}

impl Drop for Proc {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Finished {
    /// What a shell would call its status.
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }

    /// Standard output of a process that must have succeeded, without the last line feed.
    #[track_caller]
    pub(crate) fn good(&self) -> &str {
        assert!(
            self.code() == 0,
            "ended with {}\nstdout: {}\nstderr: {}",
            self.code(),
            self.stdout,
            self.stderr
        );
        self.stdout.trim_end()
    }
}

fn listen(mut stream: impl Read + Send + 'static) -> Arc<Said> {
    let said = Arc::new(Said::default());
    let ours = Arc::clone(&said);
    std::thread::spawn(move || {
        let mut chunk = [0; 8192];
        loop {
            let length = stream.read(&mut chunk).unwrap_or(0);
            let mut bytes = ours.bytes.lock().expect("no reader panics");
            bytes.0.extend_from_slice(&chunk[..length]);
            bytes.1 = length == 0;
            ours.more.notify_all();
            if bytes.1 {
                return;
            }
        }
    });
    said
}

fn wait_for_line(said: &Said, beginning: &str, patience: Duration) -> Option<String> {
    wait_for(said, patience, |line| line.strip_prefix(beginning).map(|rest| rest.trim().to_owned()))
}

/// Waits for the first line that is meant.
fn wait_for(said: &Said, patience: Duration, meant: impl Fn(&str) -> Option<String>) -> Option<String> {
    let end = Instant::now() + patience;
    let mut bytes = said.bytes.lock().expect("no reader panics");
    loop {
        let text = String::from_utf8_lossy(&bytes.0);
        let complete = text.rfind('\n').map_or("", |last| &text[..last]);
        if let Some(found) = complete.lines().find_map(&meant) {
            return Some(found);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || bytes.1 {
            return None;
        }
        bytes = said.more.wait_timeout(bytes, left).expect("no reader panics").0;
    }
}

/// All that was said, once the stream has ended; a descendant may hold it open, so the wait is bounded.
fn rest_of(said: &Said) -> String {
    let bytes = said.bytes.lock().expect("no reader panics");
    let wait = said.more.wait_timeout_while(bytes, Duration::from_secs(2), |(_, ended)| !*ended);
    String::from_utf8_lossy(&wait.expect("no reader panics").0.0).into_owned()
}

fn text_of(said: &Said) -> String {
    String::from_utf8_lossy(&said.bytes.lock().expect("no reader panics").0).into_owned()
}
