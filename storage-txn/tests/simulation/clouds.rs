//! Whole stores on a quorum of three clouds, of which one at a time is down, slow or wiped, and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use simulation::{Fault, Faults, Node, Plan, Sim, Simulator};
use storage_txn::{Proof, QuorumOptions, Store};

use crate::judge::judge;
use crate::notes::Notes;
use crate::site::{Clouds, Objects, Site};
use crate::workload::{node, open, options};

/// How often something befalls a cloud.
const TROUBLES: u32 = 4;

/// What happened in all runs.
#[derive(Debug, Default)]
struct Totals {
    outages: AtomicU64,
    slow: AtomicU64,
    wipes: AtomicU64,
    mended: AtomicU64,
}

/// Requests are lost, late, doubled and refused. Lists are as they are, for wipes are told by them.
pub(crate) fn rough() -> Plan {
    let kinds = [
        Fault::Throttled,
        Fault::RequestLost,
        Fault::ReplyLost,
        Fault::RequestLate,
        Fault::RequestTwice,
    ];
    Plan {
        faults: Faults::swarm(&kinds),
        steps_max: 1_000_000,
        time_max: Duration::from_secs(400 * 86_400),
        ..Plan::rough()
    }
}

fn scenario(
    sim: &mut Sim,
    objects: impl FnOnce(&mut Sim) -> Objects,
    wipes: bool,
    totals: &Arc<Totals>,
) -> Result<(), String> {
    // Where voters are wiped, their answers count only with their markers after them.
    let proof = if wipes { Proof::Always } else { QuorumOptions::default().proof };
    let site = Site::quorum(sim, objects, QuorumOptions { proof, ..QuorumOptions::default() });
    let Site::Quorum(clouds) = &site else { unreachable!("it is one") };
    let at = site.clone();
    sim.ask("maker", move |node| async move {
        loop {
            match Store::init(at.place(&node), node.env(), options()).await {
                Ok(_) => return,
                // A lost answer: it goes on where it was interrupted.
                Err(_) => node.env().sleep(Duration::from_secs(1)).await,
            }
            if Store::open(at.place(&node), node.env(), options()).await.is_ok() {
                return;
            }
        }
    })?;
    let notes = Arc::new(Notes::new(false));
    let done = Arc::new(AtomicBool::new(false));
    for at in 0..2 {
        let (notes, site) = (notes.clone(), site.clone());
        sim.node(&format!("node{at}"), move |it| node(it, site.clone(), notes.clone()));
    }
    let (clouds, told, at) = (clouds.clone(), totals.clone(), site.clone());
    sim.node("troubles", move |node| {
        trouble(node, at.clone(), clouds.clone(), wipes, told.clone(), done.clone())
    });
    sim.run()?;
    sim.heal();
    site.heal();
    sim.settle()?;
    sim.ask("judge", move |node| judge(node, site, notes))?
}

/// One thing at a time befalls one cloud at a time; one that was wiped gets another voter before anything else does.
async fn trouble(
    node: Node,
    site: Site,
    clouds: Arc<Clouds>,
    wipes: bool,
    totals: Arc<Totals>,
    done: Arc<AtomicBool>,
) {
    let env = node.env();
    site.heal();
    if wipes {
        mend(&node, &site, &totals).await;
    }
    // It crashes as any node does, and has done enough then.
    if done.swap(true, Ordering::Relaxed) {
        return;
    }
    for _ in 0..TROUBLES {
        env.sleep(Duration::from_millis(u64::from(node.choose(16)) * 200)).await;
        let at = node.choose(3) as usize;
        let time = Duration::from_millis(200 << node.choose(9));
        match node.choose(if wipes { 3 } else { 2 }) {
            0 => {
                totals.outages.fetch_add(1, Ordering::Relaxed);
                clouds.voters[at].shut.store(true, Ordering::Relaxed);
                env.sleep(time).await;
                clouds.voters[at].shut.store(false, Ordering::Relaxed);
            }
            1 => {
                totals.slow.fetch_add(1, Ordering::Relaxed);
                clouds.voters[at].slow_millis.store(700, Ordering::Relaxed);
                env.sleep(time).await;
                clouds.voters[at].slow_millis.store(0, Ordering::Relaxed);
            }
            _ => {
                totals.wipes.fetch_add(1, Ordering::Relaxed);
                clouds.wipe(&node, at).await;
                // No request is assumed to live longer than a voter.
                env.sleep(Duration::from_secs(30)).await;
                mend(&node, &site, &totals).await;
                env.sleep(Duration::from_secs(30)).await;
            }
        }
    }
}

/// Puts another voter in the place of one that was lost, until that is done.
async fn mend(node: &Node, site: &Site, totals: &Totals) {
    let store = open(node, site).await;
    loop {
        match store.mend_voters().await {
            Ok(mended) => {
                totals.mended.fetch_add(mended.len() as u64, Ordering::Relaxed);
                return;
            }
            Err(_) => node.env().sleep(Duration::from_secs(2)).await,
        }
    }
}

fn run(objects: fn(&mut Sim) -> Objects, wipes: bool, seeds: u64) {
    let totals = Arc::new(Totals::default());
    let told = totals.clone();
    let simulator = Simulator::new(move |sim: &mut Sim| scenario(sim, objects, wipes, &told));
    let report = simulator.soak(crate::seeds(seeds), &rough());
    println!("{totals:?}; {:?}", report.tally);
    report.assert_clean();
    let at_least = |count: &AtomicU64| assert!(count.load(Ordering::Relaxed) > 0, "{totals:?}");
    at_least(&totals.outages);
    at_least(&totals.slow);
    if wipes {
        at_least(&totals.wipes);
        at_least(&totals.mended);
    }
}

#[test]
fn a_store_on_a_quorum_and_a_mirror_survives_outages_of_one_cloud_at_a_time() {
    run(|_| Objects::Mirror, false, 12);
}

#[test]
fn a_store_on_a_quorum_and_erasure_coded_pieces_survives_outages_of_one_cloud_at_a_time() {
    run(|_| Objects::Erasure, false, 12);
}

#[test]
fn a_store_on_a_quorum_survives_wipes_of_one_voter_at_a_time() {
    run(|sim| Objects::Apart(sim.place("objects")), true, 25);
}
