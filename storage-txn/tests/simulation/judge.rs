//! What is looked at when a run is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use conformance::serializability::{Logged, Status};
use futures_util::TryStreamExt;
use simulation::Node;
use storage_core::{Prefix, StorageProviderExt};
use storage_txn::{
    At, CollectOptions, Collected, KeyRange, Outcome, Scan, Store, TransactionId, VerifyEvent,
    VerifyOptions, Version,
};

use crate::files::FILES;
use crate::notes::Notes;
use crate::oracles;
use crate::site::Site;
use crate::workload::{LISTS, REGISTERS, open, read_of, seen};

type Result<T> = std::result::Result<T, String>;

/// Reads everything, cleans up, looks whether all is whole and nothing is left over, and holds what clients were told
/// against the log.
pub(crate) async fn judge(node: Node, place: Site, notes: Arc<Notes>) -> Result<()> {
    let place = &place;
    let store = open(&node, place).await;
    let last = store.snapshot(At::Latest).await.map_err(|error| format!("the end: {error}"))?;
    let last = last.version();
    read(&store, &notes, At::Latest, last).await?;
    for version in notes.tags(|tags| tags.values().copied().collect::<BTreeSet<_>>()) {
        read(&store, &notes, At::Version(version), version).await?;
    }
    let past = Version(u64::from(node.choose(last.0 as u32 + 1)));
    if past >= notes.packed() {
        read(&store, &notes, At::Version(past), past).await?;
    }
    let log = outcomes(&store, &notes).await?;
    // Those who held them are gone, and they would end by themselves.
    let pins = names(&node, place, "pin/").await?;
    let provider = place.objects(&node);
    provider.delete_many(pins).await.map_err(|error| format!("pins: {error}"))?;
    let is_packed = node.choose(2) == 1;
    if is_packed {
        pack_all(&store, &notes).await.map_err(|error| format!("the last pack: {error}"))?;
        read(&store, &notes, At::Latest, last).await?;
    }
    collect_all(&store, &node, place).await?;
    if is_packed {
        read(&store, &notes, At::Latest, last).await?;
    }
    let logged: BTreeMap<Version, TransactionId> =
        log.iter().map(|(id, version)| (*version, *id)).collect();
    let files = notes.files(|files| files.check(&logged))?;
    told(&notes, &log)?;
    if is_packed {
        let values = names(&node, place, "value/").await?;
        let uploads: BTreeSet<_> =
            values.iter().filter_map(|name| name.as_str().split('=').next()).collect();
        let registers = registers(&store).await.map_err(|error| format!("registers: {error}"))?;
        let large = files.iter().chain(&registers).filter(|value| value.len() > 8).count();
        if uploads.len() > large {
            return Err(format!("{uploads:?} are kept, but {large} values are large"));
        }
    }
    Ok(())
}

/// What became of everything that was ever sent.
async fn outcomes(store: &Store, notes: &Notes) -> Result<Vec<(TransactionId, Version)>> {
    let mut log = Vec::new();
    let ids = notes.ids().into_iter().map(|(id, _)| id);
    for id in ids.chain(notes.files(|files| files.ids())) {
        match store.outcome(id).await {
            Ok(Outcome::Committed(version)) => log.push((id, version)),
            Ok(Outcome::NotCommitted) => {}
            Err(error) => return Err(format!("{id} has no outcome: {error}")),
        }
    }
    Ok(log)
}

/// Holds the history of lists and registers against the log.
fn told(notes: &Notes, log: &[(TransactionId, Version)]) -> Result<()> {
    let begun: BTreeMap<_, _> = notes.ids().into_iter().collect();
    let mut logged: Vec<Logged> = log
        .iter()
        .filter_map(|(id, version)| {
            Some(Logged { version: version.0, transaction: begun.get(id)?.0 })
        })
        .collect();
    logged.sort_by_key(|logged: &Logged| logged.version);
    let history = notes.history().map_err(|malformed| malformed.to_string())?;
    oracles::judge(&history, &logged)
}

