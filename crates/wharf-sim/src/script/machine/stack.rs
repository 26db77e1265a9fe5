//! Our stack in virtual time, through the calls that packetdrill would make of it.
//!
//! The clock stands still but for what the script waits for. A call that blocks runs on a thread of its own, and nothing
//! moves before it has either returned or gone back to wait: runs are alike to the microsecond.

mod calls;
mod sysctl;

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};

use wharf_packetdrill::lab::Lab;

use super::super::call::{Answer, Call, Errno};
use super::super::setting::Setting;
use super::kernel::defaults_script;
use super::{Machine, Maker};

/// How long a call that should not block may take, in virtual time.
const PATIENCE_US: u64 = 600_000_000;
/// What a call fails with that waits for what can never come (`EDEADLK`).
const DEADLOCK: Errno = Errno(35);

/// Makes stacks.
#[derive(Clone, Copy, Debug, Default)]
pub struct StackMaker;

impl Maker for StackMaker {
    fn name(&self) -> &'static str {
        "stack"
    }

    fn make(&self, setting: &Setting) -> Result<Box<dyn Machine>, String> {
        Ok(Box::new(Stack::new(setting)?))
    }
}

struct Stack {
    lab: Lab,
    calls: Sender<Call>,
    answers: Receiver<(u64, Answer)>,
    /// Whether a call was begun whose answer was not taken.
    under_way: bool,
    /// The answer of the call that was begun.
    answer: Option<(u64, Answer)>,
    notes: Vec<String>,
}

impl Stack {
    fn new(setting: &Setting) -> Result<Stack, String> {
        let Setting { local, mtu, stack_flags, .. } = setting;
        let lab = Lab::new(&format!("sysctl=no,local={local},mtu={mtu},{stack_flags}"))?;
        if stack_flags.is_empty() {
            for (name, value) in sysctl::DEFAULTS {
                lab.set_sysctl(name, value);
            }
        }
        let (calls, orders) = channel::<Call>();
        let (results, answers) = channel();
        let theirs = lab.clone();
        std::thread::Builder::new()
            .name("system calls".to_owned())
            .spawn(move || {
                while let Ok(call) = orders.recv() {
                    let answer = calls::make(&theirs, call);
                    if results.send((theirs.now(), answer)).is_err() {
                        return;
                    }
                }
            })
            .map_err(|error| format!("a thread for system calls: {error}"))?;
        Ok(Stack { lab, calls, answers, under_way: false, answer: None, notes: Vec::new() })
    }

    /// Waits in real time until the call that was begun has returned or waits for something to happen.
    fn settle(&mut self) {
        while self.under_way && self.answer.is_none() {
            if let Ok(answer) = self.answers.try_recv() {
                self.answer = Some(answer);
            } else if self.lab.waiting() > 0 {
                return;
            } else {
                std::thread::yield_now();
            }
        }
    }

    fn step(&mut self, until: u64) {
        self.lab.step(until);
        self.settle();
    }
}

impl Machine for Stack {
    fn now(&mut self) -> u64 {
        self.lab.now()
    }

    fn slack(&self) -> u64 {
        0
    }

    fn sleep_until(&mut self, when: u64) {
        while self.lab.now() < when {
            self.step(when);
        }
    }

    fn inject(&mut self, packet: &[u8]) -> Result<(), String> {
        self.lab.receive_packet(packet);
        self.settle();
        Ok(())
    }

    fn receive(&mut self, until: u64) -> Option<(u64, Vec<u8>)> {
        loop {
            let sent = self.lab.sent_packet();
            if sent.is_some() || self.lab.now() >= until {
                return sent;
            }
            self.step(until);
        }
    }

    fn call(&mut self, call: Call) -> Result<Answer, String> {
        let before = self.lab.now();
        let answer = calls::make(&self.lab, call);
        self.settle();
        if answer.result == Err(DEADLOCK) || self.lab.now() > before + PATIENCE_US {
            return Err("the call did not return".to_owned());
        }
        Ok(answer)
    }

    fn begin(&mut self, call: Call) {
        self.under_way = self.calls.send(call).is_ok();
        self.settle();
    }

    fn finish(&mut self, until: u64) -> Option<(u64, Answer)> {
        loop {
            if let Some(answer) = self.answer.take() {
                self.under_way = false;
                return Some(answer);
            }
            if self.lab.now() >= until {
                return None;
            }
            self.step(until);
        }
    }

    fn command(&mut self, command: &str, _directory: &Path) -> Result<(), String> {
        for part in sysctl::parts(command) {
            if let Some(script) = defaults_script(part) {
                for (name, value) in sysctl::TEST_DEFAULTS {
                    self.lab.set_sysctl(name, value);
                }
                self.notes.push(format!("`{script}` was taken for what Linux' own tests set"));
                continue;
            }
            match sysctl::assignment(part) {
                Some(assignments) => {
                    for (name, value) in assignments {
                        self.lab.set_sysctl(&name, &value);
                    }
                }
                None => self.notes.push(format!("`{}` was passed over", part.trim())),
            }
        }
        Ok(())
    }

    fn notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }
}
