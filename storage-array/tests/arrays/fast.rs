//! Slow members, and how many requests it takes.

use std::sync::Arc;
use std::time::Duration;

use storage_array::{Erasure, Mirror};
use storage_core::{Env as _, Get, PutIf, StorageProvider};
use storage_wrappers::ManualEnv;

use crate::rig::{Place, Request, body, key, members, places};

/// The times of reads in virtual time, sorted.
fn reads(seed: u64, data: usize, total: usize, slow: bool) -> Vec<Duration> {
    let env = Arc::new(ManualEnv::new(seed));
    let places = places(&env, total);
    env.block_on(async {
        let array: Arc<dyn StorageProvider> = match data {
            1 => Arc::new(Mirror::new(members(&places), None, env.clone()).unwrap()),
            _ => Arc::new(
                Erasure::new(data, total - data, members(&places), None, env.clone()).unwrap(),
            ),
        };
        for number in 0..20 {
            array.put(&key(&format!("k/{number}")), body(20_000), PutIf::Always).await.unwrap();
        }
        for place in &places {
            place.set_latency(Duration::from_millis(20));
        }
        if slow {
            places[0].set_latency(Duration::from_millis(200));
        }
        let mut times = Vec::new();
        for number in 0..3000 {
            let began = env.monotonic();
            let name = key(&format!("k/{}", number % 20));
            assert_eq!(array.get(&name, Get::whole()).await.unwrap().body, body(20_000));
            times.push(env.monotonic() - began);
        }
        times.sort();
        times
    })
}

#[test]
fn one_slow_member_makes_the_slowest_reads_a_third_slower_at_most() {
    for (data, total) in [(1, 3), (2, 3), (4, 6)] {
        let seed = 11;
        let without = reads(seed, data, total, false);
        let with = reads(seed, data, total, true);
        let at = without.len() * 99 / 100;
        let ratio = with[at].as_secs_f64() / without[at].as_secs_f64();
        assert!(
            ratio <= 1.3,
            "{data} of {total}, seed {seed}: 99 of 100 reads within {:?}, with a slow member {:?}",
            without[at],
            with[at]
        );
    }
}

fn parts(places: &[Place]) -> Vec<(usize, Vec<Request>)> {
    let asked = places.iter().map(Place::requests).enumerate();
    asked.filter(|(_, requests)| !requests.is_empty()).collect()
}

#[test]
fn a_range_is_read_from_the_one_member_that_has_it() {
    for (data, total) in [(2, 3), (4, 6)] {
        let env = Arc::new(ManualEnv::new(3));
        let places = places(&env, total);
        env.block_on(async {
            let array =
                Erasure::new(data, total - data, members(&places), None, env.clone()).unwrap();
            let whole = body(4 << 20);
            let name = key("a");
            array.put(&name, whole.clone(), PutIf::Always).await.unwrap();
            let piece = (4 << 20) / data;
            for index in 0..data {
                let from = index * piece + 70_000;
                let range = || Get::range(from as u64..from as u64 + 1000);
                array.get(&name, range()).await.unwrap();
                parts(&places);
                let read = array.get(&name, range()).await.unwrap();
                assert_eq!(read.body, whole.slice(from..from + 1000));
                let asked = parts(&places);
                assert_eq!(asked.len(), 1, "{asked:?}");
                assert!(matches!(asked[0].1[..], [Request::Part(_)]), "{asked:?}");
            }
        });
    }
}

#[test]
fn a_first_put_is_one_request_to_each_member_and_a_read_as_few_as_decide() {
    for (data, total, reads) in [(1, 3, 2), (2, 3, 2), (4, 6, 4)] {
        let env = Arc::new(ManualEnv::new(4));
        let places = places(&env, total);
        env.block_on(async {
            let array: Arc<dyn StorageProvider> = match data {
                1 => Arc::new(Mirror::new(members(&places), None, env.clone()).unwrap()),
                _ => Arc::new(
                    Erasure::new(data, total - data, members(&places), None, env.clone()).unwrap(),
                ),
            };
            array.put(&key("a"), body(20_000), PutIf::Always).await.unwrap();
            let asked: Vec<_> = parts(&places).into_iter().flat_map(|it| it.1).collect();
            assert_eq!(asked.len(), total, "{asked:?}");
            assert!(asked.iter().all(|it| matches!(it, Request::Put(..))), "{asked:?}");
            array.get(&key("a"), Get::whole()).await.unwrap();
            let asked: Vec<_> = parts(&places).into_iter().flat_map(|it| it.1).collect();
            assert_eq!(asked.len(), reads, "{asked:?}");
            let wholes = asked.iter().filter(|it| matches!(it, Request::Whole(_))).count();
            assert_eq!(wholes, data, "{asked:?}");
        });
    }
}
