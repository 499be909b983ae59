//! What a request asks for: its method, its path, and its ranges.

use std::ops::Range;

use http::header::GetAll;
use http::{HeaderValue, Method, StatusCode};

use crate::{Kind, StorageIndex};

/// A share of a file.
pub(super) type Place = (StorageIndex, u64);

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    Version,
    Lease(StorageIndex),
    Allocate(StorageIndex),
    Write(Place),
    Abort(Place),
    List(Kind, StorageIndex),
    Read(Kind, Place),
    Corrupt(Kind, Place),
    ReadTestWrite(StorageIndex),
}

impl Route {
    /// # Errors
    ///
    /// 404 for what there is not; 405 for what cannot be done with it.
    pub(super) fn of(method: &Method, path: &str) -> Result<Self, StatusCode> {
        const NONE: StatusCode = StatusCode::NOT_FOUND;
        let rest = path.strip_prefix("/storage/v1/").ok_or(NONE)?;
        let mut parts = rest.split('/');
        let parts = [parts.next(), parts.next(), parts.next(), parts.next(), parts.next()];
        let method = if method == Method::HEAD { "GET" } else { method.as_str() };
        let index = |text: &str| StorageIndex::parse(text).ok_or(NONE);
        let kind = |word: &str| match word {
            "immutable" => Ok(Kind::Immutable),
            "mutable" => Ok(Kind::Mutable),
            _ => Err(NONE),
        };
        let only = |wanted: &str, route: Self| {
            if method == wanted { Ok(route) } else { Err(StatusCode::METHOD_NOT_ALLOWED) }
        };
        match parts {
            [Some("version"), None, ..] => only("GET", Self::Version),
            [Some("lease"), Some(si), None, ..] => only("PUT", Self::Lease(index(si)?)),
            [Some("immutable"), Some(si), None, ..] => only("POST", Self::Allocate(index(si)?)),
            [Some(word), Some(si), Some("shares"), None, _] => {
                let kind = kind(word)?;
                only("GET", Self::List(kind, index(si)?))
            }
            [Some("mutable"), Some(si), Some("read-test-write"), None, _] => {
                only("POST", Self::ReadTestWrite(index(si)?))
            }
            [Some(word), Some(si), Some(share), None, _] => {
                let kind = kind(word)?;
                let place = (index(si)?, number(share).ok_or(NONE)?);
                match (method, kind) {
                    ("GET", _) => Ok(Self::Read(kind, place)),
                    ("PATCH", Kind::Immutable) => Ok(Self::Write(place)),
                    _ => Err(StatusCode::METHOD_NOT_ALLOWED),
                }
            }
            [Some("immutable"), Some(si), Some(share), Some("abort"), None] => {
                let place = (index(si)?, number(share).ok_or(NONE)?);
                only("PUT", Self::Abort(place))
            }
            [Some(word), Some(si), Some(share), Some("corrupt"), None] => {
                let kind = kind(word)?;
                let place = (index(si)?, number(share).ok_or(NONE)?);
                only("POST", Self::Corrupt(kind, place))
            }
            _ => Err(NONE),
        }
    }

    /// In a word, for metrics and logs.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Version => "Version",
            Self::Lease(_) => "RenewLease",
            Self::Allocate(_) => "AllocateShares",
            Self::Write(_) => "WriteShare",
            Self::Abort(_) => "AbortUpload",
            Self::List(Kind::Immutable, _) => "ListShares",
            Self::List(Kind::Mutable, _) => "ListSlot",
            Self::Read(Kind::Immutable, _) => "ReadShare",
            Self::Read(Kind::Mutable, _) => "ReadSlot",
            Self::Corrupt(..) => "AdviseCorrupt",
            Self::ReadTestWrite(_) => "ReadTestWrite",
        }
    }
}

/// Whether the answer is the bytes of a share, as far as the client can tell.
pub(super) fn reads_share(method: &Method, path: &str) -> bool {
    let Some(rest) = path.strip_prefix("/storage/v1/") else { return false };
    let parts: Vec<_> = rest.splitn(4, '/').collect();
    let named = matches!(parts[..], ["immutable" | "mutable", _, share] if share != "shares");
    named && matches!(*method, Method::GET | Method::HEAD)
}

/// The number of a share: digits. One that is larger than any is that of no share.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// The range that is to be read: exactly one, with both ends.
pub(super) fn range(values: GetAll<'_, HeaderValue>) -> Option<Range<u64>> {
    let (unit, range) = only(values)?.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    ends(range)
}

/// The range that is written: with both ends, and a total that is beyond them or not said.
pub(super) fn content_range(values: GetAll<'_, HeaderValue>) -> Option<Range<u64>> {
    let (unit, rest) = only(values)?.trim().split_once(' ')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (range, total) = rest.split_once('/')?;
    let range = ends(range)?;
    match total.trim() {
        "*" => Some(range),
        total => (digits(total)? >= range.end).then_some(range),
    }
}

