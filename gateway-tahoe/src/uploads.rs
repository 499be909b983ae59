//! Uploads under way: what was written of shares that are not complete, in the folder of the server.
//!
//! An upload becomes a share of the store when its last byte has come, in one transaction. Until then its bytes are in a
//! file, and a journal says which of them count: so nothing of it is lost when the server ends, however it does, and
//! nothing of it takes memory.

mod journal;

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::{Error, Refusal, Result};
use crate::metrics::UPLOADS;
use crate::ranges::Ranges;
use crate::record::{Lease, LeaseSecrets};
use crate::shares::{Data, SHARES_MAX, Shares};
use crate::{Kind, StorageIndex};

use journal::{Entry, Journal, Opened};

/// How long an upload lives after it was allocated or last written to, in seconds.
const PATIENCE_SECONDS: u64 = 30 * 60;
/// How many bytes of a body are taken at once.
const PIECE_BYTES: usize = 1 << 20;
/// The most ranges of one upload: who writes with more holes than that is refused.
const RANGES_MAX: usize = 65_536;

/// The uploads of a server. A handle is cheap to clone, and all of them are the same.
#[derive(Debug, Clone)]
pub struct Uploads {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shares: Shares,
    folder: PathBuf,
    journal: Journal,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    uploads: HashMap<(StorageIndex, u64), Arc<Upload>>,
    /// How many bytes they will have together.
    bytes: u64,
    next: u64,
}

/// One share that is being uploaded.
#[derive(Debug)]
struct Upload {
    id: u64,
    place: (StorageIndex, u64),
    size: u64,
    /// A hash of the secret that belongs to it.
    secret: blake3::Hash,
    lease: Lease,
    /// One write at a time.
    turn: Semaphore,
    state: Mutex<Written>,
}

#[derive(Debug)]
struct Written {
    ranges: Ranges,
    /// After this time nobody finishes it any more, in seconds since the Unix epoch.
    deadline: u64,
    /// It was completed or aborted.
    over: bool,
    /// A server that has ended began it, and nobody has continued it since.
    left: bool,
}

/// What an allocation answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allocated {
    /// All shares of the file that are complete.
    pub already_have: BTreeSet<u64>,
    /// Those that were asked for and may be uploaded now.
    pub allocated: BTreeSet<u64>,
}

/// What is left of an upload after a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// These ranges have not been written.
    Missing(Vec<Range<u64>>),
    /// It is complete, and durable.
    Complete,
}

impl Uploads {
    /// The uploads that are in a folder, of a server that may have ended without a word.
    ///
    /// # Errors
    ///
    /// [`Error::File`].
    pub fn open(shares: Shares, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(Error::file(folder))?;
        let Opened { journal, entries } = Journal::open(&folder.join("journal"))?;
        let uploads = Self {
            inner: Arc::new(Inner {
                shares,
                folder: folder.to_owned(),
                journal,
                open: Mutex::default(),
            }),
        };
        uploads.recover(entries)?;
        Ok(uploads)
    }

    /// The shares that uploads become.
    #[must_use]
    pub fn shares(&self) -> &Shares {
        &self.inner.shares
    }

    /// How many uploads are under way.
    #[must_use]
    pub fn count(&self) -> usize {
        self.opened().uploads.len()
    }

