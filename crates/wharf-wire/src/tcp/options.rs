//! TCP options: MSS (RFC 9293, section 3.7.1), window scale and timestamps (RFC 7323), SACK (RFC 2018), user time-out
//! (RFC 5482).
//!
//! Not here: MD5 and AO, Fast Open, multipath; they are passed over.

use super::TcpFlags;

/// Bytes that the options of a segment can have.
pub const MAX_LEN: usize = 40;
/// The largest shift of a window (RFC 7323, section 2.3): larger ones are read as this.
pub const MAX_WINDOW_SCALE: u8 = 14;

const END: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;
const USER_TIMEOUT: u8 = 28;

const MSS_LEN: usize = 4;
/// What stands in front of timestamps where no other option is there.
pub(super) const TIMESTAMPS_HEAD: [u8; 4] = [NOP, NOP, TIMESTAMPS, 10];
/// Each with its two bytes of padding or, on a SYN, the SACK-permitted option in their place.
const TIMESTAMPS_LEN: usize = 12;
const SACK_PERMITTED_LEN: usize = 4;
const WINDOW_SCALE_LEN: usize = 4;
const USER_TIMEOUT_LEN: usize = 4;
const SACK_HEAD_LEN: usize = 4;
const SACK_BLOCK_LEN: usize = 8;

/// What the options of a segment say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// The largest segment that the sender takes, in bytes without headers, never 0; on a SYN only.
    pub mss: Option<u16>,
    /// How many bits the sender's windows are to be shifted, 0 to 14; on a SYN only.
    pub window_scale: Option<u8>,
    /// The sender understands SACK; on a SYN only.
    pub sack_permitted: bool,
    /// The sender's clock (TSval) and the clock that it heard last (TSecr; counts only with ACK).
    pub timestamps: Option<(u32, u32)>,
    /// How long the sender waits for an acknowledgment before it gives up, in seconds, never 0 (RFC 5482, section 3).
    pub user_timeout: Option<u32>,
    /// What the sender holds beyond its acknowledgment.
    pub sack: SackBlocks,
}

/// Up to four SACK blocks: the sequence numbers of the first byte held and of the first byte behind (RFC 2018, section 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SackBlocks {
    /// Beyond `count` always zero, so that equality means equality.
    blocks: [(u32, u32); SackBlocks::MAX],
    count: u8,
}

impl SackBlocks {
    /// How many fit into a header.
    pub const MAX: usize = 4;
    /// None.
    pub const EMPTY: SackBlocks = SackBlocks { blocks: [(0, 0); SackBlocks::MAX], count: 0 };

    /// The blocks, in the order of the wire.
    pub fn as_slice(&self) -> &[(u32, u32)] {
        &self.blocks[..usize::from(self.count)]
    }

    /// Adds a block behind the others; whether there was room.
    pub fn push(&mut self, left: u32, right: u32) -> bool {
        match self.blocks.get_mut(usize::from(self.count)) {
            Some(block) => {
                *block = (left, right);
                self.count += 1;
                true
            }
            None => false,
        }
    }

