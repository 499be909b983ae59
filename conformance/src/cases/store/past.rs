//! The past can be asked: by time, by key, by commit; undone, watched, and packed away.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use storage_txn::{
    At, CollectOptions, ErrorKind, KeyRange, Merge, Receipt, Scan, Version, Written,
};

use super::{Handle, Tx, bytes_of, expect, handles, latest, open, put, same, seen, transact};
use crate::store::{Seen, WatchHandle};
use crate::{CaseResult, Context, Failure, ensure};

/// How long between commits whose times are to differ.
const PAUSE: Duration = Duration::from_millis(3);
/// How many transactions each handle commits while others watch.
const WATCHED: usize = 20;
/// How long until the next commit must have been shown.
const SHOWN_WITHIN: Duration = Duration::from_secs(15);

async fn delete(store: &Handle, key: &str) -> Result<Receipt, Failure> {
    Ok(transact(store, async |tx: Tx| tx.delete(key)).await?)
}

pub(super) async fn by_time(context: &Context) -> CaseResult {
    let [one, two]: [Handle; 2] = handles(context).await?;
    let mut receipts = Vec::new();
    for number in 0..8 {
        let store = if number % 2 == 0 { &one } else { &two };
        // It must know the last version, or its time may be that of an earlier one.
        latest(store).await?;
        receipts.push(put(store, "x", &number.to_string()).await?);
        tokio::time::sleep(PAUSE).await;
    }
    ensure!(
        receipts.is_sorted_by_key(|receipt| receipt.time),
        "expected times that never decrease, saw {:?}",
        receipts.iter().map(|receipt| receipt.time).collect::<Vec<_>>()
    );
    let times: Vec<_> = receipts.iter().map(|receipt| receipt.time).collect();
    let asked = times.iter().flat_map(|time| [*time, *time - Duration::from_micros(1)]);
    let three = open(context, "s").await?;
    for time in asked.chain([Duration::ZERO]) {
        let last = receipts.iter().rposition(|receipt| receipt.time <= time);
        let expected = last.map_or("none".to_owned(), |number| number.to_string());
        for (who, store) in [("one", &one), ("two", &two), ("opened later", &three)] {
            let snapshot = store.snapshot(At::Time(time)).await?;
            let what = format!("x at {time:?}, through the handle {who}");
            same(&what, &expected, &seen(&snapshot, "x").await?)?;
        }
    }
    Ok(())
}

/// A revision, for people: `3: value`.
fn told(version: Version, what: &str) -> String {
    format!("{version}: {what}")
}

pub(super) async fn of_a_key(context: &Context) -> CaseResult {
    let [one, two]: [Handle; 2] = handles(context).await?;
    let mut expected = Vec::new();
    put(&one, "w", "a neighbour").await?;
    for round in 0..3 {
        let value = format!("round {round}");
        expected.push(told(put(&one, "x", &value).await?.version, &value));
        put(&two, "y", "a neighbour").await?;
        expected.push(told(delete(&two, "x").await?.version, "deleted"));
        one.flush().await?;
        let sum = transact(&two, async |tx: Tx| tx.merge("x", Merge::Add(5))).await?;
        expected.push(told(sum.version, "merged 5"));
        let sum = transact(&one, async |tx: Tx| tx.merge("x", Merge::Add(2))).await?;
        expected.push(told(sum.version, "merged 7"));
        let range = KeyRange::from("w".."y");
        let emptied = transact(&one, async |tx: Tx| tx.delete_range(range.clone())).await?;
        expected.push(told(emptied.version, "deleted"));
        // There is nothing left to be deleted, so this is no revision.
        delete(&one, "x").await?;
    }
    expected.reverse();
    let three = open(context, "s").await?;
    for (who, store) in [("one", &one), ("two", &two), ("opened later", &three)] {
        latest(store).await?;
        let revisions = store.past().history("x").await?;
        let found: Vec<_> = revisions
            .iter()
            .map(|revision| {
                let what = match &revision.written {
                    Written::Value(value) => {
                        String::from_utf8_lossy(value.inline().map_or(b"", |it| it)).into_owned()
                    }
                    Written::Merged(value) => {
                        format!("merged {}", super::number(value.inline()))
                    }
                    Written::Deleted => "deleted".to_owned(),
                    Written::NotANumber => "no number".to_owned(),
                };
                told(revision.version, &what)
            })
            .collect();
        ensure!(found == expected, "handle {who}: expected {expected:?}, saw {found:?}");
        for revision in &revisions {
            let commit = revision.commit.as_ref().map(|commit| commit.version);
            ensure!(
                commit == Some(revision.version),
                "handle {who}: expected the commit of version {}, saw that of {commit:?}",
                revision.version
            );
        }
    }
    let nothing = three.past().history("never").await?;
    ensure!(nothing.is_empty(), "a key that never was: expected no revision, saw {nothing:?}");
    Ok(())
}

async fn all(store: &Handle) -> Result<BTreeMap<Bytes, Bytes>, Failure> {
    let items = latest(store).await?.scan(&Scan::new(..)).await?;
    Ok(items.into_iter().map(|item| (item.key, item.value)).collect())
}

