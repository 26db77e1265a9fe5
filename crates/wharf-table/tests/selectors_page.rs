//! `docs/selectors.md` lists every word: its tables are those of the code. `SNAPSHOTS=overwrite` writes it anew.

use std::fmt::Write as _;

use wharf_table::selector::words::{CONDITIONS, JOINING, Word};

const HEAD: &str = "\
# Selectors

Words that say which endpoints are meant, and read like speech: `wharf list tcp listening port 8000-9000`. Every verb that takes a
SELECTOR takes them. Words that stand together are joined by \"and\"; several arguments are one selector, as if they stood in one line.

```
wharf list exposed not port 22                       what others can reach, but for ssh
wharf list user www-data to 10.0.0.0/8:5432          who of www-data talks to the database
wharf list '( tcp or udp ) port 53 not loopback'     parentheses need quotes in a shell
wharf list established older than 1h                 what has been open for long
wharf list 8080                                      a port alone is `port 8080`, an address alone `address ...`
```

What is unknown of an endpoint meets no condition about it, and so meets every `not`: one without a remote end is not `to` anywhere,
and `not to loopback` takes it. Names are compared by case, words are not. A value with spaces stands in quotes. Names of services are
the host's own (`/etc/services`) first, then the registry's. `state` takes the names of ss too: `connected` is all but listen, bound and
closed; `synchronized` that without syn-sent; `bucket` is syn-received and time-wait; `big` all but these.
";

fn table(page: &mut String, words: &[Word]) {
    page.push_str("\n| words | value | which endpoints | example |\n|---|---|---|---|\n");
    for word in words {
        let forms: Vec<String> = word.forms.iter().map(|form| format!("`{form}`")).collect();
        let value = if word.value.is_empty() { String::new() } else { format!("`{}`", word.value) };
        let cells = [forms.join(" "), value, word.meaning.to_owned(), format!("`{}`", word.example)];
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        writeln!(page, "| {} |", cells.join(" | ")).expect("a string takes everything");
    }
}

#[test]
fn the_page_lists_every_word() {
    let mut page = HEAD.to_owned();
    page.push_str("\n## Joining conditions\n\nFrom the one that binds most; `wharf list not tcp listening` is `( not tcp ) and listening`.\n");
    table(&mut page, JOINING);
    for (group, words) in CONDITIONS {
        write!(page, "\n## {group}\n").expect("a string takes everything");
        table(&mut page, words);
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/selectors.md");
    if std::env::var_os("SNAPSHOTS").is_some_and(|value| value == "overwrite") {
        std::fs::write(path, &page).expect("the page can be written");
    }
    let there = std::fs::read_to_string(path).expect("the page is there");
    assert!(
        there == page,
        "docs/selectors.md is not what the words are (SNAPSHOTS=overwrite writes it anew)"
    );
}
