//! In which order ports are tried.

use wharf_table::notation::Ports;

/// The first ports of every row of `size` candidates, in the order in which they are tried: the nearest to `near` first, or from a
/// random place on and round.
pub(super) fn starts(candidates: &Ports, size: u16, near: Option<u16>, random: u32) -> Vec<u16> {
    let more = size.saturating_sub(1);
    let rows = candidates.ranges().iter().filter_map(|&(first, last)| Some((first, last.checked_sub(more)?)));
    let mut starts: Vec<u16> = rows.flat_map(|(first, last)| first..=last).collect();
    match near {
        // Of two that are as near the higher one: who asks for 8080 looks at 8081 before 8079.
        Some(near) => starts.sort_by_key(|&start| {
            let (start, last, near) = (i32::from(start), i32::from(start) + i32::from(more), i32::from(near));
            let far = (near - start).abs().max((near - last).abs());
            (far, start < near)
        }),
        None if starts.is_empty() => {}
        None => {
            let place = random as usize % starts.len();
            starts.rotate_left(place);
        }
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_first_or_round() {
        let ports: Ports = [(10, 13), (20, 21)].into_iter().collect();
        assert_eq!(starts(&ports, 1, Some(12), 0), [12, 13, 11, 10, 20, 21]);
        assert_eq!(starts(&ports, 2, Some(12), 0), [12, 11, 10, 20]);
        assert_eq!(starts(&ports, 2, None, 5), [11, 12, 20, 10]);
        assert_eq!(starts(&ports, 1, None, 0), [10, 11, 12, 13, 20, 21]);
        assert!(starts(&ports, 5, None, 3).is_empty());
        assert!(starts(&Ports::NONE, 1, None, 3).is_empty());
        assert_eq!(starts(&Ports::all(), u16::MAX, None, 0).len(), 2);
    }
}
