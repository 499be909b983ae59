//! Members that are lost.

use std::sync::Arc;

use storage_array::{Depth, Erasure, Mirror, Scrub};
use storage_core::{ErrorKind, Get, List, Prefix, PutIf, Result, StorageProvider};
use storage_wrappers::ManualEnv;

use crate::rig::{Place, Request, body, key, members, places};

fn make(
    data: usize,
    total: usize,
    places: &[Place],
    env: &Arc<ManualEnv>,
) -> Arc<dyn StorageProvider> {
    match data {
        1 => Arc::new(Mirror::new(members(places), None, env.clone()).unwrap()),
        _ => {
            Arc::new(Erasure::new(data, total - data, members(places), None, env.clone()).unwrap())
        }
    }
}

const SHAPES: [(usize, usize); 6] = [(1, 2), (1, 3), (2, 3), (2, 4), (4, 6), (3, 5)];

#[test]
fn whatever_members_are_lost_everything_can_be_read_as_long_as_enough_are_left() {
    for (data, total) in SHAPES {
        let env = Arc::new(ManualEnv::new(1));
        let places = places(&env, total);
        let bodies = [0, 1, 5, 5000, 300_000].map(body);
        env.block_on(async {
            let array = make(data, total, &places, &env);
            for (number, body) in bodies.iter().enumerate() {
                // Once, and once more over another: both ways of keeping pieces.
                let (once, over) = (key(&format!("once/{number}")), key(&format!("over/{number}")));
                array.put(&once, body.clone(), PutIf::Always).await.unwrap();
                array.put(&over, "before".into(), PutIf::Always).await.unwrap();
                array.put(&over, body.clone(), PutIf::Always).await.unwrap();
            }
            array.put(&key("deleted"), "body".into(), PutIf::Always).await.unwrap();
            array.delete(&key("deleted")).await.unwrap();
            for lost in 0_u32..1 << total {
                if lost.count_ones() as usize > total - data {
                    continue;
                }
                for (at, place) in places.iter().enumerate() {
                    place.set_down(lost >> at & 1 == 1);
                }
                // A client that has just come, and knows nothing.
                let array = make(data, total, &places, &env);
                let what = format!("{data} of {total}, lost {lost:b}");
                for (number, body) in bodies.iter().enumerate() {
                    for way in ["once", "over"] {
                        let key = key(&format!("{way}/{number}"));
                        let read = array.get(&key, Get::whole()).await;
                        let read = read.unwrap_or_else(|error| panic!("{what}: {key}: {error}"));
                        assert_eq!(read.body, *body, "{what}: {key}");
                        if body.len() > 4 {
                            let part = array.get(&key, Get::range(2..4_500)).await.unwrap();
                            assert_eq!(part.body, body.slice(2..body.len().min(4_500)), "{what}");
                        }
                    }
                }
                match array.get(&key("deleted"), Get::whole()).await {
                    Ok(_) => panic!("{what}: what was deleted came back"),
                    Err(error) => assert!(
                        matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unavailable),
                        "{what}: {error}"
                    ),
                }
            }
        });
    }
}

#[test]
fn a_list_is_complete_while_as_many_are_lost_as_a_put_may_miss() {
    for (data, total) in SHAPES {
        let env = Arc::new(ManualEnv::new(2));
        let places = places(&env, total);
        env.block_on(async {
            let array = make(data, total, &places, &env);
            let mut expected = Vec::new();
            for size in [0, 1, 2, 3, 4, 5, 1000, 70_000, 300_001] {
                let key = key(&format!("k/{size:06}"));
                array.put(&key, body(size), PutIf::Always).await.unwrap();
                expected.push((key, size as u64));
            }
            array.put(&key("k/over"), body(7), PutIf::Always).await.unwrap();
            array.put(&key("k/over"), body(9), PutIf::Always).await.unwrap();
            expected.push((key("k/over"), 9));
            array.put(&key("k/gone"), body(7), PutIf::Always).await.unwrap();
            array.delete(&key("k/gone")).await.unwrap();
            let quorum = (data + 1).min(total - 1).max(data);
            for lost in 0_u32..1 << total {
                let may_miss = (total - data).min(quorum - 1);
                if lost.count_ones() as usize > may_miss {
                    continue;
                }
                for (at, place) in places.iter().enumerate() {
                    place.set_down(lost >> at & 1 == 1);
                }
                let array = make(data, total, &places, &env);
                for limit in [1, 4, 1000] {
                    let prefix = Prefix::new("k/").unwrap();
                    let (mut listed, mut after) = (Vec::new(), None);
                    loop {
                        let request = List { prefix: &prefix, start_after: after.as_ref(), limit };
                        let page = array.list(request).await.unwrap();
                        listed.extend(page.objects.iter().map(|it| (it.key.clone(), it.size)));
                        after = listed.last().map(|(key, _)| key.clone());
                        if !page.more {
                            break;
                        }
                    }
                    assert_eq!(listed, expected, "{data} of {total}, lost {lost:b}, by {limit}");
                }
            }
        });
    }
}

