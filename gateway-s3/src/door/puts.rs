//! Requests that bring an object: put, form, copy.

use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, Method};
use s3s::dto::{self, CopySource};
use s3s::{S3Request, S3Response, S3Result, TrailingHeaders};

use crate::body::{Expected, Incoming};
use crate::door::convert::{self, Sums, show, sums};
use crate::door::refuse::told;
use crate::door::{Inner, encryption, form, lifecycle, locks, present};
use crate::error::{Code, Error, Refusal, Result};
use crate::op::conditions::Conditions;
use crate::op::copy::{Copy, Source};
use crate::op::object::{Placed, Which};
use crate::op::put::Description;
use crate::record::{Algorithm, Headers, Object};

impl Inner {
    pub(super) async fn put_object(
        &self,
        request: S3Request<dto::PutObjectInput>,
    ) -> S3Result<S3Response<dto::PutObjectOutput>> {
        self.put(request).await.map_err(told)
    }

    async fn put(
        &self,
        request: S3Request<dto::PutObjectInput>,
    ) -> Result<S3Response<dto::PutObjectOutput>> {
        let caller = self.caller(&request);
        // `s3s` hands on what a form says as if it had been put.
        let is_form = request.method == Method::POST;
        // Signatures of version 2 have no region; of those only forms come this far.
        let version_2 = request.credentials.is_some() && request.region.is_none();
        if is_form && version_2 && !self.options.sign_forms_v2 {
            let why = "forms that are signed with version 2 are not taken";
            return Err(Error::new(Code::AccessDenied, why));
        }
        let noted = request.extensions.get::<form::Noted>().map(form::Noted::fields);
        let noted = noted.unwrap_or_default();
        if noted.policy && request.credentials.is_none() {
            return Err(unsigned_form());
        }
        if noted.ends_badly {
            let why = "the policy ends at no time like 2007-12-01T12:00:00.000Z";
            return Err(Error::new(Code::InvalidPolicyDocument, why));
        }
        let mut input = request.input;
        let name = present(&input.bucket, &request.headers)?;
        let said = encryption::Said {
            server: input.server_side_encryption.as_ref().map(|kind| kind.as_str().to_owned()),
            key_id: input.ssekms_key_id.take(),
            customer: encryption::Customer {
                algorithm: input.sse_customer_algorithm.take(),
                key: input.sse_customer_key.take(),
                md5: input.sse_customer_key_md5.take(),
            },
        };
        let lock = locks::wish(
            input.object_lock_mode.as_ref(),
            input.object_lock_retain_until_date.take(),
            input.object_lock_legal_hold_status.as_ref(),
        )?;
        if input.write_offset_bytes.is_some() {
            return Err(Error::new(Code::NotImplemented, "appending is not implemented"));
        }
        let acl = self.object_acl_wish(
            &request.headers,
            input.acl.as_ref(),
            [
                (input.grant_read.as_deref(), crate::record::Permission::Read),
                (input.grant_read_acp.as_deref(), crate::record::Permission::ReadAcp),
                (input.grant_write_acp.as_deref(), crate::record::Permission::WriteAcp),
                (input.grant_full_control.as_deref(), crate::record::Permission::FullControl),
            ],
        )?;
        let tags = if is_form {
            form_tags(noted.tagging.or(input.tagging.take()).as_deref())?
        } else {
            convert::header_tags(input.tagging.as_deref())?
        };
        let description = Description {
            headers: Headers {
                content_type: input.content_type.take().unwrap_or_default(),
                content_encoding: encoding(input.content_encoding.take()),
                content_disposition: input.content_disposition.take().unwrap_or_default(),
                content_language: input.content_language.take().unwrap_or_default(),
                cache_control: input.cache_control.take().unwrap_or_default(),
                expires: expires(&request.headers),
                website_redirect: input.website_redirect_location.take().unwrap_or_default(),
                storage_class: storage_class(input.storage_class.as_ref())?,
            },
            metadata: convert::metadata(input.metadata.take())?,
            tags,
            acl,
            lock,
            encryption: said.wish(),
        };
        let conditions = Conditions {
            if_match: convert::etag_match(input.if_match.take()),
            if_none_match: convert::etag_match(input.if_none_match.take()),
            ..Conditions::default()
        };
        let length = match length(input.content_length, &request.headers) {
            None if is_form => Some(0),
            length => length,
        };
        let md5 = input.content_md5.take().or_else(|| header(&request.headers, "content-md5"));
        let mut body = incoming(
            input.body.take(),
            length,
            md5.as_deref(),
            sums!(input),
            input.checksum_algorithm.as_ref(),
            request.trailing_headers,
        )?;
        // Who waits to be told whether to send the body is told what is known already.
        body.ask_first = request.headers.contains_key(http::header::EXPECT);
        let Placed { object, expires } = self
            .core
            .put_object(&caller, (&name, &input.key), description, &conditions, body)
            .await?;
        let mut output =
            dto::PutObjectOutput { e_tag: Some(convert::etag(&object)), ..Default::default() };
        output.version_id = version_id(&object);
        output.expiration = lifecycle::header(expires.as_ref());
        let mut shown = convert::Shown::of(object.checksum.as_ref(), 0);
        show!(shown => output);
        output.checksum_type = shown.kind;
        let mut answer = S3Response::new(output);
        encryption::show(object.encryption.as_ref(), &mut answer.headers);
        Ok(answer)
    }

