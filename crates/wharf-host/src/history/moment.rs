//! Times as people type them: `10:31`, `yesterday 10:31`, `5m ago`, `2026-12-01 10:31`, RFC 3339.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thiserror::Error;
use wharf_sys::local_time::{WallTime, seconds, wall_time};

/// What was typed is no time.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "{0:?}: not a time (write 10:31, yesterday 10:31, 5m ago, \"2026-12-01 10:31\" or 2026-12-01T10:31:00Z say)"
)]
pub struct MomentError(String);

/// Reads a time. Without a zone it is that of this host. A time of day is the last one: today's, or yesterday's where today's is
/// still to come.
///
/// # Errors
/// [`MomentError`] quotes what is no time.
pub fn parse(text: &str, now: SystemTime) -> Result<SystemTime, MomentError> {
    let words: Vec<_> = text.split_whitespace().collect();
    let found = match words[..] {
        ["now"] => Some(now),
        [span, "ago"] => before(now, span),
        [count, unit, "ago"] => before(now, &format!("{count}{unit}")),
        ["yesterday", clock] => on_day(now, -1, clock),
        ["today", clock] => on_day(now, 0, clock),
        [clock] if clock.len() <= "23:59:59".len() => {
            let today = on_day(now, 0, clock);
            today.filter(|today| *today <= now).or_else(|| on_day(now, -1, clock))
        }
        [whole] => whole.split_once(['T', 't']).and_then(|(day, clock)| dated(day, clock)),
        [day, clock] => dated(day, clock),
        _ => None,
    };
    found.ok_or_else(|| MomentError(text.to_owned()))
}

/// `5m`, `90s`, `1h30m`, `2days`.
fn before(now: SystemTime, span: &str) -> Option<SystemTime> {
    let mut rest = span;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let (number, behind) = rest.split_at(digits);
        let unit = behind.find(|letter: char| letter.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit);
        let seconds = match unit {
            "s" | "sec" | "second" | "seconds" => 1,
            "m" | "min" | "minute" | "minutes" => 60,
            "h" | "hour" | "hours" => 3_600,
            "d" | "day" | "days" => 86_400,
            "w" | "week" | "weeks" => 604_800,
            _ => return None,
        };
        let span = number.parse::<u64>().ok()?.checked_mul(seconds).map(Duration::from_secs)?;
        total = total.checked_add(span)?;
        rest = behind;
    }
    (!span.is_empty()).then(|| now.checked_sub(total))?
}

/// A time of day so many days from today.
fn on_day(now: SystemTime, days: i64, clock: &str) -> Option<SystemTime> {
    let now = i64::try_from(now.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()?;
    let today = wall_time(now)?;
    let day = u8::try_from(i64::from(today.day) + days).ok()?;
    let (at, fraction) = time_of_day(WallTime { day, ..today }, clock)?;
    moment(seconds(at)?, fraction)
}

/// A day and a time of it, with a zone behind or without.
fn dated(day: &str, clock: &str) -> Option<SystemTime> {
    let mut numbers = day.split('-');
    let mut number = |digits: usize| {
        numbers.next().filter(|part| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let (year, month, date) = (number(4)?.parse().ok()?, number(2)?.parse().ok()?, number(2)?.parse().ok()?);
    if numbers.next().is_some() || !is_date(year, month, date) {
        return None;
    }
    let at = WallTime { year, month, day: date, hour: 0, minute: 0, second: 0, offset: 0 };
    let zone = clock.find(['Z', 'z', '+', '-']);
    let (clock, zone) = zone.map_or((clock, None), |place| (&clock[..place], Some(&clock[place..])));
    let (at, fraction) = time_of_day(at, clock)?;
    let Some(zone) = zone else { return moment(seconds(at)?, fraction) };
    let offset = match zone {
        "Z" | "z" => 0,
        _ => {
            let (sign, clock) = (if zone.starts_with('-') { -1 } else { 1 }, &zone[1..]);
            let (ahead, _) = time_of_day(at, clock)?;
            sign * (i64::from(ahead.hour) * 3_600 + i64::from(ahead.minute) * 60)
        }
    };
    let of_day = i64::from(at.hour) * 3_600 + i64::from(at.minute) * 60 + i64::from(at.second);
    moment(days_since_1970(at) * 86_400 + of_day - offset, fraction)
}

fn moment(seconds: i64, fraction: Duration) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).ok()?))?.checked_add(fraction)
}

