//! `provider ...`: the objects of a provider, one at a time and many at once.

mod bench;
mod copy;
mod get;
mod ls;
mod place;
mod put;
mod rm;
mod stat;

use std::sync::Arc;

pub(crate) use get::parse_range;
pub(crate) use rm::worst_of;
use storage_core::{Key, Prefix, StorageProvider};

use crate::cli::{ProviderCommand, Which};
use crate::config::{Config, Provider};
use crate::error::{Error, Result};
use crate::run::Context;

const NOTHING_CHANGED: &str = "nothing was changed";

pub(crate) async fn run(context: &Context, command: ProviderCommand) -> Result<()> {
    match command {
        ProviderCommand::Ls { which, prefix, long, limit, start_after } => {
            let place = Place::find(context, &which)?;
            let ls = ls::Ls {
                prefix: self::prefix(&prefix)?,
                long,
                limit,
                start_after: start_after.as_deref().map(key).transpose()?,
            };
            context.unless_interrupted(NOTHING_CHANGED, ls.run(context, &place)).await
        }
        ProviderCommand::Put { which, key, file, if_absent, if_match } => {
            let place = Place::find(context, &which)?;
            let put = put::Put { key: self::key(&key)?, file, if_absent, if_match };
            let remains = format!("`{key}` may or may not have been stored; a part of it never is");
            context.unless_interrupted(&remains, put.run(context, &place)).await
        }
        ProviderCommand::Get { which, key, file, range, if_match, if_changed } => {
            let place = Place::find(context, &which)?;
            let get = get::Get {
                key: self::key(&key)?,
                file,
                range: range.as_deref().map(parse_range).transpose()?,
                if_match,
                if_changed,
            };
            context.unless_interrupted("no file was changed", get.run(context, &place)).await
        }
        ProviderCommand::Rm { which, keys, prefix, yes } => {
            let place = Place::find(context, &which)?;
            let rm = match prefix {
                Some(prefix) => rm::Rm::Prefix { prefix: self::prefix(&prefix)?, yes },
                None => rm::Rm::Keys(keys.iter().map(|text| key(text)).collect::<Result<_>>()?),
            };
            let remains = "some objects may have been removed; run the same command again";
            context.unless_interrupted(remains, rm.run(context, &place)).await
        }
        ProviderCommand::Stat { which, key } => {
            let place = Place::find(context, &which)?;
            let key = self::key(&key)?;
            context.unless_interrupted(NOTHING_CHANGED, stat::run(context, &place, &key)).await
        }
        ProviderCommand::Cp(arguments) => {
            let remains = "what has been copied stays; run the same command again to go on";
            context.unless_interrupted(remains, copy::run(context, arguments)).await
        }
        ProviderCommand::Create { which } => {
            let place = Place::find(context, &which)?;
            let remains = "it may or may not have been made";
            context.unless_interrupted(remains, place::create(context, &place)).await
        }
        ProviderCommand::Destroy { which, yes } => {
            let place = Place::find(context, &which)?;
            let remains = "it may or may not have been removed";
            context.unless_interrupted(remains, place::destroy(context, &place, yes)).await
        }
        ProviderCommand::Bench(arguments) => bench::run(context, arguments).await,
    }
}

/// The configured provider that a command works with.
pub(crate) struct Place {
    config: Config,
    name: String,
}

impl Place {
    pub(crate) fn find(context: &Context, which: &Which) -> Result<Self> {
        let config = context.config()?;
        let name = config.provider(which.provider.as_deref())?.name().to_owned();
        Ok(Self { config, name })
    }

    pub(crate) fn provider(&self) -> &Provider {
        self.config.provider(Some(&self.name)).expect("it was found just now")
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) async fn open(&self) -> Result<Arc<dyn StorageProvider>> {
        self.provider().open().await
    }

    /// For commands that change nothing.
    pub(crate) async fn open_to_read(&self) -> Result<Arc<dyn StorageProvider>> {
        self.provider().open_to_read().await
    }

    /// What to do with an error of the provider.
    pub(crate) fn explain(&self) -> impl Fn(storage_core::Error) -> Error + '_ {
        |error| self.provider().explain(error)
    }
}

/// A key as typed.
pub(super) fn key(text: &str) -> Result<Key> {
    Key::new(text).map_err(|problem| not_a_name("key", text, &problem))
}

/// A prefix as typed.
pub(super) fn prefix(text: &str) -> Result<Prefix> {
    Prefix::new(text).map_err(|problem| not_a_name("prefix", text, &problem))
}

fn not_a_name(what: &str, text: &str, problem: &storage_core::KeyProblem) -> Error {
    let mut message = format!("`{}` is not a {what}: {problem}", text.escape_debug());
    let mended: String = text
        .trim_matches('/')
        .chars()
        .map(|c| match c.to_ascii_lowercase() {
            '-' | '.' | ' ' => '_',
            c => c,
        })
        .collect();
    if mended != text && Key::new(&mended).is_ok() {
        message += &format!("\n  = `{mended}` would be one");
    }
    Error::Usage(message)
}
