//! Whether a condition truly has one winner: asked of the service itself before it is promised.

use bytes::Bytes;
use futures_util::future::join_all;
use storage_core::{
    Error, ErrorKind, Get, Key, List, Prefix, PutIf, Result, StorageProvider, StorageProviderExt,
};

use crate::classify::UNSUPPORTED_WAY_OUT;
use crate::provider::ObjectProvider;
use crate::service::Service;

/// How many puts race for one key.
const RACERS: usize = 16;
/// For how many keys they race, one after the other.
const ROUNDS: usize = 3;

/// Verifies that the bucket is there and, unless conditions are switched off, that
/// [`PutIf::Absent`] and [`PutIf::Matches`] hold: in sequence, then in a race.
///
/// Works on keys of its own, `cb~probe/` and a random number, and deletes them again.
///
/// # Errors
///
/// [`ErrorKind::Misconfigured`] when a condition is ignored or has several winners, with what was seen
/// and the setting to use; otherwise what the requests failed with.
pub async fn probe<S: Service>(provider: &ObjectProvider<S>) -> Result<()> {
    // Before anything is put: some services make a missing bucket on the first put, and so would hide
    // a name that is misspelt.
    provider.list(List::new(&Prefix::all()).limit(1)).await?;
    if !provider.service().place().conditional_put {
        return Ok(());
    }
    let run = format!("cb~probe/{:032x}", rand::random::<u128>());
    let name = |rest: String| {
        Key::new(format!("{run}/{rest}"))
            .map_err(|problem| Error::not_applied(ErrorKind::Unexpected, problem.to_string()))
    };
    let steps = name("steps".into())?;
    let missing = name("missing".into())?;
    let races =
        (0..ROUNDS).map(|round| name(format!("race{round}"))).collect::<Result<Vec<_>>>()?;
    let result = async {
        in_sequence(provider, &steps, &missing).await?;
        for key in &races {
            in_a_race(provider, key).await?;
        }
        Ok(())
    }
    .await;
    // Best effort, whatever was found: a few bytes left behind are not worth another error.
    let _ = provider.delete_many(races.into_iter().chain([steps, missing])).await;
    result
}

async fn in_sequence<S: Service>(
    provider: &ObjectProvider<S>,
    key: &Key,
    missing: &Key,
) -> Result<()> {
    let first = holds(provider.put(key, "1".into(), PutIf::Absent).await)?
        .ok_or_else(|| broken("a put of a new key with `Absent` was refused"))?;
    if holds(provider.put(key, "2".into(), PutIf::Absent).await)?.is_some() {
        return Err(broken(
            "a second put with `Absent` on one key succeeded: the condition is ignored",
        ));
    }
    let second = holds(provider.put(key, "3".into(), PutIf::Matches(first.clone())).await)?
        .ok_or_else(|| broken("a put with `Matches` of the current version was refused"))?;
    if holds(provider.put(key, "4".into(), PutIf::Matches(first)).await)?.is_some() {
        return Err(broken("a put with `Matches` of a stale version succeeded"));
    }
    if holds(provider.put(missing, "5".into(), PutIf::Matches(second.clone())).await)?.is_some() {
        return Err(broken("a put with `Matches` on a missing key succeeded"));
    }
    let found = provider.get(key, Get::whole()).await?;
    if found.body != "3" || found.version != second {
        return Err(broken("a put whose condition did not hold changed the object"));
    }
    Ok(())
}

async fn in_a_race<S: Service>(provider: &ObjectProvider<S>, key: &Key) -> Result<()> {
    let puts = (0..RACERS).map(|racer| async move {
        (racer, provider.put(key, Bytes::from(racer.to_string()), PutIf::Absent).await)
    });
    let mut winners = Vec::new();
    let mut unsure = false;
    for (racer, result) in join_all(puts).await {
        match result {
            Ok(_) => winners.push(racer),
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            // Sixteen at once are allowed to be too many, or to meet the service's own "try again".
            Err(error) if error.kind().is_transient() => unsure = true,
            Err(error) => return Err(error),
        }
    }
    match winners[..] {
        [winner] => {
            let found = provider.get(key, Get::whole()).await?;
            if found.body != winner.to_string() && !unsure {
                return Err(broken("the object is not the winner's after a race with `Absent`"));
            }
            Ok(())
        }
        [] if unsure => Ok(()),
        [] => Err(broken("nobody won a race of puts with `Absent` on a new key")),
        _ => {
            let count = winners.len();
            Err(broken(&format!(
                "{count} of {RACERS} puts with `Absent` on one key succeeded at once"
            )))
        }
    }
}

/// The version, or `None` where the condition did not hold.
fn holds<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(version) => Ok(Some(version)),
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(None),
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            Err(broken("a put with a condition is not implemented").with_source(error))
        }
        Err(error) => Err(error),
    }
}

fn broken(seen: &str) -> Error {
    Error::not_applied(
        ErrorKind::Misconfigured,
        format!("this service does not keep conditions of puts: {seen}; {UNSUPPORTED_WAY_OUT}"),
    )
}
