//! How an array is found by the lists of its members, without reading or changing an object.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use futures_util::future::{Either, join_all, select};
use storage_core::{Error, ErrorKind, Get, Key, List, Prefix, Result, StorageProviderExt as _};

use crate::cell::{Kind, kind_by_length};
use crate::core::{ASIDE, Core, MARKS, OBJECTS};
use crate::listing::Stretch;
use crate::price::Prices;
use crate::walk::Walk;

/// How many keys are asked of a member at a time.
const PAGE_KEYS: usize = 1000;
/// How many records about a member are read, to tell since when it is behind.
const MARKS_READ_MAX: usize = 10;

/// What to look at.
#[derive(Debug, Clone)]
pub struct Inspect {
    /// How long a member may take to show that it is there.
    pub wait: Duration,
    /// Whether to go over the lists of all objects.
    pub walk: bool,
}

impl Default for Inspect {
    fn default() -> Self {
        Self { wait: Duration::from_secs(10), walk: true }
    }
}

/// How an array was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspection {
    /// Its members, by name.
    pub members: Vec<Inspected>,
    /// Of how many pieces any object can be made.
    pub data: usize,
    /// How many members a put must reach.
    pub quorum: usize,
    /// Objects, as far as the lists tell.
    pub objects: u64,
    /// Bytes of those objects.
    pub bytes: u64,
    /// What says that an object is deleted.
    pub deleted: u64,
    /// Keys with too few pieces to be an object: left by puts that were not finished, or by more losses than
    /// the array survives.
    pub leftovers: u64,
    /// By how many pieces objects are short of all they should have: how many objects by number of pieces.
    /// Those on members that do not answer count as lost.
    pub short_by: Vec<u64>,
    /// Objects about which only their heads tell more: overwritten ones, and cells of a length that does not
    /// fit.
    pub unclear: u64,
    /// The scrub that is on record, or the last one that was.
    pub last_scrub: Option<Walk>,
}

/// How a member was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspected {
    /// Its name.
    pub name: String,
    /// With whom it fails together.
    pub domain: String,
    /// What it charges.
    pub prices: Prices,
    /// How long it took to show that it is there, or why it did not.
    pub answer: Result<Duration, String>,
    /// Pieces, and whatever else is kept for objects on it.
    pub pieces: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Pieces that it should have, and lists not.
    pub missing: u64,
    /// Since when, after the Unix epoch, there is a record that it is behind.
    pub behind_since: Option<Duration>,
}

impl Inspection {
    /// How many more members may be lost before objects are, at the least: members that do not answer, and those on
    /// record as behind, are taken for lost. `None` if there are objects already that cannot be read now.
    #[must_use]
    pub fn can_lose(&self) -> Option<usize> {
        let total = self.members.len();
        let away = self.members.iter().filter(|it| it.answer.is_err()).count();
        let worst = self.short_by.iter().rposition(|objects| *objects > 0).unwrap_or(0);
        let by_lists = (total - away.max(worst)).checked_sub(self.data)?;
        let sound = |it: &&Inspected| it.answer.is_ok() && it.behind_since.is_none();
        let sound = self.members.iter().filter(sound).count();
        Some(by_lists.min(sound.saturating_sub(self.data)))
    }

    /// Whether every member answers and has everything, as far as lists and records tell.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let well =
            |it: &Inspected| it.answer.is_ok() && it.missing == 0 && it.behind_since.is_none();
        self.members.iter().all(well) && self.short_by.iter().skip(1).all(|objects| *objects == 0)
    }
}

impl Core {
    pub(crate) async fn inspect(
        &self,
        how: &Inspect,
        progress: &mut (dyn FnMut(&Inspection) -> bool + Send),
    ) -> Result<Inspection> {
        let total = self.workers.len();
        let mut errors = self.probe(how.wait).await;
        let mut found = Inspection {
            members: errors.iter().enumerate().map(|(at, it)| self.inspected(at, it)).collect(),
            data: self.data(),
            quorum: self.quorum,
            objects: 0,
            bytes: 0,
            deleted: 0,
            leftovers: 0,
            short_by: vec![0; total + 1],
            unclear: 0,
            last_scrub: None,
        };
        let there: Vec<usize> = (0..total).filter(|at| errors[*at].is_ok()).collect();
        found.last_scrub = self.last_walk_on(&there).await;
        self.find_marks(&there, &mut found).await;
        if how.walk {
            let mut after = None;
            loop {
                let stretch =
                    self.patient_stretch(&Prefix::all(), after.as_ref(), &mut errors).await?;
                for (key, lengths) in &stretch.cells {
                    self.count(&mut found, key, lengths, &stretch.answered);
                }
                let go_on = progress(&found);
                match stretch.more_after {
                    Some(last) if go_on => after = Some(last),
                    _ => break,
                }
            }
            self.count_aside(&there, &mut found).await;
        }
        for (member, answer) in found.members.iter_mut().zip(errors) {
            member.answer = answer.map_err(|error| error.to_string());
        }
        Ok(found)
    }

    fn inspected(&self, at: usize, answer: &Result<Duration>) -> Inspected {
        let member = &self.workers[at].member;
        Inspected {
            name: member.name().to_owned(),
            domain: member.domain().to_owned(),
            prices: *member.prices(),
            answer: answer.as_ref().copied().map_err(ToString::to_string),
            pieces: 0,
            bytes: 0,
            missing: 0,
            behind_since: None,
        }
    }

