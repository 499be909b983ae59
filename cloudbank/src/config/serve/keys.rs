//! Access keys as they are written: `[[s3.keys]]` in the configuration, `[[keys]]` in a file of their own.

use std::collections::BTreeSet;
use std::path::Path;

use storage_core::Secret;

use crate::config::document::{self, Entry, Value};
use crate::config::problem::{Problem, Problems};
use crate::config::reference::Variables;
use crate::config::section::Section;
use crate::config::source::Source;
use crate::error::{Error, Result};

/// The most bytes a file of keys has: some thousands of them.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// How many characters an access key has at least and at most, as S3 has it.
const ACCESS_KEY_CHARACTERS: std::ops::RangeInclusive<usize> = 3..=128;
/// How many a secret has at least: fewer can be guessed.
const SECRET_CHARACTERS_MIN: usize = 8;

/// An access key, whose it is, and what may be done with it.
#[derive(Debug, Clone)]
pub(crate) struct KeyEntry {
    pub(crate) access_key: String,
    pub(crate) secret_key: Secret,
    pub(crate) user: String,
    pub(crate) display_name: Option<String>,
    pub(crate) email: Option<String>,
    /// Patterns of buckets, and what may be done there.
    pub(crate) rights: Vec<(String, Level)>,
}

/// What may be done in a bucket. Each includes those before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Read,
    Write,
    Admin,
}

/// The keys of a list of tables; what is wrong with them is noted.
pub(super) fn read_keys(
    written: &str,
    list: Option<&Entry>,
    source: &Source,
    variables: &Variables,
    problems: &mut Vec<Problem>,
) -> Vec<KeyEntry> {
    let Some(list) = list else { return Vec::new() };
    let wrong = |entry: &Entry| {
        Problem::error(format!("`keys` is {}", entry.value.kind()))
            .at(entry.name_span.clone())
            .expected(format!("tables that begin with {written}"))
            .hidden(true)
    };
    let Value::List(items) = &list.value else {
        problems.push(wrong(list));
        return Vec::new();
    };
    let mut keys = Vec::new();
    let mut names = BTreeSet::new();
    for item in items {
        let Value::Table(table) = &item.value else {
            problems.push(wrong(item));
            continue;
        };
        let mut section = Section::of_table(written, item.span.clone(), table, source, variables);
        let key = read_key(&mut section);
        if !key.access_key.is_empty() && !names.insert(key.access_key.clone()) {
            let message = format!("the access key `{}` is there twice", key.access_key);
            section.problem("access_key", Problem::error(message).help("remove one of the two"));
        }
        problems.extend(section.finish().problems);
        keys.push(key);
    }
    keys
}

fn read_key(section: &mut Section<'_>) -> KeyEntry {
    let access_key = section.text("access_key").required();
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let good = access_key.chars().all(plain)
        && ACCESS_KEY_CHARACTERS.contains(&access_key.chars().count());
    // One that is missing was told already.
    if !good && !access_key.is_empty() {
        let problem = Problem::error("`access_key` is none")
            .expected("3 to 128 letters, digits, `-`, `_` and `.`")
            .hidden(true);
        section.problem("access_key", problem);
    }
    let secret_key = section.secret("secret_key").required();
    let short = secret_key.reveal().chars().count() < SECRET_CHARACTERS_MIN;
    if short && !secret_key.reveal().is_empty() {
        let problem = Problem::error("`secret_key` can be guessed")
            .expected(format!("at least {SECRET_CHARACTERS_MIN} characters"))
            .hidden(true);
        section.problem("secret_key", problem);
    }
    let user = section.text("user").optional().unwrap_or_else(|| access_key.clone());
    let display_name = section.text("display_name").optional();
    let email = section.text("email").optional();
    let mut rights = Vec::new();
    for (name, level) in [("read", Level::Read), ("write", Level::Write), ("admin", Level::Admin)] {
        for pattern in section.one_or_more(name).optional().unwrap_or_default() {
            rights.push((pattern, level));
        }
    }
    KeyEntry { access_key, secret_key, user, display_name, email, rights }
}

/// The keys of a file, and what should not stay as it is with them.
///
/// # Errors
///
/// [`Error::File`] when it cannot be read, [`Error::Config`] when there is something wrong with what is in it.
pub(crate) fn read_keys_file(
    path: &Path,
    variables: &Variables,
) -> Result<(Vec<KeyEntry>, Problems)> {
    let shown = format!("read the access keys in {}", path.display());
    let about = std::fs::metadata(path).map_err(Error::file(shown.clone()))?;
    if about.len() > FILE_BYTES_MAX {
        return Err(Error::Usage(format!(
            "{} has more than {FILE_BYTES_MAX} bytes, too many for access keys",
            path.display()
        )));
    }
    let text = std::fs::read_to_string(path).map_err(Error::file(shown))?;
    let source = Source::file(path, text);
    let wrong = |problems| Error::Config(Box::new(Problems::new(&source, problems)));
    let table = document::parse(&source).map_err(wrong)?;
    let mut problems = Vec::new();
    for (name, entry) in &table {
        if name != "keys" {
            problems.push(
                Problem::error(format!("there is no `{name}` in a file of access keys"))
                    .at(entry.name_span.clone())
                    .expected("tables that begin with [[keys]]")
                    .hidden(true),
            );
        }
    }
    let keys = read_keys("[[keys]]", table.get("keys"), &source, variables, &mut problems);
    if others_can_read(&about) {
        let message = format!("others on this machine can read the secrets in {}", path.display());
        problems.push(Problem::warning(message).help(format!("chmod 600 {}", path.display())));
    }
    let problems = Problems::new(&source, problems);
    match problems.errors() {
        0 => Ok((keys, problems)),
        _ => Err(Error::Config(Box::new(problems))),
    }
}

#[cfg(unix)]
fn others_can_read(about: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    about.permissions().mode() & 0o044 != 0
}

#[cfg(not(unix))]
fn others_can_read(_: &std::fs::Metadata) -> bool {
    false
}
