//! Buckets: made, listed, deleted.

use storage_txn::Scan;

use crate::error::{Code, Error, Result};
use crate::layout::{self, DataId};
use crate::op::acl::AclWish;
use crate::op::action;
use crate::op::caller::Caller;
use crate::op::{Core, Moment, View, now, put};
use crate::record::{Bucket, ObjectLock, Part, Versioning, decode};

/// Buckets are deleted with as many uploads under way at most; more have to be ended before.
const UPLOADS_ENDED_MAX: usize = 10_000;

/// A page of a listing of buckets.
#[derive(Debug, Default)]
pub(crate) struct BucketPage {
    pub(crate) buckets: Vec<(String, Bucket)>,
    /// There are more, after this name.
    pub(crate) next: Option<String>,
}

impl Core {
    /// Makes a bucket.
    ///
    /// # Errors
    ///
    /// [`Code::InvalidBucketName`], [`Code::AccessDenied`], [`Code::BucketAlreadyExists`],
    /// [`Code::BucketAlreadyOwnedByYou`], [`Code::TooManyBuckets`].
    pub(crate) async fn create_bucket(
        &self,
        caller: &Caller,
        name: &str,
        acl: &AclWish,
        (ownership, lock): (&str, bool),
    ) -> Result<()> {
        check_name(name)?;
        let owner = &caller.may_create(name)?;
        // Not in the transaction: buckets that are made at once would be in each other's way.
        let own = self.list_buckets(caller, "", None, usize::MAX).await?.buckets;
        let own = own.iter().filter(|(_, bucket)| bucket.owner.id == owner.id).count();
        if own >= self.options.buckets_max {
            let there =
                View::At(&self.snapshot(Moment::Now).await?).get(&layout::bucket(name)).await?;
            if there.is_none() {
                return Err(Code::TooManyBuckets.into());
            }
        }
        self.transact(move |transaction| async move {
            let view = View::Inside(&transaction);
            if let Some(there) = view.get(&layout::bucket(name)).await? {
                let there: Bucket = decode(there)?;
                // Who asks for it again just so may go on; who asks for another list must hear that it has none of it.
                let same = there.owner.id == owner.id && there.acl == acl.resolve(owner, owner);
                // So it has always been in the first region, and scripts rely on it.
                if same && self.options.region == "us-east-1" {
                    return Ok(());
                }
                let code =
                    if same { Code::BucketAlreadyOwnedByYou } else { Code::BucketAlreadyExists };
                return Err(code.into());
            }
            let bucket = Bucket {
                owner: owner.clone(),
                created: now(),
                acl: acl.resolve(owner, owner),
                object_ownership: ownership.to_owned(),
                versioning: if lock { Versioning::Enabled } else { Versioning::Never } as i32,
                object_lock: lock.then(ObjectLock::default),
                ..Bucket::default()
            };
            put(&transaction, &layout::bucket(name), &bucket)
        })
        .await
    }

    /// The bucket, if it is there and the caller may list it.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`], [`Code::AccessDenied`].
    pub(crate) async fn head_bucket(
        &self,
        caller: &Caller,
        name: &str,
        moment: Moment,
    ) -> Result<Bucket> {
        let bucket = self.open(name, moment).await?.bucket;
        caller.may(action::LIST, name, &bucket)?;
        Ok(bucket)
    }

    /// Deletes an empty bucket. Uploads under way end.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`], [`Code::AccessDenied`], [`Code::BucketNotEmpty`].
    pub(crate) async fn delete_bucket(&self, caller: &Caller, name: &str) -> Result<()> {
        self.transact(move |transaction| async move {
            let view = View::Inside(&transaction);
            let bucket = view.bucket(name).await?;
            caller.may(action::DELETE_BUCKET, name, &bucket)?;
            let full = !view.scan(layout::objects(name), 1).await?.is_empty()
                || !view.scan(layout::versions(name), 1).await?.is_empty();
            if full {
                return Err(Code::BucketNotEmpty.into());
            }
            let uploads = view.scan(layout::uploads(name), UPLOADS_ENDED_MAX + 1).await?;
            if uploads.len() > UPLOADS_ENDED_MAX {
                let why = format!("the bucket has more than {UPLOADS_ENDED_MAX} uploads under way");
                return Err(Error::new(Code::BucketNotEmpty, why));
            }
            for upload in uploads {
                let Some((_, id)) = layout::upload_parts(name, &upload.key) else { continue };
                end_parts(&view, &transaction, &id).await?;
                transaction.delete(&upload.key)?;
            }
            Ok(transaction.delete(layout::bucket(name))?)
        })
        .await
    }

