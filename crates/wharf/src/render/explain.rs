//! An explanation: the verdict in one sentence, the steps, and what would make it work.

use std::io::{self, Write};

use serde_json::json;
use wharf_host::why::{Explanation, Step, Verdict};

use super::screen::{Colour, Screen, Tone};
use super::text::push_safe;

/// Letters that the name of a step takes.
const STEP_WIDTH: usize = 9;

/// Writes it for people.
///
/// # Errors
/// The writer's.
pub(crate) fn write(out: &mut impl Write, screen: Screen, explanation: &Explanation) -> io::Result<()> {
    let tone = match explanation.verdict {
        Verdict::Reachable => Tone::Good,
        Verdict::Unreachable | Verdict::Denied => Tone::Bad,
        Verdict::Unknown => Tone::Notable,
    };
    writeln!(out, "{}\n", toned(screen, tone, &sentence(&explanation.sentence)))?;
    for step in &explanation.steps {
        write_step(out, screen, step)?;
    }
    match (&explanation.remedy, &explanation.instead) {
        (Some(remedy), _) => {
            writeln!(out, "\nThis makes it work:\n  {}", toned(screen, Tone::Head, &safe(remedy)))
        }
        (None, Some(instead)) => {
            writeln!(out, "\nThis works instead: {}", toned(screen, Tone::Head, &safe(instead)))
        }
        (None, None) => Ok(()),
    }
}

/// A step: its mark, its name, what was asked and what answered; the answer below where a line is too short.
fn write_step(out: &mut impl Write, screen: Screen, step: &Step) -> io::Result<()> {
    let (mark, tone) = match step.ok {
        Some(true) => ("ok", Tone::Good),
        Some(false) => ("NO", Tone::Bad),
        None => ("?", Tone::Notable),
    };
    let (asked, found) = (safe(&step.asked), safe(&step.found));
    let mark = toned(screen, tone, &format!("{mark:<2}"));
    let one_line = STEP_WIDTH + 8 + asked.chars().count() + found.chars().count();
    if screen.width.is_some_and(|width| one_line > width) {
        writeln!(
            out,
            "{mark} {:<STEP_WIDTH$} {asked}\n{:indent$}{found}",
            step.step,
            "",
            indent = STEP_WIDTH + 6
        )
    } else {
        writeln!(out, "{mark} {:<STEP_WIDTH$} {asked}: {found}", step.step)
    }
}

/// It ends with one full stop.
fn sentence(text: &str) -> String {
    format!("{}.", safe(text).trim_end_matches('.'))
}

fn safe(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    push_safe(&mut plain, text);
    plain
}

fn toned(screen: Screen, tone: Tone, text: &str) -> String {
    match screen.colour {
        Colour::On => format!("{}{text}{}", tone.start(), tone.end()),
        Colour::Off => text.to_owned(),
    }
}

/// Writes it for programs.
///
/// # Errors
/// The writer's.
pub(crate) fn write_json(out: &mut impl Write, explanation: &Explanation) -> io::Result<()> {
    let step = |step: &Step| {
        json!({
            "step": step.step,
            "asked": step.asked,
            "found": step.found,
            "ok": step.ok,
            "network": step.network,
        })
    };
    let document = json!({
        "verdict": explanation.verdict.name(),
        "sentence": explanation.sentence,
        "steps": explanation.steps.iter().map(step).collect::<Vec<_>>(),
        "remedy": explanation.remedy,
        "instead": explanation.instead,
    });
    serde_json::to_writer(&mut *out, &document)?;
    writeln!(out)
}
