//! Whole stores whose log goes from one provider to three clouds and back while they are used, one of which is down at
//! times.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use simulation::{Node, Sim, Simulator};
use storage_txn::{ErrorKind, LogTarget, Store};

use crate::clouds::rough;
use crate::judge::judge;
use crate::notes::Notes;
use crate::site::{Clouds, Site};
use crate::workload::{node, open, options};

/// How often something happens in a run.
const TIMES: u32 = 6;

/// How often the same move is done again.
const ATTEMPTS_MAX: u32 = 20;

/// What happened in all runs.
#[derive(Debug, Default)]
struct Totals {
    there: AtomicU64,
    back: AtomicU64,
    refused: AtomicU64,
    outages: AtomicU64,
}

fn scenario(sim: &mut Sim, totals: &Arc<Totals>) -> Result<(), String> {
    let site = Site::moving(sim);
    let Site::Moving(clouds) = &site else { unreachable!("it is one") };
    let at = site.clone();
    sim.ask("maker", move |node| async move {
        loop {
            match Store::init(at.place(&node), node.env(), options()).await {
                Err(error) if error.kind() != ErrorKind::StoreExists => {
                    node.env().sleep(Duration::from_secs(1)).await;
                }
                _ => return,
            }
        }
    })?;
    let notes = Arc::new(Notes::new(false));
    let done = Arc::new(AtomicU32::new(0));
    for at in 0..2 {
        let (notes, site) = (notes.clone(), site.clone());
        sim.node(&format!("node{at}"), move |it| node(it, site.clone(), notes.clone()));
    }
    let (clouds, told, at) = (clouds.clone(), totals.clone(), site.clone());
    sim.node("mover", move |node| {
        move_it(node, at.clone(), clouds.clone(), told.clone(), done.clone())
    });
    sim.run()?;
    sim.heal();
    site.heal();
    sim.settle()?;
    sim.ask("judge", move |node| judge(node, site, notes))?
}

/// Moves the log to and fro; a cloud is down for a while, perhaps in the middle of it.
async fn move_it(
    node: Node,
    site: Site,
    clouds: Arc<Clouds>,
    totals: Arc<Totals>,
    done: Arc<AtomicU32>,
) {
    let env = node.env();
    site.heal();
    // It crashes as any node does, in the middle of a move too, and goes on with another.
    while done.fetch_add(1, Ordering::Relaxed) < TIMES {
        env.sleep(Duration::from_millis(u64::from(node.choose(16)) * 200)).await;
        let cloud = &clouds.voters[node.choose(3) as usize];
        let is_down = node.choose(2) == 0;
        if is_down {
            totals.outages.fetch_add(1, Ordering::Relaxed);
        }
        let (target, count) = match node.choose(2) {
            0 => (LogTarget::Voters(vec![0, 1, 2]), &totals.there),
            _ => (LogTarget::Objects, &totals.back),
        };
        let store = open(&node, &site).await;
        // One that is down is needed to make a place, and not to leave one.
        cloud.shut.store(is_down, Ordering::Relaxed);
        for _ in 0..ATTEMPTS_MAX {
            match store.move_log(&target, &|_| ()).await {
                Ok(moved) => {
                    count.fetch_add(u64::from(moved), Ordering::Relaxed);
                    break;
                }
                // Done again where it was stopped, with everything there.
                Err(_) => drop(totals.refused.fetch_add(1, Ordering::Relaxed)),
            }
            env.sleep(Duration::from_secs(1)).await;
            cloud.shut.store(false, Ordering::Relaxed);
        }
        cloud.shut.store(false, Ordering::Relaxed);
    }
}

#[test]
fn a_store_whose_log_is_moved_to_and_fro_loses_nothing() {
    let totals = Arc::new(Totals::default());
    let told = totals.clone();
    let simulator = Simulator::new(move |sim: &mut Sim| scenario(sim, &told));
    let report = simulator.soak(crate::seeds(25), &rough());
    println!("{totals:?}; {:?}", report.tally);
    report.assert_clean();
    for count in [&totals.there, &totals.back, &totals.refused, &totals.outages] {
        assert!(count.load(Ordering::Relaxed) > 0, "{totals:?}");
    }
}
