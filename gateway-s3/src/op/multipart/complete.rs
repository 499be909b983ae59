//! Completing an upload: an object that is made of its parts, in one transaction that moves no bytes.

use std::collections::BTreeMap;

use bytes::Bytes;
use md5::{Digest, Md5};
use storage_txn::Transaction;

use crate::body::combine;
use crate::error::{Code, Error, Result};
use crate::layout;
use crate::op::caller::Caller;
use crate::op::conditions::Conditions;
use crate::op::encryption::CustomerKey;
use crate::op::multipart::may_write;
use crate::op::object::{Placed, Slot};
use crate::op::{Core, Moment, View};
use crate::record::{Algorithm, Checksum, Object, Part, Piece, Upload, decode, hex};

/// What an upload is completed with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Complete {
    pub(crate) parts: Vec<NamedPart>,
    pub(crate) conditions: Conditions,
    /// What the checksum of the object must be; of a composite one without the number of parts.
    pub(crate) checksum: Option<(Algorithm, Bytes)>,
    pub(crate) full_object: Option<bool>,
    /// How many bytes it must have.
    pub(crate) size: Option<u64>,
    /// The key that it is encrypted with, if the client sends it again.
    pub(crate) customer: Option<CustomerKey>,
}

/// A part that is to be in the object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NamedPart {
    pub(crate) number: u32,
    /// Without quotes.
    pub(crate) etag: String,
    pub(crate) checksum: Option<(Algorithm, Bytes)>,
}

impl Core {
    /// Completes an upload: the object. Done again with the same parts it answers the same.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`], [`Code::NoSuchUpload`], [`Code::AccessDenied`], [`Code::MalformedXML`],
    /// [`Code::InvalidPart`], [`Code::InvalidPartOrder`], [`Code::EntityTooSmall`], [`Code::BadDigest`],
    /// those of [`Conditions::check_write`].
    pub(crate) async fn complete_upload(
        &self,
        caller: &Caller,
        (name, key): (&str, &str),
        id: &str,
        complete: &Complete,
    ) -> Result<Placed> {
        complete.check()?;
        if complete.customer.is_some() {
            let opened = self.open(name, Moment::Now).await?;
            may_write(caller, (name, key), &opened.bucket)?;
            let (_, upload) = View::At(&opened.snapshot).upload(name, key, id).await?;
            self.opening(upload.object.encryption.as_ref(), complete.customer.as_ref())?;
        }
        let part_bytes_min = self.options.part_bytes_min;
        self.transact(move |transaction| async move {
            complete_in(&transaction, caller, (name, key), id, complete, part_bytes_min).await
        })
        .await
    }
}

/// Completes an upload, in a transaction: what [`Core::complete_upload`] does once [`Complete::check`] has passed.
///
/// # Errors
///
/// Those of [`Core::complete_upload`].
pub(crate) async fn complete_in(
    transaction: &Transaction,
    caller: &Caller,
    (name, key): (&str, &str),
    id: &str,
    complete: &Complete,
    part_bytes_min: u64,
) -> Result<Placed> {
    let view = View::Inside(transaction);
    let bucket = view.bucket(name).await?;
    may_write(caller, (name, key), &bucket)?;
    let there = view.object(name, key).await?;
    let (id, upload) = match view.upload(name, key, id).await {
        Err(error) if error.code() == Some(Code::NoSuchUpload) => {
            // A client that did not hear the answer asks again.
            let made = there.filter(|object| complete.made(object)).ok_or(error)?;
            return Ok(Placed::in_bucket(&bucket, key, made));
        }
        found => found?,
    };
    complete.conditions.check_write(there.as_ref())?;
    let mut parts = BTreeMap::new();
    for item in view.scan(layout::parts(&id), usize::MAX).await? {
        let number = layout::part_number(&item.key).ok_or(Code::InternalError)?;
        parts.insert(number, decode::<Part>(item.value)?);
    }
    let slot = Slot { transaction, bucket: name, key };
    let (mut object, pieces) = complete.object(upload, &mut parts, part_bytes_min)?;
    slot.set_pieces(&mut object, pieces)?;
    let unused = parts.values().flat_map(|part| &part.pieces).filter_map(Piece::id);
    for id in unused {
        transaction.delete(layout::data(&id))?;
    }
    transaction.delete_range(layout::parts(&id))?;
    transaction.delete(layout::upload(name, key, &id))?;
    slot.place(&bucket, there, object).await
}

