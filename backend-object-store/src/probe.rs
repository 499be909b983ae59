//! Whether a condition truly has one winner: asked of the service itself before it is promised.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use storage_core::{
    Effect, Error, ErrorKind, Get, Key, List, Object, Prefix, PutIf, Result, StorageProvider,
    Version,
};

use crate::classify::UNSUPPORTED_WAY_OUT;
use crate::provider::ObjectProvider;
use crate::service::Service;

/// How many puts race for one key.
const RACERS: usize = 16;
/// For how many keys they race with [`PutIf::Absent`], all at the same time: SeaweedFS was seen to let a loser
/// wait for a second or two at each.
const ROUNDS: usize = 3;
/// How often a request is sent again that the service would not look at.
const RESENDS_MAX: u32 = 5;
/// How long to wait before the first of them; twice as long before each next. Together three seconds:
/// some services take one write a second for each key.
const RESEND_AFTER: Duration = Duration::from_millis(100);
/// The longest wait that a service may ask for.
const RESEND_AFTER_MAX: Duration = Duration::from_secs(5);

/// Verifies that the bucket is there and, unless conditions are switched off, that
/// [`PutIf::Absent`] and [`PutIf::Matches`] hold: in sequence, then in races; and that deletes delete.
///
/// Works on keys of its own, `cb~probe/` and a random number, and deletes them again. What a service
/// refused without looking at it (429, 409) is sent again a few times.
///
/// # Errors
///
/// [`ErrorKind::Misconfigured`] when a condition is ignored or has several winners, reads are stale or
/// deletes do nothing, with what was seen and the setting to use; otherwise what the requests failed
/// with, those that clean up included.
pub async fn probe<S: Service>(provider: &ObjectProvider<S>) -> Result<()> {
    // Before anything is put: some services make a missing bucket on the first put, and so would hide
    // a name that is misspelt.
    let everything = Prefix::all();
    let first = || provider.list(List::new(&everything).limit(1));
    // Who cannot be reached is not waited for.
    resend(first, |error| error.kind() == ErrorKind::Throttled).await?;
    if !provider.service().place().conditional_put {
        return Ok(());
    }
    let run = Run { provider, name: format!("cb~probe/{:032x}", rand::random::<u128>()) };
    let result = run.conditions().await;
    let cleaned = run.clean().await;
    match (result, cleaned) {
        (Ok(()), cleaned) => cleaned,
        (result, Ok(())) => result,
        // Both are worth knowing.
        (Err(error), Err(left)) => {
            let message = format!("{}; besides, {}", error.message(), left.message());
            Err(Error::not_applied(error.kind(), message).with_source(error))
        }
    }
}

/// One run of the probe.
struct Run<'a, S> {
    provider: &'a ObjectProvider<S>,
    /// What its keys begin with.
    name: String,
}

