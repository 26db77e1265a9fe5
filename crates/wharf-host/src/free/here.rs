//! What the kernel of this network does with ports: those that it gives to clients, and those that it does not.

use wharf_sys::proc::limits;
use wharf_table::notation::Ports;

/// First and last port that the kernel gives to clients (`net.ipv4.ip_local_port_range`).
pub fn ephemeral_range() -> (u16, u16) {
    limits::local_port_range()
}

/// Those that it never gives of itself (`net.ipv4.ip_local_reserved_ports`), which are somebody's.
pub fn reserved() -> Ports {
    reserved_of(&limits::sysctl("net.ipv4.ip_local_reserved_ports").unwrap_or_default())
}

fn reserved_of(text: &str) -> Ports {
    let parts = text.split(',').map(str::trim);
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    parts.filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        assert_eq!(reserved_of("").to_string(), "none");
        assert_eq!(reserved_of("8080,9148,10000-10010").to_string(), "8080,9148,10000-10010");
        let (first, last) = ephemeral_range();
        assert!(first <= last);
    }
}
