//! The interfaces of a network namespace: their numbers and names.

use std::collections::BTreeMap;
use std::io;

use super::receive::{DUMP, Room, array, attributes};
use super::{Batch, Listing, Netlink};

const RTM_GETLINK: u16 = 18;
const RTM_NEWLINK: u16 = 16;
/// Bytes of `ifinfomsg`, in which the number stands at 4.
const LINK_BYTES: usize = 16;
const IFLA_IFNAME: u16 = 3;
const IFLA_EXT_MASK: u16 = 29;
/// Without the counters, which are most of an answer.
const SKIP_STATS: u32 = 8;
/// How often a list is read again that changed meanwhile.
const TRIES: usize = 3;

impl Netlink {
    /// Names of all interfaces by their numbers.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn interfaces(&self) -> io::Result<BTreeMap<u32, String>> {
        let mut request = Batch::new();
        request.request(RTM_GETLINK, DUMP, &[0; LINK_BYTES], |put| {
            put.put(IFLA_EXT_MASK, &SKIP_STATS.to_ne_bytes());
        });
        let mut room = Room::new();
        let mut names = BTreeMap::new();
        for _ in 0..TRIES {
            names.clear();
            let listing = self.list(&request, &mut room, |message| {
                if message.kind == RTM_NEWLINK {
                    names.extend(interface(message.body));
                }
            })?;
            if listing == Listing::Whole {
                break;
            }
        }
        Ok(names)
    }
}

fn interface(body: &[u8]) -> Option<(u32, String)> {
    let index = u32::from_ne_bytes(array(body, 4)?);
    let (_, name) = attributes(body.get(LINK_BYTES..)?).find(|&(kind, _)| kind == IFLA_IFNAME)?;
    let letters = name.split(|&byte| byte == 0).next()?;
    Some((index, String::from_utf8_lossy(letters).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_has_a_loopback() {
        let names = Netlink::open().unwrap().interfaces().unwrap();
        assert_eq!(names.get(&1).map(String::as_str), Some("lo"));
    }

    #[test]
    fn a_short_message_is_none() {
        assert_eq!(interface(&[0; 19]), None);
        assert_eq!(interface(&[]), None);
    }
}
