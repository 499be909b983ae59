//! Read-test-write in a world that loses requests, answers late and crashes servers: every run from a seed.
//!
//! Two servers of the same shares, each with several clients, all of whom replace the version that they have seen by one
//! of their own. Whoever is told `success` is the only one who was for that version, what anybody reads are shares of
//! one version, and what was told is still so at the end.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use gateway_tahoe::{
    Answer, LeaseSecrets, Options, ReadTestWrite, ReadVector, ShareChange, Shares, StorageIndex,
    Test, WallClock, Write,
};
use simulation::{Node, Place, Plan, Sim, Simulator};
use storage_core::ErrorKind as StorageErrorKind;
use storage_txn::{ErrorKind, Store};

const INDEX: StorageIndex = StorageIndex([7; 16]);
const SECRETS: LeaseSecrets = LeaseSecrets { renew: [1; 32], cancel: [2; 32] };
const SHARES: u64 = 3;
const CLIENTS: u64 = 3;
/// What a client tries, each time on what it has seen.
const SWAPS: u64 = 6;
/// The second write is in another block.
const FAR: u64 = 1 << 20;
const SEEDS: u64 = 300;

/// How often anybody was told that a version took the place of another, in all runs.
static TOLD: AtomicU64 = AtomicU64::new(0);

/// What was told to anybody: which version took the place of which.
#[derive(Debug, Default)]
struct Told {
    swaps: BTreeMap<u64, u64>,
    wrong: Option<String>,
}

/// Replaces version `from`, 0 for none, by `to` on all shares.
fn swap(from: u64, to: u64) -> ReadTestWrite {
    let version = |version: u64| Bytes::copy_from_slice(&version.to_be_bytes());
    let specimen = if from == 0 { Bytes::new() } else { version(from) };
    let change = ShareChange {
        tests: vec![Test { offset: 0, size: 8, specimen }],
        writes: vec![
            Write { offset: 0, data: version(to) },
            Write { offset: FAR, data: version(to) },
        ],
        new_length: None,
    };
    ReadTestWrite {
        changes: (0..SHARES).map(|number| (number, change.clone())).collect(),
        ..reads()
    }
}

fn reads() -> ReadTestWrite {
    let at = |offset: u64| ReadVector { offset, size: 8 };
    ReadTestWrite { changes: BTreeMap::new(), reads: vec![at(0), at(FAR)] }
}

/// The version that an answer shows, which all shares must have.
fn version_of(answer: &Answer) -> Result<u64, String> {
    let Some(first) = answer.data.get(&0) else {
        return match answer.data.is_empty() {
            true => Ok(0),
            false => Err(format!("there are shares, and not the first: {answer:?}")),
        };
    };
    let all = answer.data.values().flatten();
    if answer.data.len() as u64 != SHARES || all.clone().any(|piece| *piece != first[0]) {
        return Err(format!("shares of several versions: {answer:?}"));
    }
    Ok(u64::from_be_bytes(first[0].as_ref().try_into().map_err(|_| "a version of other bytes")?))
}

/// Opens the shares, again until it works.
async fn open(node: &Node, place: Place) -> Shares {
    loop {
        let (provider, env) = (Arc::new(node.provider(place)), node.env());
        let opened = match Store::open(provider, env.clone(), storage_txn::Options::default()).await
        {
            Ok(store) => {
                let clock = Arc::new(WallClock::new(env.clone()));
                Shares::open(store, env.clone(), clock, Options::default()).await
            }
            Err(error) => Err(error.into()),
        };
        match opened {
            Ok(shares) => return shares,
            Err(_) => env.sleep(Duration::from_millis(500)).await,
        }
    }
}

async fn serve(node: Node, place: Place, told: Arc<Mutex<Told>>) {
    let shares = open(&node, place).await;
    let client = async |client: u64| {
        let mut seen = 0;
        for number in 0..SWAPS {
            // No two are the same, in whichever life of whichever node.
            let life = u64::from(node.id().0) * 100 + u64::from(node.restarts());
            let to = 1 + (life * 100 + client) * 100 + number;
            let swap = swap(seen, to);
            let asked = shares.read_test_write(INDEX, &[9; 32], &SECRETS, &swap);
            // Nobody knows whether that was written, or nothing was: the client looks again.
            let Ok(answer) = asked.await else { continue };
            let mut told = told.lock().unwrap();
            match version_of(&answer) {
                Ok(version) if answer.success => {
                    if version != seen {
                        told.wrong = Some(format!("the test for {seen} held of {version}"));
                    }
                    if let Some(other) = told.swaps.insert(seen, to) {
                        told.wrong =
                            Some(format!("both {other} and {to} took the place of {seen}"));
                    }
                    seen = to;
                }
                Ok(version) => seen = version,
                Err(wrong) => told.wrong = Some(wrong),
            }
        }
    };
    futures_util::future::join_all((0..CLIENTS).map(client)).await;
}

fn scenario(sim: &mut Sim) -> Result<(), String> {
    let place = sim.place("bucket");
    sim.ask("maker", move |node| async move {
        let (provider, env) = (Arc::new(node.provider(place)), node.env());
        loop {
            let made = Store::init(provider.clone(), env.clone(), storage_txn::Options::default());
            match made.await {
                Ok(_) => return Ok(()),
                Err(error) => match error.kind() {
                    ErrorKind::StoreExists => return Ok(()),
                    ErrorKind::Storage(StorageErrorKind::Unsupported) => {
                        return Err(error.to_string());
                    }
                    _ => env.sleep(Duration::from_millis(500)).await,
                },
            }
        }
    })??;
    let told = Arc::new(Mutex::new(Told::default()));
    for name in ["one", "two"] {
        let told = told.clone();
        sim.node(name, move |node| serve(node, place, told.clone()));
    }
    sim.run()?;
    sim.heal();
    let last = sim.ask("reader", move |node| async move {
        let shares = open(&node, place).await;
        let answer = shares.read_test_write(INDEX, &[9; 32], &SECRETS, &reads()).await;
        answer.map_err(|error| error.to_string()).and_then(|answer| version_of(&answer))
    })??;
    let told = told.lock().unwrap();
    TOLD.fetch_add(told.swaps.len() as u64, Ordering::Relaxed);
    if let Some(wrong) = &told.wrong {
        return Err(wrong.clone());
    }
    match told.swaps.get(&last) {
        Some(next) => Err(format!("{next} took the place of {last}, which is there again")),
        None if last == 0 && !told.swaps.is_empty() => Err("all is gone".into()),
        None => Ok(()),
    }
}

#[test]
fn one_wins_each_time_in_calm() {
    let before = TOLD.load(Ordering::Relaxed);
    Simulator::new(scenario).soak(0..SEEDS / 10, &Plan::calm()).assert_clean();
    assert!(TOLD.load(Ordering::Relaxed) - before > SEEDS / 10, "hardly anybody ever wins");
}

#[test]
fn one_wins_each_time_however_requests_are_lost_and_servers_crash() {
    Simulator::new(scenario).soak(0..SEEDS, &Plan::rough()).assert_clean();
}
