//! Versions of objects: which there are, how one takes the place of another, and what becomes of their bytes.
//!
//! The newest version of a key stands under the key itself, unless it is a delete marker. All others, and delete
//! markers, stand under the key and their place in the order. So the present is one range of keys, and whatever
//! changes the newest version has to keep this rule.

use bytes::Bytes;
use storage_txn::Transaction;

use crate::error::{Code, Error, Result};
use crate::layout::{self, DataId};
use crate::op::lifecycle::{self, Expires};
use crate::op::{View, new_id, now, put, random};
use crate::record::{Bucket, Manifest, Object, Owner, Piece, Versioning, decode, parse_version};

/// So many pieces stand in the record of an object; more have a record of their own.
const PIECES_INLINE_MAX: usize = 16;

/// An object in a bucket, in a transaction that may change it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot<'a> {
    pub(crate) transaction: &'a Transaction,
    pub(crate) bucket: &'a str,
    pub(crate) key: &'a str,
}

/// An object that was put.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Placed {
    pub(crate) object: Object,
    /// When it goes by a rule of its bucket.
    pub(crate) expires: Option<Expires>,
}

/// Which version of an object is meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Which {
    #[default]
    Newest,
    Null,
    /// The halves of its id.
    Of(u64, u64),
}

impl Which {
    /// What a client says.
    ///
    /// # Errors
    ///
    /// [`Code::InvalidArgument`].
    pub(crate) fn parse(id: Option<&str>) -> Result<Self> {
        match id {
            None => Ok(Self::Newest),
            Some("null") => Ok(Self::Null),
            Some(id) => match parse_version(id) {
                Some((order, version)) => Ok(Self::Of(order, version)),
                None => Err(Error::new(Code::InvalidArgument, format!("{id:?} is no version id"))),
            },
        }
    }

    pub(crate) fn is(&self, object: &Object) -> bool {
        match self {
            Self::Newest => true,
            Self::Null => object.is_null(),
            Self::Of(order, version) => (object.order, object.version) == (*order, *version),
        }
    }
}

impl Placed {
    /// An object as it is in its bucket.
    pub(crate) fn in_bucket(bucket: &Bucket, key: &str, object: Object) -> Self {
        let expires = lifecycle::expires(&bucket.lifecycle, key, &object);
        Self { object, expires }
    }
}

impl View<'_> {
    /// A version of an object, or a delete marker.
    pub(crate) async fn version(
        &self,
        bucket: &str,
        key: &str,
        which: &Which,
    ) -> Result<Option<Object>> {
        if let Some(newest) = self.object(bucket, key).await?
            && which.is(&newest)
        {
            return Ok(Some(newest));
        }
        let order = match which {
            Which::Newest => return self.newest_but_one(bucket, key).await,
            Which::Null => match self.null_order(bucket, key).await? {
                Some(order) => order,
                None => return Ok(None),
            },
            Which::Of(order, _) => *order,
        };
        let found = self.get(&layout::version(bucket, key, order)).await?;
        let found: Option<Object> = found.map(decode).transpose()?;
        Ok(found.filter(|object| which.is(object)))
    }

    /// A version of an object that is not a delete marker.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchKey`], [`Code::NoSuchVersion`]; [`Code::MethodNotAllowed`] for a delete marker that was asked for
    /// by its id.
    pub(crate) async fn existing(&self, bucket: &str, key: &str, which: &Which) -> Result<Object> {
        let object = match which {
            // Of most buckets there are no other versions; so only where it is missing is more looked at.
            Which::Newest => match self.object(bucket, key).await? {
                Some(object) => Some(object),
                None => self.newest_but_one(bucket, key).await?,
            },
            _ => self.version(bucket, key, which).await?,
        };
        match object {
            Some(marker) if marker.delete_marker => {
                let by_id = *which != Which::Newest;
                let code = if by_id { Code::MethodNotAllowed } else { Code::NoSuchKey };
                Err(Error::from(code)
                    .with_header("x-amz-delete-marker", "true")
                    .with_header("x-amz-version-id", marker.version_id()))
            }
            Some(object) => Ok(object),
            None if *which == Which::Newest => {
                Err(Error::from(Code::NoSuchKey).with_header("x-amz-delete-marker", "false"))
            }
            None => Err(Code::NoSuchVersion.into()),
        }
    }

    /// Where the bytes of an object are.
    pub(crate) async fn pieces(&self, object: &Object) -> Result<Vec<Piece>> {
        let Ok(id) = DataId::try_from(&object.manifest[..]) else {
            return Ok(object.parts.clone());
        };
        let manifest = self.get(&layout::data(&id)).await?;
        let lost = || {
            tracing::error!("the list of parts of an object is not there");
            Error::from(Code::InternalError)
        };
        Ok(decode::<Manifest>(manifest.ok_or_else(lost)?)?.parts)
    }

    /// The newest of the versions that do not stand under the key itself.
    async fn newest_but_one(&self, bucket: &str, key: &str) -> Result<Option<Object>> {
        let found = self.scan(layout::versions_of(bucket, key), 1).await?;
        found.into_iter().next().map(|item| decode(item.value)).transpose()
    }

    async fn null_order(&self, bucket: &str, key: &str) -> Result<Option<u64>> {
        let Some(order) = self.get(&layout::null(bucket, key)).await? else { return Ok(None) };
        let order = order[..].try_into().map_err(|_| Error::from(Code::InternalError))?;
        Ok(Some(u64::from_be_bytes(order)))
    }
}

