//! Values of options, which more than one verb reads: the text becomes what it means, or an error that quotes it.

use std::fmt::Display;
use std::net::IpAddr;
use std::time::Duration;

use crate::exit::Failure;

/// Each value of an option that may be given many times.
pub(super) fn each<T, E: Display>(
    option: &str,
    texts: &[String],
    read: impl Fn(&str) -> Result<T, E>,
) -> Result<Vec<T>, Failure> {
    texts.iter().map(|text| read(text).map_err(|error| wrong(option, text, &error))).collect()
}

/// The value of an option that may be left out.
pub(super) fn one<T, E: Display>(
    option: &str,
    text: Option<&str>,
    read: impl Fn(&str) -> Result<T, E>,
) -> Result<Option<T>, Failure> {
    text.map(|text| read(text).map_err(|error| wrong(option, text, &error))).transpose()
}

/// What is wrong with an option's value; `error` quotes the offending part.
pub(super) fn wrong(option: &str, text: &str, error: &dyn Display) -> Failure {
    let error = error.to_string();
    // The whole value is not said twice.
    if error.starts_with(&format!("{text:?}")) {
        Failure::usage(format_args!("{option} {error}"))
    } else {
        Failure::usage(format_args!("{option} {}: {error}", text.escape_debug()))
    }
}

pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("{text:?}: not an address (write 10.0.2.2 or fd00::2 say)"))
}

pub(super) fn mtu(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("{text:?}: not a number of bytes (write 1500 say)"))
}

/// A number of bytes, or of KiB or MiB with K or M behind it.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.as_bytes() {
        [.., b'k' | b'K'] => (&text[..text.len() - 1], 10),
        [.., b'm' | b'M'] => (&text[..text.len() - 1], 20),
        _ => (text, 0),
    };
    let number =
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok()).flatten();
    let bytes = number.and_then(|number| number.checked_mul(1 << shift));
    bytes.ok_or_else(|| format!("{text:?}: not a size (write 512K or 4M say)"))
}

/// A span in seconds, or with `ms`, `s` or `m` behind it.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1e-3), ("s", 1.0), ("m", 60.0)];
    let unit = units.iter().find_map(|&(unit, factor)| Some((text.strip_suffix(unit)?, factor)));
    let (digits, factor) = unit.unwrap_or((text, 1.0));
    let is_plain = digits.starts_with(|letter: char| letter.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number = is_plain.then(|| digits.parse::<f64>().ok()).flatten();
    let span = number.and_then(|number| Duration::try_from_secs_f64(number * factor).ok());
    span.ok_or_else(|| format!("{text:?}: not a span of time (write 0.5, 500ms, 5s or 2m say)"))
}

#[cfg(test)]
mod tests {
    use super::{seconds, size};
    use std::time::Duration;

    #[test]
    fn spans_are_seconds_or_have_a_unit() {
        let millis = ["1", "0.5", "500ms", "5s", "2m"].map(|text| seconds(text).map(|span| span.as_millis()));
        assert_eq!(millis, [Ok(1_000), Ok(500), Ok(500), Ok(5_000), Ok(120_000)]);
        for wrong in ["", "s", "-1", "+1", ".5", "1e9", "inf", "1 s", "99999999999999999999999"] {
            let said = format!("{wrong:?}: not a span of time (write 0.5, 500ms, 5s or 2m say)");
            assert_eq!(seconds(wrong), Err::<Duration, _>(said));
        }
    }

    #[test]
    fn sizes_are_bytes_or_powers_of_1024() {
        assert_eq!(["7", "256K", "4m", "0M"].map(size), [Ok(7), Ok(256 << 10), Ok(4 << 20), Ok(0)]);
        for wrong in ["", "K", "-1", "+1", "1.5M", "4G", "1 M", "99999999999999999999", "99999999999999999M"]
        {
            assert_eq!(size(wrong), Err(format!("{wrong:?}: not a size (write 512K or 4M say)")));
        }
    }
}
