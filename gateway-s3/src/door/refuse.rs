//! What is refused before anybody looks at it closely, and how a refusal is told.

use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use s3s::{Body, S3Error, S3ErrorCode};

use crate::Options;
use crate::door::version_2;
use crate::error::{Code, Error, Refusal};

const V4: &str = "AWS4-HMAC-SHA256";

/// # Errors
///
/// What is not to be looked at: signatures of version 2 where they are not taken, presigned URLs that are good for too long, credentials
/// that are none, and documents that are too long.
pub(super) fn unwelcome(request: &Request<Body>, options: &Options) -> Result<(), Error> {
    let query = request.uri().query().unwrap_or_default();
    // Whatever is posted is a document, but for forms and batches, which have bounds of their own. `s3s` takes no longer
    // ones either, but calls that an error of the server.
    let header =
        |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let is_batch = query.split('&').any(|pair| pair.trim_end_matches('=') == "batch");
    let is_form = header(CONTENT_TYPE).is_some_and(|what| what.starts_with("multipart/form-data"));
    let length = header(CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    let is_document = request.method() == Method::POST && !is_form && !is_batch;
    if is_document && length > Some(options.xml_bytes_max) {
        return Err(Code::EntityTooLarge.into());
    }
    if let Some(authorization) = request.headers().get(AUTHORIZATION) {
        let text = authorization.to_str().unwrap_or_default();
        if let Some(credentials) = text.strip_prefix("AWS ") {
            version_2::check_header(request.headers(), credentials, options)?;
            version_2::check_query(query)?;
        } else if !text.starts_with(V4) {
            return Err(Error::new(Code::AccessDenied, format!("only {V4} signatures are taken")));
        }
    }
    let mut signed = false;
    let (mut expires, mut old_expires, mut old) = (None, None, false);
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match &*percent_encoding::percent_decode_str(name).decode_utf8_lossy() {
            "X-Amz-Signature" => signed = true,
            "X-Amz-Expires" => expires = Some(value.to_owned()),
            "Signature" | "AWSAccessKeyId" => old = true,
            "Expires" => old_expires = Some(value),
            "max-keys" | "max-uploads" | "max-parts" | "part-number-marker" | "max-buckets"
                if value.parse::<i32>().is_err() =>
            {
                let why = format!("{name} is {value:?}, which is no number");
                return Err(Error::new(Code::InvalidArgument, why));
            }
            _ => {}
        }
    }
    if old {
        version_2::check_presigned(old_expires, options)?;
        version_2::check_query(query)?;
    }
    if (signed || old) && request.headers().contains_key(AUTHORIZATION) {
        let why = "a request is signed in its address or in its headers, not in both";
        return Err(Error::new(Code::InvalidArgument, why));
    }
    if signed {
        let most = options.presigned_lifetime_max.as_secs();
        let expires = expires.as_deref().and_then(|text| text.parse::<u64>().ok());
        if !expires.is_some_and(|seconds| (1..=most).contains(&seconds)) {
            let why = format!("X-Amz-Expires is not from 1 to {most} seconds");
            return Err(Error::new(Code::AccessDenied, why));
        }
    }
    Ok(())
}

/// How an error is told through `s3s`.
pub(super) fn told(error: Error) -> S3Error {
    if let Error::Store(cause) = &error {
        tracing::warn!(kind = ?cause.kind(), %cause, "the store could not do it");
    }
    let Refusal { code, message, headers } = error.refusal();
    let known = S3ErrorCode::from_bytes(code.name().as_bytes());
    let known = known.unwrap_or_else(|| S3ErrorCode::Custom(code.name().into()));
    let mut told = S3Error::with_message(known, message);
    told.set_status_code(
        StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    );
    if !headers.is_empty() {
        // They take the place of those of the answer.
        let mut map = HeaderMap::new();
        map.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                map.insert(HeaderName::from_static(name), value);
            }
        }
        told.set_headers(map);
    }
    told
}

