//! `array add|remove|replace --log`: who votes for the log of the store, changed while the store is used.

use std::sync::Arc;

use serde_json::json;
use storage_txn::{CopyProgress, Options, Store, VoterChange, VoterStatus};
use storage_wrappers::TokioEnv;

use crate::commands::to_write::{ToWrite, list};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::output::count;
use crate::run::Context;

pub(super) const REMAINS: &str =
    "who votes is changed or not, never half; run the same command again to finish it";
const BAR: &str = "{bar:30} {pos}/{len} decisions copied  {per_sec}  {eta} left";

/// The store of the configuration, and those who may vote for its log, in the order of their numbers.
struct Site {
    config: Config,
    names: Vec<String>,
    log: Vec<String>,
}

pub(super) async fn add(context: &Context, new: &str, weight: Option<u64>) -> Result<()> {
    if weight.is_some() {
        return Err(Error::Usage("a voter has no weight: each has one vote".into()));
    }
    let site = Site::find(context)?;
    let change = VoterChange::Add(site.newcomer(new)?);
    site.change(context, change, &format!("`{new}` votes now")).await
}

pub(super) async fn remove(context: &Context, old: &str) -> Result<()> {
    let site = Site::find(context)?;
    let change = VoterChange::Remove(site.voter(old)?);
    site.change(context, change, &format!("`{old}` votes no more")).await
}

pub(super) async fn replace(context: &Context, old: &str, new: &str) -> Result<()> {
    let site = Site::find(context)?;
    if old == new {
        return Err(Error::Usage(format!(
            "`{old}` cannot take its own place\n  = one that was wiped votes again after: cloudbank store mend"
        )));
    }
    let change = VoterChange::Replace { old: site.voter(old)?, new: site.newcomer(new)? };
    site.change(context, change, &format!("`{new}` votes in the place of `{old}`")).await
}

impl Site {
    fn find(context: &Context) -> Result<Self> {
        let config = context.config()?;
        // What is wrong with `[store]` is said first.
        config.store_provider(None)?;
        let Some((log, _)) = config.store_voters() else {
            return Err(Error::Usage(
                "the log of the store is on one provider, and nobody votes\n  = voters are named in [store]: log = [\"a\", \"b\", \"c\"]".into(),
            ));
        };
        let names = [&log[..], config.store_spares()].concat();
        Ok(Self { config, names, log })
    }

    fn voter(&self, name: &str) -> Result<usize> {
        self.names.iter().position(|it| it == name).ok_or_else(|| {
            let names = self.names.join(", ");
            Error::NotFound(format!("`{name}` is no voter of the log\n  = [store] names {names}"))
        })
    }

    /// Who is to vote, which all who use the store have to know.
    fn newcomer(&self, name: &str) -> Result<usize> {
        self.config.provider(Some(name))?;
        self.voter(name).map_err(|_| {
            let spares = [self.config.store_spares(), &[name.to_owned()]].concat();
            Error::Usage(format!(
                "`{name}` is not named in [store], so whoever uses the store now could not reach it\n  = write in {}, [store], wherever the store is used: spares = {}\n  = restart what uses it, and run this again",
                self.config.source().name,
                list(&spares)
            ))
        })
    }

    async fn change(&self, context: &Context, change: VoterChange, words: &str) -> Result<()> {
        let name = self.config.store_provider(None)?.name().to_owned();
        let place = self.config.open_place(&name, false).await?;
        let failed = |error| Error::store(&name, error);
        let env = Arc::new(TokioEnv::new());
        let opened = Store::open(place.clone(), env, Options::default()).await;
        let store = opened.map_err(failed)?;
        let bar = context.output.progress(Some(0), BAR);
        let tell = |progress: CopyProgress| {
            bar.set_length(progress.decided);
            bar.set_position(progress.copied);
        };
        let changed = store.change_voters(change, &tell).await;
        bar.finish_and_clear();
        let changed = changed.map_err(failed)?;
        let voters = store.info().await.map_err(failed)?.voters;
        // As the configuration calls them.
        let known = place.voter_names();
        let named = |voter: VoterStatus| {
            let provider = voter.provider?;
            Some(self.names[known.iter().position(|name| *name == provider)?].clone())
        };
        self.tell(context, changed, words, &voters.into_iter().map(named).collect::<Vec<_>>())
    }

    /// `None` stands for a voter that none of the providers is that answer.
    fn tell(
        &self,
        context: &Context,
        changed: bool,
        words: &str,
        voters: &[Option<String>],
    ) -> Result<()> {
        let shown =
            |name: &Option<String>| name.clone().unwrap_or_else(|| "one that is away".into());
        let names: Vec<_> = voters.iter().map(shown).collect();
        let quorum = names.len() / 2 + 1;
        let file = &self.config.source().name;
        let settings = self.settings(voters);
        let said = if changed { words.to_owned() } else { format!("{words}, as before") };
        let mut lines = vec![
            said,
            format!(
                "voters: {}; {quorum} of {} decide, so {} may be lost",
                names.join(", "),
                names.len(),
                count((names.len() - quorum) as u64, "voter")
            ),
        ];
        if names.len().is_multiple_of(2) {
            let next =
                "next: add or remove another; an even number survives no more losses than one less";
            lines.push(next.into());
        }
        lines.extend(settings.lines(file));
        context.output.done(
            lines.join("\n"),
            &json!({ "changed": changed, "voters": names, "quorum": quorum, "file": file, "settings": settings.json() }),
        )
    }

    /// What is to be written in `[store]`: nothing while the number of voters is one that cannot be, or who they are is not known.
    fn settings(&self, voters: &[Option<String>]) -> ToWrite {
        let Some(voters) = voters.iter().cloned().collect::<Option<Vec<_>>>() else {
            return ToWrite::default();
        };
        if voters.len().is_multiple_of(2) {
            return ToWrite::default();
        }
        let mut settings = ToWrite::default();
        if voters != self.log {
            settings.names("log", &voters);
        }
        settings.spares(self.config.store_spares(), &voters);
        settings
    }
}