pub(super) async fn undone(context: &Context) -> CaseResult {
    let [one, two]: [Handle; 2] = handles(context).await?;
    for key in ["a", "b", "c", "d"] {
        put(&one, key, &format!("{key} before")).await?;
    }
    transact(&one, async |tx: Tx| tx.put("sum", bytes_of(40))).await?;
    let before = all(&one).await?;
    let mistake = transact(&one, async |tx: Tx| {
        tx.delete_range(KeyRange::from("b".."d"))?;
        tx.put("a", "a after".into())?;
        tx.put("new", "made".into())?;
        tx.merge("sum", Merge::Add(2))
    })
    .await?;
    let after = all(&one).await?;

    latest(&two).await?;
    let undo = two.past().undo(mistake.version).await?;
    ensure!(
        all(&one).await? == before,
        "an undo: expected all keys as before, saw {:?}",
        all(&one).await?
    );
    two.past().undo(undo.version).await?;
    ensure!(
        all(&one).await? == after,
        "an undo of it: expected all keys as after, saw {:?}",
        all(&one).await?
    );

    put(&one, "c", "of somebody else").await?;
    let touched = all(&one).await?;
    for store in [&one, &two] {
        latest(store).await?;
        let refused = store.past().undo(mistake.version).await;
        expect("an undo over a change since", ErrorKind::PreconditionFailed, refused)?;
    }
    ensure!(
        all(&two).await? == touched,
        "a refused undo: expected it to do nothing, saw {:?}",
        all(&two).await?
    );
    Ok(())
}

/// Commits to a key that all share and to one of its own.
async fn write(store: &Handle, who: usize, number: usize) -> Result<Version, Failure> {
    let value = format!("{who}/{number}");
    let receipt = transact(store, async |tx: Tx| {
        tx.get("shared").await?;
        tx.put("shared", value.clone().into())?;
        tx.put(&format!("own/{who}"), value.clone().into())
    });
    Ok(receipt.await?.version)
}

async fn next(watch: &mut Box<dyn WatchHandle>) -> Result<Seen, Failure> {
    let late =
        |_| Failure::new(format!("expected the next commit to be shown within {SHOWN_WITHIN:?}"));
    Ok(tokio::time::timeout(SHOWN_WITHIN, watch.next()).await.map_err(late)??)
}

pub(super) async fn watched(context: &Context) -> CaseResult {
    let [one, two, three]: [Handle; 3] = handles(context).await?;
    let begins = put(&one, "shared", "begins").await?.version;
    let mut watch = two.past().watch(begins);
    let commits = [&one, &two, &three].into_iter().enumerate().map(|(who, store)| async move {
        let mut versions = Vec::new();
        for number in 0..WATCHED {
            versions.push(write(store, who, number).await?);
        }
        Ok::<_, Failure>(versions)
    });
    let shows = async {
        let mut shown = Vec::new();
        for _ in 0..3 * WATCHED {
            shown.push(next(&mut watch).await?);
        }
        Ok(shown)
    };
    let both = futures_util::future::try_join(try_join_all(commits), shows);
    let (versions, shown) = both.await?;
    let mut versions = versions.concat();
    versions.sort_unstable();
    let found: Vec<_> = shown.iter().map(|seen| seen.version).collect();
    ensure!(found == versions, "a watch: expected the versions {versions:?}, saw {found:?}");
    let mut state = BTreeMap::from([(Bytes::from("shared"), Bytes::from("begins"))]);
    for Seen { version, keys } in &shown {
        ensure!(keys.len() == 2, "version {version}: expected two keys, saw {keys:?}");
        for (key, before, after) in keys {
            let was = state.get(key);
            ensure!(
                was == before.as_ref() && after.is_some(),
                "version {version}, {key:?}: expected {was:?} to become something, saw {before:?} become {after:?}"
            );
            state.extend(after.clone().map(|after| (key.clone(), after)));
        }
    }
    let middle = versions[versions.len() / 2];
    let opened = open(context, "s").await?;
    let mut again = opened.past().watch(middle);
    for expected in shown.iter().filter(|seen| seen.version > middle) {
        let found = next(&mut again).await?;
        ensure!(
            found == *expected,
            "a watch from the middle: expected {expected:?}, saw {found:?}"
        );
    }
    Ok(())
}

pub(super) async fn packed(context: &Context) -> CaseResult {
    let [one, two]: [Handle; 2] = handles(context).await?;
    let mut versions = Vec::new();
    for number in 0..9 {
        let receipt = transact(&one, async |tx: Tx| {
            tx.put("x", number.to_string().into())?;
            match number % 3 {
                0 => tx.delete("sometimes"),
                _ => tx.put("sometimes", number.to_string().into()),
            }
        });
        versions.push(receipt.await?.version);
        if number % 2 == 0 {
            one.flush().await?;
        }
    }
    latest(&two).await?;
    one.past().tag("kept", versions[2]).await?;
    let before = At::Version(versions[5]);
    let horizon = two.past().pack(before).await?;
    ensure!(
        horizon == versions[5],
        "packing before version {}: expected that to be the horizon, saw {horizon}",
        versions[5]
    );
    let mut options = CollectOptions::default();
    (options.grace, options.session_grace) = (Duration::ZERO, Duration::ZERO);
    for collected in [false, true] {
        if collected {
            one.collect(&options).await?;
        }
        let opened = open(context, "s").await?;
        for (who, store) in [("one", &one), ("two", &two), ("opened later", &opened)] {
            latest(store).await?;
            for (number, version) in versions.iter().enumerate() {
                let what = format!("version {version}, handle {who}, collected: {collected}");
                let kept = number == 2 || number >= 5;
                let snapshot = match store.snapshot(At::Version(*version)).await {
                    Ok(snapshot) if kept => snapshot,
                    Err(error) if !kept && error.kind() == ErrorKind::SnapshotExpired => continue,
                    Ok(_) => {
                        return Err(Failure::new(format!(
                            "{what}: expected `SnapshotExpired`, saw it opened"
                        )));
                    }
                    Err(error) => return Err(Failure::from(error).during(what)),
                };
                same(&what, &number.to_string(), &seen(&snapshot, "x").await?)?;
                let sometimes = if number % 3 == 0 { "none".into() } else { number.to_string() };
                same(&what, &sometimes, &seen(&snapshot, "sometimes").await?)?;
            }
        }
    }
    Ok(())
}
