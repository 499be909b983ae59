//! Parts of an upload: received, or copied from an object.

use bytes::Bytes;
use futures_util::TryStreamExt;

use crate::body::{Arrived, Digester, Incoming, Received};
use crate::error::{Code, Error, Result};
use crate::layout;
use crate::op::caller::Caller;
use crate::op::copy::Source;
use crate::op::encryption::CustomerKey;
use crate::op::get::{Get, Span};
use crate::op::multipart::{PARTS_MAX, may_write};
use crate::op::{Core, Moment, View, new_id, now, put};
use crate::record::{Algorithm, Encryption, Part, Piece};
use crate::seal::seal;

/// A part that is copied.
#[derive(Debug, Clone)]
pub(crate) struct CopyPart {
    pub(crate) source: Source,
    /// From which byte to which, both included.
    pub(crate) range: Option<(u64, u64)>,
    /// The key that the upload is encrypted with, if it is one of the client.
    pub(crate) customer: Option<CustomerKey>,
}

impl Core {
    /// Gives an upload a part, in place of one with that number.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`], [`Code::NoSuchUpload`], [`Code::AccessDenied`], [`Code::InvalidArgument`],
    /// [`Code::EntityTooLarge`], those of [`Incoming::receive`].
    pub(crate) async fn put_part(
        &self,
        caller: &Caller,
        (name, key): (&str, &str),
        (id, number): (&str, u32),
        customer: Option<&CustomerKey>,
        mut body: Incoming,
    ) -> Result<(Part, Option<Encryption>)> {
        check_number(number)?;
        if body.length > self.options.put_bytes_max {
            return Err(Code::EntityTooLarge.into());
        }
        // A part without bytes of an upload that is not there would be uploaded for nothing, so this is looked at first.
        let opened = self.open(name, Moment::Now).await?;
        may_write(caller, (name, key), &opened.bucket)?;
        let (_, upload) = View::At(&opened.snapshot).upload(name, key, id).await?;
        let algorithm = upload.algorithm();
        match &body.expected.checksum {
            None if algorithm != Algorithm::Unknown => {
                body.expected.checksum = Some((algorithm, None));
            }
            Some((said, _)) if upload.algorithm_said && *said != algorithm => {
                let why = format!(
                    "the upload has {} checksums, and not {}",
                    algorithm.name(),
                    said.name()
                );
                return Err(Error::new(Code::InvalidRequest, why));
            }
            _ => {}
        }
        let encryption = upload.object.encryption;
        let sealing = self.opening(encryption.as_ref(), customer)?;
        let arrived = &body.receive(&self.store, sealing).await?;
        let put = self.transact(move |transaction| async move {
            let view = View::Inside(&transaction);
            let bucket = view.bucket(name).await?;
            may_write(caller, (name, key), &bucket)?;
            let (id, _) = view.upload(name, key, id).await?;
            keep(&view, &transaction, &layout::part(&id, number), arrived).await
        });
        Ok((put.await?, encryption))
    }

