//! Requests for objects: get, head, attributes, delete, tags.

use futures_util::TryStreamExt;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::StreamBody;
use s3s::{Body, S3Request, S3Response, S3Result, dto};

use crate::door::convert::{self, show};
use crate::door::puts::version_id;
use crate::door::refuse::told;
use crate::door::{Inner, encryption, lifecycle, locks, place, present};
use crate::error::{Code, Error, Result};
use crate::op::conditions::Conditions;
use crate::op::delete::{Delete, Deleted};
use crate::op::get::{Get, Got, Span};
use crate::op::object::Which;
use crate::op::tags::OBJECT_TAGS_MAX;
use crate::record::Algorithm;

/// The most objects that one request deletes.
const DELETES_MAX: usize = 1000;

impl Inner {
    pub(super) async fn get_object(
        &self,
        request: S3Request<dto::GetObjectInput>,
    ) -> S3Result<S3Response<dto::GetObjectOutput>> {
        let caller = self.caller(&request);
        let input = request.input;
        let overrides = input.response_cache_control.is_some()
            || input.response_content_disposition.is_some()
            || input.response_content_encoding.is_some()
            || input.response_content_language.is_some()
            || input.response_content_type.is_some()
            || input.response_expires.is_some();
        if overrides && caller.key.is_none() {
            let why = "headers of the answer can be set in signed requests only";
            return Err(told(Error::new(Code::InvalidRequest, why)));
        }
        let sums = input.checksum_mode.as_ref().is_some_and(|mode| mode.as_str() == "ENABLED");
        let got = async {
            let (name, moment) = place(&input.bucket, &request.headers)?;
            let get = Get {
                which: Which::parse(input.version_id.as_deref())?,
                conditions: Conditions {
                    if_match: convert::etag_match(input.if_match),
                    if_none_match: convert::etag_match(input.if_none_match),
                    if_modified_since: input.if_modified_since.map(convert::micros_since),
                    if_unmodified_since: input.if_unmodified_since.map(convert::micros_since),
                },
                span: span(input.range.as_ref(), input.part_number)?,
                customer: encryption::only_customer(&request.headers)?,
            };
            self.core.get_object(&caller, (&name, &input.key, moment), &get).await
        };
        let got = got.await.map_err(told)?;
        let (mut output, headers) = describe(&got, sums);
        output.parts_count = output.parts_count.filter(|_| input.part_number.is_some());
        output.tag_count = count(got.object.tags.len());
        output.body = Some(body(got).into());
        Ok(S3Response::with_headers(output, headers))
    }

    pub(super) async fn head_object(
        &self,
        request: S3Request<dto::HeadObjectInput>,
    ) -> S3Result<S3Response<dto::HeadObjectOutput>> {
        let caller = self.caller(&request);
        let input = request.input;
        let sums = input.checksum_mode.as_ref().is_some_and(|mode| mode.as_str() == "ENABLED");
        let got = async {
            let (name, moment) = place(&input.bucket, &request.headers)?;
            let get = Get {
                which: Which::parse(input.version_id.as_deref())?,
                conditions: Conditions {
                    if_match: convert::etag_match(input.if_match),
                    if_none_match: convert::etag_match(input.if_none_match),
                    if_modified_since: input.if_modified_since.map(convert::micros_since),
                    if_unmodified_since: input.if_unmodified_since.map(convert::micros_since),
                },
                span: span(input.range.as_ref(), input.part_number)?,
                customer: encryption::only_customer(&request.headers)?,
            };
            self.core.get_object(&caller, (&name, &input.key, moment), &get).await
        };
        let got = got.await.map_err(told)?;
        let (output, mut headers) = describe(&got, sums);
        if let Some(count) = count(got.object.tags.len())
            && let Ok(count) = HeaderValue::from_str(&count.to_string())
        {
            headers.insert("x-amz-tagging-count", count);
        }
        let output = dto::HeadObjectOutput {
            accept_ranges: output.accept_ranges,
            cache_control: output.cache_control,
            checksum_crc32: output.checksum_crc32,
            checksum_crc32c: output.checksum_crc32c,
            checksum_crc64nvme: output.checksum_crc64nvme,
            checksum_sha1: output.checksum_sha1,
            checksum_sha256: output.checksum_sha256,
            checksum_type: output.checksum_type,
            content_disposition: output.content_disposition,
            content_encoding: output.content_encoding,
            content_language: output.content_language,
            content_length: output.content_length,
            content_range: output.content_range,
            content_type: output.content_type,
            e_tag: output.e_tag,
            expiration: output.expiration,
            last_modified: output.last_modified,
            metadata: output.metadata,
            object_lock_legal_hold_status: output.object_lock_legal_hold_status,
            object_lock_mode: output.object_lock_mode,
            object_lock_retain_until_date: output.object_lock_retain_until_date,
            // Told only to who asks for a part.
            parts_count: output.parts_count.filter(|_| input.part_number.is_some()),
            storage_class: output.storage_class,
            version_id: output.version_id,
            website_redirect_location: output.website_redirect_location,
            ..Default::default()
        };
        let mut answer = S3Response::with_headers(output, headers);
        if got.partial {
            answer.status = Some(http::StatusCode::PARTIAL_CONTENT);
        }
        Ok(answer)
    }

