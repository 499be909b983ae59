//! Requests for multipart uploads.

use s3s::{S3Request, S3Response, S3Result, dto};

use crate::door::convert::{self, encoded, show, sums};
use crate::door::lists::some;
use crate::door::puts::{self, header, version_id};
use crate::door::refuse::told;
use crate::door::{Inner, encryption, lifecycle, locks, present};
use crate::error::{Code, Error, Result};
use crate::op::conditions::Conditions;
use crate::op::list::List;
use crate::op::multipart::{ChecksumWish, Complete, CopyPart, NamedPart};
use crate::op::object::Placed;
use crate::op::put::Description;
use crate::record::{Algorithm, Headers, Part, Permission, Upload};

impl Inner {
    pub(super) async fn create_multipart_upload(
        &self,
        request: S3Request<dto::CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CreateMultipartUploadOutput>> {
        let caller = self.caller(&request);
        let mut input = request.input;
        let begun = async {
            let name = present(&input.bucket, &request.headers)?;
            let acl = self.object_acl_wish(
                &request.headers,
                input.acl.as_ref(),
                [
                    (input.grant_read.as_deref(), Permission::Read),
                    (input.grant_read_acp.as_deref(), Permission::ReadAcp),
                    (input.grant_write_acp.as_deref(), Permission::WriteAcp),
                    (input.grant_full_control.as_deref(), Permission::FullControl),
                ],
            )?;
            let lock = locks::wish(
                input.object_lock_mode.as_ref(),
                input.object_lock_retain_until_date.take(),
                input.object_lock_legal_hold_status.as_ref(),
            )?;
            let description = Description {
                headers: Headers {
                    content_type: input.content_type.take().unwrap_or_default(),
                    content_encoding: puts::encoding(input.content_encoding.take()),
                    content_disposition: input.content_disposition.take().unwrap_or_default(),
                    content_language: input.content_language.take().unwrap_or_default(),
                    cache_control: input.cache_control.take().unwrap_or_default(),
                    expires: puts::expires(&request.headers),
                    website_redirect: input.website_redirect_location.take().unwrap_or_default(),
                    storage_class: puts::storage_class(input.storage_class.as_ref())?,
                },
                metadata: convert::metadata(input.metadata.take())?,
                tags: convert::header_tags(input.tagging.as_deref())?,
                acl,
                lock,
                encryption: encryption::Said::of(&request.headers).wish(),
            };
            let wish = ChecksumWish {
                algorithm: algorithm(input.checksum_algorithm.as_ref())?,
                full_object: is_full(input.checksum_type.as_ref())?,
            };
            let key = &input.key[..];
            self.core.create_upload(&caller, (&name, key), &description, wish).await
        };
        let begun = begun.await.map_err(told)?;
        let kind = if begun.full_object {
            dto::ChecksumType::FULL_OBJECT
        } else {
            dto::ChecksumType::COMPOSITE
        };
        let kind = dto::ChecksumType::from_static(kind);
        let mut answer = S3Response::new(dto::CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            checksum_type: input.checksum_algorithm.is_some().then_some(kind),
            checksum_algorithm: input.checksum_algorithm,
            key: Some(input.key),
            upload_id: Some(begun.id),
            abort_date: begun.aborts.as_ref().map(|aborts| convert::timestamp(aborts.at)),
            abort_rule_id: begun.aborts.map(|aborts| aborts.rule),
            ..Default::default()
        });
        encryption::show(begun.encryption.as_ref(), &mut answer.headers);
        Ok(answer)
    }

    pub(super) async fn upload_part(
        &self,
        request: S3Request<dto::UploadPartInput>,
    ) -> S3Result<S3Response<dto::UploadPartOutput>> {
        let caller = self.caller(&request);
        let mut input = request.input;
        let part = async {
            let name = present(&input.bucket, &request.headers)?;
            let md5 = input.content_md5.take().or_else(|| header(&request.headers, "content-md5"));
            let body = puts::incoming(
                input.body.take(),
                puts::length(input.content_length, &request.headers),
                md5.as_deref(),
                sums!(input),
                input.checksum_algorithm.as_ref(),
                request.trailing_headers,
            )?;
            let number = number(input.part_number)?;
            let customer = encryption::Customer::of(&request.headers).key()?;
            let (place, id) = ((&name[..], &input.key[..]), &input.upload_id[..]);
            self.core.put_part(&caller, place, (id, number), customer.as_ref(), body).await
        };
        let (part, sealed) = part.await.map_err(told)?;
        let mut output = dto::UploadPartOutput { e_tag: Some(etag(&part)), ..Default::default() };
        let mut shown = of_part(&part);
        show!(shown => output);
        let mut answer = S3Response::new(output);
        encryption::show(sealed.as_ref(), &mut answer.headers);
        Ok(answer)
    }

