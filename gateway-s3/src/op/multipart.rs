//! Multipart uploads: begun, given parts, listed, ended.

mod complete;
mod part;

pub(crate) use complete::{Complete, NamedPart, complete_in};
pub(crate) use part::CopyPart;

use storage_txn::Scan;

use crate::error::{Code, Error, Result};
use crate::layout::{self, DataId};
use crate::op::action;
use crate::op::bucket::end_parts;
use crate::op::caller::Caller;
use crate::op::lifecycle::{self, Expires};
use crate::op::list::List;
use crate::op::put::{Description, check_key};
use crate::op::{Core, Moment, View, new_id, now, put};
use crate::record::{Algorithm, Encryption, Owner, Part, Upload, decode, hex, unhex};

/// The most parts of an upload, and the highest number of one.
pub(crate) const PARTS_MAX: u32 = 10_000;

/// Which checksums an upload is to have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ChecksumWish {
    pub(crate) algorithm: Option<Algorithm>,
    /// Of the whole bytes, or of those of the parts; as usual for the algorithm if it was not said.
    pub(crate) full_object: Option<bool>,
}

/// An upload that was begun.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) id: String,
    pub(crate) full_object: bool,
    pub(crate) encryption: Option<Encryption>,
    /// When it ends by a rule of its bucket, if it is not completed before.
    pub(crate) aborts: Option<Expires>,
}

/// A page of a listing of uploads.
#[derive(Debug, Default)]
pub(crate) struct UploadPage {
    pub(crate) uploads: Vec<(String, String, Upload)>,
    pub(crate) prefixes: Vec<String>,
    /// There are more, after this key and upload.
    pub(crate) next: Option<(String, String)>,
}

/// A page of a listing of parts.
#[derive(Debug)]
pub(crate) struct PartPage {
    pub(crate) upload: Upload,
    /// When the upload ends by a rule of its bucket, if it is not completed before.
    pub(crate) aborts: Option<Expires>,
    pub(crate) parts: Vec<(u32, Part)>,
    pub(crate) truncated: bool,
}

impl ChecksumWish {
    /// # Errors
    ///
    /// [`Code::InvalidRequest`].
    fn full_object(self) -> Result<bool> {
        let Some(algorithm) = self.algorithm else { return Ok(false) };
        let sha = matches!(algorithm, Algorithm::Sha1 | Algorithm::Sha256);
        let nvme = algorithm == Algorithm::Crc64Nvme;
        match self.full_object {
            Some(true) if sha => Err(Error::new(
                Code::InvalidRequest,
                format!("a {} of the whole cannot be told from those of parts", algorithm.name()),
            )),
            Some(false) if nvme => {
                Err(Error::new(Code::InvalidRequest, "a CRC64NVME is always that of the whole"))
            }
            Some(full) => Ok(full),
            None => Ok(nvme),
        }
    }
}

impl Core {
    /// Begins an upload: its id.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`], [`Code::AccessDenied`], [`Code::InvalidRequest`].
    pub(crate) async fn create_upload(
        &self,
        caller: &Caller,
        (name, key): (&str, &str),
        description: &Description,
        wish: ChecksumWish,
    ) -> Result<Begun> {
        check_key(key)?;
        let full_object = wish.full_object()?;
        let id = new_id()?;
        let begun = self.transact(move |transaction| async move {
            let bucket = View::Inside(&transaction).bucket(name).await?;
            caller.may_key(action::PUT, (name, key), &bucket, None)?;
            let owner = caller.owner().unwrap_or_else(|| bucket.owner.clone());
            let sealing = self.sealing(&description.encryption, bucket.encryption.as_ref())?;
            let mut object = description.clone().object(&bucket, owner.clone())?;
            object.encryption = sealing.map(|sealing| sealing.encryption);
            let encryption = object.encryption.clone();
            let initiated = now();
            let upload = Upload {
                object,
                initiated,
                initiator: owner,
                algorithm: wish.algorithm.unwrap_or(Algorithm::Unknown) as i32,
                full_object,
                algorithm_said: wish.algorithm.is_some(),
            };
            put(&transaction, &layout::upload(name, key, &id), &upload)?;
            let aborts = lifecycle::aborts(&bucket.lifecycle, key, initiated);
            Ok(Begun { id: hex(&id), full_object, encryption, aborts })
        });
        begun.await
    }