    pub(super) async fn copy_object(
        &self,
        request: S3Request<dto::CopyObjectInput>,
    ) -> S3Result<S3Response<dto::CopyObjectOutput>> {
        self.copy(request).await.map_err(told)
    }

    async fn copy(
        &self,
        request: S3Request<dto::CopyObjectInput>,
    ) -> Result<S3Response<dto::CopyObjectOutput>> {
        let caller = self.caller(&request);
        let mut input = request.input;
        let name = present(&input.bucket, &request.headers)?;
        let acl = self.object_acl_wish(
            &request.headers,
            input.acl.as_ref(),
            [
                (input.grant_read.as_deref(), crate::record::Permission::Read),
                (input.grant_read_acp.as_deref(), crate::record::Permission::ReadAcp),
                (input.grant_write_acp.as_deref(), crate::record::Permission::WriteAcp),
                (input.grant_full_control.as_deref(), crate::record::Permission::FullControl),
            ],
        )?;
        let lock = locks::wish(
            input.object_lock_mode.as_ref(),
            input.object_lock_retain_until_date.take(),
            input.object_lock_legal_hold_status.as_ref(),
        )?;
        let replaces = |directive: Option<&str>| directive == Some("REPLACE");
        let storage_class = storage_class(input.storage_class.as_ref())?;
        let headers = Headers {
            content_type: input.content_type.take().unwrap_or_default(),
            content_encoding: encoding(input.content_encoding.take()),
            content_disposition: input.content_disposition.take().unwrap_or_default(),
            content_language: input.content_language.take().unwrap_or_default(),
            cache_control: input.cache_control.take().unwrap_or_default(),
            expires: expires(&request.headers),
            website_redirect: input.website_redirect_location.take().unwrap_or_default(),
            storage_class: String::new(),
        };
        let replace =
            replaces(input.metadata_directive.as_ref().map(dto::MetadataDirective::as_str));
        let replace_tags =
            replaces(input.tagging_directive.as_ref().map(dto::TaggingDirective::as_str));
        let copy = Copy {
            source: source(
                &input.copy_source,
                &request.headers,
                Conditions {
                    if_match: convert::etag_match(input.copy_source_if_match.take()),
                    if_none_match: convert::etag_match(input.copy_source_if_none_match.take()),
                    if_modified_since: input
                        .copy_source_if_modified_since
                        .take()
                        .map(convert::micros_since),
                    if_unmodified_since: input
                        .copy_source_if_unmodified_since
                        .take()
                        .map(convert::micros_since),
                },
            )?,
            replace: if replace {
                Some((headers, convert::metadata(input.metadata.take())?))
            } else {
                None
            },
            replace_tags: if replace_tags {
                Some(convert::header_tags(input.tagging.as_deref())?)
            } else {
                None
            },
            storage_class,
            description: Description {
                acl,
                lock,
                encryption: encryption::Said::of(&request.headers).wish(),
                ..Description::default()
            },
            conditions: Conditions {
                if_match: header(&request.headers, "if-match")
                    .map(|text| crate::op::conditions::EtagMatch::parse(&text)),
                if_none_match: header(&request.headers, "if-none-match")
                    .map(|text| crate::op::conditions::EtagMatch::parse(&text)),
                ..Conditions::default()
            },
        };
        let (placed, from) = self.core.copy_object(&caller, (&name, &input.key), &copy).await?;
        let Placed { object, expires } = placed;
        let mut result = dto::CopyObjectResult {
            e_tag: Some(convert::etag(&object)),
            last_modified: Some(convert::shown(object.modified)),
            ..Default::default()
        };
        let mut shown = convert::Shown::of(object.checksum.as_ref(), object.part_count);
        show!(shown => result);
        result.checksum_type = shown.kind;
        let mut answer = S3Response::new(dto::CopyObjectOutput {
            copy_object_result: Some(result),
            copy_source_version_id: version_id(&from),
            expiration: lifecycle::header(expires.as_ref()),
            version_id: version_id(&object),
            ..Default::default()
        });
        encryption::show(object.encryption.as_ref(), &mut answer.headers);
        Ok(answer)
    }
}

