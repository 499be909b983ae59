//! One winner: many conditional puts of which at most one may succeed.

use std::sync::Arc;

use bytes::Bytes;
use storage_core::{ErrorKind, Get, Key, PutIf, StorageProviderExt as _, Version};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::{Handles, ensure_between_processes, handles, handles_of_two_processes};
use crate::{CaseResult, Context, Failure, ensure};

/// How many writers there are on each key.
const WRITERS: usize = 64;
/// How many keys there are in a round.
const KEYS: usize = 25;
/// How often a reader looks at a key while the writers race.
const READS_MAX: usize = 8;

pub(super) async fn absent(context: &Context) -> CaseResult {
    race(context, handles(context).await?, Condition::Absent).await
}

pub(super) async fn absent_processes(context: &Context) -> CaseResult {
    ensure_between_processes(context, context.capabilities().absent)?;
    race(context, handles_of_two_processes(context).await?, Condition::Absent).await
}

pub(super) async fn matches(context: &Context) -> CaseResult {
    race(context, handles(context).await?, Condition::Matches).await
}

pub(super) async fn matches_processes(context: &Context) -> CaseResult {
    ensure_between_processes(context, context.capabilities().matches)?;
    race(context, handles_of_two_processes(context).await?, Condition::Matches).await
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Condition {
    Absent,
    Matches,
}

async fn race(context: &Context, handles: Handles, condition: Condition) -> CaseResult {
    for number in context.rounds(KEYS) {
        let key = context.key(format!("{number:05}"));
        // Sometimes the key has a past: a service may decide differently where something was deleted.
        if number % 3 == 2 {
            context.handle().put(&key, "of the past".into(), PutIf::Always).await?;
            context.other().delete(&key).await?;
        }
        let when = match condition {
            Condition::Absent => PutIf::Absent,
            Condition::Matches => {
                let first = format!("the first body of {key}");
                PutIf::Matches(context.handle().put(&key, first.into(), PutIf::Always).await?)
            }
        };
        race_on(context, &handles, &key, when)
            .await
            .map_err(|it| it.during(format!("key {key}")))?;
    }
    Ok(())
}

/// Bodies differ in content and in length, so that parts of two can be told.
fn body_of(writer: usize) -> Bytes {
    let letter = b'!' + writer as u8;
    let mut body = format!("writer {writer} ").into_bytes();
    body.resize(200 + writer * 37, letter);
    body.into()
}

async fn race_on(context: &Context, handles: &Handles, key: &Key, when: PutIf) -> CaseResult {
    let before = context.handle().try_get(key).await?.map(|object| object.body);
    let start = Arc::new(Barrier::new(WRITERS + handles.len()));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let handle = handles[writer % handles.len()].clone();
        let (key, when, start) = (key.clone(), when.clone(), start.clone());
        writers.spawn(async move {
            start.wait().await;
            (writer, handle.put(&key, body_of(writer), when.clone()).await)
        });
    }
    let mut readers = JoinSet::new();
    for handle in handles {
        let (handle, key, start) = (handle.clone(), key.clone(), start.clone());
        readers.spawn(async move {
            start.wait().await;
            let mut seen = Vec::new();
            for _ in 0..READS_MAX {
                seen.push(handle.try_get(&key).await.map(|it| it.map(|object| object.body)));
                tokio::task::yield_now().await;
            }
            seen
        });
    }

    let mut winners: Vec<(usize, Version)> = Vec::new();
    for (writer, answer) in writers.join_all().await {
        match answer {
            Ok(version) => winners.push((writer, version)),
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => return Err(Failure::from(error).during(format!("writer {writer}"))),
        }
    }
    winners.sort();
    let [(winner, version)] = winners.as_slice() else {
        let who: Vec<_> = winners.iter().map(|(writer, _)| writer).collect();
        return Err(Failure::over_claim(format!(
            "expected one of {WRITERS} writers to win, saw {} told that they did: {who:?}",
            winners.len()
        )));
    };
    let body = body_of(*winner);
    for handle in handles {
        let object = handle.get(key, Get::whole()).await?;
        ensure!(
            object.body == body,
            "expected the {} bytes of writer {winner}, who was told that it won, saw {}",
            body.len(),
            describe(&object.body)
        );
        let found = object.version;
        ensure!(found == *version, "expected the winner's version {version}, saw {found}");
    }
    for seen in readers.join_all().await.into_iter().flatten() {
        let seen = seen?;
        ensure!(
            seen == before || seen.as_ref() == Some(&body),
            "expected readers to see what was there before or the body of writer {winner}, saw {}",
            seen.as_ref().map_or_else(|| "no object".into(), describe)
        );
    }
    Ok(())
}

fn describe(body: &Bytes) -> String {
    let start = String::from_utf8_lossy(&body[..body.len().min(12)]).into_owned();
    format!("{} bytes that start with {start:?}", body.len())
}
