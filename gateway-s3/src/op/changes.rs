//! What becomes of the objects of a bucket, commit by commit: without gap or repeat.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use storage_txn::{Changes, CommitChanges, ErrorKind, Snapshot, Version, Watch};

use crate::error::{Code, Error, Result};
use crate::layout;
use crate::op::caller::Caller;
use crate::op::{Core, Moment, action};
use crate::record::{Bucket, Object, decode};

/// The most cursors of a bucket.
const CURSORS_MAX: usize = 100;
/// The most bytes of the name of one.
const CURSOR_BYTES_MAX: usize = 64;

/// How far somebody has read: all up to a version of the store, and so many events of the next. Written as `17`, or
/// `17.3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place {
    pub(crate) seen: u64,
    pub(crate) events: usize,
}

/// What became of an object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) key: String,
    pub(crate) kind: EventKind,
    /// The version that was put, changed or deleted; the delete marker of a deletion that leaves one.
    pub(crate) object: Object,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventKind {
    /// There is a new version.
    Put,
    /// It was deleted, or a version of it for good.
    Delete,
    /// What is said of a version is new: its tags, or its access control list.
    Update,
}

/// The events of one commit, in the order of their keys.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Events {
    pub(crate) version: Version,
    /// In microseconds since the Unix epoch.
    pub(crate) time: u64,
    /// How many before these were passed over.
    pub(crate) passed: usize,
    pub(crate) events: Vec<Event>,
}

/// Events, being read. Holds those of one commit at a time.
#[derive(Debug)]
pub(crate) struct Feed {
    name: String,
    prefix: String,
    /// When the bucket was made: what was in another one with its name is none of its reader's business.
    created: u64,
    /// What was there when it began.
    past: Option<Changes>,
    /// The first of that, which was asked for to see whether it is kept.
    first: Option<CommitChanges>,
    /// What comes after.
    watch: Watch,
    seen: u64,
    /// How many events of the next commit with any are passed over.
    skip: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.events {
            0 => write!(f, "{}", self.seen),
            events => write!(f, "{}.{events}", self.seen),
        }
    }
}

impl FromStr for Place {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| plain)
        };
        let (seen, events) = text.split_once('.').unwrap_or((text, "0"));
        let place =
            number(seen).zip(number(events).and_then(|events| usize::try_from(events).ok()));
        let none = || Error::new(Code::InvalidArgument, format!("{text:?} is no place in a feed"));
        let (seen, events) = place.ok_or_else(none)?;
        Ok(Self { seen, events })
    }
}

impl Core {
    /// What became of the objects of a bucket from a place on; from now on if none is given.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`], [`Code::AccessDenied`], [`Code::ChangesExpired`], [`Code::InvalidArgument`].
    pub(crate) async fn changes(
        &self,
        caller: &Caller,
        name: &str,
        from: Option<Place>,
        prefix: &str,
    ) -> Result<Feed> {
        let opened = self.open(name, Moment::Now).await?;
        caller.may(action::LIST, name, &opened.bucket)?;
        caller.may(action::LIST_VERSIONS, name, &opened.bucket)?;
        let last = opened.snapshot.version();
        let from = from.unwrap_or(Place { seen: last.0, events: 0 });
        let past = opened.snapshot.changes(Version(from.seen)).await;
        let mut past = past.map_err(|error| not_kept(error, from.seen))?;
        let first = past.next().await.map_err(|error| not_kept(error, from.seen))?;
        Ok(Feed {
            name: name.to_owned(),
            prefix: prefix.to_owned(),
            created: opened.bucket.created,
            past: Some(past),
            first,
            watch: self.store.watch(last),
            seen: from.seen,
            skip: from.events,
        })
    }

