//! The laboratory: three hosts, a wharf between them, and peers that tell the truth.
//!
//! A [`Lab`] is a [`World`] (a client host, this host and a server host, as network namespaces joined by veth) and a [`Way`]
//! (over which device, and as which user, `wharf run` works in it). Each test has its own; nothing touches the machine's own
//! network. What answers and what asks are the python programs under `peers/`, curl, dig, nmap and the kernel. What can't run
//! here is skipped with a printed reason.

mod capture;
mod process;
mod tools;
mod way;
mod world;

pub(crate) use capture::tshark;
pub(crate) use process::{Finished, Proc};
pub(crate) use tools::{full, host_pids_in, missing, pids_in_network, python, size_mib};
pub(crate) use way::{Device, User, Way};
pub(crate) use world::{Place, World, client, far, host, server, silent, unreachable};

/// A world to run wharf in, and the way it runs there.
pub(crate) struct Lab {
    /// The hosts.
    pub(crate) world: World,
    /// Device and user.
    pub(crate) way: Way,
}

/// Makes the laboratory for one test and tells the story in it; skips with a printed reason where that can't be.
pub(crate) fn tell(way: Way, story: fn(&Lab)) {
    if let Some(reason) = way.impossible() {
        println!("skipped: {reason}");
        return;
    }
    story(&Lab { world: World::new(), way });
}

impl Lab {
    /// Starts `wharf run OPTIONS -- COMMAND` on this host, over this laboratory's device and as its user.
    pub(crate) fn wharf(&self, options: &[&str], command: &[&str]) -> Proc {
        self.wharf_at(Place::Host, options, command)
    }

    /// The same on another host of the world.
    pub(crate) fn wharf_at(&self, place: Place, options: &[&str], command: &[&str]) -> Proc {
        let words = self.words(options, command);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.world.start(place, self.way.user, &words)
    }

    /// Runs `wharf run OPTIONS -- COMMAND` to its end.
    pub(crate) fn run(&self, options: &[&str], command: &[&str]) -> Finished {
        self.wharf(options, command).finish()
    }

    /// Runs a program without wharf on this host, as the same user: the truth to compare with.
    pub(crate) fn bare(&self, command: &[&str]) -> Finished {
        self.world.start(Place::Host, self.way.user, command).finish()
    }

    /// The whole command line, for tests that put something around it.
    pub(crate) fn words(&self, options: &[&str], command: &[&str]) -> Vec<String> {
        let mut words =
            vec![self.world.wharf(), "run".into(), "--device".into(), self.way.device.word().into()];
        // A bad line has one queue.
        if let Some(queues) = std::env::var("WHARF_TEST_QUEUES").ok().filter(|_| !options.contains(&"--link"))
        {
            words.extend(["--queues".into(), queues]);
        }
        words.extend(options.iter().map(|word| (*word).to_owned()));
        if !command.is_empty() {
            words.push("--".into());
        }
        words.extend(command.iter().map(|word| (*word).to_owned()));
        words
    }

    /// A peer program under `peers/`, by file name, with its interpreter: the beginning of a command.
    pub(crate) fn peer<'a>(&'a self, file: &str, words: &[&'a str]) -> Vec<&'a str> {
        let mut command = vec![python(), "-u", self.world.peer(file)];
        command.extend(words);
        command
    }

    /// Starts a peer on a host of the world and waits until it says `ready`.
    pub(crate) fn serve(&self, place: Place, words: &[&str]) -> Proc {
        let mut server = self.world.start(place, User::Root, &self.peer("serve.py", words));
        server.line("ready");
        server
    }
}

/// Declares tests: each named function is a story, told once for each of the ways in brackets.
#[macro_export]
macro_rules! tests {
    ($([$($way:ident)*] $($story:ident)*;)*) => { $($crate::tests!(@stories [$($way)*] $($story)*);)* };
    (@stories [all] $($story:ident)*) => {
        $crate::tests!(@stories [tap_root tap_user packet_root packet_user] $($story)*);
    };
    (@stories $ways:tt $($story:ident)*) => { $($crate::tests!(@story $ways $story);)* };
    (@story [$($way:ident)*] $story:ident) => {
        mod $story {
            $(#[test] fn $way() { $crate::lab::tell($crate::lab::Way::$way(), super::$story); })*
        }
    };
}
