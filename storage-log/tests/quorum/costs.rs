//! What the log asks of its voters, counted.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use simulation::{Node, Plan, Sim, Simulator};
use storage_core::{Prefix, StorageProvider};
use storage_log::quorum::{Proof, QuorumLog, QuorumOptions, VoterState};
use storage_log::{Appended, CommitLog, Entry, Error, Head, Record, Slot, catch_up};

use crate::LOG;
use crate::gate::{Gate, Gated};

type Gates = Arc<Vec<Arc<Gate>>>;

/// Puts and gets since the last time.
fn asked(gates: &Gates) -> (u64, u64) {
    let puts = gates.iter().map(|gate| gate.puts.swap(0, Ordering::Relaxed)).sum();
    (puts, gates.iter().map(|gate| gate.gets.swap(0, Ordering::Relaxed)).sum())
}

fn entry(head: Head, nonce: u8) -> Entry {
    Entry::new(LOG, head, [nonce; 16], b"body")
}

async fn commit(log: &QuorumLog, head: &mut Head, nonce: u8) -> Result<(), Error> {
    let entry = entry(*head, nonce);
    assert!(matches!(log.append(&entry).await?, Appended::Ours));
    *head = head.follow(&Record::from(&entry))?;
    Ok(())
}

/// Runs `work` with a handle on a new log of `count` voters and another handle on the same, in a world without faults.
fn with<F>(
    count: usize,
    proof: Proof,
    work: impl Fn(Node, QuorumLog, QuorumLog, Gates) -> F + Clone + Send + Sync + 'static,
) where
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    let scenario = move |sim: &mut Sim| {
        let places: Vec<_> = (0..count).map(|at| sim.place(&format!("cloud{at}"))).collect();
        let work = work.clone();
        let answer = sim.ask("writer", move |node| async move {
            let gates: Gates = Arc::new(places.iter().map(|_| Arc::default()).collect());
            let clouds = places.iter().zip(&*gates).map(|(place, gate)| {
                let inner = node.provider(*place);
                let gated = Gated { inner, gate: gate.clone(), env: node.env(), stop: None };
                Arc::new(gated) as Arc<dyn StorageProvider>
            });
            let clouds: Vec<_> = clouds.collect();
            QuorumLog::create(LOG, &clouds, &Prefix::all()).await?;
            let options = QuorumOptions { proof, ..QuorumOptions::default() };
            let open = || {
                let (clouds, options) = (clouds.clone(), options.clone());
                QuorumLog::open(LOG, clouds, Prefix::all(), node.env(), options)
            };
            let (one, other) = (open().await?, open().await?);
            work(node, one, other, gates).await
        });
        answer?.map_err(|error| error.to_string())
    };
    let report = Simulator::new(scenario).soak(0..10, &Plan::calm());
    if let Some(found) = report.found {
        panic!("{found}");
    }
}

const WINDOW: Proof = Proof::Within(Duration::from_secs(10));

#[test]
fn a_steady_commit_is_one_put_a_voter_and_no_get() {
    for count in [1, 3, 5] {
        with(count, WINDOW, move |node, log, _, gates| async move {
            let mut head = Head::genesis(LOG);
            commit(&log, &mut head, 0).await?;
            node.env().sleep(Duration::from_secs(1)).await;
            asked(&gates);
            for nonce in 1..4 {
                commit(&log, &mut head, nonce).await?;
                // The last voters answer after the commit is done.
                node.env().sleep(Duration::from_secs(1)).await;
                assert_eq!(asked(&gates), (count as u64, 0));
            }
            Ok(())
        });
    }
}

#[test]
fn a_strict_commit_reads_each_marker_once() {
    with(3, Proof::Always, |node, log, _, gates| async move {
        let mut head = Head::genesis(LOG);
        commit(&log, &mut head, 0).await?;
        node.env().sleep(Duration::from_secs(1)).await;
        asked(&gates);
        commit(&log, &mut head, 1).await?;
        node.env().sleep(Duration::from_secs(1)).await;
        assert_eq!(asked(&gates), (3, 3));
        Ok(())
    });
}

#[test]
fn taking_over_is_reading_the_ends_of_the_chains_and_two_rounds_of_puts() {
    with(3, WINDOW, |node, one, other, gates| async move {
        let mut head = Head::genesis(LOG);
        commit(&one, &mut head, 0).await?;
        commit(&one, &mut head, 1).await?;
        node.env().sleep(Duration::from_secs(1)).await;
        // It reads what there is, and so has read the markers too.
        catch_up(&other, Head::genesis(LOG), 1, 1, |_| Ok(())).await?;
        node.env().sleep(Duration::from_secs(1)).await;
        asked(&gates);
        commit(&other, &mut head, 2).await?;
        node.env().sleep(Duration::from_secs(1)).await;
        let (puts, gets) = asked(&gates);
        // A promise and a value each; whoever did not answer in the first round need not promise any more.
        assert!((5..=6).contains(&puts), "{puts}");
        // One look behind the end each; whoever the reading went on without has to be looked at more closely.
        assert!((3..=6).contains(&gets), "{gets}");
        Ok(())
    });
}

