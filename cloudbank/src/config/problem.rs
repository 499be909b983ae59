//! What is wrong with a configuration, told so that it can be fixed without looking anything up.

use std::fmt;
use std::ops::Range;

use serde_json::{Value, json};

use super::source::Source;

/// How wide an explanation may be before it goes on in the next line.
const SCREEN_COLUMNS: usize = 100;

/// One thing wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether it can be lived with.
    pub severity: Severity,
    /// What is wrong, naming the setting.
    pub message: String,
    /// Where, in bytes of the text.
    pub at: Option<Range<usize>>,
    /// What was expected instead.
    pub expected: Option<String>,
    /// What to do.
    pub help: Option<String>,
    /// Whether the value on that line is not to be shown.
    pub(crate) hide: bool,
}

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can, but should not stay so.
    Warning,
}

impl Severity {
    fn label(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl Problem {
    /// An error.
    pub fn error(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            at: None,
            expected: None,
            help: None,
            hide: false,
        }
    }

    /// A warning.
    pub fn warning(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message) }
    }

    /// Says where.
    #[must_use]
    pub fn at(mut self, span: Range<usize>) -> Self {
        self.at = Some(span);
        self
    }

    /// Says what was expected.
    #[must_use]
    pub fn expected(mut self, text: impl Into<String>) -> Self {
        self.expected = Some(text.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// Suggests the candidate that is spelled most like `word`, if any is.
    #[must_use]
    pub fn suggest<'a>(self, word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        match closest(word, candidates) {
            Some(found) => self.help(format!("did you mean `{found}`?")),
            None => self,
        }
    }

    /// Keeps the value on the line from being shown.
    pub(crate) fn hidden(mut self, hide: bool) -> Self {
        self.hide = hide;
        self
    }

    /// Writes the problem with the line it is on, in the manner of compilers.
    fn render(&self, f: &mut fmt::Formatter<'_>, source: &Source) -> fmt::Result {
        write!(f, "{}: {}", self.severity.label(), self.message)?;
        let mut margin = 1;
        match &self.at {
            Some(span) => {
                let position = source.position(span.start);
                let number = position.line.to_string();
                margin = number.len();
                let (line, marked) = source.excerpt(span, self.hide);
                write!(
                    f,
                    "\n{:margin$}--> {}:{}:{}\n{:margin$} |\n{number} | {line}\n{:margin$} | {}{}",
                    "",
                    source.name,
                    position.line,
                    position.column,
                    "",
                    "",
                    " ".repeat(marked.start),
                    "^".repeat(marked.len()),
                )?;
            }
            None => write!(f, "\n{:margin$}--> {}", "", source.name)?,
        }
        if let Some(expected) = &self.expected {
            write!(f, "\n{:margin$} = expected ", "")?;
            let indent = margin + " = ".len();
            let mut column = indent + "expected ".len();
            for (at, word) in expected.split(' ').enumerate() {
                let width = word.chars().count() + 1;
                if column + width > SCREEN_COLUMNS && at > 0 {
                    write!(f, "\n{:indent$}", "")?;
                    column = indent;
                } else if at > 0 {
                    f.write_str(" ")?;
                }
                f.write_str(word)?;
                column += width;
            }
        }
        if let Some(help) = &self.help {
            write!(f, "\n{:margin$} = {help}", "")?;
        }
        Ok(())
    }

    fn json(&self, source: &Source) -> Value {
        let position = self.at.as_ref().map(|span| source.position(span.start));
        json!({
            "severity": self.severity.label(),
            "message": self.message,
            "file": source.name,
            "line": position.map(|position| position.line),
            "column": position.map(|position| position.column),
            "expected": self.expected,
            "help": self.help,
        })
    }
}

/// Everything wrong with a configuration, together with its text.
#[derive(Debug, Clone)]
pub struct Problems {
    /// The text the problems are in.
    pub source: Source,
    /// Each of them, in the order of the text.
    pub list: Vec<Problem>,
}

impl Problems {
    /// These problems, sorted by where they are.
    #[must_use]
    pub fn new(source: &Source, mut list: Vec<Problem>) -> Self {
        list.sort_by_key(|problem| problem.at.as_ref().map(|span| span.start));
        Self { source: source.clone(), list }
    }

    /// How many of them are errors.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.list.iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    /// The problems as data.
    #[must_use]
    pub fn json(&self) -> Value {
        self.list.iter().map(|problem| problem.json(&self.source)).collect()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.list.iter().enumerate() {
            if at > 0 {
                f.write_str("\n\n")?;
            }
            problem.render(f, &self.source)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The candidate spelled most like `word`, if one is like enough to be meant.
#[must_use]
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase().replace('-', "_");
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    let contains = |candidate: &str| {
        word.len() >= 3
            && candidate.len() >= 3
            && (candidate.contains(&word) || word.contains(candidate))
    };
    // `enpoint_url` is a misspelled `endpoint` with something after it.
    let begins = |candidate: &str| {
        let beginning: String = word.chars().take(candidate.chars().count()).collect();
        (candidate.len() >= 5).then(|| strsim::damerau_levenshtein(&beginning, candidate) <= 2)
    };
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance <= allowed || contains(candidate) || begins(candidate) == Some(true)
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// Words as a sentence has them: `a, b or c`.
pub(crate) fn alternatives<S: AsRef<str>>(words: &[S]) -> String {
    match words {
        [] => "nothing".into(),
        [only] => only.as_ref().into(),
        [first @ .., last] => {
            let first: Vec<_> = first.iter().map(AsRef::as_ref).collect();
            format!("{} or {}", first.join(", "), last.as_ref())
        }
    }
}
