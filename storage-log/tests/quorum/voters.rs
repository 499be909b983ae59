//! Adding, removing and replacing voters while the log is in use: what it takes, who is refused, and what is left of it
//! when it is stopped anywhere.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::TryStreamExt;
use simulation::{Node, Place, Plan, Sim, Simulator};
use storage_core::{Effect, ErrorKind, Prefix, StorageProvider, StorageProviderExt};
use storage_log::quorum::{Proof, QuorumLog, QuorumOptions, VoterChange, VoterState};
use storage_log::{Appended, CommitLog, Entry, Error, Head, Record, catch_up};

use crate::LOG;
use crate::gate::{Gate, Gated, How, Stop};

/// Three voters, and others that may vote.
#[derive(Clone)]
struct Clouds {
    node: Node,
    places: Vec<Place>,
    gates: Arc<Vec<Arc<Gate>>>,
}

impl Clouds {
    fn all(&self, stop: Option<&Arc<Stop>>) -> Vec<Arc<dyn StorageProvider>> {
        let gated = self.places.iter().zip(&*self.gates).map(|(place, gate)| {
            let (inner, gate) = (self.node.provider(*place), gate.clone());
            let gated = Gated { inner, gate, env: self.node.env(), stop: stop.cloned() };
            Arc::new(gated) as Arc<dyn StorageProvider>
        });
        gated.collect()
    }

    async fn open_on(&self, clouds: Vec<Arc<dyn StorageProvider>>) -> Result<QuorumLog, Error> {
        let proof = Proof::Within(Duration::from_secs(10));
        let options = QuorumOptions { proof, ..QuorumOptions::default() };
        QuorumLog::open(LOG, clouds, Prefix::all(), self.node.env(), options).await
    }

    async fn open(&self) -> Result<QuorumLog, Error> {
        self.open_on(self.all(None)).await
    }

    fn shut(&self, at: usize, shut: bool) {
        self.gates[at].shut.store(shut, Ordering::Relaxed);
    }

    async fn wipe(&self, at: usize) -> Result<(), Error> {
        let provider = self.node.provider(self.places[at]);
        let listed: Vec<_> = provider.list_all(&Prefix::all()).try_collect().await?;
        for object in listed {
            provider.delete(&object.key).await?;
        }
        Ok(())
    }

    /// Puts and gets of each since the last time.
    fn asked(&self) -> Vec<(u64, u64)> {
        let taken = self.gates.iter().map(|gate| {
            (gate.puts.swap(0, Ordering::Relaxed), gate.gets.swap(0, Ordering::Relaxed))
        });
        taken.collect()
    }
}

async fn commit(log: &QuorumLog, head: &mut Head, nonce: u8) -> Result<(), Error> {
    let entry = Entry::new(LOG, *head, [nonce; 16], b"body");
    let appended = log.append(&entry).await?;
    assert!(matches!(appended, Appended::Ours), "{appended:?}");
    *head = head.follow(&Record::from(&entry))?;
    Ok(())
}

/// Runs `work` with so many providers, of which the first three vote, in a world without faults.
fn with<F>(count: usize, seeds: u64, work: impl Fn(Clouds) -> F + Clone + Send + Sync + 'static)
where
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    let scenario = move |sim: &mut Sim| {
        let places: Vec<_> = (0..count).map(|at| sim.place(&format!("cloud{at}"))).collect();
        let work = work.clone();
        let answer = sim.ask("writer", move |node| async move {
            let gates = Arc::new(places.iter().map(|_| Arc::default()).collect());
            let clouds = Clouds { node, places, gates };
            QuorumLog::create(LOG, &clouds.all(None)[..3], &Prefix::all()).await?;
            work(clouds).await
        });
        answer?.map_err(|error| error.to_string())
    };
    let report = Simulator::new(scenario).soak(0..seeds, &Plan::calm());
    if let Some(found) = report.found {
        panic!("{found}");
    }
}

const REPLACE: VoterChange = VoterChange::Replace { old: 0, new: 3 };

