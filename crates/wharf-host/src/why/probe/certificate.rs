//! What is told of a certificate: its names and its time (RFC 5280, section 4.1), read from DER.

/// A certificate's names, and from when until when it is good, in seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Certificate {
    pub(super) names: Vec<String>,
    pub(super) not_before: Option<i64>,
    pub(super) not_after: Option<i64>,
}

/// `subjectAltName`, 2.5.29.17.
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
const OCTETS: u8 = 0x04;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

/// The tag and the content of the first element, and what stands behind it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        let octets = rest.get(..count).filter(|octets| octets.len() <= 4)?;
        let length = octets.iter().fold(0, |sum, &octet| sum << 8 | usize::from(octet));
        (length, rest.get(count..)?)
    };
    Some((tag, rest.get(..length)?, rest.get(length..)?))
}

fn elements(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (tag, content, behind) = element(rest)?;
        rest = behind;
        Some((tag, content))
    })
}

/// Reads a certificate; `None` where it is none.
pub(super) fn parse(der: &[u8]) -> Option<Certificate> {
    let (_, certificate, _) = element(der)?;
    let (_, signed, _) = element(certificate)?;
    // The time is the only one of its sequences that has times in it.
    let is_time = |&(tag, _): &(u8, &[u8])| tag == UTC_TIME || tag == GENERALIZED_TIME;
    let mut times = elements(signed)
        .filter(|&(tag, _)| tag == SEQUENCE)
        .find(|&(_, content)| elements(content).next().as_ref().is_some_and(is_time))
        .into_iter()
        .flat_map(|(_, content)| elements(content));
    let mut time = || times.next().and_then(|(tag, text)| seconds(tag, text));
    let (not_before, not_after) = (time(), time());
    let extensions = elements(signed).find(|&(tag, _)| tag == EXTENSIONS).and_then(|(_, list)| element(list));
    let names =
        extensions.map(|(_, list, _)| elements(list).flat_map(|(_, one)| alternative_names(one)).collect());
    Some(Certificate { names: names.unwrap_or_default(), not_before, not_after })
}

fn alternative_names(extension: &[u8]) -> Vec<String> {
    let mut parts = elements(extension);
    if parts.next() != Some((OBJECT_IDENTIFIER, ALTERNATIVE_NAMES)) {
        return Vec::new();
    }
    let list = parts.find(|&(tag, _)| tag == OCTETS).and_then(|(_, octets)| element(octets));
    list.map(|(_, names, _)| elements(names).filter_map(name).collect()).unwrap_or_default()
}

fn name((tag, content): (u8, &[u8])) -> Option<String> {
    match tag {
        DNS_NAME => {
            Some(String::from_utf8_lossy(content).chars().filter(|letter| !letter.is_control()).collect())
        }
        IP_ADDRESS => match (<[u8; 4]>::try_from(content), <[u8; 16]>::try_from(content)) {
            (Ok(four), _) => Some(std::net::Ipv4Addr::from(four).to_string()),
            (_, Ok(sixteen)) => Some(std::net::Ipv6Addr::from(sixteen).to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ` (RFC 5280, section 4.1.2.5).
fn seconds(tag: u8, text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = text.split_at_checked(if tag == UTC_TIME { 2 } else { 4 })?;
    let year: i64 = year.parse().ok()?;
    let year = match (tag, year) {
        (UTC_TIME, 0..50) => 2000 + year,
        (UTC_TIME, _) => 1900 + year,
        _ => year,
    };
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i64>().ok();
    Some(((days(year, part(0)?, part(2)?) * 24 + part(4)?) * 60 + part(6)?) * 60 + part(8)?)
}

/// Days since 1970 of a date of the Gregorian calendar, counted in years that begin in March.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_both_forms() {
        assert_eq!(seconds(UTC_TIME, b"700101000000Z"), Some(0));
        assert_eq!(seconds(UTC_TIME, b"261201031500Z"), Some(1_796_094_900));
        assert_eq!(seconds(GENERALIZED_TIME, b"20500101000000Z"), Some(2_524_608_000));
        assert_eq!(seconds(UTC_TIME, b"49"), None);
    }

    #[test]
    fn what_is_cut_off_is_no_certificate() {
        assert_eq!(parse(&[]), None);
        assert_eq!(parse(&[0x30, 0x82, 0xff]), None);
        assert_eq!(parse(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(element(&[4, 1, 7, 9]), Some((4, &[7][..], &[9][..])));
    }
}
