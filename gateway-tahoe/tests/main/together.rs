//! Many writers of one slot, also on two servers: one winner each time, and all shares of one version.

use std::sync::Arc;

use bytes::Bytes;
use gateway_tahoe::{
    Kind, LeaseSecrets, ReadTestWrite, ReadVector, ShareChange, Shares, StorageIndex, Test, Write,
};

use crate::support::Bench;

const INDEX: StorageIndex = StorageIndex([7; 16]);
const SHARES: u64 = 5;

/// Replaces version `from` by `to` on all shares.
fn swap(from: Option<u64>, to: u64) -> ReadTestWrite {
    let specimen = from.map_or(Bytes::new(), |from| Bytes::copy_from_slice(&from.to_be_bytes()));
    let change = ShareChange {
        tests: vec![Test { offset: 0, size: 8, specimen }],
        writes: vec![
            Write { offset: 0, data: Bytes::copy_from_slice(&to.to_be_bytes()) },
            Write { offset: 2_000_000, data: Bytes::copy_from_slice(&to.to_be_bytes()) },
        ],
        new_length: None,
    };
    ReadTestWrite {
        changes: (0..SHARES).map(|number| (number, change.clone())).collect(),
        reads: vec![ReadVector { offset: 0, size: 8 }, ReadVector { offset: 2_000_000, size: 8 }],
    }
}

async fn ask(shares: &Shares, request: &ReadTestWrite) -> gateway_tahoe::Answer {
    let secrets = LeaseSecrets { renew: [1; 32], cancel: [2; 32] };
    shares.read_test_write(INDEX, &[9; 32], &secrets, request).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_all_who_replace_one_version_one_wins_and_nobody_sees_two() {
    let bench = Arc::new(Bench::new().await);
    let second = Arc::new(bench.second().await);
    let mut version = None;
    for round in 0..12_u64 {
        let mut racers = tokio::task::JoinSet::new();
        for racer in 0..8_u64 {
            let bench = if racer % 2 == 0 { bench.clone() } else { second.clone() };
            racers.spawn(async move {
                let to = round * 100 + racer + 1;
                let answer = ask(bench.shares(), &swap(version, to)).await;
                for (number, pieces) in &answer.data {
                    assert_eq!(pieces, &answer.data[&0], "share {number} is of another version");
                    assert_eq!(pieces[0], pieces[1], "share {number} is of two versions");
                }
                answer.success.then_some(to)
            });
        }
        let won: Vec<_> = racers.join_all().await.into_iter().flatten().collect();
        assert_eq!(won.len(), 1, "round {round}: {won:?}");
        version = Some(won[0]);
        for bench in [&bench, &second] {
            for number in 0..SHARES {
                let reader =
                    bench.shares().reader(Kind::Mutable, INDEX, number).await.unwrap().unwrap();
                let found = reader.read(0..8).await.unwrap();
                assert_eq!(found, won[0].to_be_bytes()[..], "round {round}, share {number}");
            }
        }
    }
}