#[test]
fn one_that_was_let_go_may_be_wiped_at_once_and_another_be_lost() {
    with(4, 10, |clouds| async move {
        let log = clouds.open().await?;
        let mut head = Head::genesis(LOG);
        clouds.shut(1, true);
        for nonce in 0..5 {
            commit(&log, &mut head, nonce).await?;
        }
        clouds.shut(1, false);
        assert!(clouds.open().await?.change_voters(REPLACE, &|_| ()).await?);
        clouds.wipe(0).await?;
        clouds.wipe(2).await?;
        // The one that was away has everything now, as the new one has.
        let other = clouds.open().await?;
        assert_eq!(catch_up(&other, Head::genesis(LOG), 1, 8, |_| Ok(())).await?, head);
        commit(&log, &mut head, 9).await?;
        assert_eq!(other.mend().await?.len(), 1);
        let states: Vec<_> = other.status().await?.into_iter().map(|it| it.state).collect();
        assert!(!states.iter().any(|state| matches!(state, VoterState::Lost(_))), "{states:?}");
        Ok(())
    });
}

#[test]
fn when_a_change_is_done_as_many_as_decide_have_it_and_everything_before() {
    with(4, 10, |clouds| async move {
        let log = clouds.open().await?;
        let mut head = Head::genesis(LOG);
        clouds.shut(1, true);
        for nonce in 0..3 {
            commit(&log, &mut head, nonce).await?;
        }
        let other = clouds.open().await?;
        assert!(other.change_voters(REPLACE, &|_| ()).await?);
        // Without the one that was let go, and without the one that is away.
        let states = other.status().await?.into_iter().map(|voter| voter.state);
        let current = states.filter(|state| *state == VoterState::Current).count();
        assert_eq!(current, 2);
        Ok(())
    });
}

/// One that is behind takes nothing, and the new one goes on strike at every moment of the change: whatever that is, a change
/// that is said to be done is on two of the three who vote now.
#[test]
fn a_change_that_only_one_of_the_new_voters_has_is_not_said_to_be_done() {
    let done = Arc::new(std::sync::Mutex::new(Vec::new()));
    for cells in 0..10 {
        let told = done.clone();
        with(4, 3, move |clouds| {
            let told = told.clone();
            async move {
                let log = clouds.open().await?;
                let mut head = Head::genesis(LOG);
                *clouds.gates[1].cells_left.lock().unwrap() = Some(0);
                for nonce in 0..3 {
                    commit(&log, &mut head, nonce).await?;
                }
                *clouds.gates[3].cells_left.lock().unwrap() = Some(cells);
                let other = clouds.open().await?;
                let changed = other.change_voters(REPLACE, &|_| ()).await;
                if changed.is_ok() {
                    let states = other.status().await?.into_iter().map(|voter| voter.state);
                    let current = states.filter(|state| *state == VoterState::Current).count();
                    assert_eq!(current, 2, "with {cells} cells");
                }
                told.lock().unwrap().push(changed.is_ok());
                for gate in &*clouds.gates {
                    *gate.cells_left.lock().unwrap() = None;
                }
                let changed_again = other.change_voters(REPLACE, &|_| ()).await?;
                assert!(!(changed.is_ok() && changed_again));
                clouds.wipe(0).await?;
                clouds.wipe(2).await?;
                let third = clouds.open().await?;
                assert_eq!(catch_up(&third, Head::genesis(LOG), 1, 8, |_| Ok(())).await?, head);
                Ok(())
            }
        });
    }
    let done = done.lock().unwrap();
    assert!(done.contains(&true) && done.contains(&false), "{done:?}");
}

