//! Who knocks: the secrets that signatures are checked with, and which bucket a request is for.

use std::sync::Arc;

use http::header::{AUTHORIZATION, DATE};
use http::{HeaderMap, HeaderValue, Request, Uri};
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::host::{S3Host, VirtualHost};
use s3s::validation::{AwsNameValidation, NameValidation};
use s3s::{Body, S3Result, s3_error};

use crate::Options;
use crate::door::puts::header;
use crate::door::{Inner, version_2};

/// Where version 4 has the time of a signature.
const AMZ_DATE: &str = "x-amz-date";

/// The secrets of access keys.
pub(super) struct Keys(pub(super) Arc<Inner>);

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match self.0.access.key(access_key) {
            Some(key) => Ok(SecretKey::from(key.secret)),
            None => Err(s3_error!(InvalidAccessKeyId, "there is no such access key")),
        }
    }
}

/// Lets everybody through whose signature is right, and who has none: what they may do is asked where the bucket and
/// the object are read, in the operation itself.
pub(super) struct AskedLater;

#[async_trait::async_trait]
impl S3Access for AskedLater {
    async fn check(&self, _context: &mut S3AccessContext<'_>) -> S3Result<()> {
        Ok(())
    }
}

/// Hosts of buckets, below our domains. All other hosts are those of the endpoint.
pub(super) struct Hosts(pub(super) Arc<Options>);

impl S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let virtual_host = VirtualHost::new(host);
        Ok(match bucket_in_host(host, &self.0.domains) {
            Some(bucket) => virtual_host.with_bucket(bucket),
            None => virtual_host,
        })
    }
}

fn bucket_in_host<'a>(host: &'a str, domains: &[String]) -> Option<&'a str> {
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    let below = |domain: &String| host.strip_suffix(&domain[..])?.strip_suffix('.');
    domains.iter().find_map(below)
}

/// The bucket that a request names in its host.
pub(super) fn named_in_host<'a>(
    uri: &'a Uri,
    headers: &'a HeaderMap,
    options: &Options,
) -> Option<&'a str> {
    bucket_in_host(host_of(uri, headers)?, &options.domains)
}

/// The bucket that a request is for, as it is named there.
pub(super) fn bucket_of(uri: &Uri, headers: &HeaderMap, options: &Options) -> Option<String> {
    if let Some(bucket) = named_in_host(uri, headers, options) {
        return Some(bucket.to_owned());
    }
    let path = uri.path().strip_prefix('/')?;
    let name = path.split('/').next().filter(|name| !name.is_empty())?;
    percent_encoding::percent_decode_str(name).decode_utf8().ok().map(Into::into)
}

/// The bucket that a request is for, if it is for no object in it.
pub(super) fn only_bucket_of(uri: &Uri, headers: &HeaderMap, options: &Options) -> Option<String> {
    let key = match named_in_host(uri, headers, options) {
        Some(_) => uri.path().strip_prefix('/')?,
        None => uri.path().strip_prefix('/')?.split_once('/').map_or("", |(_, key)| key),
    };
    bucket_of(uri, headers, options).filter(|_| key.is_empty())
}

/// The request with its date where `s3s` looks for it: version 4 signs the one in `Date` where there is no other.
pub(super) fn dated(mut request: Request<Body>) -> Request<Body> {
    let headers = request.headers();
    let is_signed =
        header(headers, AUTHORIZATION.as_str()).is_some_and(|it| it.starts_with("AWS4-"));
    if is_signed && !headers.contains_key(AMZ_DATE) {
        let date = header(headers, DATE.as_str()).and_then(|text| version_2::parse_date(&text));
        let date = date.and_then(|date| date.format(version_2::BASIC_DATE).ok());
        if let Some(date) = date.and_then(|date| HeaderValue::from_str(&date).ok()) {
            request.headers_mut().insert(AMZ_DATE, date);
        }
    }
    request
}

fn host_of<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let header = headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
    header.or_else(|| uri.authority().map(http::uri::Authority::as_str))
}

/// Names of buckets, also as of some moment.
pub(super) struct Names;

impl NameValidation for Names {
    fn validate_bucket_name(&self, name: &str) -> bool {
        let (name, moment) = name.split_once('@').unwrap_or((name, "0"));
        AwsNameValidation::new().validate_bucket_name(name) && super::moment(moment).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_found_in_the_host_or_in_the_path() {
        let options = Options { domains: vec!["s3.example.org".to_owned()], ..Options::default() };
        let cases = [
            ("photos.s3.example.org", "/a/b", Some("photos")),
            ("a.b.s3.example.org:9000", "/", Some("a.b")),
            ("s3.example.org", "/photos/a", Some("photos")),
            ("xs3.example.org", "/photos", Some("photos")),
            ("127.0.0.1:9000", "/photos@v7/a", Some("photos@v7")),
            ("127.0.0.1:9000", "/photos%40v7/a", Some("photos@v7")),
            ("photos.s3.example.org", "/", Some("photos")),
            ("127.0.0.1:9000", "/photos/", Some("photos")),
            ("127.0.0.1:9000", "/", None),
        ];
        for (host, path, expected) in cases {
            let request = Request::get(path).header("host", host).body(()).unwrap();
            let (uri, headers) = (request.uri(), request.headers());
            assert_eq!(bucket_of(uri, headers, &options).as_deref(), expected, "{host} {path}");
            let only = only_bucket_of(uri, headers, &options);
            let expected = expected.filter(|_| !path.contains("/a"));
            assert_eq!(only.as_deref(), expected, "{host} {path}");
        }
    }

    #[test]
    fn a_date_that_is_signed_with_version_4_is_found_in_either_header() {
        const V4: &str = "AWS4-HMAC-SHA256 x";
        let cases = [
            (V4, Some("Tue, 27 Mar 2007 19:36:42 GMT"), None, Some("20070327T193642Z")),
            (V4, Some("Tue, 27 Mar 2007 19:36:42 -0000"), None, Some("20070327T193642Z")),
            (
                V4,
                Some("Tue, 27 Mar 2007 19:36:42 GMT"),
                Some("20080327T193642Z"),
                Some("20080327T193642Z"),
            ),
            (V4, Some("Tue, 27 Mar 2007 19:36:42 GMT"), Some("soon"), Some("soon")),
            (V4, Some("soon"), None, None),
            (V4, None, None, None),
            ("AWS a:b", Some("Tue, 27 Mar 2007 19:36:42 GMT"), None, None),
        ];
        for (authorization, date, own, expected) in cases {
            let mut request = Request::get("/").header(AUTHORIZATION, authorization);
            for (name, value) in [("date", date), (AMZ_DATE, own)] {
                if let Some(value) = value {
                    request = request.header(name, value);
                }
            }
            let request = dated(request.body(Body::empty()).unwrap());
            assert_eq!(
                header(request.headers(), AMZ_DATE).as_deref(),
                expected,
                "{date:?} {own:?}"
            );
        }
    }

    #[test]
    fn a_bucket_can_be_named_as_of_a_moment() {
        for good in ["photos", "photos@v7", "photos@1700000000", "a.b@2023-11-14T22:13:20Z"] {
            assert!(Names.validate_bucket_name(good), "{good}");
        }
        for bad in ["photos@", "photos@x", "P@v1", "@v1"] {
            assert!(!Names.validate_bucket_name(bad), "{bad}");
        }
    }
}
