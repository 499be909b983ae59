//! Our storage server for Tahoe-LAFS beside the stock one: requests of all kinds, time of processors, memory.
//!
//! `cargo xtask bench tahoe_servers`; `-- --only download --at-once 1,4 --rounds 3 --seconds 1 --servers
//! synced,unsynced,stock`. All get the same requests from the same clients, each on a connection of its own over TLS, and take
//! turns in each round; medians of the rounds. Ours keeps its shares in a folder that is synced before it answers, and in one
//! that is not, as that of the stock server never is.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use benchmarks::{
    Arguments, Secrets, TahoeClient, TahoeKind, TahoeServer, allocation, change, keep_busy, median,
    percentile, say, storage_index, value,
};
use bytes::Bytes;
use hyper::Method;
use tokio::sync::Mutex;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// Clients send a share in pieces of this size.
const PIECE_BYTES: usize = MIB;
/// So many shares are there to be downloaded, of each size.
const SHARES: usize = 8;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Version,
    List,
    Renew,
    Upload(usize),
    Download(usize),
    Create(usize),
    Update(usize),
    Read(usize),
}

const WORK: [(&str, Work); 13] = [
    ("version", Work::Version),
    ("list", Work::List),
    ("renew", Work::Renew),
    ("upload 1k", Work::Upload(KIB)),
    ("upload 64k", Work::Upload(64 * KIB)),
    ("upload 1m", Work::Upload(MIB)),
    ("upload 16m", Work::Upload(16 * MIB)),
    ("download 1k", Work::Download(KIB)),
    ("download 1m", Work::Download(MIB)),
    ("download 16m", Work::Download(16 * MIB)),
    ("create 2k", Work::Create(2 * KIB)),
    ("update 2k", Work::Update(2 * KIB)),
    ("read 1m", Work::Read(MIB)),
];

#[tokio::main]
async fn main() -> Result<()> {
    let Some(arguments) = Arguments::read() else { return Ok(()) };
    let rounds = arguments.get("rounds", 3)?;
    let time = Duration::from_secs_f64(arguments.get("seconds", 1.0)?);
    let at_once: Vec<usize> = arguments.list("at-once", vec![1, 4])?;
    let only: Vec<String> = arguments.list("only", Vec::new())?;
    let named: Vec<String> = arguments.list("servers", Vec::new())?;
    let most = at_once.iter().copied().max().unwrap_or(1);
    let mut sides = Vec::new();
    for (name, kind) in [
        ("synced", TahoeKind::Synced),
        ("unsynced", TahoeKind::Unsynced),
        ("stock", TahoeKind::Stock),
    ] {
        if named.is_empty() || named.iter().any(|one| one == name) {
            sides.push(Side::of(TahoeServer::start(kind).await?, most).await?);
        }
    }
    if sides.is_empty() {
        bail!("there is nobody to measure");
    }
    say(format!(
        "medians of {rounds} rounds of {time:?}; the last is how much of what it costs there the first needs"
    ));
    say(
        "what          at once  server             a second     MiB/s   p50 ms   p99 ms  CPU ms each  rate, CPU of the first",
    );
    for (name, work) in WORK {
        if !only.is_empty() && !only.iter().any(|one| name.starts_with(one.as_str())) {
            continue;
        }
        for &at_once in &at_once {
            compare(&sides, (name, work), at_once, (rounds, time)).await?;
        }
    }
    for side in &sides {
        let peak = side.server.memory_peak().unwrap_or_default() / MIB as u64;
        say(format!("memory        {:18} at most {peak} MiB", side.server.name));
    }
    Ok(())
}

/// A server with the clients that it has, and what they have stored.
struct Side {
    server: TahoeServer,
    clients: Vec<Arc<Mutex<TahoeClient>>>,
    /// What can be downloaded, by size.
    shares: Vec<(usize, Vec<String>)>,
    /// A slot for each client.
    slots: Vec<(usize, Vec<String>)>,
}

#[derive(Default)]
struct Rounds {
    per_second: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    processor: Vec<f64>,
}

impl Side {
    async fn of(server: TahoeServer, clients: usize) -> Result<Self> {
        let mut connected = Vec::new();
        for _ in 0..clients {
            connected.push(Arc::new(Mutex::new(TahoeClient::connect(&server.nurl).await?)));
        }
        let mut first = connected[0].lock().await;
        let mut shares = Vec::new();
        for size in [KIB, MIB, 16 * MIB] {
            let mut there = Vec::new();
            for _ in 0..SHARES {
                let index = storage_index();
                upload(&mut first, &index, &value(1, size)).await?;
                there.push(index);
            }
            shares.push((size, there));
        }
        let mut slots = Vec::new();
        for size in [2 * KIB, MIB] {
            let mut there = Vec::new();
            for _ in 0..clients {
                let index = storage_index();
                write(&mut first, &index, &[], &value(1, size)).await?;
                there.push(index);
            }
            slots.push((size, there));
        }
        drop(first);
        Ok(Self { server, clients: connected, shares, slots })
    }

    fn of_size(them: &[(usize, Vec<String>)], size: usize) -> Vec<String> {
        them.iter().find(|(of, _)| *of == size).map(|(_, there)| there.clone()).unwrap_or_default()
    }
}

