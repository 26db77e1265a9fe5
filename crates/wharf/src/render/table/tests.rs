use super::*;

const HEADS: [Head; 4] = [
    Head { title: "PROTO", side: Side::Left, shrink: Shrink::Never, spare: 0 },
    Head { title: "LOCAL", side: Side::Left, shrink: Shrink::Middle(12), spare: 0 },
    Head { title: "QUEUE", side: Side::Right, shrink: Shrink::Never, spare: 1 },
    Head { title: "OWNER", side: Side::Left, shrink: Shrink::End(8), spare: 0 },
];

#[derive(Clone, Copy)]
struct Texts;

impl Cells for Texts {
    type Item<'a> = [&'static str; 4];

    fn heads(&self) -> &[Head] {
        &HEADS
    }

    fn cell(&self, item: [&'static str; 4], column: usize, out: &mut String) -> Tone {
        out.push_str(item[column]);
        if column == 0 { Tone::Good } else { Tone::Plain }
    }
}

fn table(width: Option<usize>, colour: Colour, items: &[[&'static str; 4]]) -> (String, Taken) {
    let mut out = Vec::new();
    let taken =
        write(&mut out, Screen { width, colour }, &Texts, items.iter().copied()).expect("memory takes it");
    (String::from_utf8(out).expect("text"), taken)
}

const ITEMS: [[&str; 4]; 3] = [
    ["tcp", "0.0.0.0:80", "0", "nginx (812), +3 workers"],
    ["udp", "[2001:db8:85a3:8d3:1319:8a2e:370:7348]:54321", "1024", "日本語 (7)"],
    ["tcp", "127.0.0.1:8", "", ""],
];

#[test]
fn columns_are_as_wide_as_they_must_be_and_lines_end_with_a_word() {
    let (text, taken) = table(None, Colour::Off, &ITEMS);
    assert_eq!(
        text,
        "\
PROTO  LOCAL                                         QUEUE  OWNER
tcp    0.0.0.0:80                                        0  nginx (812), +3 workers
udp    [2001:db8:85a3:8d3:1319:8a2e:370:7348]:54321   1024  日本語 (7)
tcp    127.0.0.1:8
"
    );
    assert_eq!(taken, Taken::default());
    assert_eq!(taken.sentence("--wide"), None);
}

#[test]
fn a_narrow_terminal_leaves_out_and_cuts_and_says_so() {
    let (text, taken) = table(Some(44), Colour::Off, &ITEMS);
    assert_eq!(
        text,
        "\
PROTO  LOCAL               OWNER
tcp    0.0.0.0:80          nginx (812), +3 …
udp    [2001:db8…8]:54321  日本語 (7)
tcp    127.0.0.1:8
"
    );
    assert_eq!(taken, Taken { left_out: vec!["QUEUE"], cut: 2 });
    let said = taken.sentence("--wide").expect("something was taken");
    assert!(said.starts_with("QUEUE: left out, and … marks"), "{said}");
    // Every width gives lines that fit, until nothing more can go.
    for width in 29..120 {
        let (text, _) = table(Some(width), Colour::Off, &ITEMS);
        assert!(text.lines().all(|line| line.width() <= width), "{width}:\n{text}");
    }
    let (text, _) = table(Some(1), Colour::Off, &ITEMS);
    assert_eq!(text.lines().count(), 4);
}

#[test]
fn colours_stand_around_cells_and_cost_no_width() {
    let (text, _) = table(None, Colour::On, &ITEMS[..1]);
    assert_eq!(
        text,
        "\x1b[1mPROTO\x1b[0m  \x1b[1mLOCAL\x1b[0m       \x1b[1mQUEUE\x1b[0m  \x1b[1mOWNER\x1b[0m\n\
         \x1b[32mtcp\x1b[0m    0.0.0.0:80      0  nginx (812), +3 workers\n"
    );
}

#[test]
fn a_column_without_a_word_is_no_column() {
    let (text, _) = table(None, Colour::Off, &ITEMS[2..]);
    assert_eq!(text, "PROTO  LOCAL\ntcp    127.0.0.1:8\n");
    assert_eq!(table(None, Colour::Off, &[]).0, "");
}