    /// Where a cursor of a bucket stands: moved to a place, if one is given; made where there is none. What comes after it
    /// is kept, as long as it does not fall too far behind.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`], [`Code::AccessDenied`], [`Code::InvalidArgument`], [`Code::ChangesExpired`].
    pub(crate) async fn cursor(
        &self,
        caller: &Caller,
        name: &str,
        cursor: &str,
        to: Option<Place>,
    ) -> Result<Place> {
        let opened = self.open(name, Moment::Now).await?;
        caller.may(action::PUT_NOTIFICATION, name, &opened.bucket)?;
        let full = cursor_name(name, opened.bucket.created, cursor)?;
        let there = self.store.cursor_get(&full).await?;
        let Some(seen) = to.map(|place| Version(place.seen)).or_else(|| match there {
            Some(_) => None,
            None => Some(opened.snapshot.version()),
        }) else {
            return Ok(Place { seen: there.unwrap_or_default().0, events: 0 });
        };
        if there.is_none() {
            let own = cursor_name(name, opened.bucket.created, "")?;
            let all = self.store.cursors().await?;
            if all.iter().filter(|(other, _)| other.starts_with(&own)).count() >= CURSORS_MAX {
                let why = format!("a bucket has at most {CURSORS_MAX} cursors");
                return Err(Error::new(Code::InvalidRequest, why));
            }
        }
        if there != Some(seen) {
            let set = self.store.cursor_set(&full, seen).await;
            set.map_err(|error| not_kept(error, seen.0))?;
        }
        Ok(to.unwrap_or(Place { seen: seen.0, events: 0 }))
    }

    /// Takes a cursor away. One that is not there is as good as taken away.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`], [`Code::AccessDenied`], [`Code::InvalidArgument`].
    pub(crate) async fn remove_cursor(
        &self,
        caller: &Caller,
        name: &str,
        cursor: &str,
    ) -> Result<()> {
        let opened = self.open(name, Moment::Now).await?;
        caller.may(action::PUT_NOTIFICATION, name, &opened.bucket)?;
        let full = cursor_name(name, opened.bucket.created, cursor)?;
        Ok(self.store.cursor_remove(&full).await?)
    }
}

impl Feed {
    /// The next commit that changed something, of what was there when it began; `None` after the last.
    ///
    /// # Errors
    ///
    /// [`Code::ChangesExpired`], and those of the store.
    pub(crate) async fn past(&mut self) -> Result<Option<Events>> {
        while let Some(past) = &mut self.past {
            let next = match self.first.take() {
                Some(first) => Some(first),
                None => past.next().await.map_err(|error| not_kept(error, self.seen))?,
            };
            let Some(next) = next else {
                self.past = None;
                self.seen = self.watch.seen().0;
                break;
            };
            if let Some(events) = self.events(&next).await? {
                return Ok(Some(events));
            }
        }
        Ok(None)
    }

    /// The next commit that changes something, after what was there; waits for it. May be dropped at any time.
    ///
    /// # Errors
    ///
    /// Those of [`past`](Self::past).
    pub(crate) async fn next(&mut self) -> Result<Events> {
        loop {
            // What was read is kept until it was looked at, so that nothing is passed over when this is dropped.
            if self.first.is_none() {
                let seen = self.seen;
                self.first = Some(self.watch.next().await.map_err(|error| not_kept(error, seen))?);
            }
            let Some(next) = self.first.clone() else { continue };
            let events = self.events(&next).await?;
            self.first = None;
            if let Some(events) = events {
                return Ok(events);
            }
        }
    }

    /// Up to where everything was handed out.
    pub(crate) fn place(&self) -> Place {
        Place { seen: self.seen, events: 0 }
    }

    /// What a commit did to the objects of the bucket, but for what is to be passed over.
    async fn events(&mut self, changes: &CommitChanges) -> Result<Option<Events>> {
        let commit = changes.commit();
        let touched = self.touched(changes).await?;
        let mut events = Vec::new();
        if !touched.is_empty() && self.is_same(changes.after()).await? {
            for (key, names) in touched {
                let before = versions(changes.before(), &names).await?;
                let after = versions(changes.after(), &names).await?;
                compare(&key, before, after, &mut events);
            }
        }
        // Places are counted from the commit right after `seen`, whichever that is.
        let next = commit.version.0 == self.seen + 1;
        self.seen = commit.version.0;
        let skip = std::mem::take(&mut self.skip);
        let passed = if next { skip.min(events.len()) } else { 0 };
        events.drain(..passed);
        let time = u64::try_from(commit.time.as_micros()).unwrap_or(u64::MAX);
        let version = commit.version;
        Ok((!events.is_empty()).then_some(Events { version, time, passed, events }))
    }

