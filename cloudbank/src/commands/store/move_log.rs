//! `store move-log`: the log goes to a quorum of voters, or back to where the objects are, while the store is used.

use serde_json::json;
use storage_txn::{CopyProgress, LogTarget};

use super::open::OpenStore;
use crate::cli::StoreWhich;
use crate::commands::to_write::{ToWrite, list};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::output::count;
use crate::run::Context;

pub(super) const REMAINS: &str =
    "the log is where it was, or where it is to be; run the same command again to finish it";
const BAR: &str = "{bar:30} {pos}/{len} entries copied  {per_sec}  {eta} left";

pub(super) async fn run(context: &Context, providers: &[String]) -> Result<()> {
    let config = context.config()?;
    // What is wrong with `[store]` is said first.
    config.store_provider(None)?;
    let site = Site::find(&config)?;
    let target = site.target(providers)?;
    let opened = OpenStore::find(context, &StoreWhich { provider: None }).await?;
    let bar = context.output.progress(Some(0), BAR);
    let tell = |progress: CopyProgress| {
        bar.set_length(progress.decided.max(progress.copied));
        bar.set_position(progress.copied);
    };
    let moved = opened.store.move_log(&target, &tell).await;
    bar.finish_and_clear();
    let moved = moved.map_err(opened.explain())?;
    site.tell(context, moved, providers)
}

/// What the configuration says of the store.
struct Site<'a> {
    config: &'a Config,
    objects: String,
    /// Who may vote, in the order of their numbers.
    names: Vec<String>,
    voters: Option<Vec<String>>,
}

impl<'a> Site<'a> {
    fn find(config: &'a Config) -> Result<Self> {
        let spares = config.store_spares();
        if let Some((log, objects)) = config.store_voters() {
            let names = [&log[..], spares].concat();
            return Ok(Self { config, objects, names, voters: Some(log) });
        }
        match config.store_named() {
            Some(objects) if !objects.contains('+') => {
                Ok(Self { config, objects, names: spares.to_vec(), voters: None })
            }
            Some(_) => Err(Error::Usage(
                "the log and the objects of the store are on two providers, from where the log cannot be moved\n  = it can where [store] names one `provider`, or several voters as `log`".into(),
            )),
            None => Err(Error::Usage(
                "[store] does not say where the store is\n  = write in [store]: provider = \"NAME\"".into(),
            )),
        }
    }

    fn target(&self, providers: &[String]) -> Result<LogTarget> {
        for name in providers {
            self.config.provider(Some(name))?;
        }
        if let [one] = providers {
            return match *one == self.objects {
                true => Ok(LogTarget::Objects),
                false => Err(Error::Usage(format!(
                    "`{one}` does not keep the objects of the store, where the log can be alone\n  = that is `{}`; or name an odd number of voters, three at least",
                    self.objects
                ))),
            };
        }
        let count = providers.len();
        if count.is_multiple_of(2) {
            return Err(Error::Usage(format!(
                "a log has one provider, or an odd number of voters, and not {count}"
            )));
        }
        let mut numbers = Vec::with_capacity(count);
        for (at, name) in providers.iter().enumerate() {
            if providers[..at].contains(name) {
                return Err(Error::Usage(format!("`{name}` is named twice")));
            }
            match self.names.iter().position(|it| it == name) {
                Some(number) => numbers.push(number),
                None => return Err(self.unnamed(providers)),
            }
        }
        Ok(LogTarget::Voters(numbers))
    }

    /// What has to be written before the log can be moved to these.
    fn unnamed(&self, providers: &[String]) -> Error {
        let is_unnamed = |name: &&String| !self.names.contains(*name);
        let unnamed: Vec<_> = providers.iter().filter(is_unnamed).cloned().collect();
        let spares = [self.config.store_spares(), &unnamed].concat();
        Error::Usage(format!(
            "`{}`: not named in [store] as voters, so whoever uses the store now could not reach them\n  = write in {}, [store], wherever the store is used: spares = {}\n  = restart what uses it, and run this again",
            unnamed.join("`, `"),
            self.config.source().name,
            list(&spares)
        ))
    }

    fn tell(&self, context: &Context, moved: bool, providers: &[String]) -> Result<()> {
        let is_quorum = providers.len() > 1;
        let quorum = providers.len() / 2 + 1;
        let mut said = match is_quorum {
            false => format!("the log is on `{}` now, where the objects are", self.objects),
            true => format!(
                "the log is on {} now; {quorum} of {} decide, so {} may be lost",
                providers.join(", "),
                providers.len(),
                count((providers.len() - quorum) as u64, "voter")
            ),
        };
        if !moved {
            said += ", as before";
        }
        let settings = self.settings(providers);
        let file = &self.config.source().name;
        let mut lines = vec![said];
        if moved {
            let kept = "what the log has left is needed until everything that uses the store was restarted";
            lines.push(kept.into());
        }
        lines.extend(settings.lines(file));
        context.output.done(
            lines.join("\n"),
            &json!({ "moved": moved, "log": providers, "file": file, "settings": settings.json() }),
        )
    }

    /// What is to be written in `[store]`.
    fn settings(&self, providers: &[String]) -> ToWrite {
        let mut settings = ToWrite::default();
        if providers.len() > 1 {
            if self.voters.as_deref() != Some(providers) {
                settings.names("log", providers);
            }
            if self.voters.is_none() {
                settings.name("objects", &self.objects);
                settings.without("provider");
            }
        } else if self.voters.is_some() {
            settings.name("provider", &self.objects);
            settings.without("log");
            settings.without("objects");
        }
        if providers.len() > 1 {
            settings.spares(self.config.store_spares(), providers);
        }
        settings
    }
}