    pub(super) async fn upload_part_copy(
        &self,
        request: S3Request<dto::UploadPartCopyInput>,
    ) -> S3Result<S3Response<dto::UploadPartCopyOutput>> {
        let caller = self.caller(&request);
        let input = request.input;
        let copied = async {
            let name = present(&input.bucket, &request.headers)?;
            let conditions = Conditions {
                if_match: convert::etag_match(input.copy_source_if_match),
                if_none_match: convert::etag_match(input.copy_source_if_none_match),
                if_modified_since: input.copy_source_if_modified_since.map(convert::micros_since),
                if_unmodified_since: input
                    .copy_source_if_unmodified_since
                    .map(convert::micros_since),
            };
            let copy = CopyPart {
                source: puts::source(&input.copy_source, &request.headers, conditions)?,
                range: input.copy_source_range.as_deref().map(copy_range).transpose()?,
                customer: encryption::Customer::of(&request.headers).key()?,
            };
            let number = number(input.part_number)?;
            self.core
                .copy_part(&caller, (&name, &input.key), (&input.upload_id, number), &copy)
                .await
        };
        let (part, version, sealed) = copied.await.map_err(told)?;
        let mut result = dto::CopyPartResult {
            e_tag: Some(etag(&part)),
            last_modified: Some(convert::shown(part.modified)),
            ..Default::default()
        };
        let mut shown = of_part(&part);
        show!(shown => result);
        let mut answer = S3Response::new(dto::UploadPartCopyOutput {
            copy_part_result: Some(result),
            copy_source_version_id: (version != "null").then_some(version),
            ..Default::default()
        });
        encryption::show(sealed.as_ref(), &mut answer.headers);
        Ok(answer)
    }

