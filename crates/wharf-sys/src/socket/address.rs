//! Socket addresses as C lays them out.

use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use libc::{sockaddr, sockaddr_in, sockaddr_in6, sockaddr_storage, socklen_t};

/// Room for the address of any family.
#[derive(Clone, Copy)]
pub(super) struct CAddress(MaybeUninit<sockaddr_storage>);

impl CAddress {
    /// Empty room and its size.
    pub(super) fn room() -> (CAddress, socklen_t) {
        (CAddress(MaybeUninit::zeroed()), size_of::<sockaddr_storage>() as socklen_t)
    }

    /// An IP address and how much of the room it takes.
    pub(super) fn new(address: SocketAddr) -> (CAddress, socklen_t) {
        let (mut room, _) = CAddress::room();
        let size = match address {
            SocketAddr::V4(at) => {
                let value = sockaddr_in {
                    sin_family: libc::AF_INET as u16,
                    sin_port: at.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(at.ip().octets()) },
                    sin_zero: [0; 8],
                };
                // SAFETY: `sockaddr_storage` is made to hold every kind of address, in size and alignment.
                unsafe { room.0.as_mut_ptr().cast::<sockaddr_in>().write(value) };
                size_of::<sockaddr_in>()
            }
            SocketAddr::V6(at) => {
                let value = sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as u16,
                    sin6_port: at.port().to_be(),
                    sin6_flowinfo: at.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: at.ip().octets() },
                    sin6_scope_id: at.scope_id(),
                };
                // SAFETY: as above.
                unsafe { room.0.as_mut_ptr().cast::<sockaddr_in6>().write(value) };
                size_of::<sockaddr_in6>()
            }
        };
        (room, size as socklen_t)
    }

    /// For calls that read the address.
    pub(super) fn pointer(&self) -> *const sockaddr {
        self.0.as_ptr().cast()
    }

    /// For calls that write it.
    pub(super) fn pointer_mut(&mut self) -> *mut sockaddr {
        self.0.as_mut_ptr().cast()
    }

    /// The address of which the kernel wrote `size` bytes; `None` when it is no IP address.
    pub(super) fn read(&self, size: socklen_t) -> Option<SocketAddr> {
        // SAFETY: the room was zeroed at first, and it is plain integers for which every value is valid.
        let storage = unsafe { self.0.assume_init() };
        let size = size as usize;
        if i32::from(storage.ss_family) == libc::AF_INET && size >= size_of::<sockaddr_in>() {
            // SAFETY: the family says what it is, and the room is large and aligned enough for it.
            let at = unsafe { self.0.as_ptr().cast::<sockaddr_in>().read() };
            let ip = Ipv4Addr::from(at.sin_addr.s_addr.to_ne_bytes());
            return Some(SocketAddrV4::new(ip, u16::from_be(at.sin_port)).into());
        }
        if i32::from(storage.ss_family) == libc::AF_INET6 && size >= size_of::<sockaddr_in6>() {
            // SAFETY: as above.
            let at = unsafe { self.0.as_ptr().cast::<sockaddr_in6>().read() };
            let ip = Ipv6Addr::from(at.sin6_addr.s6_addr);
            let port = u16::from_be(at.sin6_port);
            return Some(SocketAddrV6::new(ip, port, at.sin6_flowinfo, at.sin6_scope_id).into());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive() {
        for text in ["192.0.2.1:443", "[2001:db8::1]:53"] {
            let address: SocketAddr = text.parse().unwrap();
            let (room, size) = CAddress::new(address);
            assert_eq!(room.read(size), Some(address));
            assert_eq!(room.read(size - 1), None);
        }
    }
}
