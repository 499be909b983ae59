//! Answers lost above the provider, by a wrapper.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::{Rng as _, RngExt as _};
use storage_core::{
    Atomicity, Created, Effect, Env, ErrorKind, PutIf, StorageProvider, StorageProviderExt as _,
};
use storage_wrappers::{FaultPlan, Faulty, Retry, RetryBudget, RetryPolicy, TokioEnv};
use tokio::task::JoinSet;

use crate::history::Recorder;
use crate::{CaseResult, Context, Failure, ensure, linearizability};

type Provider = Arc<dyn StorageProvider>;

/// How many keys there are in a round.
const KEYS: usize = 60;

fn faulty(
    handle: Provider,
    context: &Context,
    stream: u64,
) -> Result<Arc<Faulty<Provider>>, Failure> {
    let plan = FaultPlan {
        throttled: 0.1,
        unavailable: 0.1,
        lost_before: 0.1,
        lost_after: 0.2,
        late: 0.15,
        ..FaultPlan::none(context.rng_of(stream).next_u64())
    };
    Ok(Arc::new(Faulty::new(handle, plan, env())?))
}

fn env() -> Arc<dyn Env> {
    Arc::new(TokioEnv::new())
}

/// Impatient: what is tested is not the waiting.
fn policy() -> RetryPolicy {
    RetryPolicy {
        attempts_max: 8,
        first_pause_max: Duration::from_micros(100),
        pause_max: Duration::from_millis(1),
        budget: RetryBudget::unlimited(),
        ..RetryPolicy::default()
    }
}

pub(super) async fn retry(context: &Context) -> CaseResult {
    let faulty = faulty(context.handle().clone(), context, 1)?;
    let retry = Retry::new(faulty.clone(), policy(), env());
    let mut answers = Vec::new();
    for number in context.rounds(KEYS) {
        let key = context.key(format!("{number:04}"));
        let body = Bytes::from(format!("the body of {number}"));
        let answer = retry.put(&key, body.clone(), PutIf::Absent).await;
        answers.push((key, body, answer));
    }
    faulty.settle().await;
    let (count, mut unknown) = (answers.len(), 0);
    for (key, body, answer) in answers {
        let found = context.other().try_get(&key).await?;
        let ours = found.as_ref().is_some_and(|found| found.body == body);
        match answer {
            Ok(version) => {
                let same = found.is_some_and(|found| found.version == version);
                ensure!(ours && same, "{key}: told Ok, but the object is not there as put");
            }
            Err(error) if error.kind() == ErrorKind::Conflict => {
                return Err(Failure::new(format!(
                    "{key}: nobody else writes it, but the put was told {error}"
                )));
            }
            Err(error) if error.effect() == Effect::NotApplied => {
                ensure!(!ours, "{key}: told that it was not applied ({error}), but it is there");
            }
            Err(_) => unknown += 1,
        }
    }
    // Otherwise nothing was tested.
    ensure!(
        unknown > 0 || count < KEYS,
        "expected some puts to end unknown, saw none: the suite itself is wrong"
    );
    Ok(())
}

pub(super) async fn create_exact(context: &Context) -> CaseResult {
    let faulty = faulty(context.handle().clone(), context, 1)?;
    let mut rng = context.rng_of(2);
    let mut answers = Vec::new();
    for number in context.rounds(KEYS) {
        let key = context.key(format!("{number:04}"));
        let (ours, theirs) = (format!("ours {number}"), format!("theirs {number}"));
        let rival = async {
            if number % 3 == 0 {
                return Ok(None);
            }
            for _ in 0..rng.random_range(0..20) {
                tokio::task::yield_now().await;
            }
            context.other().create_exact(&key, theirs.clone().into()).await.map(Some)
        };
        let create = async {
            let mut tries = 0;
            loop {
                match faulty.create_exact(&key, ours.clone().into()).await {
                    // Asking again with the same bytes is safe, and in the end one gets through.
                    Err(error) if error.kind().is_transient() && tries < 50 => tries += 1,
                    answer => return answer,
                }
            }
        };
        let (created, rival) = tokio::join!(create, rival);
        answers.push((key.clone(), Bytes::from(ours), created?, rival?));
    }
    faulty.settle().await;
    for (key, body, created, rival) in answers {
        let found = context.other().try_get(&key).await?;
        let found = found.ok_or_else(|| Failure::new(format!("{key}: created, but not there")))?;
        match &created {
            Created::Ours(version) => ensure!(
                found.body == body && found.version == *version,
                "{key}: told that the object is ours, saw other bytes or another version"
            ),
            Created::Taken(winner) => ensure!(
                *winner == found && found.body != body,
                "{key}: told that the slot is taken, saw another object there"
            ),
        }
        if let Some(rival) = rival {
            let (we, they) =
                (matches!(created, Created::Ours(_)), matches!(rival, Created::Ours(_)));
            ensure!(we != they, "{key}: expected one of two to have it, saw us {we}, them {they}");
        }
    }
    Ok(())
}

pub(super) async fn linearizable(context: &Context) -> CaseResult {
    const CLIENTS: usize = 4;
    const OPERATIONS: usize = 25;
    let capabilities = context.capabilities();
    let absent = capabilities.absent >= Atomicity::OneProcess;
    for round in context.rounds(6) {
        // Each answer is judged by itself: "not applied" is believed, and then compared with what is seen.
        let faulty = faulty(context.handle_once(), context, round as u64)?;
        let key = context.key(format!("{round:03}"));
        let recorder = Arc::new(Recorder::new());
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let mut rng = context.rng_of(1000 + (round * CLIENTS + client) as u64);
            // Two clients have good days.
            let handle: Provider =
                if client % 2 == 0 { faulty.clone() } else { context.other().clone() };
            let (recorder, key) = (recorder.clone(), key.clone());
            clients.spawn(async move {
                let mut known = None;
                for operation in 0..OPERATIONS {
                    let body = Bytes::from(format!("operation {operation} of client {client}"));
                    let when = match (rng.random_range(0..10), known.take()) {
                        (0, _) => PutIf::Always,
                        (1..=2, _) if absent => PutIf::Absent,
                        (3..=5, Some(version)) => PutIf::Matches(version),
                        (6, _) => {
                            // How it ended is in the record.
                            let _ = recorder.delete(client, &*handle, &key).await;
                            continue;
                        }
                        _ => {
                            let object = recorder.get(client, &*handle, &key).await;
                            known = object.ok().map(|object| object.version);
                            continue;
                        }
                    };
                    known = recorder.put(client, &*handle, &key, body, when).await.ok();
                }
            });
        }
        while let Some(ended) = clients.join_next().await {
            ended.map_err(|error| Failure::new(error.to_string()))?;
        }
        faulty.settle().await;
        // Its answer is the last word; a missing object is one too.
        let _ = recorder.get(CLIENTS, &**context.other(), &key).await;
        let recorder = Arc::into_inner(recorder)
            .ok_or_else(|| Failure::new("a client still holds the recorder"))?;
        for (key, history) in recorder.finish() {
            linearizability::check(&history, capabilities.versions)
                .map_err(|violation| Failure::new(format!("key {key}: {violation}")))?;
        }
    }
    Ok(())
}
