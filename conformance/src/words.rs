//! Requests and objects in words, for the details of failures.

use std::fmt::Display;

use storage_core::{ByteRange, Get, Listed, Object, PutIf};

/// A get, such as `get bytes 2 to 4 if it is version 7`.
pub(crate) fn get(request: &Get) -> String {
    let mut text = match (request.meta_only, &request.range) {
        (true, None) => "get of the metadata".into(),
        (true, Some(range)) => {
            format!("get of the metadata, with the range {}", self::range(range))
        }
        (false, None) => "get of the whole object".into(),
        (false, Some(range)) => format!("get of {}", self::range(range)),
    };
    if let Some(version) = &request.if_match {
        text += &format!(" if it is version {version}");
    }
    if let Some(version) = &request.if_changed {
        text += &format!(" unless it is version {version}");
    }
    text
}

/// A range as it was asked for, which may be empty or reversed: `bytes 2..5`.
pub(crate) fn range(range: &ByteRange) -> String {
    match range.end {
        Some(end) => format!("bytes {}..{end}", range.start),
        None => format!("bytes from {} on", range.start),
    }
}

/// The condition of a put, such as `if absent`.
pub(crate) fn condition(when: &PutIf) -> String {
    match when {
        PutIf::Always => "without a condition".into(),
        PutIf::Absent => "if absent".into(),
        PutIf::Matches(version) => format!("if it is version {version}"),
    }
}

/// What there is of an object; of its bytes only how many.
pub(crate) fn object(object: &Object) -> String {
    let (Object { size, version, .. }, bytes) = (object, object.body.len());
    if bytes as u64 == *size {
        format!("an object of {size} bytes, version {version}")
    } else {
        format!("{bytes} bytes of an object of {size}, version {version}")
    }
}

/// An object, or that there is none.
pub(crate) fn found(found: &Option<Object>) -> String {
    found.as_ref().map_or_else(|| "no object".into(), object)
}

/// What a list shows: the first of it, and how much there is.
pub(crate) fn listed(listed: &[Listed]) -> String {
    match listed {
        [] => "nothing".into(),
        [only] => format!("{} of {} bytes", only.key, only.size),
        [first, ..] => {
            format!("{} keys, the first {} of {} bytes", listed.len(), first.key, first.size)
        }
    }
}

/// What is there, or `none`.
pub(crate) fn or_none<T: Display>(it: Option<T>) -> String {
    it.map_or_else(|| "none".into(), |it| it.to_string())
}

#[cfg(test)]
mod tests {
    use storage_core::Version;

    use super::*;

    #[test]
    fn what_is_asked_reads_like_a_sentence() {
        let version = || Version::new("7");
        for (request, expected) in [
            (Get::whole(), "get of the whole object"),
            (Get::meta_only(), "get of the metadata"),
            (Get::range(2..5).if_match(version()), "get of bytes 2..5 if it is version 7"),
            (
                Get::range(5..).if_changed(version()),
                "get of bytes from 5 on unless it is version 7",
            ),
        ] {
            assert_eq!(get(&request), expected);
        }
        assert_eq!(condition(&PutIf::Matches(version())), "if it is version 7");
    }

    #[test]
    fn what_is_seen_reads_like_a_sentence() {
        let mut seen = Object { body: "body".into(), size: 4, version: Version::new("7") };
        assert_eq!(object(&seen), "an object of 4 bytes, version 7");
        seen.body.truncate(1);
        assert_eq!(found(&Some(seen)), "1 bytes of an object of 4, version 7");
        assert_eq!(found(&None), "no object");
        assert_eq!(or_none(None::<u64>), "none");
    }
}
