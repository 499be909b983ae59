//! `provider rm`: objects by name, or all under a prefix.

use futures_util::{StreamExt, TryStreamExt};
use serde_json::json;
use storage_core::{Key, Prefix, StorageProviderExt};

use super::Place;
use crate::error::{Code, Error, Result};
use crate::output::{confirm, count};
use crate::run::Context;

/// How many keys are handed over for deletion at a time.
const BATCH_KEYS_MAX: usize = 1000;

pub(super) enum Rm {
    Keys(Vec<Key>),
    Prefix { prefix: Prefix, yes: bool },
}

impl Rm {
    pub(super) async fn run(self, context: &Context, place: &Place) -> Result<()> {
        let mut tally = Tally { context, place, removed: 0, failed: Vec::new() };
        match self {
            Self::Keys(keys) => {
                let provider = place.open().await?;
                tally.remove(&*provider, keys).await;
            }
            Self::Prefix { prefix, yes } => {
                let provider = place.open().await?;
                if !yes {
                    ask(&*provider, &prefix, place).await?;
                }
                // A page is removed once it is complete: what is listed next does not depend on it.
                let mut batches = provider.list_all(&prefix).try_chunks(BATCH_KEYS_MAX);
                while let Some(batch) = batches.next().await {
                    let (objects, error) = match batch {
                        Ok(objects) => (objects, None),
                        Err(cut) => (cut.0, Some(cut.1)),
                    };
                    let keys = objects.into_iter().map(|object| object.key).collect();
                    tally.remove(&*provider, keys).await;
                    if let Some(error) = error {
                        return Err(place.explain()(error));
                    }
                }
            }
        }
        tally.finish()
    }
}

async fn ask(
    provider: &dyn storage_core::StorageProvider,
    prefix: &Prefix,
    place: &Place,
) -> Result<()> {
    let number = provider
        .list_all(prefix)
        .try_fold(0, |number, _| async move { Ok(number + 1) })
        .await
        .map_err(place.explain())?;
    let (objects, name) = (count(number, "object"), place.name());
    let under = match prefix.as_str() {
        "" => "everything".to_owned(),
        prefix => format!("under `{prefix}`"),
    };
    match confirm(&format!("remove {objects}, {under}, from provider `{name}`?")) {
        Some(true) => Ok(()),
        Some(false) => Err(Error::Failed("nothing was removed".into())),
        None => Err(Error::Usage(format!(
            "this would remove {objects}, {under}, from provider `{name}`\n  = add --yes: there is no terminal to ask on"
        ))),
    }
}

struct Tally<'a> {
    context: &'a Context,
    place: &'a Place,
    removed: u64,
    failed: Vec<Code>,
}

impl Tally<'_> {
    async fn remove(&mut self, provider: &dyn storage_core::StorageProvider, keys: Vec<Key>) {
        let number = keys.len();
        let failures = match provider.delete_many(keys).await {
            Ok(()) => Vec::new(),
            Err(error) => error.failures,
        };
        self.removed += (number - failures.len()) as u64;
        for (_, error) in failures {
            let error = Error::provider(self.place.name(), error);
            self.context.output.failure(&error);
            self.failed.push(error.code());
        }
    }

    fn finish(self) -> Result<()> {
        let failed = self.failed.len() as u64;
        let mut words = format!("removed {}", count(self.removed, "object"));
        if failed > 0 {
            words += &format!(", {failed} failed");
        }
        self.context.output.done(words, &json!({ "removed": self.removed, "failed": failed }))?;
        worst_of(&self.failed)
    }
}

/// One exit code for many failures: theirs if they agree, unknown if any is, else "failed".
pub(crate) fn worst_of(codes: &[Code]) -> Result<()> {
    match codes {
        [] => Ok(()),
        [first, rest @ ..] if rest.iter().all(|code| code == first) => Err(Error::Reported(*first)),
        codes if codes.contains(&Code::Unknown) => Err(Error::Reported(Code::Unknown)),
        _ => Err(Error::Reported(Code::Failed)),
    }
}
