//! What is read as UDP is read again as it was written, its checksum with it.

use wharf_table::Addr;
use wharf_wire::udp::{HEADER_LEN, UdpRepr, fill_checksum, verify_checksum};

/// Holds for any bytes.
pub fn check(bytes: &[u8]) {
    let (src, dst) = (Addr::v6([0xfd; 16]), Addr::v6([0x20; 16]));
    let _ = verify_checksum(src, dst, bytes);
    if let Ok((repr, payload)) = UdpRepr::parse(bytes) {
        let mut again = vec![0; HEADER_LEN];
        repr.emit(&mut again);
        again.extend_from_slice(payload);
        fill_checksum(src, dst, &mut again);
        assert_eq!(UdpRepr::parse(&again), Ok((repr, payload)));
        assert_eq!(verify_checksum(src, dst, &again), Ok(()));
    }
}
