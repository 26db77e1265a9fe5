//! Commands of scripts that change settings: the only ones that mean anything to a stack without a shell.

/// What a script finds, as a namespace of the kernel's machine has it.
pub(super) const DEFAULTS: &[(&str, &str)] = &[
    ("net.ipv4.tcp_rmem", "4096 131072 6291456"),
    ("net.ipv4.tcp_wmem", "4096 16384 4194304"),
    ("net.ipv4.tcp_congestion_control", "cubic"),
];

/// What Linux' own tests set before each script (their `defaults.sh`), as far as it changes anything here.
pub(super) const TEST_DEFAULTS: &[(&str, &str)] = &[
    ("net.ipv4.tcp_rmem", "4096 540000 15728640"),
    ("net.ipv4.tcp_wmem", "4096 262144 4194304"),
    ("net.ipv4.tcp_timestamps", "1"),
    ("net.ipv4.tcp_syn_retries", "5"),
    ("net.ipv4.tcp_synack_retries", "5"),
    ("net.ipv4.tcp_sack", "1"),
    ("net.ipv4.tcp_congestion_control", "cubic"),
    ("net.ipv4.tcp_slow_start_after_idle", "0"),
    ("net.ipv4.tcp_ecn", "0"),
];

/// The commands of a line of shell, one by one.
pub(super) fn parts(command: &str) -> impl Iterator<Item = &str> {
    command.split(['\n', ';']).flat_map(|line| line.split("&&")).filter(|part| !part.trim().is_empty())
}

/// The settings that a `sysctl` command changes; `None` when it is something else.
pub(super) fn assignment(command: &str) -> Option<Vec<(String, String)>> {
    let command = command.split(['>', '#']).next().unwrap_or(command).trim();
    let rest = command.strip_prefix("sysctl")?;
    let mut found = Vec::new();
    for word in words(rest) {
        if word.starts_with('-') {
            continue;
        }
        let (name, value) = word.split_once('=')?;
        found.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    Some(found)
}

/// Words as a shell would see them, quotes taken off.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for letter in text.chars() {
        match quote {
            Some(open) if open == letter => quote = None,
            None if matches!(letter, '"' | '\'') => quote = Some(letter),
            None if letter.is_whitespace() => words.push(String::new()),
            _ => {
                if let Some(word) = words.last_mut() {
                    word.push(letter);
                }
            }
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_found_in_commands() {
        let one = assignment("sysctl -q net.ipv4.tcp_rmem=\"4096 87380 6291456\" > /dev/null").unwrap();
        assert_eq!(one, [("net.ipv4.tcp_rmem".to_owned(), "4096 87380 6291456".to_owned())]);
        let two = assignment(" sysctl -qw net.ipv4.tcp_sack=0 net.ipv4.tcp_ecn=1").unwrap();
        assert_eq!(two.len(), 2);
        assert_eq!(assignment("ip link set dev tun0 mtu 1400"), None);
        assert_eq!(parts("sysctl a=1; sysctl b=2\n\ntrue && false").count(), 4);
    }
}
