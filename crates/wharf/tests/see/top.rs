//! The page of `wharf top`, in a terminal that tmux draws.

use crate::lab::{Finished, Lab, Place, Proc, User, missing, python};
use std::time::{Duration, Instant};

crate::tests! {
    [tap_root] the_page_shows_ports_and_keys_work a_signal_gives_the_terminal_back;
    [tap_user] without_a_terminal_it_says_so;
}

/// Listens, and moves bytes from a client of its own.
const TALK: &str = "import socket, threading, time\n\
    l = socket.socket()\n\
    l.bind(('127.0.0.1', 18080))\n\
    l.listen()\n\
    c = socket.socket()\n\
    c.connect(l.getsockname())\n\
    s, _ = l.accept()\n\
    def take():\n    \
        while s.recv(65536): pass\n\
    threading.Thread(target=take, daemon=True).start()\n\
    print('ready', flush=True)\n\
    while True:\n    \
        c.sendall(b'x' * 50000)\n    \
        time.sleep(0.1)\n";

/// A terminal that runs a shell command.
struct Terminal<'a> {
    lab: &'a Lab,
    name: String,
}

impl<'a> Terminal<'a> {
    fn new(lab: &'a Lab, command: &str) -> Terminal<'a> {
        let name = lab.world.path("tmux");
        let terminal = Terminal { lab, name };
        terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", "-s", "t", command]);
        terminal
    }

    fn tmux(&self, words: &[&str]) -> Finished {
        let command = [&["tmux", "-S", self.name.as_str()], words].concat();
        self.lab.world.run(Place::Host, &command)
    }

    fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys", "-t", "t"], keys].concat());
    }

    /// The screen, as soon as it has these words.
    fn shows(&self, words: &[&str]) -> String {
        let begin = Instant::now();
        loop {
            let screen = self.tmux(&["capture-pane", "-p", "-t", "t"]).stdout;
            if words.iter().all(|word| screen.contains(word)) {
                return screen;
            }
            assert!(begin.elapsed() < Duration::from_secs(30), "{words:?} on the screen:\n{screen}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

fn talk(lab: &Lab) -> Proc {
    let mut talk = lab.world.start(Place::Host, User::Root, &[python(), "-u", "-c", TALK]);
    talk.line("ready");
    talk
}

fn top(lab: &Lab) -> String {
    let network = lab.world.network(Place::Host);
    let wharf = lab.world.wharf();
    format!(
        "{wharf} top --every 300ms --in {network}; echo ended $?; stty -a | tr ' ;' '\\n\\n' | grep -x icanon; cat"
    )
}

fn the_page_shows_ports_and_keys_work(lab: &Lab) {
    if let Some(tool) = missing(&["tmux"]) {
        return println!("skipped: {tool} isn't installed");
    }
    let _talk = talk(lab);
    let terminal = Terminal::new(lab, &top(lab));
    let screen = terminal.shows(&["PROTO", "18080", ">18080", "KiB", "python3", "q quit", "Enter details"]);
    // Who listens moves as much as who asks, and stands before.
    assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
    terminal.keys(&["Enter"]);
    terminal.shows(&["held by python3", "open at 127.0.0.1:18080", "established", "Esc back"]);
    terminal.keys(&["Escape"]);
    terminal.keys(&["s"]);
    terminal.shows(&["sort: change"]);
    terminal.keys(&["/"]);
    terminal.keys(&["tcp listning", "Enter"]);
    terminal.shows(&["/tcp listning", "\"listning\""]);
    terminal.keys(&["C-u", "listening", "Enter"]);
    let screen = terminal.shows(&["of: listening", "1 endpoints"]);
    assert!(!screen.contains(">18080"), "{screen}");
    terminal.keys(&["Space"]);
    terminal.shows(&["PAUSED"]);
    terminal.keys(&["?"]);
    terminal.shows(&["sort by connections", "any key goes back"]);
    terminal.keys(&["x"]);
    terminal.tmux(&["resize-window", "-t", "t", "-x", "30", "-y", "5"]);
    let screen = terminal.shows(&["18080"]);
    assert!(screen.lines().all(|line| line.chars().count() <= 30), "{screen}");
    terminal.tmux(&["resize-window", "-t", "t", "-x", "120", "-y", "20"]);
    terminal.shows(&["WAITING"]);
    terminal.keys(&["q"]);
    terminal.shows(&["ended 0", "icanon"]);
}

fn a_signal_gives_the_terminal_back(lab: &Lab) {
    if let Some(tool) = missing(&["tmux", "pgrep"]) {
        return println!("skipped: {tool} isn't installed");
    }
    for signal in ["TERM", "INT", "HUP"] {
        let terminal = Terminal::new(lab, &top(lab));
        terminal.shows(&["PROTO"]);
        let network = lab.world.network(Place::Host);
        let found = lab.world.run(Place::Host, &["pgrep", "-f", &format!("^[^ ]*wharf top.*{network}")]);
        let pid = found.good().lines().next().expect("it runs").to_owned();
        lab.world.run(Place::Host, &["kill", &format!("-{signal}"), &pid]);
        terminal.shows(&["ended 0", "icanon"]);
    }
    let terminal = Terminal::new(lab, &top(lab));
    terminal.shows(&["PROTO"]);
    terminal.keys(&["C-c"]);
    terminal.shows(&["ended 0", "icanon"]);
}

fn without_a_terminal_it_says_so(lab: &Lab) {
    let wharf = lab.world.wharf();
    let end = lab.world.start(Place::Host, lab.way.user, &[&wharf, "top"]).finish();
    assert_eq!(end.status.code(), Some(2), "{end:?}");
    assert!(
        end.stderr.starts_with("wharf: show ports on a page: this is no terminal (wharf list "),
        "{end:?}"
    );
    let end = lab.world.start(Place::Host, lab.way.user, &[&wharf, "top", "--sort", "size"]).finish();
    assert!(end.stderr.contains("--sort \"size\": no such order"), "{end:?}");
}
