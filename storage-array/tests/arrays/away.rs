//! Members that are away for a while, and come back with what they had.

use std::sync::Arc;
use std::time::Duration;

use storage_array::{Depth, Erasure, MemberState, Mirror, Scrub};
use storage_core::{Env as _, ErrorKind, Get, PutIf, StorageProvider};
use storage_wrappers::ManualEnv;

use crate::rig::{Place, Request, body, key, members, places};

fn make(data: usize, places: &[Place], env: &Arc<ManualEnv>) -> Arc<dyn StorageProvider> {
    match data {
        1 => Arc::new(Mirror::new(members(places), None, env.clone()).unwrap()),
        _ => {
            let parity = places.len() - data;
            Arc::new(Erasure::new(data, parity, members(places), None, env.clone()).unwrap())
        }
    }
}

#[test]
fn a_member_that_comes_back_brings_nothing_back() {
    for (data, total) in [(1, 3), (2, 3), (4, 6)] {
        for away in 0..total {
            let env = Arc::new(ManualEnv::new(away as u64));
            let places = places(&env, total);
            env.block_on(async {
                let array = make(data, &places, &env);
                let (gone, over, new) = (key("gone"), key("over"), key("new"));
                array.put(&gone, body(900), PutIf::Always).await.unwrap();
                array.put(&over, body(901), PutIf::Always).await.unwrap();
                places[away].set_down(true);
                array.delete(&gone).await.unwrap();
                array.put(&over, body(902), PutIf::Always).await.unwrap();
                array.put(&new, body(903), PutIf::Always).await.unwrap();
                drop(array);
                places[away].set_down(false);
                // Another client, and each other member away in turn where that may be.
                for second in 0..total {
                    if second != away && total - 2 < data {
                        continue;
                    }
                    places[second].set_down(second != away);
                    let array = make(data, &places, &env);
                    let what = format!("{data} of {total}, m{away} came back, m{second} is away");
                    match array.get(&gone, Get::whole()).await {
                        Ok(_) => panic!("{what}: what was deleted is there"),
                        Err(error) => assert!(
                            matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unavailable),
                            "{what}: {error}"
                        ),
                    }
                    match array.get(&over, Get::whole()).await {
                        Ok(object) => assert_eq!(object.body, body(902), "{what}"),
                        Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{what}"),
                    }
                    places[second].set_down(false);
                }
            });
        }
    }
}

/// What a put has not reached and what was wiped have nothing alike, and whoever asks both still finds the rest.
#[test]
fn a_member_that_is_behind_and_one_that_is_wiped_hide_nothing() {
    for (data, total) in [(1, 3), (4, 6)] {
        for (behind, wiped) in (0..total * total).map(|pair| (pair / total, pair % total)) {
            let env = Arc::new(ManualEnv::new(9));
            let mut places = places(&env, total);
            env.block_on(async {
                places[behind].set_down(true);
                let array = make(data, &places, &env);
                array.put(&key("a"), body(900), PutIf::Always).await.unwrap();
                drop(array);
                places[behind].set_down(false);
                places[wiped] = Place::new(&env);
                let array = make(data, &places, &env);
                let what = format!("{data} of {total}, m{behind} is behind, m{wiped} is wiped");
                let read = array.get(&key("a"), Get::whole()).await;
                assert_eq!(read.unwrap_or_else(|error| panic!("{what}: {error}")).body, body(900));
                let missing = array.get(&key("b"), Get::whole()).await.unwrap_err();
                assert_eq!(missing.kind(), ErrorKind::NotFound, "{what}: {missing}");
            });
        }
    }
}

#[test]
fn what_is_owed_is_on_record_survives_a_crash_and_is_brought() {
    let env = Arc::new(ManualEnv::new(5));
    let places = places(&env, 3);
    env.block_on(async {
        let open = || Erasure::new(2, 1, members(&places), None, env.clone()).unwrap();
        let array = open();
        places[1].set_down(true);
        for number in 0..10 {
            array.put(&key(&format!("k/{number}")), body(5000), PutIf::Always).await.unwrap();
        }
        // The process dies: nothing of what it kept in memory is left.
        drop(array);
        places[1].set_down(false);
        let array = open();
        let status = array.status().await.unwrap();
        assert_eq!(status.members[1].state, MemberState::Behind, "{status:?}");
        assert_eq!(status.can_lose, 0);
        let report = array.scrub(&Scrub::new(Depth::Lists), &mut |_| true).await.unwrap();
        assert_eq!((report.missing, report.repaired), (10, 10), "{report:?}");
        let status = array.status().await.unwrap();
        assert_eq!((status.members[1].state, status.can_lose), (MemberState::Up, 1), "{status:?}");
        places[0].set_down(true);
        let array = open();
        for number in 0..10 {
            let read = array.get(&key(&format!("k/{number}")), Get::whole()).await.unwrap();
            assert_eq!(read.body, body(5000));
        }
    });
}

#[test]
fn a_process_that_lives_brings_what_it_owes_by_itself() {
    let env = Arc::new(ManualEnv::new(6));
    let places = places(&env, 3);
    env.block_on(async {
        let array = Mirror::new(members(&places), None, env.clone()).unwrap();
        places[2].set_down(true);
        for number in 0..5 {
            array.put(&key(&format!("k/{number}")), body(500), PutIf::Always).await.unwrap();
        }
        array.delete(&key("k/0")).await.unwrap();
        places[2].set_down(false);
        env.sleep(Duration::from_secs(300)).await;
        let status = array.status().await.unwrap();
        assert!(status.members.iter().all(|it| it.state == MemberState::Up), "{status:?}");
        assert!(status.counts.repaired >= 4, "{status:?}");
        let marks = places[0].contents().await.into_iter();
        assert!(!marks.map(|(key, _)| key).any(|key| key.as_str().starts_with("m/")));
    });
}

#[test]
fn a_member_that_never_answers_holds_nobody_up_for_long() {
    for (data, total) in [(1, 3), (2, 3), (4, 6)] {
        let env = Arc::new(ManualEnv::new(7));
        let places = places(&env, total);
        env.block_on(async {
            for place in &places {
                place.set_latency(Duration::from_millis(20));
            }
            places[1].set_hanging(true);
            let array = make(data, &places, &env);
            for number in 0..50 {
                let began = env.monotonic();
                let name = key(&format!("k/{number}"));
                array.put(&name, body(5000), PutIf::Always).await.unwrap();
                let put = env.monotonic() - began;
                assert_eq!(array.get(&name, Get::whole()).await.unwrap().body, body(5000));
                let took = env.monotonic() - began;
                let what = format!("{data} of {total}, number {number}: {put:?} of {took:?}");
                // Once it is set aside, what is owed waits in the background, and this clock may jump there.
                assert!(number >= 8 || took < Duration::from_secs(1), "{what}");
            }
            let sent = places[1].requests();
            let puts = sent.iter().filter(|it| matches!(it, Request::Put(..))).count();
            assert!(puts <= 8, "{data} of {total}: {puts} puts wait for ever, each with its piece");
        });
    }
}

#[test]
fn a_put_that_reaches_too_few_says_that_it_may_have_happened() {
    let env = Arc::new(ManualEnv::new(8));
    let places = places(&env, 3);
    env.block_on(async {
        let array = make(2, &places, &env);
        places[0].set_down(true);
        places[1].set_down(true);
        let error = array.put(&key("a"), body(10), PutIf::Always).await.unwrap_err();
        assert_eq!(error.effect(), storage_core::Effect::Unknown, "{error}");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    });
}
