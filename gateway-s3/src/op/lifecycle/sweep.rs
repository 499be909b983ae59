//! The sweep that does what rules say: a walk over all buckets that have some, in steps.
//!
//! What is due is found in a snapshot and looked at again in the transaction that does it, so that nothing goes that
//! was put or changed meanwhile. Any number of gateways may sweep a store.

use std::time::Duration;

use storage_txn::{Scan, Transaction};

use super::{Clock, Due, Past, due, due_marker, due_past, due_upload};
use crate::error::{Code, Error, Result};
use crate::layout::{self, DataId};
use crate::op::bucket::end_parts;
use crate::op::list_versions::{Merge, Step};
use crate::op::lock;
use crate::op::object::{Slot, Which};
use crate::op::{Core, Moment, View, now};
use crate::record::{Bucket, Headers, LifecycleRule, Object, Upload, decode};

/// So many records are looked at in one step.
const STEP_RECORDS: u64 = 1000;
/// So many versions are changed by one transaction.
const CHANGES_AT_ONCE: usize = 100;

/// One walk over all buckets that have lifecycle rules. Made anew for each walk; taken further with
/// [`Gateway::sweep`](crate::Gateway::sweep).
#[derive(Debug, Clone)]
pub struct Sweep {
    day: u64,
    /// The bucket that was last.
    after: String,
    now_in: Option<Place>,
}

/// What one step of a [`Sweep`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept {
    /// How many records were looked at: buckets, versions and uploads.
    pub looked_at: u64,
    /// How many objects, versions and delete markers went.
    pub expired: u64,
    /// How many got another storage class.
    pub moved: u64,
    /// How many uploads were ended.
    pub aborted: u64,
}

/// Where in a bucket a sweep is.
#[derive(Debug, Clone)]
struct Place {
    bucket: String,
    /// What keys begin with that rules are for. The first one is being walked.
    prefixes: Vec<String>,
    part: Part,
}

#[derive(Debug, Clone)]
enum Part {
    /// After this version, if it has begun.
    Versions(Option<Last>),
    /// After this record.
    Uploads(Option<Vec<u8>>),
}

/// A version that was looked at.
#[derive(Debug, Clone)]
struct Last {
    key: String,
    order: u64,
    modified: u64,
    at: u32,
}

/// A version that something is to become of.
#[derive(Debug, Clone)]
struct Candidate {
    key: String,
    which: Which,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Newest,
    Past(Past),
    /// A delete marker without anything that it hides.
    Marker,
}

impl Sweep {
    /// A walk that has not begun. Rules count days of this length: [`Duration::from_secs`]`(86_400)` but in trials,
    /// from a second to a day.
    pub fn new(day: Duration) -> Self {
        let day = day.clamp(Duration::from_secs(1), Duration::from_secs(24 * 60 * 60));
        let day = u64::try_from(day.as_micros()).unwrap_or(super::DAY);
        Self { day, after: String::new(), now_in: None }
    }

    fn clock(&self) -> Clock {
        Clock { now: now(), day: self.day }
    }
}

impl Core {
    /// Takes a sweep a step further; nothing is left to do once that is `None`.
    ///
    /// # Errors
    ///
    /// Those of the store. The same step is taken again the next time.
    pub(crate) async fn sweep(&self, sweep: &mut Sweep) -> Result<Option<Swept>> {
        let mut swept = Swept::default();
        let place = match sweep.now_in.clone() {
            Some(place) => place,
            None => match self.next_bucket(&mut sweep.after, &mut swept).await? {
                Some(place) => place,
                None if swept.looked_at == 0 => return Ok(None),
                None => return Ok(Some(swept)),
            },
        };
        let clock = sweep.clock();
        let next = match place.part.clone() {
            Part::Versions(last) => self.sweep_versions(place, last, clock, &mut swept).await?,
            Part::Uploads(after) => self.sweep_uploads(place, after, clock, &mut swept).await?,
        };
        sweep.now_in = next;
        Ok(Some(swept))
    }

    /// The next bucket that has rules, if one comes soon.
    async fn next_bucket(&self, after: &mut String, swept: &mut Swept) -> Result<Option<Place>> {
        let snapshot = self.snapshot(Moment::Now).await?;
        let mut range = layout::buckets();
        if !after.is_empty() {
            range.start = [&layout::bucket(after)[..], b"\0"].concat();
        }
        let mut items = snapshot.scan(&Scan::new(range)).await?;
        while swept.looked_at < STEP_RECORDS
            && let Some(item) = items.next().await?
        {
            swept.looked_at += 1;
            let Some(name) = layout::bucket_name(&item.key).map(str::to_owned) else { continue };
            let bucket: Bucket = decode(item.value)?;
            after.clone_from(&name);
            let prefixes = prefixes(&bucket.lifecycle);
            if !prefixes.is_empty() {
                return Ok(Some(Place { bucket: name, prefixes, part: Part::Versions(None) }));
            }
        }
        Ok(None)
    }

