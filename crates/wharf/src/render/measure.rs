//! Moments, spans of time and sizes.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.0.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
        // Years begin in March here, so that a leap day is the last of its year; 719,468 days lie before 1970, 146,097 in
        // 400 years (H. Hinnant, "chrono-compatible low-level date algorithms").
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        let year = era * 400 + year_of_era + later;
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        let millis = since.subsec_millis();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn moments_are_those_of_the_calendar() {
        let said = |s: u64, ms: u32| Moment(UNIX_EPOCH + Duration::new(s, ms * 1_000_000)).to_string();
        assert_eq!(said(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(said(951_782_399, 999), "2000-02-28T23:59:59.999Z");
        assert_eq!(said(951_782_400, 0), "2000-02-29T00:00:00.000Z");
        assert_eq!(said(1_796_121_060, 250), "2026-12-01T10:31:00.250Z");
        assert_eq!(said(4_107_542_399, 0), "2100-02-28T23:59:59.000Z");
        assert_eq!(Moment(UNIX_EPOCH + Duration::from_secs(1_796_121_060)).clock(), "10:31:00");
    }
}
