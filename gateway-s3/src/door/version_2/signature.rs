//! Comparing a signature of version 2 in a time that says nothing of where it is wrong. `s3s` compares them as text, and so
//! is asked only about those that are right.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE, DATE};
use http::{HeaderMap, Request};
use ring::hmac;
use s3s::Body;

use crate::door::auth::named_in_host;
use crate::door::version_2::SIGNED;
use crate::error::{Code, Error, Result};
use crate::{Access, Options};

/// What `SIGNED` has besides what goes into the signature.
const NOT_SUMMED: &str = "x-id";

/// # Errors
///
/// [`Code::SignatureDoesNotMatch`]. A request that has no signature of version 2 passes, and so does one of a key that is
/// not there: `s3s` refuses that.
pub(in crate::door) fn check_request(
    request: &Request<Body>,
    options: &Options,
    access: &dyn Access,
) -> Result<()> {
    let query = parse(request.uri().query().unwrap_or_default());
    let one = |name: &str| query.get(name).and_then(|values| only(values));
    let headers = request.headers();
    let in_header = text(headers, AUTHORIZATION.as_str());
    let in_header = in_header.as_deref().and_then(|text| text.strip_prefix("AWS "));
    // The address goes first, as it does there.
    let (id, signature, moment) = if query.contains_key("Signature") {
        let (Some(id), Some(signature)) = (one("AWSAccessKeyId"), one("Signature")) else {
            return Ok(());
        };
        (id, signature, one("Expires").unwrap_or_default().to_owned())
    } else if let Some((id, signature)) = in_header.and_then(|text| text.split_once(':')) {
        let dated = headers.contains_key("x-amz-date");
        let date = if dated { None } else { text(headers, DATE.as_str()) };
        (id, signature, date.unwrap_or_default())
    } else {
        return Ok(());
    };
    let mut signed = String::with_capacity(256);
    for line in [
        request.method().as_str(),
        &text(headers, "content-md5").unwrap_or_default(),
        &text(headers, CONTENT_TYPE.as_str()).unwrap_or_default(),
        &moment,
    ] {
        signed.push_str(line);
        signed.push('\n');
    }
    signed.push_str(&own_headers(headers));
    if let Some(bucket) = named_in_host(request.uri(), headers, options) {
        signed.push('/');
        signed.push_str(bucket);
    }
    signed.push_str(request.uri().path());
    let mut before = '?';
    for name in SIGNED.iter().filter(|name| **name != NOT_SUMMED) {
        if let Some(value) = one(name) {
            signed.push(before);
            signed.push_str(name);
            if !value.is_empty() {
                signed.push('=');
                signed.push_str(value);
            }
            before = '&';
        }
    }
    check(access, id, &signed, signature)
}

/// The same for a form, of which the policy is signed as it is sent.
///
/// # Errors
///
/// [`Code::SignatureDoesNotMatch`], unless there is no such key.
pub(in crate::door) fn check(
    access: &dyn Access,
    id: &str,
    signed: &str,
    signature: &str,
) -> Result<()> {
    let Some(key) = access.key(id) else { return Ok(()) };
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.secret.as_bytes());
    // Compares all bytes, whichever differ.
    let right = STANDARD
        .decode(signature)
        .is_ok_and(|signature| hmac::verify(&key, signed.as_bytes(), &signature).is_ok());
    if right {
        return Ok(());
    }
    let why = "the signature is not the one that the request has with the secret of the key";
    Err(Error::new(Code::SignatureDoesNotMatch, why))
}

/// The pairs of a query, decoded.
fn parse(query: &str) -> BTreeMap<String, Vec<String>> {
    let mut pairs: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        pairs.entry(decoded(name)).or_default().push(decoded(value));
    }
    pairs
}

fn only(values: &[String]) -> Option<&str> {
    match values {
        [one] => Some(one),
        _ => None,
    }
}

/// A header that is there once.
fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut all = headers.get_all(name).iter();
    let one = std::str::from_utf8(all.next()?.as_bytes()).ok()?;
    all.next().is_none().then(|| one.to_owned())
}