/// Reads everything at a version, as a transaction of the history.
async fn read(store: &Store, notes: &Notes, at: At, version: Version) -> Result<()> {
    let past = at != At::Latest;
    let begun = notes.recorder().begin(notes.process(), past);
    let read = async {
        let snapshot = store.snapshot(at).await?;
        for key in LISTS {
            let found = snapshot.get(key).await?;
            notes.recorder().record(begun, read_of(key, found));
        }
        let scan = Scan::new(KeyRange::prefix("reg/"));
        let items = snapshot.scan(&scan).await?.collect().await?;
        let items = items.into_iter().map(|item| (item.key, item.value));
        notes.recorder().record(begun, seen("reg/", "reg0", false, None, items));
        for file in FILES {
            let found = snapshot.get(file).await?;
            notes.files(|files| files.shows(snapshot.version(), file, found));
        }
        Ok(snapshot.version())
    };
    let read: storage_txn::Result<Version> = read.await;
    let shown = read.map_err(|error| format!("version {version} cannot be read: {error}"))?;
    notes.recorder().end(begun, Status::Ok, Some(shown.0));
    Ok(())
}

/// What registers hold now.
async fn registers(store: &Store) -> storage_txn::Result<Vec<Bytes>> {
    let snapshot = store.snapshot(At::Latest).await?;
    let mut found = Vec::new();
    for key in REGISTERS {
        found.extend(snapshot.get(key).await?);
    }
    Ok(found)
}

/// Lets go of everything but the present.
async fn pack_all(store: &Store, notes: &Notes) -> storage_txn::Result<()> {
    for (name, _) in store.tags().await? {
        store.untag(&name).await?;
    }
    for (name, _) in store.cursors().await? {
        store.cursor_remove(&name).await?;
    }
    let last = store.snapshot(At::Latest).await?.version();
    notes.packs(last);
    let horizon = store.pack(At::Version(last)).await?;
    assert_eq!(horizon, last, "nothing holds anything back");
    Ok(())
}

/// Collects all that can be, and tells what is wrong after that: something that is damaged, or left over.
pub(crate) async fn collect_all(store: &Store, node: &Node, place: &Site) -> Result<()> {
    let mut options = CollectOptions::default();
    (options.grace, options.session_grace) = (Duration::ZERO, Duration::ZERO);
    options.sweep = true;
    store.flush().await.map_err(|error| format!("the last flush: {error}"))?;
    for attempt in 0.. {
        let done = store.collect(&options).await;
        let done = done.map_err(|error| format!("the last collection: {error}"))?;
        if done == Collected::default() {
            break;
        }
        // Some of it may have come of compactions in the background meanwhile.
        if attempt == 4 {
            return Err(format!("something was left to collect: {done:?}"));
        }
        node.env().sleep(Duration::from_secs(60)).await;
    }
    let mut wrong = String::new();
    for _ in 0..4 {
        wrong = what_is_wrong(node, place).await?;
        if wrong.is_empty() {
            return Ok(());
        }
        // A compaction in the background may have stored what it is about to commit.
        node.env().sleep(Duration::from_secs(60)).await;
    }
    Err(format!("it is not as it should be: {wrong}"))
}

/// What verifying finds; empty if it is nothing.
async fn what_is_wrong(node: &Node, place: &Site) -> Result<String> {
    let mut found = Vec::new();
    let mut tell = |event| {
        if let VerifyEvent::Finding(finding) = event {
            found.push(finding);
        }
    };
    let provider = place.place(node);
    let options = VerifyOptions::default();
    let report = Store::verify(provider, node.env(), &options, &mut tell).await;
    let report = report.map_err(|error| format!("it cannot be verified: {error}"))?;
    if found.is_empty() && report.unnamed.is_empty() {
        return Ok(String::new());
    }
    Ok(format!("{found:?} {report:?}"))
}

async fn names(node: &Node, place: &Site, prefix: &str) -> Result<Vec<storage_core::Key>> {
    let prefix = Prefix::new(prefix).map_err(|error| error.to_string())?;
    let provider = place.objects(node);
    let names = provider.list_all(&prefix).map_ok(|listed| listed.key).try_collect();
    names.await.map_err(|error: storage_core::Error| error.to_string())
}
