//! Conditional requests (RFC 9110 §13, and what S3 makes of it).

use crate::error::{Code, Error, Result};
use crate::record::Object;

/// What must hold for a request to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    pub(crate) if_match: Option<EtagMatch>,
    pub(crate) if_none_match: Option<EtagMatch>,
    /// In microseconds since the Unix epoch, whole seconds.
    pub(crate) if_modified_since: Option<u64>,
    pub(crate) if_unmodified_since: Option<u64>,
}

/// Which entity tags are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EtagMatch {
    Any,
    /// These, without quotes.
    Of(Vec<String>),
}

const SECOND: u64 = 1_000_000;

impl EtagMatch {
    /// What a header says: a star, or tags with or without quotes.
    pub(crate) fn parse(text: &str) -> Self {
        if text.trim() == "*" {
            return Self::Any;
        }
        let tag = |tag: &str| {
            let tag = tag.trim();
            tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"').to_owned()
        };
        Self::Of(text.split(',').map(tag).collect())
    }

    fn holds(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Of(tags) => tags.iter().any(|tag| tag == etag),
        }
    }
}

impl Conditions {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// For reading an object that is there.
    ///
    /// # Errors
    ///
    /// [`Code::PreconditionFailed`]; [`Code::NotModified`], with the headers that belong to it.
    pub(crate) fn check_read(&self, object: &Object) -> Result<()> {
        self.check_source(object).map_err(|failed| {
            let not_modified = match (&self.if_match, &self.if_none_match) {
                _ if self.fails_to_match(object) => false,
                (_, Some(_)) | (_, None) => true,
            };
            if !not_modified {
                return failed;
            }
            Error::from(Code::NotModified)
                .with_header("etag", format!("\"{}\"", object.etag()))
                .with_header("last-modified", http_date(object.modified))
        })
    }

    /// For copying from an object that is there: every failure is [`Code::PreconditionFailed`].
    ///
    /// # Errors
    ///
    /// [`Code::PreconditionFailed`].
    pub(crate) fn check_source(&self, object: &Object) -> Result<()> {
        let since = object.modified / SECOND * SECOND;
        let fresh = match (&self.if_none_match, self.if_modified_since) {
            (Some(tags), _) => !tags.holds(&object.etag()),
            (None, Some(time)) => since > time,
            (None, None) => true,
        };
        if self.fails_to_match(object) || !fresh {
            return Err(Code::PreconditionFailed.into());
        }
        Ok(())
    }

    /// For writing over what is there, if anything is.
    ///
    /// # Errors
    ///
    /// [`Code::PreconditionFailed`], [`Code::NoSuchKey`].
    pub(crate) fn check_write(&self, there: Option<&Object>) -> Result<()> {
        let Some(object) = there else {
            return match self.if_match {
                Some(_) => Err(Code::NoSuchKey.into()),
                None => Ok(()),
            };
        };
        let none_match = self.if_none_match.as_ref();
        if none_match.is_some_and(|tags| tags.holds(&object.etag())) || self.fails_to_match(object)
        {
            return Err(Code::PreconditionFailed.into());
        }
        Ok(())
    }

    /// `If-Unmodified-Since` counts only without `If-Match`.
    fn fails_to_match(&self, object: &Object) -> bool {
        let since = object.modified / SECOND * SECOND;
        match (&self.if_match, self.if_unmodified_since) {
            (Some(tags), _) => !tags.holds(&object.etag()),
            (None, Some(time)) => since > time,
            (None, None) => false,
        }
    }
}

/// A time, in microseconds since the Unix epoch, as headers have it: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn http_date(micros: u64) -> String {
    let seconds = i64::try_from(micros / SECOND).unwrap_or(i64::MAX);
    let time = time::OffsetDateTime::from_unix_timestamp(seconds);
    let time = time.unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let (weekday, month) = (time.weekday().to_string(), time.month().to_string());
    let (weekday, month) = (&weekday[..3], &month[..3]);
    let (day, year) = (time.day(), time.year());
    let (hour, minute, second) = time.to_hms();
    format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600 * SECOND;

    fn object() -> Object {
        // Half a second into the hour: headers know whole seconds only.
        Object { md5: vec![0xab; 2].into(), modified: HOUR + SECOND / 2, ..Object::default() }
    }

    fn code(result: Result<()>) -> Option<Code> {
        result.err().and_then(|error| error.code())
    }

    #[test]
    fn reads_are_refused_or_not_modified_as_the_conditions_say() {
        let (same, other) = (EtagMatch::parse("\"abab\""), EtagMatch::parse("\"cd\""));
        let (failed, unmodified) = (Some(Code::PreconditionFailed), Some(Code::NotModified));
        let cases = [
            (None, None, None, None, None),
            (Some(&same), None, None, None, None),
            (Some(&other), None, None, None, failed),
            (None, Some(&same), None, None, unmodified),
            (None, Some(&other), None, None, None),
            (None, None, Some(HOUR), None, unmodified),
            (None, None, Some(HOUR - SECOND), None, None),
            (None, None, None, Some(HOUR), None),
            (None, None, None, Some(HOUR - SECOND), failed),
            // A tag counts, and the time beside it does not.
            (Some(&same), None, None, Some(HOUR - SECOND), None),
            (None, Some(&other), Some(HOUR), None, None),
            (Some(&other), Some(&same), None, None, failed),
            (Some(&same), Some(&same), None, None, unmodified),
        ];
        for (at, (if_match, if_none_match, modified, unmodified, expected)) in
            cases.into_iter().enumerate()
        {
            let conditions = Conditions {
                if_match: if_match.cloned(),
                if_none_match: if_none_match.cloned(),
                if_modified_since: modified,
                if_unmodified_since: unmodified,
            };
            assert_eq!(code(conditions.check_read(&object())), expected, "case {at}");
            let source = expected.map(|_| Code::PreconditionFailed);
            assert_eq!(code(conditions.check_source(&object())), source, "case {at}");
        }
    }

    #[test]
    fn writes_are_refused_by_what_is_there_or_is_not() {
        let of = |if_match: Option<&str>, if_none_match: Option<&str>| Conditions {
            if_match: if_match.map(EtagMatch::parse),
            if_none_match: if_none_match.map(EtagMatch::parse),
            ..Conditions::default()
        };
        let failed = Some(Code::PreconditionFailed);
        let cases = [
            (of(None, None), None, None),
            (of(None, Some("*")), None, failed),
            (of(Some("*"), None), Some(Code::NoSuchKey), None),
            (of(Some("abab"), None), Some(Code::NoSuchKey), None),
            (of(Some("\"cd\""), None), Some(Code::NoSuchKey), failed),
            (of(None, Some("\"abab\"")), None, failed),
            (of(None, Some("\"cd\", \"ef\"")), None, None),
            (of(Some("\"cd\", \"abab\""), None), Some(Code::NoSuchKey), None),
        ];
        for (conditions, missing, there) in cases {
            assert_eq!(code(conditions.check_write(None)), missing, "{conditions:?}");
            assert_eq!(code(conditions.check_write(Some(&object()))), there, "{conditions:?}");
        }
    }

    #[test]
    fn dates_are_those_of_http() {
        assert_eq!(http_date(784_111_777 * SECOND), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    }
}
