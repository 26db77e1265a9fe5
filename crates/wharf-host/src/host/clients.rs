//! Who writes requests: standard input, and clients of a UNIX socket. Lines in, lines out.
//!
//! Standard streams may be shared with other programs, so they are left blocking, and read and written only as far as the
//! kernel says that it does not block. A client that does not read its answers is not read either.
//!
//! Invariants: what is kept for one client is bounded, in and out; an answer is a whole line or nothing.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::Mode;
use wharf_sys::epoll::Ready;

use super::error::HostError;

/// The longest line.
const LINE_MAX: usize = 32 << 20;
/// Bytes of answers that wait for a client before nothing more is read from it, and before events are lost.
const ANSWERS_HIGH: usize = 4 << 20;
const EVENTS_HIGH: usize = 16 << 20;
/// What is read and written at once: no more than a pipe takes without blocking when it says that it is ready.
const READ_BYTES: usize = 64 << 10;
const WRITE_BYTES: usize = 4_096;

/// Where a client's lines come from and go to.
enum Ends {
    Standard,
    Socket(OwnedFd),
}

/// Someone who writes requests.
pub(super) struct Client {
    ends: Ends,
    input: Vec<u8>,
    /// How much of `input` was looked through for the end of a line.
    searched: usize,
    /// The rest of a line that was too long is on its way.
    skipping: bool,
    output: Vec<u8>,
    written: usize,
    /// It may have more to read.
    readable: bool,
    /// Nothing more comes from it.
    ended: bool,
    /// Its other end is closed.
    hung_up: bool,
    /// It takes no answers any more.
    gone: bool,
    /// It wants to hear what happens.
    pub(super) hears: bool,
    lost: u64,
}

/// What a client's input brings.
pub(super) enum Line {
    /// A line, without its end.
    Whole(Vec<u8>),
    /// A line that was too long.
    TooLong,
}

impl Client {
    /// Standard input and output.
    pub(super) fn standard() -> Client {
        Client::new(Ends::Standard)
    }

    fn new(ends: Ends) -> Client {
        Client {
            ends,
            input: Vec::new(),
            searched: 0,
            skipping: false,
            output: Vec::new(),
            written: 0,
            readable: true,
            ended: false,
            gone: false,
            hung_up: false,
            hears: false,
            lost: 0,
        }
    }

    pub(super) fn reader(&self) -> BorrowedFd<'_> {
        match &self.ends {
            Ends::Standard => rustix::stdio::stdin(),
            Ends::Socket(socket) => socket.as_fd(),
        }
    }

    pub(super) fn writer(&self) -> BorrowedFd<'_> {
        match &self.ends {
            Ends::Standard => rustix::stdio::stdout(),
            Ends::Socket(socket) => socket.as_fd(),
        }
    }

    /// Whether a line may be taken from it now: what it was answered has somewhere to go.
    pub(super) fn may_ask(&self) -> bool {
        !self.gone && self.output.len() - self.written < ANSWERS_HIGH
    }

    /// The next line, as far as one is there or can be read without waiting.
    pub(super) fn next_line(&mut self) -> Option<Line> {
        loop {
            let unseen = self.input.get(self.searched..).unwrap_or_default();
            if let Some(at) = unseen.iter().position(|byte| *byte == b'\n') {
                let rest = self.input.split_off(self.searched + at + 1);
                let mut line = std::mem::replace(&mut self.input, rest);
                self.searched = 0;
                line.truncate(line.trim_ascii_end().len());
                if std::mem::take(&mut self.skipping) || line.trim_ascii().is_empty() {
                    continue;
                }
                return Some(Line::Whole(line));
            }
            self.searched = self.input.len();
            if self.searched > LINE_MAX || self.skipping {
                self.input.clear();
                self.searched = 0;
                if !std::mem::replace(&mut self.skipping, true) {
                    return Some(Line::TooLong);
                }
            }
            if self.ended {
                // A last line may lack its end.
                let line = std::mem::take(&mut self.input);
                self.searched = 0;
                return (!line.trim_ascii().is_empty()).then_some(Line::Whole(line));
            }
            if !self.read() {
                return None;
            }
        }
    }

    /// Whether [`Client::next_line`] could bring something.
    pub(super) fn has_input(&self) -> bool {
        let seen = self.searched == self.input.len();
        self.may_ask() && (self.readable && !self.ended || !seen || self.ended && !self.input.is_empty())
    }

    /// Reads what is there; whether something was, or the end.
    fn read(&mut self) -> bool {
        if !self.readable || !is_ready(self.reader(), PollFlags::IN) {
            self.readable = false;
            return false;
        }
        let so_far = self.input.len();
        self.input.resize(so_far + READ_BYTES, 0);
        let result = loop {
            let room = self.input.get_mut(so_far..).unwrap_or_default();
            let fd = match &self.ends {
                Ends::Standard => rustix::stdio::stdin(),
                Ends::Socket(socket) => socket.as_fd(),
            };
            match rustix::io::read(fd, room) {
                Err(rustix::io::Errno::INTR) => {}
                result => break result,
            }
        };
        self.input.truncate(so_far + *result.as_ref().unwrap_or(&0));
        match result {
            Ok(0) => self.ended = true,
            Ok(_) => {}
            Err(rustix::io::Errno::AGAIN) => {
                self.readable = false;
                return false;
            }
            Err(_) => self.ended = true,
        }
        true
    }

    /// Puts a line behind what waits to be written.
    pub(super) fn say(&mut self, line: &str) {
        if !self.gone {
            self.output.extend_from_slice(line.as_bytes());
            self.output.push(b'\n');
        }
    }

    /// The same for what it did not ask for: that is lost when it does not read.
    pub(super) fn tell(&mut self, line: &str) {
        if self.output.len() - self.written > EVENTS_HIGH {
            self.lost += 1;
            return;
        }
        if self.lost > 0 {
            let lost = std::mem::take(&mut self.lost);
            self.say(&serde_json::json!({"event": "lost", "count": lost}).to_string());
        }
        self.say(line);
    }

    /// Whether something waits to be written.
    pub(super) fn has_output(&self) -> bool {
        !self.gone && self.written < self.output.len()
    }

    /// Writes as much as is taken without waiting.
    pub(super) fn write(&mut self) {
        while self.has_output() && is_ready(self.writer(), PollFlags::OUT) {
            let waiting = self.output.get(self.written..).unwrap_or_default();
            let most = if matches!(self.ends, Ends::Standard) { WRITE_BYTES } else { waiting.len() };
            let part = waiting.get(..most.min(waiting.len())).unwrap_or_default();
            match rustix::io::write(self.writer(), part) {
                Ok(count) => self.written += count,
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => break,
                Err(_) => self.gone = true,
            }
        }
        if !self.has_output() {
            self.output.clear();
            self.written = 0;
        } else if self.written > ANSWERS_HIGH {
            self.output.drain(..self.written);
            self.written = 0;
        }
    }

    /// Something has happened to it.
    pub(super) fn on_ready(&mut self, event: Ready) {
        self.readable |= event.readable;
        // Of a pipe, the end of the writer is no more than the end of the input.
        self.hung_up |= event.hang_up && matches!(self.ends, Ends::Socket(_));
    }

    /// Nothing more comes from it, and nothing that it could hear goes to it; `waits` is whether an answer is still to come.
    pub(super) fn is_over(&self, waits: bool) -> bool {
        let done = self.ended && self.input.is_empty();
        self.gone || done && (self.hung_up || !self.has_output() && !waits)
    }
}