    /// How many blocks.
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl TcpOptions {
    /// Reads the options of a segment with `flags`. What makes no sense ends them or is passed over, as Linux does: an option
    /// of length 0 or 1 or beyond the header ends them, one of a wrong length is passed over, and so are SYN's own
    /// options on another segment.
    pub fn parse(options: &[u8], flags: TcpFlags) -> TcpOptions {
        let mut parsed = TcpOptions::NONE;
        parsed.read(options, flags);
        parsed
    }

    /// No option.
    pub const NONE: TcpOptions = TcpOptions {
        mss: None,
        window_scale: None,
        sack_permitted: false,
        timestamps: None,
        user_timeout: None,
        sack: SackBlocks::EMPTY,
    };

    /// [`TcpOptions::parse`] into [`TcpOptions::NONE`], where it stands.
    #[inline]
    pub(super) fn read(&mut self, options: &[u8], flags: TcpFlags) {
        match *options {
            [] => {}
            // What nearly all segments carry (RFC 7323, appendix A).
            [NOP, NOP, TIMESTAMPS, 10, v0, v1, v2, v3, e0, e1, e2, e3] => {
                let value = u32::from_be_bytes([v0, v1, v2, v3]);
                self.timestamps = Some((value, u32::from_be_bytes([e0, e1, e2, e3])));
            }
            _ => self.read_each(options, flags),
        }
    }

    #[inline(never)]
    fn read_each(&mut self, mut options: &[u8], flags: TcpFlags) {
        loop {
            match *options {
                [NOP, ref rest @ ..] => options = rest,
                [END, ..] => return,
                [kind, len, ..] if len >= 2 => {
                    let Some((option, rest)) = options.split_at_checked(usize::from(len)) else { return };
                    self.take(kind, &option[2..], flags);
                    options = rest;
                }
                _ => return,
            }
        }
    }

    /// Takes one option; a later one of the same kind wins.
    fn take(&mut self, kind: u8, value: &[u8], flags: TcpFlags) {
        let syn = flags.contains(TcpFlags::SYN);
        match (kind, value) {
            (MSS, &[a, b]) if syn && [a, b] != [0, 0] => self.mss = Some(u16::from_be_bytes([a, b])),
            (WINDOW_SCALE, &[shift]) if syn => self.window_scale = Some(shift.min(MAX_WINDOW_SCALE)),
            (SACK_PERMITTED, []) if syn => self.sack_permitted = true,
            (TIMESTAMPS, &[v0, v1, v2, v3, e0, e1, e2, e3]) => {
                self.timestamps =
                    Some((u32::from_be_bytes([v0, v1, v2, v3]), u32::from_be_bytes([e0, e1, e2, e3])));
            }
            // The highest bit tells minutes from seconds; 0 is reserved (RFC 5482, section 3).
            (USER_TIMEOUT, &[a, b]) if [a & 0x7f, b] != [0, 0] => {
                let value = u32::from(u16::from_be_bytes([a & 0x7f, b]));
                self.user_timeout = Some(if a & 0x80 == 0 { value } else { 60 * value });
            }
            (SACK, blocks) if blocks.len().is_multiple_of(SACK_BLOCK_LEN) && !blocks.is_empty() => {
                self.sack = SackBlocks::EMPTY;
                for &[l0, l1, l2, l3, r0, r1, r2, r3] in blocks.as_chunks::<SACK_BLOCK_LEN>().0 {
                    self.sack
                        .push(u32::from_be_bytes([l0, l1, l2, l3]), u32::from_be_bytes([r0, r1, r2, r3]));
                }
            }
            _ => {}
        }
    }

    /// Bytes of everything but SACK blocks, padding included.
    const fn len_without_sack(&self) -> usize {
        let mut len = 0;
        if self.mss.is_some() {
            len += MSS_LEN;
        }
        if self.timestamps.is_some() {
            len += TIMESTAMPS_LEN;
        } else if self.sack_permitted {
            len += SACK_PERMITTED_LEN;
        }
        if self.window_scale.is_some() {
            len += WINDOW_SCALE_LEN;
        }
        if self.user_timeout.is_some() {
            len += USER_TIMEOUT_LEN;
        }
        len
    }

    /// How many of the SACK blocks are sent: three beside timestamps, four without (RFC 2018, section 3).
    const fn sack_count(&self) -> usize {
        let room = (MAX_LEN - SACK_HEAD_LEN - self.len_without_sack()) / SACK_BLOCK_LEN;
        if self.sack.len() < room { self.sack.len() } else { room }
    }

    /// The timestamps, where no other option is there: what nearly all segments carry.
    #[inline]
    pub(crate) const fn only_timestamps(&self) -> Option<(u32, u32)> {
        let others = self.mss.is_some()
            | self.window_scale.is_some()
            | self.sack_permitted
            | self.user_timeout.is_some()
            | (self.sack.count > 0);
        if others { None } else { self.timestamps }
    }

    /// Bytes that [`TcpOptions::emit`] writes: 0 to 40, a multiple of 4.
    #[inline]
    pub const fn len(&self) -> usize {
        if self.only_timestamps().is_some() { TIMESTAMPS_LEN } else { self.len_of_each() }
    }

    const fn len_of_each(&self) -> usize {
        match self.sack_count() {
            0 => self.len_without_sack(),
            count => self.len_without_sack() + SACK_HEAD_LEN + count * SACK_BLOCK_LEN,
        }
    }

    /// Whether no option is there.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the options to `buf`; SACK blocks beyond the room of the header are left out.
    ///
    /// # Panics
    /// When `buf` is shorter than [`TcpOptions::len`].
    #[inline]
    pub fn emit(&self, buf: &mut [u8]) {
        if let Some((value, echo)) = self.only_timestamps() {
            let option = buf.first_chunk_mut::<TIMESTAMPS_LEN>().expect("the buffer holds the options");
            let [v0, v1, v2, v3] = value.to_be_bytes();
            let [e0, e1, e2, e3] = echo.to_be_bytes();
            *option = [NOP, NOP, TIMESTAMPS, 10, v0, v1, v2, v3, e0, e1, e2, e3];
        } else {
            self.emit_each(buf);
        }
    }

    fn emit_each(&self, buf: &mut [u8]) {
        let mut rest = buf;
        if let Some(mss) = self.mss {
            let [a, b] = mss.to_be_bytes();
            put(&mut rest, [MSS, 4, a, b]);
        }
        // Linux fills the two bytes before the timestamps with SACK-permitted where it is offered.
        let sack_permitted = if self.sack_permitted { [SACK_PERMITTED, 2] } else { [NOP, NOP] };
        if let Some((value, echo)) = self.timestamps {
            put(&mut rest, sack_permitted);
            put(&mut rest, [TIMESTAMPS, 10]);
            put(&mut rest, value.to_be_bytes());
            put(&mut rest, echo.to_be_bytes());
        } else if self.sack_permitted {
            put(&mut rest, [NOP, NOP, SACK_PERMITTED, 2]);
        }
        if let Some(shift) = self.window_scale {
            put(&mut rest, [NOP, WINDOW_SCALE, 3, shift]);
        }
        if let Some(seconds) = self.user_timeout {
            let [a, b] = user_timeout_field(seconds).to_be_bytes();
            put(&mut rest, [USER_TIMEOUT, 4, a, b]);
        }
        let count = self.sack_count();
        if count > 0 {
            put(&mut rest, [NOP, NOP, SACK, (2 + count * SACK_BLOCK_LEN) as u8]);
            for &(left, right) in &self.sack.as_slice()[..count] {
                put(&mut rest, left.to_be_bytes());
                put(&mut rest, right.to_be_bytes());
            }
        }
    }
}

/// The field of a user time-out: seconds where they fit, else minutes, at most 22 days.
fn user_timeout_field(seconds: u32) -> u16 {
    match seconds {
        0..=0x7fff => seconds.max(1) as u16,
        _ => 0x8000 | (seconds.div_ceil(60)).min(0x7fff) as u16,
    }
}

/// Writes `bytes` to the front of `rest` and leaves what is behind them.
fn put<const N: usize>(rest: &mut &mut [u8], bytes: [u8; N]) {
    let buf = core::mem::take(rest);
    let (front, behind) = buf.split_first_chunk_mut::<N>().expect("the buffer holds the options");
    *front = bytes;
    *rest = behind;
}
