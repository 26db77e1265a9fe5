//! Linux itself, behind a TUN device in a network namespace made for one script, in real time.
//!
//! The namespace belongs to the thread that makes the machine, and to the threads and commands it starts: scripts run side
//! by side. System calls are made on a thread of their own, so that one which blocks holds up nothing else.

mod calls;
mod network;

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno as SysErrno;

use super::super::call::{Answer, Call};
use super::super::setting::Setting;
use super::{Machine, Maker};

pub use network::available;

/// How long a call that should not block may take; a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(5);
/// What lies between an event and our seeing it, on a busy machine.
const SLACK_US: u64 = 20_000;

/// Makes kernels.
#[derive(Clone, Copy, Debug, Default)]
pub struct KernelMaker;

impl Maker for KernelMaker {
    fn name(&self) -> &'static str {
        "kernel"
    }

    fn make(&self, setting: &Setting) -> Result<Box<dyn Machine>, String> {
        Ok(Box::new(Kernel::new(setting)?))
    }
}

/// A namespace with a TUN device, and the thread that makes calls.
#[derive(Debug)]
struct Kernel {
    start: Instant,
    tun: OwnedFd,
    /// Packets that came out and were not asked for yet.
    packets: VecDeque<(u64, Vec<u8>)>,
    calls: Sender<Call>,
    answers: Receiver<(Instant, Answer)>,
    notes: Vec<String>,
}

impl Kernel {
    fn new(setting: &Setting) -> Result<Kernel, String> {
        // Scripts are about milliseconds: their threads go first, where that can be had.
        let _ = rustix::process::setpriority_process(None, -20);
        let tun = network::make(setting)?;
        let (calls, orders) = channel();
        let (results, answers) = channel();
        std::thread::Builder::new()
            .name("system calls".to_owned())
            .spawn(move || calls::serve(&orders, &results))
            .map_err(|error| format!("a thread for system calls: {error}"))?;
        let mut kernel = Kernel {
            start: Instant::now(),
            tun,
            packets: VecDeque::new(),
            calls,
            answers,
            notes: Vec::new(),
        };
        kernel.drain();
        kernel.packets.clear();
        Ok(kernel)
    }

    fn micros(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.start).as_micros() as u64
    }

    /// Takes what came out.
    fn drain(&mut self) {
        let mut buffer = [0; 65_536];
        loop {
            match rustix::io::read(&self.tun, &mut buffer[..]) {
                Ok(length) => {
                    let packet = &buffer[..length];
                    if !network::is_chatter(packet) {
                        let now = self.micros(Instant::now());
                        self.packets.push_back((now, packet.to_vec()));
                    }
                }
                Err(SysErrno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    /// Waits for a packet, no longer than until `until`.
    fn wait_for_packet(&mut self, until: u64) {
        let now = self.micros(Instant::now());
        let left = Duration::from_micros(until.saturating_sub(now));
        let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let mut fds = [PollFd::from_borrowed_fd(self.tun.as_fd(), PollFlags::IN)];
        // An interrupted wait is asked for again by those who look at the clock.
        if matches!(poll(&mut fds, Some(&timeout)), Ok(1..)) {
            self.drain();
        }
    }
}

impl Machine for Kernel {
    fn now(&mut self) -> u64 {
        self.micros(Instant::now())
    }

    fn slack(&self) -> u64 {
        SLACK_US
    }

    fn sleep_until(&mut self, when: u64) {
        while self.now() < when {
            self.wait_for_packet(when);
        }
    }

    fn inject(&mut self, packet: &[u8]) -> Result<(), String> {
        rustix::io::write(&self.tun, packet).map_err(|error| format!("write to the TUN device: {error}"))?;
        self.drain();
        Ok(())
    }

    fn receive(&mut self, until: u64) -> Option<(u64, Vec<u8>)> {
        loop {
            if let Some(packet) = self.packets.pop_front() {
                return Some(packet);
            }
            if self.now() >= until {
                self.drain();
                return self.packets.pop_front();
            }
            self.wait_for_packet(until);
        }
    }

    fn call(&mut self, call: Call) -> Result<Answer, String> {
        self.begin(call);
        let answer = self.answers.recv_timeout(PATIENCE);
        self.drain();
        match answer {
            Ok((_, answer)) => Ok(answer),
            Err(RecvTimeoutError::Timeout) => Err("the call did not return".to_owned()),
            Err(RecvTimeoutError::Disconnected) => Err("the thread for system calls is gone".to_owned()),
        }
    }

    fn begin(&mut self, call: Call) {
        // Were the thread gone, waiting for its answer would tell.
        let _gone = self.calls.send(call);
    }

    fn finish(&mut self, until: u64) -> Option<(u64, Answer)> {
        let left = Duration::from_micros(until.saturating_sub(self.now()));
        let answer = self.answers.recv_timeout(left).ok();
        self.drain();
        answer.map(|(at, answer)| (self.micros(at), answer))
    }

    fn command(&mut self, command: &str, directory: &Path) -> Result<(), String> {
        if let Some(script) = defaults_script(command)
            && !directory.join(script).exists()
        {
            self.notes.push(format!("`{script}` is not there and was passed over"));
            return Ok(());
        }
        let output = Command::new("sh")
            .args(["-c", command])
            .current_dir(directory)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("sh: {error}"))?;
        self.drain();
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("{}: {}", output.status, said.trim()))
    }

    fn notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }
}

/// The path of a script that sets defaults, when the command does nothing but run it.
pub(super) fn defaults_script(command: &str) -> Option<&str> {
    let path = command.trim();
    (path.ends_with(".sh") && !path.contains(char::is_whitespace)).then_some(path)
}
