//! What the machine offers: programs, sizes from the environment, processes by namespace.

use std::path::Path;
use std::process::Output;

/// Whether a finished command did what it should.
pub(crate) const WORKS: fn(&Output) -> bool = |output| output.status.success();

/// The first of these programs that isn't installed.
pub(crate) fn missing(programs: &[&'static str]) -> Option<&'static str> {
    let path = std::env::var("PATH").unwrap_or_default();
    let present = |program: &str| path.split(':').any(|folder| Path::new(folder).join(program).exists());
    programs.iter().copied().find(|program| !present(program))
}

/// The python that every user may run (one under /root, say, an ordinary user can't reach).
pub(crate) fn python() -> &'static str {
    if Path::new("/usr/bin/python3").exists() { "/usr/bin/python3" } else { "python3" }
}

/// Whether the sizes of the specification are asked for (`WHARF_TEST_FULL=1`) in place of smaller ones.
pub(crate) fn full() -> bool {
    std::env::var_os("WHARF_TEST_FULL").is_some_and(|value| value == "1")
}

/// `large` MiB in a full test, else `small` ones; in bytes, as an argument.
pub(crate) fn size_mib(small: u64, large: u64) -> String {
    ((if full() { large } else { small }) << 20).to_string()
}

/// Pids of the processes that have `word` among their arguments or their environment.
pub(crate) fn host_pids_in(word: &str) -> Vec<u32> {
    let holds = |pid: u32| {
        ["cmdline", "environ"].iter().any(|file| {
            std::fs::read(format!("/proc/{pid}/{file}"))
                .is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(word))
        })
    };
    let processes = std::fs::read_dir("/proc").expect("/proc is mounted").flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != std::process::id() && holds(*pid))
        .collect()
}

/// Pids of the processes in a network, by the number of its namespace as in `net:[4026531840]`.
pub(crate) fn pids_in_network(network: &str) -> Vec<u32> {
    let name = format!("net:{network}");
    let processes = std::fs::read_dir("/proc").expect("/proc is mounted").flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let inside = |pid: &u32| {
        std::fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|link| link.as_os_str() == name.as_str())
    };
    pids.filter(inside).collect()
}
