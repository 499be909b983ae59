//! How do I keep a second index, and keep it unique? Write both in one transaction: what is read as missing must
//! still be missing when it is committed.

use std::sync::Arc;

use anyhow::{Result, ensure};
use backend_memory::MemoryProvider;
use storage_txn::{At, Error, ErrorKind, KeyRange, Options, Scan, Store};
use storage_wrappers::TokioEnv;

/// Adds a user, unless somebody else has the address.
async fn sign_up(store: &Store, name: &str, mail: &str) -> storage_txn::Result<()> {
    let by_mail = format!("by_mail/{mail}");
    let adding = store.transact(async |tx| {
        if let Some(owner) = tx.get(&by_mail).await? {
            let owner = String::from_utf8_lossy(&owner).into_owned();
            return Err(Error::abort(format!("{mail} is the address of {owner}")));
        }
        tx.put(&by_mail, name.to_owned())?;
        tx.put(format!("user/{name}"), mail.to_owned())
    });
    adding.await.map(drop)
}

#[tokio::main]
async fn main() -> Result<()> {
    let provider = Arc::new(MemoryProvider::new());
    let store = Store::init(provider, Arc::new(TokioEnv::new()), Options::default()).await?;

    // Twenty at once, for five addresses: one each gets it.
    let names: Vec<String> = (0..20).map(|n| format!("user{n:02}")).collect();
    let signing_up = names.iter().enumerate().map(|(n, name)| {
        let store = &store;
        async move { sign_up(store, name, &format!("box{}@example.org", n % 5)).await }
    });
    let answers = futures_util::future::join_all(signing_up).await;
    let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
    ensure!(refused.clone().all(|error| error.kind() == ErrorKind::Aborted));
    println!(
        "{} signed up, {} were refused",
        answers.iter().filter(|it| it.is_ok()).count(),
        refused.count()
    );

    let now = store.snapshot(At::Latest).await?;
    let index = now.scan(&Scan::new(KeyRange::prefix("by_mail/"))).await?.collect().await?;
    for entry in &index {
        let user = [b"user/", &entry.value[..]].concat();
        ensure!(now.get(user).await?.is_some_and(|mail| entry.key.ends_with(&mail)));
    }
    println!("each of the {} addresses leads to its user", index.len());
    Ok(())
}
