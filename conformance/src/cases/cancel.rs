//! Futures that are dropped, and many of them on one handle.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use storage_core::{Get, Key, PutIf, StorageProviderExt as _};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::{Case, CaseResult, Context, Failure, Level, Need, ensure};

/// After how many polls a put is dropped at the latest; most are done long before.
const POLLS_MAX: usize = 48;
/// How large those bodies are, in bytes.
const BODY_BYTES: usize = 100_000;
/// How many operations are begun and dropped to find leaks.
const OPERATIONS: usize = 1000;
/// How many tasks and descriptors more than before are no leak: other cases may be running.
const LEAKS_MAX: usize = 250;
/// How many tasks share a handle.
const TASKS: usize = 256;

pub(crate) const CASES: &[Case] = &[
    Case {
        id: "cancel.put",
        level: Level::Chaos,
        requires: "a put whose future is dropped at any poll leaves the whole object or none, and the handle usable",
        needs: &[],
        requests_max: 4 * POLLS_MAX as u64 * 6,
        run: |context| Box::pin(put(context)),
    },
    Case {
        id: "cancel.put.absent",
        level: Level::Chaos,
        requires: "a put on absence whose future is dropped at any poll leaves the whole object or none",
        needs: &[Need::Absent],
        requests_max: 4 * POLLS_MAX as u64 * 6,
        run: |context| Box::pin(put_absent(context)),
    },
    Case {
        id: "cancel.leaks",
        level: Level::Chaos,
        requires: "a thousand operations begun and dropped leave no task and no file descriptor behind",
        needs: &[],
        requests_max: OPERATIONS as u64 + 50,
        run: |context| Box::pin(leaks(context)),
    },
    Case {
        id: "cancel.many-tasks",
        level: Level::Chaos,
        requires: "256 tasks on one handle do not get into each other's way",
        needs: &[],
        requests_max: TASKS as u64 * 8,
        run: |context| Box::pin(many_tasks(context)),
    },
];

async fn put(context: &Context) -> CaseResult {
    each_poll(context, &PutIf::Always).await
}

async fn put_absent(context: &Context) -> CaseResult {
    each_poll(context, &PutIf::Absent).await
}

