//! Pieces that are not what was put.

use std::sync::Arc;

use bytes::Bytes;
use storage_array::{Depth, Erasure, Happening, Scrub};
use storage_core::{Get, PutIf, StorageProvider};
use storage_wrappers::ManualEnv;

use crate::rig::{body, key, members, places};

#[test]
fn every_flipped_bit_of_every_piece_is_found_repaired_and_reported() {
    let env = Arc::new(ManualEnv::new(1));
    let places = places(&env, 3);
    env.block_on(async {
        let (name, cell, body) = (key("a"), key("o/a"), body(11));
        let array = Erasure::new(2, 1, members(&places), None, env.clone()).unwrap();
        array.put(&name, body.clone(), PutIf::Always).await.unwrap();
        for (at, place) in places.iter().enumerate() {
            let sound = place.objects().get(&cell, Get::whole()).await.unwrap().body;
            for bit in 0..sound.len() * 8 {
                let mut damaged = sound.to_vec();
                damaged[bit / 8] ^= 1 << (bit % 8);
                place.objects().put(&cell, damaged.into(), PutIf::Always).await.unwrap();
                let array = Erasure::new(2, 1, members(&places), None, env.clone()).unwrap();
                let read = array.get(&name, Get::whole()).await.unwrap();
                assert_eq!(read.body, body, "m{at}, bit {bit}");
                array.repair(&name).await.unwrap();
                let member = format!("m{at}");
                let events = array.events();
                for what in [Happening::Damaged, Happening::Repaired] {
                    let told = |event: &&storage_array::Event| {
                        event.what == what && *event.member == *member && event.key == name
                    };
                    assert!(events.iter().any(|it| told(&it)), "m{at}, bit {bit}: {what:?}");
                }
                let now = place.objects().get(&cell, Get::whole()).await.unwrap().body;
                assert_eq!(now, sound_again(&sound, &now), "m{at}, bit {bit}");
            }
        }
    });
}

/// A piece made anew is the one it was.
fn sound_again(sound: &Bytes, _: &Bytes) -> Bytes {
    sound.clone()
}

#[test]
fn a_read_that_meets_damage_has_it_repaired_without_being_asked() {
    for size in [100, 300_000] {
        let env = Arc::new(ManualEnv::new(2));
        let places = places(&env, 3);
        env.block_on(async {
            let (name, cell, body) = (key("a"), key("o/a"), body(size));
            let array = Erasure::new(2, 1, members(&places), None, env.clone()).unwrap();
            array.put(&name, body.clone(), PutIf::Always).await.unwrap();
            for place in &places {
                let sound = place.objects().get(&cell, Get::whole()).await.unwrap().body;
                let mut damaged = sound.to_vec();
                let last = damaged.len() - 50;
                damaged[last] ^= 4;
                place.objects().put(&cell, damaged.into(), PutIf::Always).await.unwrap();
                let mut rounds = 0;
                while place.objects().get(&cell, Get::whole()).await.unwrap().body != sound {
                    rounds += 1;
                    assert!(rounds < 50, "nobody repaired it");
                    assert_eq!(array.get(&name, Get::whole()).await.unwrap().body, body);
                    storage_core::Env::sleep(&*env, std::time::Duration::from_secs(1)).await;
                    // The member with the damage is not always among those that are read.
                    for other in &places {
                        other.set_latency(std::time::Duration::from_micros(300));
                    }
                    place.set_latency(std::time::Duration::from_micros(10));
                }
            }
        });
    }
}

#[test]
fn a_scrub_finds_by_depth_and_goes_on_after_what_cannot_be_helped() {
    let env = Arc::new(ManualEnv::new(3));
    let places = places(&env, 3);
    env.block_on(async {
        let array = Erasure::new(2, 1, members(&places), None, env.clone()).unwrap();
        for number in 0..20 {
            let name = key(&format!("k/{number:02}"));
            array.put(&name, body(200_000 + number), PutIf::Always).await.unwrap();
        }
        // One lost beyond repair, one that lacks a piece, one with a flipped bit.
        for place in &places[..2] {
            place.objects().delete(&key("o/k/03")).await.unwrap();
        }
        places[2].objects().delete(&key("o/k/07")).await.unwrap();
        let cell = key("o/k/11");
        let mut flipped = places[1].objects().get(&cell, Get::whole()).await.unwrap().body.to_vec();
        flipped[50_000] ^= 1;
        places[1].objects().put(&cell, flipped.into(), PutIf::Always).await.unwrap();

        let looked = Scrub { repair: false, ..Scrub::new(Depth::Bytes) };
        let report = array.scrub(&looked, &mut |_| true).await.unwrap();
        assert_eq!((report.objects, report.missing, report.damaged), (20, 1, 1), "{report:?}");
        assert_eq!(report.repaired, 0);

        let report = array.scrub(&Scrub::new(Depth::Lists), &mut |_| true).await.unwrap();
        assert_eq!((report.missing, report.damaged, report.repaired), (1, 0, 1), "{report:?}");
        let report = array.scrub(&Scrub::new(Depth::Bytes), &mut |_| true).await.unwrap();
        assert_eq!((report.missing, report.damaged, report.repaired), (0, 1, 1), "{report:?}");
        let report = array.scrub(&Scrub::new(Depth::Bytes), &mut |_| true).await.unwrap();
        assert!(report.is_whole(), "{report:?}");
    });
}
