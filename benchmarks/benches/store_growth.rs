//! How a store grows, from 10^4 to 10^6 keys: opening, reads, scans, memory, bytes; to 10^7 when asked.
//!
//! `cargo xtask bench store_growth`; `-- --place fs --keys 10000,100000,1000000,10000000 --bytes 100`.
//! A store is loaded by one process and read by another, so that the memory of each is its own.

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
use storage_txn::{At, Options, Scan, Store};
use storage_wrappers::Counted;

const BATCH: u64 = 1000;
/// Reads that are counted and timed.
const READS: u64 = 2000;

#[tokio::main]
async fn main() -> Result<()> {
    let Some(arguments) = Arguments::read() else { return Ok(()) };
    let job = Job {
        place: arguments.get("place", "fs".to_owned())?.parse()?,
        address: arguments.get("address", String::new())?,
        bytes: arguments.get("bytes", 100)?,
    };
    match arguments.get("phase", String::new())?.as_str() {
        "load" => return job.load(arguments.get("keys", 0)?).await,
        "read" => return job.read(arguments.get("keys", 0)?).await,
        _ => {}
    }
    ensure!(job.place != Place::Memory, "memory of one process is not seen by another");
    let sizes = arguments.list("keys", vec![10_000_u64, 100_000, 1_000_000])?;
    say(format!("{}, values of {} bytes", job.place.name(), job.bytes));
    for keys in sizes {
        say(format!("{keys} keys"));
        let site = Site::make(job.place).await?;
        for phase in ["load", "read"] {
            let status = Command::new(env::current_exe()?)
                .args(["--bench", "--phase", phase, "--place", job.place.name()])
                .args(["--address", &site.address, "--keys", &keys.to_string()])
                .args(["--bytes", &job.bytes.to_string()])
                .status()
                .context("start a process")?;
            ensure!(status.success(), "{phase}: {status}");
        }
        site.remove().await?;
    }
    Ok(())
}

struct Job {
    place: Place,
    address: String,
    bytes: usize,
}

impl Job {
    async fn load(&self, keys: u64) -> Result<()> {
        let site = Site::open(self.place, self.address.clone()).await?;
        let counter = Arc::new(Counted::new(site.provider.clone()));
        let store = Store::init(counter.clone(), clocks(), Options::default()).await?;
        let start = Instant::now();
        // In no order, as keys come in life: a step that shares no factor with the number of keys.
        let step = (keys as f64 * 0.618) as u64 | 1;
        let step = (step..).step_by(2).find(|step| coprime(*step, keys)).unwrap_or(1);
        for first in (0..keys).step_by(BATCH as usize) {
            let batch = first..(first + BATCH).min(keys);
            let put = async |tx: storage_txn::Transaction| {
                batch.clone().try_for_each(|n| {
                    let n = (u128::from(n) * u128::from(step) % u128::from(keys)) as u64;
                    tx.put(key(n), value(n, self.bytes))
                })
            };
            store.transact(put).await?;
        }
        store.flush().await?;
        let elapsed = start.elapsed();
        let counts = counter.counts();
        let live = keys * (key(0).len() + self.bytes) as u64;
        say(format!(
            "  load     {:9.0} keys/s  {} puts  written {:.2} times, stored {:.2} times the {live} bytes of keys and \
             values  {}",
            keys as f64 / elapsed.as_secs_f64(),
            counts.put.requests,
            counts.put.bytes_in as f64 / live as f64,
            stored(&site).await? as f64 / live as f64,
            resident()
        ));
        Ok(())
    }

    async fn read(&self, keys: u64) -> Result<()> {
        let site = Site::open(self.place, self.address.clone()).await?;
        let counter = Arc::new(Counted::new(site.provider.clone()));
        let start = Instant::now();
        let store = Store::open(counter.clone(), clocks(), Options::default()).await?;
        let opened = counter.counts();
        say(format!(
            "  open     {:9.1?}  {} gets, {} lists  {}",
            start.elapsed(),
            opened.get.requests,
            opened.list.requests,
            resident()
        ));
        let now = store.snapshot(At::Known).await?;
        let mut random = SmallRng::seed_from_u64(keys);
        // The second half of the points finds filters and indexes in memory where they fit.
        for (what, absent) in [("present", false), ("again", false), ("absent", true)] {
            let (before, mut times) = (counter.counts(), Vec::new());
            for _ in 0..READS {
                let mut name = key(random.next_u64() % keys);
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
                resident()
            ));
        }
        let name = key(random.next_u64() % keys);
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
        ensure!(many == keys, "{many} keys");
        say(format!(
            "  scan     {:9.0} keys/s  {} gets  {}",
            many as f64 / start.elapsed().as_secs_f64(),
            counter.counts().since(&before).get.requests,
            resident()
        ));
        Ok(())
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

fn resident() -> String {
    let mib = |bytes: u64| bytes >> 20;
    memory().map_or_else(String::new, |it| {
        format!("resident {} MiB, at most {}", mib(it.now), mib(it.most))
    })
}

fn coprime(mut a: u64, mut b: u64) -> bool {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a == 1
}
