//! Which version to read, as people say it: a version, a time, a tag.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, Utc};
use storage_txn::{At, Snapshot, Version};

use super::open::OpenStore;
use crate::config::closest;
use crate::error::{Error, Result};

/// What `--at` takes.
const EXPECTED: &str =
    "a version, a time such as 2026-11-22, 2026-11-22T10:00:00Z or '2 hours ago', or a tag";

/// A point in the history as a server of ours takes it behind the name of a bucket: `v17`, or a time.
///
/// # Errors
///
/// [`Error::Usage`] for what is no version and no time.
#[cfg(feature = "s3")]
pub(in crate::commands) fn of_bucket(text: &str) -> Result<Option<String>> {
    // Servers write versions so, where digits alone are a time.
    let version = text.strip_prefix('v').filter(|digits| digits.parse::<u64>().is_ok());
    match parse(version.unwrap_or(text), now())? {
        Point::At(At::Latest) => Ok(None),
        Point::At(At::Version(version)) => Ok(Some(format!("v{}", version.0))),
        Point::At(At::Time(time)) => Ok(Some(moment(time))),
        Point::At(_) | Point::Tag(_) => Err(Error::Usage(format!(
            "`{}` is no version and no time\n  = expected a version, or a time such as 2026-11-22, \
             2026-11-22T10:00:00Z or '2 hours ago'",
            text.escape_debug()
        ))),
    }
}

/// A point in the history as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Point {
    At(At),
    Tag(String),
}

impl OpenStore {
    /// The store as of `--at`; the latest without it.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] for what cannot be meant, [`Error::NotFound`] for what is nothing in this store.
    pub(super) async fn snapshot(&self, at: Option<&str>) -> Result<Snapshot> {
        let at = match at {
            None => At::Latest,
            Some(text) => match parse(text, now())? {
                Point::At(at) => at,
                Point::Tag(name) => At::Version(self.tagged(&name, text).await?),
            },
        };
        self.store.snapshot(at).await.map_err(self.explain())
    }

    async fn tagged(&self, name: &str, text: &str) -> Result<Version> {
        let tags = self.store.tags().await.map_err(self.explain())?;
        if let Some((_, version)) = tags.iter().find(|(tag, _)| tag == name) {
            return Ok(*version);
        }
        let mut message =
            format!("`{}` is no version, no time and no tag of this store", text.escape_debug());
        message += &format!("\n  = expected {EXPECTED}");
        if let Some(near) = closest(name, tags.iter().map(|(tag, _)| &tag[..])) {
            message += &format!("\n  = did you mean `{near}`?");
        }
        Err(Error::NotFound(message))
    }
}

/// Since the Unix epoch.
pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A time of the history for people: to the microsecond, so that `--at` finds the very same commit.
pub(in crate::commands) fn moment(time: Duration) -> String {
    let micros =
        i64::try_from(time.as_micros()).ok().and_then(DateTime::<Utc>::from_timestamp_micros);
    micros.unwrap_or(DateTime::<Utc>::MAX_UTC).to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// A version as typed.
///
/// # Errors
///
/// [`Error::Usage`].
pub(super) fn version(text: &str) -> Result<Version> {
    let number = text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    number.map(Version).ok_or_else(|| {
        Error::Usage(format!(
            "`{}` is not a version\n  = expected a number, as `cloudbank store log` shows it",
            text.escape_debug()
        ))
    })
}

fn parse(text: &str, now: Duration) -> Result<Point> {
    let text = text.trim();
    let wrong = |why: &str| {
        Error::Usage(format!("`{}`: {why}\n  = expected {EXPECTED}", text.escape_debug()))
    };
    if text.is_empty() {
        return Err(wrong("this says nothing"));
    }
    if text == "latest" {
        return Ok(Point::At(At::Latest));
    }
    if let Some(name) = text.strip_prefix("tag:") {
        return Ok(Point::Tag(name.into()));
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Point::At(At::Version(version(text)?)));
    }
    if let Some(ago) = text.strip_suffix(" ago") {
        let ago = humantime::parse_duration(ago.trim())
            .map_err(|error| wrong(&format!("not so long ago as one can tell: {error}")))?;
        return Ok(Point::At(At::Time(now.saturating_sub(ago))));
    }
    match time(text) {
        Some(time) => Ok(Point::At(At::Time(
            time.ok_or_else(|| wrong("that is before 1970, when there was no store"))?,
        ))),
        None => Ok(Point::Tag(text.into())),
    }
}

/// `None` for what is no time, `Some(None)` for one before 1970. Without a zone it is UTC, as times are shown.
fn time(text: &str) -> Option<Option<Duration>> {
    let time = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc()).ok().or_else(|| {
        let formats =
            ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
        let naive =
            formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
        let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
        naive.or_else(day).map(|naive| naive.and_utc())
    })?;
    Some(u64::try_from(time.timestamp_micros()).ok().map(Duration::from_micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_800_000_000);

    #[test]
    fn points_in_the_history_read_as_people_write_them() {
        let check = |text: &str, expected: At| {
            assert_eq!(parse(text, NOW).unwrap(), Point::At(expected), "{text}");
        };
        let at = |seconds: u64| At::Time(Duration::from_secs(seconds));
        check("17", At::Version(Version(17)));
        check("0", At::Version(Version(0)));
        check("latest", At::Latest);
        check("1970-01-02", at(86_400));
        check("1970-01-02T00:00:01Z", at(86_401));
        check("1970-01-02T02:00:01+02:00", at(86_401));
        check("1970-01-02 00:00:01", at(86_401));
        check("1970-01-02 00:01", at(86_460));
        check("1970-01-01T00:00:00.000123Z", At::Time(Duration::from_micros(123)));
        check("1h ago", at(NOW.as_secs() - 3600));
        check("2 hours 5 minutes ago", at(NOW.as_secs() - 7500));
        check("1 day ago", at(NOW.as_secs() - 86_400));
    }

    #[test]
    fn what_is_no_version_and_no_time_may_be_a_tag() {
        for (text, name) in
            [("release-1", "release-1"), ("tag:17", "17"), ("2026-13-45", "2026-13-45")]
        {
            assert_eq!(parse(text, NOW).unwrap(), Point::Tag(name.into()));
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_can() {
        for text in ["", "soon ago", "17 ago", "1969-12-31", "99999999999999999999"] {
            let said = parse(text, NOW).unwrap_err().to_string();
            assert!(said.contains("= expected a"), "{text}: {said}");
        }
    }

    #[test]
    fn a_time_that_is_shown_is_the_same_when_it_is_typed() {
        for micros in [0, 1, 999_999, 1_800_000_000_123_456] {
            let time = Duration::from_micros(micros);
            assert_eq!(parse(&moment(time), NOW).unwrap(), Point::At(At::Time(time)));
        }
    }
}
