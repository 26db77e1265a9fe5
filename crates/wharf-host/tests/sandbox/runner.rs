//! The runner: makes one sandbox, as its options say, and ends as the program in it does.

use std::ffi::OsString;
use std::io::IoSlice;
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use wharf_host::run::spawn::{
    LinkChoice, ProgramExit, RootMap, RouterAdvertisements, Sandbox, SandboxConfig, SocketSupply, Subnet,
};
use wharf_sys::epoll::{Interest, Poller};
use wharf_sys::frame::{self, FrameBuffers, VnetHeader};
use wharf_sys::link::Link;
use wharf_sys::netlink::route::Prefix;
use wharf_sys::signal::Inherited;
use wharf_sys::tap::Offload;

/// The first argument that makes this program the runner.
pub(crate) const WORD: &str = "runner";

const HARDWARE: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
const GATEWAY_HARDWARE: [u8; 6] = [0x02, 0, 0, 0, 0, 0x02];

pub(crate) fn run(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let link = arguments.next().expect("the driver names the link");
    let options: Vec<OsString> = arguments.by_ref().take_while(|word| word != "--").collect();
    let has = |option: &str| options.iter().any(|word| word == option);
    let mut config = config(&link, arguments.collect());
    if has("root") {
        config.root = RootMap::Root;
    }
    if has("no-offload") {
        config.offload = Offload::None;
    }
    if has("ipv4-only") {
        config.v6 = None;
    }
    if has("mtu-9000") {
        config.mtu = 9000;
    }
    let prepared = match config.spawn() {
        Ok(prepared) => prepared,
        Err(error) => return fail(&error.to_string(), error.exit_code()),
    };
    for warning in &prepared.warnings {
        eprintln!("warning: {warning}");
    }
    if has("never-start") {
        println!("prepared");
        std::thread::sleep(Duration::from_secs(60));
    }
    let (sandbox, link) = match prepared.start() {
        Ok(started) => started,
        Err(error) => return fail(&error.to_string(), error.exit_code()),
    };
    if has("terminate") {
        // The script needs a moment to set its trap.
        std::thread::sleep(Duration::from_millis(300));
        sandbox.signal(15).unwrap();
    }
    let answer = match () {
        () if has("echo") => Answer::Echo,
        () if has("frames") => Answer::Describe,
        () if has("segments") => Answer::Segments,
        () => Answer::Nothing,
    };
    match carry(sandbox, &link, answer) {
        ProgramExit::Code(code) => ExitCode::from(code),
        ProgramExit::Signal(number) => ExitCode::from(128 + u8::try_from(number).unwrap()),
    }
}

fn fail(why: &str, code: u8) -> ExitCode {
    eprintln!("{why}");
    ExitCode::from(code)
}

fn config(link: &OsString, command: Vec<OsString>) -> SandboxConfig {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    SandboxConfig {
        command,
        root: RootMap::Keep,
        link: match link.to_str() {
            Some("auto") => LinkChoice::Auto,
            Some("packet") => LinkChoice::Packet,
            _ => LinkChoice::Tap,
        },
        offload: Offload::Full,
        queues: 1,
        first_queue_ports: Vec::new(),
        mtu: 1500,
        hardware: HARDWARE,
        gateway_hardware: GATEWAY_HARDWARE,
        v4: Some(Subnet {
            prefix: Prefix { address: ip("10.0.2.100"), length: 24 },
            gateway: Some(ip("10.0.2.2")),
        }),
        v6: Some(Subnet {
            prefix: Prefix { address: ip("fd00:77::100"), length: 64 },
            gateway: Some(ip("fe80::2")),
        }),
        neighbors: vec![ip("10.0.2.2"), ip("fe80::2")],
        router_advertisements: RouterAdvertisements::Ignore,
        resolv_conf: Some("nameserver 10.0.2.3\n".into()),
        open_files: None,
        sockets: SocketSupply::None,
        signals: Inherited::current(),
    }
}

/// What is done with frames.
#[derive(Clone, Copy)]
enum Answer {
    /// They are read and thrown away.
    Nothing,
    /// ICMP echo requests are answered.
    Echo,
    /// UDP frames are described on standard output.
    Describe,
    /// A UDP datagram is answered with five, as one frame.
    Segments,
}

const LINK: u64 = 0;
const STATUS: u64 = 1;

