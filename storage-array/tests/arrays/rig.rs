//! Members that can be switched off, slowed down, looked into and damaged.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backend_memory::MemoryProvider;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use storage_array::{Depth, Erasure, Member, Mend, Mended, Mirror, Scrub, Scrubbed};
use storage_core::{
    Effect, Env, Error, ErrorKind, Get, Key, List, Object, Page, Prefix, ProviderInfo, PutIf,
    Result, StorageProvider, StorageProviderExt as _, Version, async_trait,
};
use storage_wrappers::ManualEnv;

/// A place in memory, as a member reaches it.
#[derive(Debug, Clone)]
pub(crate) struct Place(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    objects: MemoryProvider,
    env: Arc<ManualEnv>,
    down: AtomicBool,
    hangs: AtomicBool,
    /// The usual latency in microseconds; each request draws around it.
    micros: AtomicU64,
    log: Mutex<Vec<Request>>,
}

/// What was asked of a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    Put(Key, usize),
    Whole(Key),
    Part(Key),
    List,
    Delete(Key),
}

impl Place {
    pub(crate) fn new(env: &Arc<ManualEnv>) -> Self {
        Self(Arc::new(Inside {
            objects: MemoryProvider::new(),
            env: env.clone(),
            down: AtomicBool::new(false),
            hangs: AtomicBool::new(false),
            micros: AtomicU64::new(0),
            log: Mutex::default(),
        }))
    }

    /// What is in it, reached past everything that can be wrong with it.
    pub(crate) fn objects(&self) -> &MemoryProvider {
        &self.0.objects
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.0.down.store(down, Ordering::SeqCst);
    }

    /// Requests are never answered.
    pub(crate) fn set_hanging(&self, hangs: bool) {
        self.0.hangs.store(hangs, Ordering::SeqCst);
    }

    pub(crate) fn set_latency(&self, usual: Duration) {
        self.0.micros.store(usual.as_micros() as u64, Ordering::SeqCst);
    }

    /// What was asked since the last look.
    pub(crate) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.0.log.lock().unwrap())
    }

    /// Everything in it, by name.
    pub(crate) async fn contents(&self) -> Vec<(Key, Bytes)> {
        let listed: Vec<_> = self.0.objects.list_all(&Prefix::all()).try_collect().await.unwrap();
        let mut contents = Vec::new();
        for object in listed {
            let body = self.0.objects.get(&object.key, Get::whole()).await.unwrap().body;
            contents.push((object.key, body));
        }
        contents
    }

    /// Takes all away that is in it, and puts this there.
    pub(crate) async fn replace_all(&self, with: &[(Key, Bytes)]) {
        for (name, _) in self.contents().await {
            self.objects().delete(&name).await.unwrap();
        }
        for (name, bytes) in with {
            self.objects().put(name, bytes.clone(), PutIf::Always).await.unwrap();
        }
    }

    async fn meet(&self, request: Request, mutation: bool) -> Result<()> {
        self.0.log.lock().unwrap().push(request);
        let micros = self.0.micros.load(Ordering::SeqCst);
        if micros > 0 {
            // Half as long to one and a half times as long, and one in a hundred four times that.
            let drawn = self.0.env.random();
            let stall = if drawn.is_multiple_of(100) { 4 } else { 1 };
            let time = micros / 2 + (drawn >> 8) % micros;
            self.0.env.sleep(Duration::from_micros(time * stall)).await;
        }
        if self.0.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.0.down.load(Ordering::SeqCst) {
            let effect = if mutation { Effect::Unknown } else { Effect::NotApplied };
            let what = "switched off";
            return Err(match effect {
                Effect::Unknown => Error::unknown(ErrorKind::Unavailable, what),
                Effect::NotApplied => Error::not_applied(ErrorKind::Unavailable, what),
            });
        }
        Ok(())
    }
}

#[async_trait]
impl StorageProvider for Place {
    fn info(&self) -> ProviderInfo {
        self.0.objects.info()
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        self.meet(Request::Put(key.clone(), body.len()), true).await?;
        self.0.objects.put(key, body, when).await
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        let whole = request.range.is_none() && !request.meta_only;
        let kind = if whole { Request::Whole } else { Request::Part };
        self.meet(kind(key.clone()), false).await?;
        self.0.objects.get(key, request).await
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        self.meet(Request::List, false).await?;
        self.0.objects.list(request).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.meet(Request::Delete(key.clone()), true).await?;
        self.0.objects.delete(key).await
    }
}

/// An array as one process has it.
pub(crate) enum Array {
    Mirror(Mirror),
    Erasure(Erasure),
}

impl Array {
    pub(crate) fn new(
        (data, total): (usize, usize),
        places: &[Place],
        env: &Arc<ManualEnv>,
    ) -> Self {
        let members = members(places);
        match data {
            1 => Self::Mirror(Mirror::new(members, None, env.clone()).unwrap()),
            _ => {
                Self::Erasure(Erasure::new(data, total - data, members, None, env.clone()).unwrap())
            }
        }
    }

    pub(crate) fn provider(&self) -> &dyn StorageProvider {
        match self {
            Self::Mirror(array) => array,
            Self::Erasure(array) => array,
        }
    }

    pub(crate) async fn settle(&self) -> usize {
        match self {
            Self::Mirror(array) => array.settle().await,
            Self::Erasure(array) => array.settle().await,
        }
    }

    pub(crate) async fn mend(&self) -> Result<Mended> {
        match self {
            Self::Mirror(array) => array.mend(&Mend::default(), &mut |_| true).await,
            Self::Erasure(array) => array.mend(&Mend::default(), &mut |_| true).await,
        }
    }

    pub(crate) async fn scrub(&self) -> Result<Scrubbed> {
        let how = Scrub { at_once: 3, on_record: true, ..Scrub::new(Depth::Bytes) };
        match self {
            Self::Mirror(array) => array.scrub(&how, &mut |_| true).await,
            Self::Erasure(array) => array.scrub(&how, &mut |_| true).await,
        }
    }
}

/// So many places.
pub(crate) fn places(env: &Arc<ManualEnv>, count: usize) -> Vec<Place> {
    (0..count).map(|_| Place::new(env)).collect()
}

/// They as members `m0`, `m1`, ...
pub(crate) fn members(places: &[Place]) -> Vec<Member> {
    let member =
        |(at, place): (usize, &Place)| Member::new(format!("m{at}"), Arc::new(place.clone()));
    places.iter().enumerate().map(member).collect()
}

pub(crate) fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

/// Bytes that repeat nowhere soon.
pub(crate) fn body(size: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ size as u64;
    let mut body = Vec::with_capacity(size + 8);
    while body.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        body.extend_from_slice(&state.to_le_bytes());
    }
    body.truncate(size);
    body.into()
}
