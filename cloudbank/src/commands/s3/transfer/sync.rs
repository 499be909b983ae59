//! `s3 sync`: what is missing or differs is copied, and what is too much removed.

use std::path::PathBuf;

use futures_util::stream;

use super::Options;
use super::plan::{not_past, placed};
use super::side::{Found, Item, Side, check_folder};
use super::work::{End, Known, Next, Task, Worker};
use crate::cli::SyncArgs;
use crate::commands::folder::Folder;
use crate::commands::s3::place::{Place, S3Place, as_of};
use crate::commands::s3::rm::as_folder;
use crate::error::{Error, Result};
use crate::s3::object::Name;

/// One side as the other.
pub(super) struct Sync {
    source: Half,
    target: Half,
    delete: bool,
    delete_max: Option<u64>,
    compare: Compare,
}

#[derive(Debug, Clone)]
enum Half {
    Folder(PathBuf),
    Objects { place: S3Place, bucket: String },
}

/// When two are the same that have the same size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compare {
    /// Unless the source is newer.
    Newer,
    Size,
    /// Unless the times differ.
    Exact,
}

impl Half {
    fn new(text: &std::ffi::OsStr, at: Option<&str>) -> Result<Self> {
        match Place::parse(text)? {
            Place::Stdio => Err(Error::Usage("- is no folder".into())),
            Place::File(path) => Ok(Self::Folder(path)),
            Place::Object(place) if place.bucket.is_empty() => {
                Err(Error::Usage(format!("{} names no bucket", place.shown())))
            }
            Place::Object(place) => {
                let bucket = as_of(&place.bucket, at)?;
                let place = S3Place { key: as_folder(&place.key), ..place };
                Ok(Self::Objects { place, bucket })
            }
        }
    }

    fn list(&self, worker: &Worker<'_>) -> Side {
        match self {
            Self::Folder(path) => Side::files(path, worker.options.follow_links),
            Self::Objects { place, bucket } => Side::objects(worker.client(), place, bucket, None),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Folder(path) => path.display().to_string(),
            Self::Objects { place, .. } => place.shown(),
        }
    }
}

impl Sync {
    /// # Errors
    ///
    /// [`Error::Usage`] for what cannot be meant.
    pub(super) fn new(arguments: &SyncArgs, options: &Options) -> Result<Self> {
        let source = Half::new(&arguments.source, options.at.as_deref())?;
        let target = Half::new(&arguments.destination, None)?;
        match (&source, &target) {
            (Half::Folder(_), Half::Folder(_)) => {
                return Err(Error::Usage(
                    "one of both must be an address: s3://BUCKET/PREFIX".into(),
                ));
            }
            (Half::Objects { place: from, bucket }, Half::Objects { place: to, .. })
                if *bucket == to.bucket
                    && (from.key.starts_with(&to.key) || to.key.starts_with(&from.key)) =>
            {
                return Err(Error::Usage("one of both is in the other".into()));
            }
            (_, Half::Objects { bucket, .. }) if bucket.contains('@') => {
                return Err(Error::Usage("what is past cannot be changed".into()));
            }
            _ => {}
        }
        if let (Half::Objects { bucket, .. }, Half::Objects { .. }) = (&source, &target) {
            not_past(bucket)?;
        }
        if let Half::Folder(path) = &source {
            check_folder(path)?;
        }
        let compare = match (arguments.size_only, arguments.exact_time) {
            (true, _) => Compare::Size,
            (false, true) => Compare::Exact,
            (false, false) => Compare::Newer,
        };
        let (delete, delete_max) = (arguments.delete, arguments.max_delete);
        Ok(Self { source, target, delete, delete_max, compare })
    }

    pub(super) async fn run(self, worker: &Worker<'_>) -> Result<()> {
        let folder = match &self.target {
            Half::Folder(path) => Some(Folder::open(path, worker.options.dry_run)?),
            Half::Objects { .. } => None,
        };
        let there = !matches!(&self.target, Half::Folder(path) if !path.exists());
        let mut merge = Merge {
            worker,
            sync: &self,
            folder,
            source: Queue::new(self.source.list(worker)),
            target: there.then(|| Queue::new(self.target.list(worker))),
            surplus: Vec::new(),
            seen: 0,
        };
        let next = stream::try_unfold(&mut merge, async |merge| {
            let next = merge.next().await?;
            if next.is_none() {
                worker.tally.all_is_known();
            }
            Ok(next.map(|next| (next, merge)))
        });
        worker.all(next).await?;
        let (surplus, seen) = (merge.surplus, merge.seen);
        self.tidy(worker, surplus, seen).await
    }

