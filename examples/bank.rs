//! How do several processes write to one store at the same time? They just do: no server, no lock. Four tellers
//! move money between ten accounts, one of them is killed in the middle, and not a penny is lost.

use std::env;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use backend_fs::{Config, FsProvider};
use bytes::Bytes;
use storage_txn::{At, KeyRange, Options, Scan, Store, Transaction};
use storage_wrappers::TokioEnv;

const TELLERS: u64 = 4;
const TRANSFERS: u64 = 50;
const ACCOUNTS: u64 = 10;

#[tokio::main]
async fn main() -> Result<()> {
    match env::args().collect::<Vec<_>>().as_slice() {
        [_, folder, teller] => work(Path::new(folder), teller.parse()?).await,
        _ => run_the_bank().await,
    }
}

async fn run_the_bank() -> Result<()> {
    let folder = env::current_dir()?.join("bank");
    let provider = FsProvider::open(Config::new(&folder).create(true)).await?;
    let store =
        Store::init(Arc::new(provider), Arc::new(TokioEnv::new()), Options::default()).await?;
    store.transact(async |tx| (0..ACCOUNTS).try_for_each(|at| tx.put(account(at), "100"))).await?;

    let program = env::current_exe()?;
    let start = |teller: u64| {
        Command::new(&program)
            .arg(&folder)
            .arg(teller.to_string())
            .spawn()
            .context("start a teller")
    };
    let mut tellers: Vec<Child> = (0..TELLERS).map(start).collect::<Result<_>>()?;
    // The first is killed once it has done something.
    while store.snapshot(At::Latest).await?.get("done/0").await?.is_none() {}
    tellers[0].kill()?;
    for mut teller in tellers {
        teller.wait()?;
    }

    let now = store.snapshot(At::Latest).await?;
    let accounts = now.scan(&Scan::new(KeyRange::prefix("account/"))).await?.collect().await?;
    let sum = accounts.iter().map(|item| number(&item.value)).sum::<Result<i64>>()?;
    ensure!(sum == 1000, "the accounts hold {sum}");
    println!("after {} transfers the accounts still hold {sum}", now.version().0 - 1);
    Ok(())
}

/// What each teller does, in a process of its own.
async fn work(folder: &Path, teller: u64) -> Result<()> {
    let provider = FsProvider::open(Config::new(folder)).await?;
    let store =
        Store::open(Arc::new(provider), Arc::new(TokioEnv::new()), Options::default()).await?;
    for round in 0..TRANSFERS {
        let (from, to) =
            (account((teller + round) % ACCOUNTS), account((3 * round + 1) % ACCOUNTS));
        store
            .transact(async |tx| {
                // Run again whenever another teller has changed one of the two accounts meanwhile.
                let (left, right) = (balance(&tx, &from).await?, balance(&tx, &to).await?);
                if from != to && left > 0 {
                    tx.put(&from, (left - 1).to_string())?;
                    tx.put(&to, (right + 1).to_string())?;
                }
                tx.put(format!("done/{teller}"), round.to_string())
            })
            .await?;
    }
    Ok(())
}

fn account(at: u64) -> String {
    format!("account/{at}")
}

async fn balance(tx: &Transaction, account: &str) -> storage_txn::Result<i64> {
    let value = tx.get(account).await?.unwrap_or_default();
    number(&value).map_err(storage_txn::Error::abort)
}

fn number(value: &Bytes) -> Result<i64> {
    Ok(std::str::from_utf8(value)?.parse()?)
}
