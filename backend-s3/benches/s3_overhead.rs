//! What the backend adds to the library it stands on: both on the same server, in the same run, turn by turn.
//!
//! `cargo bench -p backend-s3` with `CLOUDBANK_TEST_SEAWEEDFS` set, or `cargo xtask bench s3_overhead`.
//! `-- --rounds N` for other than 400 rounds.

// A program, whose failure is told by a panic.
#![allow(clippy::unwrap_used)]

use std::env;
use std::future::Future;
use std::time::{Duration, Instant};

use backend_s3::{Config, Credentials, Http, Names, S3Provider};
use bytes::Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use storage_core::{Get, Key, List, Prefix, PutIf, Secret, StorageProvider};

const VARIABLE: &str = "CLOUDBANK_TEST_SEAWEEDFS";
const LISTED_KEYS: usize = 1000;
const RATIO_MAX: f64 = 1.05;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = env::args().collect();
    // `cargo test --benches` comes without.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let Ok(endpoint) = env::var(VARIABLE) else {
        say(&format!("nothing measured: set {VARIABLE} or run cargo xtask bench s3_overhead"));
        return;
    };
    let rounds = arguments.iter().position(|argument| argument == "--rounds");
    let rounds = rounds.map_or(400, |at| arguments[at + 1].parse().unwrap());
    let config = Config {
        endpoint: Some(endpoint.clone()),
        region: Some("us-east-1".into()),
        // Both list the same names.
        names: Names::Plain,
        credentials: Credentials::Keys {
            access_key_id: "cloudbank".into(),
            secret_access_key: Secret::new("cloudbank-secret"),
            session_token: None,
        },
        http: Http { allow_http: true, ..Http::default() },
        ..Config::new(format!("cb-bench-{:016x}", rand::random::<u64>()))
    };
    S3Provider::create(&config).await.unwrap();
    let ours = S3Provider::open(config.clone()).await.unwrap();
    let raw = AmazonS3Builder::new()
        .with_endpoint(&endpoint)
        .with_bucket_name(&config.bucket)
        .with_region("us-east-1")
        .with_access_key_id("cloudbank")
        .with_secret_access_key("cloudbank-secret")
        .with_allow_http(true)
        .build()
        .unwrap();
    say(&format!("{rounds} rounds, medians; raw is object_store on the same server"));
    say("operation          ours µs    raw µs   ratio");
    let worst = measure(&ours, &raw, rounds).await;
    say(&format!("worst ratio {worst:.3}, at most {RATIO_MAX} wanted"));
    S3Provider::destroy(&config).await.unwrap();
}

async fn measure(ours: &S3Provider, raw: &AmazonS3, rounds: usize) -> f64 {
    let small = Bytes::from(vec![7; 4 << 10]);
    let large = Bytes::from(vec![7; 1 << 20]);
    let mut worst: f64 = 0.0;
    let mut table = async |name: &str, times: Times| {
        let ratio = times.report(name);
        worst = worst.max(ratio);
    };
    for (name, body, rounds) in [("4 KiB", &small, rounds), ("1 MiB", &large, rounds / 4)] {
        let times = turns(
            rounds,
            async |n| {
                ours.put(&key("ours", n), body.clone(), PutIf::Always).await.unwrap();
            },
            async |n| {
                raw.put(&path("raw", n), body.clone().into()).await.unwrap();
            },
        );
        table(&format!("put {name}"), times.await).await;
        let times = turns(
            rounds,
            async |n| {
                ours.get(&key("ours", n), Get::whole()).await.unwrap();
            },
            async |n| {
                raw.get(&path("raw", n)).await.unwrap().bytes().await.unwrap();
            },
        );
        table(&format!("get {name}"), times.await).await;
    }
    let times = turns(
        rounds,
        async |n| {
            ours.put(&key("absent", n), small.clone(), PutIf::Absent).await.unwrap();
        },
        async |n| {
            let create = PutMode::Create.into();
            raw.put_opts(&path("absent_raw", n), small.clone().into(), create).await.unwrap();
        },
    );
    table("put absent 4 KiB", times.await).await;
    let times = turns(
        rounds,
        async |n| {
            ours.get(&key("ours", n), Get::range(100..1100)).await.unwrap();
        },
        async |n| {
            raw.get_range(&path("raw", n), 100..1100).await.unwrap();
        },
    );
    table("get range 1000 B", times.await).await;
    for n in 0..LISTED_KEYS {
        ours.put(&key("listed", n), "x".into(), PutIf::Always).await.unwrap();
    }
    let prefix = Prefix::new("listed/").unwrap();
    let times = turns(
        rounds / 4,
        async |_| {
            let page = ours.list(List::new(&prefix).limit(LISTED_KEYS)).await.unwrap();
            assert_eq!(page.objects.len(), LISTED_KEYS);
        },
        async |_| {
            let options =
                PaginatedListOptions { max_keys: Some(LISTED_KEYS), ..Default::default() };
            let page = raw.list_paginated(Some("listed/"), options).await.unwrap();
            assert_eq!(page.result.objects.len(), LISTED_KEYS);
        },
    );
    table("list 1,000 keys", times.await).await;
    let times = turns(
        rounds,
        async |n| {
            ours.delete(&key("absent", n)).await.unwrap();
        },
        async |n| {
            raw.delete(&path("absent_raw", n)).await.unwrap();
        },
    );
    table("delete", times.await).await;
    for n in 0..rounds {
        ours.delete(&key("ours", n)).await.unwrap();
        ours.delete(&key("raw", n)).await.unwrap();
    }
    for n in 0..LISTED_KEYS {
        ours.delete(&key("listed", n)).await.unwrap();
    }
    worst
}

fn key(group: &str, n: usize) -> Key {
    Key::new(format!("{group}/{n:06}")).unwrap()
}

fn path(group: &str, n: usize) -> Path {
    Path::from(format!("{group}/{n:06}"))
}

/// How long each turn took.
struct Times {
    ours: Vec<Duration>,
    raw: Vec<Duration>,
}

/// Both by turns, each first as often as the other.
async fn turns<A, B>(rounds: usize, ours: impl Fn(usize) -> A, raw: impl Fn(usize) -> B) -> Times
where
    A: Future<Output = ()>,
    B: Future<Output = ()>,
{
    let mut times = Times { ours: Vec::new(), raw: Vec::new() };
    for n in 0..rounds {
        if n % 2 == 0 {
            times.ours.push(time(ours(n)).await);
            times.raw.push(time(raw(n)).await);
        } else {
            times.raw.push(time(raw(n)).await);
            times.ours.push(time(ours(n)).await);
        }
    }
    times
}

async fn time(work: impl Future<Output = ()>) -> Duration {
    let start = Instant::now();
    work.await;
    start.elapsed()
}

impl Times {
    /// Prints a line and says the ratio.
    fn report(mut self, name: &str) -> f64 {
        let (ours, raw) = (median(&mut self.ours), median(&mut self.raw));
        let ratio = ours / raw;
        say(&format!("{name:<16} {ours:>9.0} {raw:>9.0} {ratio:>7.3}"));
        ratio
    }
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

fn say(line: &str) {
    println!("{line}");
}
