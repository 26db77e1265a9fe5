//! `wharf list`: the endpoints of this host, of other networks and of runs, and who holds them.

mod changes;
mod watch;

use std::io::{self, BufWriter, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use wharf_host::snapshot::{self, Ask, Details, Networks, Owners};
use wharf_table::rows::{Row, Rows};
use wharf_table::selector::Selector;

use super::note;
use super::read::{one, seconds};
use crate::args::ListArgs;
use crate::exit::{self, Failure};
use crate::render::column::{Column, Direction, usual_order};
use crate::render::page::{Below, Columns, Item, Mark, NetworkColumn, Page};
use crate::render::screen::{Fitting, Screen};
use crate::render::{Registered, View, csv, json};
use crate::services::LocalServices;

/// What was typed, read.
struct Typed {
    selector: Selector,
    ask: Ask,
    sort: Vec<(Column, Direction)>,
    columns: Option<Vec<Column>>,
    form: Output,
    below: Below,
    screen: Screen,
}

/// What the list is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    Text,
    Json,
    Csv,
}

/// Lists: 0 however many there are.
///
/// # Errors
/// [`Failure`], 2: wrong usage, or the kernel does not list its sockets.
pub(crate) fn list(args: ListArgs) -> Result<ExitCode, Failure> {
    let interval = one("--watch", args.watch.as_deref(), seconds)?;
    let typed = read(args)?;
    match interval {
        Some(interval) => watch::watch(&typed, interval.max(Duration::from_millis(20))),
        None => once(&typed),
    }
}

/// Reads the text of every option.
fn read(args: ListArgs) -> Result<Typed, Failure> {
    let local = LocalServices::default();
    let services = |name: &str, protocol| local.port(name, protocol);
    let selector = Selector::parse_words(&args.selector, &services).map_err(Failure::usage)?;
    let sort = one("--sort", args.sort.as_deref(), sorting)?.unwrap_or_default();
    let columns = one("--columns", args.columns.as_deref(), |text| {
        text.split(',').map(Column::named).collect::<Result<Vec<_>, _>>()
    })?;
    let form = match (args.json, args.csv) {
        (true, _) => Output::Json,
        (_, true) => Output::Csv,
        _ => Output::Text,
    };
    let all_columns = form == Output::Json || form == Output::Csv && columns.is_none();
    let named = || columns.iter().flatten().chain(sort.iter().map(|(column, _)| column));
    let details = all_columns || args.verbose || named().any(|column| column.needs_details());
    let owners = all_columns
        || args.verbose
        || columns.is_none()
        || named().any(|column| column.needs_owners())
        || selector.asks_owners();
    let ask = Ask {
        networks: if args.r#in.is_empty() { Networks::All } else { Networks::Named(args.r#in) },
        owners: if owners && !args.no_owners { Owners::Asked } else { Owners::Unasked },
        details: if details { Details::Asked } else { Details::Unasked },
        narrow: selector.narrow(),
    };
    let fitting = if args.wide { Fitting::Whole } else { Fitting::Cut };
    Ok(Typed {
        selector,
        ask,
        sort,
        columns,
        form,
        below: if args.verbose { Below::Details } else { Below::Nothing },
        screen: Screen::of_stdout(args.color.unwrap_or_default(), fitting),
    })
}

/// `-age,local`.
fn sorting(text: &str) -> Result<Vec<(Column, Direction)>, String> {
    let field = |field: &str| match field.strip_prefix('-') {
        Some(name) => Ok((Column::named(name)?, Direction::Down)),
        None => Ok((Column::named(field)?, Direction::Up)),
    };
    text.split(',').map(field).collect()
}

/// Lists once.
fn once(typed: &Typed) -> Result<ExitCode, Failure> {
    let rows = snapshot::take(&typed.ask).map_err(Failure::usage)?;
    let services = Registered::default();
    let view = View { rows: &rows, services: &services };
    let chosen = choose(typed, view);
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let taken = write(typed, &mut out, view, &chosen).and_then(|taken| out.flush().map(|()| taken));
    drop(out);
    let hint = match taken {
        Ok(hint) => hint,
        Err(error) => return exit::written(Err(error)),
    };
    if typed.form == Output::Text && chosen.is_empty() {
        note("nothing is open that is meant");
    }
    hint.iter().for_each(|hint| note(hint));
    tell_hidden(&rows);
    Ok(ExitCode::SUCCESS)
}

/// Writes the list, and gives back what is to be said of what a narrow terminal took.
fn write(
    typed: &Typed,
    out: &mut impl io::Write,
    view: View<'_>,
    chosen: &[u32],
) -> io::Result<Option<String>> {
    let rows = chosen.iter().filter_map(|&place| view.rows.rows.get(place as usize));
    match typed.form {
        Output::Json => json::write_array(out, view, rows).map(|()| None),
        Output::Csv => {
            let all: Vec<Column> = Column::all().filter(|&column| column != Column::Owner).collect();
            csv::write(out, view, typed.columns.as_ref().unwrap_or(&all), rows).map(|()| None)
        }
        Output::Text => {
            let items = rows.map(|row| Item { view, row, mark: Mark::None });
            Ok(page(typed, view.rows).write(out, items)?.sentence("--wide"))
        }
    }
}

/// How the list looks.
fn page(typed: &Typed, rows: &Rows) -> Page {
    let columns = match &typed.columns {
        Some(columns) => Columns::These(columns.clone()),
        None if typed.sort.is_empty() && typed.screen.width.is_some() => Columns::Grouped,
        None => Columns::Usual,
    };
    // A network in which nothing is open needs no column to be told from.
    let first = rows.rows.first().map(|row| row.network);
    let is_one = rows.rows.iter().all(|row| Some(row.network) == first);
    let networks = if is_one { NetworkColumn::Absent } else { NetworkColumn::Present };
    Page { screen: typed.screen, columns, below: typed.below, networks }
}

/// The rows that are meant, by their places, in the order in which they are shown.
fn choose(typed: &Typed, view: View<'_>) -> Vec<u32> {
    let all = view.rows.rows.iter().zip(0..);
    let meant = all.filter(|(row, _)| typed.selector.matches(view.rows, row));
    let mut places: Vec<u32> = meant.map(|(_, place)| place).collect();
    let row = |place: &u32| -> &Row { &view.rows.rows[*place as usize] };
    if !typed.sort.is_empty() {
        places.sort_by_cached_key(|place| {
            let keys = typed.sort.iter().map(|(column, way)| column.directed(*way, &view, row(place)));
            keys.collect::<Vec<_>>()
        });
    } else if typed.form == Output::Text {
        // Programs sort for themselves.
        places.sort_by_key(|place| usual_order(row(place)));
    }
    places
}

/// Says on standard error what could not be looked at.
fn tell_hidden(rows: &Rows) {
    rows.hidden.iter().for_each(|what| note(&format!("not shown: {what}")));
}
