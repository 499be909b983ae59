//! Transactions a second of 1 to 16 processes that write to one store, with what each slot of the log costs in puts.
//!
//! `cargo xtask bench store_processes`; `-- --places fs,s3 --processes 1,2,4,8,16 --at-once 16 --seconds 5`.
//! Each process keeps so many transactions at once going, each of which adds to a counter of its own and puts a key.

use std::env;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use benchmarks::{Arguments, Place, Site, env as clocks, keep_busy, percentile, say, value};
use storage_core::{List, Prefix, StorageProvider};
use storage_txn::{At, KeyRange, Merge, Options, Scan, Store};
use storage_wrappers::Counted;

/// From the start of the last process to when all begin.
const START: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> Result<()> {
    if env::args().any(|argument| argument == "--worker") {
        return work().await;
    }
    let Some(arguments) = Arguments::read() else { return Ok(()) };
    let mut places = Place::all();
    places.retain(|place| *place != Place::Memory);
    let places = arguments.list("places", places)?;
    let processes = arguments.list("processes", vec![1, 2, 4, 8, 16])?;
    let (at_once, seconds) = (arguments.get("at-once", 16)?, arguments.get("seconds", 5.0)?);
    say(format!("each process keeps {at_once} transactions going, for {seconds} s"));
    say("place  processes     tx/s  tx/slot  puts/slot   p50 ms   p99 ms  slowest process, share");
    for place in places {
        for &processes in &processes {
            measure(place, processes, at_once, seconds).await?;
        }
    }
    Ok(())
}

async fn measure(place: Place, processes: usize, at_once: usize, seconds: f64) -> Result<()> {
    let site = Site::make(place).await?;
    let store = Store::init(site.provider.clone(), clocks(), Options::default()).await?;
    let slots_before = slots(&site).await?;
    let begin = since_epoch()? + START + Duration::from_millis(200) * processes as u32;
    let mut children = Vec::new();
    for process in 0..processes {
        let child = Command::new(env::current_exe()?)
            .args(["--bench", "--worker", "--place", place.name(), "--address", &site.address])
            .args(["--process", &process.to_string(), "--at-once", &at_once.to_string()])
            .args(["--seconds", &seconds.to_string(), "--begin", &begin.as_millis().to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .context("start a process")?;
        children.push(child);
    }
    let (mut times, mut puts, mut elapsed, mut least) = (Vec::new(), 0, 0.0_f64, usize::MAX);
    for child in children {
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "a process ended with {}", output.status);
        let said = String::from_utf8(output.stdout)?;
        let mut numbers = said.split_whitespace().map(str::parse::<f64>);
        let mut next = || numbers.next().context("a process said too little");
        puts += next()?? as u64;
        elapsed = elapsed.max(next()??);
        let own: Vec<_> = numbers
            .map(|micros| micros.map(|it| Duration::from_micros(it as u64)))
            .collect::<Result<_, _>>()?;
        least = least.min(own.len());
        times.extend(own);
    }
    let slots = slots(&site).await? - slots_before;
    // Nothing acknowledged is lost, or the figures are worth nothing.
    let now = store.snapshot(At::Latest).await?;
    let counters = now.scan(&Scan::new(KeyRange::prefix("count/"))).await?.collect().await?;
    let counted: i64 = counters
        .iter()
        .map(|item| Ok(i64::from_le_bytes(item.value[..].try_into()?)))
        .sum::<Result<i64>>()?;
    ensure!(counted == times.len() as i64, "{} acknowledged, {counted} there", times.len());
    let commits = times.len() as f64;
    say(format!(
        "{:6} {processes:9} {:8.0} {:8.1} {:10.2} {:8.1} {:8.1}  {:.2}",
        place.name(),
        commits / elapsed,
        commits / slots as f64,
        puts as f64 / slots as f64,
        percentile(&times, 50).as_secs_f64() * 1e3,
        percentile(&times, 99).as_secs_f64() * 1e3,
        least as f64 * processes as f64 / commits,
    ));
    site.remove().await
}

/// How many entries the log has.
async fn slots(site: &Site) -> Result<u64> {
    let prefix = Prefix::new("log/")?;
    let (mut slots, mut last) = (0, None);
    loop {
        let mut request = List::new(&prefix);
        request.start_after = last.as_ref();
        let page = site.provider.list(request).await?;
        let Some(listed) = page.objects.last() else { return Ok(slots) };
        slots += page.objects.len() as u64;
        last = Some(listed.key.clone());
    }
}

/// What each process does: prints its puts, its seconds, and the microseconds that each transaction took.
async fn work() -> Result<()> {
    let arguments = Arguments::read().context("started without --bench")?;
    let place = arguments.get("place", String::new())?.parse()?;
    let site = Site::open(place, arguments.get("address", String::new())?).await?;
    let counter = Arc::new(Counted::new(site.provider.clone()));
    let store = Store::open(counter.clone(), clocks(), Options::default()).await?;
    let process: usize = arguments.get("process", 0)?;
    let begin = Duration::from_millis(arguments.get("begin", 0)?);
    tokio::time::sleep(begin.saturating_sub(since_epoch()?)).await;
    let before = counter.counts();
    let seconds = Duration::from_secs_f64(arguments.get("seconds", 1.0)?);
    let done = keep_busy(arguments.get("at-once", 1)?, seconds, move |task, round| {
        let store = store.clone();
        async move {
            let commit = store.transact(async |tx| {
                tx.merge(format!("count/{process}"), Merge::Add(1))?;
                tx.put(format!("key/{process}/{task}/{round}"), value(round as u64, 100))
            });
            commit.await?;
            Ok(())
        }
    })
    .await?;
    print!("{} {}", counter.counts().since(&before).put.requests, done.elapsed.as_secs_f64());
    for time in done.times {
        print!(" {}", time.as_micros());
    }
    Ok(())
}

fn since_epoch() -> Result<Duration> {
    Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?)
}
