//! Puts on condition, one after the other; races have a group of their own.

use std::time::Duration;

use bytes::Bytes;
use storage_core::{
    Atomicity, ErrorKind, Get, Key, PutIf, Result, StorageProviderExt as _, Version,
};

use super::conditional_get::nonsense_versions;
use crate::context::expect_kind;
use crate::words;
use crate::{Case, CaseResult, Context, Failure, Level, Need, ensure};

/// How old an object is whose conditions are asked for a while later.
const AGE: Duration = Duration::from_millis(1600);
/// In how many steps it gets so old, with a put of another key in each.
const AGING_STEPS: u32 = 8;

pub(crate) const CASES: &[Case] = &[
    Case {
        id: "put.absent.present",
        level: Level::Core,
        requires: "a put with `Absent` creates a missing object, and is `Conflict` on one that exists",
        needs: &[Need::Absent],
        requests_max: 24,
        run: |context| Box::pin(absent_present(context)),
    },
    Case {
        id: "put.absent.beneath",
        level: Level::Core,
        requires: "a put with `Absent` creates a missing object whatever lies beneath its key or above it",
        needs: &[Need::Absent],
        requests_max: 24,
        run: |context| Box::pin(absent_beneath(context)),
    },
    Case {
        id: "put.absent.deleted",
        level: Level::Core,
        requires: "a put with `Absent` creates an object that was deleted, as often as it was",
        needs: &[Need::Absent],
        requests_max: 24,
        run: |context| Box::pin(absent_deleted(context)),
    },
    Case {
        id: "put.absent.loser-untouched",
        level: Level::Core,
        requires: "a put with `Absent` that is `Conflict` leaves content and version as they were",
        needs: &[Need::Absent],
        requests_max: 24,
        run: |context| Box::pin(absent_loser(context)),
    },
    Case {
        id: "put.absent.largest",
        level: Level::Core,
        requires: "`Absent` holds for the largest objects too",
        needs: &[Need::Absent],
        requests_max: 8,
        run: |context| Box::pin(absent_largest(context)),
    },
    Case {
        id: "put.absent.aged",
        level: Level::Txn,
        requires: "conditions hold as well for an object that was put a while ago as for one just put",
        needs: &[Need::Absent],
        requests_max: 40,
        run: |context| Box::pin(absent_aged(context)),
    },
    Case {
        id: "put.matches.current",
        level: Level::Core,
        requires: "a put with `Matches` and the current version replaces the object, time and again",
        needs: &[Need::Matches],
        requests_max: 24,
        run: |context| Box::pin(matches_current(context)),
    },
    Case {
        id: "put.matches.stale",
        level: Level::Core,
        requires: "a put with `Matches` and a version the object no longer has is `Conflict` and changes nothing",
        needs: &[Need::Matches],
        requests_max: 16,
        run: |context| Box::pin(matches_stale(context)),
    },
    Case {
        id: "put.matches.missing",
        level: Level::Core,
        requires: "a put with `Matches` on a key that never existed or was deleted is `Conflict` and creates nothing",
        needs: &[Need::Matches],
        requests_max: 16,
        run: |context| Box::pin(matches_missing(context)),
    },
    Case {
        id: "put.matches.nonsense",
        level: Level::Core,
        requires: "a put with `Matches` and a version that no put has answered is `Conflict` and changes nothing",
        needs: &[Need::Matches],
        requests_max: 16,
        run: |context| Box::pin(matches_nonsense(context)),
    },
    Case {
        id: "put.matches.largest",
        level: Level::Core,
        requires: "`Matches` holds for the largest objects too",
        needs: &[Need::Matches],
        requests_max: 8,
        run: |context| Box::pin(matches_largest(context)),
    },
    Case {
        id: "put.unsupported.refused",
        level: Level::Core,
        requires: "a condition that is declared unsupported is refused as `Unsupported` before anything is written",
        needs: &[],
        requests_max: 16,
        run: |context| Box::pin(unsupported(context)),
    },
];

/// Puts on a condition that does not hold, and checks that nothing of it happened.
///
/// A success here means that the declared condition is not looked at: an over-claim.
async fn is_refused(context: &Context, key: &Key, body: Bytes, when: PutIf) -> CaseResult {
    let handle = context.handle();
    let before = handle.try_get(key).await?;
    let size = body.len();
    let there = match &before {
        Some(object) => format!("there is an object of version {}", object.version),
        None => "there is no object".into(),
    };
    let what = format!("put {size} bytes {} where {there}", words::condition(&when));
    match handle.put(key, body.clone(), when.clone()).await {
        Ok(version) => {
            return Err(Failure::over_claim(format!(
                "{what}: expected conflict, saw success and the version {version}"
            )));
        }
        refused => expect_kind(&what, refused, ErrorKind::Conflict)?,
    };
    let after = context.other().try_get(key).await?;
    ensure!(
        after == before,
        "{what}: expected conflict and no change, saw conflict and then {}",
        words::found(&after)
    );
    Ok(())
}

