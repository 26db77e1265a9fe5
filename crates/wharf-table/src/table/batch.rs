//! Many look-ups at once.
//!
//! Nearly all of a look-up among many flows is waiting for memory, twice: for the line of the index, and for the row that
//! it names. So a batch is hashed, then the lines of all are read, then the rows of all, and only then anything is compared:
//! no read waits for another, and the processor has as many under way as it can. For that the two loops that read must be
//! short, which they are because where to read is worked out before.

use super::flows::Guess;
use super::index::Line;
use super::{Found, Table};
use crate::trace::Silent;
use crate::tuple::Tuple;

/// The most tuples that are looked up together. A smaller batch has smaller arrays, which take time to be filled.
const MANY: usize = 64;
const FEW: usize = 32;

impl Table {
    /// [`Table::find`] for many tuples at once: `found[i]` answers `tuples[i]`. What has no counterpart in the other
    /// slice is left.
    pub fn find_batch(&self, tuples: &[Tuple], found: &mut [Found]) {
        for (tuples, found) in tuples.chunks(MANY).zip(found.chunks_mut(MANY)) {
            let count = tuples.len().min(found.len());
            let (tuples, found) = (&tuples[..count], &mut found[..count]);
            if count > FEW {
                self.find_most::<MANY>(tuples, found)
            } else {
                self.find_most::<FEW>(tuples, found)
            }
        }
    }

    /// Of one length, which is at most `MOST`.
    fn find_most<const MOST: usize>(&self, tuples: &[Tuple], found: &mut [Found]) {
        let (mut hashes, mut lines, mut guesses) = ([0; MOST], [Line::EMPTY; MOST], [Guess::NONE; MOST]);
        let (hashes, lines) = (&mut hashes[..tuples.len()], &mut lines[..tuples.len()]);
        for (hash, tuple) in hashes.iter_mut().zip(tuples) {
            *hash = self.key.hash_tuple(tuple);
        }
        for (line, &hash) in lines.iter_mut().zip(&*hashes) {
            *line = self.flows.line(hash);
        }
        core::hint::black_box(lines.iter().fold(0, |sum, line| sum ^ line.touch()));
        let guesses = &mut guesses[..tuples.len()];
        for (guess, (&line, &hash)) in guesses.iter_mut().zip(lines.iter().zip(&*hashes)) {
            *guess = self.flows.guess(line, hash);
        }
        core::hint::black_box(guesses.iter().fold(0, |sum, guess| sum ^ guess.touch()));
        let asked = tuples.iter().zip(&*hashes).zip(guesses);
        for (found, ((tuple, &hash), guess)) in found.iter_mut().zip(asked) {
            *found = match self.flows.check(guess, tuple) {
                Some(id) => Found::Flow(id),
                None => self.find_hashed(hash, tuple, &mut Silent),
            };
        }
    }
}
