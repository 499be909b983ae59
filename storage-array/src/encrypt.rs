//! `encrypt`: the provider below sees names and lengths, and neither reads nor changes anything unnoticed.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use storage_core::{
    Atomicity, Env, Error, ErrorKind, Get, Key, List, Object, Operation, Page, Prefix,
    ProviderInfo, PutIf, Result, Secret, StorageProvider, Version, async_trait,
};

use crate::core::lock;
use crate::sealed::{
    CHUNK_BYTES, HEADER_BYTES, Header, MasterKey, TAG_BYTES, chunks, corrupt, opened_bytes,
    parse_keys, sealed_bytes,
};

/// How many objects are remembered, to notice that an older state of one comes back.
const SEEN_MAX: usize = 20_000;
/// How many older states of each.
const OLDER_MAX: usize = 8;

/// Encrypts every object with a key of its own, derived from one that the provider below never sees.
///
/// What comes back is authenticated together with its name: an object that was changed, cut short, put under
/// another name, or is an older state of one that this handle has seen since, is
/// [`Corrupt`](ErrorKind::Corrupt). Names and lengths are not hidden. Conditions are those of the provider
/// below.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use backend_memory::MemoryProvider;
/// use storage_array::Encrypt;
/// use storage_core::{Get, Key, PutIf, Secret, StorageProvider};
/// use storage_wrappers::TokioEnv;
///
/// # futures_executor::block_on(async {
/// let cloud = MemoryProvider::new();
/// let secret = Secret::new("5a".repeat(32));
/// let encrypted = Encrypt::new(Arc::new(cloud.clone()), &secret, Arc::new(TokioEnv::new()))?;
/// let key = Key::new("a")?;
/// encrypted.put(&key, "for nobody else".into(), PutIf::Absent).await?;
/// assert_eq!(&encrypted.get(&key, Get::range(4..10)).await?.body[..], b"nobody");
/// let seen = cloud.get(&key, Get::whole()).await?.body;
/// assert!(!seen.windows(6).any(|bytes| bytes == b"nobody"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct Encrypt {
    inner: Arc<dyn StorageProvider>,
    /// The first encrypts; all decrypt.
    keys: Vec<MasterKey>,
    env: Arc<dyn Env>,
    seen: Mutex<Seen>,
}

type Salt = [u8; 32];

/// Which states of objects have been seen, and which of them were replaced by others.
#[derive(Default)]
struct Seen {
    /// Counts what was seen, so that answers which overtake each other are told from what comes back.
    clock: u64,
    objects: BTreeMap<Key, Past>,
}

#[derive(Default)]
struct Past {
    now: Option<Salt>,
    /// When that was learnt. Answers to requests sent before say nothing about what came first.
    since: u64,
    /// States that were replaced, and when.
    older: VecDeque<(Salt, u64)>,
}

/// What a rotation has done so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rotated {
    /// Objects looked at.
    pub objects: u64,
    /// Objects encrypted anew, with the first key.
    pub rotated: u64,
    /// Objects that could not be, and why: the first hundred.
    pub failed: Vec<(Key, String)>,
    /// How many of those there are.
    pub failures: u64,
}

/// Whether a text has the keys that [`Encrypt::new`] takes, without a provider.
///
/// # Errors
///
/// As [`Encrypt::new`].
pub fn check_keys(keys: &Secret) -> Result<()> {
    parse_keys(keys).map(drop)
}

impl Encrypt {
    /// Encrypts what is kept on `inner` with the first of `keys`: one on each line, 64 hexadecimal digits.
    /// The others are older ones, for what was encrypted before [`rotate`](Self::rotate) is done.
    ///
    /// The randomness of `env` need not be secret, but must not repeat itself under one key.
    ///
    /// # Errors
    ///
    /// [`Misconfigured`](ErrorKind::Misconfigured), naming `key`: no key, or something else than digits.
    pub fn new(inner: Arc<dyn StorageProvider>, keys: &Secret, env: Arc<dyn Env>) -> Result<Self> {
        let keys = parse_keys(keys)?;
        Ok(Self { inner, keys, env, seen: Mutex::default() })
    }