pub(super) fn unsigned_form() -> Error {
    Error::new(Code::InvalidArgument, "the form has a policy that is not signed")
}

/// A body with all that is said of it.
pub(super) fn incoming(
    body: Option<dto::StreamingBlob>,
    length: Option<i64>,
    md5: Option<&str>,
    sums: Sums<'_>,
    algorithm: Option<&dto::ChecksumAlgorithm>,
    trailers: Option<TrailingHeaders>,
) -> Result<Incoming> {
    let length = length.and_then(|length| u64::try_from(length).ok());
    let length = length.ok_or_else(|| Error::from(Code::MissingContentLength))?;
    let md5 = convert::content_md5(md5)?;
    let said = convert::one_sum(sums)?;
    let named = match algorithm.map(dto::ChecksumAlgorithm::as_str) {
        Some(name) => Some(Algorithm::named(name).ok_or_else(|| {
            Error::new(Code::InvalidRequest, format!("{name:?} is no checksum algorithm"))
        })?),
        None => None,
    };
    let checksum = match (said, named) {
        (Some((algorithm, value)), _) => Some((algorithm, Some(value))),
        (None, Some(algorithm)) => Some((algorithm, None)),
        (None, None) => None,
    };
    let trailer = trailers.map(|trailers| {
        let read = move |algorithm: Algorithm| {
            let name = format!("x-amz-checksum-{}", algorithm.name().to_lowercase());
            header(&trailers.take()?, &name)
        };
        Box::new(read) as crate::body::Trailer
    });
    let chunks: crate::body::Chunks = match body {
        Some(body) => Box::pin(body.map(|chunk| chunk.map_err(|error| broken(&error.to_string())))),
        None => Box::pin(futures_util::stream::empty::<Result<Bytes, Refusal>>()),
    };
    let expected = Expected { md5, checksum, trailer };
    Ok(Incoming { chunks, length, ask_first: false, expected })
}

/// How long a body is. One that comes in chunks of HTTP, as clients send what they sum up on the way, has its length in a
/// header of its own.
pub(super) fn length(said: Option<i64>, headers: &HeaderMap) -> Option<i64> {
    said.or_else(|| header(headers, "x-amz-decoded-content-length")?.parse().ok())
}

/// Why a body ended before it should. `s3s` says it in words only.
pub(super) fn broken(error: &str) -> Refusal {
    let code = if error.contains("Sha256Mismatch") {
        Code::XAmzContentSHA256Mismatch
    } else if error.contains("SignatureMismatch") {
        Code::SignatureDoesNotMatch
    } else {
        Code::IncompleteBody
    };
    let Error::Refused(refusal) = Error::from(code) else { unreachable!("a code is a refusal") };
    refusal
}

/// Where a copy comes from.
pub(super) fn source(
    source: &CopySource,
    headers: &HeaderMap,
    conditions: Conditions,
) -> Result<Source> {
    // A plus is a blank here, though in no address; `s3s` leaves it.
    let said = header(headers, "x-amz-copy-source").filter(|said| said.contains('+'));
    let said = said.and_then(|said| CopySource::parse(&said.replace('+', "%20")).ok());
    let CopySource::Bucket { bucket, key, version_id } = said.as_ref().unwrap_or(source) else {
        return Err(Error::new(Code::NotImplemented, "there are no access points"));
    };
    Ok(Source {
        bucket: bucket.to_string(),
        key: key.to_string(),
        which: Which::parse(version_id.as_deref())?,
        conditions,
        customer: encryption::Customer::of_source(headers).key()?,
    })
}

/// The version id of an answer: none where there are no versions.
pub(super) fn version_id(object: &Object) -> Option<String> {
    (!object.is_null()).then(|| object.version_id())
}

/// A header as text.
pub(super) fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

