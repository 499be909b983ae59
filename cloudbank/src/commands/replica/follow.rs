//! `replica follow`: copies what is committed, until it is interrupted.

use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::json;
use storage_txn::{ErrorKind, Followed, Replica, ReplicaOptions, ReplicaProgress};
use storage_wrappers::TokioEnv;

use super::Pair;
use crate::cli::WhichReplica;
use crate::commands::store::at::moment;
use crate::config::human_size;
use crate::error::{Error, Result};
use crate::output::{count, grouped};
use crate::run::Context;

const BAR: &str = "{bar:30} {pos}/{len} entries  {eta} left  {msg}";
/// How long it waits after a failure, at first and at most.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

pub(super) struct Follow {
    pub(super) which: WhichReplica,
    pub(super) once: bool,
    pub(super) every: Duration,
    pub(super) at_once: usize,
}

impl Follow {
    pub(super) async fn run(&self, context: &Context) -> Result<()> {
        let pair = Pair::find(context, &self.which)?;
        let begin = self.begin(&pair);
        let mut replica = context.unless_interrupted("no copy may have been begun", begin).await?;
        let followed = self.follow(context, &pair, &mut replica).await;
        // It would end by itself, so this may fail, but not take long.
        let _ = tokio::time::timeout(PAUSE_MAX, replica.release()).await;
        followed
    }

    async fn begin(&self, pair: &Pair) -> Result<Replica> {
        let mut options = ReplicaOptions::default();
        options.objects_at_once = self.at_once;
        let (store, copy) = (pair.store(false).await?, pair.copy().await?);
        let begun = Replica::begin(store, copy, Arc::new(TokioEnv::new()), options).await;
        begun.map_err(|error| pair.explain(error))
    }

    async fn follow(&self, context: &Context, pair: &Pair, replica: &mut Replica) -> Result<()> {
        let mut pause = PAUSE_MIN;
        let mut said = None;
        loop {
            let bar = context.output.progress(None, BAR);
            let mut tell = |progress: ReplicaProgress| show(&bar, &progress);
            let followed = tokio::select! {
                followed = replica.follow(&mut tell) => followed,
                () = context.interrupted() => {
                    bar.finish_and_clear();
                    return Err(interrupted(said));
                }
            };
            bar.finish_and_clear();
            let wait = match followed {
                Ok(followed) => {
                    // The first is told also when nothing was to be done.
                    if followed.copied.entries > 0 || said.is_none() {
                        self.say(context, &followed)?;
                    }
                    said = Some(followed);
                    pause = PAUSE_MIN;
                    if self.once {
                        return Ok(());
                    }
                    self.every
                }
                Err(error) => {
                    let passes =
                        matches!(error.kind(), ErrorKind::Storage(kind) if kind.is_transient());
                    if self.once || !passes {
                        return Err(pair.explain(error));
                    }
                    context.output.note(format_args!(
                        "warning: {}; tried again in {}",
                        pair.explain(error),
                        humantime::format_duration(pause)
                    ));
                    let wait = pause;
                    pause = (pause * 2).min(PAUSE_MAX);
                    wait
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = context.interrupted() => return Err(interrupted(said)),
            }
        }
    }

    fn say(&self, context: &Context, followed: &Followed) -> Result<()> {
        let copied = &followed.copied;
        let what = match copied.entries + copied.objects {
            0 => "nothing is new".to_owned(),
            _ => amount(copied),
        };
        context.output.done(
            format!("version {} of {}: {what}", followed.version, moment(followed.time)),
            &json!({
                "version": followed.version.0,
                "time": moment(followed.time),
                "filled": copied.filling,
                "entries": copied.entries,
                "objects": copied.objects,
                "bytes": copied.bytes,
            }),
        )?;
        context.output.flush()
    }
}

fn amount(copied: &ReplicaProgress) -> String {
    let entries = match copied.entries {
        1 => "1 entry".to_owned(),
        number => format!("{} entries", grouped(number)),
    };
    format!("{entries} and {}, {}", count(copied.objects, "object"), human_size(copied.bytes))
}

fn show(bar: &ProgressBar, progress: &ReplicaProgress) {
    bar.set_length(progress.entries_total.max(progress.entries));
    bar.set_position(progress.entries);
    let objects = format!("{}, {}", count(progress.objects, "object"), human_size(progress.bytes));
    bar.set_message(if progress.filling { format!("filling: {objects}") } else { objects });
}

fn interrupted(said: Option<Followed>) -> Error {
    Error::Interrupted(match said {
        Some(followed) => format!(
            "the copy has version {}; run the same command again to go on",
            followed.version
        ),
        None => "what was copied stays; run the same command again to go on".into(),
    })
}