    /// Ends an upload, and lets go of its parts.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`], [`Code::NoSuchUpload`], [`Code::AccessDenied`].
    pub(crate) async fn abort_upload(
        &self,
        caller: &Caller,
        (name, key): (&str, &str),
        id: &str,
    ) -> Result<()> {
        self.transact(move |transaction| async move {
            let view = View::Inside(&transaction);
            let bucket = view.bucket(name).await?;
            let (id, upload) = view.upload(name, key, id).await?;
            if !caller.is(&upload.initiator) {
                caller.may_key(action::ABORT_UPLOAD, (name, key), &bucket, None)?;
            }
            end_parts(&view, &transaction, &id).await?;
            Ok(transaction.delete(layout::upload(name, key, &id))?)
        })
        .await
    }

    /// A page of the parts of an upload, by number.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`], [`Code::NoSuchUpload`], [`Code::AccessDenied`].
    pub(crate) async fn list_parts(
        &self,
        caller: &Caller,
        (name, key): (&str, &str),
        id: &str,
        after: u32,
        max: usize,
    ) -> Result<PartPage> {
        let opened = self.open(name, Moment::Now).await?;
        let view = View::At(&opened.snapshot);
        let (id, upload) = view.upload(name, key, id).await?;
        if !caller.is(&upload.initiator) {
            caller.may_key(action::LIST_PARTS, (name, key), &opened.bucket, None)?;
        }
        let range = layout::part(&id, after.saturating_add(1))..layout::parts(&id).end;
        let mut items = view.scan(range, max + 1).await?;
        let truncated = items.len() > max;
        items.truncate(max);
        let part = |item: storage_txn::Item| {
            let number = layout::part_number(&item.key).ok_or(Code::InternalError)?;
            Ok((number, decode(item.value)?))
        };
        let parts = items.into_iter().map(part).collect::<Result<Vec<_>>>()?;
        let aborts = lifecycle::aborts(&opened.bucket.lifecycle, key, upload.initiated);
        Ok(PartPage { upload, aborts, parts, truncated })
    }

    /// A page of the uploads under way in a bucket: after the one of this id of the key that `list` is after, if any.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`], [`Code::AccessDenied`].
    pub(crate) async fn list_uploads(
        &self,
        caller: &Caller,
        name: &str,
        list: &List,
        after: Option<&str>,
    ) -> Result<UploadPage> {
        let opened = self.open(name, Moment::Now).await?;
        caller.may(action::LIST_UPLOADS, name, &opened.bucket)?;
        let mut page = UploadPage::default();
        let mut range = layout::uploads(name);
        range.start = layout::uploads_from(name, &list.prefix);
        range.end = layout::after_prefix(&layout::uploads_from(name, &list.prefix));
        if !list.after.is_empty() {
            let id = after.and_then(parse_id);
            let start = match id {
                Some(id) => [&layout::upload(name, &list.after, &id)[..], b"\0"].concat(),
                None => layout::uploads_after(name, &list.after),
            };
            range.start = range.start.max(start);
        }
        if range.is_empty() || list.max == 0 {
            return Ok(page);
        }
        let mut items = opened.snapshot.scan(&Scan::new(range)).await?;
        let mut last = (String::new(), String::new());
        while let Some(item) = items.next().await? {
            let (key, id) = layout::upload_parts(name, &item.key).ok_or(Code::InternalError)?;
            let common = list.common_prefix(&key).map(str::to_owned);
            if common.is_some() && common.as_ref() == page.prefixes.last() {
                last = (key, hex(&id));
                continue;
            }
            if page.uploads.len() + page.prefixes.len() == list.max {
                page.next = Some(last);
                break;
            }
            last = (key.clone(), hex(&id));
            match common {
                Some(common) => page.prefixes.push(common),
                None => page.uploads.push((key, hex(&id), decode(item.value)?)),
            }
        }
        Ok(page)
    }
}

impl View<'_> {
    /// An upload under way.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchUpload`].
    async fn upload(&self, bucket: &str, key: &str, id: &str) -> Result<(DataId, Upload)> {
        let none = || Error::from(Code::NoSuchUpload);
        let id = parse_id(id).ok_or_else(none)?;
        let upload = self.get(&layout::upload(bucket, key, &id)).await?;
        Ok((id, decode(upload.ok_or_else(none)?)?))
    }
}

/// Who may give parts to an upload and complete it: who may write to the bucket.
fn may_write(
    caller: &Caller,
    place: (&str, &str),
    bucket: &crate::record::Bucket,
) -> Result<Owner> {
    caller.may_key(action::PUT, place, bucket, None)?;
    Ok(caller.owner().unwrap_or_else(|| bucket.owner.clone()))
}

fn parse_id(id: &str) -> Option<DataId> {
    unhex(id)?.try_into().ok()
}