impl Complete {
    /// Whether its parts can be those of an object.
    ///
    /// # Errors
    ///
    /// [`Code::MalformedXML`], [`Code::InvalidPartOrder`].
    pub(crate) fn check(&self) -> Result<()> {
        let numbers = || self.parts.iter().map(|part| part.number);
        if self.parts.is_empty() {
            return Err(Error::new(Code::MalformedXML, "no part is named"));
        }
        if !numbers().zip(numbers().skip(1)).all(|(before, after)| before < after) {
            return Err(Code::InvalidPartOrder.into());
        }
        Ok(())
    }

    /// Whether an object was made of these parts.
    fn made(&self, object: &Object) -> bool {
        let mut md5 = Md5::new();
        for part in &self.parts {
            match crate::record::unhex(&part.etag) {
                Some(part) => md5.update(part),
                None => return false,
            }
        }
        object.part_count as usize == self.parts.len() && object.md5[..] == md5.finalize()[..]
    }

    /// The object, and where its bytes are. What is left in `parts` is not in it.
    fn object(
        &self,
        upload: Upload,
        parts: &mut BTreeMap<u32, Part>,
        part_bytes_min: u64,
    ) -> Result<(Object, Vec<Piece>)> {
        let algorithm = upload.algorithm();
        let mut object = upload.object;
        let (mut pieces, mut sums, mut md5) = (Vec::new(), Vec::new(), Md5::new());
        for (at, named) in self.parts.iter().enumerate() {
            let part = parts.remove(&named.number).filter(|part| hex(&part.md5) == named.etag);
            let missing = || {
                Error::new(
                    Code::InvalidPart,
                    format!(
                        "part {} with the entity tag {:?} was not uploaded",
                        named.number, named.etag
                    ),
                )
            };
            let part = part.ok_or_else(missing)?;
            if at + 1 < self.parts.len() && part.size < part_bytes_min {
                let why = format!("part {} is smaller than {part_bytes_min} bytes", named.number);
                return Err(Error::new(Code::EntityTooSmall, why));
            }
            let sum = part.checksum.as_ref().map(|sum| (sum.algorithm(), sum.value.clone()));
            if named.checksum.is_some() && named.checksum != sum {
                return Err(Error::new(
                    Code::InvalidPart,
                    format!("part {} does not have the checksum that was said", named.number),
                ));
            }
            md5.update(&part.md5);
            object.size += part.size;
            let sum = sum.filter(|(of, _)| *of == algorithm).map(|(_, sum)| sum);
            let mut first = sum.clone();
            for mut piece in part.pieces {
                piece.number = named.number;
                piece.checksum = first.take().unwrap_or_default();
                pieces.push(piece);
            }
            sums.push((sum, part.size));
        }
        object.md5 = Bytes::copy_from_slice(&md5.finalize());
        object.part_count = u32::try_from(self.parts.len()).unwrap_or(u32::MAX);
        let full_object = self.full_object.unwrap_or(upload.full_object);
        if upload.algorithm_said && full_object != upload.full_object {
            let why = "the type of the checksum is not the one that the upload was begun with";
            return Err(Error::new(Code::InvalidRequest, why));
        }
        object.checksum = checksum(algorithm, full_object, &sums);
        if let Some((said, value)) = &self.checksum {
            let own = object.checksum.as_ref();
            if own.is_some_and(|own| own.algorithm() == *said && own.value != *value) {
                return Err(Error::new(
                    Code::BadDigest,
                    "the object does not have the checksum that was said",
                ));
            }
        }
        if self.size.is_some_and(|size| size != object.size) {
            let why = format!("the parts have {} bytes together", object.size);
            return Err(Error::new(Code::InvalidRequest, why));
        }
        Ok((object, pieces))
    }
}

/// The checksum of an object from those of its parts; none if one of them has none.
fn checksum(
    algorithm: Algorithm,
    full_object: bool,
    parts: &[(Option<Bytes>, u64)],
) -> Option<Checksum> {
    if algorithm == Algorithm::Unknown || parts.iter().any(|(sum, _)| sum.is_none()) {
        return None;
    }
    let value = if full_object {
        combine(algorithm, parts.iter().filter_map(|(sum, bytes)| Some((sum.as_ref()?, *bytes))))?
    } else {
        let mut digester = crate::body::Digester::new(Some(algorithm));
        parts.iter().filter_map(|(sum, _)| sum.as_ref()).for_each(|sum| digester.update(sum));
        digester.finish().checksum?
    };
    Some(Checksum { algorithm: algorithm as i32, value, composite: !full_object })
}
