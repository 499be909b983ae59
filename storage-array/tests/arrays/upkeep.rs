//! Looking after an array: finding how it is, bringing it back to full redundancy, and going on after a stop.

use std::sync::Arc;
use std::time::Duration;

use storage_array::{Depth, Erasure, Inspect, Member, Mend, Mirror, Prices, Scrub};
use storage_core::{Env as _, Get, Key, PutIf, StorageProvider};
use storage_wrappers::ManualEnv;

use crate::rig::{Place, Request, body, key, members, places};

const SIZE: usize = 20_000;

async fn fill(array: &dyn StorageProvider, objects: usize) -> Vec<Key> {
    let names: Vec<Key> = (0..objects).map(|at| key(&format!("k/{at:04}"))).collect();
    for name in &names {
        array.put(name, body(SIZE), PutIf::Always).await.unwrap();
    }
    names
}

async fn lose(place: &Place, names: &[Key]) {
    for name in names {
        place.objects().delete(&key(&format!("o/{name}"))).await.unwrap();
    }
}

#[test]
fn an_inspection_tells_who_lacks_what_and_how_much_more_may_be_lost() {
    let env = Arc::new(ManualEnv::new(1));
    let places = places(&env, 6);
    env.block_on(async {
        let array = Erasure::new(4, 2, members(&places), None, env.clone()).unwrap();
        let names = fill(&array, 30).await;
        let look = Inspect::default();
        let seen = array.inspect(&look, &mut |_| true).await.unwrap();
        assert!(seen.is_whole(), "{seen:?}");
        assert_eq!((seen.objects, seen.bytes, seen.can_lose()), (30, 30 * SIZE as u64, Some(2)));
        let stored: u64 = seen.members.iter().map(|member| member.bytes).sum();
        let ratio = stored as f64 / seen.bytes as f64;
        assert!((1.5..1.55).contains(&ratio), "{ratio} bytes for one");

        // A member that was wiped, another that lost a piece, and one that is down.
        lose(&places[0], &names).await;
        lose(&places[1], &names[7..8]).await;
        let seen = array.inspect(&look, &mut |_| true).await.unwrap();
        assert_eq!(seen.short_by, [0, 29, 1, 0, 0, 0, 0]);
        assert_eq!((seen.members[0].missing, seen.members[1].missing), (30, 1));
        assert_eq!(seen.can_lose(), Some(0));
        assert_eq!(seen.bytes, 30 * SIZE as u64);
        places[2].set_down(true);
        let seen = array.inspect(&look, &mut |_| true).await.unwrap();
        assert_eq!(seen.short_by, [0, 0, 29, 1, 0, 0, 0]);
        assert_eq!(seen.can_lose(), None, "one of them is lost if this member is");
        assert!(seen.members[2].answer.is_err() && seen.members[3].answer.is_ok());
        places[2].set_hanging(true);
        let seen = array.inspect(&look, &mut |_| true).await.unwrap();
        assert!(seen.members[2].answer.as_ref().unwrap_err().contains("10 s"), "{seen:?}");
    });
}

#[test]
fn a_member_that_was_missed_is_on_record_as_behind_until_it_has_everything() {
    let env = Arc::new(ManualEnv::new(2));
    let places = places(&env, 3);
    env.block_on(async {
        env.advance(Duration::from_secs(1_000));
        let array = Erasure::new(2, 1, members(&places), None, env.clone()).unwrap();
        places[1].set_down(true);
        let names = fill(&array, 3).await;
        drop(array);
        places[1].set_down(false);
        // A process that knows nothing of what happened.
        let array = Erasure::new(2, 1, members(&places), None, env.clone()).unwrap();
        let seen = array.inspect(&Inspect::default(), &mut |_| true).await.unwrap();
        let since = seen.members[1].behind_since.expect("it is behind");
        assert!(since >= Duration::from_secs(1_000) && since <= env.wall());
        assert_eq!(seen.members[0].behind_since, None);
        assert!(!seen.is_whole());
        let mended = array.mend(&Mend::default(), &mut |_| true).await.unwrap();
        assert!(mended.is_whole(), "{mended:?}");
        assert_eq!((mended.to_do, mended.done.repaired), (Some(3), 3));
        let seen = array.inspect(&Inspect::default(), &mut |_| true).await.unwrap();
        assert!(seen.is_whole(), "{seen:?}");
        lose(&places[0], &names).await;
        for name in &names {
            assert_eq!(array.get(name, Get::whole()).await.unwrap().body, body(SIZE));
        }
    });
}

