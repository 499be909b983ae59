//! How does another process follow what is changed? It watches the store, and keeps what it makes of each commit in the
//! same transaction as how far it is: then it may be killed anywhere, and misses nothing and does nothing twice.

use std::env;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use backend_fs::{Config, FsProvider};
use storage_txn::{At, KeyRange, Merge, Options, Scan, Snapshot, Store, Version};
use storage_wrappers::TokioEnv;

const ORDERS: u64 = 60;

#[tokio::main]
async fn main() -> Result<()> {
    match env::args().collect::<Vec<_>>().as_slice() {
        [_, shop, report] => follow(Path::new(shop), Path::new(report)).await,
        _ => run_the_shop().await,
    }
}

async fn run_the_shop() -> Result<()> {
    let (shop, report) = (env::current_dir()?.join("shop"), env::current_dir()?.join("report"));
    let (orders, copy) = (create(&shop).await?, create(&report).await?);
    let program = env::current_exe()?;
    let start = || -> Result<Child> {
        Command::new(&program).arg(&shop).arg(&report).spawn().context("start the follower")
    };

    let mut follower = start()?;
    for order in 0..ORDERS / 2 {
        take(&orders, order).await?;
    }
    // The follower is killed once it has done something.
    while copy.snapshot(At::Latest).await?.get("seen").await?.is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    follower.kill()?;
    follower.wait()?;
    for order in ORDERS / 2..ORDERS {
        take(&orders, order).await?;
    }

    // A new one goes on where the other ended.
    let mut follower = start()?;
    let last = orders.snapshot(At::Latest).await?;
    while seen(&copy.snapshot(At::Latest).await?).await? < last.version() {
        ensure!(follower.try_wait()?.is_none(), "the follower gave up");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    follower.kill()?;
    follower.wait()?;

    let now = copy.snapshot(At::Latest).await?;
    let all = Scan::new(KeyRange::prefix("order/"));
    let (theirs, ours) = (now.scan(&all).await?, last.scan(&all).await?);
    let (theirs, ours) = (theirs.collect().await?, ours.collect().await?);
    ensure!(
        theirs
            .iter()
            .map(|item| (&item.key, &item.value))
            .eq(ours.iter().map(|item| (&item.key, &item.value)))
    );
    let counted = now.get("changes").await?.unwrap_or_default();
    // Each order was put, and every third one was then delivered.
    ensure!(counted[..] == (ORDERS + ORDERS / 3).to_le_bytes(), "{counted:?}");
    println!("the follower was killed, and has each of {} changes once", ORDERS + ORDERS / 3);
    // What the source may forget is decided by the slowest follower: it keeps a cursor there.
    let cursor = orders.cursor_get("report").await?;
    println!("its cursor is at {} of {}", cursor.unwrap_or(Version::ZERO), last.version());
    Ok(())
}

/// What the follower does, in a process of its own, until it is killed.
async fn follow(shop: &Path, report: &Path) -> Result<()> {
    let (orders, copy) = (open(shop).await?, open(report).await?);
    let since = seen(&copy.snapshot(At::Latest).await?).await?;
    let mut watch = orders.watch(since);
    loop {
        let change = watch.next().await?;
        let mut keys = Vec::new();
        let mut changed = change.keys()?;
        while let Some(key) = changed.next().await? {
            keys.push(key);
        }
        let version = change.commit().version;
        copy.transact(async |tx| {
            // Another follower may have been here, one thought dead: then this one has nothing to add.
            if tx.get("seen").await?.is_some_and(|seen| *seen >= version.0.to_be_bytes()[..]) {
                return Ok(());
            }
            for changed in &keys {
                match &changed.after {
                    None => tx.delete(&changed.key)?,
                    Some((_, value)) => match value.inline() {
                        Some(bytes) => tx.put(&changed.key, bytes.clone())?,
                        // A large one does not come with the change, and goes over without being held in memory.
                        None => {
                            if let Some(value) = change.after().get_stream(&changed.key).await? {
                                tx.put_stream(&changed.key, value).await?;
                            }
                        }
                    },
                }
                tx.merge("changes", Merge::Add(1))?;
            }
            tx.put("seen", version.0.to_be_bytes().to_vec())
        })
        .await?;
        // A step behind what was kept, never ahead of it.
        orders.cursor_set("report", version).await?;
    }
}

async fn take(orders: &Store, order: u64) -> storage_txn::Result<()> {
    let key = format!("order/{order:04}");
    orders.transact(async |tx| tx.put(&key, "ordered")).await?;
    if order.is_multiple_of(3) {
        orders.transact(async |tx| tx.delete(&key)).await?;
    }
    Ok(())
}

/// How far the follower is, as its copy says.
async fn seen(copy: &Snapshot) -> Result<Version> {
    let Some(seen) = copy.get("seen").await? else { return Ok(Version::ZERO) };
    Ok(Version(u64::from_be_bytes(seen[..].try_into()?)))
}

async fn create(folder: &Path) -> Result<Store> {
    let provider = FsProvider::open(Config::new(folder).create(true)).await?;
    Ok(Store::init(Arc::new(provider), Arc::new(TokioEnv::new()), Options::default()).await?)
}

async fn open(folder: &Path) -> Result<Store> {
    let provider = FsProvider::open(Config::new(folder)).await?;
    Ok(Store::open(Arc::new(provider), Arc::new(TokioEnv::new()), Options::default()).await?)
}
