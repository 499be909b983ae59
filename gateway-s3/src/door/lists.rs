//! Requests for listings of objects and versions.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use s3s::{S3Request, S3Response, S3Result, dto};

use crate::door::convert::{self, encoded};
use crate::door::refuse::told;
use crate::door::{Inner, place};
use crate::error::{Code, Error, Result};
use crate::op::list::{Entry, List};
use crate::op::list_versions::VersionEntry;
use crate::op::object::Which;
use crate::record::Object;

impl Inner {
    pub(super) async fn list_objects(
        &self,
        request: S3Request<dto::ListObjectsInput>,
    ) -> S3Result<S3Response<dto::ListObjectsOutput>> {
        let caller = self.caller(&request);
        let input = request.input;
        let listed = async {
            let (name, moment) = place(&input.bucket, &request.headers)?;
            let list = List {
                prefix: input.prefix.clone().unwrap_or_default(),
                delimiter: input.delimiter.clone().unwrap_or_default(),
                after: input.marker.clone().unwrap_or_default(),
                max: convert::page_max(input.max_keys)?,
            };
            let url = convert::is_url(input.encoding_type.as_ref())?;
            let page = self.core.list_objects(&caller, (&name, moment), &list).await?;
            Ok((page, list, url))
        };
        let (page, list, url) = listed.await.map_err(told)?;
        let last = page.entries.last().map(|entry| encoded(entry.name(), url));
        let next_marker = last.filter(|_| page.truncated && !list.delimiter.is_empty());
        let (contents, prefixes) = split(page.entries, url, true);
        Ok(S3Response::new(dto::ListObjectsOutput {
            name: Some(input.bucket),
            // Not all clients decode it, and all read a line break.
            prefix: Some(encoded(&list.prefix, url).replace("%0A", "\n")),
            marker: Some(encoded(&list.after, url)),
            max_keys: i32::try_from(list.max).ok(),
            is_truncated: Some(page.truncated),
            contents,
            common_prefixes: prefixes,
            delimiter: input
                .delimiter
                .filter(|text| !text.is_empty())
                .map(|text| encoded(&text, url)),
            next_marker,
            encoding_type: input.encoding_type,
            request_charged: None,
        }))
    }

