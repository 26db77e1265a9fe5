//! The namespace of a script: a TUN device with the script's addresses, and a route to everywhere through it.

use std::ffi::CString;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use wharf_sys::namespace::{Namespaces, set_sysctl, unshare};
use wharf_sys::netlink::route::{Hop, Prefix};
use wharf_sys::netlink::{Batch, Netlink};
use wharf_sys::tap;

use crate::script::setting::{IpVersion, Setting};

const LOOPBACK: u32 = 1;
const TUN: u32 = 2;
const TUN_NAME: &str = "tun0";

/// What a script finds: Linux' own defaults on a machine of ordinary size, wherever it runs. Connections of one script
/// don't learn from others, and packets that come in are welcome from any source, whatever routes say.
const SETTINGS: &[(&str, &str)] = &[
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/tun0/rp_filter", "0"),
    ("net/ipv4/tcp_rmem", "4096 131072 6291456"),
    ("net/ipv4/tcp_wmem", "4096 16384 4194304"),
    ("net/ipv4/tcp_no_metrics_save", "1"),
    ("net/ipv4/tcp_timestamps", "1"),
    ("net/ipv4/tcp_sack", "1"),
    ("net/ipv4/tcp_window_scaling", "1"),
    ("net/ipv4/tcp_ecn", "2"),
    ("net/ipv4/tcp_syncookies", "1"),
];

/// Who decides how much may be on its way, where a script does not say: Linux' own default.
const CONGESTION: &str = "cubic";

/// Whether namespaces and TUN devices can be had.
///
/// # Errors
/// They can't, and why.
pub fn available() -> Result<(), String> {
    let setting = Setting::new(IpVersion::V4);
    std::thread::spawn(move || make(&setting).map(drop))
        .join()
        .unwrap_or_else(|_| Err("a thread for the trial ended badly".to_owned()))
}

/// Moves this thread into a new network namespace, and makes the device in it.
pub(super) fn make(setting: &Setting) -> Result<OwnedFd, String> {
    unshare(Namespaces::NETWORK).map_err(|error| format!("unshare the network: {error}"))?;
    // A namespace may only choose what its machine allows to everybody; routes may say more.
    let by_route = set_sysctl("net/ipv4/tcp_congestion_control", CONGESTION).err().map(|_| CONGESTION);
    let name = CString::new(TUN_NAME).map_err(|error| error.to_string())?;
    let tun = tap::open_tun(&name, TUN).map_err(|error| format!("{}: {error}", tap::TUN_DEVICE))?;
    let v4 = Prefix { address: IpAddr::from([192, 168, 0, 1]), length: 16 };
    let v6 = Prefix { address: IpAddr::from([0xfd3d, 0x0a0b, 0x17d6, 0, 0, 0, 0, 1]), length: 64 };
    let mut batch = Batch::new();
    batch.no_own_address(TUN);
    batch.mtu(TUN, setting.mtu.into());
    batch.up(LOOPBACK);
    batch.up(TUN);
    for prefix in [v4, v6] {
        // A script of the same family says which address it is.
        let address =
            if prefix.address.is_ipv4() == setting.local.is_ipv4() { setting.local } else { prefix.address };
        batch.address(TUN, Prefix { address, ..prefix });
        let everywhere = Prefix { address, length: 0 };
        batch.route(TUN, everywhere, Hop::OnLink { source: address }, by_route);
    }
    let netlink = Netlink::open().map_err(|error| format!("netlink: {error}"))?;
    let refusals = netlink.run(&mut batch).map_err(|error| format!("netlink: {error}"))?;
    if let Some(refusal) = refusals.first() {
        return Err(format!("set up {TUN_NAME}: request {}: {}", refusal.request, refusal.error));
    }
    for (name, value) in SETTINGS {
        set_sysctl(name, value).map_err(|error| format!("{name}: {error}"))?;
    }
    if let IpAddr::V6(address) = setting.local {
        await_route(address)?;
    }
    Ok(tun)
}

/// How long a route may take that the kernel makes by itself, on a busy machine.
const ROUTE_PATIENCE: Duration = Duration::from_secs(2);

/// An address of IPv6 is there at once, but packets reach it only when a worker of the kernel's has made its route.
fn await_route(address: Ipv6Addr) -> Result<(), String> {
    let line = format!("{:032x} 80 ", address.to_bits());
    let start = Instant::now();
    while start.elapsed() < ROUTE_PATIENCE {
        let routes = std::fs::read_to_string("/proc/thread-self/net/ipv6_route")
            .map_err(|error| format!("the routes of IPv6: {error}"))?;
        if routes.lines().any(|route| route.starts_with(&line)) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(format!("no route to {address} was made"))
}

/// What a kernel says on every link by itself: router solicitations and multicast reports (RFC 4861, RFC 3810).
pub(super) fn is_chatter(packet: &[u8]) -> bool {
    match packet.first().map(|first| first >> 4) {
        Some(6) => {
            // Multicast listeners put a hop-by-hop header first.
            let hop_by_hop = packet.get(6) == Some(&0);
            let neighbor =
                packet.get(6) == Some(&58) && packet.get(40).is_some_and(|kind| (130..=143).contains(kind));
            hop_by_hop || neighbor
        }
        // IGMP.
        Some(4) => packet.get(9) == Some(&2),
        _ => true,
    }
}
