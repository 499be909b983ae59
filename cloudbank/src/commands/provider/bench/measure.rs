//! Measuring one round of operations on one target.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::target::Target;

/// What is measured, in the order in which it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Put,
    Get,
    List,
    Delete,
    PutAbsent,
}

impl Operation {
    pub(super) const ALL: [Self; 5] =
        [Self::Put, Self::Get, Self::List, Self::Delete, Self::PutAbsent];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::List => "list",
            Self::Delete => "delete",
            Self::PutAbsent => "put-absent",
        }
    }
}

/// How long requests took.
#[derive(Debug, Clone, Default)]
pub(super) struct Samples {
    times: Vec<Duration>,
    /// The time all of them took together, side by side as they were.
    elapsed: Duration,
    /// For lists: how many objects they found.
    objects: u64,
}

impl Samples {
    pub(super) fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.times.sort_unstable();
        self.elapsed += other.elapsed;
        self.objects += other.objects;
    }

    pub(super) fn count(&self) -> usize {
        self.times.len()
    }

    /// So many of a hundred took at most so long.
    pub(super) fn percentile(&self, percent: usize) -> Duration {
        let last = self.times.len().saturating_sub(1);
        self.times.get((last * percent).div_ceil(100)).copied().unwrap_or_default()
    }

    pub(super) fn per_second(&self) -> f64 {
        self.times.len() as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    pub(super) fn objects_per_second(&self) -> f64 {
        self.objects as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// One round: so many objects are put, read, listed and deleted, then created and deleted again.
pub(super) struct Round<'a> {
    pub(super) folder: &'a str,
    pub(super) body: &'a Bytes,
    pub(super) count: u32,
    pub(super) concurrency: usize,
}

impl Round<'_> {
    /// Measures every operation; the answer is in the order of [`Operation::ALL`].
    pub(super) async fn run(&self, target: &Target) -> Result<[Samples; 5], String> {
        let body = self.body;
        let put = self.each(|name| async move { target.put(&name, body.clone(), false).await });
        let put = put.await?;
        let get = self.each(|name| async move {
            let found = target.get(&name).await?;
            if found == body.len() {
                Ok(())
            } else {
                Err(format!("{name}: got {found} bytes back"))
            }
        });
        let get = get.await?;
        let list = self.list(target).await?;
        let delete = self.each(|name| async move { target.delete(&name).await }).await?;
        let mut absent = Samples::default();
        if target.has_absent() {
            let put = self.each(|name| async move { target.put(&name, body.clone(), true).await });
            absent = put.await?;
            self.each(|name| async move { target.delete(&name).await }).await?;
        }
        Ok([put, get, list, delete, absent])
    }

    /// Does something with every object, so many at a time.
    async fn each<F>(&self, work: impl Fn(String) -> F) -> Result<Samples, String>
    where
        F: Future<Output = Result<(), String>>,
    {
        let start = Instant::now();
        let times = stream::iter(0..self.count)
            .map(|number| {
                let work = work(format!("{}/{number:08}", self.folder));
                async move {
                    let start = Instant::now();
                    work.await.map(|()| start.elapsed())
                }
            })
            .buffer_unordered(self.concurrency)
            .try_collect()
            .await?;
        Ok(Samples { times, elapsed: start.elapsed(), objects: 0 })
    }

    /// Lists the folder as often as there are requests at a time.
    async fn list(&self, target: &Target) -> Result<Samples, String> {
        let start = Instant::now();
        let found: Vec<(Duration, u64)> = stream::iter(0..self.concurrency)
            .map(|_| async {
                let start = Instant::now();
                let found = target.list(self.folder).await?;
                if found as u64 == u64::from(self.count) {
                    Ok((start.elapsed(), found as u64))
                } else {
                    Err(format!("a list has {found} objects, but {} were put", self.count))
                }
            })
            .buffer_unordered(self.concurrency)
            .try_collect()
            .await?;
        let elapsed = start.elapsed();
        let objects = found.iter().map(|(_, objects)| objects).sum();
        Ok(Samples { times: found.into_iter().map(|(time, _)| time).collect(), elapsed, objects })
    }
}
