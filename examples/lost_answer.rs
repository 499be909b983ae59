//! What do I do when the answer to a put is lost? Ask for it with `create_exact`, which finds out.

use std::sync::Arc;

use anyhow::{Result, ensure};
use backend_memory::MemoryProvider;
use storage_core::{Created, Effect, Key, PutIf, StorageProvider, StorageProviderExt};
use storage_wrappers::{FaultPlan, Faulty, TokioEnv};

#[tokio::main]
async fn main() -> Result<()> {
    // A provider that does half of what it is asked and then hangs up.
    let plan = FaultPlan { lost_after: 0.5, ..FaultPlan::none(7) };
    let flaky = Faulty::new(MemoryProvider::new(), plan, Arc::new(TokioEnv::new()))?;

    // By hand: was it written or not? The error says that it cannot tell.
    let mut unknown = 0;
    for n in 0..100 {
        let key = Key::new(format!("by_hand/{n}"))?;
        if let Err(error) = flaky.put(&key, "ours".into(), PutIf::Absent).await {
            ensure!(error.effect() == Effect::Unknown);
            unknown += 1;
        }
    }
    println!("by hand: {unknown} of 100 puts ended unknown");

    // With create_exact: it reads back, and puts the same bytes again where there are none yet. The body
    // holds who wrote it, so that it knows its own.
    let (mut ours, mut theirs) = (0, 0);
    for n in 0..100 {
        let slot = Key::new(format!("log/{n:04}"))?;
        for writer in ["alice", "bob"] {
            // What even this cannot resolve is asked again: with the same bytes, the same answer.
            let created = loop {
                match flaky.create_exact(&slot, format!("entry {n} of {writer}").into()).await {
                    Ok(created) => break created,
                    Err(error) => ensure!(error.kind().is_transient(), error),
                }
            };
            match created {
                Created::Ours(_) => ours += 1,
                Created::Taken(_) => theirs += 1,
            }
        }
    }
    ensure!((ours, theirs) == (100, 100));
    println!("with create_exact: {ours} slots won, {theirs} lost, none unknown");
    Ok(())
}