/// Puts on a condition that holds, and checks that it happened.
async fn is_done(
    context: &Context,
    key: &Key,
    body: Bytes,
    when: PutIf,
) -> Result<Version, Failure> {
    let size = body.len();
    let put = context.handle().put(key, body.clone(), when.clone()).await;
    let what = format!("put {size} bytes {}, which holds", words::condition(&when));
    let version = put.map_err(|error| Failure::from(error).during(&what))?;
    let object = context.other().get(key, Get::whole()).await?;
    ensure!(object.body == body, "{what}: expected the bytes put, saw {}", words::object(&object));
    ensure!(object.version == version, "{what}: answered {version}, and then {}", object.version);
    Ok(version)
}

async fn absent_present(context: &Context) -> CaseResult {
    let key = context.key("a");
    is_done(context, &key, "first".into(), PutIf::Absent).await?;
    is_refused(context, &key, "second".into(), PutIf::Absent).await?;
    // The very same bytes are no excuse.
    is_refused(context, &key, "first".into(), PutIf::Absent).await?;
    let unconditional = context.key("unconditional");
    context.handle().put(&unconditional, "first".into(), PutIf::Always).await?;
    is_refused(context, &unconditional, "second".into(), PutIf::Absent).await
}

async fn absent_beneath(context: &Context) -> CaseResult {
    for name in ["a/b/c", "a", "a/b", "a/b/c/d"] {
        let key = context.key(name);
        is_done(context, &key, name.into(), PutIf::Absent).await?;
        is_refused(context, &key, "another".into(), PutIf::Absent).await?;
    }
    Ok(())
}

async fn absent_deleted(context: &Context) -> CaseResult {
    let key = context.key("object");
    for round in 0..4 {
        is_done(context, &key, format!("round {round}").into(), PutIf::Absent).await?;
        context.handle().delete(&key).await?;
    }
    // Deleted without ever having been there.
    let never = context.key("never");
    context.handle().delete(&never).await?;
    is_done(context, &never, "made".into(), PutIf::Absent).await?;
    Ok(())
}

async fn absent_loser(context: &Context) -> CaseResult {
    let key = context.key("object");
    is_done(context, &key, "the winner's".into(), PutIf::Absent).await?;
    for body in ["x", "a loser's, of another length", ""] {
        is_refused(context, &key, body.into(), PutIf::Absent).await?;
    }
    let empty = context.key("empty");
    is_done(context, &empty, "".into(), PutIf::Absent).await?;
    is_refused(context, &empty, "a loser's".into(), PutIf::Absent).await
}

async fn absent_largest(context: &Context) -> CaseResult {
    let key = context.key("object");
    let size = context.largest_object();
    let first = context.bytes(&mut context.rng_of(1), size);
    let second = context.bytes(&mut context.rng_of(2), size);
    is_done(context, &key, first, PutIf::Absent).await?;
    is_refused(context, &key, second, PutIf::Absent).await
}

/// The time has to pass for real: what is looked for are services that decide conditions with a memory of
/// the last moment, which only their clock empties.
async fn absent_aged(context: &Context) -> CaseResult {
    let (key, created) = (context.key("object"), context.key("created"));
    let handle = context.handle();
    let stale = handle.put(&key, "first".into(), PutIf::Always).await?;
    let current = handle.put(&key, "second".into(), PutIf::Always).await?;
    is_done(context, &created, "created".into(), PutIf::Absent).await?;
    // Others are busy meanwhile, so that a memory of the last few requests is emptied too.
    let pause = AGE / AGING_STEPS;
    for step in 0..AGING_STEPS {
        let other = context.key(format!("other/{step}"));
        context.other().put(&other, "meanwhile".into(), PutIf::Always).await?;
        tokio::time::sleep(pause).await;
    }
    for key in [&key, &created] {
        is_refused(context, key, "third".into(), PutIf::Absent).await?;
    }
    if context.capabilities().matches != Atomicity::Unsupported {
        is_refused(context, &key, "third".into(), PutIf::Matches(stale)).await?;
        is_done(context, &key, "third".into(), PutIf::Matches(current)).await?;
    }
    Ok(())
}

