//! Recorded histories: whatever happened, there must be an order that explains it.

use std::sync::Arc;

use bytes::Bytes;
use rand::{RngExt as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;
use storage_core::{Atomicity, Key, PutIf, Version};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::{Handles, handles, handles_of_two_processes};
use crate::history::Recorder;
use crate::{CaseResult, Context, Failure, linearizability};

/// How many clients ask at once: what the checker decides quickly.
const CLIENTS: usize = 6;
/// How many rounds there are; each has keys of its own.
const ROUNDS: usize = 6;
/// How many operations each client does in a round.
const OPERATIONS: usize = 16;

/// What clients draw from: one letter for each share. `a`bsent put, `p`ut, `m`atching put, `g`et,
/// `d`elete.
type Mix = &'static [u8];

pub(super) async fn create_delete(context: &Context) -> CaseResult {
    all_rounds(context, handles(context).await?, b"aaaddg", 1).await
}

pub(super) async fn put_delete(context: &Context) -> CaseResult {
    all_rounds(context, handles(context).await?, b"pppddgg", 1).await
}

pub(super) async fn mixed(context: &Context) -> CaseResult {
    let capabilities = context.capabilities();
    let mix = mix_for(capabilities.absent, capabilities.matches, Atomicity::OneProcess);
    all_rounds(context, handles(context).await?, mix, 2).await
}

pub(super) async fn mixed_processes(context: &Context) -> CaseResult {
    let capabilities = context.capabilities();
    let mix = mix_for(capabilities.absent, capabilities.matches, Atomicity::OneHost);
    all_rounds(context, handles_of_two_processes(context).await?, mix, 2).await
}

/// Only conditions that are decided among those who take part.
fn mix_for(absent: Atomicity, matches: Atomicity, among: Atomicity) -> Mix {
    match (absent >= among, matches >= among) {
        (true, true) => b"appmmmmgggd",
        (true, false) => b"aapppgggd",
        (false, true) => b"ppmmmmgggd",
        (false, false) => b"pppgggd",
    }
}

async fn all_rounds(context: &Context, handles: Handles, mix: Mix, keys: usize) -> CaseResult {
    for round in context.rounds(ROUNDS) {
        let keys = (0..keys).map(|number| context.key(format!("{round:04}/{number}")));
        one_round(context, &handles, mix, keys.collect(), round).await?;
    }
    Ok(())
}

async fn one_round(
    context: &Context,
    handles: &Handles,
    mix: Mix,
    keys: Vec<Key>,
    round: usize,
) -> CaseResult {
    let recorder = Arc::new(Recorder::new());
    let start = Arc::new(Barrier::new(CLIENTS));
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let mut rng = context.rng_of((round * CLIENTS + client) as u64 + 1);
        let handle = handles[client % handles.len()].clone();
        let (recorder, start, keys) = (recorder.clone(), start.clone(), keys.clone());
        clients.spawn(async move {
            start.wait().await;
            let mut known: Option<(usize, Version)> = None;
            for operation in 0..OPERATIONS {
                // A provider that answers at once would let nobody in between.
                for _ in 0..rng.random_range(0..3) {
                    tokio::task::yield_now().await;
                }
                let at = rng.random_range(0..keys.len());
                let key = &keys[at];
                let body = body_of(&mut rng, client, operation);
                let kind = mix.choose(&mut rng).copied().unwrap_or(b'g');
                let when = match (kind, &known) {
                    (b'p', _) => PutIf::Always,
                    (b'a', _) => PutIf::Absent,
                    (b'm', Some((of, version))) if *of == at => PutIf::Matches(version.clone()),
                    (b'd', _) => {
                        recorder.delete(client, &*handle, key).await?;
                        continue;
                    }
                    // A get, or the read before a put that is to match.
                    _ => {
                        match recorder.get(client, &*handle, key).await {
                            Ok(object) => known = Some((at, object.version)),
                            Err(error) if error.kind().is_refusal() => known = None,
                            Err(error) => return Err(Failure::from(error)),
                        }
                        continue;
                    }
                };
                match recorder.put(client, &*handle, key, body, when).await {
                    Ok(version) => known = Some((at, version)),
                    Err(error) if error.kind().is_refusal() => known = None,
                    Err(error) => return Err(Failure::from(error)),
                }
            }
            Ok(())
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.map_err(|error| Failure::new(error.to_string()))??;
    }
    for (client, handle) in handles.iter().enumerate() {
        for key in &keys {
            // The last word on the key, from every handle; a missing one is an answer too.
            match recorder.get(CLIENTS + client, &**handle, key).await {
                Err(error) if !error.kind().is_refusal() => return Err(error.into()),
                _ => {}
            }
        }
    }
    judge(context, recorder)
}

fn judge(context: &Context, recorder: Arc<Recorder>) -> CaseResult {
    let versions = context.capabilities().versions;
    let recorder = Arc::into_inner(recorder).ok_or_else(|| {
        Failure::new("a client still holds the recorder: the suite itself is wrong")
    })?;
    for (key, history) in recorder.finish() {
        linearizability::check(&history, versions)
            .map_err(|violation| Failure::new(format!("key {key}: {violation}")))?;
    }
    Ok(())
}

/// No two bodies of a round are equal, so that every read says which put it saw.
fn body_of(rng: &mut ChaCha8Rng, client: usize, operation: usize) -> Bytes {
    let mut body = format!("operation {operation} of client {client} ").into_bytes();
    body.resize(body.len() + rng.random_range(0..500), b'a' + client as u8);
    body.into()
}
