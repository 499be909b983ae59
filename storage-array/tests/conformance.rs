//! The conformance suite on arrays: each keeps the contract of a provider at the level it declares.

use std::sync::Arc;

use backend_fs::FsProvider;
use backend_memory::{Config, MemoryProvider};
use conformance::{Level, Target, harness};
use storage_array::{Encrypt, Erasure, Member, Mirror, Shard, Split};
use storage_core::{Durability, Env, Result, Secret, StorageProvider, Versions};
use storage_wrappers::TokioEnv;

conformance::main!([
    unless_quick("mirror-3", 3, |members| Ok(Arc::new(Mirror::new(members, None, env())?))),
    on_disk("mirror-3-on-disk", |members| Ok(Arc::new(Mirror::new(members, None, env())?))),
    on_disk("erasure-2-1-on-disk", |members| {
        Ok(Arc::new(Erasure::new(2, 1, members, None, env())?))
    }),
    target("erasure-2-1", 3, |members| Ok(Arc::new(Erasure::new(2, 1, members, None, env())?))),
    unless_quick("erasure-4-2", 6, |members| Ok(Arc::new(Erasure::new(
        4,
        2,
        members,
        None,
        env()
    )?))),
    unless_quick("shard-4", 4, |members| Ok(Arc::new(shard(members)?))),
    target("encrypt-erasure-shard", 6, |members| {
        let erasure = erasure_over_shards(members)?;
        Ok(Arc::new(Encrypt::new(erasure, &Secret::new("5a".repeat(32)), env())?))
    }),
    unless_quick("mirror-of-erasure", 6, |members| {
        let half = members.len() / 2;
        let inside = members.chunks(half).map(|members| {
            let inner = Erasure::new(2, 1, members.to_vec(), None, env())?;
            Ok(Member::new(members[0].name().to_owned(), Arc::new(inner)))
        });
        Ok(Arc::new(Mirror::new(inside.collect::<Result<Vec<_>>>()?, None, env())?))
    })
    // Its members decide no conditions, so two writers of one key at a time may each win on one of them.
    .levels(&[Level::Scale, Level::Chaos]),
    unless_quick("store-on-erasure", 7, |mut members| {
        let log = members.remove(0).provider().clone();
        let objects = erasure_over_shards(members)?;
        let objects = Encrypt::new(objects, &Secret::new("5a".repeat(32)), env())?;
        Ok(Arc::new(Split::new(log, Arc::new(objects))))
    }),
    on_quorum("quorum-mirror-3", 3, |members| Ok(Arc::new(Mirror::new(members, None, env())?)))
        .ignored_if(quick(), "left out by --quick"),
    on_quorum("quorum-erasure-4-2", 6, |members| {
        Ok(Arc::new(Erasure::new(4, 2, members, None, env())?))
    })
    .ignored_if(short(), "minutes: run with CLOUDBANK_TEST_LONG=1"),
    on_quorum("quorum-shard-4", 4, |members| Ok(Arc::new(shard(members)?)))
        .ignored_if(short(), "minutes: run with CLOUDBANK_TEST_LONG=1"),
    on_quorum("quorum-encrypt-erasure-shard", 6, |members| {
        let erasure = erasure_over_shards(members)?;
        Ok(Arc::new(Encrypt::new(erasure, &Secret::new("5a".repeat(32)), env())?))
    })
    .ignored_if(short(), "minutes: run with CLOUDBANK_TEST_LONG=1"),
    quorum_on_disk("quorum-erasure-2-1-on-disk"),
]);

fn quick() -> bool {
    std::env::var_os("CLOUDBANK_TEST_QUICK").is_some()
}

fn short() -> bool {
    std::env::var_os("CLOUDBANK_TEST_LONG").is_none()
}

/// Stores with their log on the first three of these members in memory, and everything else on an array of all of them.
fn on_quorum(
    name: &str,
    members: usize,
    make: fn(Vec<Member>) -> Result<Arc<dyn StorageProvider>>,
) -> Target {
    let config = Config { versions: Versions::PerWrite, object_bytes_max: 1 << 20 };
    let memory: Vec<_> =
        (0..members).map(|_| MemoryProvider::with_config(config.clone())).collect();
    let harness = conformance::on_quorum(3, move || {
        let providers = memory.iter().map(|one| Arc::new(one.clone()) as Arc<dyn StorageProvider>);
        let providers: Vec<_> = providers.collect();
        let members = providers.iter().enumerate();
        let members = members.map(|(at, it)| Member::new(format!("m{at}"), it.clone())).collect();
        let objects = make(members);
        async move { Ok((providers[..3].to_vec(), objects?)) }
    });
    Target::new(name, harness).levels(&[Level::Txn])
}

