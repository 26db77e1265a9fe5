//! IANA's XML: `<record date= updated=>` with an element for each column, in `<registry>` with its date.

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::file::{Row, Wrong, squeezed};

/// What is being read.
#[derive(Debug, Default)]
struct State {
    /// The elements that are open.
    path: Vec<String>,
    row: Option<Row>,
    references: Vec<String>,
    text: String,
    date: Option<String>,
    rows: Vec<Row>,
    is_registry: bool,
}

/// Reads the date and every record.
pub(super) fn parse(bytes: &[u8]) -> Result<(Option<String>, Vec<Row>), Wrong> {
    let mut reader = Reader::from_reader(bytes);
    let mut state = State::default();
    loop {
        let event = reader.read_event();
        let line = || {
            let at = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX).min(bytes.len());
            1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count() as u64
        };
        let done = match event {
            Ok(Event::Eof) if state.path.is_empty() => break,
            Ok(Event::Eof) => Err(format!("the file ends inside of <{}>", state.path.join("><"))),
            Ok(Event::Start(element)) => state.open(&element),
            Ok(Event::Empty(element)) => state.open(&element).map(|()| state.close()),
            Ok(Event::End(_)) => {
                state.close();
                Ok(())
            }
            Ok(Event::Text(text)) => text.decode().map(|text| state.text.push_str(&text)).map_err(said),
            Ok(Event::CData(text)) => text.decode().map(|text| state.text.push_str(&text)).map_err(said),
            Ok(Event::GeneralRef(entity)) => state.entity(&entity),
            Ok(_) => Ok(()),
            Err(error) => Err(said(error)),
        };
        done.map_err(|why| Wrong::At(line(), format!("not XML: {why}")))?;
    }
    if !state.is_registry {
        return Err(Wrong::Whole("it has no <registry>".into()));
    }
    Ok((state.date, state.rows))
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl State {
    fn open(&mut self, element: &BytesStart<'_>) -> Result<(), String> {
        let name = String::from_utf8_lossy(element.local_name().as_ref()).into_owned();
        let attribute = |name: &str| -> Result<String, String> {
            let found = element.try_get_attribute(name).map_err(said)?;
            found.map_or(Ok(String::new()), |it| it.unescape_value().map(|it| it.into_owned()).map_err(said))
        };
        match name.as_str() {
            "registry" => self.is_registry = true,
            "record" => {
                let row =
                    Row { registered: attribute("date")?, modified: attribute("updated")?, ..Row::default() };
                self.row = Some(row);
                self.references.clear();
            }
            // Those of the record itself, not those in its notes.
            "xref" if self.path.last().is_some_and(|outer| outer == "record") => {
                if matches!(attribute("type")?.as_str(), "rfc" | "draft") {
                    self.references.push(attribute("data")?);
                }
            }
            "xref" => {}
            _ => self.text.clear(),
        }
        self.path.push(name);
        Ok(())
    }

    fn close(&mut self) {
        let Some(name) = self.path.pop() else { return };
        let is_of_record = self.path.last().is_some_and(|outer| outer == "record");
        match (name.as_str(), &mut self.row) {
            ("record", _) => {
                if let Some(row) = self.row.take() {
                    self.rows.push(Row { references: self.references.join(","), ..row });
                }
            }
            ("updated", None) if self.date.is_none() => self.date = Some(squeezed(&self.text)),
            (name, Some(row)) if is_of_record => {
                let text = squeezed(&self.text);
                match name {
                    "name" => row.name = text,
                    "protocol" => row.protocol = text.to_ascii_lowercase(),
                    "number" => row.number = text,
                    "description" => row.description = text,
                    "sc" => row.service_code = text,
                    "note" => row.note = text,
                    "unauthorized" => row.is_used_unauthorized = !text.is_empty(),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    /// `&amp;`, `&#38;`.
    fn entity(&mut self, entity: &BytesRef<'_>) -> Result<(), String> {
        if let Some(letter) = entity.resolve_char_ref().map_err(said)? {
            self.text.push(letter);
            return Ok(());
        }
        let name = entity.decode().map_err(said)?;
        let text = quick_xml::escape::resolve_predefined_entity(&name);
        self.text.push_str(text.ok_or_else(|| format!("unknown entity &{name};"))?);
        Ok(())
    }
}
