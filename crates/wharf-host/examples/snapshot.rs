//! Takes a snapshot and says how long that took.

use std::time::Instant;

use wharf_host::snapshot::{Ask, Details, Networks, Owners, take};

fn main() {
    let has = |word: &str| std::env::args().any(|argument| argument == word);
    let ask = Ask {
        networks: if has("all") { Networks::All } else { Networks::Here },
        owners: if has("unowned") { Owners::Unasked } else { Owners::Asked },
        details: if has("details") { Details::Asked } else { Details::Unasked },
        ..Ask::default()
    };
    let before = Instant::now();
    let rows = match take(&ask) {
        Ok(rows) => rows,
        Err(error) => return eprintln!("{error}"),
    };
    let took = before.elapsed();
    if has("rows") {
        for row in &rows.rows {
            println!("{row:?}");
            rows.owners(row).for_each(|owner| println!("    {owner:?}"));
        }
        println!("{:?} {:?} {:?}", rows.networks, rows.groups, rows.hidden);
    }
    println!("{} rows, {} processes, {took:?}", rows.rows.len(), rows.processes.len());
}