#[test]
fn whoever_was_overtaken_is_told_so_and_goes_on_after_it() {
    with(3, WINDOW, |_, one, other, _| async move {
        let mut head = Head::genesis(LOG);
        commit(&one, &mut head, 0).await?;
        let late = entry(head, 9);
        commit(&other, &mut head, 1).await?;
        match one.append(&late).await? {
            Appended::Taken(record) => assert_eq!(record.nonce(), [1; 16]),
            other => panic!("{other:?}"),
        }
        assert!(matches!(one.append(&entry(Head::genesis(LOG), 0)).await?, Appended::Ours));
        commit(&one, &mut head, 2).await?;
        assert_eq!(catch_up(&other, Head::genesis(LOG), 1, 8, |_| Ok(())).await?, head);
        assert!(one.read(Slot(4)).await?.is_none());
        Ok(())
    });
}

#[test]
fn a_commit_waits_for_a_majority_and_not_for_who_is_slow_or_down() {
    with(3, WINDOW, |node, log, _, gates| async move {
        let mut head = Head::genesis(LOG);
        commit(&log, &mut head, 0).await?;
        gates[0].slow_millis.store(100_000, Ordering::Relaxed);
        for nonce in 1..5 {
            let start = node.env().monotonic();
            commit(&log, &mut head, nonce).await?;
            let time = node.env().monotonic() - start;
            assert!(time < Duration::from_secs(1), "in virtual time: {time:?}");
        }
        gates[1].shut.store(true, Ordering::Relaxed);
        gates[2].shut.store(true, Ordering::Relaxed);
        let next = entry(head, 5);
        assert!(matches!(log.append(&next).await?, Appended::Unknown(_)), "a majority is down");
        gates.iter().for_each(|gate| gate.shut.store(false, Ordering::Relaxed));
        gates[0].slow_millis.store(0, Ordering::Relaxed);
        assert!(matches!(log.append(&next).await?, Appended::Ours));
        Ok(())
    });
}

#[test]
fn what_was_collected_stays_taken_and_tells_whose_it_was() {
    with(3, WINDOW, |_, one, other, _| async move {
        let mut head = Head::genesis(LOG);
        for nonce in 0..4 {
            commit(&one, &mut head, nonce).await?;
        }
        for slot in 1..4 {
            let record = other.read(Slot(slot)).await?.expect("it is there");
            other.collect(&record).await?;
            other.collect(&record).await?;
            let left = other.read(Slot(slot)).await?.expect("it is there");
            assert_eq!((left.body(), left.id()), (None, record.id()));
        }
        assert!(matches!(other.append(&entry(Head::genesis(LOG), 0)).await?, Appended::Ours));
        let theirs = entry(Head::genesis(LOG), 7);
        assert!(matches!(other.append(&theirs).await?, Appended::Taken(_)));
        assert_eq!(catch_up(&other, Head::genesis(LOG), 1, 4, |_| Ok(())).await?, head);
        Ok(())
    });
}

#[test]
fn who_votes_can_be_changed_while_the_log_is_in_use() {
    with(5, WINDOW, |_, one, other, gates| async move {
        let mut head = Head::genesis(LOG);
        for nonce in 0..5 {
            commit(&one, &mut head, nonce).await?;
        }
        let first = one.voters().members;
        other.dismiss(first[0]).await?;
        other.dismiss(first[1]).await?;
        commit(&one, &mut head, 5).await?;
        assert_eq!(one.voters().members, first[2..]);
        // Those that were let go are not asked any more.
        gates[0].shut.store(true, Ordering::Relaxed);
        gates[1].shut.store(true, Ordering::Relaxed);
        gates[2].shut.store(true, Ordering::Relaxed);
        commit(&one, &mut head, 6).await?;
        gates[0].shut.store(false, Ordering::Relaxed);
        let back = one.admit(0, Some(first[2])).await?;
        assert_eq!(one.voters().members, [first[3], first[4], back]);
        commit(&other, &mut head, 7).await?;
        gates[3].shut.store(true, Ordering::Relaxed);
        commit(&one, &mut head, 8).await?;
        assert_eq!(catch_up(&other, Head::genesis(LOG), 1, 4, |_| Ok(())).await?, head);
        Ok(())
    });
}

#[test]
fn it_is_told_which_voters_are_current_which_are_behind_and_which_do_not_answer() {
    with(3, WINDOW, |node, log, other, gates| async move {
        let mut head = Head::genesis(LOG);
        commit(&log, &mut head, 0).await?;
        node.env().sleep(Duration::from_secs(1)).await;
        let states = async || {
            let status = other.status().await?;
            Ok::<_, Error>(status.into_iter().map(|voter| voter.state).collect::<Vec<_>>())
        };
        assert_eq!(
            states().await?,
            [VoterState::Current, VoterState::Current, VoterState::Current]
        );
        gates[1].shut.store(true, Ordering::Relaxed);
        for nonce in 1..4 {
            commit(&log, &mut head, nonce).await?;
        }
        node.env().sleep(Duration::from_secs(1)).await;
        assert!(matches!(states().await?[1], VoterState::Silent(_)));
        gates[1].shut.store(false, Ordering::Relaxed);
        assert_eq!(states().await?[1], VoterState::Behind(3));
        Ok(())
    });
}
