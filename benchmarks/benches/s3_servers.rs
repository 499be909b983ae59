//! Our S3 server beside others: small and large objects both ways, listings, memory; SeaweedFS, moto, rclone.
//!
//! `cargo xtask bench s3_servers`; `-- --only put,get --at-once 1,16,64 --rounds 3 --seconds 1 --keys 100000 --servers
//! synced,unsynced,seaweedfs,moto,rclone,on`. All get the same requests from the same clients, each on a connection of its
//! own, and take turns in each round; medians of the rounds. Ours runs as a process of its own: in a folder that is synced
//! before it answers, in one that is not, as with the others, and on a bucket of SeaweedFS.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use benchmarks::{Arguments, Keeper, S3Client, S3Server, median, percentile, say, value};
use bytes::Bytes;
use hyper::Method;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

const BUCKET: &str = "bench";
const SMALL_BYTES: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// Who has not put all keys of a listing by then lists what there is.
const FILL_TIME_MAX: Duration = Duration::from_secs(30);
/// How many clients stream large bodies at once when memory is looked at, and how large they are.
const STREAMS: usize = 64;
const STREAM_BYTES: usize = 64 * MIB;
/// How long they go on asking where they are refused, and after which pause.
const STREAM_TIME_MAX: Duration = Duration::from_secs(120);
const REFUSED_PAUSE: Duration = Duration::from_millis(200);

#[tokio::main]
async fn main() -> Result<()> {
    let Some(arguments) = Arguments::read() else { return Ok(()) };
    let load = Load {
        rounds: arguments.get("rounds", 3)?,
        time: Duration::from_secs_f64(arguments.get("seconds", 1.0)?),
        at_once: arguments.list("at-once", vec![1, 16, 64])?,
        keys: arguments.get("keys", 100_000)?,
    };
    let only: Vec<String> = arguments.list("only", Vec::new())?;
    let wanted = |name: &str| only.is_empty() || only.iter().any(|one| one == name);
    let mut sides = Vec::new();
    for server in servers(&arguments.list("servers", Vec::new())?).await? {
        sides.push(Side::of(server).await?);
    }
    if sides.is_empty() {
        bail!("there is nobody to measure");
    }
    say(format!("medians of {} rounds of {:?}", load.rounds, load.time));
    say(
        "what      at once  server               a second     MiB/s   p50 ms   p99 ms  first is times as fast",
    );
    for (name, bytes) in [("put", SMALL_BYTES), ("get", SMALL_BYTES)] {
        for &at_once in load.at_once.iter().filter(|_| wanted(name)) {
            load.compare(&sides, (name, bytes), at_once).await?;
        }
    }
    for (bytes, at_once) in [(MIB, 1), (MIB, 16), (64 * MIB, 1), (64 * MIB, 4)] {
        for name in ["put", "get"] {
            if wanted(if bytes == MIB { "1mib" } else { "64mib" }) {
                load.compare(&sides, (name, bytes), at_once).await?;
            }
        }
    }
    if wanted("list") {
        list(&sides, load.keys).await?;
    }
    if wanted("memory") {
        for side in sides.iter().filter(|side| side.server.memory_peak().is_some()) {
            stream(side).await?;
        }
    }
    Ok(())
}

/// Ours first, so that they are what others are compared with.
async fn servers(names: &[String]) -> Result<Vec<S3Server>> {
    let wanted = |name: &str| names.is_empty() || names.iter().any(|one| one == name);
    let mut servers = Vec::new();
    let others = S3Server::others();
    let has_seaweedfs = others.iter().any(|other| other.name == "seaweedfs");
    for (name, keeper) in
        [("synced", Keeper::Synced), ("unsynced", Keeper::Unsynced), ("on", Keeper::Seaweedfs)]
    {
        if wanted(name) && (keeper != Keeper::Seaweedfs || has_seaweedfs) {
            servers.push(S3Server::start(keeper).await?);
        }
    }
    servers.extend(others.into_iter().filter(|other| wanted(other.name)));
    Ok(servers)
}