impl Slot<'_> {
    fn view(&self) -> View<'_> {
        View::Inside(self.transaction)
    }

    /// Makes `object` the newest version, as the versioning of the bucket has it. Its bytes are dealt with already.
    /// Returns it as it was put.
    pub(crate) async fn place(
        &self,
        bucket: &Bucket,
        there: Option<Object>,
        mut object: Object,
    ) -> Result<Placed> {
        object.modified = now();
        object.order = self.next_order(bucket, there.as_ref(), object.modified).await?;
        object.version = self.make_way(bucket, there).await?;
        put(self.transaction, &layout::object(self.bucket, self.key), &object)?;
        Ok(Placed::in_bucket(bucket, self.key, object))
    }

    /// Deletes the object, as the versioning of the bucket has it: the delete marker, where that leaves one.
    pub(crate) async fn delete(
        &self,
        bucket: &Bucket,
        there: Option<Object>,
        owner: &Owner,
    ) -> Result<Option<Object>> {
        let name = layout::object(self.bucket, self.key);
        if bucket.versions() == Versioning::Never {
            if let Some(there) = there {
                self.discard(&there).await?;
                self.transaction.delete(&name)?;
            }
            return Ok(None);
        }
        let modified = now();
        let order = self.next_order(bucket, there.as_ref(), modified).await?;
        let was_there = there.is_some();
        let version = self.make_way(bucket, there).await?;
        if was_there {
            self.transaction.delete(&name)?;
        }
        let owner = owner.clone();
        let marker =
            Object { order, version, modified, delete_marker: true, owner, ..Object::default() };
        self.archive(&marker)?;
        Ok(Some(marker))
    }

    /// Takes one version away for good: what it was. The newest that is left takes its place.
    pub(crate) async fn remove(&self, which: &Which) -> Result<Option<Object>> {
        let name = layout::object(self.bucket, self.key);
        let newest = self.view().object(self.bucket, self.key).await?;
        let removed = match newest {
            Some(newest) if which.is(&newest) => {
                self.transaction.delete(&name)?;
                newest
            }
            newest => {
                let found = self.view().version(self.bucket, self.key, which).await?;
                let Some(found) = found else { return Ok(None) };
                self.take_out(&found)?;
                if newest.is_some() {
                    self.discard(&found).await?;
                    return Ok(Some(found));
                }
                found
            }
        };
        self.discard(&removed).await?;
        if let Some(next) = self.view().newest_but_one(self.bucket, self.key).await?
            && !next.delete_marker
        {
            self.take_out(&next)?;
            put(self.transaction, &name, &next)?;
        }
        Ok(Some(removed))
    }

    /// Writes a version again where it stands, for a change of what is said of it.
    pub(crate) async fn rewrite(&self, object: &Object) -> Result<()> {
        let newest = self.view().object(self.bucket, self.key).await?;
        let is_newest = newest.is_some_and(|newest| newest.order == object.order);
        let name = if is_newest {
            layout::object(self.bucket, self.key)
        } else {
            layout::version(self.bucket, self.key, object.order)
        };
        put(self.transaction, &name, object)
    }

    /// Writes where the bytes of an object are into its record, or beside it if that is much.
    pub(crate) fn set_pieces(&self, object: &mut Object, pieces: Vec<Piece>) -> Result<()> {
        if pieces.len() <= PIECES_INLINE_MAX {
            (object.parts, object.manifest) = (pieces, Bytes::new());
            return Ok(());
        }
        let id = new_id()?;
        put(self.transaction, &layout::data(&id), &Manifest { parts: pieces })?;
        (object.parts, object.manifest) = (Vec::new(), Bytes::copy_from_slice(&id));
        Ok(())
    }

    /// Gives an object bytes of its own that are those of another, without moving them.
    pub(crate) async fn share(&self, from: &Object, to: &mut Object) -> Result<()> {
        let mut pieces = self.view().pieces(from).await?;
        let mut copied: Option<(DataId, DataId)> = None;
        for piece in &mut pieces {
            let Some(id) = piece.id() else { continue };
            // Pieces of one value stand beside each other.
            let own = match copied {
                Some((from, own)) if from == id => own,
                _ => {
                    let own = new_id()?;
                    if !self.transaction.copy(layout::data(&id), layout::data(&own)).await? {
                        tracing::error!("the bytes of an object are not there");
                        return Err(Code::InternalError.into());
                    }
                    own
                }
            };
            copied = Some((id, own));
            piece.data = Bytes::copy_from_slice(&own);
        }
        to.body = from.body.clone();
        self.set_pieces(to, pieces)
    }

    /// Lets the bytes of an object go.
    pub(crate) async fn discard(&self, object: &Object) -> Result<()> {
        for piece in self.view().pieces(object).await? {
            if let Some(id) = piece.id() {
                self.transaction.delete(layout::data(&id))?;
            }
        }
        if let Ok(id) = DataId::try_from(&object.manifest[..]) {
            self.transaction.delete(layout::data(&id))?;
        }
        Ok(())
    }

    /// The place in the order of a version that is put now.
    async fn next_order(&self, bucket: &Bucket, there: Option<&Object>, time: u64) -> Result<u64> {
        let newest = match there {
            Some(there) => Some(there.order),
            None if bucket.versions() == Versioning::Never => None,
            None => {
                let marker = self.view().newest_but_one(self.bucket, self.key).await?;
                marker.map(|marker| marker.order)
            }
        };
        Ok(newest.map_or(time, |newest| time.max(newest + 1)))
    }

    /// Makes room for a new newest version: the random half of its id.
    async fn make_way(&self, bucket: &Bucket, there: Option<Object>) -> Result<u64> {
        let versioning = bucket.versions();
        if let Some(there) = there {
            let replaced = versioning == Versioning::Never
                || (versioning == Versioning::Suspended && there.is_null());
            if replaced {
                self.discard(&there).await?;
            } else {
                self.archive(&there)?;
            }
        }
        if versioning == Versioning::Enabled {
            return random();
        }
        if versioning == Versioning::Suspended {
            // The one under the key itself was let go above.
            if let Some(order) = self.view().null_order(self.bucket, self.key).await?
                && let Some(null) =
                    self.view().get(&layout::version(self.bucket, self.key, order)).await?
            {
                let null: Object = decode(null)?;
                self.take_out(&null)?;
                self.discard(&null).await?;
            }
        }
        Ok(0)
    }

    /// Puts a version among those that are not under the key itself.
    fn archive(&self, object: &Object) -> Result<()> {
        put(self.transaction, &layout::version(self.bucket, self.key, object.order), object)?;
        if object.is_null() {
            let null = layout::null(self.bucket, self.key);
            self.transaction.put(null, object.order.to_be_bytes().to_vec())?;
        }
        Ok(())
    }

    /// Takes it out from there.
    fn take_out(&self, object: &Object) -> Result<()> {
        self.transaction.delete(layout::version(self.bucket, self.key, object.order))?;
        if object.is_null() {
            self.transaction.delete(layout::null(self.bucket, self.key))?;
        }
        Ok(())
    }
}