    /// Encrypts everything under `prefix` anew that was not encrypted with the first key, and does not stop at
    /// an object that fails. `progress` is told after each page of keys, and stops the walk by answering
    /// false. Once it is done without failures, the older keys can go.
    ///
    /// # Errors
    ///
    /// Those of a list.
    pub async fn rotate(
        &self,
        prefix: &Prefix,
        progress: &mut (dyn FnMut(&Rotated) -> bool + Send),
    ) -> Result<Rotated> {
        let mut report = Rotated::default();
        let mut after = None;
        loop {
            let request = List { prefix, start_after: after.as_ref(), limit: 1000 };
            let page = self.inner.list(request).await?;
            for object in &page.objects {
                report.objects += 1;
                match self.rotate_one(&object.key).await {
                    Ok(rotated) => report.rotated += u64::from(rotated),
                    Err(error) => {
                        report.failures += 1;
                        if report.failed.len() < 100 {
                            report.failed.push((object.key.clone(), error.to_string()));
                        }
                    }
                }
            }
            after = page.objects.last().map(|object| object.key.clone());
            if !progress(&report) || !page.more {
                return Ok(report);
            }
        }
    }

    async fn rotate_one(&self, key: &Key) -> Result<bool> {
        let head = match self.inner.get(key, Get::range(0..HEADER_BYTES)).await {
            Ok(head) => head,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if Header::read(&head.body)?.key_id == self.keys[0].id {
            return Ok(false);
        }
        let object = self.get(key, Get::whole()).await?;
        let decides = self.info().capabilities.matches != Atomicity::Unsupported;
        let when = if decides { PutIf::Matches(object.version) } else { PutIf::Always };
        match self.put(key, object.body, when).await {
            Ok(_) => Ok(true),
            // Whoever replaced it has encrypted it with the key of the day.
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn key_of(&self, header: &Header) -> Result<&MasterKey> {
        self.keys.iter().find(|key| key.id == header.key_id).ok_or_else(|| {
            Error::not_applied(
                ErrorKind::PermissionDenied,
                "it was encrypted with a key that `key` does not have",
            )
        })
    }

    fn salt(&self) -> Salt {
        let mut salt = [0; 32];
        for part in salt.chunks_mut(8) {
            part.copy_from_slice(&self.env.random().to_le_bytes());
        }
        salt
    }

    fn clock(&self) -> u64 {
        lock(&self.seen).clock
    }

    /// Notes the state that an answer shows, of a request that was sent at `sent`; none after a delete.
    ///
    /// # Errors
    ///
    /// It is one that was replaced before the request was sent.
    fn saw(&self, key: &Key, salt: Option<Salt>, sent: u64) -> Result<()> {
        let mut seen = lock(&self.seen);
        seen.clock += 1;
        let clock = seen.clock;
        if seen.objects.len() >= SEEN_MAX && !seen.objects.contains_key(key) {
            seen.objects.clear();
        }
        let past = seen.objects.entry(key.clone()).or_default();
        let replaced = past.older.iter().find(|(older, _)| Some(*older) == salt);
        if let Some((_, when)) = replaced {
            let what = "an older state of it has come back, which was replaced before";
            return if sent < *when { Ok(()) } else { Err(corrupt(what)) };
        }
        if past.now == salt || sent < past.since {
            return Ok(());
        }
        past.since = clock;
        if let Some(before) = std::mem::replace(&mut past.now, salt) {
            if past.older.len() == OLDER_MAX {
                past.older.pop_front();
            }
            past.older.push_back((before, clock));
        }
        Ok(())
    }

    async fn get_now(&self, key: &Key, request: Get) -> Result<Object> {
        if request.meta_only {
            let object = self.inner.get(key, request).await?;
            let size = plain_size(object.size)?;
            return Ok(Object { size, ..object });
        }
        let sent = self.clock();
        let Some(range) = request.range else {
            let object = self.inner.get(key, request).await?;
            let size = plain_size(object.size)?;
            let header = Header::read(&object.body)?;
            let rest = &object.body[HEADER_BYTES as usize..];
            let chunks = (0, chunks(size) - 1);
            let body = self.key_of(&header)?.open(key, &header, chunks, rest)?;
            if body.len() as u64 != size {
                return Err(corrupt("it has another length than it should"));
            }
            self.saw(key, Some(header.salt), sent)?;
            return Ok(Object { body, size, version: object.version });
        };
        // The header, and with it the first chunk where that is wanted.
        let near = range.start < CHUNK_BYTES;
        let first = HEADER_BYTES + if near { CHUNK_BYTES + TAG_BYTES } else { 0 };
        let head = Get { range: Some((0..first).into()), ..request.clone() };
        let head = match self.inner.get(key, head).await {
            Err(error) if error.kind() == ErrorKind::InvalidRange => {
                return Err(corrupt("it is empty, which no encrypted object is"));
            }
            answer => answer?,
        };
        let size = plain_size(head.size)?;
        let header = Header::read(&head.body)?;
        let wanted = range.within(size)?;
        let (from, last) = (wanted.start / CHUNK_BYTES, chunks(size) - 1);
        let to = (wanted.end - 1) / CHUNK_BYTES;
        let sealed = if near && to == 0 {
            head.body.slice(HEADER_BYTES as usize..)
        } else {
            let place = |chunk: u64| HEADER_BYTES + chunk * (CHUNK_BYTES + TAG_BYTES);
            let rest = Get::range(place(from)..place(to + 1)).if_match(head.version.clone());
            match self.inner.get(key, rest).await {
                Ok(object) => object.body,
                // It was replaced in between. Once more, as a whole: that needs one request.
                Err(error)
                    if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::InvalidRange) =>
                {
                    let whole = Get { range: None, ..request };
                    let object = Box::pin(self.get_now(key, whole)).await?;
                    let wanted = range.within(object.size)?;
                    let body = object.body.slice(wanted.start as usize..wanted.end as usize);
                    return Ok(Object { body, ..object });
                }
                Err(error) => return Err(error),
            }
        };
        let opened = self.key_of(&header)?.open(key, &header, (from, last), &sealed)?;
        self.saw(key, Some(header.salt), sent)?;
        let skipped = (wanted.start - from * CHUNK_BYTES) as usize;
        let length = (wanted.end - wanted.start) as usize;
        if opened.len() < skipped + length {
            return Err(corrupt("it is shorter than it should be"));
        }
        let body = opened.slice(skipped..skipped + length);
        Ok(Object { body, size, version: head.version })
    }
}

fn plain_size(sealed: u64) -> Result<u64> {
    opened_bytes(sealed).ok_or_else(|| corrupt("no encrypted object has this length"))
}

impl fmt::Debug for Encrypt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encrypt")
            .field("inner", &self.inner)
            .field("keys", &self.keys.len())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl StorageProvider for Encrypt {
    fn info(&self) -> ProviderInfo {
        let mut info = self.inner.info();
        info.name = format!("encrypt({})", info.name).into();
        let most = info.capabilities.object_bytes_max;
        // The most that fits, whatever remainder its chunks leave.
        let most = most.saturating_sub(HEADER_BYTES + TAG_BYTES);
        info.capabilities.object_bytes_max =
            most.saturating_sub(most.div_ceil(CHUNK_BYTES + TAG_BYTES) * TAG_BYTES);
        info.capabilities.versions = storage_core::Versions::PerWrite;
        info
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        let max = self.info().capabilities.object_bytes_max;
        if body.len() as u64 > max {
            let size = body.len();
            let what = format!("{size} bytes, but an object has at most {max}");
            return Err(Error::not_applied(ErrorKind::TooLarge, what).during(Operation::Put, key));
        }
        let (salt, sent) = (self.salt(), self.clock());
        let sealed = self.keys[0].seal(key, &body, salt);
        debug_assert_eq!(sealed.len() as u64, sealed_bytes(body.len() as u64));
        let version = self.inner.put(key, sealed, when).await?;
        // Somebody else's put may have followed already: it is only noted as one state among others.
        let _ = self.saw(key, Some(salt), sent);
        Ok(version)
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        self.get_now(key, request).await.map_err(|error| error.during(Operation::Get, key))
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        let mut page = self.inner.list(request).await?;
        for listed in &mut page.objects {
            // One of a wrong length is listed, and found corrupt when it is read.
            listed.size = opened_bytes(listed.size).unwrap_or(0);
        }
        Ok(page)
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let sent = self.clock();
        self.inner.delete(key).await?;
        self.saw(key, None, sent)
    }
}
