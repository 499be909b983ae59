//! Reads: points with an empty cache and with a warm one, scans, and of ours the past too; slatedb, SQLite, redb beside it.
//!
//! `cargo xtask bench store_reads`; `-- --places memory,fs,s3 --keys 100000 --bytes 100 --rounds 5 --seconds 1`.
//! All take turns in each round; medians of the rounds. Everything is in segments and fits into every cache.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use benchmarks::{
    Arguments, Contender, Kind, Place, Site, env, keep_busy, key, median, open, percentile, say,
    shuffled, value,
};
use storage_txn::{At, Options, Store};

/// Keys in a transaction when they are loaded.
const BATCH: u64 = 1000;
/// Points read right after opening.
const COLD: usize = 200;
/// Tasks that read at once.
const AT_ONCE: [usize; 2] = [1, 16];
/// Versions of the key whose past is read.
const VERSIONS: u64 = 200;

#[tokio::main]
async fn main() -> Result<()> {
    let Some(arguments) = Arguments::read() else { return Ok(()) };
    let places = arguments.list("places", Place::all())?;
    let load = Load {
        keys: arguments.get("keys", 100_000)?,
        bytes: arguments.get("bytes", 100)?,
        rounds: arguments.get("rounds", 5)?,
        time: Duration::from_secs_f64(arguments.get("seconds", 1.0)?),
    };
    say(format!("{} keys with {} bytes; medians of {} rounds", load.keys, load.bytes, load.rounds));
    for place in places {
        load.compare(place).await?;
    }
    Ok(())
}

struct Load {
    keys: u64,
    bytes: usize,
    rounds: usize,
    time: Duration,
}

impl Load {
    async fn compare(&self, place: Place) -> Result<()> {
        let site = Site::make(place).await?;
        let kinds: Vec<_> =
            Kind::all(place).into_iter().filter(|kind| *kind != Kind::SLATE_DEFAULT).collect();
        for &kind in &kinds {
            let contender = open(kind, &site).await?;
            for first in (0..self.keys).step_by(BATCH as usize) {
                let batch = first..(first + BATCH).min(self.keys);
                contender.load(batch.map(|n| (key(n), value(n, self.bytes))).collect()).await?;
            }
            contender.close().await?;
        }
        say(format!(
            "{}: points with an empty cache, the first {COLD} after opening",
            place.name()
        ));
        let mut all = Vec::new();
        for &kind in &kinds {
            let contender = open(kind, &site).await?;
            self.cold(kind, &contender).await?;
            all.push((kind, contender));
        }
        let numbers = Arc::new(shuffled(self.keys));
        for (_, contender) in &all {
            for &n in &*numbers {
                ensure!(contender.get(&key(n)).await? == Some(value(n, self.bytes)), "key {n}");
            }
        }
        for at_once in AT_ONCE {
            say(format!("{}: warm points a second, {at_once} at once", place.name()));
            self.turns(&all, async |contender| self.warm(contender, &numbers, at_once).await)
                .await?;
        }
        say(format!("{}: keys a second, all scanned in order", place.name()));
        self.turns(&all, async |contender| self.scan(contender).await).await?;
        for (_, contender) in all {
            contender.close().await?;
        }
        self.past(&site).await?;
        site.remove().await
    }

    async fn cold(&self, kind: Kind, contender: &Arc<dyn Contender>) -> Result<()> {
        let gets = |contender: &Arc<dyn Contender>| contender.requests().map_or(0, |it| it.1);
        let (before, mut times) = (gets(contender), Vec::new());
        for n in shuffled(self.keys).into_iter().take(COLD) {
            let start = Instant::now();
            ensure!(contender.get(&key(n)).await?.is_some(), "key {n} is missing");
            times.push(start.elapsed());
        }
        say(format!(
            "  {:14} p50 {:9.1?} p99 {:9.1?}  gets a read {:.2}",
            kind.name(),
            percentile(&times, 50),
            percentile(&times, 99),
            (gets(contender) - before) as f64 / COLD as f64
        ));
        Ok(())
    }

    /// Measures all in turns, and prints the median of each.
    async fn turns(
        &self,
        all: &[(Kind, Arc<dyn Contender>)],
        measure: impl AsyncFn(&Arc<dyn Contender>) -> Result<f64>,
    ) -> Result<()> {
        let mut figures = vec![Vec::new(); all.len()];
        for _ in 0..self.rounds {
            for ((_, contender), figures) in all.iter().zip(&mut figures) {
                figures.push(measure(contender).await?);
            }
        }
        let ours = median(&figures[0]);
        for ((kind, _), figures) in all.iter().zip(&figures) {
            let theirs = median(figures);
            say(format!(
                "  {:14} {theirs:12.0}  ours is {:.2} times as fast",
                kind.name(),
                ours / theirs
            ));
        }
        Ok(())
    }

    async fn warm(
        &self,
        contender: &Arc<dyn Contender>,
        numbers: &Arc<Vec<u64>>,
        at_once: usize,
    ) -> Result<f64> {
        let (contender, numbers) = (contender.clone(), numbers.clone());
        let done = keep_busy(at_once, self.time, move |task, round| {
            let (contender, numbers) = (contender.clone(), numbers.clone());
            async move {
                let n = numbers[(task * 7919 + round) % numbers.len()];
                ensure!(contender.get(&key(n)).await?.is_some(), "key {n} is missing");
                Ok(())
            }
        });
        Ok(done.await?.per_second())
    }

    async fn scan(&self, contender: &Arc<dyn Contender>) -> Result<f64> {
        let start = Instant::now();
        let many = contender.scan().await?;
        ensure!(many as u64 == self.keys, "{many} keys");
        Ok(many as f64 / start.elapsed().as_secs_f64())
    }

    /// What the others do not keep: every version of a key, and the whole store as it was.
    async fn past(&self, site: &Site) -> Result<()> {
        let store = Store::open(site.provider.clone(), env(), Options::default()).await?;
        let before = store.snapshot(At::Known).await?.version();
        for n in 0..VERSIONS {
            store.transact(async |tx| tx.put(key(0), value(n, self.bytes))).await?;
        }
        store.flush().await?;
        let store = Store::open(site.provider.clone(), env(), Options::default()).await?;
        let (mut histories, mut points) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            let start = Instant::now();
            let revisions = store.history(key(0)).await?.collect().await?;
            ensure!(revisions.len() as u64 == VERSIONS + 1, "{} revisions", revisions.len());
            histories.push(revisions.len() as f64 / start.elapsed().as_secs_f64());
            let then = store.snapshot(At::Version(before)).await?;
            let done = keep_busy(1, self.time, move |_, _| {
                let then = then.clone();
                async move {
                    ensure!(then.get(key(0)).await?.is_some(), "the key was there then");
                    Ok(())
                }
            });
            points.push(done.await?.per_second());
        }
        say(format!(
            "{}: the past, ours alone: {:.0} revisions of a key a second with their commits, {:.0} points a second \
             {VERSIONS} versions back",
            site.place.name(),
            median(&histories),
            median(&points)
        ));
        Ok(())
    }
}
