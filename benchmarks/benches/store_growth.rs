//! How a store grows, from 10^4 to 10^6 keys: opening, reads, scans, compaction, memory, bytes; to 10^7 when asked.
//!
//! `cargo xtask bench store_growth`; `-- --place fs --keys 10000,100000,1000000,10000000 --bytes 100`.
//! A store is loaded by one process, changed by another, read and verified by others before and after it is compacted by
//! one more, so that the memory of each is its own. Fails where one takes more than `--memory-mib`, 512 unless told.

use std::env;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use benchmarks::{
    Arguments, Place, Site, env as clocks, keep_busy, key, memory, percentile, say, value,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use storage_core::{List, Prefix, StorageProvider};
use storage_txn::{At, CollectOptions, Options, Scan, Store, VerifyOptions};
use storage_wrappers::Counted;

const BATCH: u64 = 1000;
/// Nothing goes on in the background any more when there was no request for so long.
const SETTLED: Duration = Duration::from_secs(2);
/// Reads that are counted and timed.
const READS: u64 = 2000;
/// Reads by a handle that has read nothing before.
const COLD_READS: u64 = 100;
/// One key of so many is changed after all were loaded.
const CHANGED: u64 = 10;
/// The tag of what was loaded, before anything was changed.
const LOADED: &str = "loaded";

#[tokio::main]
async fn main() -> Result<()> {
    let Some(arguments) = Arguments::read() else { return Ok(()) };
    let job = Job {
        place: arguments.get("place", "fs".to_owned())?.parse()?,
        address: arguments.get("address", String::new())?,
        keys: arguments.get("size", 0)?,
        bytes: arguments.get("bytes", 100)?,
        memory_max: arguments.get("memory-mib", 512_u64)? << 20,
    };
    match arguments.get("phase", String::new())?.as_str() {
        "load" => return job.load().await,
        "change" => return job.change().await,
        "compact" => return job.compact().await,
        "verify" => return job.verify().await,
        "read" => return job.read().await,
        _ => {}
    }
    ensure!(job.place != Place::Memory, "memory of one process is not seen by another");
    let sizes = arguments.list("keys", vec![10_000_u64, 100_000, 1_000_000])?;
    say(format!("{}, values of {} bytes", job.place.name(), job.bytes));
    for keys in sizes {
        say(format!("{keys} keys"));
        let site = Site::make(job.place).await?;
        for phase in ["load", "change", "read", "verify", "compact", "read", "verify"] {
            let status = Command::new(env::current_exe()?)
                .args(["--bench", "--phase", phase, "--place", job.place.name()])
                .args(["--address", &site.address, "--size", &keys.to_string()])
                .args(["--bytes", &job.bytes.to_string()])
                .args(["--memory-mib", &(job.memory_max >> 20).to_string()])
                .status()
                .context("start a process")?;
            ensure!(status.success(), "{phase}: {status}");
        }
        site.remove().await?;
    }
    Ok(())
}

/// What one process does with a store.
struct Job {
    place: Place,
    address: String,
    keys: u64,
    bytes: usize,
    memory_max: u64,
}

type Counter = Arc<Counted<Arc<dyn StorageProvider>>>;

impl Job {
    async fn site(&self) -> Result<(Site, Counter)> {
        let site = Site::open(self.place, self.address.clone()).await?;
        let counter = Arc::new(Counted::new(site.provider.clone()));
        Ok((site, counter))
    }

    async fn load(&self) -> Result<()> {
        let site = self.site().await?;
        let store = Store::init(site.1.clone(), clocks(), Options::default()).await?;
        // In no order, as keys come in life: a step that shares no factor with the number of keys.
        let step = (self.keys as f64 * 0.618) as u64 | 1;
        let step = (step..).step_by(2).find(|step| coprime(*step, self.keys)).unwrap_or(1);
        let in_no_order =
            |n: u64| (u128::from(n) * u128::from(step) % u128::from(self.keys)) as u64;
        self.write("load", &site, &store, self.keys, 0, in_no_order).await?;
        let loaded = store.snapshot(At::Known).await?.version();
        store.tag(LOADED, loaded).await?;
        Ok(())
    }

    /// Changes some keys, all over the store.
    async fn change(&self) -> Result<()> {
        let site = self.site().await?;
        let store = Store::open(site.1.clone(), clocks(), Options::default()).await?;
        self.write("change", &site, &store, self.keys / CHANGED, 1, |n| n * CHANGED).await
    }

    /// Puts so many keys, and waits until what is done in the background is done.
    async fn write(
        &self,
        what: &str,
        (site, counter): &(Site, Counter),
        store: &Store,
        many: u64,
        round: u64,
        which: impl Fn(u64) -> u64,
    ) -> Result<()> {
        let start = Instant::now();
        for first in (0..many).step_by(BATCH as usize) {
            let batch = first..(first + BATCH).min(many);
            let put = async |tx: storage_txn::Transaction| {
                batch
                    .clone()
                    .map(&which)
                    .try_for_each(|n| tx.put(key(n), value(n + round * self.keys, self.bytes)))
            };
            store.transact(put).await?;
        }
        store.flush().await?;
        let elapsed = start.elapsed();
        // Compactions in the background go on for a while, and write.
        let mut before = counter.counts().requests();
        loop {
            tokio::time::sleep(SETTLED).await;
            let now = counter.counts().requests();
            if now == before {
                break;
            }
            before = now;
        }
        if let Some(error) = store.maintenance_error() {
            return Err(error.into());
        }
        let counts = counter.counts();
        let committed = many * self.live_bytes();
        say(format!(
            "  {what:8} {:9.0} keys/s, compacted after {:.0?}  {} puts  written {:.2} times the bytes of keys and values, \
             stored {:.2} times  {}",
            many as f64 / elapsed.as_secs_f64(),
            start.elapsed() - elapsed - SETTLED,
            counts.put.requests,
            counts.put.bytes_in as f64 / committed as f64,
            stored(site).await? as f64 / (self.keys * self.live_bytes()) as f64,
            self.resident()?
        ));
        Ok(())
    }

    /// Everything into one run, and away with what is no longer needed.
    async fn compact(&self) -> Result<()> {
        let (site, counter) = self.site().await?;
        let store = Store::open(counter.clone(), clocks(), Options::default()).await?;
        let (before, start) = (counter.counts(), Instant::now());
        store.compact().await?;
        let (counts, elapsed) = (counter.counts().since(&before), start.elapsed());
        say(format!(
            "  compact  {elapsed:9.1?}  {:.0} MB/s read, {:.0} MB/s written, {} gets, {} puts  {}",
            counts.get.bytes_out as f64 / 1e6 / elapsed.as_secs_f64(),
            counts.put.bytes_in as f64 / 1e6 / elapsed.as_secs_f64(),
            counts.get.requests,
            counts.put.requests,
            self.resident()?
        ));
        let mut options = CollectOptions::default();
        options.grace = Duration::ZERO;
        let start = Instant::now();
        let collected = store.collect(&options).await?;
        // What is kept: all there is, and what there was where it was changed.
        let kept = (self.keys + self.keys / CHANGED) * self.live_bytes();
        say(format!(
            "  collect  {:9.1?}  {} entries, {} segments  stored {:.2} times the bytes of keys and values, past ones too  {}",
            start.elapsed(),
            collected.entries,
            collected.segments,
            stored(&site).await? as f64 / kept as f64,
            self.resident()?
        ));
        Ok(())
    }

    async fn verify(&self) -> Result<()> {
        let (_, counter) = self.site().await?;
        let start = Instant::now();
        let options = VerifyOptions::default();
        let report = Store::verify(counter.clone(), clocks(), &options, &mut |_| {}).await?;
        ensure!(report.is_sound(), "{report:?}");
        say(format!(
            "  verify   {:9.1?}  {} entries and {} changes, {} gets  {}",
            start.elapsed(),
            report.entries,
            report.changes,
            counter.counts().get.requests,
            self.resident()?
        ));
        Ok(())
    }

    async fn read(&self) -> Result<()> {
        let (site, counter) = self.site().await?;
        let start = Instant::now();
        let store = Store::open(counter.clone(), clocks(), Options::default()).await?;
        let (opened, elapsed) = (counter.counts(), start.elapsed());
        let checkpoint = Prefix::new("checkpoint/")?;
        let checkpoint = site.provider.list(List::new(&checkpoint).limit(1)).await?;
        say(format!(
            "  open     {elapsed:9.1?}  {} gets, {} lists, a checkpoint of {} bytes  {}",
            opened.get.requests,
            opened.list.requests,
            checkpoint.objects.first().map_or(0, |listed| listed.size),
            self.resident()?
        ));
        self.read_cold().await?;
        let now = store.snapshot(At::Known).await?;
        let mut random = SmallRng::seed_from_u64(self.keys);
        // The second half of the points finds filters and indexes in memory where they fit.
        for (what, absent) in [("present", false), ("again", false), ("absent", true)] {
            let (before, mut times) = (counter.counts(), Vec::new());
            for _ in 0..READS {
                let mut name = key(random.next_u64() % self.keys);
                if absent {
                    name.push(b'x');
                }
                let start = Instant::now();
                ensure!(now.get(&name).await?.is_some() != absent, "{what}");
                times.push(start.elapsed());
            }
            let gets = counter.counts().since(&before).get.requests;
            say(format!(
                "  {what:8} p50 {:9.1?} p99 {:9.1?}  gets a read {:.3}  {}",
                percentile(&times, 50),
                percentile(&times, 99),
                gets as f64 / READS as f64,
                self.resident()?
            ));
        }
        let name = key(random.next_u64() % self.keys);
        let warm = now.clone();
        let done = keep_busy(1, Duration::from_secs(1), move |_, _| {
            let (now, name) = (warm.clone(), name.clone());
            async move {
                ensure!(now.get(&name).await?.is_some(), "a key is missing");
                Ok(())
            }
        });
        say(format!("  warm     {:9.0} reads/s of one key", done.await?.per_second()));
        let (before, start) = (counter.counts(), Instant::now());
        let (mut items, mut many) = (now.scan(&Scan::new(..)).await?, 0);
        while items.next().await?.is_some() {
            many += 1;
        }
        ensure!(many == self.keys, "{many} keys");
        let counts = counter.counts().since(&before);
        say(format!(
            "  scan     {:9.0} keys/s  {} gets, {} bytes each  {}",
            many as f64 / start.elapsed().as_secs_f64(),
            counts.get.requests,
            counts.get.bytes_out / counts.get.requests.max(1),
            self.resident()?
        ));
        Ok(())
    }

    /// Points with nothing cached: each by a handle of its own, now and as it was before anything was changed.
    async fn read_cold(&self) -> Result<()> {
        let mut random = SmallRng::seed_from_u64(self.keys + 1);
        for (what, past, changed) in
            [("now", false, false), ("changed since", true, true), ("not changed", true, false)]
        {
            let (mut total, mut most, mut bytes, mut times) = (0, 0, 0, Vec::new());
            for _ in 0..COLD_READS {
                let (_, counter) = self.site().await?;
                let store = Store::open(counter.clone(), clocks(), Options::default()).await?;
                let loaded = store.tags().await?.into_iter().find(|(name, _)| name == LOADED);
                let (_, loaded) = loaded.context("the tag is gone")?;
                let at = if past { At::Version(loaded) } else { At::Known };
                let then = store.snapshot(at).await?;
                let n = random.next_u64() % self.keys;
                let n = if changed { n / CHANGED * CHANGED } else { n };
                let n = if past && !changed && n.is_multiple_of(CHANGED) { n + 1 } else { n };
                let (before, start) = (counter.counts(), Instant::now());
                let found = then.get(key(n)).await?;
                times.push(start.elapsed());
                let counts = counter.counts().since(&before).get;
                let round = u64::from(!past && n.is_multiple_of(CHANGED));
                ensure!(found == Some(value(n + round * self.keys, self.bytes)), "{what}: key {n}");
                (total, most) = (total + counts.requests, most.max(counts.requests));
                bytes += counts.bytes_out;
            }
            say(format!(
                "  cold, {what}: gets a read {:.2}, at most {most}, {} bytes in all of them, p50 {:.1?}",
                total as f64 / COLD_READS as f64,
                bytes / COLD_READS,
                percentile(&times, 50),
            ));
        }
        Ok(())
    }

    /// Of a key with its value.
    fn live_bytes(&self) -> u64 {
        (key(0).len() + self.bytes) as u64
    }

    /// How much memory this process takes; no more than it may.
    fn resident(&self) -> Result<String> {
        let mib = |bytes: u64| bytes >> 20;
        let Some(it) = memory() else { return Ok(String::new()) };
        ensure!(it.most <= self.memory_max, "{} MiB were resident", mib(it.most));
        Ok(format!("resident {} MiB, at most {}", mib(it.now), mib(it.most)))
    }
}

/// Bytes of all objects.
async fn stored(site: &Site) -> Result<u64> {
    let (mut bytes, mut last) = (0, None);
    let prefix = Prefix::all();
    loop {
        let mut request = List::new(&prefix);
        request.start_after = last.as_ref();
        let page = site.provider.list(request).await?;
        let Some(listed) = page.objects.last() else { return Ok(bytes) };
        bytes += page.objects.iter().map(|object| object.size).sum::<u64>();
        last = Some(listed.key.clone());
    }
}

fn coprime(mut a: u64, mut b: u64) -> bool {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a == 1
}
