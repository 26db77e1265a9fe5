//! What is read as TCP is read again as it was written.

use wharf_wire::tcp::TcpRepr;

/// Holds for any bytes.
pub fn check(bytes: &[u8]) {
    if let Ok((repr, payload)) = TcpRepr::parse(bytes) {
        let mut again = vec![0; repr.header_len()];
        repr.emit(&mut again);
        again.extend_from_slice(payload);
        let (read, rest) = TcpRepr::parse(&again).expect("what we write we can read");
        assert_eq!(rest, payload);
        // SACK blocks that don't fit beside the padding that we write are left out.
        let (read_sack, sack) = (read.options.sack, repr.options.sack);
        assert!(sack.as_slice().starts_with(read_sack.as_slice()));
        let mut expected = repr;
        expected.options.sack = read_sack;
        assert_eq!(read, expected);
    }
}