/// A server with the clients that it has.
struct Side {
    server: S3Server,
    clients: Vec<Arc<Mutex<S3Client>>>,
    /// How many objects of each size it has, for those who read.
    small: AtomicU64,
    large: AtomicU64,
    huge: AtomicU64,
}

impl Side {
    async fn of(server: S3Server) -> Result<Self> {
        let mut clients = Vec::new();
        for _ in 0..STREAMS {
            clients.push(Arc::new(Mutex::new(S3Client::connect(&server.url).await?)));
        }
        let path = format!("/{BUCKET}");
        let mut first = clients[0].lock().await;
        let made = first.send(Method::PUT, (&path, ""), Bytes::new(), false).await?.status;
        drop(first);
        if !matches!(made, 200 | 409) {
            bail!("{}: the bucket cannot be made: {made}", server.name);
        }
        let zero = || AtomicU64::new(0);
        Ok(Self { server, clients, small: zero(), large: zero(), huge: zero() })
    }

    fn count(&self, bytes: usize) -> &AtomicU64 {
        match bytes {
            SMALL_BYTES => &self.small,
            MIB => &self.large,
            _ => &self.huge,
        }
    }
}

struct Load {
    rounds: usize,
    time: Duration,
    at_once: Vec<usize>,
    keys: u64,
}

