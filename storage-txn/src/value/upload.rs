//! Writing large values: in blocks, in chunks or together, a bounded number at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use futures_util::future::join;
use futures_util::stream::{FuturesUnordered, StreamExt};
use storage_core::{BoxFuture, PutIf, StorageProvider, StorageProviderExt};

use crate::change::Change;
use crate::content::Content;
use crate::format::value::{Builder, ValueId, ValueObject, ValueRef, room, stored_bytes};
use crate::shared::Shared;
use crate::store::key;
use crate::writes::Writes;
use crate::{Error, ErrorKind, Result, space};

/// How long is waited before an object is put again, at first and at most.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// What an upload has written, or has begun to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Uploaded {
    id: ValueId,
    /// How many chunks; `None` when it is an object without.
    chunks: Option<u32>,
}

impl Uploaded {
    /// What an upload has written that ended with this.
    pub(crate) fn of(reference: &ValueRef) -> Self {
        let chunks = reference.chunks().filter(|chunks| *chunks > 0);
        Self { id: reference.id(), chunks }
    }

    /// Those that what a transaction writes names, and the others.
    pub(crate) fn named_in(uploads: Vec<Self>, writes: &Writes) -> (Vec<Self>, Vec<Self>) {
        let named: BTreeSet<_> = writes
            .points()
            .filter_map(|(_, change)| match change {
                Change::Ref(reference) => Some(reference.id()),
                Change::Put(_) | Change::Delete | Change::Merge(_) => None,
            })
            .collect();
        uploads.into_iter().partition(|upload| named.contains(&upload.id))
    }

    /// In which it was made.
    pub(crate) fn session(self) -> u64 {
        self.id.session
    }

    fn objects(self) -> impl Iterator<Item = ValueObject> {
        let Self { id, chunks } = self;
        let one = chunks.is_none().then_some(ValueObject { id, chunk: None });
        let many = (0..chunks.unwrap_or(0)).map(move |at| ValueObject { id, chunk: Some(at) });
        one.into_iter().chain(many)
    }
}

