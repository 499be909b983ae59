//! `--report FORMAT=FILE`: the reports for other programs and for documents.

use std::path::{Path, PathBuf};

use conformance::Report;

use crate::config::closest;
use crate::error::{Error, Result};

const FORMATS: [&str; 3] = ["json", "junit", "markdown"];

/// Which reports are wanted, and where.
#[derive(Debug)]
pub(super) struct Wanted(Vec<(Format, PathBuf)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Junit,
    Markdown,
}

impl Wanted {
    pub(super) fn parse(words: &[String]) -> Result<Self> {
        let wanted = words.iter().map(|word| {
            let (format, file) = match word.split_once('=') {
                Some((format, file)) if !file.is_empty() => (format, file),
                _ => return Err(unclear(word, None)),
            };
            let format = match format {
                "json" => Format::Json,
                "junit" => Format::Junit,
                "markdown" => Format::Markdown,
                other => return Err(unclear(word, closest(other, FORMATS))),
            };
            Ok((format, PathBuf::from(file)))
        });
        Ok(Self(wanted.collect::<Result<_>>()?))
    }

    /// Finds out whether the files can be written before a run that may take long.
    pub(super) fn check(&self) -> Result<()> {
        for (_, path) in &self.0 {
            let open = std::fs::OpenOptions::new().append(true).create(true).open(path);
            open.map_err(Error::file(format!("write {}", path.display())))?;
        }
        Ok(())
    }

    pub(super) fn write(&self, report: &Report) -> Result<()> {
        for (format, path) in &self.0 {
            let text = match format {
                Format::Json => report.to_json(),
                Format::Junit => report.to_junit(),
                Format::Markdown => {
                    format!("{}{}", Report::markdown_header(), report.to_markdown_row())
                }
            };
            write(path, &text)?;
        }
        Ok(())
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(Error::file(format!("write {}", path.display())))
}

fn unclear(word: &str, near: Option<&str>) -> Error {
    let mut message = format!("`{word}` does not say which report goes where");
    message += "\n  = expected json=FILE, junit=FILE or markdown=FILE";
    if let Some(near) = near {
        message += &format!("\n  = did you mean `{near}`?");
    }
    Error::Usage(message)
}
