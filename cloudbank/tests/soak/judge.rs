//! What came of it: the journals against the log, and everything that is stored.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use conformance::serializability::{History, Logged, check, check_witness};
use storage_core::StorageProvider;
use storage_txn::{At, CollectOptions, KeyRange, LogScan, Scan, Store, VerifyEvent, VerifyOptions};
use storage_wrappers::TokioEnv;

use crate::{now, options};

/// The search for cycles takes the square of what touches a key; with more than so many transactions, only
/// the replay against the log is made, which is complete by itself.
const CYCLES_MAX: usize = 20_000;

/// What it was, in a sentence.
///
/// # Errors
///
/// Everything that is wrong.
pub(crate) async fn judge(
    journals: &Path,
    place: Arc<dyn StorageProvider>,
) -> Result<String, String> {
    let env = Arc::new(TokioEnv::new());
    let store = Store::open(place.clone(), env.clone(), options()).await.map_err(shown)?;
    let mut lines = Lines::read(journals);
    lines.look_at_everything(&store).await.map_err(shown)?;
    let history: History = lines.text.parse().map_err(|error| format!("{error}"))?;

    let commits = store.log(&LogScan::new(..)).await.map_err(shown)?;
    let commits = commits.collect().await.map_err(shown)?;
    let logged: Vec<Logged> = commits
        .iter()
        .rev()
        .filter_map(|commit| {
            let transaction = *lines.places.get(&commit.transaction_id.to_string())?;
            Some(Logged { version: commit.version.0, transaction })
        })
        .collect();
    check_witness(&history, Some(&logged)).map_err(shown)?;
    let count = history.transactions().len();
    if count <= CYCLES_MAX {
        check(&history).map_err(shown)?;
    }

    // All that wrote are dead, and what they left behind is nobody's.
    let mut collect = CollectOptions::default();
    (collect.grace, collect.session_grace) = (Duration::ZERO, Duration::ZERO);
    collect.sweep = true;
    store.flush().await.map_err(shown)?;
    // The second takes what the first has taken out of the index, and what it had to reap first.
    for _ in 0..3 {
        store.collect(&collect).await.map_err(shown)?;
    }
    let mut findings = String::new();
    let mut tell = |event| {
        if let VerifyEvent::Finding(finding) = event {
            let _ = writeln!(findings, "{finding}");
        }
    };
    let verify = VerifyOptions::default();
    let report = Store::verify(place, env, &verify, &mut tell).await.map_err(shown)?;
    if !report.is_sound() || report.garbage > 0 || !report.unnamed.is_empty() {
        return Err(format!("after a full collection:\n{findings}{:?}", report.unnamed));
    }
    Ok(format!(
        "{count} transactions, {} acknowledged, {} failed, {} never told and {} of these committed; strictly \
         serializable, verified, nothing left over",
        lines.ok,
        lines.failed,
        lines.unknown,
        lines.unknown_committed(&logged, &history),
    ))
}

/// The lines of all journals, as a history.
#[derive(Default)]
struct Lines {
    text: String,
    count: usize,
    /// The place in the history of each transaction that writes.
    places: BTreeMap<String, usize>,
    ok: usize,
    failed: usize,
    unknown: usize,
}

impl Lines {
    fn read(journals: &Path) -> Self {
        let mut lines = Self::default();
        let mut files: Vec<_> =
            std::fs::read_dir(journals).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        for file in files {
            let journal = std::fs::read_to_string(file).unwrap();
            // A process that is killed may leave a line that is not whole.
            let whole = &journal[..journal.rfind('\n').map_or(0, |at| at + 1)];
            lines.take(whole);
        }
        lines
    }

    fn take(&mut self, journal: &str) {
        let ends: BTreeMap<&str, &str> =
            journal.lines().filter_map(|line| line.strip_prefix("end ")?.split_once(' ')).collect();
        for line in journal.lines() {
            if let Some(look) = line.strip_prefix("look ") {
                self.push(look);
            } else if let Some(begin) = line.strip_prefix("begin ") {
                let parts: Vec<&str> = begin.splitn(4, ' ').collect();
                let [id, process, invoked, operations] = parts[..] else { panic!("{line:?}") };
                let (returned, status) =
                    ends.get(id).map_or(("", "unknown"), |end| end.split_once(' ').unwrap());
                match status.split(' ').next() {
                    Some("ok") => self.ok += 1,
                    Some("failed") => self.failed += 1,
                    _ => self.unknown += 1,
                }
                self.places.insert(id.into(), self.count);
                self.push(&format!("{process} {invoked}..{returned} {status}: {operations}"));
            }
        }
    }

    fn push(&mut self, transaction: &str) {
        self.text.push_str(transaction);
        self.text.push('\n');
        self.count += 1;
    }

    /// Reads all keys there are, as one transaction more: nothing that was acknowledged may be missing.
    async fn look_at_everything(&mut self, store: &Store) -> storage_txn::Result<()> {
        let invoked = now();
        let snapshot = store.snapshot(At::Latest).await?;
        let items = snapshot.scan(&Scan::new(KeyRange::all())).await?.collect().await?;
        let mut found = String::new();
        for item in items {
            let key = String::from_utf8_lossy(&item.key);
            let numbers: Vec<u64> = item
                .value
                .chunks(8)
                .map(|part| part.try_into().map_or(u64::MAX, u64::from_le_bytes))
                .collect();
            let is_register = key.contains("/r/");
            let content = match numbers[..] {
                [value] if is_register => value.to_string(),
                _ => format!(
                    "[{}]",
                    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
                ),
            };
            let _ = write!(found, "{}{key}={content}", if found.is_empty() { "" } else { " " });
        }
        let version = snapshot.version();
        let (process, returned) = (u32::MAX, now());
        self.push(&format!(
            "p{process} {invoked}..{returned} ok v{version}: scan e..f {{{found}}}"
        ));
        Ok(())
    }

    fn unknown_committed(&self, logged: &[Logged], history: &History) -> usize {
        let unknown =
            |logged: &&Logged| history.transactions()[logged.transaction].returned.is_none();
        logged.iter().filter(unknown).count()
    }
}

fn shown(error: impl std::fmt::Display) -> String {
    error.to_string()
}