    /// How many bytes there is room for, without those of uploads under way.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        if self.shares().options().read_only {
            return 0;
        }
        self.shares().free_bytes().saturating_sub(self.opened().bytes)
    }

    /// Begins uploads of shares of a file.
    ///
    /// What is under way with another secret stays, unless it was left by a server that has ended and nobody has continued
    /// it: whose client noticed the end has given that share up, and who uploads the file anew or repairs it need not wait
    /// for half an hour.
    ///
    /// # Errors
    ///
    /// [`Refusal::Conflict`] when the file is a mutable one; what the store says; [`Error::File`].
    pub async fn allocate(
        &self,
        index: StorageIndex,
        numbers: &BTreeSet<u64>,
        size: u64,
        secrets: &LeaseSecrets,
        upload_secret: &[u8],
    ) -> Result<Allocated> {
        let options = self.shares().options();
        if !options.read_only {
            self.give_way(index, numbers, upload_secret)?;
        }
        // Seen before the store is: what is completed meanwhile is still here, or already there.
        let under_way: BTreeSet<u64> = self.under_way(index);
        let already_have = self.shares().already_have(index, secrets).await?;
        let mut allocated = BTreeSet::new();
        if options.read_only {
            return Ok(Allocated { already_have, allocated });
        }
        let now = self.shares().now();
        let lease = self.shares().lease(secrets);
        let secret = blake3::hash(upload_secret);
        let mut entries = Vec::new();
        {
            let mut open = self.opened();
            let mut of_file = already_have.len() + under_way.len();
            for number in numbers {
                let place = (index, *number);
                let taken = already_have.contains(number)
                    || under_way.contains(number)
                    || open.uploads.contains_key(&place);
                let free = self.shares().free_bytes().saturating_sub(open.bytes);
                let full = size > free
                    || of_file >= SHARES_MAX
                    || open.uploads.len() >= options.uploads_max;
                if taken || full {
                    continue;
                }
                let upload = Upload {
                    id: open.next,
                    place,
                    size,
                    secret,
                    lease: lease.clone(),
                    turn: Semaphore::new(1),
                    state: Mutex::new(Written {
                        ranges: Ranges::default(),
                        deadline: now.saturating_add(PATIENCE_SECONDS),
                        over: false,
                        left: false,
                    }),
                };
                entries.push(upload.entry());
                open.next += 1;
                open.bytes = open.bytes.saturating_add(size);
                open.uploads.insert(place, Arc::new(upload));
                allocated.insert(*number);
                of_file += 1;
            }
        }
        metrics::gauge!(UPLOADS).set(self.count() as f64);
        if let Err(error) = self.inner.journal.add(&entries) {
            let mut open = self.opened();
            for number in &allocated {
                open.remove((index, *number));
            }
            return Err(error);
        }
        Ok(Allocated { already_have, allocated })
    }

    /// Writes bytes of a share that is being uploaded: a range of it, whose bytes are the beginning of `body`.
    ///
    /// When they were the last to be missing, the share is stored: goes on also when this future is dropped.
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongSecret`], [`Refusal::NotFound`], [`Refusal::OutOfRange`] for what is not in the share;
    /// [`Refusal::Conflict`] when other bytes were written there before: nothing of this is kept then.
    /// [`Refusal::Invalid`] for a body that is too short; [`Error::Body`]; what the store says: then all that was written
    /// is kept, and writing any of it once more tries to store it again.
    pub async fn write<B>(
        &self,
        place: (StorageIndex, u64),
        upload_secret: &[u8],
        range: Range<u64>,
        body: B,
    ) -> Result<Progress>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: std::fmt::Display,
    {
        let upload = self.find(place, upload_secret)?;
        if range.end > upload.size || range.is_empty() {
            return Err(Refusal::OutOfRange.into());
        }
        let _turn = upload.turn().await;
        let found = self.find(place, upload_secret)?;
        if !Arc::ptr_eq(&found, &upload) {
            return Err(Refusal::NotFound.into());
        }
        let untouched = {
            let mut written = upload.written();
            written.left = false;
            written.ranges.is_empty()
        };
        let mut pieces = Pieces::new(body, range.end - range.start);
        if untouched && range == (0..upload.size) && upload.size <= PIECE_BYTES as u64 {
            let whole = pieces.next().await?;
            pieces.finish()?;
            self.complete(&upload, Data::Bytes(joined(whole))).await?;
            return Ok(Progress::Complete);
        }
        let path = self.path(upload.id);
        let mut at = range.start;
        while at < range.end {
            let piece = pieces.next().await?;
            let end = at + piece.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
            self.keep(&upload, &path, at..end, piece).await?;
            at = end;
        }
        pieces.finish()?;
        let missing = {
            let mut written = upload.written();
            if written.ranges.len() >= RANGES_MAX {
                let why = format!("an upload has at most {RANGES_MAX} ranges");
                return Err(Refusal::TooLarge(why).into());
            }
            written.ranges.insert(range.clone());
            written.deadline = self.shares().now().saturating_add(PATIENCE_SECONDS);
            written.ranges.missing(0..upload.size)
        };
        let deadline = upload.written().deadline;
        let entry = Entry::Wrote { id: upload.id, begin: range.start, end: range.end, deadline };
        self.inner.journal.add(&[entry])?;
        if !missing.is_empty() {
            return Ok(Progress::Missing(missing));
        }
        self.complete(&upload, self.data(&upload)).await?;
        Ok(Progress::Complete)
    }

    /// Ends an upload, and forgets what was written.
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongSecret`]; [`Refusal::Complete`] for a share that is complete; [`Refusal::NotFound`].
    pub async fn abort(&self, place: (StorageIndex, u64), upload_secret: &[u8]) -> Result<()> {
        let Ok(upload) = self.look(place) else {
            let (index, number) = place;
            let complete = self.shares().reader(Kind::Immutable, index, number).await?.is_some();
            return Err(if complete { Refusal::Complete } else { Refusal::NotFound }.into());
        };
        upload.check(upload_secret)?;
        // What is being written, or stored, comes first.
        let _turn = upload.turn().await;
        if upload.written().over {
            let (index, number) = place;
            let complete = self.shares().reader(Kind::Immutable, index, number).await?.is_some();
            return Err(if complete { Refusal::Complete } else { Refusal::NotFound }.into());
        }
        self.forget(&upload)
    }

    /// Ends all uploads that nobody has written to for half an hour, stores those that are whole, and says how many have
    /// ended.
    ///
    /// # Errors
    ///
    /// [`Error::File`].
    pub async fn sweep(&self) -> Result<usize> {
        let all: Vec<_> = self.opened().uploads.values().cloned().collect();
        let now = self.shares().now();
        let mut ended = 0;
        for upload in all {
            // Somebody is writing to it.
            let Ok(_turn) = upload.turn.try_acquire() else { continue };
            let (late, whole, over) = {
                let written = upload.written();
                let whole = written.ranges.missing(0..upload.size).is_empty() && upload.size > 0;
                (written.deadline <= now, whole, written.over)
            };
            if over {
                continue;
            }
            if whole && !late {
                // Its last byte has come, and then the server ended, or the store was out of reach.
                if let Err(error) = self.complete(&upload, self.data(&upload)).await {
                    tracing::warn!(index = %upload.place.0, "an upload is whole and could not be stored: {error}");
                }
            } else if late {
                self.forget(&upload)?;
                ended += 1;
            }
        }
        Ok(ended)
    }

    /// Stores a share that is whole. Goes on when it is dropped.
    async fn complete(&self, upload: &Arc<Upload>, data: Data) -> Result<()> {
        let (this, upload) = (self.clone(), upload.clone());
        let stored = tokio::spawn(async move {
            let leases = [upload.lease.clone()];
            this.shares().put_immutable(upload.place, &data, &leases).await?;
            this.forget(&upload)
        });
        match stored.await {
            Ok(done) => done,
            Err(error) => Err(Error::Damaged(format!("storing a share has ended early: {error}"))),
        }
    }

    /// Keeps bytes in the file of an upload, or compares them with those that were written there before.
    async fn keep(
        &self,
        upload: &Upload,
        path: &Path,
        range: Range<u64>,
        pieces: Vec<Bytes>,
    ) -> Result<()> {
        let (old, new) = {
            let written = upload.written();
            (written.ranges.within(range.clone()), written.ranges.missing(range.clone()))
        };
        if old.is_empty() {
            return crate::files::write_at(path, range.start, pieces).await;
        }
        let bytes = joined(pieces);
        let cut = |part: &Range<u64>| {
            bytes.slice((part.start - range.start) as usize..(part.end - range.start) as usize)
        };
        let shared = Arc::new(path.to_owned());
        for part in &old {
            let len = (part.end - part.start) as usize;
            if crate::files::read_at(&shared, part.start, len).await? != cut(part) {
                return Err(Refusal::Conflict("other bytes were written there before").into());
            }
        }
        for part in &new {
            crate::files::write_at(path, part.start, vec![cut(part)]).await?;
        }
        Ok(())
    }

    fn data(&self, upload: &Upload) -> Data {
        Data::File { path: Arc::new(self.path(upload.id)), offset: 0, size: upload.size }
    }

    /// An upload is over: completed, aborted or given up.
    fn forget(&self, upload: &Upload) -> Result<()> {
        upload.written().over = true;
        self.opened().remove(upload.place);
        metrics::gauge!(UPLOADS).set(self.count() as f64);
        self.inner.journal.add(&[Entry::Over { id: upload.id }])?;
        let path = self.path(upload.id);
        match std::fs::remove_file(&path) {
            // Nothing was written, or who stored it at the same time was first.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            done => done.map_err(Error::file(&path)),
        }
    }

    /// The upload, if there is one that is still under way and this is its secret.
    fn find(&self, place: (StorageIndex, u64), upload_secret: &[u8]) -> Result<Arc<Upload>> {
        let upload = self.look(place)?;
        upload.check(upload_secret)?;
        Ok(upload)
    }

    fn look(&self, place: (StorageIndex, u64)) -> Result<Arc<Upload>> {
        let upload = self.opened().uploads.get(&place).cloned();
        let upload = upload.ok_or(Refusal::NotFound)?;
        let late = {
            let written = upload.written();
            written.deadline <= self.shares().now()
        };
        if late {
            // Somebody may be at the end of writing to it: then it is as if the time had come a moment later.
            if let Ok(_turn) = upload.turn.try_acquire() {
                self.forget(&upload)?;
                return Err(Refusal::NotFound.into());
            }
        }
        Ok(upload)
    }

    /// The shares of a file that are being uploaded; those that nobody has written to for long are ended first.
    fn under_way(&self, index: StorageIndex) -> BTreeSet<u64> {
        let numbers: Vec<_> = {
            let open = self.opened();
            open.uploads.keys().filter(|place| place.0 == index).map(|place| place.1).collect()
        };
        numbers.into_iter().filter(|number| self.look((index, *number)).is_ok()).collect()
    }

    /// Forgets uploads that were left by a server that has ended, for those of another secret.
    ///
    /// One that is whole is not forgotten: [`Uploads::sweep`] stores it.
    fn give_way(
        &self,
        index: StorageIndex,
        numbers: &BTreeSet<u64>,
        upload_secret: &[u8],
    ) -> Result<()> {
        for number in numbers {
            let Ok(upload) = self.look((index, *number)) else { continue };
            // Somebody continues it at this moment.
            let Ok(_turn) = upload.turn.try_acquire() else { continue };
            let is_left = {
                let written = upload.written();
                written.left && !written.over && !written.ranges.missing(0..upload.size).is_empty()
            };
            if is_left && upload.check(upload_secret).is_err() {
                self.forget(&upload)?;
            }
        }
        Ok(())
    }

    fn path(&self, id: u64) -> PathBuf {
        self.inner.folder.join(format!("{id:016x}"))
    }

    fn opened(&self) -> MutexGuard<'_, Open> {
        self.inner.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up what the journal tells.
    fn recover(&self, entries: Vec<Entry>) -> Result<()> {
        let mut found: HashMap<u64, Upload> = HashMap::new();
        let mut next = 0;
        for entry in entries {
            next = next.max(entry.id() + 1);
            match entry {
                Entry::Begun { id, place, size, secret, lease, deadline } => {
                    let written =
                        Written { ranges: Ranges::default(), deadline, over: false, left: true };
                    let (turn, state) = (Semaphore::new(1), Mutex::new(written));
                    found.insert(id, Upload { id, place, size, secret, lease, turn, state });
                }
                Entry::Wrote { id, begin, end, deadline } => {
                    if let Some(upload) = found.get(&id) {
                        let mut written = upload.written();
                        written.ranges.insert(begin..end.min(upload.size));
                        written.deadline = deadline;
                    }
                }
                Entry::Over { id } => {
                    found.remove(&id);
                }
            }
        }
        let mut kept = Vec::new();
        let mut open = self.opened();
        open.next = next;
        for upload in found.into_values() {
            kept.push(upload.entry());
            kept.extend(upload.wrote());
            open.bytes = open.bytes.saturating_add(upload.size);
            open.uploads.insert(upload.place, Arc::new(upload));
        }
        self.inner.journal.replace(&kept)?;
        let named: BTreeSet<_> = open.uploads.values().map(|upload| self.path(upload.id)).collect();
        drop(open);
        // What is left of uploads that were over when the server ended.
        let listed =
            std::fs::read_dir(&self.inner.folder).map_err(Error::file(&self.inner.folder))?;
        for entry in listed {
            let path = entry.map_err(Error::file(&self.inner.folder))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let ours = name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
            if ours && !named.contains(&path) {
                std::fs::remove_file(&path).map_err(Error::file(&path))?;
            }
        }
        Ok(())
    }
}

