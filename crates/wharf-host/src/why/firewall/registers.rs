//! The registers of a rule: sixteen words of four bytes, each byte known or not.

/// What a packet's rule has loaded.
#[derive(Debug)]
pub(super) struct Registers([Option<u8>; 64]);

impl Registers {
    pub(super) const fn new() -> Registers {
        Registers([Some(0); 64])
    }

    /// Stores bytes; what is left of the last word is zero.
    pub(super) fn put(&mut self, word: u32, bytes: &[Option<u8>]) {
        let start = word as usize * 4;
        let end = start + bytes.len().next_multiple_of(4);
        for (at, slot) in self.0.iter_mut().enumerate().take(end).skip(start) {
            *slot = bytes.get(at - start).copied().unwrap_or(Some(0));
        }
    }

    pub(super) fn put_known(&mut self, word: u32, bytes: &[u8]) {
        let bytes: Vec<Option<u8>> = bytes.iter().map(|&byte| Some(byte)).collect();
        self.put(word, &bytes);
    }

    pub(super) fn slice(&self, word: u32, length: usize) -> &[Option<u8>] {
        let start = word as usize * 4;
        self.0.get(start..start + length).unwrap_or_default()
    }

    /// The bytes, if all of them are known.
    pub(super) fn known(&self, word: u32, length: usize) -> Option<Vec<u8>> {
        let bytes = self.slice(word, length);
        (bytes.len() == length).then(|| bytes.iter().copied().collect::<Option<Vec<u8>>>())?
    }
}