    /// Asks each member for something small, and says how long it took.
    pub(crate) async fn probe(&self, wait: Duration) -> Vec<Result<Duration>> {
        let prefix = &Prefix::new(OBJECTS).expect("it is a prefix");
        let probes = self.workers.iter().map(|worker| async move {
            let began = self.env.monotonic();
            let asking = Box::pin(worker.list(List { prefix, start_after: None, limit: 1 }));
            match select(asking, self.env.sleep(wait)).await {
                Either::Left((answer, _)) => {
                    answer.map(|_| self.env.monotonic().saturating_sub(began))
                }
                Either::Right(_) => {
                    let what = format!("no answer within {} s", wait.as_secs_f64());
                    Err(Error::not_applied(ErrorKind::Unavailable, what))
                }
            }
        });
        join_all(probes).await
    }

    /// A page of the lists of all members that answer, none of which is left behind for being slow. One that
    /// fails is not asked again.
    pub(crate) async fn patient_stretch(
        &self,
        prefix: &Prefix,
        after: Option<&Key>,
        answers: &mut [Result<Duration>],
    ) -> Result<Stretch> {
        let prefix = &Self::cells_prefix(prefix)?;
        let after = match after {
            Some(key) => Some(self.cell_key(key)?),
            None => None,
        };
        let after = after.as_ref();
        let lists = answers.iter().zip(&self.workers).map(|(answer, worker)| async move {
            match answer {
                Ok(_) => {
                    let request = List { prefix, start_after: after, limit: PAGE_KEYS };
                    Some(worker.list(request).await)
                }
                Err(_) => None,
            }
        });
        let lists = join_all(lists).await;
        let mut pages = Vec::with_capacity(lists.len());
        for (answer, list) in answers.iter_mut().zip(lists) {
            pages.push(match list {
                Some(Ok(page)) => Some(page),
                Some(Err(error)) => {
                    *answer = Err(error);
                    None
                }
                None => None,
            });
        }
        self.combine(pages)
    }

    fn count(&self, found: &mut Inspection, key: &Key, lengths: &[Option<u64>], answered: &[bool]) {
        let is = |length: &Option<u64>, kind| {
            length.is_some_and(|length| kind_by_length(key, length) == Some(kind))
        };
        for (member, length) in found.members.iter_mut().zip(lengths) {
            member.pieces += u64::from(length.is_some());
            member.bytes += length.unwrap_or_default();
        }
        let present = lengths.iter().flatten().count();
        let total = self.workers.len();
        let by_lengths = self.size_by_lengths(key, lengths, answered);
        if lengths.iter().all(|it| it.is_none() || is(it, Kind::Tombstone)) {
            found.deleted += 1;
        } else if by_lengths == Some(None) {
            found.leftovers += 1;
            return;
        } else {
            found.objects += 1;
            found.short_by[total - present] += 1;
            match by_lengths {
                Some(size) => found.bytes += size.unwrap_or_default(),
                None if present == total => found.unclear += 1,
                None => {
                    let cells: Vec<(u8, u64)> = (0..total)
                        .filter_map(|member| Some((self.index_of(key, member), lengths[member]?)))
                        .collect();
                    let size = self.shape().size_of(key, cells[0], cells.get(1).copied());
                    found.bytes += size.unwrap_or_default();
                }
            }
        }
        for (at, member) in found.members.iter_mut().enumerate() {
            member.missing += u64::from(answered[at] && lengths[at].is_none());
        }
    }

    /// Adds the pieces that have names of their own.
    async fn count_aside(&self, there: &[usize], found: &mut Inspection) {
        let prefix = &Prefix::new(ASIDE).expect("it is a prefix");
        let lists = there.iter().map(|at| async move {
            let provider = self.workers[*at].member.provider();
            let listed: Result<Vec<_>> = provider.list_all(prefix).try_collect().await;
            (*at, listed.unwrap_or_default())
        });
        for (at, listed) in join_all(lists).await {
            found.members[at].pieces += listed.len() as u64;
            found.members[at].bytes += listed.iter().map(|object| object.size).sum::<u64>();
        }
    }

    /// Since when members are behind, as the others remember it.
    async fn find_marks(&self, there: &[usize], found: &mut Inspection) {
        let prefix = &Prefix::new(MARKS).expect("it is a prefix");
        for at in there {
            let worker = &self.workers[*at];
            let listed: Result<Vec<_>> =
                worker.member.provider().list_all(prefix).try_collect().await;
            let mut left = vec![MARKS_READ_MAX; self.workers.len()];
            for object in listed.unwrap_or_default() {
                let Some(behind) = self.member_of_mark(&object.key) else { continue };
                if left[behind] == 0 {
                    continue;
                }
                left[behind] -= 1;
                let body = worker.get(&object.key, Get::whole()).await.ok();
                let since = body.and_then(|it| since_of_mark(&it.body)).unwrap_or_default();
                let known = &mut found.members[behind].behind_since;
                *known = Some(known.map_or(since, |known| known.min(since)));
            }
        }
    }
}

/// The time in a record that a member is behind.
fn since_of_mark(body: &[u8]) -> Option<Duration> {
    let millis = std::str::from_utf8(body).ok()?.lines().nth(1)?.parse().ok()?;
    Some(Duration::from_millis(millis))
}
