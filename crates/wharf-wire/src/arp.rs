//! ARP for IPv4 over Ethernet (RFC 826): who has this address?
//!
//! Not here: any other hardware or protocol, RARP and its kin.

use wharf_table::Addr;

use crate::{HardwareAddr, Malformed};

/// Bytes of an ARP message for IPv4 over Ethernet.
pub const LEN: usize = 28;

/// Hardware type 1, protocol type IPv4, address lengths 6 and 4.
const KIND: [u8; 6] = [0, 1, 8, 0, 6, 4];

/// What an ARP message does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArpOperation {
    /// Asks for the hardware address of the target.
    Request,
    /// Tells the hardware address of the sender.
    Reply,
}

/// What an ARP message means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArpRepr {
    /// Question or answer.
    pub operation: ArpOperation,
    /// The hardware address of the sender.
    pub sender_hardware: HardwareAddr,
    /// The IPv4 address of the sender; 0.0.0.0 in a probe (RFC 5227, section 2.1.1).
    pub sender: Addr,
    /// The hardware address of the target; meaningless in a request.
    pub target_hardware: HardwareAddr,
    /// The IPv4 address of the target.
    pub target: Addr,
}

impl ArpRepr {
    /// Reads the message at the front of `message`; padding behind it is ignored.
    ///
    /// # Errors
    /// [`Malformed::TooShort`], [`Malformed::AddressKind`] or [`Malformed::Operation`].
    pub fn parse(message: &[u8]) -> Result<ArpRepr, Malformed> {
        let message = message.first_chunk::<LEN>().ok_or(Malformed::TooShort)?;
        if message[..6] != KIND {
            return Err(Malformed::AddressKind);
        }
        let operation = match u16::from_be_bytes([message[6], message[7]]) {
            1 => ArpOperation::Request,
            2 => ArpOperation::Reply,
            _ => return Err(Malformed::Operation),
        };
        let hardware = |at: usize| HardwareAddr(core::array::from_fn(|i| message[at + i]));
        let addr = |at: usize| Addr::v4(core::array::from_fn(|i| message[at + i]));
        Ok(ArpRepr {
            operation,
            sender_hardware: hardware(8),
            sender: addr(14),
            target_hardware: hardware(18),
            target: addr(24),
        })
    }

    /// Bytes that [`ArpRepr::emit`] writes: 28.
    #[expect(clippy::len_without_is_empty, reason = "a message is never empty")]
    pub const fn len(&self) -> usize {
        LEN
    }

    /// Writes the message to the front of `buf`. Of an address only the last four octets are written.
    ///
    /// # Panics
    /// When `buf` is shorter than 28 bytes.
    pub fn emit(&self, buf: &mut [u8]) {
        buf[..6].copy_from_slice(&KIND);
        let operation: u16 = match self.operation {
            ArpOperation::Request => 1,
            ArpOperation::Reply => 2,
        };
        buf[6..8].copy_from_slice(&operation.to_be_bytes());
        buf[8..14].copy_from_slice(&self.sender_hardware.0);
        buf[14..18].copy_from_slice(&self.sender.octets()[12..]);
        buf[18..24].copy_from_slice(&self.target_hardware.0);
        buf[24..28].copy_from_slice(&self.target.octets()[12..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_and_written() {
        // 10.0.2.100 asks for 10.0.2.2, drawn after RFC 826, with padding behind.
        let mut message = [
            0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 2, 100, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2, 0xff,
            0xff,
        ];
        let repr = ArpRepr::parse(&message).unwrap();
        let expected = ArpRepr {
            operation: ArpOperation::Request,
            sender_hardware: HardwareAddr([2, 0, 0, 0, 0, 1]),
            sender: Addr::v4([10, 0, 2, 100]),
            target_hardware: HardwareAddr::default(),
            target: Addr::v4([10, 0, 2, 2]),
        };
        assert_eq!(repr, expected);
        let mut emitted = [0; LEN];
        repr.emit(&mut emitted);
        assert_eq!(emitted, message[..LEN]);

        message[7] = 2;
        assert_eq!(ArpRepr::parse(&message).unwrap().operation, ArpOperation::Reply);
        message[7] = 3;
        assert_eq!(ArpRepr::parse(&message), Err(Malformed::Operation));
        message[4] = 8;
        assert_eq!(ArpRepr::parse(&message), Err(Malformed::AddressKind));
        assert_eq!(ArpRepr::parse(&message[..27]), Err(Malformed::TooShort));
    }
}
