//! A capture taken outside wharf: what really was on the server's wire.

use super::process::{Finished, Proc};
use super::way::User;
use super::world::{Place, World};

/// A running tcpdump on the server's link.
pub(crate) struct Capture<'a> {
    world: &'a World,
    tcpdump: Proc,
    file: String,
}

impl World {
    /// Starts to capture what comes and goes at the server; `filter` is tcpdump's.
    pub(crate) fn capture(&self, filter: &str) -> Capture<'_> {
        let file = self.path("server.pcap");
        let words = [
            "tcpdump",
            "-Z",
            "root",
            "-U",
            "--immediate-mode",
            "-s",
            "0",
            "-i",
            "to-host",
            "-w",
            &file,
            filter,
        ];
        let mut tcpdump = self.start(Place::Server, User::Root, &words);
        tcpdump.error_line("tcpdump: listening");
        Capture { world: self, tcpdump, file }
    }
}

impl Capture<'_> {
    /// Ends the capture and asks tshark: one line for each packet that `filter` matches, with `fields` separated by tabs.
    pub(crate) fn ask(self, filter: &str, fields: &[&str]) -> Vec<String> {
        // What was sent a moment ago must have reached the file.
        std::thread::sleep(std::time::Duration::from_millis(500));
        self.tcpdump.signal("INT");
        self.tcpdump.finish();
        let mut words = vec!["tshark", "-n", "-r", &self.file, "-Y", filter, "-T", "fields"];
        fields.iter().for_each(|field| words.extend(["-e", field]));
        let answer: Finished = self.world.run(Place::Server, &words);
        answer.good().lines().map(str::to_owned).collect()
    }
}