fn only(values: GetAll<'_, HeaderValue>) -> Option<&str> {
    let mut values = values.iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

/// `A-B`, both included.
fn ends(text: &str) -> Option<Range<u64>> {
    let (first, last) = text.trim().split_once('-')?;
    let (first, last) = (digits(first.trim())?, digits(last.trim())?);
    (first <= last).then(|| first..last.saturating_add(1))
}

fn digits(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::RANGE;

    use super::*;

    #[test]
    fn paths_are_taken_as_they_are_written() {
        let si = "cciqinrhvlkhxe4mujew3issii";
        let index = StorageIndex::parse(si).unwrap();
        let check = |method: &str, path: &str, expected: Result<Route, u16>| {
            let method: Method = method.parse().unwrap();
            let path = format!("/storage/v1/{}", path.replace("SI", si));
            let found = Route::of(&method, &path).map_err(|status| status.as_u16());
            assert_eq!(found, expected, "{method} {path}");
        };
        let place = (index, 7);
        check("GET", "version", Ok(Route::Version));
        check("HEAD", "version", Ok(Route::Version));
        check("POST", "version", Err(405));
        check("GET", "version/", Err(404));
        check("GET", "versions", Err(404));
        check("PUT", "lease/SI", Ok(Route::Lease(index)));
        check("POST", "lease/SI", Err(405));
        check("DELETE", "lease/SI", Err(405));
        check("PUT", "lease/", Err(404));
        check("PUT", "lease/SIa", Err(404));
        check("POST", "immutable/SI", Ok(Route::Allocate(index)));
        check("GET", "immutable/SI", Err(405));
        check("POST", "mutable/SI", Err(404));
        check("PATCH", "immutable/SI/7", Ok(Route::Write(place)));
        check("PATCH", "immutable/SI/007", Ok(Route::Write(place)));
        check("PATCH", "mutable/SI/7", Err(405));
        check("GET", "immutable/SI/7", Ok(Route::Read(Kind::Immutable, place)));
        check("GET", "mutable/SI/7", Ok(Route::Read(Kind::Mutable, place)));
        check("GET", "mutable/SI/-1", Err(404));
        check("GET", "mutable/SI/1.0", Err(404));
        check("GET", "mutable/SI/x", Err(404));
        check("GET", "mutable/SI/", Err(404));
        let huge = Route::Read(Kind::Immutable, (index, u64::MAX));
        check("GET", "immutable/SI/99999999999999999999999", Ok(huge));
        check("PUT", "immutable/SI/7/abort", Ok(Route::Abort(place)));
        check("POST", "immutable/SI/7/abort", Err(405));
        check("PUT", "mutable/SI/7/abort", Err(404));
        check("POST", "immutable/SI/7/corrupt", Ok(Route::Corrupt(Kind::Immutable, place)));
        check("POST", "mutable/SI/7/corrupt", Ok(Route::Corrupt(Kind::Mutable, place)));
        check("GET", "mutable/SI/7/corrupt", Err(405));
        check("POST", "mutable/SI/7/corrupt/x", Err(404));
        check("GET", "immutable/SI/shares", Ok(Route::List(Kind::Immutable, index)));
        check("GET", "mutable/SI/shares", Ok(Route::List(Kind::Mutable, index)));
        check("POST", "mutable/SI/shares", Err(405));
        check("POST", "mutable/SI/read-test-write", Ok(Route::ReadTestWrite(index)));
        check("GET", "mutable/SI/read-test-write", Err(405));
        check("GET", "../v1/version", Err(404));
        check("GET", "immutable/cciqinrhvlkhxe4mujew3issij/7", Err(404));
        assert_eq!(Route::of(&Method::GET, "/"), Err(StatusCode::NOT_FOUND));
    }

    #[test]
    fn ranges_have_two_ends_and_no_more() {
        let check = |value: &str, expected: Option<Range<u64>>| {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, value.parse().unwrap());
            assert_eq!(range(headers.get_all(RANGE)), expected, "{value}");
        };
        check("bytes=0-9", Some(0..10));
        check("bytes=5-5", Some(5..6));
        check("bytes=0-18446744073709551615", Some(0..u64::MAX));
        for wrong in [
            "bytes=0-",
            "bytes=-5",
            "bytes=0-1,3-4",
            "words=0-1",
            "bytes=5-4",
            "bytes=x-y",
            "bytes",
            "0-1",
            "",
        ] {
            check(wrong, None);
        }
        let check = |value: &str, expected: Option<Range<u64>>| {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, value.parse().unwrap());
            assert_eq!(content_range(headers.get_all(RANGE)), expected, "{value}");
        };
        check("bytes 0-9/*", Some(0..10));
        check("bytes 0-9/10", Some(0..10));
        check("bytes 0-9/9", None);
        for wrong in [
            "bytes */10",
            "bytes 5-4/*",
            "bytes 0-9",
            "words 0-9/*",
            "bytes=0-9/*",
            "bytes 0-/*",
            "",
        ] {
            check(wrong, None);
        }
        let mut headers = HeaderMap::new();
        headers.append(RANGE, "bytes=0-1".parse().unwrap());
        headers.append(RANGE, "bytes=0-1".parse().unwrap());
        assert_eq!(range(headers.get_all(RANGE)), None);
    }
}