#[test]
fn what_is_closest_to_being_lost_is_repaired_first_from_as_many_pieces_as_it_takes() {
    let env = Arc::new(ManualEnv::new(3));
    let places = places(&env, 6);
    env.block_on(async {
        let array = Erasure::new(4, 2, members(&places), None, env.clone()).unwrap();
        let names = fill(&array, 40).await;
        lose(&places[0], &names[..30]).await;
        lose(&places[5], &names[20..25]).await;
        // One that nobody can read any more stops nothing: its bytes are damaged.
        lose(&places[0], &names[38..39]).await;
        lose(&places[1], &names[38..39]).await;
        let cell = key(&format!("o/{}", names[38]));
        let mut damaged = places[2].objects().get(&cell, Get::whole()).await.unwrap().body.to_vec();
        let last = damaged.len() - 2000;
        damaged[last] ^= 1;
        places[2].objects().put(&cell, damaged.into(), PutIf::Always).await.unwrap();
        // Too few pieces to be an object.
        for place in &places[..3] {
            lose(place, &names[39..]).await;
        }
        places.iter().for_each(|place| drop(place.requests()));
        let how = Mend { at_once: 1, ..Mend::default() };
        let mut order = Vec::new();
        let mended = array
            .mend(&how, &mut |so_far| {
                order.extend(so_far.done.last.clone());
                true
            })
            .await
            .unwrap();
        order.dedup();
        assert_eq!(order[..5], names[20..25], "two pieces are gone of these");
        assert_eq!(order[5], names[38], "and of this");
        assert_eq!(order.len(), 6 + 25);
        assert_eq!(mended.to_do, Some(31));
        assert_eq!((mended.done.repaired, mended.done.failures), (35, 1), "{mended:?}");
        assert_eq!(mended.done.unreadable, names[38..39]);
        assert!(!mended.is_whole());
        let (mut read, mut written) = (0, 0);
        for place in &places {
            for request in place.requests() {
                match request {
                    Request::Whole(cell) if cell.as_str().starts_with("o/") => read += 1,
                    Request::Put(cell, _) if cell.as_str().starts_with("o/") => written += 1,
                    _ => {}
                }
            }
        }
        // The four pieces that are left of the one that is lost are read in vain.
        assert_eq!((read - 4, written), (30 * 4, 35));
        let seen = array.inspect(&Inspect::default(), &mut |_| true).await.unwrap();
        assert_eq!((seen.leftovers, seen.objects), (1, 39));
        assert_eq!(seen.short_by, [38, 0, 1, 0, 0, 0, 0]);
    });
}

#[test]
fn a_walk_that_is_stopped_is_gone_on_with_by_whoever_comes_next() {
    let env = Arc::new(ManualEnv::new(4));
    let places = places(&env, 3);
    env.block_on(async {
        let array = Erasure::new(2, 1, members(&places), None, env.clone()).unwrap();
        let names = fill(&array, 50).await;
        lose(&places[0], &names).await;
        let scrub = Scrub { on_record: true, ..Scrub::new(Depth::Bytes) };
        let stopped = array.scrub(&scrub, &mut |so_far| so_far.objects < 20).await.unwrap();
        assert_eq!(stopped.objects, 20);

        let other = Erasure::new(2, 1, members(&places), None, env.clone()).unwrap();
        let seen = other.inspect(&Inspect::default(), &mut |_| true).await.unwrap();
        let walk = seen.last_scrub.expect("it is on record");
        assert!(!walk.done);
        assert_eq!((walk.found.objects, walk.found.members["m0"].missing), (20, 20));
        let shallow = Scrub { depth: Depth::Lists, on_record: false, ..scrub.clone() };
        let whole = other.scrub(&shallow, &mut |_| true).await.unwrap();
        assert_eq!(whole.objects, 50, "another walk begins where it begins");

        let mut first = None;
        let report = other
            .scrub(&scrub, &mut |so_far| {
                first = first.take().or(so_far.last.clone());
                true
            })
            .await
            .unwrap();
        assert_eq!(first, Some(names[20].clone()));
        assert_eq!((report.objects, report.members["m0"].missing), (50, 20));
        let seen = other.inspect(&Inspect::default(), &mut |_| true).await.unwrap();
        assert!(seen.last_scrub.is_some_and(|walk| walk.done) && seen.short_by[0] == 50);
        let again = other.scrub(&scrub, &mut |_| true).await.unwrap();
        assert_eq!((again.objects, again.missing), (50, 0), "the next one begins anew");
    });
}

