//! `provider cp`: from one provider to another, one object or all under a prefix.

mod plan;
mod transfer;

use std::time::Instant;

use futures_util::{StreamExt, TryStreamExt};
use indicatif::ProgressBar;
use serde_json::json;
use storage_core::{Get, Key, Prefix, StorageProvider, StorageProviderExt};

use crate::cli::CpArgs;
use crate::config::{Config, Provider, human_size};
use crate::error::{Code, Error, Result};
use crate::output::count;
use crate::run::Context;

use plan::{Item, Side, plan};
use transfer::{Done, Transfer};

const BAR: &str = "{bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left  {msg}";
const SPINNER: &str = "{spinner} {bytes}  {bytes_per_sec}  {msg}";

pub(super) async fn run(context: &Context, arguments: CpArgs) -> Result<()> {
    let config = context.config()?;
    let default = arguments.which.provider.as_deref();
    let from = End::parse(&config, &arguments.source, default)?;
    let to = End::parse(&config, &arguments.destination, default)?;
    if arguments.recursive {
        copy_all(context, &arguments, &from, &to).await
    } else {
        copy_one(context, &arguments, &from, &to).await
    }
}

/// One end of a copy, as typed.
struct End<'a> {
    provider: &'a Provider,
    path: String,
}

impl<'a> End<'a> {
    fn parse(config: &'a Config, text: &str, default: Option<&str>) -> Result<Self> {
        let (name, path) = match text.split_once(':') {
            Some((name, path)) => (Some(name), path),
            None => (default, text),
        };
        if name.is_none() {
            let only = config.provider(None).ok().map_or("NAME", Provider::name);
            return Err(Error::Usage(format!(
                "`{text}` does not say which provider\n  = expected NAME:KEY or NAME:PREFIX/, such as {only}:{text}"
            )));
        }
        Ok(Self { provider: config.provider(name)?, path: path.into() })
    }

    fn is_prefix(&self) -> bool {
        self.path.is_empty() || self.path.ends_with('/')
    }

    fn folder(&self) -> Result<Prefix> {
        let (name, path) = (self.provider.name(), &self.path);
        if !self.is_prefix() {
            return Err(Error::Usage(format!(
                "with --recursive both sides are prefixes\n  = expected a / at the end: {name}:{path}/"
            )));
        }
        super::prefix(path)
    }
}

async fn copy_one(
    context: &Context,
    arguments: &CpArgs,
    from: &End<'_>,
    to: &End<'_>,
) -> Result<()> {
    if from.is_prefix() {
        let (name, path) = (from.provider.name(), &from.path);
        return Err(Error::Usage(format!(
            "`{name}:{path}` is a prefix, not a key\n  = add --recursive to copy everything under it"
        )));
    }
    let source = super::key(&from.path)?;
    let destination = if to.is_prefix() {
        let last = from.path.rsplit('/').next().unwrap_or(&from.path);
        super::key(&format!("{}{last}", to.path))?
    } else {
        super::key(&to.path)?
    };
    if from.provider.name() == to.provider.name() && source == destination {
        return Err(Error::Usage("source and destination are the same object".into()));
    }
    let transfer = Transfer::open(from.provider, to.provider, arguments).await?;
    let meta = transfer.source.get(&source, Get::meta_only()).await;
    let size = meta.map_err(|error| from.provider.explain(error))?.size;
    let there = transfer.destination.get(&destination, Get::meta_only()).await;
    let there = match there {
        Ok(object) => Some(object.size),
        Err(error) if error.kind() == storage_core::ErrorKind::NotFound => None,
        Err(error) => return Err(to.provider.explain(error)),
    };
    let item = Item { source, destination, size, there };
    let mut tally = Tally::default();
    let bar = context.output.progress(Some(size), BAR);
    if arguments.dry_run {
        tally.dry(context, arguments, &item)?;
    } else {
        let done = transfer.run(&item, &bar).await;
        tally.add(context, &item, done)?;
    }
    bar.finish_and_clear();
    tally.finish(context, arguments)
}

async fn copy_all(
    context: &Context,
    arguments: &CpArgs,
    from: &End<'_>,
    to: &End<'_>,
) -> Result<()> {
    let (source, destination) = (from.folder()?, to.folder()?);
    if from.provider.name() == to.provider.name() {
        let (name, a, b) = (from.provider.name(), source.as_str(), destination.as_str());
        if a.starts_with(b) || b.starts_with(a) {
            return Err(Error::Usage(format!(
                "`{name}:{a}` and `{name}:{b}` overlap: what is copied would be copied again"
            )));
        }
    }
    let transfer = Transfer::open(from.provider, to.provider, arguments).await?;
    let bar = context.output.progress(None, SPINNER);
    let mut tally = Tally::default();
    let items = plan(
        Side { provider: &*transfer.source, prefix: &source },
        Side { provider: &*transfer.destination, prefix: &destination },
    );
    let copying = async {
        let transfer = &transfer;
        let bar = &bar;
        if arguments.dry_run {
            let mut items = std::pin::pin!(items);
            while let Some(item) =
                items.try_next().await.map_err(|cut| cut.explain(from.provider, to.provider))?
            {
                tally.dry(context, arguments, &item)?;
            }
            return Ok(());
        }
        let results = items
            .map(|item| async move {
                let item = item?;
                let done = transfer.run(&item, bar).await;
                Ok::<_, plan::Cut>((item, done))
            })
            .buffer_unordered(usize::from(arguments.concurrency));
        let mut results = std::pin::pin!(results);
        while let Some(result) = results.next().await {
            let (item, done) = result.map_err(|cut| cut.explain(from.provider, to.provider))?;
            tally.add(context, &item, done)?;
            bar.set_message(tally.words());
        }
        Ok(())
    };
    let measured = context.output.shows_progress();
    let result = tokio::select! {
        result = copying => result,
        // Only adds a total to the progress, and ends long before the copying or is not missed.
        never = measure(measured, &*transfer.source, &source, &bar) => match never {},
    };
    bar.finish_and_clear();
    if let Err(error) = result {
        context.output.note(tally.words());
        return Err(error);
    }
    tally.finish(context, arguments)
}

