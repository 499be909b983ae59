//! What is lost that the log can make again, and what is damaged that must not be taken for right.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use storage_core::{Get, Key, PutIf, StorageProviderExt as _};
use storage_txn::{At, ErrorKind, Merge, Options, Scan, Store, Version};
use storage_wrappers::TokioEnv;

use super::{Handle, init, open, place, stores};
use crate::quorum::place_on;
use crate::{CaseResult, Context, Failure, ensure};

/// How many transactions there are; after every third everything is put into segments.
const TRANSACTIONS: usize = 9;
/// How many objects of each kind are damaged.
const DAMAGED: usize = 2;

/// What a scan finds at each version.
type States = Vec<(Version, String)>;

/// A store of several flushes, and what it is at each version.
async fn fill(context: &Context, name: &str) -> Result<States, Failure> {
    let store = init(context, name).await?;
    for number in 0..TRANSACTIONS {
        let tx = store.begin();
        tx.put(&format!("k/{}", number % 4), format!("the value of transaction {number}").into())?;
        tx.merge("sum", Merge::Add(1))?;
        if number % 3 == 1 {
            tx.delete(&format!("k/{}", (number + 1) % 4))?;
        }
        tx.commit().await?;
        if number % 3 == 2 {
            store.flush().await?;
        }
    }
    let last = store.snapshot(At::Latest).await?.version();
    let mut states = States::new();
    for version in (1..=last.0).map(Version) {
        states.push((version, state(&store, version).await?));
    }
    Ok(states)
}

async fn state(store: &Handle, version: Version) -> storage_txn::Result<String> {
    let snapshot = store.snapshot(At::Version(version)).await?;
    let items = snapshot.scan(&Scan::new(..)).await?;
    let show = |item: storage_txn::Item| {
        format!("{}={}@{:?}", item.key.escape_ascii(), item.value.escape_ascii(), item.version)
    };
    Ok(items.into_iter().map(show).collect::<Vec<_>>().join(" "))
}

/// The names of all objects of the store, and what each begins with in it.
async fn objects(context: &Context, name: &str) -> Result<Vec<(Key, String)>, Failure> {
    let prefix = context.prefix_of(format!("{name}/"));
    let listed: Vec<_> = context.handle().list_all(&prefix).try_collect().await?;
    let kind = |key: &Key| {
        let within = key.as_str().strip_prefix(prefix.as_str()).unwrap_or_default();
        within.split('/').next().unwrap_or_default().to_owned()
    };
    Ok(listed
        .into_iter()
        .map(|listed| (kind(&listed.key), listed.key))
        .map(|(a, b)| (b, a))
        .collect())
}

pub(super) async fn derived_lost(context: &Context) -> CaseResult {
    let lost: [(&str, &[&str]); 3] = [
        ("checkpoints", &["checkpoint"]),
        ("segments", &["segment"]),
        ("checkpoints and segments", &["checkpoint", "segment"]),
    ];
    for (at, (what, kinds)) in lost.into_iter().enumerate() {
        let name = format!("s{at}");
        let states = fill(context, &name).await?;
        let mut gone = 0;
        for (key, kind) in objects(context, &name).await? {
            if kinds.contains(&&kind[..]) {
                context.handle().delete(&key).await?;
                gone += 1;
            }
        }
        if gone == 0 {
            return Err(context.skip("the store keeps its index elsewhere"));
        }
        if kinds == ["segment"] {
            let place = place(context, context.open().await?, &name)?;
            let place = place_on(place, context.hooks().voters)?;
            let env = Arc::new(TokioEnv::new());
            Store::rebuild_index(place, env, Options::default()).await?;
        }
        for which in ["first", "second"] {
            let opened = open(context, &name).await?;
            for (version, expected) in &states {
                let found = state(&opened, *version).await?;
                ensure!(
                    found == *expected,
                    "without its {gone} {what}, opened for the {which} time, at version {version}: expected \
                     {expected:?}, saw {found:?}"
                );
            }
            opened.flush().await?;
        }
    }
    Ok(())
}

/// Makes of an object, and of another of its kind, what is put in its place.
type Damage = fn(&Bytes, &Bytes) -> Bytes;

pub(super) async fn damaged(context: &Context) -> CaseResult {
    let states = fill(context, "s").await?;
    let objects = objects(context, "s").await?;
    let damages: [(&str, Damage); 4] = [
        ("with a changed bit", |own, _| {
            let mut bytes = own.to_vec();
            let middle = bytes.len() / 3;
            bytes[middle] ^= 4;
            bytes.into()
        }),
        ("cut short", |own, _| own.slice(..own.len() / 2)),
        ("empty", |_, _| Bytes::new()),
        ("exchanged for another", |_, other| other.clone()),
    ];
    let (mut tried, mut at) = (0, 0);
    for wanted in ["log", "segment", "checkpoint", "voter1"] {
        let of_kind: Vec<&Key> =
            objects.iter().filter(|(_, kind)| kind == wanted).map(|(key, _)| key).collect();
        for (number, key) in of_kind.iter().take(DAMAGED).enumerate() {
            let body = context.handle().get(key, Get::whole()).await?.body;
            let other = of_kind[(number + 1) % of_kind.len()];
            let other = context.handle().get(other, Get::whole()).await?.body;
            // Two of them for each object, in turn.
            for (what, damage) in damages.iter().cycle().skip(at).take(2) {
                let bad = damage(&body, &other);
                if bad != body {
                    context.handle().put(key, bad, PutIf::Always).await?;
                    check(context, &format!("{key} {what}"), &states).await?;
                    tried += 1;
                }
            }
            at += 2;
            context.handle().put(key, body, PutIf::Always).await?;
        }
    }
    if tried == 0 {
        return Err(context.skip("the store keeps its objects elsewhere"));
    }
    Ok(())
}

/// Reads the store at the first version, the last and one between.
async fn check(context: &Context, what: &str, states: &States) -> CaseResult {
    let corrupt = |error: storage_txn::Error| match error.kind() {
        ErrorKind::Corrupt | ErrorKind::UnknownFormat => Ok(()),
        kind => Err(Failure::new(format!("{what}: expected Corrupt, saw {kind:?}: {error}"))),
    };
    let place = place(context, context.open().await?, "s")?;
    let opened = match stores(context).open(place, Options::default()).await {
        Ok(opened) => opened,
        Err(error) => return corrupt(error),
    };
    for at in [0, states.len() / 2, states.len() - 1] {
        let (version, expected) = &states[at];
        match state(&opened, *version).await {
            Ok(found) => ensure!(
                found == *expected,
                "{what}: at version {version}: expected {expected:?} or Corrupt, saw {found:?}"
            ),
            Err(error) => corrupt(error)?,
        }
    }
    Ok(())
}
