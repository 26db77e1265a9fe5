//! What the kernel leaves out of a list: a small program that it runs for every socket (`INET_DIAG_REQ_BYTECODE`).
//!
//! Each operation compares, and jumps forward either way. A socket is listed when the program comes to its very end, and left
//! out when it jumps four bytes past it.

/// The program in an attribute of the request.
pub(super) const REQ_BYTECODE: u16 = 1;
const JMP: u8 = 1;
const LOCAL_PORT_AT_LEAST: u8 = 2;
const LOCAL_PORT_AT_MOST: u8 = 3;
/// A comparison has two words: code and jumps, and the port.
const COMPARISON_BYTES: u16 = 8;
const JUMP_BYTES: u16 = 4;
/// A range has two comparisons and a jump to the end.
const RANGE_BYTES: u16 = 2 * COMPARISON_BYTES + JUMP_BYTES;
/// The kernel runs the program for every socket, so there is a point beyond which a coarser sieve is faster.
const MOST_RANGES: usize = 64;

/// The program that lists sockets whose local port is in one of `ranges`, both ends included. `None` where that is everything.
/// Of many ranges the kernel is told the span; the rest is left to the caller.
pub(super) fn local_ports(ranges: &[(u16, u16)]) -> Option<Vec<u8>> {
    if ranges.contains(&(0, u16::MAX)) {
        return None;
    }
    let whole;
    let ranges = if ranges.len() > MOST_RANGES {
        let first = ranges.iter().map(|range| range.0).min()?;
        let last = ranges.iter().map(|range| range.1).max()?;
        whole = [(first, last)];
        &whole[..]
    } else {
        ranges
    };
    let mut program = Vec::with_capacity(ranges.len() * usize::from(RANGE_BYTES));
    for (at, &(first, last)) in ranges.iter().enumerate() {
        let others = (ranges.len() - at - 1) as u16 * RANGE_BYTES;
        // Past this range lies the next one; past the last of them the end, and four bytes more to be left out.
        let past = |from: u16| if others == 0 { from + JUMP_BYTES } else { from };
        compare(&mut program, LOCAL_PORT_AT_LEAST, first, past(RANGE_BYTES));
        compare(&mut program, LOCAL_PORT_AT_MOST, last, past(COMPARISON_BYTES + JUMP_BYTES));
        operation(&mut program, JMP, JUMP_BYTES as u8, JUMP_BYTES + others);
    }
    Some(program)
}

fn compare(program: &mut Vec<u8>, code: u8, port: u16, otherwise: u16) {
    operation(program, code, COMPARISON_BYTES as u8, otherwise);
    operation(program, 0, 0, port);
}

/// `inet_diag_bc_op`: what to do, and how far to go where it holds and where it does not.
fn operation(program: &mut Vec<u8>, code: u8, yes: u8, no: u16) {
    program.extend_from_slice(&[code, yes]);
    program.extend_from_slice(&no.to_ne_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the kernel runs it (`inet_diag_bc_run`).
    fn lists(program: &[u8], port: u16) -> bool {
        let field = |at: usize| u16::from_ne_bytes([program[at], program[at + 1]]);
        let mut at = 0;
        while at < program.len() {
            let yes = match program[at] {
                JMP => false,
                LOCAL_PORT_AT_LEAST => port >= field(at + 6),
                LOCAL_PORT_AT_MOST => port <= field(at + 6),
                code => panic!("operation {code}"),
            };
            at += usize::from(if yes { program[at + 1].into() } else { field(at + 2) });
        }
        at == program.len()
    }

    #[test]
    fn a_program_lists_what_is_in_its_ranges() {
        let ranges = [(0, 0), (80, 80), (443, 443), (8000, 8999), (65535, 65535)];
        let program = local_ports(&ranges).unwrap();
        for port in 0..=u16::MAX {
            let expected = ranges.iter().any(|&(first, last)| first <= port && port <= last);
            assert_eq!(lists(&program, port), expected, "{port}");
        }
        assert!(local_ports(&[]).unwrap().is_empty());
        assert_eq!(local_ports(&[(0, u16::MAX)]), None);
    }

    #[test]
    fn of_many_ranges_the_span_is_told() {
        let many: Vec<_> = (10..1000).map(|port| (port * 10, port * 10 + 3)).collect();
        let program = local_ports(&many).unwrap();
        assert_eq!(program.len(), usize::from(RANGE_BYTES));
        assert!(
            !lists(&program, 99) && lists(&program, 100) && lists(&program, 9993) && !lists(&program, 9994)
        );
    }
}
