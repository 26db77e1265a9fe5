//! What may be wrong with a link, and how it is written: `delay=20ms,jitter=2ms,loss=1%,rate=10mbit`.

use alloc::string::{String, ToString};
use core::fmt;
use core::num::NonZeroU64;
use core::time::Duration;

use crate::random::Random;

/// Frames that wait for the rate when nothing is said, as for a Linux interface (txqueuelen).
const QUEUE_DEFAULT: usize = 1_000;

/// A share of all frames, from none to all, in millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share(u32);

impl Share {
    /// None at all.
    pub const NONE: Share = Share(0);

    /// So many of a million; a million and more is all.
    pub const fn from_ppm(ppm: u32) -> Share {
        Share(if ppm > 1_000_000 { 1_000_000 } else { ppm })
    }

    /// So many of a hundred.
    pub const fn from_percent(percent: u32) -> Share {
        Share::from_ppm(percent.saturating_mul(10_000))
    }

    /// How many of a million.
    pub const fn ppm(self) -> u32 {
        self.0
    }

    /// Whether the next frame is one of them.
    pub(super) fn holds(self, random: &mut Random) -> bool {
        random.below(1_000_000) < u64::from(self.0)
    }
}

/// What is wrong with a link, in one direction. By default nothing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Impairment {
    /// How long every frame takes.
    pub delay: Duration,
    /// By how much that varies, evenly, both ways. Frames stay in order, so one that is fast waits for the one before it.
    pub jitter: Duration,
    /// Frames that are lost.
    pub loss: Share,
    /// Frames that are late by half of the delay or a millisecond, whichever is more, so that others overtake them.
    pub reorder: Share,
    /// Frames that come twice.
    pub duplicate: Share,
    /// Frames that come with one bit of their IP packet flipped; those without a packet are lost.
    pub corrupt: Share,
    /// Bits a second, Ethernet headers included; `None` for as fast as can be.
    pub rate: Option<NonZeroU64>,
    /// How many frames may wait for the rate.
    pub queue: usize,
    /// With so many frames waiting, packets whose sender does ECN are marked (CE; RFC 3168, section 5); `None` for never.
    pub mark: Option<usize>,
}

impl Default for Impairment {
    fn default() -> Impairment {
        Impairment {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: Share::NONE,
            reorder: Share::NONE,
            duplicate: Share::NONE,
            corrupt: Share::NONE,
            rate: None,
            queue: QUEUE_DEFAULT,
            mark: None,
        }
    }
}

/// Why an impairment can't be read; each quotes the offending part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImpairmentError {
    /// The name before `=` is none of ours, or there is no `=`.
    Unknown(String),
    /// Not a span of time.
    Span(String),
    /// Not a share of frames.
    Share(String),
    /// Not a rate above zero.
    Rate(String),
    /// Not a number of frames.
    Count(String),
    /// The name was given before.
    Twice(String),
}

impl fmt::Display for ImpairmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImpairmentError::Unknown(part) => write!(
                f,
                "\"{part}\" is none of delay=, jitter=, loss=, reorder=, duplicate=, corrupt=, rate=, queue=, mark="
            ),
            ImpairmentError::Span(part) => {
                write!(f, "\"{part}\" has no span of time, as in 20ms (us, ms, s)")
            }
            ImpairmentError::Share(part) => {
                write!(f, "\"{part}\" has no share of frames, as in 0.1% (0% to 100%)")
            }
            ImpairmentError::Rate(part) => {
                write!(f, "\"{part}\" has no rate, as in 10mbit (bit, kbit, mbit, gbit; a second)")
            }
            ImpairmentError::Count(part) => write!(f, "\"{part}\" has no number of frames, as in 1000"),
            ImpairmentError::Twice(part) => write!(f, "\"{part}\" was said before"),
        }
    }
}

impl core::error::Error for ImpairmentError {}

impl Impairment {
    /// Whether nothing is wrong.
    pub fn is_none(&self) -> bool {
        *self == Impairment { queue: self.queue, ..Impairment::default() }
    }

    /// Reads what a user wrote: parts `name=value` with commas between, each name once.
    ///
    /// # Errors
    /// An [`ImpairmentError`] that quotes the first part which is wrong.
    pub fn parse(text: &str) -> Result<Impairment, ImpairmentError> {
        let mut impairment = Impairment::default();
        let mut seen = 0_u16;
        for part in text.split(',') {
            let part = part.trim();
            let quoted = || part.to_string();
            let (name, value) = part.split_once('=').ok_or_else(|| ImpairmentError::Unknown(quoted()))?;
            let at = NAMES.iter().position(|&known| known == name);
            let at = at.ok_or_else(|| ImpairmentError::Unknown(quoted()))?;
            if seen & 1 << at != 0 {
                return Err(ImpairmentError::Twice(quoted()));
            }
            seen |= 1 << at;
            let share = || share(value).ok_or_else(|| ImpairmentError::Share(quoted()));
            let span = || span(value).ok_or_else(|| ImpairmentError::Span(quoted()));
            match name {
                "delay" => impairment.delay = span()?,
                "jitter" => impairment.jitter = span()?,
                "loss" => impairment.loss = share()?,
                "reorder" => impairment.reorder = share()?,
                "duplicate" => impairment.duplicate = share()?,
                "corrupt" => impairment.corrupt = share()?,
                "rate" => {
                    impairment.rate = Some(rate(value).ok_or_else(|| ImpairmentError::Rate(quoted()))?);
                }
                "mark" => {
                    impairment.mark = Some(value.parse().map_err(|_| ImpairmentError::Count(quoted()))?)
                }
                _ => impairment.queue = value.parse().map_err(|_| ImpairmentError::Count(quoted()))?,
            }
        }
        Ok(impairment)
    }
}

impl core::str::FromStr for Impairment {
    type Err = ImpairmentError;
    fn from_str(text: &str) -> Result<Impairment, ImpairmentError> {
        Impairment::parse(text)
    }
}

/// The names of the parts.
const NAMES: [&str; 9] =
    ["delay", "jitter", "loss", "reorder", "duplicate", "corrupt", "rate", "queue", "mark"];

/// A decimal number in millionths: `1`, `0.5`, `12.25`. No sign, no exponent, at most six places.
fn millionths(text: &str) -> Option<u64> {
    let (whole, places) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(places) || places.len() > 6 {
        return None;
    }
    let scale = 10_u64.pow(6 - places.len() as u32);
    let places = places.parse::<u64>().ok()? * scale;
    whole.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(places)
}

/// A number with one of the units behind it, times the unit's factor, in millionths.
fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let at = text.find(|c: char| c.is_ascii_alphabetic() || c == '%')?;
    let (number, unit) = text.split_at(at);
    let &(_, factor) = units.iter().find(|&&(name, _)| name == unit)?;
    millionths(number)?.checked_mul(factor)
}

fn span(text: &str) -> Option<Duration> {
    let millionths = with_unit(text, &[("us", 1), ("ms", 1_000), ("s", 1_000_000)])?;
    Some(Duration::from_micros(millionths / 1_000_000))
}

fn share(text: &str) -> Option<Share> {
    let ppm = with_unit(text, &[("%", 1)])? / 100;
    u32::try_from(ppm).ok().filter(|&ppm| ppm <= 1_000_000).map(Share)
}

fn rate(text: &str) -> Option<NonZeroU64> {
    let units = [("bit", 1), ("kbit", 1_000), ("mbit", 1_000_000), ("gbit", 1_000_000_000)];
    NonZeroU64::new(with_unit(text, &units)? / 1_000_000)
}