impl Open {
    fn remove(&mut self, place: (StorageIndex, u64)) {
        if let Some(upload) = self.uploads.remove(&place) {
            self.bytes = self.bytes.saturating_sub(upload.size);
        }
    }
}

impl Upload {
    fn check(&self, upload_secret: &[u8]) -> Result<()> {
        // Hashes of this crate are compared in a time that says nothing.
        if blake3::hash(upload_secret) == self.secret {
            return Ok(());
        }
        Err(Refusal::WrongSecret.into())
    }

    /// Waits until nobody else writes to it.
    async fn turn(&self) -> SemaphorePermit<'_> {
        self.turn.acquire().await.expect("nobody closes it")
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it is begun in the journal.
    fn entry(&self) -> Entry {
        Entry::Begun {
            id: self.id,
            place: self.place,
            size: self.size,
            secret: self.secret,
            lease: self.lease.clone(),
            deadline: self.written().deadline,
        }
    }

    /// What was written, for the journal.
    fn wrote(&self) -> Vec<Entry> {
        let written = self.written();
        let entry = |range: Range<u64>| Entry::Wrote {
            id: self.id,
            begin: range.start,
            end: range.end,
            deadline: written.deadline,
        };
        written.ranges.iter().map(entry).collect()
    }
}

/// The first bytes of a body, as many as are wanted, some at a time.
struct Pieces<B> {
    body: std::pin::Pin<Box<B>>,
    wanted: u64,
    left: Bytes,
}

