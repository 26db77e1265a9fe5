//! Several packet sockets on one interface, each with its own share of the flows: a fan-out group with a small program of
//! ours in the kernel, which says whose a frame is.
//!
//! TCP goes by its two ports, so that a flow stays with one socket in both directions of time; everything else, fragments,
//! and the ports that are named go to the first socket.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{c_int, sock_filter};

use crate::call::{check, set_option};

/// `PACKET_FANOUT` and `PACKET_FANOUT_DATA` of `linux/if_packet.h`, which `libc` lacks.
const PACKET_FANOUT: c_int = 18;
const PACKET_FANOUT_DATA: c_int = 22;
/// `PACKET_FANOUT_CBPF`: a program's answer, modulo the number of sockets, is the socket.
const FANOUT_CBPF: c_int = 6;
/// The number of the group, in a network namespace that nothing else uses.
const GROUP: c_int = 1;
/// The most instructions of a program (`BPF_MAXINSNS`).
const PROGRAM_MAX: usize = 4096;

/// Makes a bound socket one more of the group, or the first one.
///
/// # Errors
/// It is bound to no interface, or the kernel has no fan-out (before 4.3).
pub(super) fn join(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_option(socket, libc::SOL_PACKET, PACKET_FANOUT, &(GROUP | FANOUT_CBPF << 16))
}

/// Says which frames go to which socket of the group of `socket`. TCP from a port in `first` goes to the first one, as far
/// as a program has room for them.
///
/// # Errors
/// It belongs to no group.
pub(super) fn steer(socket: BorrowedFd<'_>, first: &[(u16, u16)]) -> io::Result<()> {
    let mut program = program(first);
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    let size = size_of::<libc::sock_fprog>() as libc::socklen_t;
    // SAFETY: the pointer and the size describe `program`, whose filter is an array of the length it says; both outlive the
    // call, and the kernel only reads them.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            PACKET_FANOUT_DATA,
            (&raw const program).cast(),
            size,
        )
    })?;
    Ok(())
}

/// Offsets that count from the IP header, wherever the frame's data starts.
const NETWORK: u32 = libc::SKF_NET_OFF as u32;
const ETHER_TYPE: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_PROTOCOL) as u32;
const LOAD_WORD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const LOAD_HALF: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_ABS;
const LOAD_BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
const LOAD_HALF_BEHIND: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_IND;
const JUMP: u32 = libc::BPF_JMP | libc::BPF_K;
const CALCULATE: u32 = libc::BPF_ALU | libc::BPF_K;
const MULTIPLIER: u32 = 0x9e37_79b1;
const V4: u32 = libc::ETH_P_IP as u32;
const V6: u32 = libc::ETH_P_IPV6 as u32;
const TCP: u32 = libc::IPPROTO_TCP as u32;
const V6_HEADER_BYTES: u32 = 40;
/// Of the IPv4 header: More Fragments and the offset.
const FRAGMENT: u32 = 0x3fff;

/// A jump over as many instructions as it says, when the test holds and when not.
fn jump(test: u32, with: u32, then: u8, otherwise: u8) -> sock_filter {
    sock_filter { code: (JUMP | test) as u16, jt: then, jf: otherwise, k: with }
}

fn plain(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

/// To the first socket.
fn first_socket() -> sock_filter {
    plain(libc::BPF_RET | libc::BPF_K, 0)
}

fn program(first: &[(u16, u16)]) -> Vec<sock_filter> {
    let equal = libc::BPF_JEQ;
    let v4 = [
        plain(LOAD_BYTE, NETWORK + 9),
        jump(equal, TCP, 1, 0),
        first_socket(),
        plain(LOAD_HALF, NETWORK + 6),
        jump(libc::BPF_JSET, FRAGMENT, 0, 1),
        first_socket(),
        plain(LOAD_BYTE, NETWORK),
        plain(CALCULATE | libc::BPF_AND, 0x0f),
        plain(CALCULATE | libc::BPF_LSH, 2),
        plain(libc::BPF_MISC | libc::BPF_TAX, 0),
    ];
    let v6 = [
        plain(LOAD_BYTE, NETWORK + 6),
        jump(equal, TCP, 1, 0),
        first_socket(),
        plain(libc::BPF_LDX | libc::BPF_IMM, V6_HEADER_BYTES),
    ];
    let mut program = vec![
        plain(LOAD_WORD, ETHER_TYPE),
        jump(equal, V4, 2, 0),
        jump(equal, V6, 2 + v4.len() as u8, 0),
        first_socket(),
    ];
    program.extend(v4);
    program.push(plain(libc::BPF_JMP | libc::BPF_JA, v6.len() as u32));
    program.extend(v6);
    // The index register now says where the TCP header starts.
    program.push(plain(LOAD_HALF_BEHIND, NETWORK + 2));
    program.push(plain(libc::BPF_ST, 0));
    program.push(plain(LOAD_HALF_BEHIND, NETWORK));
    for &(from, to) in first.iter().take(PROGRAM_MAX / 4) {
        program.push(jump(libc::BPF_JGE, from.into(), 0, 2));
        program.push(jump(libc::BPF_JGT, to.into(), 1, 0));
        program.push(first_socket());
    }
    program.extend([
        plain(libc::BPF_MISC | libc::BPF_TAX, 0),
        plain(libc::BPF_LD | libc::BPF_MEM, 0),
        plain(CALCULATE | libc::BPF_LSH, 5),
        plain(libc::BPF_ALU | libc::BPF_XOR | libc::BPF_X, 0),
        plain(CALCULATE | libc::BPF_MUL, MULTIPLIER),
        plain(CALCULATE | libc::BPF_RSH, 16),
        plain(libc::BPF_RET | libc::BPF_A, 0),
    ]);
    program
}
