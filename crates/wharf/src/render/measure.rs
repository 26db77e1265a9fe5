//! Moments, spans of time and sizes.

use std::fmt;
use std::time::{Duration, SystemTime};

use wharf_host::when::rfc3339;

/// A span: the two largest units that it has, `3m 12s`, `2d 4h`; below a minute with one decimal, `3.2s`, `850ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.0.as_secs(), self.0.subsec_micros());
        let two = |f: &mut fmt::Formatter<'_>, (large, of), (small, or)| match small {
            0 => write!(f, "{large}{of}"),
            _ => write!(f, "{large}{of} {small}{or}"),
        };
        match seconds {
            0 if micros == 0 => f.write_str("0s"),
            0 if micros < 1_000 => write!(f, "{micros}us"),
            0 if micros < 10_000 => write!(f, "{}.{}ms", micros / 1_000, micros % 1_000 / 100),
            0 => write!(f, "{}ms", micros / 1_000),
            1..10 => write!(f, "{seconds}.{}s", micros / 100_000),
            10..60 => write!(f, "{seconds}s"),
            60..3_600 => two(f, (seconds / 60, "m"), (seconds % 60, "s")),
            3_600..86_400 => two(f, (seconds / 3_600, "h"), (seconds % 3_600 / 60, "m")),
            _ => two(f, (seconds / 86_400, "d"), (seconds % 86_400 / 3_600, "h")),
        }
    }
}

/// A number of bytes: `512 B`, `1.2 KiB`, `340 MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        // In tenths, so that what is rounded up to 1024 moves on to the next unit.
        let mut rest = self.0;
        let mut unit = 0;
        while unit < UNITS.len() - 1 && tenths(rest) >= 10_240 {
            rest /= 1024;
            unit += 1;
        }
        match tenths(rest) {
            small @ ..1_000 => write!(f, "{}.{} {}", small / 10, small % 10, UNITS[unit]),
            large => write!(f, "{} {}", (large + 5) / 10, UNITS[unit]),
        }
    }
}

/// 1024ths as tenths, rounded.
const fn tenths(number: u64) -> u64 {
    (number / 1024) * 10 + ((number % 1024) * 10 + 512) / 1024
}

/// A moment in UTC, as RFC 3339 writes it: `2026-12-01T10:31:00.250Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) SystemTime);

impl Moment {
    /// Its time of day: `10:31:00`.
    pub(crate) fn clock(self) -> String {
        self.to_string().get(11..19).unwrap_or_default().to_owned()
    }

    /// Without what is less than a second: `2026-12-01T10:31:00Z`.
    pub(crate) fn to_the_second(self) -> String {
        format!("{}Z", self.to_string().get(..19).unwrap_or_default())
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&rfc3339(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn spans_have_two_units_at_most() {
        let said = |ms: u64| Span(Duration::from_millis(ms)).to_string();
        let told = [0, 1, 45, 850, 1_000, 3_250, 59_900, 60_000, 192_000, 3_600_000, 5_460_000, 187_200_000];
        let expected =
            ["0s", "1.0ms", "45ms", "850ms", "1.0s", "3.2s", "59s", "1m", "3m 12s", "1h", "1h 31m", "2d 4h"];
        assert_eq!(told.map(said), expected);
        assert_eq!(Span(Duration::from_micros(52)).to_string(), "52us");
        assert_eq!(Span(Duration::from_secs(u64::MAX)).to_string(), "213503982334601d 7h");
    }

    #[test]
    fn sizes_have_binary_units() {
        let said = |bytes: u64| Size(bytes).to_string();
        let told = [0, 1023, 1024, 1250, 100 << 10, (1 << 20) - 1, 1 << 20, 1_288_490_188, u64::MAX];
        let expected =
            ["0 B", "1023 B", "1.0 KiB", "1.2 KiB", "100 KiB", "1.0 MiB", "1.0 MiB", "1.2 GiB", "16.0 EiB"];
        assert_eq!(told.map(said), expected);
    }

    #[test]
    fn moments_have_a_day_and_a_clock() {
        let moment = Moment(UNIX_EPOCH + Duration::from_millis(1_796_121_060_250));
        assert_eq!(moment.to_string(), "2026-12-01T10:31:00.250Z");
        assert_eq!(
            (moment.clock().as_str(), moment.to_the_second().as_str()),
            ("10:31:00", "2026-12-01T10:31:00Z")
        );
    }
}
