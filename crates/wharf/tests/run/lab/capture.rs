//! Captures taken outside wharf: what really was on the server's wire, or on the link of a run.

use super::process::{Finished, Proc};
use super::way::User;
use super::world::{Place, World};

/// A running tcpdump.
pub(crate) struct Capture<'a> {
    world: &'a World,
    tcpdump: Proc,
    file: String,
}

impl World {
    /// Starts to capture what comes and goes at the server; `filter` is tcpdump's.
    pub(crate) fn capture(&self, filter: &str) -> Capture<'_> {
        self.start_capture(&[], "to-host", filter)
    }

    /// Starts to capture what comes and goes on the link of a run, as root of this machine; `pid` is a process inside.
    pub(crate) fn capture_inside(&self, pid: u32, filter: &str) -> Capture<'_> {
        self.start_capture(&["nsenter", &format!("--net=/proc/{pid}/ns/net")], "eth0", filter)
    }

    fn start_capture(&self, around: &[&str], device: &str, filter: &str) -> Capture<'_> {
        let file = self.path(&format!("{device}.pcap"));
        let tcpdump =
            ["tcpdump", "-Z", "root", "-U", "--immediate-mode", "-s", "0", "-i", device, "-w", &file];
        let words = [around, &tcpdump, &[filter]].concat();
        let mut tcpdump = self.start(Place::Server, User::Root, &words);
        tcpdump.error_line("tcpdump: listening");
        Capture { world: self, tcpdump, file }
    }
}

impl Capture<'_> {
    /// Ends the capture; the file it is in.
    pub(crate) fn end(self) -> String {
        // What was sent a moment ago must have reached the file.
        std::thread::sleep(std::time::Duration::from_millis(500));
        self.tcpdump.signal("INT");
        self.tcpdump.finish();
        self.file
    }

    /// Ends the capture and asks [`tshark`].
    pub(crate) fn ask(self, filter: &str, fields: &[&str]) -> Vec<String> {
        let world = self.world;
        tshark(world, &self.end(), filter, fields)
    }
}

/// One line for each packet of a capture that `filter` matches, with `fields` separated by tabs; checksums are verified.
pub(crate) fn tshark(world: &World, file: &str, filter: &str, fields: &[&str]) -> Vec<String> {
    let mut words = vec!["tshark", "-n", "-r", file];
    for sum in ["ip.check_checksum:TRUE", "tcp.check_checksum:TRUE", "udp.check_checksum:TRUE"] {
        words.extend(["-o", sum]);
    }
    words.extend(["-Y", filter, "-T", "fields"]);
    fields.iter().for_each(|field| words.extend(["-e", field]));
    let answer: Finished = world.run(Place::Server, &words);
    answer.good().lines().map(str::to_owned).collect()
}