async fn matches_current(context: &Context) -> CaseResult {
    let key = context.key("object");
    let mut version = context.handle().put(&key, "round 0".into(), PutIf::Always).await?;
    for round in 1..5 {
        let body = format!("round {round}");
        version = is_done(context, &key, body.into(), PutIf::Matches(version)).await?;
    }
    // The version that a get answers is as good as the one that a put answered.
    let seen = context.other().get(&key, Get::meta_only()).await?.version;
    is_done(context, &key, "last".into(), PutIf::Matches(seen)).await?;
    Ok(())
}

async fn matches_stale(context: &Context) -> CaseResult {
    let key = context.key("object");
    let handle = context.handle();
    let first = handle.put(&key, "first".into(), PutIf::Always).await?;
    let second = handle.put(&key, "second".into(), PutIf::Always).await?;
    is_refused(context, &key, "third".into(), PutIf::Matches(first.clone())).await?;
    handle.put(&key, "third".into(), PutIf::Matches(second.clone())).await?;
    for stale in [first, second] {
        is_refused(context, &key, "fourth".into(), PutIf::Matches(stale)).await?;
    }
    Ok(())
}

async fn matches_missing(context: &Context) -> CaseResult {
    let handle = context.handle();
    let (deleted, never) = (context.key("deleted"), context.key("never"));
    let version = handle.put(&deleted, "body".into(), PutIf::Always).await?;
    handle.delete(&deleted).await?;
    is_refused(context, &deleted, "again".into(), PutIf::Matches(version.clone())).await?;
    is_refused(context, &never, "again".into(), PutIf::Matches(version)).await
}

async fn matches_nonsense(context: &Context) -> CaseResult {
    let key = context.key("object");
    context.handle().put(&key, "body".into(), PutIf::Always).await?;
    for version in nonsense_versions() {
        is_refused(context, &key, "other".into(), PutIf::Matches(version)).await?;
    }
    Ok(())
}

async fn matches_largest(context: &Context) -> CaseResult {
    let key = context.key("object");
    let size = context.largest_object();
    let body = |stream| context.bytes(&mut context.rng_of(stream), size);
    let first = context.handle().put(&key, body(1), PutIf::Always).await?;
    is_done(context, &key, body(2), PutIf::Matches(first.clone())).await?;
    is_refused(context, &key, body(3), PutIf::Matches(first)).await
}

async fn unsupported(context: &Context) -> CaseResult {
    let capabilities = context.capabilities();
    let handle = context.handle();
    let mut held = Vec::new();
    let mut asked = 0;
    if capabilities.absent == Atomicity::Unsupported {
        asked += 1;
        let (there, missing) = (context.key("there"), context.key("missing"));
        handle.put(&there, "kept".into(), PutIf::Always).await?;
        if holds_undeclared(context, &there, PutIf::Absent, false).await?
            && holds_undeclared(context, &missing, PutIf::Absent, true).await?
        {
            held.push("Absent");
        }
    }
    if capabilities.matches == Atomicity::Unsupported {
        asked += 1;
        let key = context.key("matches");
        let stale = handle.put(&key, "first".into(), PutIf::Always).await?;
        let current = handle.put(&key, "kept".into(), PutIf::Always).await?;
        if holds_undeclared(context, &key, PutIf::Matches(stale), false).await?
            && holds_undeclared(context, &key, PutIf::Matches(current), true).await?
        {
            held.push("Matches");
        }
    }
    match (asked, &held[..]) {
        (0, _) => Err(context.skip("declared: both conditions are supported")),
        (_, []) => Ok(()),
        (_, held) => Err(Failure::under_claim(format!(
            "declared unsupported, but the conditions hold: {}",
            held.join(" and ")
        ))),
    }
}

/// Asks for a condition that is declared unsupported. `false` when it is refused, as it must be; `true`
/// when it is kept all the same. A failure when it is not looked at, or refused too late.
async fn holds_undeclared(
    context: &Context,
    key: &Key,
    when: PutIf,
    condition_holds: bool,
) -> Result<bool, Failure> {
    let before = context.handle().try_get(key).await?;
    let what = format!("put {}, which is declared unsupported", words::condition(&when));
    let answer = context.handle().put(key, "new".into(), when.clone()).await;
    let after = context.other().try_get(key).await?;
    match answer {
        Ok(_) if condition_holds => Ok(true),
        Ok(_) => {
            Err(Failure::new(format!("{what}: expected unsupported, saw the condition ignored")))
        }
        Err(error) => {
            ensure!(after == before, "{what}: saw the error {error}, and the object changed");
            match error.kind() {
                ErrorKind::Unsupported => Ok(false),
                ErrorKind::Conflict if !condition_holds => Ok(true),
                _ => Err(Failure::new(format!(
                    "{what}: expected unsupported, saw the error {error}"
                ))),
            }
        }
    }
}
