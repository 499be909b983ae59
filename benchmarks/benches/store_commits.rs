//! Commits a second at 1, 16 and 256 transactions at once, with what each costs in puts: ours, slatedb, SQLite, redb.
//!
//! `cargo xtask bench store_commits`; `-- --places memory,fs,s3 --at-once 1,16,256 --rounds 5 --seconds 1 --bytes 100`.
//! Every commit puts one new key, and counts once it is durable. All take turns in each round; medians of the rounds.
//! `--stores slatedb` measures beside ours only those whose names begin so; with `--flush-mib 64` ours keeps as much in
//! memory before it writes segments as slatedb does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use benchmarks::{
    Arguments, Contender, Kind, Place, Site, keep_busy, key, median, open, percentile,
    processor_time, say, value,
};

#[tokio::main]
async fn main() -> Result<()> {
    let Some(arguments) = Arguments::read() else { return Ok(()) };
    let places = arguments.list("places", Place::all())?;
    let at_once = arguments.list("at-once", vec![1, 16, 256])?;
    let load = Load {
        rounds: arguments.get("rounds", 5)?,
        time: Duration::from_secs_f64(arguments.get("seconds", 1.0)?),
        bytes: arguments.get("bytes", 100)?,
        stores: arguments.list("stores", Vec::new())?,
        flush_bytes: match arguments.get::<usize>("flush-mib", 0)? {
            0 => None,
            mib => Some(mib << 20),
        },
    };
    say(format!(
        "medians of {} rounds of {:?}; durable commits of one key with {} bytes",
        load.rounds, load.time, load.bytes
    ));
    say(
        "place   at once  store           commits/s  p50 ms  p99 ms  puts/commit  cpu µs  ours is times as fast",
    );
    let mut left = Vec::new();
    for place in places {
        for &at_once in &at_once {
            left.extend(load.compare(place, at_once).await?);
        }
    }
    // Not before: for seconds after many files were deleted some file systems are slow to make new ones.
    for site in left {
        site.remove().await?;
    }
    Ok(())
}

struct Load {
    rounds: usize,
    time: Duration,
    bytes: usize,
    /// What the names of those begin with that are measured beside ours; all if there are none.
    stores: Vec<String>,
    flush_bytes: Option<usize>,
}

/// What the rounds of one contender came to.
#[derive(Default)]
struct Rounds {
    per_second: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    commits: u64,
    puts: u64,
    /// Processor time of this process: of the store, of what keeps it busy and of the memory or the folder that it
    /// is in, but not of a server.
    processor: Duration,
}

impl Load {
    /// Measures all, and leaves the place as it is, if it is one that has to be removed.
    async fn compare(&self, place: Place, at_once: usize) -> Result<Option<Site>> {
        let mut site = Site::make(place).await?;
        site.flush_bytes = self.flush_bytes;
        let mut all: Vec<(Kind, Arc<dyn Contender>, Rounds)> = Vec::new();
        let wanted = |kind: &Kind| {
            self.stores.is_empty()
                || *kind == Kind::Ours
                || self.stores.iter().any(|name| kind.name().starts_with(name))
        };
        for kind in Kind::all(place).into_iter().filter(wanted) {
            all.push((kind, open(kind, &site).await?, Rounds::default()));
        }
        // A first round for nothing, as files and connections are opened by it.
        for round in 0..=self.rounds {
            for (_, contender, rounds) in &mut all {
                let more = self.round(contender, at_once, round as u64).await?;
                if round > 0 {
                    rounds.add(more);
                }
            }
        }
        let ours = median(&all[0].2.per_second);
        for (kind, contender, rounds) in all {
            let theirs = median(&rounds.per_second);
            let puts = match contender.requests() {
                Some(_) => format!("{:.4}", rounds.puts as f64 / rounds.commits as f64),
                None => "-".into(),
            };
            let ratio =
                if kind == Kind::Ours { String::new() } else { format!("{:.2}", ours / theirs) };
            let processor = rounds.processor.as_secs_f64() * 1e6 / rounds.commits as f64;
            say(format!(
                "{:7} {at_once:7}  {:14} {theirs:10.0} {:7.2} {:7.2} {puts:>12} {processor:7.1}  {ratio}",
                place.name(),
                kind.name(),
                median(&rounds.p50),
                median(&rounds.p99),
            ));
            contender.close().await?;
        }
        Ok((place != Place::Memory).then_some(site))
    }

    async fn round(
        &self,
        contender: &Arc<dyn Contender>,
        at_once: usize,
        round: u64,
    ) -> Result<Rounds> {
        let puts =
            |contender: &Arc<dyn Contender>| contender.requests().map_or(0, |(puts, _)| puts);
        let (before, processor_before) = (puts(contender), processor_time());
        let (next, bytes, writer) = (AtomicU64::new(round << 32), self.bytes, contender.clone());
        let done = keep_busy(at_once, self.time, move |_, _| {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let writer = writer.clone();
            async move { writer.commit(key(number), value(number, bytes)).await }
        })
        .await?;
        let milliseconds = |percent| percentile(&done.times, percent).as_secs_f64() * 1e3;
        Ok(Rounds {
            per_second: vec![done.per_second()],
            p50: vec![milliseconds(50)],
            p99: vec![milliseconds(99)],
            commits: done.times.len() as u64,
            puts: puts(contender) - before,
            processor: processor_time().saturating_sub(processor_before),
        })
    }
}

impl Rounds {
    fn add(&mut self, more: Self) {
        self.per_second.extend(more.per_second);
        self.p50.extend(more.p50);
        self.p99.extend(more.p99);
        self.commits += more.commits;
        self.puts += more.puts;
        self.processor += more.processor;
    }
}
