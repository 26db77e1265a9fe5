//! Rows as CSV (RFC 4180): a line of names, then a line for each row, numbers without units.

use std::io::{self, Write};

use wharf_table::rows::Row;

use super::View;
use super::column::{Column, Form};

/// Writes rows as CSV.
///
/// # Errors
/// The writer's.
pub(crate) fn write<'a>(
    out: &mut impl Write,
    view: View<'a>,
    columns: &[Column],
    rows: impl Iterator<Item = &'a Row>,
) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(columns.iter().map(|column| column.name())).map_err(io_error)?;
    let mut cell = String::new();
    for row in rows {
        for column in columns {
            cell.clear();
            column.write(Form::Data, &view, row, &mut cell);
            csv.write_field(&cell).map_err(io_error)?;
        }
        csv.write_record(None::<&[u8]>).map_err(io_error)?;
    }
    csv.flush()
}

/// Nothing but writing can fail here: all lines have the same number of fields.
fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        kind => io::Error::other(format!("{kind:?}")),
    }
}
