//! What a server does besides serving: keeps the log and the index short, deletes what nothing needs, reads everything
//! now and then, and does what buckets say is to become of objects as they age.

mod slowly;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

#[cfg(feature = "gateway-s3")]
use gateway_s3::{Gateway, Sweep};
use metrics::Unit;
use storage_txn::{CollectOptions, Place, Store, VerifyEvent, VerifyOptions};
use storage_wrappers::TokioEnv;
use tokio::time::Instant;

use slowly::Slowly;

const RUNS: &str = "cloudbank_upkeep_runs_total";
const SECONDS: &str = "cloudbank_upkeep_seconds";
const COLLECTED: &str = "cloudbank_upkeep_collected_bytes_total";
const SCRUBBED: &str = "cloudbank_upkeep_scrubbed_bytes_total";
const EXPIRED: &str = "cloudbank_upkeep_expired_total";
const OK: &str = "cloudbank_upkeep_ok";
const LAST: &str = "cloudbank_upkeep_last_success_timestamp_seconds";
const FINDINGS: &str = "cloudbank_upkeep_findings_total";

/// From so many entries on it is worth putting the log into segments.
const TAIL_ENTRIES_MAX: u64 = 1024;

/// A change is as much work as so many looks.
#[cfg(feature = "gateway-s3")]
const CHANGE_COST: u64 = 10;

/// How objects expire.
#[cfg(feature = "gateway-s3")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expire {
    pub(crate) every: Duration,
    pub(crate) records_per_second: u64,
    /// What rules call a day.
    pub(crate) day: Duration,
}

pub(super) fn describe_metrics() {
    metrics::describe_counter!(
        RUNS,
        "runs of compact, collect, scrub and expire, by task and outcome"
    );
    metrics::describe_histogram!(SECONDS, Unit::Seconds, "how long a run took, by task");
    metrics::describe_counter!(COLLECTED, Unit::Bytes, "bytes of what was deleted");
    metrics::describe_counter!(
        SCRUBBED,
        Unit::Bytes,
        "bytes of the store that were read and checked"
    );
    metrics::describe_counter!(
        EXPIRED,
        "what was done by rules of buckets, by what it was done to"
    );
    metrics::describe_gauge!(OK, "1 if the last run of a task did what it was to, by task");
    metrics::describe_gauge!(
        LAST,
        Unit::Seconds,
        "when a task last succeeded, since 1970, by task"
    );
    metrics::describe_counter!(FINDINGS, "what is wrong with the store, by severity");
}

/// Puts a long log into segments, and merges these where there are too many, again and again: what the store does by
/// itself only once enough was written through this server. Any number of servers may do it.
pub(crate) async fn compact(store: Store, every: Duration) {
    loop {
        pause(every).await;
        let began = Instant::now();
        let before = store.counters();
        let done = async {
            if store.info().await?.tail_entries() >= TAIL_ENTRIES_MAX {
                store.flush().await?;
            }
            store.compact_if_due().await
        };
        let done = done.await;
        told("compact", began, done.is_ok());
        let after = store.counters();
        match done {
            Ok(()) => tracing::info!(
                flushes = after.flushes - before.flushes,
                compactions = after.compactions - before.compactions,
                bytes = after.compaction_read_bytes - before.compaction_read_bytes,
                "compacted"
            ),
            // Nothing is lost by it: the log is longer to read, and reads ask more segments.
            Err(error) => tracing::warn!("the store could not be compacted: {error}"),
        }
    }
}

/// Deletes what nothing needs any more, again and again. Any number of servers may do it.
pub(crate) async fn collect(store: Store, every: Duration) {
    loop {
        pause(every).await;
        let began = Instant::now();
        let done = store.collect(&CollectOptions::default()).await;
        told("collect", began, done.is_ok());
        match done {
            Ok(collected) => {
                metrics::counter!(COLLECTED).increment(collected.bytes);
                tracing::info!(
                    entries = collected.entries,
                    checkpoints = collected.checkpoints,
                    segments = collected.segments,
                    values = collected.values,
                    bytes = collected.bytes,
                    "collected"
                );
            }
            Err(error) => tracing::warn!("nothing could be collected: {error}"),
        }
    }
}

