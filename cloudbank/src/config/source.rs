//! The text of a configuration file, and how a line of it may be shown.

use std::ops::Range;
use std::path::{Path, PathBuf};

/// Words in the name of a setting whose value is not shown.
const SECRET_WORDS: [&str; 7] =
    ["key", "secret", "token", "password", "passwd", "credential", "sas"];

/// A configuration file as it was read.
#[derive(Debug, Clone)]
pub struct Source {
    /// What it is called in messages: its path as the user gave it.
    pub name: String,
    /// What relative paths in it are relative to.
    pub folder: PathBuf,
    /// The text.
    pub(crate) text: String,
    /// Whether there is a file at all, or this is what stands in for one.
    pub built_in: bool,
}

/// A place in a source, counted from one, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Source {
    /// The text of the file at `path`.
    #[must_use]
    pub fn file(path: &Path, text: String) -> Self {
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        Self { name: path.display().to_string(), folder, text, built_in: false }
    }

    /// A text that stands in for a file there is not.
    #[must_use]
    pub fn built_in(text: &str) -> Self {
        Self {
            name: "the built-in configuration".into(),
            folder: PathBuf::from("."),
            text: text.into(),
            built_in: true,
        }
    }

    /// Line and column of a byte.
    #[must_use]
    pub fn position(&self, at: usize) -> Position {
        let before = &self.text[..self.floor(at)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// The line that holds a byte, fit to be shown, and where in it the bytes of `span` are, in
    /// characters. With `hide`, or if the line sets something that looks like a secret, its value is
    /// `***`.
    pub(crate) fn excerpt(&self, span: &Range<usize>, hide: bool) -> (String, Range<usize>) {
        let start = self.floor(span.start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |at| start + at);
        let line = self.text[line_start..line_end].trim_end();
        let (shown, cut) = self.mask(line, line_start, hide);
        let count = |to: usize| {
            let to = self.floor(to.clamp(line_start, line_start + line.len()));
            self.text[line_start..to].chars().count()
        };
        let (mut from, mut to) = (count(start), count(span.end.max(start + 1)));
        if let Some(cut) = cut {
            let width = shown.chars().count();
            from = from.min(cut);
            to = if to > cut { width } else { to };
        }
        (shown, from..to.max(from + 1))
    }

    /// The line with what may be a secret taken out, and the character where that begins.
    fn mask(&self, line: &str, line_start: usize, hide: bool) -> (String, Option<usize>) {
        let opened_before = || {
            // The middle of a value of several lines: whose it is stands on the line that began it.
            let above = &self.text[..line_start];
            ["\"\"\"", "'''"].iter().any(|quotes| above.matches(quotes).count() % 2 == 1)
        };
        if opened_before() {
            return ("***".into(), Some(0));
        }
        for (at, _) in line.match_indices('=') {
            let name = line[..at].trim_end().trim_end_matches(['"', '\'']);
            let name_start = name.rfind(|c: char| !is_name(c)).map_or(0, |before| before + 1);
            let value = line[at + 1..].trim_start();
            if (hide || looks_secret(&name[name_start..])) && !is_reference(value) {
                let kept = format!("{} ", &line[..=at]);
                let cut = kept.chars().count();
                return (format!("{kept}***"), Some(cut));
            }
        }
        (line.to_owned(), None)
    }

    fn floor(&self, at: usize) -> usize {
        let at = at.min(self.text.len());
        (0..=at).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0)
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-')
}

/// Whether a setting of this name may hold a secret.
pub(crate) fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// Whether a value, quotes and all, only points at a secret.
fn is_reference(value: &str) -> bool {
    let Some(value) = value.strip_prefix(['"', '\'']) else { return false };
    let Some(end) = value.find(['"', '\'']) else { return false };
    let (value, rest) = (&value[..end], value[end + 1..].trim_start());
    let points = value.starts_with("file:")
        || value
            .strip_prefix("${")
            .and_then(|name| name.strip_suffix('}'))
            .is_some_and(|name| name.chars().all(is_name));
    points && (rest.is_empty() || rest.starts_with('#'))
}
