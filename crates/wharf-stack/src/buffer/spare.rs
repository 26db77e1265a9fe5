//! What was given back and is kept for the next who asks.

use alloc::vec::Vec;

/// Up to `MOST` values that nobody has, of which those go again that nobody asks for.
#[derive(Debug)]
pub(crate) struct Kept<T, const MOST: usize> {
    values: Vec<T>,
    /// How many of them nobody has asked for since the last [`Kept::trim`].
    unneeded: usize,
}

impl<T, const MOST: usize> Kept<T, MOST> {
    pub(crate) const fn new() -> Kept<T, MOST> {
        Kept { values: Vec::new(), unneeded: 0 }
    }

    /// The one that was given back last.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<T> {
        let value = self.values.pop();
        self.unneeded = self.unneeded.min(self.values.len());
        value
    }

    /// Keeps a value while there is room.
    #[inline]
    pub(crate) fn give(&mut self, value: T) {
        if self.values.len() < MOST {
            self.values.push(value);
        }
    }

    /// Drops half of those that nobody has needed since the last time; all, when it is one.
    pub(crate) fn trim(&mut self) {
        self.values.truncate(self.values.len() - self.unneeded.div_ceil(2));
        self.unneeded = self.values.len();
        if self.values.is_empty() {
            self.values = Vec::new();
        }
    }

    /// Whether nothing is kept.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }
}