/// Polls a future so many times, then leaves it: at once, or when it is ready to go on.
async fn poll_times<F: Future>(
    mut future: Pin<&mut F>,
    polls_max: usize,
    leave_at_once: bool,
) -> Option<F::Output> {
    let mut polls = 0;
    poll_fn(|task| {
        if polls == polls_max {
            return Poll::Ready(None);
        }
        polls += 1;
        match future.as_mut().poll(task) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if leave_at_once && polls == polls_max => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

async fn each_poll(context: &Context, when: &PutIf) -> CaseResult {
    let old = Bytes::from_static(b"what was there before");
    let old = (*when == PutIf::Always).then_some(old);
    let mut dropped: Vec<(Key, Bytes)> = Vec::new();
    for leave_at_once in [true, false] {
        for polls in 0..POLLS_MAX {
            let way = if leave_at_once { "at-once" } else { "when-ready" }.replace('-', "_");
            let key = context.key(format!("{way}/{polls:02}"));
            if let Some(old) = &old {
                context.other().put(&key, old.clone(), PutIf::Always).await?;
            }
            let body = Bytes::from(vec![b'a' + (polls % 26) as u8; BODY_BYTES + polls]);
            let put = context.handle().put(&key, body.clone(), when.clone());
            let ended = poll_times(pin!(put), polls, leave_at_once).await;
            let at = || format!("dropped after {polls} polls");
            whole_or_as_before(context, &key, &body, &old).await.map_err(|it| it.during(at()))?;
            dropped.push((key, body));
            // The handle is as good as before.
            let check = context.key(format!("{way}/{polls:02}/after"));
            let version = context
                .handle()
                .put(&check, "after".into(), PutIf::Always)
                .await
                .map_err(|error| Failure::from(error).during(at()))?;
            let object = context.handle().get(&check, Get::whole()).await?;
            ensure!(object.version == version, "{}: expected the object just put", at());
            if let Some(ended) = ended {
                ended.map_err(|error| Failure::from(error).during("a put that was not dropped"))?;
                break;
            }
        }
    }
    for (key, body) in dropped {
        // What was under way may have landed meanwhile, but still not in part.
        whole_or_as_before(context, &key, &body, &old).await?;
        // Nor does it keep the key to itself.
        context
            .other()
            .put(&key, "again".into(), PutIf::Always)
            .await
            .map_err(|error| Failure::from(error).during("a put after one that was dropped"))?;
    }
    Ok(())
}

async fn whole_or_as_before(
    context: &Context,
    key: &Key,
    body: &Bytes,
    old: &Option<Bytes>,
) -> CaseResult {
    let found = context.other().try_get(key).await?.map(|object| object.body);
    let whole = found.as_ref() == Some(body) || found == *old;
    let say = |body: &Option<Bytes>| body.as_ref().map_or(0, Bytes::len);
    ensure!(
        whole,
        "expected {key} with the {} bytes put or the {} before, saw {}",
        body.len(),
        say(old),
        say(&found)
    );
    Ok(())
}

async fn leaks(context: &Context) -> CaseResult {
    let body = Bytes::from(vec![b'x'; 1000]);
    let keys: Vec<Key> = (0..20).map(|number| context.key(format!("{number:02}"))).collect();
    // Pools of connections and the like fill up first.
    for key in &keys {
        context.handle().put(key, body.clone(), PutIf::Always).await?;
    }
    let metrics = tokio::runtime::Handle::current().metrics();
    let (tasks_before, descriptors_before) = (metrics.num_alive_tasks(), descriptors());
    for number in 0..OPERATIONS {
        let key = &keys[number % keys.len()];
        // How those end that are not dropped does not matter here.
        let polls = number % 5;
        match number % 3 {
            0 => {
                let put = context.handle().put(key, body.clone(), PutIf::Always);
                let _ = poll_times(pin!(put), polls, number % 2 == 0).await;
            }
            1 => {
                let get = context.handle().get(key, Get::whole());
                let _ = poll_times(pin!(get), polls, number % 2 == 0).await;
            }
            _ => {
                let delete = context.handle().delete(key);
                let _ = poll_times(pin!(delete), polls, number % 2 == 0).await;
            }
        }
    }
    // What was begun may take its time to end; it must not stay.
    let mut left = (0, None);
    for _ in 0..100 {
        let descriptors =
            descriptors().zip(descriptors_before).map(|(now, before)| now.saturating_sub(before));
        left = (metrics.num_alive_tasks().saturating_sub(tasks_before), descriptors);
        if left.0 <= LEAKS_MAX && left.1.unwrap_or(0) <= LEAKS_MAX {
            if left.1.is_none() {
                context.note("file descriptors cannot be counted on this system");
            }
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(Failure::new(format!(
        "expected {OPERATIONS} dropped operations to leave nothing behind, saw {} tasks and {} file descriptors \
         more than before",
        left.0,
        left.1.unwrap_or(0)
    )))
}

/// How many files and sockets this process has open, where the system says.
fn descriptors() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/fd").ok()?.count())
}

async fn many_tasks(context: &Context) -> CaseResult {
    let mut tasks = JoinSet::new();
    let start = Arc::new(Barrier::new(TASKS));
    for task in 0..TASKS {
        let (handle, key) = (context.handle().clone(), context.key(format!("{task:03}")));
        let start = start.clone();
        tasks.spawn(async move {
            // The first would be done before the last is there.
            start.wait().await;
            let body = Bytes::from(format!("task {task} ").repeat(task + 1));
            let version = handle.put(&key, body.clone(), PutIf::Always).await?;
            let object = handle.get(&key, Get::whole()).await?;
            ensure!(
                object.body == body && object.version == version,
                "task {task}: expected its own {} bytes, saw {}",
                body.len(),
                object.body.len()
            );
            handle.delete(&key).await?;
            let gone = handle.try_get(&key).await?;
            ensure!(gone.is_none(), "task {task}: expected its object to be deleted, saw it");
            Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| Failure::new(error.to_string()))??;
    }
    Ok(())
}
