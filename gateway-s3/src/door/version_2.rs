//! Signatures of version 2: whether they are looked at, when they were made, and that they are of all that is asked.
//! `s3s` makes and compares them, and does nothing else.

mod signature;

use std::time::{Duration, SystemTime};

use http::header::DATE;
use http::{HeaderMap, Request, Uri};
use s3s::Body;
use time::OffsetDateTime;
use time::format_description::FormatItem;
use time::macros::format_description;

use crate::door::auth::only_bucket_of;
use crate::door::puts::header;
use crate::error::{Code, Error, Result};
use crate::{Options, SignatureV2};

pub(super) use signature::{check, check_request};

/// A date as headers have it, after the day of the week, which says nothing.
const HTTP_DATE: &[FormatItem<'_>] =
    format_description!("[day padding:none] [month repr:short] [year] [hour]:[minute]:[second]");
/// A date as version 4 has it, which some clients send with version 2.
pub(super) const BASIC_DATE: &[FormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");

/// Parameters of an address that are signed with version 2, as `s3s` signs them.
const SIGNED: [&str; 36] = [
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "defaultObjectAcl",
    "delete",
    "inventory",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "partNumber",
    "policy",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "select",
    "select-type",
    "storageClass",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
    "x-id",
];
/// Those that are not, and only choose what of a list is shown; and the signature itself.
const UNSIGNED: [&str; 18] = [
    "prefix",
    "delimiter",
    "marker",
    "max-keys",
    "encoding-type",
    "list-type",
    "continuation-token",
    "start-after",
    "fetch-owner",
    "key-marker",
    "version-id-marker",
    "upload-id-marker",
    "max-uploads",
    "max-parts",
    "part-number-marker",
    "AWSAccessKeyId",
    "Signature",
    "Expires",
];

/// # Errors
///
/// [`Code::AccessDenied`], where the address asks for something that the signature says nothing of: whoever has it could
/// have added that.
pub(super) fn check_query(query: &str) -> Result<()> {
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split('=').next().unwrap_or_default();
        let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
        if !SIGNED.contains(&&*name) && !UNSIGNED.contains(&&*name) {
            let why = format!("signatures of version 2 are not taken for {name:?}");
            return Err(Error::new(Code::AccessDenied, why));
        }
    }
    Ok(())
}

/// # Errors
///
/// [`Code::InvalidArgument`], for credentials that are none; [`Code::AccessDenied`], where they are not taken or have no
/// date; [`Code::RequestTimeTooSkewed`].
pub(super) fn check_header(
    headers: &HeaderMap,
    credentials: &str,
    options: &Options,
) -> Result<()> {
    let parts = credentials.split_once(':');
    if !parts.is_some_and(|(key, signature)| !key.is_empty() && !signature.is_empty()) {
        let why = "the authorization is not a key and a signature";
        return Err(Error::new(Code::InvalidArgument, why));
    }
    // Where both are sent, this is the one that is signed.
    let date = header(headers, "x-amz-date").or_else(|| header(headers, DATE.as_str()));
    let date = date.as_deref().and_then(parse_date).filter(|date| date.unix_timestamp() >= 0);
    let date = date.ok_or_else(|| Error::new(Code::AccessDenied, "the date is none"))?;
    if (OffsetDateTime::now_utc() - date).unsigned_abs() > options.clock_skew_max {
        return Err(Code::RequestTimeTooSkewed.into());
    }
    check_taken(options.signature_v2 == SignatureV2::On)
}

/// # Errors
///
/// [`Code::AccessDenied`], where they are not taken, or one that ends too late.
pub(super) fn check_presigned(expires: Option<&str>, options: &Options) -> Result<()> {
    check_taken(options.signature_v2 != SignatureV2::Off)?;
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let latest = since + options.presigned_lifetime_max;
    let expires = expires.and_then(|text| text.parse().ok()).map(Duration::from_secs);
    if expires.is_none_or(|expires| expires > latest) {
        let most = options.presigned_lifetime_max.as_secs();
        let why = format!("Expires is not within {most} seconds from now");
        return Err(Error::new(Code::AccessDenied, why));
    }
    Ok(())
}

/// The request with the path that clients sign, which for a bucket has a slash at its end, however it was sent.
pub(super) fn as_signed(mut request: Request<Body>, options: &Options) -> Request<Body> {
    let query = request.uri().query().unwrap_or_default();
    let in_header =
        header(request.headers(), "authorization").is_some_and(|text| text.starts_with("AWS "));
    let in_query = query.split('&').any(|pair| pair.starts_with("AWSAccessKeyId="));
    let path = request.uri().path();
    let is_bucket = only_bucket_of(request.uri(), request.headers(), options).is_some();
    if (in_header || in_query) && is_bucket && !path.ends_with('/') {
        let question = if query.is_empty() { "" } else { "?" };
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = format!("{path}/{question}{query}").parse().ok();
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

fn check_taken(taken: bool) -> Result<()> {
    if taken {
        return Ok(());
    }
    let why = "signatures of version 2 are not taken; use AWS4-HMAC-SHA256";
    Err(Error::new(Code::AccessDenied, why))
}

/// A date in a header, however clients write it.
pub(super) fn parse_date(text: &str) -> Option<OffsetDateTime> {
    if let Ok(date) = time::PrimitiveDateTime::parse(text, BASIC_DATE) {
        return Some(date.assume_utc());
    }
    let (_, date) = text.split_once(", ")?;
    let date =
        [" GMT", " UTC", " +0000", " -0000"].iter().find_map(|zone| date.strip_suffix(zone))?;
    Some(time::PrimitiveDateTime::parse(date.trim(), HTTP_DATE).ok()?.assume_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(format: &[FormatItem<'_>]) -> String {
        OffsetDateTime::now_utc().format(format).unwrap()
    }

    #[test]
    fn what_is_signed_in_headers_has_a_key_a_signature_and_a_date_of_now() {
        use Code::{AccessDenied, InvalidArgument, RequestTimeTooSkewed};
        let (today, basic) = (format!("Tue, {} GMT", now(HTTP_DATE)), now(BASIC_DATE));
        let cases = [
            ("a:b", today.clone(), None),
            ("a:b", today.replace("GMT", "+0000"), None),
            ("a:b", today.replace("GMT", "-0000"), None),
            ("a:b", basic, None),
            ("HAHAHA", today.clone(), Some(InvalidArgument)),
            (":b", today.clone(), Some(InvalidArgument)),
            ("a:", today, Some(InvalidArgument)),
            ("a:b", String::new(), Some(AccessDenied)),
            ("a:b", "Bad Date".to_owned(), Some(AccessDenied)),
            ("a:b", "Tue, 07 Jul 1950 21:53:04 GMT".to_owned(), Some(AccessDenied)),
            ("a:b", "Tue, 07 Jul 2010 21:53:04 GMT".to_owned(), Some(RequestTimeTooSkewed)),
            ("a:b", "Tue, 07 Jul 9999 21:53:04 GMT".to_owned(), Some(RequestTimeTooSkewed)),
        ];
        for (credentials, date, expected) in cases {
            for taken in [true, false] {
                let signature_v2 = if taken { SignatureV2::On } else { SignatureV2::Urls };
                let options = Options { signature_v2, ..Options::default() };
                let mut headers = HeaderMap::new();
                headers.insert("x-amz-date", date.parse().unwrap());
                let checked = check_header(&headers, credentials, &options);
                let expected = expected.or((!taken).then_some(AccessDenied));
                let found = checked.err().and_then(|error| error.code());
                assert_eq!(found, expected, "{credentials} {date} {taken}");
            }
        }
    }

    #[test]
    fn an_address_is_good_for_a_bounded_time_only() {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let (soon, late) = ((since + 600).to_string(), (since + 8 * 86_400).to_string());
        let options = Options::default();
        for (expires, good) in [
            (Some(&soon[..]), true),
            (Some(&late[..]), false),
            (Some("soon"), false),
            (None, false),
        ] {
            assert_eq!(check_presigned(expires, &options).is_ok(), good, "{expires:?}");
        }
        let off = Options { signature_v2: SignatureV2::Off, ..Options::default() };
        assert!(check_presigned(Some(&soon), &off).is_err());
    }

    #[test]
    fn a_bucket_is_signed_with_a_slash_at_its_end() {
        let options = Options { domains: vec!["s3.localhost".to_owned()], ..Options::default() };
        let cases = [
            ("/bucket", "s3.localhost", Some("AWS a:b"), "/bucket/"),
            ("/bucket?acl", "s3.localhost", Some("AWS a:b"), "/bucket/?acl"),
            ("/bucket?AWSAccessKeyId=a", "1.2.3.4", None, "/bucket/?AWSAccessKeyId=a"),
            ("/bucket/", "1.2.3.4", Some("AWS a:b"), "/bucket/"),
            ("/bucket/key", "1.2.3.4", Some("AWS a:b"), "/bucket/key"),
            ("/key", "bucket.s3.localhost", Some("AWS a:b"), "/key"),
            ("/", "1.2.3.4", Some("AWS a:b"), "/"),
            ("/bucket", "1.2.3.4", Some("AWS4-HMAC-SHA256 x"), "/bucket"),
            ("/bucket", "1.2.3.4", None, "/bucket"),
        ];
        for (uri, host, authorization, expected) in cases {
            let mut request = Request::get(uri).header("host", host);
            if let Some(text) = authorization {
                request = request.header("authorization", text);
            }
            let signed = as_signed(request.body(Body::empty()).unwrap(), &options);
            assert_eq!(signed.uri().to_string(), expected, "{host} {authorization:?}");
        }
    }

    #[test]
    fn an_address_asks_for_nothing_that_was_not_signed() {
        let cases = [
            ("", true),
            ("Signature=a&AWSAccessKeyId=b&Expires=1", true),
            ("versionId=7&prefix=a", true),
            ("acl", true),
            ("retention", false),
            ("legal%2Dhold=", false),
            ("a&changes", false),
        ];
        for (query, good) in cases {
            assert_eq!(check_query(query).is_ok(), good, "{query}");
        }
    }
}