/// Lists the source once more to know how much there is, for the estimate; then waits for ever.
async fn measure(
    wanted: bool,
    source: &dyn StorageProvider,
    prefix: &Prefix,
    bar: &ProgressBar,
) -> std::convert::Infallible {
    if wanted {
        let total = source
            .list_all(prefix)
            .try_fold(0, |total, object| async move { Ok(total + object.size) })
            .await;
        if let Ok(total) = total {
            bar.set_length(total);
            if let Ok(style) = indicatif::ProgressStyle::with_template(BAR) {
                bar.set_style(style.progress_chars("=> "));
            }
        }
    }
    std::future::pending().await
}

/// What has been done so far.
struct Tally {
    start: Instant,
    copied: u64,
    bytes: u64,
    skipped: u64,
    differ: u64,
    failed: Vec<Code>,
}

impl Default for Tally {
    fn default() -> Self {
        let start = Instant::now();
        Self { start, copied: 0, bytes: 0, skipped: 0, differ: 0, failed: Vec::new() }
    }
}

impl Tally {
    fn add(&mut self, context: &Context, item: &Item, done: Result<Done>) -> Result<()> {
        match done {
            Ok(Done::Copied) => {
                self.copied += 1;
                self.bytes += item.size;
                tracing::info!("copied {} to {}", item.source, item.destination);
            }
            Ok(Done::Skipped) => {
                self.skipped += 1;
                tracing::info!("{} is there already", item.destination);
            }
            Ok(Done::Differs) => {
                self.differ += 1;
                context.output.failure(&differs(item));
            }
            Err(error) => {
                self.failed.push(error.code());
                context.output.failure(&error);
            }
        }
        Ok(())
    }

    /// Says what would be done with an object.
    fn dry(&mut self, context: &Context, arguments: &CpArgs, item: &Item) -> Result<()> {
        let action = match item.there {
            None => "copy",
            Some(there) if there == item.size && arguments.verify => "compare",
            Some(there) if there == item.size => "skip",
            Some(_) if arguments.overwrite => "replace",
            Some(_) => "refuse",
        };
        match action {
            "copy" | "replace" => {
                self.copied += 1;
                self.bytes += item.size;
            }
            "refuse" => self.differ += 1,
            _ => self.skipped += 1,
        }
        if context.output.json {
            return context.output.json(&json!({
                "action": action,
                "from": item.source.as_str(),
                "to": item.destination.as_str(),
                "size": item.size,
            }));
        }
        let (from, to) = (&item.source, &item.destination);
        context.output.line(format_args!("{action:8} {from} -> {to}  {}", human_size(item.size)))
    }

    fn words(&self) -> String {
        let mut words =
            format!("{} copied ({})", count(self.copied, "object"), human_size(self.bytes));
        if self.skipped > 0 {
            words += &format!(", {} there already", self.skipped);
        }
        if self.differ > 0 {
            words += &format!(", {} there but different", self.differ);
        }
        if !self.failed.is_empty() {
            words += &format!(", {} failed", self.failed.len());
        }
        words
    }

    fn finish(self, context: &Context, arguments: &CpArgs) -> Result<()> {
        let words = match arguments.dry_run {
            true => format!("nothing done; it would be: {}", self.words()),
            false => format!("{} in {:.1} s", self.words(), self.start.elapsed().as_secs_f64()),
        };
        context.output.done(
            words,
            &json!({
                "copied": self.copied,
                "bytes": self.bytes,
                "skipped": self.skipped,
                "differ": self.differ,
                "failed": self.failed.len(),
                "dry_run": arguments.dry_run,
            }),
        )?;
        let mut codes = self.failed;
        if self.differ > 0 && !arguments.dry_run {
            codes.push(Code::Conflict);
        }
        super::rm::worst_of(&codes)
    }
}

fn differs(item: &Item) -> Error {
    let (key, size) = (&item.destination, item.size);
    Error::Conflict(match item.there {
        Some(there) if there != size => format!(
            "`{key}` is there with {there} bytes, not {size}, and was left as it is (--overwrite replaces it)"
        ),
        _ => format!(
            "`{key}` is there with other content, and was left as it is (--overwrite replaces it)"
        ),
    })
}

/// The key under another prefix.
fn moved(
    key: &Key,
    from: &Prefix,
    to: &Prefix,
) -> std::result::Result<Key, storage_core::KeyProblem> {
    to.join(&key.as_str()[from.as_str().len()..])
}
