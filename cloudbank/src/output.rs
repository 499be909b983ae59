//! What the user sees: results on standard output, everything else on standard error.

use std::fmt::Display;
use std::io::{BufWriter, ErrorKind, IsTerminal, Stdout, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use crate::error::{Error, Result};

const BUFFER_BYTES: usize = 64 << 10;

/// Where a command writes.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    out: Mutex<BufWriter<Stdout>>,
}

impl Output {
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        let out = BufWriter::with_capacity(BUFFER_BYTES, std::io::stdout());
        Self { json, quiet, out: Mutex::new(out) }
    }

    /// Writes a line of the result.
    pub(crate) fn line(&self, line: impl Display) -> Result<()> {
        self.write(|out| writeln!(out, "{line}"))
    }

    /// Writes a result as one line of JSON.
    pub(crate) fn json(&self, value: &Value) -> Result<()> {
        self.line(value)
    }

    /// Writes the result as words, or as JSON if that was asked for. Words that only confirm what was asked
    /// for are left out when it should be quiet.
    pub(crate) fn done(&self, words: impl Display, value: &Value) -> Result<()> {
        match (self.json, self.quiet) {
            (true, _) => self.json(value),
            (false, true) => Ok(()),
            (false, false) => self.line(words),
        }
    }

    /// Writes bytes of the result as they are.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<()> {
        self.write(|out| out.write_all(bytes))
    }

    /// Passes on what has been written so far.
    pub(crate) fn flush(&self) -> Result<()> {
        self.write(Write::flush)
    }

    fn write(
        &self,
        write: impl FnOnce(&mut BufWriter<Stdout>) -> std::io::Result<()>,
    ) -> Result<()> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        write(&mut out).map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Error::OutputClosed,
            _ => Error::File { what: "standard output".into(), error },
        })
    }

    /// Tells the user something that is not the result.
    pub(crate) fn note(&self, words: impl Display) {
        if !self.quiet {
            Self::remark(words);
        }
    }

    /// As [`note`](Self::note), from where there is no output at hand that could be quiet.
    pub(crate) fn remark(words: impl Display) {
        // Nobody is left to tell when standard error is gone.
        let _ = writeln!(std::io::stderr(), "{words}");
    }

    /// Tells of a failure among others, as JSON if that was asked for.
    pub(crate) fn failure(&self, error: &Error) {
        let mut stderr = std::io::stderr();
        let _ = match self.json {
            true => writeln!(stderr, "{}", error.json()),
            false => writeln!(stderr, "{error}"),
        };
    }

    /// Whether progress is to be shown: only ever to a terminal.
    pub(crate) fn shows_progress(&self) -> bool {
        !self.quiet && std::io::stderr().is_terminal()
    }

    /// A bar on standard error, or nothing if that is no terminal.
    pub(crate) fn progress(&self, total: Option<u64>, template: &str) -> ProgressBar {
        let target = match self.shows_progress() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(total, target);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }
}

/// Rows under headings, each column as wide as its widest cell.
#[derive(Debug, Default)]
pub(crate) struct Grid {
    rows: Vec<Vec<String>>,
    right: Vec<usize>,
}

impl Grid {
    /// A table with these headings; the columns in `right` are aligned there.
    pub(crate) fn new(headings: &[&str], right: &[usize]) -> Self {
        let headings = headings.iter().map(ToString::to_string).collect();
        Self { rows: vec![headings], right: right.to_vec() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The lines of the table.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> + '_ {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<_> = (0..columns)
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        self.rows.iter().map(move |row| {
            let cells = row.iter().enumerate().map(|(column, cell)| {
                let width = widths[column];
                match self.right.contains(&column) {
                    true => format!("{cell:>width$}"),
                    false => format!("{cell:<width$}"),
                }
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
    }
}

/// Asks a question on the terminal. `None` if there is nobody to ask.
pub(crate) fn confirm(question: &str) -> Option<bool> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return None;
    }
    let _ = write!(std::io::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).ok()?;
    Some(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// How many of something, with the right ending: `1 object`, `1,234 objects`.
pub(crate) fn count(number: u64, thing: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {thing}{ending}", grouped(number))
}

/// A number as it is read: `1,234`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
