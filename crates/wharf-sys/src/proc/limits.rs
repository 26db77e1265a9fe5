//! Limits and settings of the host that decide what a run can do.

use super::read_trimmed;

/// A setting below `/proc/sys`, by its dotted name. `None` when this kernel has none, or hides it.
pub fn sysctl(name: &str) -> Option<String> {
    read_trimmed(format!("/proc/sys/{}", name.replace('.', "/")))
}

/// A setting that is one number.
pub fn sysctl_number(name: &str) -> Option<u64> {
    sysctl(name)?.parse().ok()
}

/// The first port that an ordinary user may bind; 1024 where the kernel does not tell.
pub fn unprivileged_port_start() -> u16 {
    sysctl_number("net.ipv4.ip_unprivileged_port_start").and_then(|port| port.try_into().ok()).unwrap_or(1024)
}

/// How many files one process may ever have open (`fs.nr_open`).
pub fn open_files_ceiling() -> Option<u64> {
    sysctl_number("fs.nr_open")
}

/// The ports that the host gives to clients, first and last.
pub fn local_port_range() -> (u16, u16) {
    let range = || {
        let text = sysctl("net.ipv4.ip_local_port_range")?;
        let mut numbers = text.split_whitespace().map(str::parse::<u16>);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    };
    range().unwrap_or((32768, 60999))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_every_kernel_has() {
        assert!(open_files_ceiling().unwrap() >= 1024);
        let (first, last) = local_port_range();
        assert!(first < last);
        assert_eq!(sysctl("net.ipv4.no_such_setting"), None);
        assert_eq!(sysctl_number("kernel.ostype"), None);
    }
}
