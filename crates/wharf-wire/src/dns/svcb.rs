//! SVCB and HTTPS records (RFC 9460, section 2.2): where a service is, and at which addresses.

use alloc::vec::Vec;

use wharf_table::Addr;

use super::NameRef;
use crate::Malformed;

/// The keys of parameters that hold addresses (RFC 9460, section 7.3).
const IPV4_HINT: u16 = 4;
const IPV6_HINT: u16 = 6;

/// What such a record says, as far as somebody asks for it here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service<'a> {
    /// 0 for an alias.
    pub priority: u16,
    /// The name that serves; the root means the owner's own name where it is no alias.
    pub target: NameRef<'a>,
    /// Addresses of the target, as a hint.
    pub hints: Vec<Addr>,
}

impl<'a> Service<'a> {
    /// Reads the data of a record.
    ///
    /// # Errors
    /// [`Malformed`]: it ends too early, or its parameters are out of order.
    pub fn parse(data: &'a [u8]) -> Result<Service<'a>, Malformed> {
        let &[p0, p1] = data.first_chunk().ok_or(Malformed::TooShort)?;
        let (target, at) = NameRef::parse(data, 2)?;
        let mut rest = data.get(at..).ok_or(Malformed::TooShort)?;
        let (mut hints, mut last) = (Vec::new(), None);
        while !rest.is_empty() {
            let &[k0, k1, l0, l1] = rest.first_chunk().ok_or(Malformed::TooShort)?;
            let (key, len) = (u16::from_be_bytes([k0, k1]), usize::from(u16::from_be_bytes([l0, l1])));
            let value = rest.get(4..4 + len).ok_or(Malformed::TooShort)?;
            // Keys are in strictly increasing order; whoever receives others must take the record for malformed.
            if last.is_some_and(|last| last >= key) {
                return Err(Malformed::Length);
            }
            last = Some(key);
            match key {
                IPV4_HINT => hints.extend(addresses(value)?.iter().copied().map(Addr::v4)),
                IPV6_HINT => hints.extend(addresses(value)?.iter().copied().map(Addr::v6)),
                _ => {}
            }
            rest = &rest[4 + len..];
        }
        Ok(Service { priority: u16::from_be_bytes([p0, p1]), target, hints })
    }
}

/// The addresses of a hint: one at least, and whole ones.
fn addresses<const N: usize>(value: &[u8]) -> Result<&[[u8; N]], Malformed> {
    match value.as_chunks::<N>() {
        ([], _) => Err(Malformed::Length),
        (whole, []) => Ok(whole),
        _ => Err(Malformed::Length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn target_and_hints_are_read() {
        let mut data = b"\0\x01\x03cdn\x04test\0".to_vec();
        data.extend_from_slice(&[0, 1, 0, 3, 2, b'h', b'2']);
        data.extend_from_slice(&[0, 4, 0, 8, 192, 0, 2, 1, 192, 0, 2, 2]);
        data.extend_from_slice(&[0, 6, 0, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        let service = Service::parse(&data).unwrap();
        assert_eq!((service.priority, service.target.to_string().as_str()), (1, "cdn.test"));
        let hints: Vec<_> = service.hints.iter().map(ToString::to_string).collect();
        assert_eq!(hints, ["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
    }

    #[test]
    fn what_is_cut_or_out_of_order_is_malformed() {
        let data = b"\0\x01\0\0\x04\0\x04\xc0\0\x02\x01";
        assert!(Service::parse(data).is_ok());
        for end in 0..data.len() {
            // A record without parameters is whole.
            assert_eq!(Service::parse(&data[..end]).is_ok(), end == 3, "{end}");
        }
        assert!(Service::parse(b"\0\x01\0\0\x04\0\x04\xc0\0\x02\x01\0\x04\0\x04\xc0\0\x02\x01").is_err());
        assert!(Service::parse(b"\0\x01\0\0\x04\0\x03\xc0\0\x02").is_err());
    }
}
