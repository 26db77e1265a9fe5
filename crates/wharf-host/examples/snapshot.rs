//! Takes a snapshot and says how long that took.

use std::time::Instant;

use wharf_host::snapshot::{Ask, Details, Networks, Owners, take};

fn main() {
    let has = |word: &str| std::env::args().any(|argument| argument == word);
    if let Some(port) = std::env::args().nth(2).filter(|_| has("who")) {
        return who(&port);
    }
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

fn who(port: &str) {
    use wharf_host::snapshot::{Narrow, Search, find_owners};
    use wharf_table::notation::Ports;
    let port = port.parse().unwrap_or_default();
    let narrow = Narrow { local_ports: Ports::single(port), ..Narrow::default() };
    let before = Instant::now();
    let mut rows = take(&Ask { owners: Owners::Unasked, narrow, ..Ask::default() }).unwrap_or_default();
    let listed = before.elapsed();
    let search = if std::env::args().any(|word| word == "everywhere") { Search::All } else { Search::Kin };
    let searched = find_owners(&mut rows, search);
    println!("{} rows in {listed:?}, then {searched:?} in {:?}", rows.rows.len(), before.elapsed() - listed);
    for row in rows.rows.iter().take(3) {
        println!("{:?} {:?}", row.state, rows.owners(row).collect::<Vec<_>>());
    }
}
