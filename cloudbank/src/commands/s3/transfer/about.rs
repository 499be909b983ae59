//! What is kept with an object: what it is, and words of one's own.

use std::path::Path;

use crate::cli::AboutArgs;
use crate::commands::s3::access::canned;
use crate::error::{Error, Result};
use crate::s3::object::{About, Head, text};

/// What it is when nobody knows.
const UNKNOWN: &str = "application/octet-stream";
/// Headers that a copy in parts does not take along by itself.
const KEPT: [&str; 6] = [
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
];
const METADATA: &str = "x-amz-meta-";

/// What was said on the command line.
#[derive(Debug, Clone)]
pub(super) struct Given {
    /// What takes the place of what was known of a source.
    replaced: Vec<(String, String)>,
    /// What is said of the copy and never known of a source.
    besides: Vec<(String, String)>,
    guess: bool,
}

impl Given {
    /// # Errors
    ///
    /// [`Error::Usage`] for what cannot be sent.
    pub(super) fn new(arguments: &AboutArgs) -> Result<Self> {
        let mut replaced = Vec::new();
        for (option, header, value) in [
            ("--content-type", "content-type", &arguments.content_type),
            ("--cache-control", "cache-control", &arguments.cache_control),
            ("--content-disposition", "content-disposition", &arguments.content_disposition),
            ("--content-encoding", "content-encoding", &arguments.content_encoding),
            ("--content-language", "content-language", &arguments.content_language),
        ] {
            if let Some(value) = value {
                replaced.push((header.to_owned(), checked(option, value)?));
            }
        }
        for pair in &arguments.metadata {
            let (name, value) = pair.split_once('=').ok_or_else(|| {
                Error::Usage(format!(
                    "--metadata `{}` has no =\n  = expected NAME=VALUE",
                    pair.escape_debug()
                ))
            })?;
            let name = name.trim().to_ascii_lowercase();
            if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
                return Err(Error::Usage(format!(
                    "--metadata `{}`: a name has letters, digits and -",
                    pair.escape_debug()
                )));
            }
            replaced.push((format!("{METADATA}{name}"), checked("--metadata", value)?));
        }
        let mut besides = Vec::new();
        if let Some(acl) = &arguments.acl {
            besides.push(("x-amz-acl".to_owned(), canned(acl)?.to_owned()));
        }
        if let Some(class) = &arguments.storage_class {
            let class = checked("--storage-class", class)?;
            besides.push(("x-amz-storage-class".to_owned(), class));
        }
        if let Some(sse) = &arguments.sse {
            besides.push(("x-amz-server-side-encryption".to_owned(), checked("--sse", sse)?));
        }
        Ok(Self { replaced, besides, guess: !arguments.no_guess_type })
    }

    /// Of a file that is put under this key.
    pub(super) fn of_upload(&self, path: Option<&Path>, key: &str) -> About {
        let mut headers = self.replaced.clone();
        let is_given = headers.iter().any(|(name, _)| name == "content-type");
        if !is_given && self.guess {
            let guessed = path
                .and_then(|path| mime_guess::from_path(path).first_raw())
                .or_else(|| mime_guess::from_path(key).first_raw());
            headers.push(("content-type".to_owned(), guessed.unwrap_or(UNKNOWN).to_owned()));
        }
        headers.extend(self.besides.clone());
        About { headers }
    }

    /// Whether a copy is to be told something else than its source.
    pub(super) fn replaces(&self) -> bool {
        !self.replaced.is_empty()
    }

    /// What is said of a copy besides what its source has.
    pub(super) fn besides(&self) -> About {
        About { headers: self.besides.clone() }
    }

    /// Of a copy that does not take over what its source has: that, but for what is replaced.
    pub(super) fn of_copy(&self, source: &Head) -> About {
        let mut headers = self.replaced.clone();
        let own = source.headers.keys().map(http::HeaderName::as_str);
        let own = own.filter(|name| name.starts_with(METADATA));
        // Words of one's own are replaced all at once, as other tools do it.
        let words = headers.iter().any(|(name, _)| name.starts_with(METADATA));
        for name in KEPT.into_iter().chain(own.filter(|_| !words)) {
            let value = text(&source.headers, name);
            if !value.is_empty() && !headers.iter().any(|(replaced, _)| replaced == name) {
                headers.push((name.to_owned(), value));
            }
        }
        headers.extend(self.besides.clone());
        About { headers }
    }
}

fn checked(option: &str, value: &str) -> Result<String> {
    match value.bytes().all(|byte| (b' '..0x7f).contains(&byte)) {
        true => Ok(value.to_owned()),
        false => Err(Error::Usage(format!(
            "{option} `{}` has a character that cannot be sent",
            value.escape_debug()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        about: AboutArgs,
    }

    fn given(line: &str) -> Result<Given> {
        let words = std::iter::once("x").chain(line.split_whitespace());
        Given::new(&Words::parse_from(words).about)
    }

    #[test]
    fn what_a_file_is_is_guessed_unless_it_is_said() {
        let check = |line: &str, path: &str, key: &str, expected: &str| {
            let about = given(line).unwrap().of_upload(Some(Path::new(path)), key);
            let shown: Vec<_> =
                about.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            assert_eq!(shown.join(", "), expected, "{line} {path}");
        };
        check("", "a.html", "k", "content-type: text/html");
        check("", "a", "k.json", "content-type: application/json");
        check("", "a", "k", "content-type: application/octet-stream");
        check("--no-guess-type", "a.html", "k", "");
        check("--content-type x/y", "a.html", "k", "content-type: x/y");
        check(
            "--metadata Ann=1,b=c=d --acl private --no-guess-type",
            "a",
            "k",
            "x-amz-meta-ann: 1, x-amz-meta-b: c=d, x-amz-acl: private",
        );
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        for (line, why) in [
            ("--metadata a", "has no ="),
            ("--metadata a_ü=1", "a name has letters"),
            ("--metadata a=ü", "--metadata `ü`"),
            ("--acl public", "did you mean"),
            ("--content-type a\u{7f}", "--content-type"),
        ] {
            let said = given(line).unwrap_err().to_string();
            assert!(said.contains(why), "{line}: {said}");
        }
    }
}