    pub(super) async fn complete_multipart_upload(
        &self,
        request: S3Request<dto::CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CompleteMultipartUploadOutput>> {
        let caller = self.caller(&request);
        let mut input = request.input;
        let object = async {
            let name = present(&input.bucket, &request.headers)?;
            let named =
                input.multipart_upload.take().and_then(|parts| parts.parts).unwrap_or_default();
            let complete = Complete {
                parts: once(named.into_iter().map(named_part).collect::<Result<_>>()?),
                conditions: Conditions {
                    if_match: convert::etag_match(input.if_match.take()),
                    if_none_match: convert::etag_match(input.if_none_match.take()),
                    ..Conditions::default()
                },
                checksum: convert::one_sum(sums!(input))?,
                full_object: is_full(input.checksum_type.as_ref())?,
                size: input.mpu_object_size.and_then(|size| u64::try_from(size).ok()),
                customer: encryption::Customer::of(&request.headers).key()?,
            };
            self.core
                .complete_upload(&caller, (&name, &input.key), &input.upload_id, &complete)
                .await
        };
        let Placed { object, expires } = object.await.map_err(told)?;
        let host = header(&request.headers, "host").unwrap_or_default();
        let mut output = dto::CompleteMultipartUploadOutput {
            e_tag: Some(convert::etag(&object)),
            location: Some(format!("http://{host}/{}/{}", input.bucket, encoded(&input.key, true))),
            bucket: Some(input.bucket),
            key: Some(input.key),
            expiration: lifecycle::header(expires.as_ref()),
            version_id: version_id(&object),
            ..Default::default()
        };
        let mut shown = convert::Shown::of(object.checksum.as_ref(), object.part_count);
        show!(shown => output);
        output.checksum_type = shown.kind;
        let mut answer = S3Response::new(output);
        encryption::show(object.encryption.as_ref(), &mut answer.headers);
        Ok(answer)
    }

    pub(super) async fn abort_multipart_upload(
        &self,
        request: S3Request<dto::AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::AbortMultipartUploadOutput>> {
        let caller = self.caller(&request);
        let input = request.input;
        let name = present(&input.bucket, &request.headers).map_err(told)?;
        let aborted = self.core.abort_upload(&caller, (&name, &input.key), &input.upload_id);
        aborted.await.map_err(told)?;
        Ok(S3Response::new(dto::AbortMultipartUploadOutput::default()))
    }

    pub(super) async fn list_parts(
        &self,
        request: S3Request<dto::ListPartsInput>,
    ) -> S3Result<S3Response<dto::ListPartsOutput>> {
        let caller = self.caller(&request);
        let input = request.input;
        let listed = async {
            let name = present(&input.bucket, &request.headers)?;
            let max = convert::page_max(input.max_parts)?;
            let after = input.part_number_marker.and_then(|after| u32::try_from(after).ok());
            let (key, id) = (&input.key[..], &input.upload_id[..]);
            let page =
                self.core.list_parts(&caller, (&name, key), id, after.unwrap_or(0), max).await?;
            Ok((page, max))
        };
        let (page, max) = listed.await.map_err(told)?;
        let (algorithm, kind) = checksum_of(&page.upload);
        let last = page.parts.last().and_then(|(number, _)| i32::try_from(*number).ok());
        let parts: Vec<dto::Part> = page
            .parts
            .into_iter()
            .map(|(number, part)| {
                let mut shown = of_part(&part);
                let mut output = dto::Part {
                    e_tag: Some(etag(&part)),
                    last_modified: Some(convert::shown(part.modified)),
                    part_number: i32::try_from(number).ok(),
                    size: Some(convert::signed(part.size)),
                    ..Default::default()
                };
                show!(shown => output);
                output
            })
            .collect();
        let storage_class = page.upload.object.header(|headers| &headers.storage_class);
        Ok(S3Response::new(dto::ListPartsOutput {
            abort_date: page.aborts.as_ref().map(|aborts| convert::timestamp(aborts.at)),
            abort_rule_id: page.aborts.map(|aborts| aborts.rule),
            bucket: Some(input.bucket),
            checksum_algorithm: algorithm,
            checksum_type: kind,
            initiator: Some(convert::initiator(&page.upload.initiator)),
            is_truncated: Some(page.truncated),
            key: Some(input.key),
            max_parts: i32::try_from(max).ok(),
            next_part_number_marker: last.or(Some(0)),
            owner: Some(convert::owner(&page.upload.object.owner)),
            part_number_marker: Some(input.part_number_marker.unwrap_or(0)),
            parts: some(parts),
            storage_class: Some(storage_class.unwrap_or_else(|| "STANDARD".to_owned()).into()),
            upload_id: Some(input.upload_id),
            ..Default::default()
        }))
    }

    pub(super) async fn list_multipart_uploads(
        &self,
        request: S3Request<dto::ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<dto::ListMultipartUploadsOutput>> {
        let caller = self.caller(&request);
        let input = request.input;
        let listed = async {
            let name = present(&input.bucket, &request.headers)?;
            let list = List {
                prefix: input.prefix.clone().unwrap_or_default(),
                delimiter: input.delimiter.clone().unwrap_or_default(),
                after: input.key_marker.clone().unwrap_or_default(),
                max: convert::page_max(input.max_uploads)?,
            };
            let url = convert::is_url(input.encoding_type.as_ref())?;
            let after = input.upload_id_marker.as_deref().filter(|marker| !marker.is_empty());
            let page = self.core.list_uploads(&caller, &name, &list, after).await?;
            Ok((page, list, url))
        };
        let (page, list, url) = listed.await.map_err(told)?;
        let uploads = page.uploads.into_iter().map(|(key, id, upload)| {
            let (algorithm, kind) = checksum_of(&upload);
            let class = upload.object.header(|headers| &headers.storage_class);
            dto::MultipartUpload {
                checksum_algorithm: algorithm,
                checksum_type: kind,
                initiated: Some(convert::shown(upload.initiated)),
                initiator: Some(convert::initiator(&upload.initiator)),
                key: Some(encoded(&key, url)),
                owner: Some(convert::owner(&upload.object.owner)),
                storage_class: Some(class.unwrap_or_else(|| "STANDARD".to_owned()).into()),
                upload_id: Some(id),
            }
        });
        let prefixes = page.prefixes.iter();
        let prefixes =
            prefixes.map(|prefix| dto::CommonPrefix { prefix: Some(encoded(prefix, url)) });
        let (next_key, next_id) = page.next.clone().unzip();
        Ok(S3Response::new(dto::ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            common_prefixes: some(prefixes.collect()),
            delimiter: input
                .delimiter
                .filter(|text| !text.is_empty())
                .map(|text| encoded(&text, url)),
            encoding_type: input.encoding_type,
            is_truncated: Some(page.next.is_some()),
            key_marker: Some(encoded(&list.after, url)),
            max_uploads: i32::try_from(list.max).ok(),
            next_key_marker: next_key.map(|key| encoded(&key, url)),
            next_upload_id_marker: next_id,
            prefix: Some(encoded(&list.prefix, url)),
            request_charged: None,
            upload_id_marker: Some(input.upload_id_marker.unwrap_or_default()),
            uploads: some(uploads.collect()),
        }))
    }
}

fn named_part(part: dto::CompletedPart) -> Result<NamedPart> {
    let malformed = |why: &str| Error::new(Code::MalformedXML, why);
    Ok(NamedPart {
        number: number(part.part_number.ok_or_else(|| malformed("a part has no number"))?)?,
        checksum: convert::one_sum(sums!(part))?,
        etag: part.e_tag.ok_or_else(|| malformed("a part has no entity tag"))?.into_value(),
    })
}

fn number(number: i32) -> Result<u32> {
    let invalid = |_| Error::new(Code::InvalidArgument, format!("{number} is no number of a part"));
    u32::try_from(number).map_err(invalid)
}

fn algorithm(said: Option<&dto::ChecksumAlgorithm>) -> Result<Option<Algorithm>> {
    let Some(name) = said.map(dto::ChecksumAlgorithm::as_str) else { return Ok(None) };
    let unknown = || Error::new(Code::InvalidRequest, format!("{name:?} is no checksum algorithm"));
    Algorithm::named(name).map(Some).ok_or_else(unknown)
}

fn is_full(kind: Option<&dto::ChecksumType>) -> Result<Option<bool>> {
    match kind.map(dto::ChecksumType::as_str) {
        None => Ok(None),
        Some(dto::ChecksumType::FULL_OBJECT) => Ok(Some(true)),
        Some(dto::ChecksumType::COMPOSITE) => Ok(Some(false)),
        Some(kind) => {
            Err(Error::new(Code::InvalidRequest, format!("{kind:?} is no checksum type")))
        }
    }
}

/// The parts without those that are named anew right after: what was uploaded last counts.
fn once(mut parts: Vec<NamedPart>) -> Vec<NamedPart> {
    parts.dedup_by(|later, earlier| {
        let same = later.number == earlier.number;
        if same {
            std::mem::swap(later, earlier);
        }
        same
    });
    parts
}

/// A range of a source: `bytes=0-9`, both included.
fn copy_range(text: &str) -> Result<(u64, u64)> {
    let range = text.strip_prefix("bytes=").and_then(|range| {
        let (first, last) = range.split_once('-')?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(first) || !digits(last) {
            return None;
        }
        Some((first.parse().ok()?, last.parse().ok()?))
    });
    range
        .filter(|(first, last)| first <= last)
        .ok_or_else(|| Error::new(Code::InvalidArgument, format!("{text:?} is no range of bytes")))
}

fn etag(part: &Part) -> dto::ETag {
    dto::ETag::Strong(crate::record::hex(&part.md5))
}

fn of_part(part: &Part) -> convert::Shown {
    let checksum = part.checksum.as_ref();
    checksum.map_or_else(convert::Shown::default, |sum| {
        convert::Shown::of_bytes(sum.algorithm(), &sum.value)
    })
}

fn checksum_of(upload: &Upload) -> (Option<dto::ChecksumAlgorithm>, Option<dto::ChecksumType>) {
    if !upload.algorithm_said {
        return (None, None);
    }
    let kind = if upload.full_object {
        dto::ChecksumType::FULL_OBJECT
    } else {
        dto::ChecksumType::COMPOSITE
    };
    let algorithm = upload.algorithm().name().to_owned();
    (Some(algorithm.into()), Some(dto::ChecksumType::from_static(kind)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_part_that_is_named_again_the_last_counts() {
        type Parts = &'static [(u32, &'static str)];
        let cases: [(Parts, Parts); 4] = [
            (&[], &[]),
            (&[(1, "a"), (2, "b")], &[(1, "a"), (2, "b")]),
            (&[(1, "a"), (1, "b"), (1, "c"), (3, "d")], &[(1, "c"), (3, "d")]),
            (&[(1, "a"), (2, "b"), (1, "c")], &[(1, "a"), (2, "b"), (1, "c")]),
        ];
        for (named, expected) in cases {
            let part = |(number, etag): &(u32, &str)| {
                let part = dto::CompletedPart {
                    part_number: Some(i32::try_from(*number).unwrap()),
                    e_tag: Some(dto::ETag::Strong((*etag).to_owned())),
                    ..Default::default()
                };
                named_part(part).unwrap()
            };
            let parts = once(named.iter().map(part).collect());
            let found: Vec<_> = parts.iter().map(|part| (part.number, &part.etag[..])).collect();
            assert_eq!(found, expected, "{named:?}");
        }
    }

    #[test]
    fn a_range_of_a_source_has_both_ends() {
        let cases = [
            ("bytes=0-9", Some((0, 9))),
            ("bytes=5-5", Some((5, 5))),
            ("bytes=9-0", None),
            ("bytes=0-", None),
            ("bytes=-5", None),
            ("bytes=+1-5", None),
            ("0-9", None),
            ("bytes=a-b", None),
            ("bytes=0-9,11-12", None),
        ];
        for (text, expected) in cases {
            assert_eq!(copy_range(text).ok(), expected, "{text}");
        }
    }
}