fn is_ready(fd: BorrowedFd<'_>, what: PollFlags) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, what)];
    let none = Timespec { tv_sec: 0, tv_nsec: 0 };
    // An error, or the other end's, is found out by the call itself.
    matches!(rustix::event::poll(&mut fds, Some(&none)), Ok(count) if count > 0)
}

/// A UNIX socket with a name; the name goes with it.
pub(super) struct Listener {
    socket: UnixListener,
    path: PathBuf,
    /// Device and number of the name's file, so that nobody else's is taken away.
    file: Option<(u64, u64)>,
}

impl Listener {
    /// Listens at `path`, for this user only. The name of a host that is no more is taken over; that of one that lives is not,
    /// nor is a file that is no socket.
    ///
    /// # Errors
    /// [`HostError::Socket`].
    pub(super) fn open(path: &Path) -> Result<Listener, HostError> {
        let error = |why: String| HostError::Socket { path: path.to_owned(), why };
        if let Ok(there) = fs::symlink_metadata(path) {
            if !there.file_type().is_socket() {
                return Err(error("a file that is no socket has this name (name another one)".to_owned()));
            }
            match UnixStream::connect(path) {
                Ok(_) => return Err(error("somebody listens there already (name another one)".to_owned())),
                Err(refused) if refused.kind() == io::ErrorKind::ConnectionRefused => {
                    fs::remove_file(path)
                        .map_err(|source| error(format!("take over what is left there: {source}")))?;
                }
                Err(source) => return Err(error(format!("{source} (name another one)"))),
            }
        }
        // The name never exists with other rights.
        let before = rustix::process::umask(Mode::RWXG | Mode::RWXO | Mode::XUSR);
        let bound = UnixListener::bind(path);
        rustix::process::umask(before);
        let socket = bound.map_err(|source| {
            let long = path.as_os_str().len() > 107;
            error(if long {
                "longer than 107 bytes (name a shorter one)".to_owned()
            } else {
                source.to_string()
            })
        })?;
        socket.set_nonblocking(true).map_err(|source| error(source.to_string()))?;
        let file = fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()));
        Ok(Listener { socket, path: path.to_owned(), file })
    }

    /// The next client, if one waits.
    pub(super) fn accept(&self) -> Option<Client> {
        let (socket, _) = self.socket.accept().ok()?;
        socket.set_nonblocking(true).ok()?;
        Some(Client::new(Ends::Socket(socket.into())))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let now = fs::symlink_metadata(&self.path).ok().map(|file| (file.dev(), file.ino()));
        if now.is_some() && now == self.file {
            // Nothing can be done about a directory that has become closed.
            let _ = fs::remove_file(&self.path);
        }
    }
}
