//! A record of what was asked of one key at a time, when, and what came back.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use storage_core::{Effect, ErrorKind, Get, Key, Object, PutIf, Result, StorageProvider, Version};

/// One of the bodies of a history, by number: equal numbers are equal bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Content(pub u32);

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A put of this content on this condition.
    Put(Content, PutIf),
    /// A get of the whole object.
    Get,
    /// A delete.
    Delete,
}

impl Action {
    /// Whether it can change the object.
    #[must_use]
    pub fn is_mutation(&self) -> bool {
        !matches!(self, Self::Get)
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A put succeeded; the object has this version.
    Stored(Version),
    /// A get found this.
    Found(Content, Version),
    /// A get found no object.
    Missing,
    /// A delete succeeded.
    Deleted,
    /// The condition of a put did not hold.
    Conflict,
    /// It failed and did not take effect.
    NotApplied,
    /// It failed, was dropped or has not come back: it may take effect at any time after the call,
    /// once, or never.
    Unknown,
}

/// One operation with the two moments between which it happened, if it has come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timed {
    /// Who asked, for people.
    pub client: usize,
    /// What was asked.
    pub action: Action,
    /// The moment of the call, in ticks of the recorder: no two events share one.
    pub called: u64,
    /// The moment of the answer; without meaning for [`Answer::Unknown`].
    pub returned: u64,
    /// What came back.
    pub answer: Answer,
}

impl fmt::Display for Timed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>5}", self.called)?;
        match self.answer {
            Answer::Unknown => f.write_str(" ..      ")?,
            _ => write!(f, " .. {:<5}", self.returned)?,
        }
        write!(f, " client {:<2} ", self.client)?;
        match &self.action {
            Action::Put(content, PutIf::Always) => write!(f, "put c{}", content.0)?,
            Action::Put(content, PutIf::Absent) => write!(f, "put c{} if absent", content.0)?,
            Action::Put(content, PutIf::Matches(version)) => {
                write!(f, "put c{} if it is {version}", content.0)?;
            }
            Action::Get => f.write_str("get")?,
            Action::Delete => f.write_str("delete")?,
        }
        f.write_str(" -> ")?;
        match &self.answer {
            Answer::Stored(version) => write!(f, "stored as {version}"),
            Answer::Found(content, version) => write!(f, "c{}, {version}", content.0),
            Answer::Missing => f.write_str("not found"),
            Answer::Deleted => f.write_str("deleted"),
            Answer::Conflict => f.write_str("conflict"),
            Answer::NotApplied => f.write_str("failed, not applied"),
            Answer::Unknown => f.write_str("unknown"),
        }
    }
}

/// Sends operations on to providers and writes down what happened.
///
/// Time is a counter that ticks at each call and each answer: if one operation came back before
/// another was called, its ticks say so, on whatever handles the two went.
///
/// # Examples
///
/// ```
/// use backend_memory::MemoryProvider;
/// use conformance::{history::Recorder, linearizability};
/// use storage_core::{Key, PutIf, Versions};
///
/// # futures_executor::block_on(async {
/// let (provider, key) = (MemoryProvider::new(), Key::new("k")?);
/// let recorder = Recorder::new();
/// recorder.put(0, &provider, &key, "one".into(), PutIf::Absent).await?;
/// recorder.get(1, &provider, &key).await?;
/// for (_, history) in recorder.finish() {
///     linearizability::check(&history, Versions::PerWrite)?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Default)]
pub struct Recorder(Mutex<Record>);

#[derive(Default)]
struct Record {
    clock: u64,
    contents: HashMap<Bytes, Content>,
    by_key: BTreeMap<Key, Vec<Timed>>,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("clock", &self.clock)
            .field("contents", &self.contents.len())
            .field("by_key", &self.by_key)
            .finish()
    }
}

impl Record {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn content(&mut self, body: &Bytes) -> Content {
        let next = Content(self.contents.len() as u32);
        *self.contents.entry(body.clone()).or_insert(next)
    }
}

impl Recorder {
    /// A recorder that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts, and writes it down for `client`. If the future is dropped, the outcome is unknown.
    ///
    /// # Errors
    ///
    /// Those of the provider.
    pub async fn put(
        &self,
        client: usize,
        provider: &dyn StorageProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let content = self.lock().content(&body);
        let place = self.call(client, key, Action::Put(content, when.clone()));
        let result = provider.put(key, body, when).await;
        self.answer(
            key,
            place,
            match &result {
                Ok(version) => Answer::Stored(version.clone()),
                Err(error) if error.effect() == Effect::Unknown => Answer::Unknown,
                Err(error) if error.kind() == ErrorKind::Conflict => Answer::Conflict,
                Err(_) => Answer::NotApplied,
            },
        );
        result
    }

    /// Gets the whole object, and writes it down for `client`.
    ///
    /// # Errors
    ///
    /// Those of the provider.
    pub async fn get(
        &self,
        client: usize,
        provider: &dyn StorageProvider,
        key: &Key,
    ) -> Result<Object> {
        let place = self.call(client, key, Action::Get);
        let result = provider.get(key, Get::whole()).await;
        let answer = match &result {
            Ok(object) => {
                let content = self.lock().content(&object.body);
                Answer::Found(content, object.version.clone())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Answer::Missing,
            Err(_) => Answer::NotApplied,
        };
        self.answer(key, place, answer);
        result
    }

    /// Deletes, and writes it down for `client`. If the future is dropped, the outcome is unknown.
    ///
    /// # Errors
    ///
    /// Those of the provider.
    pub async fn delete(
        &self,
        client: usize,
        provider: &dyn StorageProvider,
        key: &Key,
    ) -> Result<()> {
        let place = self.call(client, key, Action::Delete);
        let result = provider.delete(key).await;
        self.answer(
            key,
            place,
            match &result {
                Ok(()) => Answer::Deleted,
                Err(error) if error.effect() == Effect::Unknown => Answer::Unknown,
                Err(_) => Answer::NotApplied,
            },
        );
        result
    }

    /// The history of each key, in order of the calls.
    #[must_use]
    pub fn finish(self) -> BTreeMap<Key, Vec<Timed>> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner).by_key
    }

    /// The history of each key up to now, in order of the calls; what is under way is unknown.
    #[must_use]
    pub fn so_far(&self) -> BTreeMap<Key, Vec<Timed>> {
        self.lock().by_key.clone()
    }

    /// Until it is answered, an operation stands there as unknown: dropping its future needs no care.
    fn call(&self, client: usize, key: &Key, action: Action) -> usize {
        let mut record = self.lock();
        let called = record.tick();
        let history = record.by_key.entry(key.clone()).or_default();
        history.push(Timed { client, action, called, returned: called, answer: Answer::Unknown });
        history.len() - 1
    }

    fn answer(&self, key: &Key, place: usize, answer: Answer) {
        let mut record = self.lock();
        let returned = record.tick();
        if let Some(timed) = record.by_key.get_mut(key).and_then(|history| history.get_mut(place)) {
            timed.returned = returned;
            timed.answer = answer;
        }
    }

    // Nothing that holds the lock panics, so a poisoned one guards a sound record.
    fn lock(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
