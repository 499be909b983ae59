//! A counter: every success counts once.

use std::collections::BTreeMap;

use storage_core::{ErrorKind, Get, PutIf};
use tokio::task::JoinSet;

use super::{Handles, ensure_between_processes, handles, handles_of_two_processes};
use crate::{CaseResult, Context, Failure, ensure};

/// How many clients raise the counter.
const CLIENTS: usize = 8;
/// How often each tries to.
const ATTEMPTS: usize = 15;

pub(super) async fn counter(context: &Context) -> CaseResult {
    count(context, handles(context).await?).await
}

pub(super) async fn counter_processes(context: &Context) -> CaseResult {
    ensure_between_processes(context, context.capabilities().matches)?;
    count(context, handles_of_two_processes(context).await?).await
}

async fn count(context: &Context, handles: Handles) -> CaseResult {
    let key = context.key("counter");
    context.handle().put(&key, "0 by nobody".into(), PutIf::Always).await?;
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (handle, key) = (handles[client % handles.len()].clone(), key.clone());
        let attempts = ATTEMPTS * context.settings().rounds.max(1) as usize;
        clients.spawn(async move {
            let mut reached = Vec::new();
            for attempt in 0..attempts {
                let object = handle.get(&key, Get::whole()).await?;
                let next = number_in(&object.body)? + 1;
                // Others get to read the same number, also where a provider answers at once.
                tokio::task::yield_now().await;
                // Who writes what is in the body: where versions tell contents apart, two clients that
                // raise the same number must not write the same bytes.
                let body = format!("{next} by client {client}, attempt {attempt}");
                let when = PutIf::Matches(object.version);
                let put = handle.put(&key, body.clone().into(), when.clone()).await;
                match put {
                    Ok(_) => reached.push(next),
                    Err(error) if error.kind() == ErrorKind::Conflict => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Ok::<_, Failure>(reached)
        });
    }
    let mut successes = 0_u64;
    let mut raised: BTreeMap<u64, usize> = BTreeMap::new();
    while let Some(reached) = clients.join_next().await {
        for number in reached.map_err(|error| Failure::new(error.to_string()))?? {
            successes += 1;
            *raised.entry(number).or_default() += 1;
        }
    }
    if let Some((number, times)) = raised.iter().find(|(_, times)| **times > 1) {
        return Err(Failure::over_claim(format!(
            "expected one client to raise the counter to {number}, saw {times} told that they did"
        )));
    }
    for handle in &handles {
        let last = number_in(&handle.get(&key, Get::whole()).await?.body)?;
        ensure!(
            last == successes,
            "expected the counter at {successes}, the number of successful puts, saw {last}"
        );
    }
    // Whoever tries alone succeeds, so among all the attempts there must be some.
    ensure!(successes > 0, "expected some attempt to succeed, saw none");
    Ok(())
}

fn number_in(body: &[u8]) -> Result<u64, Failure> {
    let text = String::from_utf8_lossy(body);
    let number = text.split(' ').next().and_then(|word| word.parse().ok());
    number.ok_or_else(|| Failure::new(format!("expected a counter, saw {text:?}")))
}
