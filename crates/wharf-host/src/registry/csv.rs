//! IANA's CSV (RFC 4180): one record a line, its columns by the names in the first.

use super::file::{Row, Wrong, squeezed};

/// Reads every record.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Row>, Wrong> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let wrong = |error: csv::Error| {
        let line = error.position().map_or(1, csv::Position::line);
        Wrong::At(line, format!("not CSV: {error}"))
    };
    let head = reader.headers().map_err(wrong)?.clone();
    let column = |name: &str| head.iter().position(|it| it.trim().eq_ignore_ascii_case(name));
    let needed = |name: &str| {
        column(name).ok_or_else(|| Wrong::Whole(format!("its first line has no column \"{name}\"")))
    };
    let (name, number, protocol) =
        (needed("Service Name")?, needed("Port Number")?, needed("Transport Protocol")?);
    let description = needed("Description")?;
    let [registered, modified, reference, code, note] =
        ["Registration Date", "Modification Date", "Reference", "Service Code", "Assignment Notes"]
            .map(column);
    let unauthorized = column("Unauthorized Use Reported").or_else(|| column("Known Unauthorized Uses"));
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(wrong)?;
        let cell = |at: usize| squeezed(record.get(at).unwrap_or_default());
        let optional = |at: Option<usize>| at.map(cell).unwrap_or_default();
        let row = Row {
            protocol: cell(protocol).to_ascii_lowercase(),
            number: cell(number),
            name: cell(name),
            description: cell(description),
            service_code: optional(code),
            references: references(&optional(reference)),
            registered: optional(registered),
            modified: optional(modified),
            is_used_unauthorized: !optional(unauthorized).is_empty(),
            note: optional(note),
        };
        // A line without a comma is text, not a record.
        if record.len() > 1 {
            rows.push(row);
        }
    }
    Ok(rows)
}

/// `[RFC9110][RFC8441]` as `rfc9110,rfc8441`.
fn references(text: &str) -> String {
    let parts = text.split(['[', ']', ',']).map(str::trim).filter(|part| !part.is_empty());
    let each = parts.map(|part| {
        let digits =
            part.strip_prefix("RFC").filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        digits.map_or_else(|| part.to_owned(), |digits| format!("rfc{digits}"))
    });
    each.collect::<Vec<_>>().join(",")
}
