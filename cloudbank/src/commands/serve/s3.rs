//! `serve`: the store behind the S3 protocol, and beside it what else is configured, until it is told to stop.

use std::sync::Arc;
use std::time::Duration;

use gateway_http::{Certificates, Drained, Limits, Listener};
use gateway_s3::Gateway;
use storage_txn::{Options, Store};
use tokio::task::JoinSet;

use super::{ADMIN_REQUESTS_MAX, address, bind, open, spawn_upkeep, tidy};
use crate::cli::ServeArgs;
#[cfg(feature = "gateway-tahoe")]
use crate::cli::Served;
use crate::config::{LogFormat, ServerSettings, Serving};
use crate::error::{Error, Result};
use crate::run::Context;
use crate::serve::admin::Admin;
use crate::serve::combiner::{self, Taker};
use crate::serve::door::S3;
use crate::serve::encryption;
use crate::serve::greeting::Greeting;
use crate::serve::health::Health;
use crate::serve::keys::{self, Keys};
use crate::serve::metrics::Recorder;
use crate::serve::traces::{Sender, TraceSettings};
use crate::serve::{logs, upkeep};

/// How large the objects of large values are at most. Smaller than those of commands: many are on their way at a time.
const CHUNK_BYTES: usize = 2 << 20;
/// How many requests one large object is written or read with at the same time.
const VALUE_REQUESTS: usize = 2;
/// What one upload holds at most: what is on its way, what is being filled, and what comes in.
const UPLOAD_BYTES: usize = (VALUE_REQUESTS + 2) * CHUNK_BYTES;
/// What one download holds at most: what was read ahead, and what is being sent.
const DOWNLOAD_BYTES: usize = (VALUE_REQUESTS + 1) * CHUNK_BYTES;
/// How long after the others' commits those who wait for changes hear of them, at most. Costs a request each time while
/// somebody waits.
const WATCH_PAUSE_MAX: Duration = Duration::from_secs(1);
pub(super) async fn run(context: &Context, arguments: &ServeArgs) -> Result<()> {
    let config = context.config();
    let format = config.as_ref().ok().and_then(|config| config.serving().ok());
    let configured = format.and_then(|serving| serving.server.traces.as_deref());
    let traces = TraceSettings::read(configured, |name| std::env::var(name).ok());
    let (spans, traces) = match traces.as_ref().ok().cloned().flatten().map(Sender::start) {
        Some(started) => started.map(|(spans, sender)| (Some(spans), Some(sender)))?,
        None => (None, traces.map(|_| None)?),
    };
    let log = format.map_or(LogFormat::Text, |serving| serving.server.log);
    logs::start(&context.global, log, spans);
    let config = config?;
    let serving = config.serving()?;
    let recorder = Recorder::install();

    let listeners = bind_all(serving, &arguments.listen)?;
    let admin_address = match arguments.admin.as_deref() {
        None => serving.server.admin.clone(),
        Some("off") => None,
        Some(text) => Some(address("--admin", text)?),
    };
    let admin_listener = admin_address.map(|address| bind(&address)).transpose()?;
    let combining = serving.combiner.as_ref();
    let line = combining.map(combiner::line).transpose()?.flatten();
    let listener = combining.map(|settings| combiner::listener(settings, bind)).transpose()?;
    let combiner_listener = listener.flatten();
    let provider = config.store_provider(arguments.which.provider.as_deref())?;
    // Only now: what cannot be served leaves no file behind.
    let keys = Arc::new(load_keys(context, serving)?);

    let name = provider.name().to_owned();
    let opened = config.open_place(&name, false);
    let remains = "nothing was served";
    let place = context.unless_interrupted(remains, opened).await?;
    let described = place.name();
    #[cfg(feature = "gateway-tahoe")]
    let tahoe_place = place.clone();
    let options = s3_options(serving);
    let opening = open(context, &name, place, options);
    let store = context.unless_interrupted(remains, opening).await?;
    if provider.backend().is_volatile() {
        context.output.note(format_args!(
            "warning: provider `{name}` keeps its objects in memory: they end with this server"
        ));
    }

    if let (Some(line), Some(settings)) = (line, combining) {
        store.combine_through(line, settings.key.clone());
    }
    let gateway = gateway(context, &store, &keys, serving)?;
    let health = Health::new(store.clone());
    let mut tasks = JoinSet::new();
    tasks.spawn(keys.clone().watch());
    spawn_upkeep(&mut tasks, &config, &name, &store, &serving.server).await?;
    if serving.server.upkeep {
        tasks.spawn(upkeep::expire(gateway.clone(), expiry(&serving.server)));
    }

    let given = &serving.s3;
    let only_key = keys.only().filter(|_| !given.keys_are_given);
    let greeting = Greeting {
        listeners: &listeners,
        admin: admin_listener.as_ref().map(Listener::address),
        combiner: combiner_listener.as_ref().map(Listener::address),
        store: (&name, &described),
        region: &given.region,
        keys: keys.count(),
        keys_file: given.keys.is_empty().then_some(given.keys_file.as_path()),
        only_key: only_key.as_ref(),
    };
    #[cfg(feature = "gateway-tahoe")]
    let beside = match arguments.what == Served::All && serving.tahoe.is_given {
        true => Some(super::tahoe_only::beside(context, &name, tahoe_place, serving).await?),
        false => None,
    };
    greeting.say(&context.output)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), provider = name, "serving");

    let mut limits = serving.server.limits.clone();
    limits.request_stream_bytes = UPLOAD_BYTES;
    limits.answer_stream_bytes = DOWNLOAD_BYTES;
    let door = S3::new(gateway, health.clone(), &given.domains);
    let admin = Admin::new(health.clone(), recorder, store.clone(), config.arrays().clone());
    let taker = combining.map(|settings| combiner::taker(settings, &store));
    let combiner = combiner_listener.zip(taker);
    let served = (listeners, door);
    let served = serve(context, limits, served, (admin_listener, admin), combiner, &health);
    #[cfg(feature = "gateway-tahoe")]
    let drained = match beside {
        Some(server) => tokio::join!(served, server.serve(context.interrupted())).0,
        None => served.await,
    };
    #[cfg(not(feature = "gateway-tahoe"))]
    let drained = served.await;
    tasks.shutdown().await;
    tidy(&store).await;
    if let Some(traces) = traces {
        traces.finish().await;
    }
    tracing::info!(connections = drained.open, cut_off = drained.cut_off, "stopped");
    if drained.cut_off > 0 {
        context.output.note(format_args!(
            "{} had not ended in time and were cut off",
            crate::output::count(drained.cut_off as u64, "connection")
        ));
    }
    Ok(())
}