/// The answer to a request that `s3s` has not seen.
pub(super) fn answer(error: Error) -> Response<Body> {
    told(error).to_http_response().unwrap_or_else(|_| {
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        answer
    })
}

/// Names the request in the body of a refusal, as it is named in the header.
pub(super) fn name(answer: &mut Response<Body>, path: &str, id: &str) {
    const END: &str = "</Error>";
    let Some(text) = answer.body().bytes() else { return };
    let Some(before) = std::str::from_utf8(&text).ok().and_then(|text| text.strip_suffix(END))
    else {
        return;
    };
    let path = path.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let named = format!(
        "{before}<Resource>{path}</Resource><RequestId>{id}</RequestId><HostId>{id}</HostId>{END}"
    );
    answer.headers_mut().remove(CONTENT_LENGTH);
    *answer.body_mut() = Body::from(named);
}

/// Whether a form was refused since a condition of its policy does not hold. `s3s` says then that the policy is wrong.
pub(super) fn is_failed_policy(answer: &Response<Body>) -> bool {
    let text = answer.body().bytes().filter(|_| answer.status() == StatusCode::BAD_REQUEST);
    let text = text.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    text.contains("<Code>InvalidPolicyDocument</Code>") && text.contains("Policy condition ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_badly_or_for_too_long_is_refused_at_once() {
        let v4 = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=ab";
        let cases = [
            ("/b/k", None, None),
            ("/b/k", Some(v4), None),
            ("/b/k", Some("AWS a:b"), Some(Code::AccessDenied)),
            ("/b/k", Some("AWS HAHAHA"), Some(Code::InvalidArgument)),
            ("/b/k", Some(""), Some(Code::AccessDenied)),
            ("/b/k", Some("Basic eDp5"), Some(Code::AccessDenied)),
            // That it is over is found with the signature.
            ("/b/k?Signature=x&AWSAccessKeyId=y&Expires=1", None, None),
            ("/b/k?Signature=x&AWSAccessKeyId=y", None, Some(Code::AccessDenied)),
            (
                "/b/k?Signature=x&AWSAccessKeyId=y&Expires=99999999999",
                None,
                Some(Code::AccessDenied),
            ),
            ("/b/k?Signature=x&Expires=1&retention", None, Some(Code::AccessDenied)),
            ("/b/k?X-Amz-Signature=x&X-Amz-Expires=604800", None, None),
            ("/b/k?X-Amz-Signature=x&X-Amz-Expires=604801", None, Some(Code::AccessDenied)),
            ("/b/k?X-Amz-Signature=x&X-Amz-Expires=0", None, Some(Code::AccessDenied)),
            ("/b/k?X-Amz-Signature=x&X-Amz-Expires=-7", None, Some(Code::AccessDenied)),
            ("/b/k?X-Amz-Signature=x", None, Some(Code::AccessDenied)),
            (
                "/b/k?X-Amz-Signature=x&X-Amz-Expires=99999999999999999999",
                None,
                Some(Code::AccessDenied),
            ),
            ("/b?max-keys=blah", None, Some(Code::InvalidArgument)),
            ("/b?max-keys=5", None, None),
        ];
        for (uri, authorization, expected) in cases {
            let mut request = Request::get(uri);
            if let Some(value) = authorization {
                request = request.header(AUTHORIZATION, value);
            }
            let request = request.body(Body::empty()).unwrap();
            let refused =
                unwelcome(&request, &Options::default()).err().and_then(|error| error.code());
            assert_eq!(refused, expected, "{uri} {authorization:?}");
        }
    }

    #[test]
    fn every_code_has_its_name_and_status_in_the_answer() {
        for code in Code::ALL {
            let error = Error::from(*code).with_header("x-amz-version-id", "7");
            let answer = answer(error);
            assert_eq!(answer.status().as_u16(), code.status(), "{}", code.name());
            assert_eq!(answer.headers()["x-amz-version-id"], "7");
            assert_eq!(answer.headers()[CONTENT_TYPE], "application/xml");
        }
    }
}
