use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use wharf_stack::stack::GatewayAddresses;
use wharf_sys::netlink::route::Prefix;
use wharf_sys::process::OpenFiles;
use wharf_sys::signal::Inherited;
use wharf_sys::socket;
use wharf_sys::tap::Offload;
use wharf_table::notation::Cidr;
use wharf_table::{Addr, Endpoint};
use super::addresses::Addresses;
use super::pump::{self, Listener, Pump};
use super::spawn::*;
use super::{start, datagrams::Datagrams, echo::Echoes, log::Log, names::*, resolver::Resolver, streams::Streams, wire::Wire, token::Token};

pub fn trial(command: Vec<OsString>, ports: &[(u16, u16)], choice: LinkChoice, mtu: u16, verbose: bool) -> i32 {
    let signals = Inherited::current();
    let open_files = OpenFiles::raise();
    let at4 = |n| Addr::v4([10, 0, 2, n]);
    let at6 = |n| { let mut o = [0; 16]; o[0] = 0xfd; o[1] = 0x11; o[15] = n; Addr::v6(o) };
    let v4 = GatewayAddresses { program: Cidr::new(at4(100), 24).unwrap(), gateway: at4(2), dns: at4(3), host: at4(4) };
    let v6 = GatewayAddresses { program: Cidr::new(at6(100), 64).unwrap(), gateway: at6(2), dns: at6(3), host: at6(4) };
    let addresses = Addresses { v4: Some(v4), v6: Some(v6) };
    let plan = start::GatewayPlan { addresses, hardware: [2, 0, 0, 0, 0, 2], program_hardware: [2, 0, 0, 0, 0, 1], mtu, allow_host: vec![] };
    let subnet = |of: GatewayAddresses| Subnet { prefix: Prefix { address: of.program.addr().ip(), length: of.program.prefix_len() }, gateway: of.gateway.ip() };
    let config = SandboxConfig {
        command, root: RootMap::Keep, link: choice, offload: Offload::Full, mtu: mtu.into(),
        hardware: plan.program_hardware, gateway_hardware: plan.hardware, v4: Some(subnet(v4)), v6: Some(subnet(v6)),
        neighbors: vec![v4.gateway.ip(), v4.dns.ip(), v6.gateway.ip()], router_advertisements: RouterAdvertisements::Ignore,
        resolv_conf: Some("nameserver 10.0.2.3\n".into()), open_files: Some(open_files), signals,
    };
    let prepared = match config.spawn() { Ok(p) => p, Err(e) => { eprintln!("{e}"); return 125; } };
    for w in &prepared.warnings { eprintln!("warn {w}"); }
    let (clock, poller, buffers) = start::engine().unwrap();
    let now = clock.now();
    let stack = start::gateway_stack(&plan, &prepared.link, None, 10000, now).unwrap();
    let names = NamesConfig { hosts: "/etc/hosts".into(), resolv_conf: "/etc/resolv.conf".into(), zone: "wharf.internal".parse().unwrap(), names: vec![], first_token: Token::NAMES_BASE, servers: None };
    let names = Names::new(names, poller.try_clone().unwrap(), || start::random_u64().unwrap());
    let mut listeners = vec![];
    for &(h, inside) in ports {
        let s = socket::tcp(socket::Family::V4).unwrap();
        socket::set_reuse_address(&s, socket::Switch::On).unwrap();
        socket::bind(&s, (IpAddr::from(Ipv4Addr::LOCALHOST), h).into()).unwrap();
        socket::listen(&s, 4096).unwrap();
        listeners.push(Listener { socket: s, inside });
    }
    let signals = start::take_signals().unwrap();
    let _ = Endpoint::new(at4(1), 1);
    let (sandbox, link) = match prepared.start() { Ok(p) => p, Err(e) => { eprintln!("{e}"); return 127; } };
    let mut pump = Pump {
        clock, log: Log::new(verbose), poller, stack, wire: Wire::new(link, None, 1, now), buffers, addresses, streams: Streams::default(),
        datagrams: Datagrams::new(addresses), echoes: Echoes::new(addresses, 3), resolver: Resolver::new(names), listeners, waiting: vec![], spare: pump::spare_descriptor(), signals, sandbox, link_has_more: false };
    pump::register(&pump).unwrap();
    let exit = pump.run().unwrap();
    if verbose { for (r, n) in pump.stack.drops().iter() { eprintln!("drop {r} {n}"); } }
    match exit { ProgramExit::Code(c) => c.into(), ProgramExit::Signal(n) => 128 + n }
}