/// Serves until the user stops it. The operator, and other servers, are served until everything else has ended.
async fn serve(
    context: &Context,
    limits: Limits,
    (listeners, door): (Vec<Listener>, S3),
    (admin_listener, admin): (Option<Listener>, Admin),
    combiner: Option<(Listener, Taker)>,
    health: &Health,
) -> Drained {
    let (all_done, done) = tokio::sync::oneshot::channel::<()>();
    let (clients_done, combiner_done) = tokio::sync::oneshot::channel::<()>();
    let combiner_limits = combiner::limits(limits.clone());
    let mut admin_limits = limits.clone();
    admin_limits.requests_max = ADMIN_REQUESTS_MAX;
    admin_limits.drain_time_max = Duration::from_secs(1);
    let stopped = async {
        context.interrupted().await;
        health.stop();
        tracing::info!("stopping");
    };
    let main = async {
        let drained = gateway_http::serve(listeners, door, limits, stopped).await;
        drop(all_done);
        drop(clients_done);
        drained
    };
    let operator = async {
        let listeners = admin_listener.into_iter().collect();
        gateway_http::serve(listeners, admin, admin_limits, async {
            let _ = done.await;
        })
        .await
    };
    let others = async {
        let Some((listener, taker)) = combiner else { return };
        gateway_http::serve(vec![listener], taker, combiner_limits, async {
            let _ = combiner_done.await;
        })
        .await;
    };
    tokio::join!(main, operator, others).0
}