/// How the body came is not how the object is encoded.
pub(super) fn encoding(said: Option<String>) -> String {
    let said = said.unwrap_or_default();
    let own: Vec<&str> = said
        .split(',')
        .map(str::trim)
        .filter(|one| !one.is_empty() && !one.eq_ignore_ascii_case("aws-chunked"))
        .collect();
    own.join(", ")
}

/// The header as it was sent, whatever it says.
pub(super) fn expires(headers: &HeaderMap) -> String {
    header(headers, "expires").unwrap_or_default()
}

/// # Errors
///
/// [`Code::InvalidStorageClass`].
pub(super) fn storage_class(class: Option<&dto::StorageClass>) -> Result<String> {
    storage_class_named(class.map(dto::StorageClass::as_str))
}

/// # Errors
///
/// [`Code::InvalidStorageClass`].
pub(super) fn storage_class_named(class: Option<&str>) -> Result<String> {
    const CLASSES: [&str; 9] = [
        "STANDARD",
        "REDUCED_REDUNDANCY",
        "STANDARD_IA",
        "ONEZONE_IA",
        "INTELLIGENT_TIERING",
        "GLACIER",
        "DEEP_ARCHIVE",
        "GLACIER_IR",
        "EXPRESS_ONEZONE",
    ];
    match class {
        None | Some("STANDARD") => Ok(String::new()),
        Some(class) if CLASSES.contains(&class) => Ok(class.to_owned()),
        Some(class) => {
            Err(Error::new(Code::InvalidStorageClass, format!("{class:?} is no storage class")))
        }
    }
}

/// The tags of a form are XML, or as in a header.
fn form_tags(field: Option<&str>) -> Result<Vec<crate::record::Pair>> {
    use s3s::xml::Deserialize;
    let Some(text) = field.filter(|text| text.trim_start().starts_with('<')) else {
        return convert::header_tags(field);
    };
    let mut xml = s3s::xml::Deserializer::new(text.as_bytes());
    let tagging =
        dto::Tagging::deserialize(&mut xml).map_err(|_| Error::from(Code::MalformedXML))?;
    convert::body_tags(tagging.tag_set, crate::op::tags::OBJECT_TAGS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoding_is_that_of_the_object() {
        let cases = [
            (None, ""),
            (Some("gzip"), "gzip"),
            (Some("aws-chunked"), ""),
            (Some("aws-chunked,gzip"), "gzip"),
            (Some("gzip, aws-chunked"), "gzip"),
        ];
        for (said, expected) in cases {
            assert_eq!(encoding(said.map(str::to_owned)), expected);
        }
    }

    #[test]
    fn a_length_is_that_of_the_bytes_of_the_object() {
        let mut headers = HeaderMap::new();
        assert_eq!(length(None, &headers), None);
        headers.insert("x-amz-decoded-content-length", "7".parse().unwrap());
        assert_eq!(length(None, &headers), Some(7));
        assert_eq!(length(Some(5), &headers), Some(5));
        headers.insert("x-amz-decoded-content-length", "seven".parse().unwrap());
        assert_eq!(length(None, &headers), None);
    }

    #[test]
    fn a_plus_in_the_source_of_a_copy_is_a_blank() {
        let cases = [
            ("bucket/a+b", "a b"),
            ("bucket/a%2Bb+c%20d", "a+b c d"),
            ("/bucket/a%2Bb", "a+b"),
            ("bucket/%C3%A4+%C3%B6?versionId=null", "ä ö"),
        ];
        for (said, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert("x-amz-copy-source", said.parse().unwrap());
            let parsed = CopySource::parse(said).unwrap();
            let source = source(&parsed, &headers, Conditions::default()).unwrap();
            assert_eq!((&source.bucket[..], &source.key[..]), ("bucket", expected), "{said}");
        }
    }

    #[test]
    fn a_body_without_a_length_or_with_two_checksums_is_refused() {
        let crc = "AAAAAA==".to_owned();
        let none: Sums<'_> = [None; 5];
        let two: Sums<'_> = [Some(&crc), Some(&crc), None, None, None];
        let code = |length, sums| incoming(None, length, None, sums, None, None).err()?.code();
        assert_eq!(code(None, none), Some(Code::MissingContentLength));
        assert_eq!(code(Some(-1), none), Some(Code::MissingContentLength));
        assert_eq!(code(Some(0), two), Some(Code::InvalidRequest));
        assert_eq!(code(Some(0), none), None);
    }
}