/// The lines of all headers that begin with `x-amz-`, in the order of their names.
fn own_headers(headers: &HeaderMap) -> String {
    let mut lines: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in headers {
        let Ok(value) = std::str::from_utf8(value.as_bytes()) else { continue };
        if name.as_str().starts_with("x-amz-") {
            lines.entry(name.as_str()).or_default().push(value.trim());
        }
    }
    lines.into_iter().map(|(name, values)| format!("{name}:{}\n", values.join(","))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AccessKey;

    struct One;

    impl Access for One {
        fn key(&self, access_key: &str) -> Option<AccessKey> {
            let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
            (access_key == "AKIAIOSFODNN7EXAMPLE").then(|| AccessKey::new(secret, "me"))
        }
    }

    /// Some are of the documentation of version 2, the others were made with another program.
    #[test]
    fn only_what_is_signed_so_passes() {
        const HOST: &str = "awsexamplebucket1.us-west-1.s3.amazonaws.com";
        let get = ("GET", "/photos/puppy.jpg", HOST);
        let date = ("date", "Tue, 27 Mar 2007 19:36:42 +0000");
        let put = [("content-type", "image/jpeg"), ("date", "Tue, 27 Mar 2007 21:15:45 +0000")];
        let list = ("GET", "/?prefix=photos&max-keys=50&marker=puppy", HOST);
        let listed = ("date", "Tue, 27 Mar 2007 19:42:41 +0000");
        let own = [
            ("date", "Tue, 27 Mar 2007 21:20:27 +0000"),
            ("x-amz-date", "Tue, 27 Mar 2007 21:20:26 +0000"),
        ];
        let address = "/photos/puppy.jpg?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=1No4mq5ETf02z8aet9voy6gui6E%3D&Expires=1175139620";
        type Case<'a> = ((&'a str, &'a str, &'a str), &'a [(&'a str, &'a str)], &'a str, bool);
        let cases: [Case<'_>; 12] = [
            (get, &[date], "qgk2+6Sv9/oM7G3qLEjTH1a1l1g=", true),
            (get, &[date], "qgk2+6Sv9/oM7G3qLEjTH1a1l1h=", false),
            (get, &[date], "", false),
            (get, &[date], "qgk2", false),
            (get, &[listed], "qgk2+6Sv9/oM7G3qLEjTH1a1l1g=", false),
            (("PUT", get.1, HOST), &put, "iqRzw+ileNPu1fhspnRs8nOjjIA=", true),
            (("PUT", get.1, HOST), &put[1..], "iqRzw+ileNPu1fhspnRs8nOjjIA=", false),
            (list, &[listed], "m0WP8eCtspQl5Ahe6L1SozdX9YA=", true),
            (("GET", "/?acl", HOST), &[listed], "m0WP8eCtspQl5Ahe6L1SozdX9YA=", false),
            (
                ("DELETE", "/awsexamplebucket1/photos/puppy.jpg", "s3.us-west-1.amazonaws.com"),
                &own,
                "Ri1hpB1zpS9pGqR7y8kuNFCl4sE=",
                true,
            ),
            (("GET", address, HOST), &[], "", true),
            (("HEAD", address, HOST), &[], "", false),
        ];
        let domains = vec!["us-west-1.s3.amazonaws.com".to_owned()];
        let options = Options { domains, ..Options::default() };
        for ((method, uri, host), headers, signature, good) in cases {
            let mut request = Request::builder().method(method).uri(uri).header("host", host);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            if !uri.contains("Signature") {
                let text = format!("AWS AKIAIOSFODNN7EXAMPLE:{signature}");
                request = request.header(AUTHORIZATION, text);
            }
            let checked = check_request(&request.body(Body::empty()).unwrap(), &options, &One);
            let found = checked.err().and_then(|error| error.code());
            let expected = (!good).then_some(Code::SignatureDoesNotMatch);
            assert_eq!(found, expected, "{method} {uri} {headers:?} {signature}");
        }
    }
}