#[test]
fn a_walk_moves_no_more_bytes_a_second_than_it_may() {
    for at_once in [1, 4] {
        let env = Arc::new(ManualEnv::new(5));
        let places = places(&env, 3);
        env.block_on(async {
            let array = Mirror::new(members(&places), None, env.clone()).unwrap();
            fill(&array, 50).await;
            let began = env.monotonic();
            let rate = Some(100_000);
            let scrub = Scrub { bytes_per_second_max: rate, at_once, ..Scrub::new(Depth::Bytes) };
            let report = array.scrub(&scrub, &mut |_| true).await.unwrap();
            assert!(report.is_whole());
            // Three copies of fifty objects, but for those that are read while it waits.
            let seconds = (env.monotonic() - began).as_secs_f64();
            let least = 3.0 * (50 - at_once) as f64 * SIZE as f64 / 100_000.0;
            assert!((least..least * 1.2 + 1.0).contains(&seconds), "{seconds} s, not {least} s");
        });
    }
}

#[test]
fn a_mirror_takes_a_member_more_or_a_member_less_without_being_copied() {
    let env = Arc::new(ManualEnv::new(6));
    let places = places(&env, 4);
    env.block_on(async {
        let all = members(&places);
        let of = |members: &[Member]| Mirror::new(members.to_vec(), None, env.clone()).unwrap();
        let three = of(&all[..3]);
        let names = fill(&three, 10).await;
        three.put(&names[0], "put over".into(), PutIf::Always).await.unwrap();
        three.delete(&names[1]).await.unwrap();
        three.settle().await;

        let four = of(&all);
        let check = async |array: &Mirror, what: &str| {
            for (at, name) in names.iter().enumerate() {
                let found = array.get(name, Get::whole()).await.map(|object| object.body);
                match at {
                    0 => assert_eq!(found.unwrap(), "put over", "{what}"),
                    1 => assert!(found.is_err(), "{what}"),
                    _ => assert_eq!(found.unwrap(), body(SIZE), "{what}: {name}"),
                }
            }
        };
        check(&four, "before the new one has anything").await;
        let mended = four.mend(&Mend::default(), &mut |_| true).await.unwrap();
        assert!(mended.is_whole(), "{mended:?}");
        let scrubbed = four.scrub(&Scrub::new(Depth::Bytes), &mut |_| true).await.unwrap();
        assert_eq!((scrubbed.missing, scrubbed.damaged), (0, 0), "{scrubbed:?}");
        // Two of the old ones go, one after the other; what is left has everything.
        let three = of(&all[1..]);
        check(&three, "without the first").await;
        let two = of(&all[2..]);
        check(&two, "without the second").await;
        check(&of(&all[3..]), "on the new one alone").await;
    });
}

#[test]
fn reads_go_where_bytes_are_cheap_unless_that_is_slow_or_down() {
    let env = Arc::new(ManualEnv::new(7));
    let places = places(&env, 3);
    env.block_on(async {
        let dear = Prices { gb_read: 0.09, ..Prices::default() };
        let priced = members(&places)
            .into_iter()
            .enumerate()
            .map(|(at, member)| if at == 2 { member } else { member.at_prices(dear) });
        let mirror = Mirror::new(priced, None, env.clone()).unwrap();
        for place in &places[..2] {
            place.set_latency(Duration::from_millis(2));
        }
        places[2].set_latency(Duration::from_millis(3));
        let names = fill(&mirror, 40).await;
        let read_from = async |mirror: &Mirror| {
            places.iter().for_each(|place| drop(place.requests()));
            for name in &names {
                mirror.get(name, Get::whole()).await.unwrap();
            }
            let whole = |place: &Place| {
                let requests = place.requests().into_iter();
                requests.filter(|it| matches!(it, Request::Whole(_))).count()
            };
            places.iter().map(whole).collect::<Vec<_>>()
        };
        read_from(&mirror).await;
        let reads = read_from(&mirror).await;
        assert!(reads[2] >= 36, "the free one is a little slower, and was read {reads:?} times");
        let charged: f64 = mirror
            .known_status()
            .members
            .iter()
            .map(|member| member.prices.of(&member.traffic))
            .sum();
        assert!(charged < 0.09 * 40.0 * SIZE as f64 / 1e9 * 2.0, "{charged} for reads");
        places[2].set_latency(Duration::from_millis(60));
        read_from(&mirror).await;
        let reads = read_from(&mirror).await;
        assert!(reads[2] <= 4, "it is slow, and was read {reads:?} times");
        places[2].set_down(true);
        let reads = read_from(&mirror).await;
        assert_eq!(reads.iter().sum::<usize>() - reads[2], 40);
    });
}
