//! `serve`: the store behind the protocols of gateways, until it is told to stop.

#[cfg(feature = "gateway-s3")]
mod s3;
#[cfg(feature = "gateway-tahoe")]
mod tahoe;
#[cfg(feature = "gateway-tahoe")]
mod tahoe_only;

use std::sync::Arc;
use std::time::Duration;

use gateway_http::Listener;
use storage_txn::{ErrorKind, Options, Place, Store};
use storage_wrappers::TokioEnv;
use tokio::task::JoinSet;

use crate::cli::{ServeArgs, Served};
use crate::config::{ADDRESS_EXPECTED, Address, Config, ServerSettings};
use crate::error::{Error, Result};
use crate::run::Context;
use crate::serve::upkeep;

/// How many requests of an operator are answered at a time.
const ADMIN_REQUESTS_MAX: usize = 16;
/// How long the log is tidied up at the end, at most.
const TIDY_TIME_MAX: Duration = Duration::from_secs(10);
/// From so many entries on it is worth it.
const TAIL_ENTRIES_MAX: u64 = 64;

pub(crate) async fn run(context: &Context, arguments: &ServeArgs) -> Result<()> {
    match arguments.what {
        #[cfg(feature = "gateway-tahoe")]
        Served::Tahoe => tahoe_only::run(context, arguments).await,
        #[cfg(all(feature = "gateway-tahoe", not(feature = "gateway-s3")))]
        Served::All => tahoe_only::run(context, arguments).await,
        #[cfg(feature = "gateway-s3")]
        Served::S3 | Served::All => s3::run(context, arguments).await,
    }
}

fn address(option: &str, text: &str) -> Result<Address> {
    Address::parse(text).ok_or_else(|| {
        Error::Usage(format!(
            "{option} {text} is no address to listen on\n  = expected {ADDRESS_EXPECTED}"
        ))
    })
}

fn bind(address: &Address) -> Result<Listener> {
    let socket = address.socket;
    Listener::bind(socket).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => Error::Failed(format!(
            "something listens on {socket} already\n  = choose another with --listen and --admin, or in [s3] and \
             [server]; port 0 is any that is free"
        )),
        _ => Error::File { what: format!("listen on {socket}"), error },
    })
}

/// Opens the store, or makes one where there is none.
async fn open(context: &Context, name: &str, place: Place, options: Options) -> Result<Store> {
    let env = Arc::new(TokioEnv::new());
    let open = || Store::open(place.clone(), env.clone(), options.clone());
    let opened = match open().await {
        Err(error) if error.kind() == ErrorKind::NoStore => {
            match Store::init(place.clone(), env.clone(), options.clone()).await {
                // Another server was faster.
                Err(error) if error.kind() == ErrorKind::StoreExists => open().await,
                made => {
                    if made.is_ok() {
                        context.output.note(format_args!("made a store on `{name}`"));
                    }
                    made
                }
            }
        }
        opened => opened,
    };
    opened.map_err(|error| Error::store(name, error))
}

async fn spawn_upkeep(
    tasks: &mut JoinSet<()>,
    config: &Config,
    name: &str,
    store: &Store,
    server: &ServerSettings,
) -> Result<()> {
    if !server.upkeep {
        return Ok(());
    }
    tasks.spawn(upkeep::compact(store.clone(), server.compact_every));
    tasks.spawn(upkeep::collect(store.clone(), server.collect_every));
    let to_read = config.open_place(name, true).await?;
    tasks.spawn(upkeep::scrub(to_read, server.scrub_every, server.scrub_bytes_per_second));
    Ok(())
}

/// Leaves a log that is short to read, for whoever opens the store next.
async fn tidy(store: &Store) {
    let tidied = async {
        if store.info().await?.tail_entries() >= TAIL_ENTRIES_MAX {
            store.flush().await?;
        }
        Ok::<_, storage_txn::Error>(())
    };
    match tokio::time::timeout(TIDY_TIME_MAX, tidied).await {
        Ok(Ok(())) => {}
        // Nothing is lost by it: the next one reads a longer log.
        Ok(Err(error)) => tracing::warn!("the log could not be put into segments: {error}"),
        Err(_) => tracing::warn!("the log was not put into segments within {TIDY_TIME_MAX:?}"),
    }
}