/// Reads everything that is stored and says what is wrong with it, again and again, at so many bytes a second.
pub(crate) async fn scrub(place: Place, every: Duration, bytes_per_second: u64) {
    let env = Arc::new(TokioEnv::new());
    // Of each provider, where there are several.
    let place = place.wrapped(|provider| Arc::new(Slowly::new(provider, bytes_per_second)));
    loop {
        pause(every).await;
        let began = Instant::now();
        let mut options = VerifyOptions::default();
        options.requests_at_once = 1;
        let mut read = 0;
        let mut tell = |event| match event {
            VerifyEvent::Finding(finding) => {
                let severity = finding.severity.to_string();
                metrics::counter!(FINDINGS, "severity" => severity).increment(1);
                tracing::error!("{finding}");
            }
            VerifyEvent::Progress(progress) => {
                metrics::counter!(SCRUBBED).increment(progress.bytes.saturating_sub(read));
                read = progress.bytes;
            }
            _ => {}
        };
        let report = Store::verify(place.clone(), env.clone(), &options, &mut tell).await;
        told("scrub", began, report.is_ok());
        match report {
            Ok(report) => tracing::info!(
                sound = report.is_sound(),
                version = report.version.0,
                objects = report.progress.objects,
                bytes = report.progress.bytes,
                "scrubbed"
            ),
            Err(error) => tracing::warn!("the store could not be verified: {error}"),
        }
    }
}

/// Does what the rules of buckets say, again and again, looking at so many records a second. Any number of servers may
/// do it.
#[cfg(feature = "gateway-s3")]
pub(crate) async fn expire(gateway: Gateway, settings: Expire) {
    let add = |what: &'static str, count: u64| {
        if count > 0 {
            metrics::counter!(EXPIRED, "what" => what).increment(count);
        }
    };
    loop {
        pause(settings.every).await;
        let began = Instant::now();
        let mut sweep = Sweep::new(settings.day);
        let (mut looked_at, mut changed) = (0, 0);
        let done = loop {
            match gateway.sweep(&mut sweep).await {
                Ok(Some(swept)) => {
                    add("version", swept.expired);
                    add("class", swept.moved);
                    add("upload", swept.aborted);
                    looked_at += swept.looked_at;
                    let now = swept.expired + swept.moved + swept.aborted;
                    changed += now;
                    // What is changed costs more than what is looked at.
                    let cost = swept.looked_at + now * CHANGE_COST;
                    let seconds = cost as f64 / settings.records_per_second as f64;
                    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        told("expire", began, done.is_ok());
        match done {
            Ok(()) if changed == 0 => tracing::debug!(looked_at, "nothing expired"),
            Ok(()) => tracing::info!(looked_at, changed, "expired"),
            // What is due now is due at the next run, too.
            Err(error) => tracing::warn!("rules of buckets could not all be done: {error}"),
        }
    }
}

/// About so long, so that servers that were started together do not all do it at once.
async fn pause(every: Duration) {
    let mut random = [0; 2];
    // Without a source of randomness they do.
    let _ = getrandom::fill(&mut random);
    let share = f64::from(u16::from_le_bytes(random)) / f64::from(u16::MAX);
    tokio::time::sleep(every.mul_f64(0.75 + share / 2.0)).await;
}

fn told(task: &'static str, began: Instant, done: bool) {
    let outcome = if done { "ok" } else { "failed" };
    metrics::counter!(RUNS, "task" => task, "outcome" => outcome).increment(1);
    metrics::gauge!(OK, "task" => task).set(f64::from(u8::from(done)));
    if done {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        metrics::gauge!(LAST, "task" => task).set(now.as_secs_f64());
    }
    metrics::histogram!(SECONDS, "task" => task).record(began.elapsed().as_secs_f64());
}