    pub(super) async fn list_objects_v2(
        &self,
        request: S3Request<dto::ListObjectsV2Input>,
    ) -> S3Result<S3Response<dto::ListObjectsV2Output>> {
        let caller = self.caller(&request);
        let input = request.input;
        let listed = async {
            let (name, moment) = place(&input.bucket, &request.headers)?;
            let start = input.start_after.clone().unwrap_or_default();
            let token = input.continuation_token.as_deref().filter(|token| !token.is_empty());
            let after = match token {
                Some(token) => untoken(token)?,
                None => start,
            };
            let list = List {
                prefix: input.prefix.clone().unwrap_or_default(),
                delimiter: input.delimiter.clone().unwrap_or_default(),
                after,
                max: convert::page_max(input.max_keys)?,
            };
            let url = convert::is_url(input.encoding_type.as_ref())?;
            let page = self.core.list_objects(&caller, (&name, moment), &list).await?;
            Ok((page, list, url))
        };
        let (page, list, url) = listed.await.map_err(told)?;
        let last = page.entries.last().map(|entry| token(entry.name()));
        let count = page.entries.len();
        let (contents, prefixes) = split(page.entries, url, input.fetch_owner.unwrap_or(false));
        Ok(S3Response::new(dto::ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(encoded(&list.prefix, url)),
            max_keys: i32::try_from(list.max).ok(),
            key_count: i32::try_from(count).ok(),
            continuation_token: input.continuation_token,
            is_truncated: Some(page.truncated),
            next_continuation_token: last.filter(|_| page.truncated),
            contents,
            common_prefixes: prefixes,
            delimiter: input
                .delimiter
                .filter(|text| !text.is_empty())
                .map(|text| encoded(&text, url)),
            encoding_type: input.encoding_type,
            start_after: input.start_after.map(|text| encoded(&text, url)),
            request_charged: None,
        }))
    }

    pub(super) async fn list_object_versions(
        &self,
        request: S3Request<dto::ListObjectVersionsInput>,
    ) -> S3Result<S3Response<dto::ListObjectVersionsOutput>> {
        let caller = self.caller(&request);
        let input = request.input;
        let listed = async {
            let (name, moment) = place(&input.bucket, &request.headers)?;
            let list = List {
                prefix: input.prefix.clone().unwrap_or_default(),
                delimiter: input.delimiter.clone().unwrap_or_default(),
                after: input.key_marker.clone().unwrap_or_default(),
                max: convert::page_max(input.max_keys)?,
            };
            let url = convert::is_url(input.encoding_type.as_ref())?;
            let marker = input.version_id_marker.as_deref().filter(|marker| !marker.is_empty());
            if marker.is_some() && list.after.is_empty() {
                let why = "a version id to begin after needs the key that it is of";
                return Err(Error::new(Code::InvalidArgument, why));
            }
            let after = marker.map(|marker| Which::parse(Some(marker))).transpose()?;
            let page = self.core.list_versions(&caller, (&name, moment), &list, after).await?;
            Ok((page, list, url))
        };
        let (page, list, url) = listed.await.map_err(told)?;
        let next = page.entries.last().filter(|_| page.truncated);
        let (next_key_marker, next_version_id_marker) = match next {
            Some(VersionEntry::Version { key, object, .. }) => {
                (Some(encoded(key, url)), Some(object.version_id()))
            }
            Some(VersionEntry::Prefix(prefix)) => (Some(encoded(prefix, url)), None),
            None => (None, None),
        };
        let (mut versions, mut markers, mut prefixes) = (Vec::new(), Vec::new(), Vec::new());
        for entry in page.entries {
            match entry {
                VersionEntry::Prefix(prefix) => {
                    prefixes.push(dto::CommonPrefix { prefix: Some(encoded(&prefix, url)) });
                }
                VersionEntry::Version { key, object, latest } if object.delete_marker => {
                    markers.push(dto::DeleteMarkerEntry {
                        is_latest: Some(latest),
                        key: Some(encoded(&key, url)),
                        last_modified: Some(convert::shown(object.modified)),
                        owner: Some(convert::owner(&object.owner)),
                        version_id: Some(object.version_id()),
                    });
                }
                VersionEntry::Version { key, object, latest } => {
                    let shown = convert::Shown::of(object.checksum.as_ref(), object.part_count);
                    versions.push(dto::ObjectVersion {
                        checksum_algorithm: shown.algorithm.map(|algorithm| vec![algorithm]),
                        checksum_type: shown.kind,
                        e_tag: Some(convert::etag(&object)),
                        is_latest: Some(latest),
                        key: Some(encoded(&key, url)),
                        last_modified: Some(convert::shown(object.modified)),
                        owner: Some(convert::owner(&object.owner)),
                        restore_status: None,
                        size: Some(convert::signed(object.size)),
                        storage_class: Some(class(&object).into()),
                        version_id: Some(object.version_id()),
                    });
                }
            }
        }
        Ok(S3Response::new(dto::ListObjectVersionsOutput {
            common_prefixes: some(prefixes),
            delete_markers: some(markers),
            delimiter: input
                .delimiter
                .filter(|text| !text.is_empty())
                .map(|text| encoded(&text, url)),
            encoding_type: input.encoding_type,
            is_truncated: Some(page.truncated),
            key_marker: Some(encoded(&list.after, url)),
            max_keys: i32::try_from(list.max).ok(),
            name: Some(input.bucket),
            next_key_marker,
            next_version_id_marker,
            prefix: Some(encoded(&list.prefix, url)),
            request_charged: None,
            version_id_marker: Some(input.version_id_marker.unwrap_or_default()),
            versions: some(versions),
        }))
    }
}

fn split(
    entries: Vec<Entry>,
    url: bool,
    owners: bool,
) -> (Option<Vec<dto::Object>>, Option<Vec<dto::CommonPrefix>>) {
    let (mut objects, mut prefixes) = (Vec::new(), Vec::new());
    for entry in entries {
        match entry {
            Entry::Prefix(prefix) => {
                prefixes.push(dto::CommonPrefix { prefix: Some(encoded(&prefix, url)) });
            }
            Entry::Object(key, object) => {
                let shown = convert::Shown::of(object.checksum.as_ref(), object.part_count);
                objects.push(dto::Object {
                    checksum_algorithm: shown.algorithm.map(|algorithm| vec![algorithm]),
                    checksum_type: shown.kind,
                    e_tag: Some(convert::etag(&object)),
                    key: Some(encoded(&key, url)),
                    last_modified: Some(convert::shown(object.modified)),
                    owner: owners.then(|| convert::owner(&object.owner)),
                    restore_status: None,
                    size: Some(convert::signed(object.size)),
                    storage_class: Some(class(&object).into()),
                });
            }
        }
    }
    (some(objects), some(prefixes))
}

fn class(object: &Object) -> String {
    object.header(|headers| &headers.storage_class).unwrap_or_else(|| "STANDARD".to_owned())
}

pub(super) fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// Where the next page begins, as clients hand it back.
fn token(after: &str) -> String {
    URL_SAFE_NO_PAD.encode(after)
}

fn untoken(token: &str) -> Result<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let text =
        bytes.and_then(|bytes| String::from_utf8(bytes).ok()).filter(|text| !text.is_empty());
    text.ok_or_else(|| Error::new(Code::InvalidArgument, "the continuation token is none of ours"))
}