    /// Removes what only the target has, when all that was to be copied is.
    async fn tidy(&self, worker: &Worker<'_>, surplus: Vec<End>, seen: u64) -> Result<()> {
        if !self.delete || surplus.is_empty() {
            return Ok(());
        }
        if worker.tally.failures() > 0 {
            worker.nothing_removed(surplus.len(), "not everything could be listed and copied");
            return Ok(());
        }
        // A slip in the name of the source must not cost the target all it has.
        if seen == 0 && matches!(&self.source, Half::Objects { place, .. } if !place.key.is_empty())
        {
            return Err(Error::NotFound(format!(
                "there is nothing below {}, so nothing was removed\n  = `cloudbank s3 rm -r` removes everything",
                self.source.shown()
            )));
        }
        if let Some(most) = self.delete_max.filter(|most| surplus.len() as u64 > *most) {
            return Err(Error::Conflict(format!(
                "{} would be removed from {}, more than the {most} of --max-delete: nothing was",
                crate::output::count(surplus.len() as u64, "object"),
                self.target.shown()
            )));
        }
        worker.remove_all(surplus).await
    }

    /// Whether what the target has is as good as what the source has.
    fn is_same(&self, source: &Known, target: &Known) -> bool {
        if source.size != target.size {
            return false;
        }
        // To the second: that is all that some services tell.
        let times = source.modified.zip(target.modified);
        let times = times.map(|(source, target)| (source.timestamp(), target.timestamp()));
        match (self.compare, times) {
            (Compare::Size, _) => true,
            (_, None) => false,
            // What is uploaded is newer than what it came from, always.
            (Compare::Exact, Some((source, target))) if matches!(self.target, Half::Folder(_)) => {
                source == target
            }
            (_, Some((source, target))) => source <= target,
        }
    }
}

/// A side, and the next one of it.
struct Queue {
    side: Side,
    next: Option<Found>,
    ended: bool,
}

impl Queue {
    fn new(side: Side) -> Self {
        Self { side, next: None, ended: false }
    }

    /// Fetches the next one, unless it is there; what else there is to say on the way.
    async fn fill(&mut self, options: &Options) -> Result<Option<Item>> {
        if self.ended || self.next.is_some() {
            return Ok(None);
        }
        match self.side.next(options).await? {
            Some(Item::Found(found)) => self.next = Some(found),
            Some(item) => return Ok(Some(item)),
            None => self.ended = true,
        }
        Ok(None)
    }
}

/// Goes through both sides at once, in the order of names.
struct Merge<'a, 'b> {
    worker: &'a Worker<'b>,
    sync: &'a Sync,
    folder: Option<Folder>,
    source: Queue,
    target: Option<Queue>,
    /// What only the target has.
    surplus: Vec<End>,
    /// How many the source has.
    seen: u64,
}

impl Merge<'_, '_> {
    async fn next(&mut self) -> Result<Option<Next>> {
        let options = self.worker.options;
        loop {
            match self.source.fill(options).await? {
                Some(Item::Failed(error)) => return Ok(Some(Next::Failed(error))),
                Some(Item::LeftOut { what, why }) => {
                    return Ok(Some(Next::LeftOut { what, why: why.into() }));
                }
                Some(Item::Found(_)) | None => {}
            }
            if let Some(target) = &mut self.target {
                match target.fill(options).await? {
                    Some(Item::Failed(error)) => return Ok(Some(Next::Failed(error))),
                    // What is no file is no object either.
                    Some(Item::LeftOut { .. }) => continue,
                    Some(Item::Found(_)) | None => {}
                }
            }
            let there = self.target.as_ref().and_then(|target| target.next.as_ref());
            let next = match (&self.source.next, there) {
                (None, None) => return Ok(None),
                (Some(from), Some(to)) if from.name == to.name => {
                    let same = self.sync.is_same(&from.known, &to.known);
                    (self.source.next.take(), self.take(), same)
                }
                (Some(from), Some(to)) if from.name > to.name => (None, self.take(), false),
                (Some(_), _) => (self.source.next.take(), None, false),
                (None, Some(_)) => (None, self.take(), false),
            };
            match next {
                (Some(from), to, same) => {
                    self.seen += 1;
                    if from.is_folder() && self.folder.is_some() {
                        continue;
                    }
                    if same {
                        let shown = to.map_or_else(String::new, |to| to.end.shown());
                        return Ok(Some(Next::Same(shown)));
                    }
                    return self.task(from).map(Some);
                }
                // Files have no folders of their own that could be seen: such a thing is left alone.
                (None, Some(to), _) => {
                    let keeps = to.is_folder() && matches!(self.sync.source, Half::Folder(_));
                    if self.sync.delete && !keeps {
                        self.surplus.push(to.end);
                    }
                }
                (None, None, _) => {}
            }
        }
    }

    fn take(&mut self) -> Option<Found> {
        self.target.as_mut().and_then(|target| target.next.take())
    }

    fn task(&mut self, from: Found) -> Result<Next> {
        let Found { name, end: from, known } = from;
        let to = match &self.sync.target {
            Half::Folder(_) => match placed(self.folder.as_mut(), &from, &name)? {
                Ok(path) => End::File(path),
                Err(error) => return Ok(Next::Failed(error)),
            },
            Half::Objects { place, bucket } => {
                End::Object(Name::new(bucket, &format!("{}{name}", place.key)))
            }
        };
        self.worker.tally.expect(known.size);
        Ok(Next::Move(Box::new(Task { from, to, known: Some(known) })))
    }
}
