//! What a put says after its answer was lost, spoiled or refused.

use std::error::Error as _;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use backend_s3::{Config, Credentials, Http, Probe, S3Provider};
use libtest_mimic::Trial;
use storage_core::{Effect, ErrorKind, Key, PutIf, Secret, StorageProvider, Version};

use crate::fake::{Fake, Fate};
use crate::trial;

/// A handle on a fake, without a probe, with little patience.
pub(crate) async fn open(fake: &Fake) -> S3Provider {
    open_at(fake.address).await
}

async fn open_at(address: SocketAddr) -> S3Provider {
    S3Provider::open(config(address)).await.unwrap()
}

pub(crate) fn config(address: SocketAddr) -> Config {
    Config {
        endpoint: Some(format!("http://{address}")),
        credentials: Credentials::Keys {
            access_key_id: "cloudbank".into(),
            secret_access_key: Secret::new("canary-of-the-secret-key"),
            session_token: Some(Secret::new("canary-of-the-session-token")),
        },
        probe: Probe::Off,
        http: Http {
            allow_http: true,
            request_timeout: Duration::from_millis(300),
            ..Http::default()
        },
        ..Config::new("bucket")
    }
}

#[rustfmt::skip]
const CASES: [(&str, Fate, ErrorKind, Effect); 15] = [
    ("applied_then_closed", Fate::Closed, ErrorKind::Unavailable, Effect::Unknown),
    ("applied_then_reset", Fate::Reset, ErrorKind::Unavailable, Effect::Unknown),
    ("applied_then_hung", Fate::Hung, ErrorKind::Unavailable, Effect::Unknown),
    ("applied_then_answered_halfway", Fate::TornHead, ErrorKind::Unavailable, Effect::Unknown),
    ("applied_then_500", Fate::Says(500, "<Error><Code>InternalError</Code></Error>"), ErrorKind::Unavailable, Effect::Unknown),
    ("applied_then_502_of_a_proxy", Fate::Says(502, "bad gateway"), ErrorKind::Unavailable, Effect::Unknown),
    ("applied_then_503", Fate::Says(503, ""), ErrorKind::Throttled, Effect::Unknown),
    ("applied_then_slow_down", Fate::Says(503, "<Error><Code>SlowDown</Code></Error>"), ErrorKind::Throttled, Effect::Unknown),
    ("applied_then_504", Fate::Says(504, ""), ErrorKind::Unavailable, Effect::Unknown),
    ("applied_then_200_of_a_stranger", Fate::Says(200, "It works!"), ErrorKind::Misconfigured, Effect::Unknown),
    ("applied_then_304_of_a_stranger", Fate::Says(304, ""), ErrorKind::Misconfigured, Effect::Unknown),
    ("not_applied_409", Fate::Refused(409, "<Error><Code>ConditionalRequestConflict</Code></Error>"), ErrorKind::Unavailable, Effect::NotApplied),
    ("not_applied_409_without_a_code", Fate::Refused(409, ""), ErrorKind::Unavailable, Effect::NotApplied),
    ("not_applied_429", Fate::Refused(429, ""), ErrorKind::Throttled, Effect::NotApplied),
    ("not_applied_403", Fate::Refused(403, "<Error><Code>AccessDenied</Code></Error>"), ErrorKind::PermissionDenied, Effect::NotApplied),
];

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, fate, kind, effect) in CASES {
        for (condition, when) in [("always", 0), ("absent", 1), ("matches", 2)] {
            let name = format!("lost::a_put_{condition}_{name}_is_{}_{effect:?}", kind.label());
            trials.push(trial(name, move || one_attempt(fate, when, kind, effect)));
        }
    }
    trials.push(trial("lost::a_put_nobody_listened_to_is_not_applied", nobody_listens));
    for when in [1, 2] {
        let name = format!("lost::a_put_delivered_twice_succeeds_{when}");
        trials.push(trial(name, move || delivered_twice(when)));
    }
    trials.push(trial("lost::a_conflict_that_cannot_be_checked_is_unknown", unchecked_conflict));
    trials.push(trial("lost::a_delete_says_whether_it_happened", delete));
    trials
}