#[test]
fn a_new_voter_takes_a_put_for_each_decision_and_commits_cost_what_they_did() {
    with(4, 10, |clouds| async move {
        let (log, other) = (clouds.open().await?, clouds.open().await?);
        let mut head = Head::genesis(LOG);
        for nonce in 0..50 {
            commit(&log, &mut head, nonce).await?;
        }
        clouds.node.env().sleep(Duration::from_secs(1)).await;
        clouds.asked();
        let seen = std::sync::Mutex::new(Vec::new());
        assert!(
            other.change_voters(REPLACE, &|progress| seen.lock().unwrap().push(progress)).await?
        );
        clouds.node.env().sleep(Duration::from_secs(1)).await;
        let asked = clouds.asked();
        // Its marker, what was decided, who votes in two places, and a promise.
        assert!((53..=56).contains(&asked[3].0), "{asked:?}");
        assert!(asked[..3].iter().all(|(puts, _)| *puts <= 5), "{asked:?}");
        let gets: u64 = asked.iter().map(|(_, gets)| gets).sum();
        assert!(gets < 150, "{asked:?}");
        let seen = seen.into_inner().unwrap();
        assert_eq!(
            seen.iter().map(|it| it.copied).collect::<Vec<_>>(),
            (1..=50).collect::<Vec<_>>()
        );
        commit(&log, &mut head, 100).await?;
        clouds.node.env().sleep(Duration::from_secs(1)).await;
        clouds.asked();
        commit(&log, &mut head, 101).await?;
        clouds.node.env().sleep(Duration::from_secs(1)).await;
        assert_eq!(clouds.asked(), [(0, 0), (1, 0), (1, 0), (1, 0)]);
        Ok(())
    });
}

#[test]
fn voters_are_added_and_removed_and_the_same_again_changes_nothing() {
    with(5, 10, |clouds| async move {
        let (log, other) = (clouds.open().await?, clouds.open().await?);
        let mut head = Head::genesis(LOG);
        let changes = [
            (VoterChange::Add(3), 4),
            (VoterChange::Add(4), 5),
            (VoterChange::Remove(1), 4),
            (VoterChange::Replace { old: 0, new: 1 }, 4),
            (VoterChange::Remove(4), 3),
        ];
        for (nonce, (change, count)) in changes.into_iter().enumerate() {
            commit(&log, &mut head, nonce as u8).await?;
            assert!(other.change_voters(change, &|_| ()).await?, "{change:?}");
            assert!(!other.change_voters(change, &|_| ()).await?, "{change:?}");
            commit(&log, &mut head, 100 + nonce as u8).await?;
            assert_eq!(log.voters().members.len(), count);
        }
        for (change, why) in [
            (VoterChange::Remove(1), "3 voters survive the loss of one"),
            (VoterChange::Replace { old: 1, new: 2 }, "are both voters"),
            (VoterChange::Replace { old: 0, new: 4 }, "is no voter of this log"),
        ] {
            match other.change_voters(change, &|_| ()).await {
                Err(Error::Storage(error)) if error.kind() == ErrorKind::Misconfigured => {
                    assert!(error.message().contains(why), "{error}");
                }
                other => panic!("{change:?}: {other:?}"),
            }
        }
        assert_eq!(catch_up(&other, Head::genesis(LOG), 1, 8, |_| Ok(())).await?, head);
        Ok(())
    });
}

