//! Growing a shard.

use std::sync::Arc;

use backend_memory::MemoryProvider;
use futures_util::TryStreamExt as _;
use storage_array::{Member, Rebalance, Shard};
use storage_core::{Get, Key, Prefix, PutIf, StorageProvider, StorageProviderExt as _};

use storage_wrappers::ManualEnv;

use crate::rig::key;

const KEYS: usize = 20_000;

fn env() -> ManualEnv {
    ManualEnv::new(1)
}

fn buckets(all: &[MemoryProvider], count: usize) -> Vec<(Member, f64)> {
    let member = |(at, it): (usize, &MemoryProvider)| {
        (Member::new(format!("bucket{at}"), Arc::new(it.clone())), 1.0)
    };
    all[..count].iter().enumerate().map(member).collect()
}

async fn counts(all: &[MemoryProvider]) -> Vec<usize> {
    let mut counts = Vec::new();
    for bucket in all {
        let listed: Vec<_> = bucket.list_all(&Prefix::all()).try_collect().await.unwrap();
        counts.push(listed.len());
    }
    counts
}

#[test]
fn an_eleventh_bucket_moves_an_eleventh_and_nothing_before_it_is_asked_for() {
    futures_executor::block_on(async {
        let all: Vec<_> = (0..11).map(|_| MemoryProvider::new()).collect();
        let keys: Vec<Key> = (0..KEYS).map(|at| key(&format!("value/{at:016x}"))).collect();
        let ten = Shard::new(buckets(&all, 10)).unwrap();
        for name in &keys {
            ten.put(name, name.as_str().to_owned().into(), PutIf::Absent).await.unwrap();
        }
        let before = counts(&all).await;
        let grown = Shard::new(buckets(&all, 11)).unwrap();
        let grown = grown.growing_from(buckets(&all, 10)).unwrap();
        for name in keys.iter().step_by(7) {
            assert_eq!(grown.get(name, Get::whole()).await.unwrap().body, name.as_str());
        }
        let listed: Vec<_> = grown.list_all(&Prefix::all()).try_collect().await.unwrap();
        assert_eq!(listed.len(), KEYS);
        assert_eq!(counts(&all).await, before, "something moved unasked");

        let seen = grown.inspect().await;
        let to_move: u64 = seen.members.iter().map(|member| member.to_move).sum();
        assert!(seen.growing && seen.members.iter().all(|member| member.answer.is_ok()));
        let report = grown.rebalance(&Rebalance::default(), &env(), &mut |_| true).await.unwrap();
        assert_eq!(
            (report.failures, report.moved),
            (0, *counts(&all).await.last().unwrap() as u64)
        );
        assert_eq!(report.moved, to_move, "what was announced is not what was moved");
        // Eighty thousand more keys, on paper, for a figure that does not depend on luck.
        let more: Vec<Key> = (0..400_000).map(|at| key(&format!("segment/{at:016x}"))).collect();
        let moving: u64 = grown.moving(&more).values().sum();
        let percent = moving as f64 * 100.0 / more.len() as f64;
        assert!((8.8..=9.4).contains(&percent), "{percent} percent would move");
        assert_eq!(grown.moving(&more).keys().collect::<Vec<_>>(), ["bucket10"]);
        let share = report.moved as f64 * 100.0 / KEYS as f64;
        assert!((8.5..=9.7).contains(&share), "{share} percent moved");

        let after = Shard::new(buckets(&all, 11)).unwrap();
        for name in &keys {
            assert_eq!(after.get(name, Get::whole()).await.unwrap().body, name.as_str());
        }
        let again = after.rebalance(&Rebalance::default(), &env(), &mut |_| true).await.unwrap();
        assert_eq!(again.moved, 0);
    });
}

#[test]
fn while_it_grows_objects_are_replaced_and_deleted_wherever_they_are() {
    futures_executor::block_on(async {
        let all: Vec<_> = (0..4).map(|_| MemoryProvider::new()).collect();
        let three = Shard::new(buckets(&all, 3)).unwrap();
        let keys: Vec<Key> = (0..300).map(|at| key(&format!("k/{at}"))).collect();
        for name in &keys {
            three.put(name, "old".into(), PutIf::Always).await.unwrap();
        }
        let grown = Shard::new(buckets(&all, 4)).unwrap();
        let grown = grown.growing_from(buckets(&all, 3)).unwrap();
        for (at, name) in keys.iter().enumerate() {
            match at % 4 {
                0 => grown.delete(name).await.unwrap(),
                1 => drop(grown.put(name, "new".into(), PutIf::Always).await.unwrap()),
                2 => {
                    let error = grown.put(name, "new".into(), PutIf::Absent).await.unwrap_err();
                    assert_eq!(error.kind(), storage_core::ErrorKind::Conflict);
                }
                _ => {
                    // The version of one place may be refused once; read again, it is taken.
                    let mut tries = 0;
                    loop {
                        let seen = grown.get(name, Get::whole()).await.unwrap().version;
                        tries += 1;
                        if grown.put(name, "new".into(), PutIf::Matches(seen)).await.is_ok() {
                            break;
                        }
                        assert!(tries < 3);
                    }
                }
            }
        }
        for round in 0..2 {
            for (at, name) in keys.iter().enumerate() {
                let found = grown.try_get(name).await.unwrap().map(|object| object.body);
                let expected = match at % 4 {
                    0 => None,
                    2 => Some("old".into()),
                    _ => Some("new".into()),
                };
                assert_eq!(found, expected, "round {round}, {name}");
            }
            grown.rebalance(&Rebalance::default(), &env(), &mut |_| true).await.unwrap();
        }
        assert_eq!(counts(&all).await.iter().sum::<usize>(), 225);
    });
}