#[test]
fn what_is_stored_is_as_much_more_than_the_object_as_the_pieces_are() {
    for (data, total) in [(1, 3), (2, 3), (4, 6), (10, 14)] {
        let env = Arc::new(ManualEnv::new(3));
        let places = places(&env, total);
        env.block_on(async {
            let array = make(data, total, &places, &env);
            let size = 4 << 20;
            array.put(&key("a"), body(size), PutIf::Always).await.unwrap();
            let mut stored = 0;
            for place in &places {
                stored += place.contents().await.iter().map(|(_, cell)| cell.len()).sum::<usize>();
            }
            let ratio = stored as f64 / size as f64 / (total as f64 / data as f64);
            assert!((1.0..1.01).contains(&ratio), "{data} of {total}: {ratio}");
        });
    }
}

#[test]
fn a_repair_reads_as_many_pieces_as_it_takes_and_writes_those_that_are_lost() {
    for (data, total) in [(1, 3), (2, 3), (4, 6)] {
        let env = Arc::new(ManualEnv::new(4));
        let places = places(&env, total);
        let result: Result<()> = env.block_on(async {
            let members = || members(&places);
            let array = make(data, total, &places, &env);
            let (size, key) = (1 << 20, key("object"));
            array.put(&key, body(size), PutIf::Always).await?;
            let cell = crate::rig::key("o/object");
            for lost in 0_u32..1 << total {
                let count = lost.count_ones() as usize;
                if count > total - data {
                    continue;
                }
                for (at, place) in places.iter().enumerate() {
                    if lost >> at & 1 == 1 {
                        place.objects().delete(&cell).await?;
                    }
                    place.requests();
                }
                let scrub = Scrub::new(Depth::Lists);
                let report = match data {
                    1 => {
                        let array = Mirror::new(members(), None, env.clone())?;
                        array.scrub(&scrub, &mut |_| true).await?
                    }
                    _ => {
                        let array = Erasure::new(data, total - data, members(), None, env.clone())?;
                        array.scrub(&scrub, &mut |_| true).await?
                    }
                };
                let what = format!("{data} of {total}, lost {lost:b}: {report:?}");
                assert_eq!(
                    (report.missing, report.repaired),
                    (count as u64, count as u64),
                    "{what}"
                );
                let (mut wholes, mut puts) = (0, 0);
                for (at, place) in places.iter().enumerate() {
                    for request in place.requests() {
                        match request {
                            Request::Whole(_) => wholes += 1,
                            Request::Put(..) => {
                                assert_eq!(lost >> at & 1, 1, "{what}: a put on m{at}");
                                puts += 1;
                            }
                            _ => {}
                        }
                    }
                }
                let reads = if count == 0 { 0 } else { data };
                assert_eq!((wholes, puts), (reads, count), "{what}");
                assert_eq!(array.get(&key, Get::whole()).await?.body, body(size), "{what}");
            }
            Ok(())
        });
        result.unwrap();
    }
}

#[test]
fn when_one_member_after_the_other_is_wiped_and_repaired_all_objects_stay_whole() {
    for (data, total) in SHAPES {
        let env = Arc::new(ManualEnv::new(5));
        let places = places(&env, total);
        env.block_on(async {
            let array = make(data, total, &places, &env);
            let bodies = [0, 1, 9, 5000, 150_000].map(body);
            for (number, body) in bodies.iter().enumerate() {
                array
                    .put(&key(&format!("once/{number}")), body.clone(), PutIf::Always)
                    .await
                    .unwrap();
                let over = key(&format!("over/{number}"));
                array.put(&over, "before".into(), PutIf::Always).await.unwrap();
                array.put(&over, body.clone(), PutIf::Always).await.unwrap();
            }
            for place in &places {
                for (key, _) in place.contents().await {
                    place.objects().delete(&key).await.unwrap();
                }
                let scrub = Scrub::new(Depth::Lists);
                let report = match data {
                    1 => {
                        let array = Mirror::new(members(&places), None, env.clone()).unwrap();
                        array.scrub(&scrub, &mut |_| true).await.unwrap()
                    }
                    _ => {
                        let (spare, members) = (total - data, members(&places));
                        let array = Erasure::new(data, spare, members, None, env.clone()).unwrap();
                        array.scrub(&scrub, &mut |_| true).await.unwrap()
                    }
                };
                assert!(report.is_whole() && report.damaged == 0, "{data} of {total}: {report:?}");
            }
            let array = make(data, total, &places, &env);
            for (number, body) in bodies.iter().enumerate() {
                for way in ["once", "over"] {
                    let key = key(&format!("{way}/{number}"));
                    let read = array.get(&key, Get::whole()).await.unwrap();
                    assert_eq!(read.body, *body, "{data} of {total}: {key}");
                }
            }
        });
    }
}
