//! How do I see what was, and bring it back? Every transaction leaves a version that can be read by number, by time and
//! by name; and one that was a mistake is undone without touching what came after.

use std::sync::Arc;

use anyhow::{Result, ensure};
use backend_memory::MemoryProvider;
use storage_txn::{At, KeyRange, Options, Receipt, Scan, Snapshot, Store};
use storage_wrappers::TokioEnv;

#[tokio::main]
async fn main() -> Result<()> {
    let provider = Arc::new(MemoryProvider::new());
    let store = Store::init(provider, Arc::new(TokioEnv::new()), Options::default()).await?;

    let opened = edit(&store, "alice", &[("menu/soup", "5"), ("menu/cake", "4")]).await?;
    store.tag("opening-day", opened.version).await?;
    let mistake = edit(&store, "bob", &[("menu/soup", "500")]).await?;
    edit(&store, "alice", &[("menu/tea", "2")]).await?;

    // By name, by number and by time: three ways to the same day.
    let tags = store.tags().await?;
    let by_name = store.snapshot(At::Version(tags[0].1)).await?;
    let by_number = store.snapshot(At::Version(opened.version)).await?;
    let by_time = store.snapshot(At::Time(opened.time)).await?;
    for then in [&by_name, &by_number, &by_time] {
        println!("on opening day: {}", menu(then).await?);
    }

    let mut history = store.history("menu/soup").await?;
    while let Some(revision) = history.next().await? {
        let who = revision.commit.map_or("somebody".into(), |commit| commit.author);
        let price = revision.written.value().and_then(|price| price.inline());
        let price = price.map_or("gone".into(), |price| text(price));
        println!("version {} by {who}: soup {price}", revision.version);
    }

    store.undo(mistake.transaction_id).await?;
    let now = store.snapshot(At::Latest).await?;
    println!("after undoing bob's: {}", menu(&now).await?);
    ensure!(now.get("menu/soup").await? == by_name.get("menu/soup").await?);
    // What was undone is history too.
    let at_its_worst = store.snapshot(At::Version(mistake.version)).await?;
    println!("and on bob's day it was: {}", menu(&at_its_worst).await?);
    Ok(())
}

async fn edit(
    store: &Store,
    author: &str,
    prices: &[(&'static str, &'static str)],
) -> storage_txn::Result<Receipt> {
    store
        .transact(async |tx| {
            tx.set_author(author);
            prices.iter().try_for_each(|(dish, price)| tx.put(dish, *price))
        })
        .await
}

async fn menu(at: &Snapshot) -> Result<String> {
    let items = at.scan(&Scan::new(KeyRange::prefix("menu/"))).await?.collect().await?;
    let lines = items.iter().map(|item| format!("{} {}", text(&item.key[5..]), text(&item.value)));
    Ok(lines.collect::<Vec<_>>().join(", "))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
