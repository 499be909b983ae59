//! Many writers on one key, from two processes.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use backend_fs::{Config, FsProvider};
use storage_core::{ErrorKind, Get, PutIf, StorageProvider};

use crate::support::{child, key, quick};

/// Writers in each of the two processes, half of them on each of two handles.
const WRITERS: usize = 32;
const ROUNDS: usize = 200;
const COUNTED: usize = 100;

/// Races for a key from two handles, and says who won.
async fn race(handles: &[FsProvider; 2], round: usize, process: &str) -> Vec<String> {
    let tasks: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let provider = handles[writer % 2].clone();
            let name = format!("{process}-{writer}");
            tokio::spawn(async move {
                let slot = key(&format!("race/{round}"));
                match provider.put(&slot, name.clone().into(), PutIf::Absent).await {
                    Ok(_) => Some(name),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
                        None
                    }
                }
            })
        })
        .collect();
    let mut winners = Vec::new();
    for task in tasks {
        winners.extend(task.await.unwrap());
    }
    winners
}

async fn handles(config: Config) -> [FsProvider; 2] {
    [FsProvider::open(config.clone()).await.unwrap(), FsProvider::open(config).await.unwrap()]
}

pub(crate) async fn child_races(path: &str) {
    let handles = handles(quick(&Config::new(path))).await;
    println!("\nready");
    for line in std::io::stdin().lines() {
        let winners = race(&handles, line.unwrap().parse().unwrap(), "child").await;
        println!("\nwon {}", winners.join(" "));
    }
}

pub(crate) async fn of_64_writers_one_creates() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::new(folder.path().join("data")).create(true);
    let handles = handles(quick(&config)).await;
    let mut process = child("race", &config.path, &[])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut orders = process.stdin.take().unwrap();
    let mut answers = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut answer = |word: &str| loop {
        let line = answers.next().expect("the other process went away").unwrap();
        if let Some(rest) = line.strip_prefix(word) {
            return rest.trim().to_owned();
        }
    };
    answer("ready");
    let mut won_by_child = 0;
    for round in 0..ROUNDS {
        writeln!(orders, "{round}").unwrap();
        let mut winners = race(&handles, round, "parent").await;
        let theirs = answer("won");
        won_by_child += usize::from(!theirs.is_empty());
        winners.extend(theirs.split_whitespace().map(str::to_owned));
        assert_eq!(winners.len(), 1, "round {round}: {winners:?}");
        let object = handles[0].get(&key(&format!("race/{round}")), Get::whole()).await.unwrap();
        assert_eq!(object.body, winners[0]);
    }
    drop(orders);
    assert!(process.wait().unwrap().success());
    println!("{won_by_child} of {ROUNDS} rounds were won by the other process");
}

/// Adds to a counter until each task has succeeded as often as it should.
async fn count(handles: &[FsProvider; 2]) -> usize {
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let provider = handles[task % 2].clone();
            tokio::spawn(async move {
                let counter = key("counter");
                let mut left = COUNTED / 8;
                while left > 0 {
                    let object = provider.get(&counter, Get::whole()).await.unwrap();
                    let value: u64 = std::str::from_utf8(&object.body).unwrap().parse().unwrap();
                    let next = (value + 1).to_string().into();
                    match provider.put(&counter, next, PutIf::Matches(object.version)).await {
                        Ok(_) => left -= 1,
                        Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
                    }
                }
                COUNTED / 8
            })
        })
        .collect();
    let mut successes = 0;
    for task in tasks {
        successes += task.await.unwrap();
    }
    successes
}

pub(crate) async fn child_counts(path: &str) {
    let successes = count(&handles(quick(&Config::new(path))).await).await;
    println!("\ncounted {successes}");
}

pub(crate) async fn a_counter_counts_every_success() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::new(folder.path().join("data")).create(true);
    let handles = handles(quick(&config)).await;
    handles[0].put(&key("counter"), "0".into(), PutIf::Absent).await.unwrap();
    let process = child("count", &config.path, &[]).stdout(Stdio::piped()).spawn().unwrap();
    let ours = count(&handles).await;
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let theirs: usize =
        text.lines().find_map(|line| line.strip_prefix("counted ")).unwrap().parse().unwrap();
    let value = handles[0].get(&key("counter"), Get::whole()).await.unwrap().body;
    assert_eq!(value, (ours + theirs).to_string());
}