/// The same with an erasure-coded array over three folders, each of which votes too.
fn quorum_on_disk(name: &str) -> Target {
    let folder = Arc::new(tempfile::tempdir().expect("a folder for the test"));
    let harness = conformance::on_quorum(3, move || {
        let folder = folder.clone();
        async move {
            let mut voters: Vec<Arc<dyn StorageProvider>> = Vec::new();
            for name in ["a", "b", "c"] {
                let config = backend_fs::Config {
                    create: true,
                    durability: Durability::ProcessCrash,
                    ..backend_fs::Config::new(folder.path().join(name))
                };
                voters.push(Arc::new(FsProvider::open(config).await?));
            }
            let members = ["a", "b", "c"].iter().zip(&voters);
            let members = members.map(|(name, voter)| Member::new(*name, voter.clone()));
            let objects = Erasure::new(2, 1, members.collect::<Vec<_>>(), None, env())?;
            Ok((voters, Arc::new(objects) as Arc<dyn StorageProvider>))
        }
    });
    Target::new(name, harness)
        .levels(&[Level::Txn])
        .ignored_if(short(), "minutes: run with CLOUDBANK_TEST_LONG=1")
}

fn shard(members: Vec<Member>) -> Result<Shard> {
    Shard::new(members.into_iter().map(|member| (member, 1.0)))
}

fn erasure_over_shards(members: Vec<Member>) -> Result<Arc<dyn StorageProvider>> {
    let shards = members.chunks(2).map(|pair| {
        let name = pair[0].name().to_owned();
        Ok(Member::new(name, Arc::new(shard(pair.to_vec())?)))
    });
    let shards = shards.collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(Erasure::new(2, 1, shards, None, env())?))
}

fn env() -> Arc<dyn Env> {
    Arc::new(TokioEnv::new())
}

/// Arrays over three folders: members that truly take turns. Left out by `cargo xtask test --quick`.
fn on_disk(name: &str, make: fn(Vec<Member>) -> Result<Arc<dyn StorageProvider>>) -> Target {
    let quick = std::env::var_os("CLOUDBANK_TEST_QUICK").is_some();
    let folder = Arc::new(tempfile::tempdir().expect("a folder for the test"));
    let harness = harness(move || {
        let folder = folder.clone();
        async move {
            let mut members = Vec::new();
            for name in ["a", "b", "c"] {
                let config = backend_fs::Config {
                    create: true,
                    durability: Durability::ProcessCrash,
                    ..backend_fs::Config::new(folder.path().join(name))
                };
                let opened = FsProvider::open(config).await?;
                members.push(Member::new(name, Arc::new(opened)));
            }
            make(members)
        }
    });
    Target::new(name, harness)
        .levels(&[Level::Core, Level::Txn, Level::Chaos])
        .ignored_if(quick, "left out by --quick")
}

/// As [`target`], but left out by `cargo xtask test --quick`.
fn unless_quick(
    name: &str,
    members: usize,
    make: fn(Vec<Member>) -> Result<Arc<dyn StorageProvider>>,
) -> Target {
    let quick = std::env::var_os("CLOUDBANK_TEST_QUICK").is_some();
    target(name, members, make).ignored_if(quick, "left out by --quick")
}

/// Handles that are each an array of their own, over the same members in memory.
fn target(
    name: &str,
    members: usize,
    make: fn(Vec<Member>) -> Result<Arc<dyn StorageProvider>>,
) -> Target {
    let config = Config { versions: Versions::PerWrite, object_bytes_max: 1 << 20 };
    let memory: Vec<_> =
        (0..members).map(|_| MemoryProvider::with_config(config.clone())).collect();
    Target::new(
        name,
        harness(move || {
            let members = memory
                .iter()
                .enumerate()
                .map(|(at, memory)| Member::new(format!("m{at}"), Arc::new(memory.clone())))
                .collect();
            let made = make(members);
            async move { made }
        }),
    )
}