    /// The objects that a commit touched, each with the names of the records that it changed.
    async fn touched(&self, changes: &CommitChanges) -> Result<BTreeMap<String, BTreeSet<Bytes>>> {
        let mut touched: BTreeMap<String, BTreeSet<Bytes>> = BTreeMap::new();
        let mut touch = |name: &Bytes| {
            let key = layout::object_key(&self.name, name).map(str::to_owned);
            let key = key.or_else(|| Some(layout::version_parts(&self.name, name)?.0));
            if let Some(key) = key.filter(|key| key.starts_with(&self.prefix)) {
                touched.entry(key).or_default().insert(name.clone());
            }
        };
        if changes.commit().ranges.is_empty() {
            changes.commit().keys.iter().for_each(touch);
        } else {
            let mut keys = changes.keys()?;
            while let Some(changed) = keys.next().await? {
                touch(&changed.key);
            }
        }
        Ok(touched)
    }

    async fn is_same(&self, snapshot: &Snapshot) -> Result<bool> {
        let bucket = snapshot.get(layout::bucket(&self.name)).await?;
        let bucket: Option<Bucket> = bucket.map(decode).transpose()?;
        Ok(bucket.is_some_and(|bucket| bucket.created == self.created))
    }
}

/// Versions of an object that stand under these names, by their order.
async fn versions(snapshot: &Snapshot, names: &BTreeSet<Bytes>) -> Result<BTreeMap<u64, Object>> {
    let mut versions = BTreeMap::new();
    for name in names {
        if let Some(record) = snapshot.get(name).await? {
            let object: Object = decode(record)?;
            versions.insert(object.order, object);
        }
    }
    Ok(versions)
}

/// What happened, from the versions that there were and that there are. A version that only moved is in both.
fn compare(
    key: &str,
    mut before: BTreeMap<u64, Object>,
    after: BTreeMap<u64, Object>,
    events: &mut Vec<Event>,
) {
    let mut push = |kind, object| events.push(Event { key: key.to_owned(), kind, object });
    let mut added = Vec::new();
    for (order, object) in after {
        match before.remove(&order) {
            None => added.push(object),
            Some(same) if same == object => {}
            Some(_) => push(EventKind::Update, object),
        }
    }
    // A null version takes the place of the one before it: that is a put, not also a deletion.
    let replaced = added.iter().any(Object::is_null);
    for removed in before.into_values().filter(|removed| !(replaced && removed.is_null())) {
        push(EventKind::Delete, removed);
    }
    for object in added {
        push(if object.delete_marker { EventKind::Delete } else { EventKind::Put }, object);
    }
}

/// A cursor of a bucket among all those of the store.
fn cursor_name(bucket: &str, created: u64, cursor: &str) -> Result<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if cursor.len() > CURSOR_BYTES_MAX || !cursor.bytes().all(plain) {
        let why =
            format!("{cursor:?} is not of 1 to {CURSOR_BYTES_MAX} letters, digits, -, _ and .");
        return Err(Error::new(Code::InvalidArgument, why));
    }
    Ok(format!("s3/{bucket}/{created}/{cursor}"))
}

fn not_kept(error: storage_txn::Error, from: u64) -> Error {
    match error.kind() {
        ErrorKind::SnapshotExpired => {
            let why =
                format!("changes after version {from} are no longer kept: list the bucket anew");
            Error::new(Code::ChangesExpired, why)
        }
        ErrorKind::NoSuchVersion => {
            let why = format!("the store has not come to version {from} yet");
            Error::new(Code::InvalidArgument, why)
        }
        _ => error.into(),
    }
}