    pub(super) async fn get_object_attributes(
        &self,
        request: S3Request<dto::GetObjectAttributesInput>,
    ) -> S3Result<S3Response<dto::GetObjectAttributesOutput>> {
        let caller = self.caller(&request);
        let input = request.input;
        let got = async {
            let (name, moment) = place(&input.bucket, &request.headers)?;
            let which = Which::parse(input.version_id.as_deref())?;
            let customer = encryption::Customer::of(&request.headers).key()?;
            let get = Get { which, customer, ..Get::default() };
            self.core.get_object(&caller, (&name, &input.key, moment), &get).await
        };
        let got = got.await.map_err(told)?;
        // Several stand in one header, or each in its own.
        let all = || input.object_attributes.iter().flat_map(|some| some.as_str().split(','));
        let wanted = |name: &str| all().any(|one| one.trim() == name);
        let object = &got.object;
        let mut output = dto::GetObjectAttributesOutput {
            last_modified: Some(convert::timestamp(object.modified)),
            version_id: version_id(object),
            ..Default::default()
        };
        if wanted("ETag") {
            output.e_tag = Some(convert::etag(object));
        }
        if wanted("ObjectSize") {
            output.object_size = Some(convert::signed(object.size));
        }
        if wanted("StorageClass") {
            let class = object.header(|headers| &headers.storage_class);
            output.storage_class = Some(class.unwrap_or_else(|| "STANDARD".to_owned()).into());
        }
        if wanted("Checksum") && object.checksum.is_some() {
            let mut shown = convert::Shown::of(object.checksum.as_ref(), object.part_count);
            let mut checksum = dto::Checksum::default();
            show!(shown => checksum);
            checksum.checksum_type = shown.kind;
            output.checksum = Some(checksum);
        }
        if wanted("ObjectParts") && object.part_count > 0 {
            output.object_parts =
                Some(parts(&got, input.part_number_marker, input.max_parts).map_err(told)?);
        }
        Ok(S3Response::new(output))
    }