async fn compare(
    sides: &[Side],
    (name, work): (&str, Work),
    at_once: usize,
    (rounds, time): (usize, Duration),
) -> Result<()> {
    let mut all: Vec<Rounds> = sides.iter().map(|_| Rounds::default()).collect();
    for round in 0..=rounds {
        for (side, told) in sides.iter().zip(&mut all) {
            let before = side.server.processor_time().unwrap_or_default();
            let done = busy(side, work, at_once, time).await?;
            let spent = side.server.processor_time().unwrap_or_default().saturating_sub(before);
            // The first is for nothing.
            if round > 0 {
                let milliseconds = |percent| percentile(&done.times, percent).as_secs_f64() * 1e3;
                told.per_second.push(done.per_second());
                told.p50.push(milliseconds(50));
                told.p99.push(milliseconds(99));
                told.processor.push(spent.as_secs_f64() * 1e3 / done.times.len() as f64);
            }
        }
    }
    let (rate, cost) = (median(&all[0].per_second), median(&all[0].processor));
    for (side, told) in sides.iter().zip(&all) {
        let (its_rate, its_cost) = (median(&told.per_second), median(&told.processor));
        say(format!(
            "{name:14}{at_once:7}  {:16} {its_rate:10.1} {:9.1} {:8.2} {:8.2} {its_cost:12.3}  {:5.2} {:5.2}",
            side.server.name,
            its_rate * work.bytes() as f64 / MIB as f64,
            median(&told.p50),
            median(&told.p99),
            rate / its_rate,
            cost / its_cost,
        ));
    }
    Ok(())
}

impl Work {
    fn bytes(self) -> usize {
        match self {
            Self::Version | Self::List | Self::Renew => 0,
            Self::Upload(size)
            | Self::Download(size)
            | Self::Create(size)
            | Self::Update(size)
            | Self::Read(size) => size,
        }
    }
}

async fn busy(side: &Side, work: Work, at_once: usize, time: Duration) -> Result<benchmarks::Done> {
    let clients = side.clients.clone();
    let shares = Side::of_size(&side.shares, work.bytes());
    let slots = Side::of_size(&side.slots, work.bytes());
    let known = Side::of_size(&side.shares, KIB);
    let data = value(1, work.bytes());
    keep_busy(at_once, time, move |task, number| {
        let client = clients[task].clone();
        let share = shares.get(number % SHARES).cloned().unwrap_or_default();
        let slot = slots.get(task).cloned().unwrap_or_default();
        let (known, data) = (known[number % SHARES].clone(), data.clone());
        async move {
            let client = &mut *client.lock().await;
            let plain = (Secrets::None, None);
            match work {
                Work::Version => get(client, "version", plain).await.map(drop),
                Work::List => get(client, &format!("immutable/{}/shares", storage_index()), plain)
                    .await
                    .map(drop),
                Work::Renew => {
                    let path = format!("lease/{known}");
                    client
                        .ask(Method::PUT, &path, (Secrets::Lease, None), Bytes::new())
                        .await
                        .map(drop)
                }
                Work::Upload(_) => upload(client, &storage_index(), &data).await,
                Work::Download(size) => {
                    get(client, &format!("immutable/{share}/shares"), plain).await?;
                    let range = (Secrets::None, Some((0, size)));
                    let found = get(client, &format!("immutable/{share}/0"), range).await?;
                    must_be(found, size)
                }
                Work::Create(_) => write(client, &storage_index(), &[], &data).await,
                Work::Update(_) => write(client, &slot, &data[..41], &data).await,
                Work::Read(size) => {
                    let range = (Secrets::None, Some((0, size)));
                    let found = get(client, &format!("mutable/{slot}/0"), range).await?;
                    must_be(found, size)
                }
            }
        }
    })
    .await
}

fn must_be(found: usize, size: usize) -> Result<()> {
    if found != size {
        bail!("{found} bytes were read instead of {size}");
    }
    Ok(())
}

async fn get(
    client: &mut TahoeClient,
    path: &str,
    more: (Secrets, Option<(usize, usize)>),
) -> Result<usize> {
    client.ask(Method::GET, path, more, Bytes::new()).await
}

/// As clients do it: the share is allocated, then sent in pieces.
async fn upload(client: &mut TahoeClient, index: &str, data: &Bytes) -> Result<()> {
    let path = format!("immutable/{index}");
    client.ask(Method::POST, &path, (Secrets::Allocate, None), allocation(data.len())).await?;
    let path = format!("{path}/0");
    for first in (0..data.len()).step_by(PIECE_BYTES) {
        let end = data.len().min(first + PIECE_BYTES);
        let range = (Secrets::Upload, Some((first, end)));
        client.ask(Method::PATCH, &path, range, data.slice(first..end)).await?;
    }
    Ok(())
}

async fn write(client: &mut TahoeClient, index: &str, test: &[u8], data: &Bytes) -> Result<()> {
    let path = format!("mutable/{index}/read-test-write");
    client.ask(Method::POST, &path, (Secrets::Mutate, None), change(test, data)).await.map(drop)
}