async fn one_attempt(fate: Fate, when: u8, kind: ErrorKind, effect: Effect) {
    let fake = Fake::start().await;
    let provider = open(&fake).await;
    let key = Key::new("log/0000").unwrap();
    let when = match when {
        0 => PutIf::Always,
        1 => PutIf::Absent,
        _ => PutIf::Matches(provider.put(&key, "old".into(), PutIf::Always).await.unwrap()),
    };
    let before = fake.seen("PUT").len();
    fake.decide("PUT", fate);
    let error = provider.put(&key, "ours".into(), when).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (kind, effect), "{error}");
    assert_eq!(fake.seen("PUT").len(), before + 1, "a backend makes one attempt");
    let applied = fake.object("log-/0000").as_deref() == Some(b"ours");
    assert!(!applied || effect == Effect::Unknown, "{error}");
    let all = format!("{error} {error:?} {provider:?}");
    assert!(!all.contains("canary"), "a secret shows: {all}");
    assert!(error.to_string().starts_with("put \"log/0000\": "), "{error}");
    let cause = error.source().map(ToString::to_string);
    assert!(!cause.is_some_and(|cause| error.message().contains(&cause)), "said twice: {error:?}");
}

async fn nobody_listens() {
    // A port that was just free, and is not listened to now.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = open_at(address).await;
    let key = Key::new("k").unwrap();
    let error = nobody.put(&key, "ours".into(), PutIf::Absent).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::NotApplied));
    assert!(error.to_string().contains("`endpoint`"), "{error}");
}

async fn delivered_twice(when: u8) {
    let fake = Fake::start().await;
    let provider = open(&fake).await;
    let key = Key::new("log/0000").unwrap();
    let when = match when {
        1 => PutIf::Absent,
        _ => PutIf::Matches(provider.put(&key, "old".into(), PutIf::Always).await.unwrap()),
    };
    fake.decide("PUT", Fate::Twice);
    let version = provider.put(&key, "ours".into(), when).await.unwrap();
    fake.decide("PUT", Fate::Answered);
    // The same bytes of somebody else are still somebody else's.
    let other = provider.put(&key, "ours".into(), PutIf::Absent).await.unwrap_err();
    assert_eq!((other.kind(), other.effect()), (ErrorKind::Conflict, Effect::NotApplied));
    provider.put(&key, "next".into(), PutIf::Matches(version)).await.unwrap();
}

async fn unchecked_conflict() {
    let fake = Fake::start().await;
    let provider = open(&fake).await;
    let key = Key::new("log/0000").unwrap();
    fake.decide("PUT", Fate::Twice);
    fake.decide("HEAD", Fate::Says(500, ""));
    let error = provider.put(&key, "ours".into(), PutIf::Absent).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (ErrorKind::Unavailable, Effect::Unknown),
        "{error}"
    );
    assert!(error.message().contains(": 500"), "the reason is missing: {error}");
    let stale = PutIf::Matches(Version::new("no tag at all"));
    let error = provider.put(&key, "ours".into(), stale).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::NotApplied));
}

async fn delete() {
    let key = Key::new("log/0000").unwrap();
    for (fate, expected) in [
        (Fate::Answered, None),
        (Fate::Refused(200, ""), None),
        (Fate::Refused(202, ""), None),
        (Fate::Refused(200, "It works!"), Some((ErrorKind::Misconfigured, Effect::Unknown))),
        (Fate::Refused(206, ""), Some((ErrorKind::Misconfigured, Effect::Unknown))),
        (Fate::Closed, Some((ErrorKind::Unavailable, Effect::Unknown))),
        (Fate::Hung, Some((ErrorKind::Unavailable, Effect::Unknown))),
        (Fate::Says(503, ""), Some((ErrorKind::Throttled, Effect::Unknown))),
        (Fate::Refused(404, "<Error><Code>NoSuchKey</Code></Error>"), None),
        (
            Fate::Refused(404, "<Error><Code>NoSuchBucket</Code></Error>"),
            Some((ErrorKind::Misconfigured, Effect::NotApplied)),
        ),
        (Fate::Refused(404, "not here"), Some((ErrorKind::Misconfigured, Effect::NotApplied))),
    ] {
        let fake = Fake::start().await;
        let provider = open(&fake).await;
        fake.decide("DELETE", fate);
        let result = provider.delete(&key).await;
        let found = result.as_ref().err().map(|error| (error.kind(), error.effect()));
        assert_eq!(found, expected, "{fate:?}: {result:?}");
        assert_eq!(fake.seen("DELETE").len(), 1, "{fate:?}");
    }
}