    /// The buckets that the caller has, or has a right to, in the order of their names.
    ///
    /// # Errors
    ///
    /// [`Code::AccessDenied`], for somebody without a key.
    pub(crate) async fn list_buckets(
        &self,
        caller: &Caller,
        prefix: &str,
        after: Option<&str>,
        max: usize,
    ) -> Result<BucketPage> {
        // Nobody has no buckets.
        if caller.key.is_none() {
            return Ok(BucketPage::default());
        }
        let snapshot = self.snapshot(Moment::Now).await?;
        let mut range = layout::buckets();
        range.start = layout::bucket(prefix);
        if let Some(after) = after {
            range.start = range.start.max([&layout::bucket(after)[..], b"\0"].concat());
        }
        range.end = layout::after_prefix(&layout::bucket(prefix));
        let mut page = BucketPage::default();
        if range.is_empty() {
            return Ok(page);
        }
        let mut items = snapshot.scan(&Scan::new(range)).await?;
        while let Some(item) = items.next().await? {
            let Some(name) = layout::bucket_name(&item.key).map(str::to_owned) else { continue };
            let bucket: Bucket = decode(item.value)?;
            if !caller.sees(&name, &bucket) {
                continue;
            }
            if page.buckets.len() == max {
                page.next = page.buckets.last().map(|(name, _)| name.clone());
                break;
            }
            page.buckets.push((name, bucket));
        }
        Ok(page)
    }
}

/// Ends what an upload has: its parts and their bytes.
pub(crate) async fn end_parts(
    view: &View<'_>,
    transaction: &storage_txn::Transaction,
    upload: &DataId,
) -> Result<()> {
    let range = layout::parts(upload);
    for part in view.scan(range.clone(), usize::MAX).await? {
        let part: Part = decode(part.value)?;
        for id in part.pieces.iter().filter_map(crate::record::Piece::id) {
            transaction.delete(layout::data(&id))?;
        }
    }
    Ok(transaction.delete_range(range)?)
}

/// # Errors
///
/// [`Code::InvalidBucketName`].
fn check_name(name: &str) -> Result<()> {
    let edge = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let inner = |byte: u8| edge(Some(&byte)) || byte == b'-' || byte == b'.';
    let bytes = name.as_bytes();
    let good = (3..=63).contains(&bytes.len())
        && bytes.iter().copied().all(inner)
        && edge(bytes.first())
        && edge(bytes.last())
        && ["..", ".-", "-."].iter().all(|pair| !name.contains(pair))
        && name.parse::<std::net::Ipv4Addr>().is_err()
        && !name.starts_with("xn--")
        && !name.ends_with("-s3alias");
    if good { Ok(()) } else { Err(Code::InvalidBucketName.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_buckets_are_those_that_s3_has() {
        let long = "a".repeat(63);
        for good in ["abc", "a-b", "a.b", "1bc", "a1b2", "foo-bar.baz", &long] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        let longer = "a".repeat(64);
        for bad in [
            "ab",
            "",
            "Abc",
            "a_b",
            "-ab",
            "ab-",
            ".ab",
            "ab.",
            "a..b",
            "a.-b",
            "a-.b",
            "192.168.5.4",
            "a b",
            "a/b",
            "a@b",
            "xn--abc",
            "äbc",
            &longer,
        ] {
            assert_eq!(check_name(bad).unwrap_err().code(), Some(Code::InvalidBucketName), "{bad}");
        }
    }
}
