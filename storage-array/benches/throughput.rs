//! How fast objects go through an erasure-coded array, beside the coding crate alone.
//!
//! `cargo bench -p storage-array`. Members take everything and keep nothing, so what is measured is cutting, coding,
//! checksums and copies. Best of ten batches, one thread.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use reed_solomon_erasure::galois_8::ReedSolomon;
use storage_array::{Erasure, Member};
use storage_core::{
    Atomicity, Capabilities, Durability, Error, ErrorKind, Get, KEY_BYTES_MAX, Key, List,
    ListConsistency, Object, Page, ProviderInfo, PutIf, Result, Sharing, StorageProvider, Version,
    Versions, async_trait,
};
use storage_wrappers::TokioEnv;

const BATCHES: usize = 10;

fn main() {
    println!(
        "{:>5} {:>9} {:>12} {:>12} {:>7}",
        "shape", "object", "crate MB/s", "array MB/s", "ratio"
    );
    for (data, parity) in [(2, 1), (4, 2), (10, 4)] {
        for size in [64 << 10, 1 << 20, 8 << 20] {
            let rounds = (64 << 20) / size;
            let alone = coding(data, parity, size, rounds);
            let array = puts(data, parity, size, rounds);
            let speed = |time: Duration| (size * rounds) as f64 / time.as_secs_f64() / 1e6;
            println!(
                "{:>5} {:>8}K {:>12.0} {:>12.0} {:>6.0}%",
                format!("{data}+{parity}"),
                size >> 10,
                speed(alone),
                speed(array),
                speed(array) / speed(alone) * 100.0
            );
        }
    }
}

/// The time the crate takes to code so many objects.
fn coding(data: usize, parity: usize, size: usize, rounds: usize) -> Duration {
    let code = ReedSolomon::new(data, parity).expect("a code");
    let body = body(size);
    let pieces: Vec<&[u8]> = body.chunks(size.div_ceil(data)).collect();
    let piece = pieces[0].len();
    let pieces: Vec<Vec<u8>> = pieces
        .iter()
        .map(|it| {
            let mut full = it.to_vec();
            full.resize(piece, 0);
            full
        })
        .collect();
    let mut coded = vec![vec![0; piece]; parity];
    best(|| {
        for _ in 0..rounds {
            code.encode_sep(&pieces, &mut coded).expect("equal lengths");
            black_box(&coded);
        }
    })
}

/// The time an array takes to put as many.
fn puts(data: usize, parity: usize, size: usize, rounds: usize) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    let members = (0..data + parity).map(|at| Member::new(format!("m{at:02}"), Arc::new(Sink)));
    let array = Erasure::new(data, parity, members, None, Arc::new(TokioEnv::new()));
    let (array, body) = (array.expect("an array"), body(size));
    let key = Key::new("object").expect("a key");
    best(|| {
        runtime.block_on(async {
            for _ in 0..rounds {
                array.put(&key, body.clone(), PutIf::Always).await.expect("nothing fails here");
            }
        });
    })
}

fn body(size: usize) -> Bytes {
    (0..size).map(|at| (at * 31 + at / 251) as u8).collect()
}

fn best(mut work: impl FnMut()) -> Duration {
    let batch = |_| {
        let began = Instant::now();
        work();
        began.elapsed()
    };
    (0..BATCHES).map(batch).min().expect("there are batches")
}

/// Takes everything and keeps nothing.
#[derive(Debug)]
struct Sink;

#[async_trait]
impl StorageProvider for Sink {
    fn info(&self) -> ProviderInfo {
        ProviderInfo {
            name: "sink".into(),
            capabilities: Capabilities {
                absent: Atomicity::OneProcess,
                matches: Atomicity::OneProcess,
                list: ListConsistency::Strong,
                durability: Durability::Volatile,
                versions: Versions::PerWrite,
                sharing: Sharing::OneProcess,
                key_bytes_max: KEY_BYTES_MAX,
                object_bytes_max: 1 << 40,
            },
        }
    }

    async fn put(&self, _: &Key, body: Bytes, _: PutIf) -> Result<Version> {
        black_box(body);
        Ok(Version::new("1"))
    }

    async fn get(&self, _: &Key, _: Get) -> Result<Object> {
        Err(Error::not_applied(ErrorKind::NotFound, "nothing is kept"))
    }

    async fn list(&self, _: List<'_>) -> Result<Page> {
        Ok(Page::default())
    }

    async fn delete(&self, _: &Key) -> Result<()> {
        Ok(())
    }
}
