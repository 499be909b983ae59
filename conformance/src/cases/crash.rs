//! Processes killed in the middle, full disks, places that cannot be written.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use futures_util::{TryStreamExt as _, future};
use rand::RngExt as _;
use storage_core::{
    Effect, ErrorKind, Get, Key, PutIf, StorageProvider, StorageProviderExt as _, Version,
};

use crate::child::{Child, Ended};
use crate::history::Recorder;
use crate::resend::is_busy;
use crate::words;
use crate::{Case, CaseResult, Context, Failure, Level, Need, ensure, linearizability};

/// At how many steps a mutation is killed at most; more steps than that are a mistake in the hook.
const STEPS_MAX: u64 = 100;
/// How large the bodies are, in bytes: more than one write of most systems.
const BODY_BYTES: usize = 300_000;
/// How often a process that puts many objects is killed.
const KILLS: usize = 4;
/// How many puts that process has under way.
const PUTS_AT_ONCE: usize = 12;
/// On how many keys.
const KEYS: usize = 40;
/// After how many answers it is killed at the latest.
const ANSWERS_MAX: usize = 150;

const NEEDS: &[Need] = &[Need::SharedHost, Need::SecondProcess, Need::Crash];

pub(crate) const CASES: &[Case] = &[
    Case {
        id: "crash.put.new",
        level: Level::Durability,
        requires: "a process killed at any step of a put on a new key leaves the whole object or none, and nothing \
                   else once the place is opened again",
        needs: NEEDS,
        requests_max: STEPS_MAX * 8,
        run: |context| Box::pin(each_step(context, Mutation::New)),
    },
    Case {
        id: "crash.put.absent",
        level: Level::Durability,
        requires: "a process killed at any step of a put on absence leaves the whole object or none",
        needs: &[Need::SharedHost, Need::SecondProcess, Need::Crash, Need::Absent],
        requests_max: STEPS_MAX * 8,
        run: |context| Box::pin(each_step(context, Mutation::Absent)),
    },
    Case {
        id: "crash.put.overwrite",
        level: Level::Durability,
        requires: "a process killed at any step of an overwrite leaves the old object or the new one, whole",
        needs: NEEDS,
        requests_max: STEPS_MAX * 8,
        run: |context| Box::pin(each_step(context, Mutation::Overwrite)),
    },
    Case {
        id: "crash.put.matches",
        level: Level::Durability,
        requires: "a process killed at any step of a put on a version leaves the old object or the new one, whole",
        needs: &[Need::SharedHost, Need::SecondProcess, Need::Crash, Need::Matches],
        requests_max: STEPS_MAX * 8,
        run: |context| Box::pin(each_step(context, Mutation::Matches)),
    },
    Case {
        id: "crash.delete",
        level: Level::Durability,
        requires: "a process killed at any step of a delete leaves the whole object or none",
        needs: NEEDS,
        requests_max: STEPS_MAX * 8,
        run: |context| Box::pin(each_step(context, Mutation::Delete)),
    },
    Case {
        id: "crash.random",
        level: Level::Durability,
        requires: "of a process that puts many objects and is killed at a random time, every acknowledged put is \
                   there and no other is there in part",
        needs: &[Need::SharedHost, Need::SecondProcess],
        requests_max: KILLS as u64 * 1500,
        run: |context| Box::pin(random(context)),
    },
    Case {
        id: "crash.full-disk",
        level: Level::Durability,
        requires: "a put for which there is no room is told so, and leaves nothing",
        needs: &[Need::Full],
        requests_max: 20,
        run: |context| Box::pin(full_disk(context)),
    },
    Case {
        id: "crash.read-only",
        level: Level::Durability,
        requires: "a place that cannot be written is read, and refuses changes with a clean kind",
        needs: &[Need::ReadOnly],
        requests_max: 20,
        run: |context| Box::pin(read_only(context)),
    },
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mutation {
    New,
    Absent,
    Overwrite,
    Matches,
    Delete,
}

/// Kills a new process at the first step, another at the second, and so on to the end.
async fn each_step(context: &Context, mutation: Mutation) -> CaseResult {
    let mut steps = Vec::new();
    for step in 0..STEPS_MAX {
        match at_step(context, mutation, step).await? {
            Some(name) => steps.push(name),
            None if step == 0 => {
                return Err(Failure::new("expected at least one step to be told, saw none"));
            }
            None => {
                context.note(format!("killed before {}", steps.join(", ")));
                return Ok(());
            }
        }
    }
    Err(Failure::new(format!("expected fewer than {STEPS_MAX} steps, saw no end of them")))
}

/// The name of the step at which the process was killed, or `None` if the mutation has fewer.
async fn at_step(
    context: &Context,
    mutation: Mutation,
    step: u64,
) -> Result<Option<String>, Failure> {
    let key = context.key(format!("{step:03}/object"));
    let neighbour = context.key(format!("{step:03}/neighbour"));
    let old = Bytes::from_static(b"the old object");
    let new = Bytes::from(vec![b'n'; BODY_BYTES]);
    context.handle().put(&neighbour, "untouched".into(), PutIf::Always).await?;
    let before: Option<Version> = match mutation {
        Mutation::New | Mutation::Absent => None,
        _ => Some(context.handle().put(&key, old.clone(), PutIf::Always).await?),
    };

    let child = context.second_process().await?;
    let counted = context.counted(child.clone());
    child.stop_at(step).await?;
    let change = async {
        match (mutation, &before) {
            (Mutation::Delete, _) => counted.delete(&key).await,
            (Mutation::Absent, _) => counted.put(&key, new.clone(), PutIf::Absent).await.map(drop),
            (Mutation::Matches, Some(version)) => {
                let when = PutIf::Matches(version.clone());
                counted.put(&key, new.clone(), when).await.map(drop)
            }
            _ => counted.put(&key, new.clone(), PutIf::Always).await.map(drop),
        }
    };
    let reached = {
        let (change, ended) = (std::pin::pin!(change), std::pin::pin!(child.ended()));
        match future::select(change, ended).await {
            future::Either::Left((answer, _)) => {
                answer?;
                None
            }
            future::Either::Right((Ended::AtStep(name), _)) => Some(name),
            future::Either::Right((Ended::Gone, _)) => {
                return Err(Failure::new("the second process died by itself"));
            }
        }
    };
    kill(&child).await?;

    let at = match &reached {
        Some(name) => format!("killed before step {step}, {name}"),
        None => "not killed".to_owned(),
    };
    let reopened = context.open().await.map_err(|error| Failure::from(error).during(&at))?;
    let after = (mutation != Mutation::Delete).then_some(&new);
    let begin = before.is_some().then_some(&old);
    for handle in [&reopened, context.handle()] {
        let found = handle.try_get(&key).await.map_err(|error| Failure::from(error).during(&at))?;
        let found = found.map(|object| object.body);
        ensure!(
            found.as_ref() == begin && reached.is_some() || found.as_ref() == after,
            "{at}: expected {} or {}, saw {}",
            describe(begin),
            describe(after),
            describe(found.as_ref())
        );
        let kept = handle.get(&neighbour, Get::whole()).await?.body;
        ensure!(kept == "untouched", "{at}: expected the neighbour untouched, saw {kept:?}");
    }
    let prefix = context.prefix_of(format!("{step:03}/"));
    let listed: Vec<_> = reopened.list_all(&prefix).try_collect().await?;
    let keys: BTreeSet<&Key> = listed.iter().map(|listed| &listed.key).collect();
    ensure!(
        keys.iter().all(|listed| **listed == key || **listed == neighbour),
        "{at}: expected to list the object and its neighbour only, saw {}",
        words::listed(&listed)
    );
    nothing_left_over(context, &at).await?;
    // What the dead held, nobody holds.
    let again = Bytes::from_static(b"after the crash");
    let version = reopened.put(&key, again.clone(), PutIf::Always).await?;
    let found = context.handle().get(&key, Get::whole()).await?;
    ensure!(
        found.body == again && found.version == version,
        "{at}: expected the next put to be there, saw {}",
        words::object(&found)
    );
    Ok(reached)
}

/// Other cases may be at work in the same place, with temporary files of their own; those go soon.
async fn nothing_left_over(context: &Context, at: &str) -> CaseResult {
    let Some(crash) = context.hooks().crash else { return Ok(()) };
    let mut left = crash.leftovers().await?;
    for _ in 0..40 {
        if left.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
        let now = crash.leftovers().await?;
        left.retain(|name| now.contains(name));
    }
    Err(Failure::new(format!("{at}: expected nothing left over after opening, saw {left:?}")))
}

async fn kill(child: &Child) -> CaseResult {
    child.kill().await.map_err(|error| Failure::new(format!("the second process: {error}")))
}

fn describe(body: Option<&Bytes>) -> String {
    body.map_or_else(|| "no object".into(), |body| format!("{} bytes", body.len()))
}

async fn random(context: &Context) -> CaseResult {
    let mut rng = context.rng();
    for kill in context.rounds(KILLS) {
        let answers = rng.random_range(1..ANSWERS_MAX);
        killed_after(context, kill, answers)
            .await
            .map_err(|it| it.during(format!("killed after {answers} answers")))?;
    }
    Ok(())
}

/// Puts numbered bodies on few keys, so that there are new keys and overwrites, until so many answers
/// have come; then kills. What is there in the end must fit the answers.
async fn killed_after(context: &Context, kill_number: usize, answers: usize) -> CaseResult {
    let child = context.second_process().await?;
    // One that is dead is not busy: nothing is sent to it again.
    let counted = context.once(child.clone());
    let key_of = |number: usize| context.key(format!("{kill_number:04}/{:02}", number % KEYS));
    let recorder = Recorder::new();
    let put = |number: usize| {
        let (recorder, handle, key) = (&recorder, &*counted, key_of(number));
        async move {
            let client = number % PUTS_AT_ONCE;
            recorder.put(client, handle, &key, numbered(number), PutIf::Always).await
        }
    };
    let mut under_way: FuturesUnordered<_> = (0..PUTS_AT_ONCE).map(put).collect();
    for answered in 0..answers {
        match under_way.next().await {
            Some(Err(error)) if !is_busy(&error) => return Err(error.into()),
            _ => {}
        }
        under_way.push(put(PUTS_AT_ONCE + answered));
    }
    kill(&child).await?;
    // How these ended is in the record: as a rule, nobody knows.
    while under_way.next().await.is_some() {}
    drop(under_way);

    let reopened = context.open().await?;
    for place in 0..KEYS {
        match recorder.get(PUTS_AT_ONCE, &*reopened, &key_of(place)).await {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    for (key, history) in recorder.finish() {
        linearizability::check(&history, context.capabilities().versions)
            .map_err(|violation| Failure::new(format!("key {key}: {violation}")))?;
    }
    Ok(())
}

fn numbered(number: usize) -> Bytes {
    let mut body = format!("{number} ").into_bytes();
    body.resize(2000 + number % 50 * 400, b'a' + (number % 26) as u8);
    body.into()
}

async fn full_disk(context: &Context) -> CaseResult {
    let Some(open) = context.hooks().full else {
        return Err(context.skip("the harness offers no full place"));
    };
    // Not counted: what is put there, the runner could not clean up.
    let handle = open().await?;
    let key = context.key("too-large".replace('-', "_"));
    let body = Bytes::from(vec![b'f'; 1 << 20]);
    let Err(error) = handle.put(&key, body, PutIf::Always).await else {
        return Err(Failure::new("expected no room for 1 MiB, saw Ok"));
    };
    ensure!(
        error.kind() == ErrorKind::StorageFull && error.effect() == Effect::NotApplied,
        "expected `storage full`, not applied, saw {error}"
    );
    let found = handle.try_get(&key).await?;
    ensure!(
        found.is_none(),
        "expected nothing there after `storage full`, saw {}",
        words::found(&found)
    );
    let listed: Vec<_> = handle.list_all(context.prefix()).try_collect().await?;
    ensure!(listed.is_empty(), "expected to list nothing, saw {}", words::listed(&listed));
    Ok(())
}

async fn read_only(context: &Context) -> CaseResult {
    let Some(open) = context.hooks().read_only else {
        return Err(context.skip("the harness offers no read-only place"));
    };
    let handle = open().await?;
    let kept = Key::new("kept")?;
    let refused = |what: &str, answer: storage_core::Result<()>| match answer {
        Ok(()) => Err(Failure::new(format!("{what}: expected it to be refused, saw Ok"))),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        Err(error) => {
            Err(Failure::new(format!("{what}: expected permission denied, saw the error {error}")))
        }
    };
    let put = |key: Key, when: PutIf| {
        let handle = &handle;
        async move { handle.put(&key, "changed".into(), when).await.map(drop) }
    };
    refused("overwrite", put(kept.clone(), PutIf::Always).await)?;
    refused("put", put(context.key("new"), PutIf::Always).await)?;
    refused("delete", handle.delete(&kept).await)?;
    let found = handle.get(&kept, Get::whole()).await?.body;
    ensure!(found == "kept", "expected the object as it was, saw {} bytes", found.len());
    let found = handle.try_get(&context.key("new")).await?;
    ensure!(found.is_none(), "expected nothing new there, saw {}", words::found(&found));
    Ok(())
}
