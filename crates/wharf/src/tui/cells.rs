//! Cells of a line: as wide as they are to be, whatever stands in them.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Where the text of a cell stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Adds a cell of this width and a gap behind it; what does not fit is cut, which is marked.
pub(super) fn push(line: &mut String, text: &str, width: usize, side: Side) {
    let text = cut(text, width);
    let gap = width.saturating_sub(text.width());
    if side == Side::Right {
        line.extend(std::iter::repeat_n(' ', gap));
    }
    line.push_str(&text);
    if side == Side::Left {
        line.extend(std::iter::repeat_n(' ', gap));
    }
    line.push(' ');
}

/// The text, cut to a width.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut taken = 0;
    let kept = text.chars().take_while(|letter| {
        taken += letter.width().unwrap_or(0);
        taken < width
    });
    let mut kept: String = kept.collect();
    if width > 0 {
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_have_their_width() {
        let cell = |text, width, side| {
            let mut line = String::new();
            push(&mut line, text, width, side);
            line
        };
        assert_eq!(cell("tcp", 5, Side::Left), "tcp   ");
        assert_eq!(cell("80", 5, Side::Right), "   80 ");
        assert_eq!(cell("nginx (812)", 6, Side::Left), "nginx… ");
        assert_eq!(cell("日本語", 5, Side::Left), "日本… ");
        assert_eq!(cell("日本語", 4, Side::Left), "日…  ");
        assert_eq!(cell("x", 0, Side::Left), " ");
    }
}