fn bind_all(serving: &Serving, asked_for: &[String]) -> Result<Vec<Listener>> {
    let addresses = match asked_for {
        [] => serving.s3.listen.clone(),
        texts => texts.iter().map(|text| address("--listen", text)).collect::<Result<_>>()?,
    };
    let certificates = match &serving.s3.tls {
        Some((chain, key)) => Some(
            Certificates::load(chain, key)
                .map_err(|error| Error::Usage(format!("the certificate of [s3]: {error}")))?,
        ),
        None => None,
    };
    let mut listeners = Vec::new();
    for address in addresses {
        let listener = bind(&address)?;
        listeners.push(match &certificates {
            Some(certificates) => listener.with_tls(certificates.clone()),
            None => listener,
        });
    }
    Ok(listeners)
}

/// The keys that are configured; those of a file that is made now when none are.
fn load_keys(context: &Context, serving: &Serving) -> Result<Keys> {
    let s3 = &serving.s3;
    let file = s3.keys_file.as_path();
    if !s3.keys_are_given && keys::make_file(file)? {
        context.output.note(format_args!("made an access key, in {}", file.display()));
    }
    let named = !s3.keys_are_given || s3.keys.is_empty() || file.exists();
    let keys = Keys::load(s3.keys.clone(), named.then_some(file))?;
    if keys.count() == 0 {
        return Err(Error::Usage(
            "there is no access key, so nobody could ask for anything\n  = add [[s3.keys]] with access_key and \
             secret_key"
                .into(),
        ));
    }
    Ok(keys)
}

/// How the store is used for S3.
fn s3_options(serving: &Serving) -> Options {
    let mut options = Options::default();
    options.chunk_bytes = CHUNK_BYTES;
    options.value_requests_max = VALUE_REQUESTS;
    options.compaction_bytes_per_second = serving.server.compact_bytes_per_second;
    options.watch_pause_max = WATCH_PAUSE_MAX;
    if let Some(combiner) = &serving.combiner {
        options.combiner_time_max = combiner.wait_max;
    }
    options.cache_bytes_max = usize::try_from(serving.server.cache_bytes).unwrap_or(usize::MAX);
    options
}

fn gateway(
    context: &Context,
    store: &Store,
    keys: &Arc<Keys>,
    serving: &Serving,
) -> Result<Gateway> {
    let s3 = &serving.s3;
    let file = s3.encryption_key_file.as_path();
    let encryption_key = match encryption::load(s3.encryption_key.as_ref(), file) {
        Ok((key, made)) => {
            if made {
                context.output.note(format_args!(
                    "made an encryption key, in {}; what is encrypted cannot be read without it",
                    file.display()
                ));
            }
            Some(key)
        }
        // Where nothing was made before, nothing was encrypted.
        Err(Error::File { what, error }) if !file.exists() => {
            let output = &context.output;
            output.note(format_args!("warning: nothing can be encrypted: {what}: {error}"));
            None
        }
        Err(error) => return Err(error),
    };
    let mut options = gateway_s3::Options::default();
    options.region.clone_from(&s3.region);
    options.domains.clone_from(&s3.domains);
    options.encryption_key = encryption_key;
    options.signature_v2 = s3.signature_v2;
    options.staleness_max = s3.staleness_max.unwrap_or_default();
    options.put_bytes_max = options.put_bytes_max.min(serving.server.limits.body_bytes_max);
    Gateway::new(store.clone(), keys.clone(), options)
        .map_err(|error| Error::Usage(format!("the settings of [s3]: {error}")))
}

/// How objects expire by the rules of their buckets.
fn expiry(server: &ServerSettings) -> upkeep::Expire {
    upkeep::Expire {
        every: server.expire_every,
        records_per_second: server.expire_records_per_second,
        day: server.expire_day,
    }
}