    pub(super) async fn delete_object(
        &self,
        request: S3Request<dto::DeleteObjectInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectOutput>> {
        let caller = self.caller(&request);
        let input = request.input;
        let deleted = async {
            let name = present(&input.bucket, &request.headers)?;
            let delete = Delete {
                key: input.key,
                which: Which::parse(input.version_id.as_deref())?,
                conditions: Conditions {
                    if_match: convert::etag_match(input.if_match),
                    ..Conditions::default()
                },
                if_size: input.if_match_size.and_then(|size| u64::try_from(size).ok()),
                if_modified_at: input.if_match_last_modified_time.map(convert::micros_since),
                bypass: input.bypass_governance_retention == Some(true),
            };
            self.core.delete_object(&caller, &name, &delete).await
        };
        let deleted = deleted.await.map_err(told)?;
        let output = match deleted {
            Deleted::Object => dto::DeleteObjectOutput::default(),
            Deleted::NoVersion => {
                dto::DeleteObjectOutput { version_id: input.version_id, ..Default::default() }
            }
            Deleted::Marked(marker) => dto::DeleteObjectOutput {
                delete_marker: Some(true),
                version_id: Some(marker.version_id()),
                ..Default::default()
            },
            Deleted::Version(object) => dto::DeleteObjectOutput {
                delete_marker: object.delete_marker.then_some(true),
                version_id: Some(object.version_id()),
                ..Default::default()
            },
        };
        Ok(S3Response::new(output))
    }

    pub(super) async fn delete_objects(
        &self,
        request: S3Request<dto::DeleteObjectsInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectsOutput>> {
        let caller = self.caller(&request);
        let input = request.input;
        let quiet = input.delete.quiet.unwrap_or(false);
        let named = input.delete.objects;
        let outcomes = async {
            let name = present(&input.bucket, &request.headers)?;
            if named.is_empty() || named.len() > DELETES_MAX {
                let why = format!("from 1 to {DELETES_MAX} objects can be deleted at once");
                return Err(Error::new(Code::MalformedXML, why));
            }
            let bypass = input.bypass_governance_retention == Some(true);
            let delete = |named| delete_of(named, bypass);
            let deletes = named.iter().map(delete).collect::<Result<Vec<_>>>()?;
            self.core.delete_objects(&caller, &name, &deletes).await
        };
        let outcomes = outcomes.await.map_err(told)?;
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for (named, outcome) in named.into_iter().zip(outcomes) {
            let key = Some(named.key);
            match outcome {
                Err(refusal) => errors.push(dto::Error {
                    code: Some(refusal.code.name().to_owned()),
                    key,
                    message: Some(refusal.message),
                    version_id: named.version_id,
                }),
                Ok(Deleted::Object | Deleted::NoVersion) => deleted.push(dto::DeletedObject {
                    key,
                    version_id: named.version_id,
                    ..Default::default()
                }),
                Ok(Deleted::Marked(marker)) => deleted.push(dto::DeletedObject {
                    key,
                    delete_marker: Some(true),
                    delete_marker_version_id: Some(marker.version_id()),
                    ..Default::default()
                }),
                Ok(Deleted::Version(object)) => deleted.push(dto::DeletedObject {
                    key,
                    delete_marker: object.delete_marker.then_some(true),
                    delete_marker_version_id: object.delete_marker.then(|| object.version_id()),
                    version_id: named.version_id,
                }),
            }
        }
        let output = dto::DeleteObjectsOutput {
            deleted: (!quiet && !deleted.is_empty()).then_some(deleted),
            errors: (!errors.is_empty()).then_some(errors),
            ..Default::default()
        };
        Ok(S3Response::new(output))
    }

    pub(super) async fn get_object_tagging(
        &self,
        request: S3Request<dto::GetObjectTaggingInput>,
    ) -> S3Result<S3Response<dto::GetObjectTaggingOutput>> {
        let caller = self.caller(&request);
        let input = request.input;
        let object = async {
            let (name, moment) = place(&input.bucket, &request.headers)?;
            let which = Which::parse(input.version_id.as_deref())?;
            self.core.object_tags(&caller, (&name, &input.key, moment), &which).await
        };
        let object = object.await.map_err(told)?;
        let tag_set = convert::tag_set(&object.tags);
        Ok(S3Response::new(dto::GetObjectTaggingOutput {
            tag_set,
            version_id: version_id(&object),
        }))
    }

    pub(super) async fn put_object_tagging(
        &self,
        request: S3Request<dto::PutObjectTaggingInput>,
    ) -> S3Result<S3Response<dto::PutObjectTaggingOutput>> {
        let caller = self.caller(&request);
        let input = request.input;
        let object = async {
            let name = present(&input.bucket, &request.headers)?;
            let which = Which::parse(input.version_id.as_deref())?;
            let tags = convert::body_tags(input.tagging.tag_set, OBJECT_TAGS_MAX)?;
            self.core.set_object_tags(&caller, (&name, &input.key), &which, &tags).await
        };
        let object = object.await.map_err(told)?;
        Ok(S3Response::new(dto::PutObjectTaggingOutput { version_id: version_id(&object) }))
    }

    pub(super) async fn delete_object_tagging(
        &self,
        request: S3Request<dto::DeleteObjectTaggingInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectTaggingOutput>> {
        let caller = self.caller(&request);
        let input = request.input;
        let object = async {
            let name = present(&input.bucket, &request.headers)?;
            let which = Which::parse(input.version_id.as_deref())?;
            self.core.set_object_tags(&caller, (&name, &input.key), &which, &[]).await
        };
        let object = object.await.map_err(told)?;
        Ok(S3Response::new(dto::DeleteObjectTaggingOutput { version_id: version_id(&object) }))
    }
}

fn delete_of(named: &dto::ObjectIdentifier, bypass: bool) -> Result<Delete> {
    Ok(Delete {
        key: named.key.clone(),
        which: Which::parse(named.version_id.as_deref())?,
        conditions: Conditions {
            if_match: convert::etag_match(named.e_tag.clone().map(dto::ETagCondition::ETag)),
            ..Conditions::default()
        },
        if_size: named.size.and_then(|size| u64::try_from(size).ok()),
        if_modified_at: named.last_modified_time.clone().map(convert::micros_since),
        bypass,
    })
}

/// What is said of an object, in the words of an answer.
fn describe(got: &Got, sums: bool) -> (dto::GetObjectOutput, HeaderMap) {
    let object = &got.object;
    let mut output = dto::GetObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        cache_control: object.header(|headers| &headers.cache_control),
        content_disposition: object.header(|headers| &headers.content_disposition),
        content_encoding: object.header(|headers| &headers.content_encoding),
        content_language: object.header(|headers| &headers.content_language),
        content_length: Some(convert::signed(got.range.end - got.range.start)),
        content_type: Some(
            object
                .header(|headers| &headers.content_type)
                .unwrap_or_else(|| "binary/octet-stream".to_owned()),
        ),
        e_tag: Some(convert::etag(object)),
        expiration: lifecycle::header(got.expires.as_ref()),
        last_modified: Some(convert::timestamp(object.modified)),
        storage_class: object.header(|headers| &headers.storage_class).map(Into::into),
        version_id: version_id(object),
        website_redirect_location: object.header(|headers| &headers.website_redirect),
        ..Default::default()
    };
    if got.partial {
        let (start, last) = (got.range.start, got.range.end - 1);
        output.content_range = Some(format!("bytes {start}-{last}/{}", object.size));
    }
    let lock = locks::Shown::of(object.lock.as_ref());
    output.object_lock_mode = lock.mode;
    output.object_lock_retain_until_date = lock.until;
    output.object_lock_legal_hold_status = lock.hold;
    output.parts_count = got.part_count().and_then(|count| i32::try_from(count).ok());
    let metadata = object.metadata.iter().map(|pair| (pair.name.clone(), pair.value.clone()));
    output.metadata = Some(metadata.collect());
    let mut shown = convert::Shown::default();
    if sums && !got.partial {
        shown = convert::Shown::of(object.checksum.as_ref(), object.part_count);
    } else if let (true, Some(sum), Some(part)) = (sums, &object.checksum, got.part_checksum()) {
        let kind = convert::Shown::of(Some(sum), object.part_count).kind;
        shown = convert::Shown::of_bytes(sum.algorithm(), part);
        shown.kind = kind;
    }
    show!(shown => output);
    output.checksum_type = shown.kind;
    let mut headers = HeaderMap::new();
    encryption::show(object.encryption.as_ref(), &mut headers);
    let expires = object.header(|headers| &headers.expires);
    if let Some(expires) = expires.and_then(|text| HeaderValue::from_str(&text).ok()) {
        headers.insert(http::header::EXPIRES, expires);
    }
    (output, headers)
}

fn body(got: Got) -> Body {
    if let Some(bytes) = got.small() {
        return Body::from(bytes);
    }
    let frames = got.stream().map_ok(Frame::data).map_err(told);
    Body::http_body_unsync(StreamBody::new(frames))
}

fn span(range: Option<&dto::Range>, part: Option<i32>) -> Result<Span> {
    match (range, part) {
        (Some(_), Some(_)) => {
            Err(Error::new(Code::InvalidRequest, "a range of a part cannot be asked for"))
        }
        (None, None) => Ok(Span::All),
        (Some(dto::Range::Int { first, last }), None) => Ok(Span::From(*first, *last)),
        (Some(dto::Range::Suffix { length }), None) => Ok(Span::Last(*length)),
        (None, Some(part)) => match u32::try_from(part) {
            Ok(part @ 1..=10_000) => Ok(Span::Part(part)),
            _ => Err(Error::new(Code::InvalidArgument, format!("{part} is no number of a part"))),
        },
    }
}

fn parts(got: &Got, after: Option<i32>, max: Option<i32>) -> Result<dto::GetObjectAttributesParts> {
    let max = convert::page_max(max)?;
    let after = after.and_then(|after| u32::try_from(after).ok()).unwrap_or(0);
    let algorithm =
        got.object.checksum.as_ref().map_or(Algorithm::Unknown, crate::record::Checksum::algorithm);
    let mut all: Vec<dto::ObjectPart> = Vec::new();
    let mut last = None;
    for piece in &got.pieces {
        if last == Some(piece.number) {
            if let Some(part) = all.last_mut() {
                part.size = part.size.map(|size| size + convert::signed(piece.size));
            }
            continue;
        }
        last = Some(piece.number);
        let mut part = dto::ObjectPart {
            part_number: i32::try_from(piece.number).ok(),
            size: Some(convert::signed(piece.size)),
            ..Default::default()
        };
        let mut shown = convert::Shown::of_bytes(algorithm, &piece.checksum);
        show!(shown => part);
        all.push(part);
    }
    let total = all.len();
    all.retain(|part| part.part_number.is_some_and(|number| number.unsigned_abs() > after));
    let truncated = all.len() > max;
    all.truncate(max);
    Ok(dto::GetObjectAttributesParts {
        is_truncated: Some(truncated),
        max_parts: i32::try_from(max).ok(),
        next_part_number_marker: all.last().and_then(|part| part.part_number),
        part_number_marker: i32::try_from(after).ok(),
        parts: (!all.is_empty()).then_some(all),
        total_parts_count: i32::try_from(total).ok(),
    })
}

fn count(tags: usize) -> Option<i32> {
    i32::try_from(tags).ok().filter(|count| *count > 0)
}
