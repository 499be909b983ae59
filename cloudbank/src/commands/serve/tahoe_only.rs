//! `serve tahoe` by itself, and beside other gateways.

use std::time::Duration;

use gateway_http::{Limits, Listener};
use serde_json::json;
#[cfg(feature = "gateway-s3")]
use storage_txn::Place;
use tokio::task::JoinSet;

use super::tahoe::{Overrides, Server, store_options};
use super::{ADMIN_REQUESTS_MAX, address, bind, open, spawn_upkeep, tidy};
use crate::cli::ServeArgs;
use crate::commands::tahoe::config_in;
#[cfg(feature = "gateway-s3")]
use crate::config::Serving;
use crate::config::{Address, LogFormat};
use crate::error::{Error, Result};
use crate::run::Context;
use crate::serve::admin::Admin;
use crate::serve::health::Health;
use crate::serve::logs;
use crate::serve::metrics::Recorder;

/// Serves Tahoe-LAFS clients and nobody else.
pub(super) async fn run(context: &Context, arguments: &ServeArgs) -> Result<()> {
    let given = &arguments.tahoe;
    let config = config_in(context, given.dir.as_deref());
    let format = config.as_ref().ok().and_then(|config| config.serving().ok());
    let log = format.map_or(LogFormat::Text, |serving| serving.server.log);
    logs::start(&context.global, log, None);
    let config = config?;
    let serving = config.serving()?;
    let recorder = Recorder::install();

    let admin_address = match arguments.admin.as_deref() {
        // Several such servers run on one machine, so it is nowhere by default.
        None => serving.server.admin.clone().filter(|_| serving.server.admin_is_given),
        Some("off") => None,
        Some(text) => Some(address("--admin", text)?),
    };
    let admin_listener = admin_address.map(|address| bind(&address)).transpose()?;
    let provider = config.store_provider(arguments.which.provider.as_deref())?;
    let name = provider.name().to_owned();
    let remains = "nothing was served";
    let place = context.unless_interrupted(remains, config.open_place(&name, false)).await?;
    let described = place.name();
    let options =
        store_options(serving.server.cache_bytes, serving.server.compact_bytes_per_second);
    let opening = open(context, &name, place, options);
    let store = context.unless_interrupted(remains, opening).await?;
    if provider.backend().is_volatile() {
        context.output.note(format_args!(
            "warning: provider `{name}` keeps its objects in memory: they end with this server"
        ));
    }
    let overrides = Overrides {
        folder: given.dir.clone(),
        addresses: addresses(arguments)?,
        control_port: given.control_port,
    };
    let limits = &serving.server.limits;
    let opening = Server::open(context, &serving.tahoe, overrides, store.clone(), limits);
    let server = context.unless_interrupted(remains, opening).await?;

    let mut tasks = JoinSet::new();
    spawn_upkeep(&mut tasks, &config, &name, &store, &serving.server).await?;
    say(context, &server, (&name, &described), admin_listener.as_ref())?;
    server.announce()?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), provider = name, "serving");

    let health = Health::new(store.clone());
    let admin = Admin::new(health.clone(), recorder, store.clone(), config.arrays().clone());
    let mut admin_limits = limits.clone();
    admin_limits.requests_max = ADMIN_REQUESTS_MAX;
    admin_limits.drain_time_max = Duration::from_secs(1);
    let drained = serve(context, server, (admin_listener, admin, admin_limits), &health).await;
    tasks.shutdown().await;
    tidy(&store).await;
    tracing::info!(connections = drained.open, cut_off = drained.cut_off, "stopped");
    Ok(())
}

/// The server that `[tahoe]` describes, ready to serve beside others, with a handle of its own on the store.
#[cfg(feature = "gateway-s3")]
pub(super) async fn beside(
    context: &Context,
    name: &str,
    place: Place,
    serving: &Serving,
) -> Result<Server> {
    let options =
        store_options(serving.server.cache_bytes, serving.server.compact_bytes_per_second);
    let store = open(context, name, place, options).await?;
    let limits = &serving.server.limits;
    let server = Server::open(context, &serving.tahoe, Overrides::default(), store, limits).await?;
    server.announce()?;
    context.output.note(format_args!("serving Tahoe-LAFS clients at {}", server.nurl));
    Ok(server)
}

async fn serve(
    context: &Context,
    server: Server,
    (admin_listener, admin, admin_limits): (Option<Listener>, Admin, Limits),
    health: &Health,
) -> gateway_http::Drained {
    let (all_done, done) = tokio::sync::oneshot::channel::<()>();
    let stopped = async {
        context.interrupted().await;
        health.stop();
        tracing::info!("stopping");
    };
    let main = async {
        let drained = server.serve(stopped).await;
        drop(all_done);
        drained
    };
    let operator =
        gateway_http::serve(admin_listener.into_iter().collect(), admin, admin_limits, async {
            let _ = done.await;
        });
    tokio::join!(main, operator).0
}

/// Where to listen, if the command line says so.
fn addresses(arguments: &ServeArgs) -> Result<Vec<Address>> {
    let texts = &arguments.listen;
    match arguments.tahoe.port {
        Some(_) if !texts.is_empty() => Err(Error::Usage(
            "--port and --listen both say where to listen: give one of them".into(),
        )),
        Some(port) => Ok(vec![Address { socket: ([127, 0, 0, 1], port).into() }]),
        None => texts.iter().map(|text| address("--listen", text)).collect(),
    }
}

fn say(
    context: &Context,
    server: &Server,
    (name, described): (&str, &str),
    admin: Option<&Listener>,
) -> Result<()> {
    let output = &context.output;
    let admin = admin.map(|listener| format!("http://{}", listener.address()));
    let control = server.control.map(|address| format!("http://{address}"));
    match (output.json, output.quiet) {
        (true, _) => output.json(&json!({
            "nurl": server.nurl,
            "nickname": server.nickname,
            "folder": server.folder,
            "provider": name,
            "admin": admin,
            "control": control,
        }))?,
        (false, true) => {}
        (false, false) => {
            let mut said =
                format!("serving Tahoe-LAFS clients from the store on `{name}` ({described})\n\n");
            said += &format!("  nurl      {}\n", server.nurl);
            said += &format!("  folder    {}\n", server.folder.display());
            if let Some(admin) = admin {
                said += &format!("  operator  {admin}/-/ready, /-/healthy, /-/metrics\n");
            }
            if let Some(control) = control {
                said += &format!("  control   {control}: the clock stands still\n");
            }
            output.line(said)?;
        }
    }
    output.flush()
}