/// Carries frames until the program ends.
fn carry(mut sandbox: Sandbox, link: &Link, answer: Answer) -> ProgramExit {
    let mut poller = Poller::new(8).unwrap();
    poller.add(sandbox.status_fd(), STATUS, Interest::Read).unwrap();
    poller.add(link.fd(), LINK, Interest::Read).unwrap();
    let mut frames = FrameBuffers::new(32);
    loop {
        let ready: Vec<_> = poller.wait(None).unwrap().collect();
        while ready.iter().any(|ready| ready.token == LINK) && link.read_batch(&mut frames).unwrap() > 0 {
            match answer {
                Answer::Nothing => {}
                Answer::Echo => frames.iter().for_each(|(_, frame)| answer_echo(link, frame)),
                Answer::Segments => frames.iter().for_each(|(_, frame)| answer_with_segments(link, frame)),
                Answer::Describe => frames.iter().for_each(|(header, frame)| describe(&header, frame)),
            }
        }
        if ready.iter().any(|ready| ready.token == STATUS)
            && let Some(exit) = sandbox.poll_status()
        {
            return exit;
        }
    }
}

fn describe(header: &VnetHeader, frame: &[u8]) {
    if frame.get(12..14) == Some(&[0x08, 0x00]) && frame.get(23) == Some(&17) {
        let VnetHeader { flags, gso_type, gso_size, .. } = header;
        println!("udp {} bytes, flags {flags}, gso {gso_type} of {gso_size}", frame.len());
    }
}

/// Answers an ICMP echo request over IPv4 (RFC 792): addresses swapped, type 0, the checksum adjusted (RFC 1624).
fn answer_echo(link: &Link, frame: &[u8]) {
    let mut reply = frame.to_vec();
    if frame.get(12..14) != Some(&[0x08, 0x00]) || frame.get(23) != Some(&1) || frame.get(34) != Some(&8) {
        return;
    }
    assert_eq!(frame[..12], [GATEWAY_HARDWARE, HARDWARE].concat()[..]);
    reply[..6].copy_from_slice(&frame[6..12]);
    reply[6..12].copy_from_slice(&frame[..6]);
    reply[26..30].copy_from_slice(&frame[30..34]);
    reply[30..34].copy_from_slice(&frame[26..30]);
    reply[34] = 0;
    let checksum = u16::from_be_bytes([reply[36], reply[37]]);
    let (sum, carry) = checksum.overflowing_add(0x0800);
    reply[36..38].copy_from_slice(&(sum + u16::from(carry)).to_be_bytes());
    let (head, rest) = reply.split_at(20);
    link.write(&VnetHeader::default(), &[IoSlice::new(head), IoSlice::new(rest)]).unwrap();
}

/// Answers a UDP datagram with five of 1000 bytes, which the kernel is to cut out of one frame and to finish.
fn answer_with_segments(link: &Link, frame: &[u8]) {
    if frame.get(12..14) != Some(&[0x08, 0x00]) || frame.get(23) != Some(&17) {
        return;
    }
    let mut head = frame[..42].to_vec();
    head[..12].copy_from_slice(&[HARDWARE, GATEWAY_HARDWARE].concat());
    head[26..34].copy_from_slice(&[&frame[30..34], &frame[26..30]].concat());
    head[34..38].copy_from_slice(&[&frame[36..38], &frame[34..36]].concat());
    let udp_bytes = 8 + 5000u16;
    head[16..18].copy_from_slice(&(20 + udp_bytes).to_be_bytes());
    head[38..40].copy_from_slice(&udp_bytes.to_be_bytes());
    head[24..26].fill(0);
    let checksum = !sum(&head[14..34], 0);
    head[24..26].copy_from_slice(&checksum.to_be_bytes());
    // Left undone: the sum of the pseudo-header stands in its place.
    let pseudo = sum(&head[26..34], 17 + u32::from(udp_bytes));
    head[40..42].copy_from_slice(&pseudo.to_be_bytes());
    let header = VnetHeader {
        flags: frame::NEEDS_CHECKSUM,
        gso_type: frame::GSO_UDP,
        hdr_len: 42,
        gso_size: 1000,
        csum_start: 34,
        csum_offset: 6,
    };
    let payload: Vec<u8> = (0..5).flat_map(|mark| [mark; 1000]).collect();
    link.write(&header, &[IoSlice::new(&head), IoSlice::new(&payload)]).unwrap();
}

/// The sum of RFC 1071 over an even number of bytes, folded.
fn sum(bytes: &[u8], start: u32) -> u16 {
    let words = bytes.chunks_exact(2).map(|two| u32::from(u16::from_be_bytes([two[0], two[1]])));
    let total: u32 = start + words.sum::<u32>();
    let once = (total & 0xffff) + (total >> 16);
    ((once & 0xffff) + (once >> 16)) as u16
}