/// `10:31`, `10:31:05`, `10:31:05.5`.
fn time_of_day(at: WallTime, clock: &str) -> Option<(WallTime, Duration)> {
    let mut parts = clock.split(':');
    let mut number = |most: u8| {
        let part = parts.next()?;
        let is_number = (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<u8>().ok().filter(|number| is_number && *number <= most)
    };
    let (hour, minute) = (number(23)?, number(59)?);
    let Some(seconds) = parts.next() else {
        return Some((WallTime { hour, minute, second: 0, ..at }, Duration::ZERO));
    };
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() != 2 || !is_number(whole) || !is_number(fraction) || parts.next().is_some() {
        return None;
    }
    let second = whole.parse::<u8>().ok().filter(|second| *second <= 60)?;
    let fraction = Duration::try_from_secs_f64(format!("0.{fraction}").parse().ok()?).ok()?;
    Some((WallTime { hour, minute, second, ..at }, fraction))
}

fn is_date(year: i32, month: u8, day: u8) -> bool {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    (1..=days).contains(&day)
}

/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": years begin in March.
fn days_since_1970(at: WallTime) -> i64 {
    let (year, month, day) = (i64::from(at.year), i64::from(at.month), i64::from(at.day));
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// What a clock on the wall says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wall {
    /// `2026-12-01`.
    pub date: String,
    /// `10:31:05.123`.
    pub clock: String,
}

/// The time of this host's zone.
pub fn wall(at: SystemTime) -> Wall {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let told = i64::try_from(since.as_secs()).ok().and_then(wall_time);
    let of_1970 = WallTime { year: 1970, month: 1, day: 1, hour: 0, minute: 0, second: 0, offset: 0 };
    let WallTime { year, month, day, hour, minute, second, .. } = told.unwrap_or(of_1970);
    Wall {
        date: format!("{year:04}-{month:02}-{day:02}"),
        clock: format!("{hour:02}:{minute:02}:{second:02}.{:03}", since.subsec_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn times_with_a_zone() {
        let now = at(0);
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-12-01T02:26:41Z", 1_796_092_001),
            ("2026-12-01t02:26:41z", 1_796_092_001),
            ("2026-12-01 02:26:41Z", 1_796_092_001),
            ("2026-12-01T03:56:41+01:30", 1_796_092_001),
            ("2026-11-30T21:26:41-05:00", 1_796_092_001),
            ("2000-02-29T00:00Z", 951_782_400),
        ] {
            assert_eq!(parse(text, now), Ok(at(seconds)), "{text}");
        }
        assert_eq!(parse("1970-01-01T00:00:01.25Z", now), Ok(at(1) + Duration::from_millis(250)));
    }

    #[test]
    fn spans_ago() {
        let now = at(1_796_092_001);
        for (text, ago) in [
            ("now", 0),
            ("5m ago", 300),
            ("5 minutes ago", 300),
            ("1h30m ago", 5_400),
            ("90s ago", 90),
            ("2 days ago", 172_800),
            ("1w ago", 604_800),
        ] {
            assert_eq!(parse(text, now), Ok(now - Duration::from_secs(ago)), "{text}");
        }
    }

    #[test]
    fn times_of_day_are_the_last_ones() {
        let now =
            seconds(WallTime { year: 2026, month: 12, day: 1, hour: 10, minute: 31, second: 0, offset: 0 });
        let now = at(now.unwrap().cast_unsigned());
        let minutes = |minutes: u64| Ok(now - Duration::from_secs(minutes * 60));
        assert_eq!(parse("10:31", now), minutes(0));
        assert_eq!(parse("9:30", now), minutes(61));
        assert_eq!(parse("10:30:30", now), Ok(now - Duration::from_secs(30)));
        // The last one was yesterday, in the month before.
        let yesterday = parse("10:32", now).unwrap();
        assert_eq!(parse("2026-11-30 10:32", now), Ok(yesterday));
        assert_eq!(parse("yesterday 10:32", now), Ok(yesterday));
        assert_eq!(parse("today 10:32", now), Ok(now + Duration::from_secs(60)));
    }

    #[test]
    fn what_the_wall_says_is_that_time() {
        let now = at(1_796_092_001) + Duration::from_millis(250);
        let Wall { date, clock } = wall(now);
        assert_eq!(parse(&format!("{date} {clock}"), now), Ok(now));
    }

    #[test]
    fn what_is_no_time_is_quoted() {
        for text in [
            "",
            "tomorrow",
            "10",
            "24:00",
            "10:60",
            "10:31:61",
            "10:31:5",
            "-5m ago",
            "5 ago",
            "5x ago",
            "ago",
            "2026-13-01 10:31",
            "2026-02-29T00:00:00Z",
            "2026-1-1 10:31",
            "2026-12-01T10:31:00+25:00",
            "2026-12-01",
            "10:31 yesterday",
            "99999999999999999999s ago",
            "2026-12-01T10:31:00Zx",
        ] {
            let error = parse(text, at(1_796_092_001)).unwrap_err();
            assert!(error.to_string().starts_with(&format!("{text:?}: not a time")), "{error}");
        }
    }
}
