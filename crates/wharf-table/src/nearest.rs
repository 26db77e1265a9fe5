//! The word that was perhaps meant.

use alloc::vec;
use alloc::vec::Vec;

/// Longer ones are no slips of the fingers.
const LONGEST: usize = 24;

/// The word among `words` that was perhaps meant by `written`: it starts so, or is made of it by few changes of a letter.
pub fn nearest<'a>(written: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_ascii_lowercase();
    let len = written.chars().count();
    if len > LONGEST {
        return None;
    }
    let few = 1 + len / 4;
    let changes = |word: &str| {
        let starts = len >= 3 && word.starts_with(written.as_str());
        let is_far = word.len().abs_diff(written.len()) > few + 3 * usize::from(!written.is_ascii());
        if starts {
            0
        } else if is_far {
            usize::MAX
        } else {
            distance(&written, word)
        }
    };
    let best = words.map(|word| (changes(word), word)).min_by_key(|&(changes, _)| changes);
    best.filter(|&(changes, _)| changes <= few && changes < len).map(|(_, word)| word)
}

/// How many letters to insert, to remove, to replace or to exchange with the next one make `b` of `a`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let width = b.len() + 1;
    let mut cost = vec![0; (a.len() + 1) * width];
    for (at, cost) in cost.iter_mut().enumerate() {
        let (i, j) = (at / width, at % width);
        if i == 0 || j == 0 {
            *cost = i + j;
        }
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replaced = cost[(i - 1) * width + j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(cost[(i - 1) * width + j] + 1).min(cost[i * width + j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(cost[(i - 2) * width + j - 2] + 1);
            }
            cost[i * width + j] = least;
        }
    }
    cost[cost.len() - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_changes_of_letters() {
        let table = [
            ("", "", 0),
            ("abc", "abc", 0),
            ("abc", "ab", 1),
            ("abc", "acb", 1),
            ("abc", "xyz", 3),
            ("kitten", "sitting", 3),
        ];
        for (a, b, changes) in table {
            assert_eq!((distance(a, b), distance(b, a)), (changes, changes), "{a} {b}");
        }
        assert_eq!(nearest("postgesql", ["mysql", "postgresql"].into_iter()), Some("postgresql"));
        assert_eq!(nearest("post", ["mysql", "postgresql"].into_iter()), Some("postgresql"));
        assert_eq!(nearest("zzz", ["mysql", "postgresql"].into_iter()), None);
    }
}