    async fn sweep_versions(
        &self,
        mut place: Place,
        last: Option<Last>,
        clock: Clock,
        swept: &mut Swept,
    ) -> Result<Option<Place>> {
        let name = &place.bucket.clone();
        let snapshot = self.snapshot(Moment::Now).await?;
        let Some(rules) = rules(&View::At(&snapshot), name).await? else { return Ok(None) };
        let Some(prefix) = place.prefixes.first() else {
            let prefixes = prefixes(&rules);
            return Ok(Some(Place { prefixes, part: Part::Uploads(None), ..place }));
        };
        let mut merge = Merge::new(&snapshot, name, prefix);
        match &last {
            Some(last) => merge.resume(&last.key, last.order, last.at).await?,
            None => merge.seek(prefix.as_bytes()).await?,
        }
        let mut walk = Walk { rules: &rules, clock, last, marker: None, found: Vec::new() };
        let mut ended = true;
        while let Some(step) = merge.next().await? {
            swept.looked_at += 1;
            walk.pass(step);
            // Whether a marker hides something is known only from what comes next.
            if swept.looked_at >= STEP_RECORDS && walk.marker.is_none() {
                ended = false;
                break;
            }
        }
        walk.end_key();
        for some in walk.found.chunks(CHANGES_AT_ONCE) {
            self.change(name, some, clock, swept).await?;
        }
        place.part = Part::Versions(walk.last);
        if ended {
            place.prefixes.remove(0);
            place.part = Part::Versions(None);
        }
        Ok(Some(place))
    }

