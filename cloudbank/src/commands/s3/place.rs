//! Addresses as they are typed: objects, files, standard input and output.

use std::ffi::OsStr;
use std::path::PathBuf;

use crate::cli::WhichVersion;
use crate::commands::store::at;
use crate::error::{Error, Result};
use crate::s3::object::Name;

/// How long a key is at most, in bytes.
const KEY_BYTES_MAX: usize = 1024;
const SCHEME: &str = "s3://";

/// What is at one end of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Standard input or output.
    Stdio,
    File(PathBuf),
    Object(S3Place),
}

/// A bucket, and a key or the beginning of keys in it; the service, if the bucket is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct S3Place {
    pub(super) bucket: String,
    pub(super) key: String,
}

impl Place {
    /// # Errors
    ///
    /// [`Error::Usage`] for an address that is none.
    pub(super) fn parse(text: &OsStr) -> Result<Self> {
        if text == "-" {
            return Ok(Self::Stdio);
        }
        match text.to_str() {
            Some(address) if looks_like_address(address) => {
                S3Place::parse(address).map(Self::Object)
            }
            _ if text.is_empty() => Err(Error::Usage("the name of a file is not empty".into())),
            _ => Ok(Self::File(text.into())),
        }
    }
}

impl S3Place {
    /// # Errors
    ///
    /// [`Error::Usage`] for what is no address.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::Usage(format!(
                "`{}` {why}\n  = expected s3://BUCKET or s3://BUCKET/KEY",
                text.escape_debug()
            ))
        };
        let rest =
            text.strip_prefix(SCHEME).ok_or_else(|| wrong("is no address of an S3 service"))?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() && !key.is_empty() {
            return Err(wrong("names no bucket"));
        }
        if bucket.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(wrong("names a bucket that cannot be"));
        }
        if key.len() > KEY_BYTES_MAX {
            return Err(wrong(&format!("has a key of more than {KEY_BYTES_MAX} bytes")));
        }
        Ok(Self { bucket: bucket.to_owned(), key: key.to_owned() })
    }

    /// A bucket and nothing more.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] when it is something else.
    pub(super) fn bucket(text: &str) -> Result<String> {
        // Who names a bucket need not say that it is one.
        let place = match text.contains("://") || text.contains('/') {
            true => Self::parse(text)?,
            false => Self::parse(&format!("{SCHEME}{text}"))?,
        };
        match (place.bucket.is_empty(), place.key.is_empty()) {
            (false, true) => Ok(place.bucket),
            (true, _) => Err(Error::Usage("name a bucket: s3://BUCKET".into())),
            (false, false) => {
                Err(Error::Usage(format!("`{text}` is an object: name its bucket alone")))
            }
        }
    }

    /// An object.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] when it is something else.
    pub(super) fn object(text: &str, which: &WhichVersion) -> Result<Name> {
        let place = Self::parse(text)?;
        if place.bucket.is_empty() || place.key.is_empty() {
            return Err(Error::Usage(format!(
                "`{text}` is no object\n  = expected s3://BUCKET/KEY"
            )));
        }
        place.name(which)
    }

    /// What it names, in the version that is meant.
    pub(super) fn name(&self, which: &WhichVersion) -> Result<Name> {
        let bucket = as_of(&self.bucket, which.at.as_deref())?;
        Ok(Name { bucket, key: self.key.clone(), version: which.version_id.clone() })
    }

    pub(super) fn shown(&self) -> String {
        format!("{SCHEME}{}/{}", self.bucket, crate::commands::shown_line(&self.key))
    }
}

/// A bucket as of a point in its history.
pub(super) fn as_of(bucket: &str, at: Option<&str>) -> Result<String> {
    let Some(moment) = at.map(at::of_bucket).transpose()?.flatten() else {
        return Ok(bucket.to_owned());
    };
    if bucket.contains('@') {
        return Err(Error::Usage(format!(
            "`{bucket}` says already as of when: leave --at or that out"
        )));
    }
    Ok(format!("{bucket}@{moment}"))
}

/// A slip that would be taken for the name of a file is one of the hand.
fn looks_like_address(text: &str) -> bool {
    text.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("s3:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_files_are_told_apart() {
        let check = |text: &str, expected: &str| {
            let found = match Place::parse(OsStr::new(text)) {
                Ok(Place::Stdio) => "stdio".to_owned(),
                Ok(Place::File(path)) => format!("file {}", path.display()),
                Ok(Place::Object(place)) => format!("{} | {}", place.bucket, place.key),
                Err(error) => error.to_string().lines().next().unwrap_or_default().to_owned(),
            };
            assert_eq!(found, expected, "{text}");
        };
        check("-", "stdio");
        check("./-", "file ./-");
        check("a/b", "file a/b");
        check("s3", "file s3");
        check("s3://", " | ");
        check("s3://b", "b | ");
        check("s3://b/", "b | ");
        check("s3://b/a/b", "b | a/b");
        check("s3://b//a/", "b | /a/");
        check("s3://b/../x", "b | ../x");
        check("s3:///x", "error: `s3:///x` names no bucket");
        check("s3:/b/x", "error: `s3:/b/x` is no address of an S3 service");
        check("S3://b/x", "error: `S3://b/x` is no address of an S3 service");
        check("s3://b b/x", "error: `s3://b b/x` names a bucket that cannot be");
        check("", "error: the name of a file is not empty");
    }

    #[test]
    fn a_bucket_can_be_named_alone() {
        for (text, expected) in [
            ("b", Some("b")),
            ("s3://b", Some("b")),
            ("s3://b/", Some("b")),
            ("s3://b/k", None),
            ("s3://", None),
            ("", None),
            ("b/k", None),
        ] {
            assert_eq!(S3Place::bucket(text).ok().as_deref(), expected, "{text}");
        }
    }
}