#[test]
fn a_voter_that_is_gone_for_good_can_be_replaced_and_no_change_leaves_too_few() {
    with(6, 10, |clouds| async move {
        let log = clouds.open().await?;
        let mut head = Head::genesis(LOG);
        commit(&log, &mut head, 0).await?;
        clouds.shut(0, true);
        // The other two alone would have to be there for whatever is decided then.
        clouds.shut(4, true);
        let change = VoterChange::Replace { old: 1, new: 4 };
        assert!(matches!(log.change_voters(change, &|_| ()).await, Err(Error::Storage(_))));
        commit(&log, &mut head, 1).await?;
        clouds.shut(4, false);
        let other = clouds.open().await?;
        assert!(other.change_voters(REPLACE, &|_| ()).await?);
        clouds.shut(0, false);
        for new in [4, 5] {
            assert!(log.change_voters(VoterChange::Add(new), &|_| ()).await?);
        }
        // Of the four that there would be two are down.
        clouds.shut(1, true);
        clouds.shut(5, true);
        commit(&log, &mut head, 2).await?;
        match log.change_voters(VoterChange::Remove(2), &|_| ()).await {
            Err(Error::Storage(error)) => {
                assert!(error.message().contains("voters there would be"), "{error}");
                assert_eq!(error.effect(), Effect::NotApplied);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(log.voters().members.len(), 5);
        clouds.shut(1, false);
        commit(&log, &mut head, 3).await?;
        assert_eq!(catch_up(&log, Head::genesis(LOG), 1, 8, |_| Ok(())).await?, head);
        Ok(())
    });
}

#[test]
fn a_handle_that_was_not_told_of_the_new_voters_goes_on_and_is_refused_when_it_knows_too_few() {
    with(5, 10, |clouds| async move {
        let mut known = clouds.all(None);
        known.truncate(3);
        let (log, old) = (clouds.open().await?, clouds.open_on(known.clone()).await?);
        let mut head = Head::genesis(LOG);
        commit(&old, &mut head, 0).await?;
        assert!(log.change_voters(REPLACE, &|_| ()).await?);
        commit(&old, &mut head, 1).await?;
        // What it knows as no voter any more is not what was wiped.
        assert_eq!(old.mend().await?, []);
        assert!(log.change_voters(VoterChange::Replace { old: 1, new: 4 }, &|_| ()).await?);
        let refused = |error: Error| match error {
            Error::Storage(error) => {
                assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
                assert!(error.message().contains("name the providers"), "{error}");
            }
            other => panic!("{other}"),
        };
        let late = Entry::new(LOG, head, [8; 16], b"late");
        match old.append(&late).await {
            Err(error) => refused(error),
            // What was sent to the one that it knows may be decided by whoever finds it there.
            Ok(Appended::Unknown(_)) => {}
            Ok(other) => panic!("{other:?}"),
        }
        refused(old.read(head.slot.next()).await.expect_err("it knows one of three"));
        let end = catch_up(&log, Head::genesis(LOG), 1, 8, |_| Ok(())).await?;
        assert!(end.slot >= head.slot);
        head = end;
        commit(&log, &mut head, 2).await?;
        // One that knows them all goes on.
        let new = clouds.open().await?;
        commit(&new, &mut head, 3).await?;
        Ok(())
    });
}

#[test]
fn a_change_that_is_stopped_at_any_request_is_finished_by_the_next_and_nothing_is_lost() {
    for how in [How::Fails, How::AnswerIsLost, How::IsLost] {
        for change in [REPLACE, VoterChange::Add(3)] {
            let mut after = 0;
            while !stopped(change, how, after) {
                after += 1;
            }
            assert!(after > 20, "it takes that many requests at least, not {after}");
        }
    }
}

/// Stops a change after so many requests, and has another do it. Whether it was done before it was stopped.
fn stopped(change: VoterChange, how: How, after: u64) -> bool {
    let was_done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let told = was_done.clone();
    with(4, 1, move |clouds| {
        let told = told.clone();
        async move {
            let log = clouds.open().await?;
            let mut head = Head::genesis(LOG);
            clouds.shut(1, true);
            for nonce in 0..4 {
                commit(&log, &mut head, nonce).await?;
            }
            clouds.shut(1, false);
            let stop = Stop::new(after, how);
            let done = match clouds.open_on(clouds.all(Some(&stop))).await {
                Ok(other) => other.change_voters(change, &|_| ()).await.is_ok(),
                Err(_) => false,
            };
            told.store(done && !stop.has_stopped.load(Ordering::Relaxed), Ordering::Relaxed);
            // Whatever is left, the log is in use.
            commit(&log, &mut head, 10).await?;
            let other = clouds.open().await?;
            let changed = other.change_voters(change, &|_| ()).await?;
            assert!(!(done && changed), "it was said to be done, {how:?} after {after}");
            if change == REPLACE {
                clouds.wipe(0).await?;
            }
            clouds.shut(2, true);
            commit(&log, &mut head, 11).await?;
            let third = clouds.open().await?;
            let end = catch_up(&third, Head::genesis(LOG), 1, 8, |_| Ok(())).await?;
            assert_eq!(end, head, "{how:?} after {after}");
            Ok(())
        }
    });
    was_done.load(Ordering::Relaxed)
}
