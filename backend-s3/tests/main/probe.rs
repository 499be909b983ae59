//! What opening finds out about services that are not what they seem.

use backend_s3::{Config, Probe, S3Provider};
use libtest_mimic::Trial;
use storage_core::ErrorKind;

use crate::fake::{Fake, Fate};
use crate::lost::config;
use crate::trial;

const WAY_OUT: &str = "`conditional_put = \"unsupported\"`";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("probe::a_service_that_keeps_its_word_is_opened_and_left_clean", honest),
        trial("probe::a_service_that_takes_few_writes_to_a_key_is_opened", limited),
        trial("probe::a_service_that_does_not_keep_its_word_is_told_what_was_seen", dishonest),
    ]
}

async fn open(fake: &Fake) -> storage_core::Result<S3Provider> {
    S3Provider::open(Config { probe: Probe::Full, ..config(fake.address) }).await
}

fn assert_clean(fake: &Fake) {
    let deleted = fake.seen("DELETE").into_iter().map(|request| request.target);
    let deleted: Vec<_> = deleted.collect();
    for put in fake.seen("PUT") {
        assert!(put.target.contains("/cb~probe-/"), "{put:?}");
        assert!(deleted.contains(&put.target), "{put:?} stays");
        assert_eq!(fake.object(&put.target), None);
    }
}

async fn honest() {
    let fake = Fake::start().await;
    open(&fake).await.unwrap();
    let requests: usize =
        ["GET", "HEAD", "PUT", "DELETE"].iter().map(|method| fake.seen(method).len()).sum();
    assert!((130..170).contains(&requests), "the manual says about 150: {requests}");
    assert_clean(&fake);
}

async fn limited() {
    let fake = Fake::start().await;
    fake.decide("PUT", Fate::EverySecond);
    open(&fake).await.unwrap();
    assert_clean(&fake);
}

async fn dishonest() {
    for (method, fate, part, way_out) in [
        // A portal, or a trap for writes: nothing is deleted.
        ("DELETE", Fate::Refused(200, "It works!"), "could not be deleted", false),
        ("DELETE", Fate::Refused(204, ""), "deletes do not delete", false),
        ("DELETE", Fate::Refused(500, ""), "could not be deleted", false),
        ("PUT", Fate::LateMatches, "2 of 16 puts with `Matches`", true),
        ("PUT", Fate::Conflict409, "answers 409 where 412 is expected", true),
        ("PUT", Fate::Says(200, ""), "without an entity tag", false),
        ("PUT", Fate::Says(304, ""), "304", false),
        ("GET", Fate::Stale, "reads are stale", false),
        ("GET", Fate::Older, "reads are stale", false),
    ] {
        let fake = Fake::start().await;
        fake.decide(method, fate);
        let error = open(&fake).await.unwrap_err();
        let unavailable = fate == Fate::Refused(500, "");
        let kind = if unavailable { ErrorKind::Unavailable } else { ErrorKind::Misconfigured };
        assert_eq!(error.kind(), kind, "{fate:?}: {error}");
        assert!(error.message().contains(part), "{fate:?}: {error}");
        assert_eq!(error.message().contains(WAY_OUT), way_out, "{fate:?}: {error}");
        if method != "DELETE" {
            assert_clean(&fake);
        }
    }
}