impl<S: Service> Run<'_, S> {
    fn key(&self, rest: &str) -> Result<Key> {
        Key::new(format!("{}/{rest}", self.name))
            .map_err(|problem| Error::not_applied(ErrorKind::Unexpected, problem.to_string()))
    }

    /// Several, because some services limit the writes to each.
    fn keys(&self) -> Result<Vec<Key>> {
        let races = (0..ROUNDS).map(|round| self.key(&format!("race{round}")));
        ["absent", "matches", "missing"].iter().map(|name| self.key(name)).chain(races).collect()
    }

    async fn conditions(&self) -> Result<()> {
        self.absent(&self.key("absent")?).await?;
        let key = self.key("matches")?;
        let current = self.matches(&key, &self.key("missing")?).await?;
        let mut races = vec![(key, PutIf::Matches(current))];
        for round in 0..ROUNDS {
            races.push((self.key(&format!("race{round}"))?, PutIf::Absent));
        }
        join_all(races.iter().map(|(key, when)| self.race(key, when))).await.into_iter().collect()
    }

    async fn absent(&self, key: &Key) -> Result<()> {
        let first = self
            .put(key, "1", PutIf::Absent)
            .await?
            .ok_or_else(|| broken("a put of a new key with `Absent` was refused"))?;
        let again = self.put(key, "2", PutIf::Absent).await.map_err(|error| {
            let busy = error.kind() == ErrorKind::Unavailable
                && error.effect() == Effect::NotApplied
                // The words of an answer begin with its status.
                && error.message().starts_with("409");
            if !busy {
                return error;
            }
            broken(&format!(
                "it answers 409 where 412 is expected, to a put with `Absent` of an object that exists \
                 ({})",
                error.message()
            ))
        })?;
        if again.is_some() {
            return Err(broken(
                "a second put with `Absent` on one key succeeded: the condition is ignored",
            ));
        }
        self.unchanged(key, "1", &first, &[]).await
    }

    async fn matches(&self, key: &Key, missing: &Key) -> Result<Version> {
        let first = self
            .put(key, "3", PutIf::Absent)
            .await?
            .ok_or_else(|| broken("a put of a new key with `Absent` was refused"))?;
        let second = self
            .put(key, "4", PutIf::Matches(first.clone()))
            .await?
            .ok_or_else(|| broken("a put with `Matches` of the current version was refused"))?;
        if self.put(key, "5", PutIf::Matches(first)).await?.is_some() {
            return Err(broken("a put with `Matches` of a stale version succeeded"));
        }
        if self.put(missing, "6", PutIf::Matches(second.clone())).await?.is_some() {
            return Err(broken("a put with `Matches` on a missing key succeeded"));
        }
        self.unchanged(key, "4", &second, &["3"]).await?;
        Ok(second)
    }

    /// Checks that a put which was refused has changed nothing.
    async fn unchanged(
        &self,
        key: &Key,
        body: &str,
        version: &Version,
        old: &[&str],
    ) -> Result<()> {
        let found = self.latest(key, old).await?;
        if found.body != *body {
            return Err(broken("a put whose condition did not hold changed the object"));
        }
        if found.version != *version {
            let (put, got) = (version.as_str(), found.version.as_str());
            return Err(misbehaves(&format!(
                "a put answers with the version {put:?}, and a get right after it with {got:?}"
            )));
        }
        Ok(())
    }

    async fn race(&self, key: &Key, when: &PutIf) -> Result<()> {
        let name = match when {
            PutIf::Matches(_) => "`Matches` of one version",
            _ => "`Absent` on one key",
        };
        // Once each: they are meant to meet.
        let puts = (0..RACERS).map(|racer| async move {
            let body = format!("racer {racer}");
            (racer, self.provider.put(key, Bytes::from(body), when.clone()).await)
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
                let found = self.latest(key, &["4"]).await?;
                if found.body != format!("racer {winner}") && !unsure {
                    return Err(broken(&format!(
                        "the object is not the winner's after a race with {name}"
                    )));
                }
                Ok(())
            }
            [] if unsure => Ok(()),
            [] => Err(broken(&format!("nobody won a race of puts with {name}"))),
            _ => {
                let count = winners.len();
                Err(broken(&format!("{count} of {RACERS} puts with {name} succeeded at once")))
            }
        }
    }

    /// Deletes what was put, and looks whether it is gone.
    async fn clean(&self) -> Result<()> {
        let deletes = self.keys()?.into_iter().map(|key| async move {
            // A delete may be repeated whatever became of it, but a silent service would take too long.
            let again = |error: &Error| error.kind() == ErrorKind::Throttled || refused(error);
            resend(|| self.provider.delete(&key), again).await
        });
        if let Some(error) = join_all(deletes).await.into_iter().find_map(Result::err) {
            let message = format!(
                "what the probe put under \"{}/\" could not be deleted: {}; with `probe = \"off\"` \
                 nothing is put at open",
                self.name,
                error.message()
            );
            return Err(Error::not_applied(error.kind(), message));
        }
        let key = self.key("absent")?;
        match patiently(|| self.provider.get(&key, Get::meta_only())).await {
            Ok(_) => Err(misbehaves(&format!(
                "deletes do not delete: \"{key}\" is there after its delete"
            ))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The version, or `None` where the condition did not hold.
    async fn put(&self, key: &Key, body: &'static str, when: PutIf) -> Result<Option<Version>> {
        match patiently(|| self.provider.put(key, body.into(), when.clone())).await {
            Ok(version) => Ok(Some(version)),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(None),
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                Err(broken("a put with a condition is not implemented").with_source(error))
            }
            Err(error) => Err(error),
        }
    }

    /// What a get finds after a put that succeeded; `old` is what was there before it.
    async fn latest(&self, key: &Key, old: &[&str]) -> Result<Object> {
        let found = match patiently(|| self.provider.get(key, Get::whole())).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(misbehaves(
                    "reads are stale: a get right after a put that succeeded finds no object",
                ));
            }
            found => found?,
        };
        if old.iter().any(|old| found.body == **old) {
            return Err(misbehaves(
                "reads are stale: a get right after a put that succeeded finds the object before it",
            ));
        }
        Ok(found)
    }
}

/// Sends again what was certainly not done and may be later.
async fn patiently<T, F: Future<Output = Result<T>>>(request: impl FnMut() -> F) -> Result<T> {
    resend(request, refused).await
}

fn refused(error: &Error) -> bool {
    error.kind().is_transient() && error.effect() == Effect::NotApplied
}

async fn resend<T, F: Future<Output = Result<T>>>(
    mut request: impl FnMut() -> F,
    again: impl Fn(&Error) -> bool,
) -> Result<T> {
    for resend in 0..RESENDS_MAX {
        match request().await {
            Err(error) if again(&error) => {
                let asked = error.retry_after().unwrap_or_default().min(RESEND_AFTER_MAX);
                tokio::time::sleep(asked.max(RESEND_AFTER * 2_u32.pow(resend))).await;
            }
            result => return result,
        }
    }
    request().await
}

fn broken(seen: &str) -> Error {
    Error::not_applied(
        ErrorKind::Misconfigured,
        format!("this service does not keep conditions of puts: {seen}; {UNSUPPORTED_WAY_OUT}"),
    )
}

/// For what no setting helps against.
fn misbehaves(seen: &str) -> Error {
    Error::not_applied(
        ErrorKind::Misconfigured,
        format!("this service cannot be used: {seen}; check that nothing before it caches"),
    )
}