    /// Gives an upload a part that is a range of an object. Its bytes are read for their sums, but not moved.
    ///
    /// # Errors
    ///
    /// Those of [`put_part`](Self::put_part) and of [`Core::copy_object`]; [`Code::InvalidRange`].
    pub(crate) async fn copy_part(
        &self,
        caller: &Caller,
        (name, key): (&str, &str),
        (id, number): (&str, u32),
        copy: &CopyPart,
    ) -> Result<(Part, String, Option<Encryption>)> {
        check_number(number)?;
        let opened = self.open(name, Moment::Now).await?;
        may_write(caller, (name, key), &opened.bucket)?;
        let view = View::At(&opened.snapshot);
        let (_, upload) = view.upload(name, key, id).await?;
        let source = &copy.source;
        let from = source.find(&view, caller).await?;
        source.conditions.check_source(&from)?;
        let span = match copy.range {
            Some((_, last)) if last >= from.size => {
                let why = format!("the range is not within the {} bytes of the source", from.size);
                return Err(Error::new(Code::InvalidRange, why));
            }
            Some((first, last)) => Span::From(first, Some(last)),
            None => Span::All,
        };
        let encryption = upload.object.encryption.clone();
        let sealing = self.opening(encryption.as_ref(), copy.customer.as_ref())?;
        let customer = source.customer.clone();
        let get = Get { which: source.which.clone(), span, customer, ..Get::default() };
        let got = self.get_object(caller, (&source.bucket, &source.key, Moment::Now), &get).await?;
        if got.object.order != from.order || got.object.version != from.version {
            return Err(Code::ConditionalRequestConflict.into());
        }
        let range = got.range.clone();
        let algorithm = Some(upload.algorithm()).filter(|one| *one != Algorithm::Unknown);
        if sealing.is_some() || from.encryption.is_some() {
            // Bytes with a key of their own are not shared.
            let arrived = &got.incoming(algorithm).receive(&self.store, sealing).await?;
            let from = &from;
            let part = self.transact(move |transaction| async move {
                let view = View::Inside(&transaction);
                let bucket = view.bucket(name).await?;
                may_write(caller, (name, key), &bucket)?;
                let (id, _) = view.upload(name, key, id).await?;
                source.find_again(&view, caller, from).await?;
                keep(&view, &transaction, &layout::part(&id, number), arrived).await
            });
            return Ok((part.await?, from.version_id(), encryption));
        }
        let mut digester = Digester::new(algorithm);
        let mut bytes = got.stream();
        while let Some(bytes) = bytes.try_next().await? {
            digester.update(&bytes);
        }
        let digests = &digester.finish();
        let (from, range) = (&from, &range);
        let part = self.transact(move |transaction| async move {
            let view = View::Inside(&transaction);
            let bucket = view.bucket(name).await?;
            may_write(caller, (name, key), &bucket)?;
            let (id, _) = view.upload(name, key, id).await?;
            source.find_again(&view, caller, from).await?;
            let mut pieces = Vec::new();
            if from.parts.is_empty() && from.manifest.is_empty() {
                let data = new_id()?;
                let bytes = from.body.slice(range.start as usize..range.end as usize);
                transaction.put(layout::data(&data), bytes)?;
                let data = Bytes::copy_from_slice(&data);
                pieces.push(Piece { data, size: digests.bytes, ..Piece::default() });
            }
            for slice in crate::op::get::slices(&view.pieces(from).await?, range) {
                let (key, slice) = (slice.key, slice.range);
                let data = new_id()?;
                if !transaction.copy(&key, layout::data(&data)).await? {
                    return Err(Code::InternalError.into());
                }
                let (offset, size) = (slice.start, slice.end - slice.start);
                pieces.push(Piece {
                    data: Bytes::copy_from_slice(&data),
                    offset,
                    size,
                    ..Piece::default()
                });
            }
            let part = Part {
                size: digests.bytes,
                md5: digests.md5.clone(),
                modified: now(),
                pieces,
                checksum: digests.checksum(),
            };
            replace(&view, &transaction, &layout::part(&id, number), &part).await?;
            Ok(part)
        });
        Ok((part.await?, from.version_id(), encryption))
    }
}

/// Puts what has arrived as a part.
async fn keep(
    view: &View<'_>,
    transaction: &storage_txn::Transaction,
    name: &[u8],
    arrived: &Arrived,
) -> Result<Part> {
    let data = new_id()?;
    let salt = match &arrived.received {
        Received::Small(bytes) => {
            let (bytes, salt) = match &arrived.sealing {
                Some(sealing) => (seal(&sealing.key, &data, bytes)?, &data[..]),
                None => (bytes.clone(), &[][..]),
            };
            transaction.put(layout::data(&data), bytes)?;
            Bytes::copy_from_slice(salt)
        }
        Received::Value(value, salt) => {
            transaction.put_value(layout::data(&data), value)?;
            salt.clone()
        }
    };
    let (digests, data) = (&arrived.digests, Bytes::copy_from_slice(&data));
    let part = Part {
        size: digests.bytes,
        md5: digests.md5.clone(),
        modified: now(),
        pieces: vec![Piece { data, size: digests.bytes, salt, ..Piece::default() }],
        checksum: digests.checksum(),
    };
    replace(view, transaction, name, &part).await?;
    Ok(part)
}

/// Puts a part, and lets go of the bytes of one that was there.
async fn replace(
    view: &View<'_>,
    transaction: &storage_txn::Transaction,
    key: &[u8],
    part: &Part,
) -> Result<()> {
    if let Some(before) = view.get(key).await? {
        let before: Part = crate::record::decode(before)?;
        for id in before.pieces.iter().filter_map(Piece::id) {
            transaction.delete(layout::data(&id))?;
        }
    }
    put(transaction, key, part)
}

/// # Errors
///
/// [`Code::InvalidArgument`].
fn check_number(number: u32) -> Result<()> {
    if (1..=PARTS_MAX).contains(&number) {
        return Ok(());
    }
    let why = format!("the number of a part is from 1 to {PARTS_MAX}, and not {number}");
    Err(Error::new(Code::InvalidArgument, why))
}
