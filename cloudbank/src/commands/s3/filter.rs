//! Patterns: what of a folder is meant, and keys that stand for many.

use globset::{GlobBuilder, GlobMatcher};

use crate::cli::Filters;
use crate::error::{Error, Result};

/// What is taken and what is left out: of all patterns that fit, the last one decides.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    rules: Vec<(bool, GlobMatcher)>,
}

/// A key that stands for many.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    /// What all of them begin with.
    pub(super) prefix: String,
    /// The same up to its last slash: what comes after it is their name.
    pub(super) folder: String,
    matcher: GlobMatcher,
}

impl Filter {
    /// # Errors
    ///
    /// [`Error::Usage`] for a pattern that is none.
    pub(super) fn new(filters: &Filters) -> Result<Self> {
        let rules = filters.list.iter().map(|(takes, text)| Ok((*takes, matcher(text, false)?)));
        Ok(Self { rules: rules.collect::<Result<_>>()? })
    }

    /// Whether a name below the folder is meant.
    pub(super) fn takes(&self, name: &str) -> bool {
        // Who begins with what to take wants only that.
        let mut takes = self.rules.first().is_none_or(|(takes, _)| !takes);
        for (rule, matcher) in &self.rules {
            if matcher.is_match(name) {
                takes = *rule;
            }
        }
        takes
    }
}

impl Pattern {
    /// The pattern that a key is; `None` if it is just a key.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] for a pattern that is none.
    pub(super) fn of(key: &str, literal: bool) -> Result<Option<Self>> {
        let Some(start) = key.find(['*', '?', '[', '{']).filter(|_| !literal) else {
            return Ok(None);
        };
        let prefix = key[..start].to_owned();
        let folder = prefix[..prefix.rfind('/').map_or(0, |slash| slash + 1)].to_owned();
        Ok(Some(Self { prefix, folder, matcher: matcher(key, true)? }))
    }

    pub(super) fn matches(&self, key: &str) -> bool {
        self.matcher.is_match(key)
    }
}

/// `*` goes as far as the next slash in a key, and over all of them in a filter.
fn matcher(text: &str, slashes_count: bool) -> Result<GlobMatcher> {
    let glob = GlobBuilder::new(text)
        .literal_separator(slashes_count)
        .backslash_escape(true)
        .empty_alternates(true)
        .build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| {
        Error::Usage(format!(
            "`{}` is no pattern: {}\n  = --literal takes a key as it is",
            text.escape_debug(),
            error.kind()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_pattern_that_fits_decides() {
        let check = |rules: &[(bool, &str)], taken: &[&str], left: &[&str]| {
            let list = rules.iter().map(|(takes, text)| (*takes, (*text).to_owned())).collect();
            let filter = Filter::new(&Filters { list }).unwrap();
            taken.iter().for_each(|name| assert!(filter.takes(name), "{rules:?} {name}"));
            left.iter().for_each(|name| assert!(!filter.takes(name), "{rules:?} {name}"));
        };
        check(&[], &["a", "a/b"], &[]);
        check(&[(false, "*.tmp")], &["a", "a/tmp"], &["a.tmp", "a/b.tmp"]);
        check(&[(false, "*"), (true, "*.jpg")], &["a.jpg", "a/b.jpg"], &["a", "jpg"]);
        check(&[(true, "*.jpg")], &["a.jpg", "a/b.jpg"], &["a", "jpg"]);
        check(&[(true, "*.jpg"), (false, "a/*")], &["a.jpg", "b/b.jpg"], &["a/b.jpg", "c"]);
        check(&[(false, "a/*"), (true, "a/[bc]?")], &["a/b1", "a/c2", "x"], &["a/d1", "a/b"]);
        check(&[(false, "{a,b}/**")], &["c/x"], &["a/x", "b/x/y"]);
    }

    #[test]
    fn a_key_that_is_a_pattern_stands_for_those_of_its_folder() {
        let check = |key: &str, folder: &str, fits: &[&str], others: &[&str]| {
            let pattern = Pattern::of(key, false).unwrap().unwrap();
            assert_eq!(pattern.folder, folder);
            fits.iter().for_each(|name| assert!(pattern.matches(name), "{key} {name}"));
            others.iter().for_each(|name| assert!(!pattern.matches(name), "{key} {name}"));
        };
        check("*.gz", "", &["a.gz"], &["a/b.gz", "a"]);
        check("logs/2026-*/*.gz", "logs/", &["logs/2026-1/a.gz"], &["logs/2026-1/a/b.gz"]);
        check("logs/**/*.gz", "logs/", &["logs/a/b/c.gz", "logs/c.gz"], &["log/c.gz"]);
        check("a[0-9]", "", &["a1"], &["ab", "a/"]);
        assert!(Pattern::of("plain/key", false).unwrap().is_none());
        assert!(Pattern::of("a*", true).unwrap().is_none());
        assert!(Pattern::of("a[", false).unwrap_err().to_string().contains("--literal"));
    }
}