    /// Does what is still due to these versions.
    async fn change(
        &self,
        name: &str,
        candidates: &[Candidate],
        clock: Clock,
        swept: &mut Swept,
    ) -> Result<()> {
        let done = self.transact(move |transaction| async move {
            let mut done = Swept::default();
            let view = View::Inside(&transaction);
            let bucket = view.bucket(name).await?;
            for candidate in candidates {
                candidate.change((name, &bucket), &transaction, clock, &mut done).await?;
            }
            Ok(done)
        });
        match done.await {
            Ok(done) => {
                swept.expired += done.expired;
                swept.moved += done.moved;
                Ok(())
            }
            // The bucket is gone.
            Err(Error::Refused(_)) => Ok(()),
            Err(error) if others_came_first(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn sweep_uploads(
        &self,
        mut place: Place,
        after: Option<Vec<u8>>,
        clock: Clock,
        swept: &mut Swept,
    ) -> Result<Option<Place>> {
        let name = &place.bucket.clone();
        let Some(prefix) = place.prefixes.first() else { return Ok(None) };
        let snapshot = self.snapshot(Moment::Now).await?;
        let Some(rules) = rules(&View::At(&snapshot), name).await? else { return Ok(None) };
        let from = layout::uploads_from(name, prefix);
        let end = layout::after_prefix(&from);
        let start = after.map_or(from, |after| [&after[..], b"\0"].concat());
        if rules.iter().all(|rule| rule.abort_days == 0) || start >= end {
            place.prefixes.remove(0);
            return Ok(Some(Place { part: Part::Uploads(None), ..place }));
        }
        let mut items = snapshot.scan(&Scan::new(start..end)).await?;
        let mut last = None;
        while swept.looked_at < STEP_RECORDS {
            let Some(item) = items.next().await? else {
                place.prefixes.remove(0);
                last = None;
                break;
            };
            swept.looked_at += 1;
            let (key, id) = layout::upload_parts(name, &item.key).ok_or(Code::InternalError)?;
            let upload: Upload = decode(item.value)?;
            if due_upload(&rules, &key, upload.initiated, clock) {
                swept.aborted += self.abort_due((name, &key), &id, clock).await?;
            }
            last = Some(item.key.to_vec());
        }
        Ok(Some(Place { part: Part::Uploads(last), ..place }))
    }

    /// Ends an upload that is still due: how many that were.
    async fn abort_due(&self, (name, key): (&str, &str), id: &DataId, clock: Clock) -> Result<u64> {
        let done = self.transact(move |transaction| async move {
            let view = View::Inside(&transaction);
            let bucket = view.bucket(name).await?;
            let record = layout::upload(name, key, id);
            let Some(upload) = view.get(&record).await? else { return Ok(0) };
            let upload: Upload = decode(upload)?;
            if !due_upload(&bucket.lifecycle, key, upload.initiated, clock) {
                return Ok(0);
            }
            end_parts(&view, &transaction, id).await?;
            transaction.delete(record)?;
            Ok(1)
        });
        match done.await {
            Err(Error::Refused(_)) => Ok(0),
            Err(error) if others_came_first(&error) => Ok(0),
            done => done,
        }
    }
}

/// What is found in one step.
struct Walk<'a> {
    rules: &'a [LifecycleRule],
    clock: Clock,
    last: Option<Last>,
    /// A delete marker that is the newest of its key, as long as nothing else of the key has come.
    marker: Option<(String, Object)>,
    found: Vec<Candidate>,
}

impl Walk<'_> {
    fn pass(&mut self, step: Step) {
        let Step { key, object, at } = step;
        if at == 0 {
            self.end_key();
        }
        self.marker = None;
        let which = Which::Of(object.order, object.version);
        let newer = self.last.take().filter(|_| at > 0);
        self.last =
            Some(Last { key: key.clone(), order: object.order, modified: object.modified, at });
        let kind = match newer {
            None if object.delete_marker => {
                self.marker = Some((key, object));
                return;
            }
            None => Kind::Newest,
            Some(newer) => Kind::Past(Past { since: newer.modified, newer: at - 1 }),
        };
        let due = match kind {
            Kind::Past(past) => due_past(self.rules, &key, &object, past, self.clock),
            _ => due(self.rules, &key, &object, self.clock),
        };
        if due != Due::Nothing {
            self.found.push(Candidate { key, which, kind });
        }
    }

    /// Nothing more comes of the key.
    fn end_key(&mut self) {
        if let Some((key, marker)) = self.marker.take()
            && due_marker(self.rules, &key, &marker, self.clock)
        {
            let which = Which::Of(marker.order, marker.version);
            self.found.push(Candidate { key, which, kind: Kind::Marker });
        }
    }
}

impl Candidate {
    /// Does what is still due.
    async fn change(
        &self,
        (name, bucket): (&str, &Bucket),
        transaction: &Transaction,
        clock: Clock,
        done: &mut Swept,
    ) -> Result<()> {
        let (view, key) = (View::Inside(transaction), &self.key[..]);
        let slot = Slot { transaction, bucket: name, key };
        let rules = &bucket.lifecycle;
        let newest = view.version(name, key, &Which::Newest).await?;
        let is_newest = newest.as_ref().is_some_and(|newest| self.which.is(newest));
        let there = if is_newest { newest } else { view.version(name, key, &self.which).await? };
        let Some(there) = there else { return Ok(()) };
        let due = match self.kind {
            Kind::Newest if is_newest && !there.delete_marker => due(rules, key, &there, clock),
            Kind::Past(past) if !is_newest => due_past(rules, key, &there, past, clock),
            Kind::Marker if is_newest && there.delete_marker => {
                let alone = view.scan(layout::versions_of(name, key), 2).await?.len() == 1;
                match alone && due_marker(rules, key, &there, clock) {
                    true => Due::Expire,
                    false => Due::Nothing,
                }
            }
            _ => Due::Nothing,
        };
        match due {
            Due::Nothing => return Ok(()),
            Due::Class(storage_class) => {
                let mut object = there;
                object.headers.get_or_insert_with(Headers::default).storage_class = storage_class;
                slot.rewrite(&object).await?;
                done.moved += 1;
                return Ok(());
            }
            Due::Expire => {}
        }
        match self.kind {
            // Where versions are kept a marker hides it, and nothing is lost.
            Kind::Newest => {
                slot.delete(bucket, Some(there), &bucket.owner).await?;
            }
            _ if lock::check_delete(&there, || false).is_err() => return Ok(()),
            _ => {
                slot.remove(&self.which).await?;
            }
        }
        done.expired += 1;
        Ok(())
    }
}

/// The rules of a bucket that is there and has some.
async fn rules(view: &View<'_>, name: &str) -> Result<Option<Vec<LifecycleRule>>> {
    match view.bucket(name).await {
        Ok(bucket) => Ok(Some(bucket.lifecycle).filter(|rules| !rules.is_empty())),
        Err(error) if error.code() == Some(Code::NoSuchBucket) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What keys begin with that rules are for, without what is in another.
fn prefixes(rules: &[LifecycleRule]) -> Vec<String> {
    let enabled = rules.iter().filter(|rule| !rule.disabled);
    let mut all: Vec<String> = enabled.map(|rule| rule.key_prefix().to_owned()).collect();
    all.sort();
    all.dedup_by(|next, kept| next.starts_with(&kept[..]));
    all
}

/// Somebody changed the same all the time. What is due is done by another sweep.
fn others_came_first(error: &Error) -> bool {
    match error {
        Error::Store(error) => error.kind() == storage_txn::ErrorKind::Conflict,
        Error::Refused(_) => false,
    }
}
