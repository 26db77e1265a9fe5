//! What a script runs against: something that has sockets on one side and packets on the other, and a clock.
//!
//! [`kernel`] is Linux itself behind a TUN device, in real time; [`stack`] is ours, in virtual time.

pub mod kernel;
pub mod stack;

use std::path::Path;

use super::call::{Answer, Call};
use super::setting::Setting;

/// A host under test. Times are microseconds since the script began.
pub trait Machine {
    /// The time now.
    fn now(&mut self) -> u64;

    /// How much later than it happened something may be seen here, beside what the script tolerates.
    fn slack(&self) -> u64;

    /// Lets time pass. Packets that come out meanwhile are kept, with their times.
    fn sleep_until(&mut self, when: u64);

    /// A packet comes in.
    ///
    /// # Errors
    /// The host does not take packets at all, and why.
    fn inject(&mut self, packet: &[u8]) -> Result<(), String>;

    /// The next packet that came out, and when; waits for it until `until`.
    fn receive(&mut self, until: u64) -> Option<(u64, Vec<u8>)>;

    /// Makes a system call that is to return at once, or soon.
    ///
    /// # Errors
    /// It did not return.
    fn call(&mut self, call: Call) -> Result<Answer, String>;

    /// Makes a system call that may block; [`Machine::finish`] tells how it ended. One at a time.
    fn begin(&mut self, call: Call);

    /// How the call that [`Machine::begin`] made ended, and when; waits for it until `until`.
    fn finish(&mut self, until: u64) -> Option<(u64, Answer)>;

    /// Runs a command of the script.
    ///
    /// # Errors
    /// It failed, and what it said.
    fn command(&mut self, command: &str, directory: &Path) -> Result<(), String>;

    /// What was left out or understood differently, for the report.
    fn notes(&mut self) -> Vec<String>;
}

/// Makes a machine for a script of this setting.
pub trait Maker: Sync {
    /// What the machine is called in reports.
    fn name(&self) -> &'static str;

    /// A new machine.
    ///
    /// # Errors
    /// It can't be had here, and why.
    fn make(&self, setting: &Setting) -> Result<Box<dyn Machine>, String>;
}