impl Shared {
    /// Uploads what a stream has, unless it turns out to be small, and keeps it if `proof` is well. That is asked once
    /// the stream has ended, while the last of it is on its way. Room is made for as many bytes as are expected; 0 when
    /// nobody knows.
    pub(crate) async fn upload<S, E>(
        self: &Arc<Self>,
        stream: S,
        expected_bytes: u64,
        proof: impl Future<Output = Result<(), E>> + Send,
    ) -> Result<(Content, Option<Uploaded>)>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut stream = pin!(stream);
        let mut start = BytesMut::new();
        while start.len() <= self.options.inline_bytes_max {
            match stream.next().await {
                // Its bytes are not copied if nobody else has them.
                Some(Ok(piece)) if start.is_empty() => start = piece.into(),
                Some(Ok(piece)) => start.extend_from_slice(&piece),
                Some(Err(error)) => return Err(given_up(error)),
                None => {
                    proof.await.map_err(given_up)?;
                    return Ok((start.freeze().into(), None));
                }
            }
        }
        // Once before all, not once for each that goes out at the same time.
        self.before_upload(self.session_id()).await?;
        let mut upload = Upload::new(self, expected_bytes)?;
        let mut next = Some(Ok(start.freeze()));
        let fed = loop {
            match next {
                Some(Ok(piece)) => {
                    if let Err(error) = upload.add(piece).await {
                        break Err(error);
                    }
                }
                Some(Err(error)) => break Err(given_up(error)),
                None => break Ok(()),
            }
            next = stream.next().await;
        };
        let has_ended = fed.is_ok();
        let proven = async {
            match has_ended {
                true => proof.await.map_err(given_up),
                false => Ok(()),
            }
        };
        let ((uploaded, result), proven) = join(upload.finish(fed), proven).await;
        match result.and_then(|reference| proven.map(|()| reference)) {
            Ok(reference) => Ok((Content::large(reference), Some(uploaded))),
            Err(error) => {
                self.delete_uploads(&[uploaded]).await;
                Err(error)
            }
        }
    }

    /// Uploads the large ones among the values that are written, and writes references to them instead.
    ///
    /// # Errors
    ///
    /// Those of the provider; nothing is left then, as far as that can be done.
    pub(crate) async fn upload_large(
        self: &Arc<Self>,
        writes: &mut Writes,
    ) -> Result<Vec<Uploaded>> {
        let mut large = Vec::new();
        for (key, change) in writes.points_within(&space::all(space::USER)) {
            if let Change::Put(value) = change
                && value.len() > self.options.inline_bytes_max
            {
                large.push((key.clone(), value.clone()));
            }
        }
        if large.is_empty() {
            return Ok(Vec::new());
        }
        self.before_upload(self.session_id()).await?;
        let mut batch = UploadBatch {
            shared: self,
            most: self.chunk_bytes()?,
            puts: Puts::new(self),
            made: Vec::new(),
            references: Vec::new(),
        };
        let result = batch.run(large).await;
        let UploadBatch { puts, made, references, .. } = batch;
        let result = puts.finish(result).await;
        if let Err(error) = result {
            self.delete_uploads(&made).await;
            return Err(error);
        }
        for (key, reference) in references {
            writes.change(key, Change::Ref(Arc::new(reference)))?;
        }
        Ok(made)
    }

    /// Deletes what nothing names, nor ever will. What cannot be deleted now is when its session is reaped.
    pub(crate) async fn delete_uploads(&self, uploads: &[Uploaded]) {
        let objects = uploads.iter().flat_map(|uploaded| uploaded.objects());
        // A name of this form is a key.
        let names = objects.filter_map(|object| key(object.to_string()).ok());
        let names: Vec<_> = names.collect();
        let _ = self.shelf.provider.delete_many(names).await;
    }

    /// How many bytes of a value go into one object at most.
    fn chunk_bytes(&self) -> Result<u64> {
        let object_bytes_max = self.shelf.provider.info().capabilities.object_bytes_max;
        let most = room(object_bytes_max).min(self.options.chunk_bytes as u64);
        if most == 0 {
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                format!("objects of {object_bytes_max} bytes (object_bytes_max) hold no value"),
            ));
        }
        Ok(most)
    }

    fn new_value(&self) -> Result<ValueId> {
        let number = self.values.fetch_add(1, Ordering::Relaxed);
        let number = u32::try_from(number).map_err(|_| {
            Error::new(
                ErrorKind::LimitExceeded,
                "this handle has made 4294967296 uploads, as many as it can: open the store anew",
            )
        })?;
        Ok(ValueId { session: self.session_id(), number })
    }

    /// Puts an object, for as long as a commit is tried. The name is this upload's own and the bytes are always the
    /// same, so there is no harm in doing it twice.
    async fn put_value_object(&self, object: ValueObject, body: Bytes) -> Result<()> {
        let name = key(object.to_string())?;
        let deadline = self.env.monotonic() + self.options.commit_time_max;
        let mut pause = PAUSE_MIN;
        loop {
            let put = async {
                self.before_upload(object.id.session).await?;
                self.shelf.provider.put(&name, body.clone(), PutIf::Always).await?;
                Ok(())
            };
            let result: Result<()> = put.await;
            let transient = |error: &Error| match error.kind() {
                ErrorKind::Storage(kind) => kind.is_transient(),
                _ => false,
            };
            match result {
                Err(error) if transient(&error) && self.env.monotonic() < deadline => {}
                result => return result,
            }
            let random = (self.env.random() >> 11) as f64 / (1_u64 << 53) as f64;
            self.env.sleep(pause / 2 + (pause / 2).mul_f64(random)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

fn given_up(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let error = error.into();
    Error::new(ErrorKind::Aborted, format!("the upload was given up: {error}")).with_source(error)
}

/// Puts under way, a bounded number. After a failure no more are begun.
struct Puts {
    shared: Arc<Shared>,
    running: FuturesUnordered<BoxFuture<'static, Result<()>>>,
}

impl Puts {
    fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: shared.clone(), running: FuturesUnordered::new() }
    }

    /// Waits until one more may be begun.
    async fn room(&mut self) -> Result<()> {
        while self.running.len() >= self.shared.options.value_requests_max.max(1) {
            if let Some(result) = self.running.next().await {
                result?;
            }
        }
        Ok(())
    }

    fn begin(&mut self, object: ValueObject, body: Bytes) {
        let shared = self.shared.clone();
        self.running.push(Box::pin(async move { shared.put_value_object(object, body).await }));
    }

    /// Waits for all, also after a failure: else one might still be made after it was deleted.
    async fn finish(mut self, mut result: Result<()>) -> Result<()> {
        while let Some(one) = self.running.next().await {
            result = result.and(one);
        }
        result
    }
}

/// A value that is being uploaded, as its bytes come in.
struct Upload {
    puts: Puts,
    id: ValueId,
    nonce: u64,
    chunk_bytes: u64,
    hasher: blake3::Hasher,
    bytes: u64,
    chunk: u32,
    builder: Builder,
    filled: u64,
}

impl Upload {
    fn new(shared: &Arc<Shared>, expected_bytes: u64) -> Result<Self> {
        let (id, nonce) = (shared.new_value()?, shared.env.random());
        let chunk_bytes = shared.chunk_bytes()?;
        let room = stored_bytes(expected_bytes.min(chunk_bytes));
        Ok(Self {
            puts: Puts::new(shared),
            id,
            nonce,
            chunk_bytes,
            hasher: blake3::Hasher::new(),
            bytes: 0,
            chunk: 0,
            builder: Builder::with_room(ValueObject { id, chunk: Some(0) }, nonce, room),
            filled: 0,
        })
    }

    async fn add(&mut self, mut piece: Bytes) -> Result<()> {
        while !piece.is_empty() {
            if self.filled == self.chunk_bytes {
                self.close_chunk().await?;
            }
            let room = self.chunk_bytes - self.filled;
            let now = piece.split_to(piece.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
            self.hasher.update(&now);
            self.builder.add(&now);
            self.filled += now.len() as u64;
            self.bytes += now.len() as u64;
        }
        Ok(())
    }

    /// Sends the chunk that is full, as another byte comes after it.
    async fn close_chunk(&mut self) -> Result<()> {
        self.puts.room().await?;
        let next = self.chunk.checked_add(1).ok_or_else(|| {
            Error::new(
                ErrorKind::LimitExceeded,
                format!("a value has more than {} chunks of {} bytes", u32::MAX, self.chunk_bytes),
            )
        })?;
        let object = ValueObject { id: self.id, chunk: Some(next) };
        let builder = Builder::with_room(object, self.nonce, stored_bytes(self.chunk_bytes));
        let full = std::mem::replace(&mut self.builder, builder);
        let object = ValueObject { id: self.id, chunk: Some(self.chunk) };
        self.puts.begin(object, full.finish());
        (self.chunk, self.filled) = (next, 0);
        Ok(())
    }

    /// What was written, and what names it unless it failed.
    async fn finish(mut self, fed: Result<()>) -> (Uploaded, Result<ValueRef>) {
        let in_chunks = self.chunk > 0;
        let result = match fed {
            Ok(()) => self.puts.room().await,
            Err(error) => Err(error),
        };
        if result.is_ok() {
            // The first chunk has the same checksums as an object without.
            let object = ValueObject { id: self.id, chunk: in_chunks.then_some(self.chunk) };
            self.puts.begin(object, self.builder.finish());
        }
        let result = self.puts.finish(result).await;
        let uploaded = Uploaded { id: self.id, chunks: in_chunks.then_some(self.chunk + 1) };
        let reference = result.map(|()| ValueRef {
            bytes: self.bytes,
            session: self.id.session,
            number: self.id.number,
            offset: 0,
            chunk_bytes: if in_chunks { self.chunk_bytes } else { 0 },
            nonce: self.nonce,
            hash: Bytes::copy_from_slice(self.hasher.finalize().as_bytes()),
            tail: Bytes::new(),
        });
        (uploaded, reference)
    }
}

/// Values in memory that are being uploaded, those that fit into one object together.
struct UploadBatch<'a> {
    shared: &'a Arc<Shared>,
    /// How many bytes of values an object has at most.
    most: u64,
    puts: Puts,
    made: Vec<Uploaded>,
    references: Vec<(Bytes, ValueRef)>,
}

impl UploadBatch<'_> {
    async fn run(&mut self, large: Vec<(Bytes, Bytes)>) -> Result<()> {
        let (mut together, mut bytes) = (Vec::new(), 0);
        // What a transaction has copied before it was ever uploaded is uploaded once.
        let mut copies = Vec::new();
        let mut known = BTreeMap::new();
        for (key, value) in large {
            let size = value.len() as u64;
            if let Some(first) = known.get(&(value.as_ptr() as usize, size)) {
                copies.push((key, Bytes::clone(first)));
                continue;
            }
            known.insert((value.as_ptr() as usize, size), key.clone());
            if size > self.most {
                self.chunks(key, &value).await?;
                continue;
            }
            if bytes + stored_bytes(size) > stored_bytes(self.most) {
                self.pack(std::mem::take(&mut together)).await?;
                bytes = 0;
            }
            bytes += stored_bytes(size);
            together.push((key, value));
        }
        self.pack(together).await?;
        for (key, first) in copies {
            let found = self.references.iter().find(|(of, _)| *of == first);
            if let Some((_, reference)) = found.cloned() {
                self.references.push((key, reference));
            }
        }
        Ok(())
    }

    async fn pack(&mut self, values: Vec<(Bytes, Bytes)>) -> Result<()> {
        if values.is_empty() {
            return Ok(());
        }
        self.puts.room().await?;
        let (id, nonce) = (self.shared.new_value()?, self.shared.env.random());
        let object = ValueObject { id, chunk: None };
        let stored = values.iter().map(|(_, value)| stored_bytes(value.len() as u64)).sum();
        let mut builder = Builder::with_room(object, nonce, stored);
        for (key, value) in values {
            let offset = builder.bytes();
            builder.add(&value);
            builder.close();
            self.refer(key, &value, id, nonce, offset, 0);
        }
        self.made.push(Uploaded { id, chunks: None });
        self.puts.begin(object, builder.finish());
        Ok(())
    }

    async fn chunks(&mut self, key: Bytes, value: &Bytes) -> Result<()> {
        let (id, nonce) = (self.shared.new_value()?, self.shared.env.random());
        let made = self.made.len();
        self.made.push(Uploaded { id, chunks: Some(0) });
        let mut rest = value.clone();
        // Memory holds no value of more chunks than can be counted, but for chunks of a few bytes.
        for chunk in 0..u32::MAX {
            if rest.is_empty() {
                break;
            }
            self.puts.room().await?;
            let object = ValueObject { id, chunk: Some(chunk) };
            let mut builder = Builder::with_room(object, nonce, stored_bytes(self.most));
            builder.add(&rest.split_to(rest.len().min(self.most as usize)));
            self.made[made].chunks = Some(chunk + 1);
            self.puts.begin(object, builder.finish());
        }
        self.refer(key, value, id, nonce, 0, self.most);
        Ok(())
    }

    fn refer(
        &mut self,
        key: Bytes,
        value: &Bytes,
        id: ValueId,
        nonce: u64,
        offset: u64,
        chunk_bytes: u64,
    ) {
        let reference = ValueRef {
            bytes: value.len() as u64,
            session: id.session,
            number: id.number,
            offset,
            chunk_bytes,
            nonce,
            hash: Bytes::copy_from_slice(blake3::hash(value).as_bytes()),
            tail: Bytes::new(),
        };
        self.references.push((key, reference));
    }
}
