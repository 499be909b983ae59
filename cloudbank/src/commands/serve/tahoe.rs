//! `serve tahoe`: the storage protocol of Tahoe-LAFS over a store.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gateway_http::{Certificates, Drained, Limits, Listener};
use gateway_tahoe::{Clock, Control, Gateway, Identity, Shares, StillClock, Uploads, WallClock};
use storage_core::Env as _;
use storage_txn::{Options, Store};
use storage_wrappers::TokioEnv;
use tokio::task::JoinSet;

use crate::commands::tahoe::failed;
use crate::config::{Address, TahoeSettings};
use crate::error::{Error, Result};
use crate::run::Context;
use crate::serve::tahoe::{Controlled, Tahoe};

/// How large the objects of large values are at most: as large as the parts of shares, each of which is one.
const CHUNK_BYTES: usize = 4 << 20;
/// What one upload holds of its body at a time.
const UPLOAD_BYTES: usize = 2 << 20;
/// What one download holds: the part that is being sent.
const DOWNLOAD_BYTES: usize = 4 << 20;
/// A client takes up a connection that was idle for so long, and does not try again when it is gone.
const IDLE_TIME_MIN: Duration = Duration::from_secs(300);
/// A client gives up after 60 seconds.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(55);
/// The longest body: that of a write, which is as long as a share at most.
const BODY_BYTES_MAX: u64 = 1 << 50;
/// How often uploads are looked at whose time may be up.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Every so many times it is looked how much other servers have stored.
const LOOK_EVERY_SWEEPS: u32 = 5;

/// What is said on the command line.
#[derive(Debug, Clone, Default)]
pub(super) struct Overrides {
    pub(super) folder: Option<PathBuf>,
    pub(super) addresses: Vec<Address>,
    pub(super) control_port: Option<u16>,
}

/// A server of Tahoe-LAFS that is ready to listen.
pub(super) struct Server {
    pub(super) nurl: String,
    pub(super) nickname: String,
    pub(super) folder: PathBuf,
    pub(super) control: Option<SocketAddr>,
    gateway: Gateway,
    listeners: Vec<Listener>,
    controlled: Option<(Listener, Control)>,
    limits: Limits,
    expire: Option<(Duration, Duration)>,
}

impl Server {
    /// Takes its addresses, opens its shares, and finds out who it is: what was made once, or is made now.
    pub(super) async fn open(
        context: &Context,
        settings: &TahoeSettings,
        overrides: Overrides,
        store: Store,
        limits: &Limits,
    ) -> Result<Self> {
        let folder = overrides.folder.unwrap_or_else(|| settings.folder.clone());
        std::fs::create_dir_all(&folder)
            .map_err(Error::file(format!("make the folder {}", folder.display())))?;
        let env = Arc::new(TokioEnv::new());
        let still = overrides.control_port.map(|_| StillClock::new(env.wall().as_secs()));
        let clock: Arc<dyn Clock> = match &still {
            Some(still) => Arc::new(still.clone()),
            None => Arc::new(WallClock::new(env.clone())),
        };
        let mut options = gateway_tahoe::Options::default();
        options.name.clone_from(&settings.name);
        options.quota_bytes = settings.quota_bytes;
        options.read_only = settings.read_only;
        options.cache_bytes_max = usize::try_from(settings.cache_bytes).unwrap_or(usize::MAX);
        let shares = Shares::open(store, env, clock, options).await.map_err(failed)?;
        let identity = identity(context, &shares, &folder.join("identity.json")).await?;
        let certificates = Certificates::from_der(identity.certificate(), identity.key())
            .map_err(|error| Error::Usage(format!("the identity: certificate {error}")))?;

        let addresses = match overrides.addresses.is_empty() {
            true => &settings.listen,
            false => &overrides.addresses,
        };
        let mut listeners = Vec::new();
        for address in addresses {
            listeners.push(super::bind(address)?.with_tls(certificates.clone()));
        }
        let first = listeners.first().map(Listener::address);
        let first = first.ok_or_else(|| Error::Usage("there is no address to listen on".into()))?;
        let (host, port) = location(settings.location.as_deref(), first)?;
        let nurl = identity.nurl(&host, port);

        let uploads = Uploads::open(shares, &folder.join("uploads")).map_err(failed)?;
        let gateway = Gateway::new(uploads, identity.swissnum());
        let mut limits = limits.clone();
        limits.request_stream_bytes = UPLOAD_BYTES;
        limits.answer_stream_bytes = DOWNLOAD_BYTES;
        limits.idle_time_max = limits.idle_time_max.max(IDLE_TIME_MIN);
        limits.request_time_max = limits.request_time_max.min(ANSWER_TIME_MAX);
        limits.body_bytes_max = BODY_BYTES_MAX;
        let controlled = match (still, overrides.control_port) {
            (Some(clock), Some(port)) => {
                let socket = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                let listener = super::bind(&Address { socket })?;
                Some((listener, Control::new(gateway.clone(), clock)))
            }
            _ => None,
        };
        let control = controlled.as_ref().map(|(listener, _)| listener.address());
        let expire = settings.expire_after.map(|after| (after, settings.expire_every));
        let nickname = settings.nickname.clone();
        Ok(Self { nurl, nickname, folder, control, gateway, listeners, controlled, limits, expire })
    }