impl<B> Pieces<B>
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    fn new(body: B, wanted: u64) -> Self {
        Self { body: Box::pin(body), wanted, left: Bytes::new() }
    }

    /// The next ones: so many as are taken at once, or all that are still wanted.
    async fn next(&mut self) -> Result<Vec<Bytes>> {
        let mut want = self.wanted.min(PIECE_BYTES as u64) as usize;
        self.wanted -= want as u64;
        let mut pieces = Vec::new();
        while want > 0 {
            if self.left.is_empty() {
                match self.body.frame().await {
                    Some(Ok(frame)) => self.left = frame.into_data().unwrap_or_default(),
                    Some(Err(error)) => return Err(Error::Body(error.to_string())),
                    None => {
                        let why = "the body has fewer bytes than its range".to_owned();
                        return Err(Refusal::Invalid(why).into());
                    }
                }
                continue;
            }
            let piece = self.left.split_to(want.min(self.left.len()));
            want -= piece.len();
            pieces.push(piece);
        }
        Ok(pieces)
    }

    /// That all was taken.
    fn finish(&self) -> Result<()> {
        match self.wanted {
            0 => Ok(()),
            wanted => Err(Error::Body(format!("{wanted} bytes were not taken"))),
        }
    }
}

fn joined(mut pieces: Vec<Bytes>) -> Bytes {
    match pieces.len() {
        1 => pieces.remove(0),
        _ => pieces.concat().into(),
    }
}
