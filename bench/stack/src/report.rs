//! The figures as a table of text and as JSON.

use serde_json::{Value, json};

/// Which of two figures is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// The larger one.
    More,
    /// The smaller one.
    Less,
}

/// What is measured in one section, and in what.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// What `--only` calls it.
    pub name: &'static str,
    /// The heading.
    pub title: &'static str,
    /// The unit of its figures.
    pub unit: &'static str,
    /// Which figures are good.
    pub better: Better,
}

/// One figure of each stack.
#[derive(Clone, Debug)]
struct Cell {
    section: Section,
    case: String,
    wharf: f64,
    smoltcp: Option<f64>,
}

impl Cell {
    /// How many times wharf is ahead.
    fn ratio(&self) -> Option<f64> {
        let smoltcp = self.smoltcp?;
        Some(match self.section.better {
            Better::More => self.wharf / smoltcp,
            Better::Less => smoltcp / self.wharf,
        })
    }
}

/// Every figure so far. Each is printed when it is known.
#[derive(Debug, Default)]
pub struct Report {
    cells: Vec<Cell>,
}

impl Report {
    /// Prints the heading of a section.
    pub fn begin(&self, section: Section) {
        println!("\n{} [{}]", section.title, section.unit);
        println!("{:44}{:>14}{:>14}{:>10}", "", "wharf", "smoltcp", "ahead");
    }

    /// Takes and prints a figure of each stack.
    pub fn pair(&mut self, section: Section, case: impl Into<String>, wharf: f64, smoltcp: f64) {
        self.take(Cell { section, case: case.into(), wharf, smoltcp: Some(smoltcp) });
    }

    /// Takes and prints a figure that only wharf has.
    pub fn alone(&mut self, section: Section, case: impl Into<String>, wharf: f64) {
        self.take(Cell { section, case: case.into(), wharf, smoltcp: None });
    }

    /// The figure of wharf with this name.
    pub fn wharf(&self, section: Section, case: &str) -> Option<f64> {
        let cell = self.cells.iter().find(|cell| cell.section.name == section.name && cell.case == case);
        cell.map(|cell| cell.wharf)
    }

    /// Prints in how many cells wharf is ahead, and where it is not.
    pub fn conclude(&self) {
        let compared: Vec<(&Cell, f64)> =
            self.cells.iter().filter_map(|cell| Some((cell, cell.ratio()?))).collect();
        let behind: Vec<_> = compared.iter().filter(|(_, ratio)| *ratio <= 1.0).collect();
        println!("\nahead in {} of {} cells", compared.len() - behind.len(), compared.len());
        for (cell, ratio) in behind {
            println!("  not in \"{}: {}\": {ratio:.2} times", cell.section.title, cell.case);
        }
    }

    /// The whole as JSON.
    pub fn json(&self, settings: Value) -> Value {
        let cell = |cell: &Cell| {
            json!({
                "section": cell.section.name,
                "case": cell.case,
                "unit": cell.section.unit,
                "better": if cell.section.better == Better::More { "more" } else { "less" },
                "wharf": cell.wharf,
                "smoltcp": cell.smoltcp,
                "ahead": cell.ratio(),
            })
        };
        json!({ "settings": settings, "cells": self.cells.iter().map(cell).collect::<Vec<_>>() })
    }

    fn take(&mut self, cell: Cell) {
        let smoltcp = cell.smoltcp.map_or("-".to_owned(), figure);
        let ratio = cell.ratio().map_or("-".to_owned(), |ratio| format!("{ratio:.2}x"));
        let mark = if cell.ratio().is_some_and(|ratio| ratio <= 1.0) { "  <--" } else { "" };
        println!("  {:42}{:>14}{smoltcp:>14}{ratio:>10}{mark}", cell.case, figure(cell.wharf));
        self.cells.push(cell);
    }
}

/// A figure with as many places as it needs.
fn figure(value: f64) -> String {
    let places = match value.abs() {
        size if size >= 1_000.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.places$}");
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), ""), |(whole, rest)| (whole, rest));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && digit.is_ascii_digit() && (whole.len() - index).is_multiple_of(3) && grouped != "-" {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if fraction.is_empty() { grouped } else { format!("{grouped}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_grouped() {
        assert_eq!(figure(1_234_567.8), "1,234,568");
        assert_eq!(figure(999.96), "1,000.0");
        assert_eq!(figure(-123.0), "-123.0");
        assert_eq!(figure(0.5), "0.50");
    }
}