    /// Says where it is: in the file `nurl`.
    pub(super) fn announce(&self) -> Result<()> {
        let path = self.folder.join("nurl");
        let temporary = self.folder.join(format!("nurl.{}.new", std::process::id()));
        // Who waits for it finds all of it.
        std::fs::write(&temporary, &self.nurl)
            .and_then(|()| std::fs::rename(&temporary, &path))
            .map_err(Error::file(format!("write {}", path.display())))
    }

    /// Serves until `stop` ends.
    pub(super) async fn serve(self, stop: impl Future<Output = ()>) -> Drained {
        let mut tasks = JoinSet::new();
        tasks.spawn(sweep(self.gateway.clone()));
        if let Some((after, every)) = self.expire {
            tasks.spawn(expire(self.gateway.clone(), after, every));
        }
        if let Some((listener, control)) = self.controlled {
            let mut limits = self.limits.clone();
            limits.drain_time_max = Duration::ZERO;
            let never = std::future::pending();
            tasks.spawn(async move {
                gateway_http::serve(vec![listener], Controlled(control), limits, never).await;
            });
        }
        let door = Tahoe::new(self.gateway.clone());
        let drained = gateway_http::serve(self.listeners, door, self.limits, stop).await;
        tasks.shutdown().await;
        drained
    }
}

/// Who the server is: as its store and the file say; as one of them does, and then the other is told; or somebody new.
async fn identity(context: &Context, shares: &Shares, file: &Path) -> Result<Identity> {
    let kept = shares.identity().await.map_err(failed)?;
    let in_file = Identity::read(file).map_err(failed)?;
    let shown = file.display();
    match (kept, in_file) {
        (Some(kept), Some(in_file)) if kept == in_file => Ok(kept),
        (Some(_), Some(_)) => Err(Error::Conflict(format!(
            "{shown} holds another identity than the store\n  = move the file away to take the one of the store, or \
             `cloudbank tahoe identity import {shown}` to replace that: clients know the server by it, and write to \
             mutable files with it"
        ))),
        (Some(kept), None) => {
            kept.write(file).map_err(failed)?;
            context.output.note(format_args!("wrote the identity of the store to {shown}"));
            Ok(kept)
        }
        (None, Some(in_file)) => shares.keep_identity(&in_file, false).await.map_err(failed),
        (None, None) => {
            let new = Identity::generate().map_err(failed)?;
            let kept = shares.keep_identity(&new, false).await.map_err(failed)?;
            kept.write(file).map_err(failed)?;
            context.output.note(format_args!(
                "made an identity, in the store and in {shown}; keep a copy: without it nobody can write to the mutable \
                 files on this server"
            ));
            Ok(kept)
        }
    }
}

/// What clients are told: what was configured, or where it listens.
fn location(configured: Option<&str>, listens: SocketAddr) -> Result<(String, u16)> {
    let Some(text) = configured else {
        let host = match listens.ip() {
            IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        return Ok((host, listens.port()));
    };
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && !host.ends_with(':') => {
            let port = port.parse().map_err(|_| {
                Error::Usage(format!(
                    "location in [tahoe] is {text:?}\n  = expected HOST or HOST:PORT"
                ))
            })?;
            Ok((host.to_owned(), port))
        }
        _ => Ok((text.to_owned(), listens.port())),
    }
}

/// Opens a store as this server uses it.
pub(super) fn store_options(cache_bytes: u64, compact_bytes_per_second: u64) -> Options {
    let mut options = Options::default();
    options.chunk_bytes = CHUNK_BYTES;
    options.value_requests_max = 2;
    options.transaction_bytes_max = 128 << 20;
    options.get_bytes_max = 2 * CHUNK_BYTES;
    options.compaction_bytes_per_second = compact_bytes_per_second;
    options.cache_bytes_max = usize::try_from(cache_bytes).unwrap_or(usize::MAX);
    options
}

/// Ends uploads that nobody goes on with.
async fn sweep(gateway: Gateway) {
    let mut sweeps = 0_u32;
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        match gateway.uploads().sweep().await {
            Ok(0) => {}
            Ok(ended) => tracing::info!(ended, "uploads that nobody went on with were ended"),
            Err(error) => tracing::warn!("uploads could not be looked at: {error}"),
        }
        sweeps = sweeps.wrapping_add(1);
        if sweeps % LOOK_EVERY_SWEEPS == 0
            && let Err(error) = gateway.uploads().shares().refresh_used().await
        {
            tracing::warn!("it is not known how much is stored: {error}");
        }
    }
}

/// Lets go of shares whose leases have ended.
async fn expire(gateway: Gateway, after: Duration, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let mut tell = |expired: gateway_tahoe::Expired| {
            tracing::info!(index = %expired.index, share = expired.number, "its leases have ended");
        };
        let shares = gateway.uploads().shares();
        match shares.collect(after.as_secs(), false, &mut tell).await {
            Ok(done) => tracing::info!(shares = done.shares, bytes = done.bytes, "expired"),
            Err(error) => tracing::warn!("shares could not be let go of: {error}"),
        }
    }
}