#[derive(Default)]
struct Rounds {
    per_second: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Load {
    async fn compare(
        &self,
        sides: &[Side],
        (name, bytes): (&'static str, usize),
        at_once: usize,
    ) -> Result<()> {
        let body = value(1, bytes);
        let mut all: Vec<Rounds> = sides.iter().map(|_| Rounds::default()).collect();
        for round in 0..=self.rounds {
            for (side, rounds) in sides.iter().zip(&mut all) {
                let (times, elapsed) = self.round(side, (name, &body), at_once).await?;
                // The first is for nothing.
                if round > 0 {
                    let milliseconds = |percent| percentile(&times, percent).as_secs_f64() * 1e3;
                    rounds.per_second.push(times.len() as f64 / elapsed.as_secs_f64());
                    rounds.p50.push(milliseconds(50));
                    rounds.p99.push(milliseconds(99));
                }
            }
        }
        let first = median(&all[0].per_second);
        for (side, rounds) in sides.iter().zip(&all) {
            let rate = median(&rounds.per_second);
            say(format!(
                "{:10}{at_once:7}  {:18} {rate:10.1} {:9.1} {:8.2} {:8.2}  {:.2}",
                format!("{name} {}", size(bytes)),
                side.server.name,
                rate * bytes as f64 / MIB as f64,
                median(&rounds.p50),
                median(&rounds.p99),
                first / rate,
            ));
        }
        Ok(())
    }

    /// Each client goes on until the time is up, and ends what it has begun.
    async fn round(
        &self,
        side: &Side,
        (name, body): (&'static str, &Bytes),
        at_once: usize,
    ) -> Result<(Vec<Duration>, Duration)> {
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        let count = Arc::new(AtomicU64::new(side.count(body.len()).load(Ordering::Relaxed)));
        let there = count.load(Ordering::Relaxed);
        if name == "get" && there == 0 {
            bail!("nothing was put yet: --only has to have put too");
        }
        for client in side.clients.iter().take(at_once) {
            let client = client.clone();
            let (body, count, time) = (body.clone(), count.clone(), self.time);
            let class = size(body.len());
            tasks.spawn(async move {
                let mut client = client.lock().await;
                let mut times = Vec::new();
                while start.elapsed() < time {
                    let began = Instant::now();
                    if name == "put" {
                        let number = count.fetch_add(1, Ordering::Relaxed);
                        let path = format!("/{BUCKET}/{class}/{number:09}");
                        client.done(Method::PUT, (&path, ""), body.clone(), false).await?;
                    } else {
                        let number = rand::random_range(0..there);
                        let path = format!("/{BUCKET}/{class}/{number:09}");
                        let got = client.done(Method::GET, (&path, ""), Bytes::new(), false);
                        let got = got.await?.bytes;
                        if got != body.len() {
                            bail!("{path} has {got} bytes");
                        }
                    }
                    times.push(began.elapsed());
                }
                Ok(times)
            });
        }
        let mut times = Vec::new();
        while let Some(done) = tasks.join_next().await {
            times.extend(done?.with_context(|| side.server.name)?);
        }
        side.count(body.len()).store(count.load(Ordering::Relaxed), Ordering::Relaxed);
        Ok((times, start.elapsed()))
    }
}

fn size(bytes: usize) -> &'static str {
    match bytes {
        SMALL_BYTES => "1k",
        MIB => "1m",
        _ => "64m",
    }
}

/// Puts small objects until there are `keys`, then lists all of them, a thousand a page.
async fn list(sides: &[Side], keys: u64) -> Result<()> {
    for side in sides {
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        let count = Arc::new(AtomicU64::new(0));
        for client in side.clients.iter().take(32) {
            let (client, count) = (client.clone(), count.clone());
            tasks.spawn(async move {
                let mut client = client.lock().await;
                while start.elapsed() < FILL_TIME_MAX {
                    let number = count.fetch_add(1, Ordering::Relaxed);
                    if number >= keys {
                        break;
                    }
                    let path = format!("/{BUCKET}/list/{:03}/{number:09}", number % 100);
                    client.done(Method::PUT, (&path, ""), Bytes::from_static(b"x"), false).await?;
                }
                Ok::<_, anyhow::Error>(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            done?.with_context(|| side.server.name)?;
        }
        let mut client = side.clients[0].lock().await;
        let (mut pages, mut found, mut token) = (0, 0, String::new());
        let start = Instant::now();
        loop {
            let query = match &*token {
                "" => "list-type=2&prefix=list%2F".to_owned(),
                token => format!("continuation-token={token}&list-type=2&prefix=list%2F"),
            };
            let path = format!("/{BUCKET}");
            let page = client.done(Method::GET, (&path, &query), Bytes::new(), true).await?;
            let text = String::from_utf8_lossy(&page.body);
            pages += 1;
            found += text.matches("<Key>").count();
            let next = text.split_once("<NextContinuationToken>").map(|(_, rest)| rest);
            match next.and_then(|rest| rest.split_once('<')) {
                Some((next, _)) => token = encode(next),
                None => break,
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        say(format!(
            "list            1  {:18} {:10.0} keys a second: {found} in {pages} pages, {seconds:.2} s",
            side.server.name,
            found as f64 / seconds,
        ));
    }
    Ok(())
}

/// Percent-encodes what is not a letter, a digit or one of `-._~`.
fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

/// All clients put a large body at once and then get it, and the server says how much memory it had.
async fn stream(side: &Side) -> Result<()> {
    let body = value(2, STREAM_BYTES);
    for method in [Method::PUT, Method::GET] {
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for (number, client) in side.clients.iter().enumerate() {
            let client = client.clone();
            let method = method.clone();
            let sent = if method == Method::PUT { body.clone() } else { Bytes::new() };
            tasks.spawn(async move {
                let path = format!("/{BUCKET}/stream/{number}");
                let mut client = client.lock().await;
                let mut refused = 0;
                // A server may say that it has enough to do, and end the connection with that.
                loop {
                    let done = client.done(method.clone(), (&path, ""), sent.clone(), false);
                    match done.await {
                        Ok(_) => return Ok::<_, anyhow::Error>(refused),
                        Err(error) if start.elapsed() > STREAM_TIME_MAX => return Err(error),
                        Err(_) => refused += 1,
                    }
                    tokio::time::sleep(REFUSED_PAUSE).await;
                }
            });
        }
        let mut refused = 0;
        while let Some(done) = tasks.join_next().await {
            refused += done?.with_context(|| side.server.name)?;
        }
        let total = (STREAMS * STREAM_BYTES / MIB) as f64;
        say(format!(
            "stream {method} {STREAMS:4}  {:18} {:10.1} MiB/s; at most {} MiB of memory, {refused} refused",
            side.server.name,
            total / start.elapsed().as_secs_f64(),
            side.server.memory_peak().unwrap_or_default() / MIB as u64,
        ));
    }
    Ok(())
}
