//! The host's time zone: what a clock on the wall says at a moment, and which moment it means.

use std::mem::MaybeUninit;

use libc::{c_int, time_t};

unsafe extern "C" {
    /// POSIX: reads the time zone anew (tzset(3)).
    safe fn tzset();
}

/// What a clock on the wall says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallTime {
    /// The year, 2026 say.
    pub year: i32,
    /// The month, from 1.
    pub month: u8,
    /// The day of the month, from 1.
    pub day: u8,
    /// The hour, from 0.
    pub hour: u8,
    /// The minute.
    pub minute: u8,
    /// The second; 60 is a leap second.
    pub second: u8,
    /// How many seconds the clock is before UTC. Not asked for by [`seconds`].
    pub offset: i32,
}

/// The clock on the wall at a moment, in seconds since 1970 (UTC). `None` beyond what a calendar can say.
pub fn wall_time(seconds: i64) -> Option<WallTime> {
    tzset();
    let mut parts = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: the first pointer is to an integer, the second to room for the result.
    let told = unsafe { libc::localtime_r(&raw const seconds, parts.as_mut_ptr()) };
    if told.is_null() {
        return None;
    }
    // SAFETY: the call succeeded and has filled it in.
    let parts = unsafe { parts.assume_init() };
    Some(WallTime {
        year: parts.tm_year.checked_add(1900)?,
        month: u8::try_from(parts.tm_mon + 1).ok()?,
        day: u8::try_from(parts.tm_mday).ok()?,
        hour: u8::try_from(parts.tm_hour).ok()?,
        minute: u8::try_from(parts.tm_min).ok()?,
        second: u8::try_from(parts.tm_sec).ok()?,
        offset: c_int::try_from(parts.tm_gmtoff).ok()?,
    })
}

/// The moment at which a clock on the wall says so, in seconds since 1970 (UTC). A day 0 is the last of the month before. Of two
/// moments with the same time of day, as when summer ends, it is one; a time that is skipped is moved.
pub fn seconds(at: WallTime) -> Option<i64> {
    tzset();
    // SAFETY: the structure is integers and a pointer, for which zero is valid.
    let mut parts: libc::tm = unsafe { MaybeUninit::zeroed().assume_init() };
    parts.tm_year = at.year.checked_sub(1900)?;
    parts.tm_mon = c_int::from(at.month) - 1;
    parts.tm_mday = at.day.into();
    parts.tm_hour = at.hour.into();
    parts.tm_min = at.minute.into();
    parts.tm_sec = at.second.into();
    // Whether it is summer time is left to the zone.
    parts.tm_isdst = -1;
    // SAFETY: the pointer is to a valid structure.
    let seconds: time_t = unsafe { libc::mktime(&raw mut parts) };
    (seconds != -1).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_and_the_wall_agree() {
        for moment in [0, 1_700_000_000, 1_796_000_000] {
            let wall = wall_time(moment).unwrap();
            assert_eq!(seconds(wall), Some(moment));
            // Whatever the zone, the clock and its offset give the moment.
            let of_day = i64::from(wall.hour) * 3600 + i64::from(wall.minute) * 60 + i64::from(wall.second);
            assert_eq!((moment + i64::from(wall.offset)).rem_euclid(86_400), of_day);
        }
        assert_eq!(wall_time(i64::MAX), None);
    }

    #[test]
    fn a_day_before_the_first_is_in_the_month_before() {
        let first = wall_time(1_709_290_000).unwrap();
        let before = WallTime { day: 0, ..WallTime { month: 3, year: 2024, ..first } };
        let before = wall_time(seconds(before).unwrap()).unwrap();
        assert_eq!((before.year, before.month, before.day), (2024, 2, 29));
    }
}
