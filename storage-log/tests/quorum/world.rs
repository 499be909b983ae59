//! Writers on a quorum whose voters go down, slow down and are wiped, one at a time.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use simulation::{Node, Place, Sim};
use storage_core::{ErrorKind, List, Prefix, StorageProvider};
use storage_log::quorum::{Proof, QuorumLog, QuorumOptions, VoterChange};
use storage_log::{Appended, CommitLog, Entry, EntryId, Error, Head, Record, Slot, catch_up};

use crate::LOG;
use crate::gate::{Gate, Gated};
use crate::judge::judge;

/// How much of everything there is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workload {
    pub(crate) voters: usize,
    pub(crate) writers: u32,
    /// Of each writer.
    pub(crate) commits: u32,
    /// How often something befalls a voter.
    pub(crate) troubles: u32,
    pub(crate) wipes: bool,
    /// Who may vote one day: with any, voters are added, removed and replaced, and the first writer knows of none of them
    /// until it is refused.
    pub(crate) spares: usize,
    /// How long a writer waits before each commit.
    pub(crate) pace: Duration,
    pub(crate) proof: Proof,
}

/// What happened in all runs.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    commits: AtomicU64,
    outages: AtomicU64,
    wipes: AtomicU64,
    admitted: AtomicU64,
    changed: AtomicU64,
    /// Handles that were told to name those who vote now.
    refused: AtomicU64,
    wiping: AtomicBool,
    changing: AtomicBool,
}

impl Totals {
    /// Whether there was enough of everything for the runs to mean anything.
    pub(crate) fn check(&self) {
        let at_least = |count: &AtomicU64| assert!(count.load(Ordering::Relaxed) > 0, "{self}");
        at_least(&self.commits);
        at_least(&self.outages);
        if self.wiping.load(Ordering::Relaxed) {
            at_least(&self.wipes);
            at_least(&self.admitted);
        }
        if self.changing.load(Ordering::Relaxed) {
            at_least(&self.changed);
            at_least(&self.refused);
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        write!(
            f,
            "{} commits, {} outages, {} wipes, {} voters admitted, {} changed, {} handles refused",
            count(&self.commits),
            count(&self.outages),
            count(&self.wipes),
            count(&self.admitted),
            count(&self.changed),
            count(&self.refused)
        )
    }
}

/// What nodes share with the judge.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) acknowledged: Mutex<Vec<(Slot, EntryId)>>,
    pub(crate) wrong: Mutex<Option<String>>,
    writers_done: AtomicU64,
    done: Vec<AtomicU64>,
    /// A change of the voters that was begun and is not known to be done: until it is, whoever is concerned may vote.
    begun: Mutex<Option<VoterChange>>,
}

impl Notes {
    fn last(&self) -> Slot {
        self.acknowledged.lock().unwrap().iter().map(|(slot, _)| *slot).max().unwrap_or(Slot(0))
    }

    fn wrong(&self, what: String) {
        self.wrong.lock().unwrap().get_or_insert(what);
    }
}

/// One run.
pub(crate) fn world(
    sim: &mut Sim,
    workload: &Workload,
    totals: &Arc<Totals>,
) -> Result<(), String> {
    let workload = *workload;
    totals.wiping.store(workload.wipes, Ordering::Relaxed);
    totals.changing.store(workload.spares > 0, Ordering::Relaxed);
    let count = workload.voters + workload.spares;
    let places: Vec<_> = (0..count).map(|at| sim.place(&format!("cloud{at}"))).collect();
    let gates: Vec<_> = places.iter().map(|_| Arc::new(Gate::default())).collect();
    let places = Arc::new((places, gates));
    let made = places.clone();
    let voters = sim
        .ask("maker", move |node| async move {
            let clouds = clouds(&node, &made);
            QuorumLog::create(LOG, &clouds[..workload.voters], &Prefix::all()).await?;
            Ok::<_, Error>(open(&node, &made, Proof::Always).await?.voters())
        })?
        .map_err(|error| format!("the log cannot be made: {error}"))?;
    let done = (0..workload.writers).map(|_| AtomicU64::new(0)).collect();
    let notes = Arc::new(Notes { done, ..Notes::default() });
    for at in 0..workload.writers {
        let (places, notes, totals) = (places.clone(), notes.clone(), totals.clone());
        sim.node(&format!("writer{at}"), move |node| {
            write(node, at, workload, places.clone(), notes.clone(), totals.clone())
        });
    }
    let (trouble, seen, counted) = (places.clone(), notes.clone(), totals.clone());
    sim.node("trouble", move |node| {
        trouble_maker(node, workload, trouble.clone(), seen.clone(), counted.clone())
    });
    sim.run()?;
    sim.heal();
    for gate in &places.1 {
        gate.shut.store(false, Ordering::Relaxed);
        gate.slow_millis.store(0, Ordering::Relaxed);
    }
    sim.settle()?;
    let histories: Vec<_> = places.0.iter().map(|place| sim.history(*place)).collect();
    let (shared, seen) = (places.clone(), notes.clone());
    let read = sim.ask("reader", move |node| async move {
        let log = open(&node, &shared, Proof::Always).await?;
        let mut read = Vec::new();
        let taken = |record: Record| {
            read.push(record.id());
            Ok(())
        };
        catch_up(&log, Head::genesis(LOG), 1, 8, taken).await?;
        Ok::<_, Error>(read)
    })?;
    let read = read.map_err(|error| format!("the log cannot be read afterwards: {error}"))?;
    judge(voters, &histories, &seen, &read)
}

fn clouds(node: &Node, places: &(Vec<Place>, Vec<Arc<Gate>>)) -> Vec<Arc<dyn StorageProvider>> {
    let gated = places.0.iter().zip(&places.1).map(|(place, gate)| {
        let (inner, gate) = (node.provider(*place), gate.clone());
        let gated = Gated { inner, gate, env: node.env(), stop: None };
        Arc::new(gated) as Arc<dyn StorageProvider>
    });
    gated.collect()
}

async fn open(
    node: &Node,
    places: &(Vec<Place>, Vec<Arc<Gate>>),
    proof: Proof,
) -> Result<QuorumLog, Error> {
    open_knowing(node, places, proof, &mut places.0.len()).await
}

/// A handle that knows only the first providers; of all where none of these votes any more.
async fn open_knowing(
    node: &Node,
    places: &(Vec<Place>, Vec<Arc<Gate>>),
    proof: Proof,
    known: &mut usize,
) -> Result<QuorumLog, Error> {
    let options = QuorumOptions { proof, ..QuorumOptions::default() };
    loop {
        let mut clouds = clouds(node, places);
        clouds.truncate(*known);
        match QuorumLog::open(LOG, clouds, Prefix::all(), node.env(), options.clone()).await {
            Err(Error::Storage(error)) => {
                if error.kind() == ErrorKind::NotFound {
                    *known = places.0.len();
                }
                node.env().sleep(Duration::from_secs(1)).await;
            }
            other => return other,
        }
    }
}

async fn write(
    node: Node,
    at: u32,
    workload: Workload,
    places: Arc<(Vec<Place>, Vec<Arc<Gate>>)>,
    notes: Arc<Notes>,
    totals: Arc<Totals>,
) {
    let result = write_all(&node, at, workload, &places, &notes, &totals).await;
    if let Err(error) = result {
        notes.wrong(format!("writer {at}: {error}"));
    }
    notes.writers_done.fetch_add(1, Ordering::Relaxed);
}

async fn write_all(
    node: &Node,
    at: u32,
    workload: Workload,
    places: &(Vec<Place>, Vec<Arc<Gate>>),
    notes: &Notes,
    totals: &Totals,
) -> Result<(), Error> {
    let env = node.env();
    let knows_all = at > 0 || workload.spares == 0;
    let mut known = if knows_all { places.0.len() } else { workload.voters };
    let mut log = open_knowing(node, places, workload.proof, &mut known).await?;
    // Whoever is told to name those who vote now does so.
    let is_refused = |error: &storage_core::Error, known: usize| {
        error.kind() == ErrorKind::Misconfigured && known < places.0.len()
    };
    let open_all = async |known: &mut usize| {
        totals.refused.fetch_add(1, Ordering::Relaxed);
        *known = places.0.len();
        open(node, places, workload.proof).await
    };
    let mut head = Head::genesis(LOG);
    // What was sent and may be in the log, for all anybody knows.
    let mut unsure: Option<Entry> = None;
    while notes.wrong.lock().unwrap().is_none()
        && notes.done[at as usize].load(Ordering::Relaxed) < u64::from(workload.commits)
    {
        if !workload.pace.is_zero() {
            env.sleep(workload.pace).await;
        }
        let floor = notes.last();
        let mut read = Vec::new();
        let taken = |record: Record| {
            read.push(record);
            Ok(())
        };
        let end = catch_up(&log, head, 1, 4, taken).await;
        for record in read {
            head = head.follow(&record)?;
            if unsure.as_ref().is_some_and(|entry| entry.id() == record.id()) {
                acknowledge(at, unsure.take().as_ref(), notes, totals);
            }
        }
        match end {
            Ok(_) if head.slot < floor => {
                let (slot, acknowledged) = (head.slot, floor);
                notes.wrong(format!(
                    "a read ended at slot {slot}, after slot {acknowledged} was acknowledged"
                ));
                return Ok(());
            }
            Ok(_) => {}
            Err(Error::Storage(error)) if is_refused(&error, known) => {
                log = open_all(&mut known).await?;
                continue;
            }
            Err(Error::Storage(_)) => {
                env.sleep(Duration::from_millis(500)).await;
                continue;
            }
            Err(error) => return Err(error),
        }
        let resend = unsure.take().filter(|entry| entry.slot() == head.slot.next());
        let nonce = u128::from(env.random()) << 64 | u128::from(env.random());
        let entry = resend.unwrap_or_else(|| {
            Entry::new(LOG, head, nonce.to_le_bytes(), format!("writer {at}").as_bytes())
        });
        match log.append(&entry).await {
            Ok(Appended::Ours) => {
                head = head.follow(&Record::from(&entry))?;
                acknowledge(at, Some(&entry), notes, totals);
            }
            Ok(Appended::Taken(record)) => head = head.follow(&record)?,
            Ok(Appended::Unknown(error)) => {
                unsure = Some(entry);
                if is_refused(&error, known) {
                    log = open_all(&mut known).await?;
                }
            }
            // Where the end can still be read, an append may find too few.
            Err(Error::Storage(error)) if is_refused(&error, known) => {
                log = open_all(&mut known).await?;
            }
            Err(Error::Storage(_)) => env.sleep(Duration::from_millis(500)).await,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn acknowledge(at: u32, entry: Option<&Entry>, notes: &Notes, totals: &Totals) {
    let Some(entry) = entry else { return };
    notes.acknowledged.lock().unwrap().push((entry.slot(), entry.id()));
    notes.done[at as usize].fetch_add(1, Ordering::Relaxed);
    totals.commits.fetch_add(1, Ordering::Relaxed);
}

/// Shuts, slows and wipes voters, one at a time, and puts another in the place of one that was wiped. It crashes as any
/// node does, and then mends what it finds broken.
async fn trouble_maker(
    node: Node,
    workload: Workload,
    places: Arc<(Vec<Place>, Vec<Arc<Gate>>)>,
    notes: Arc<Notes>,
    totals: Arc<Totals>,
) {
    let env = node.env();
    for gate in &places.1 {
        gate.shut.store(false, Ordering::Relaxed);
        gate.slow_millis.store(0, Ordering::Relaxed);
    }
    let begun = *notes.begun.lock().unwrap();
    if let Some(begun) = begun {
        change(&node, &workload, begun, &places, &notes, &totals).await;
    }
    for _ in 0..workload.troubles {
        if workload.wipes {
            // A marker that is put twice, the second time long after its voter was wiped, gives that its name back: no
            // request is assumed to live so long.
            // Nor does a deletion, which may strike the next voter of the same place.
            env.sleep(Duration::from_secs(30)).await;
            mend(&node, &workload, &places, &notes, &totals).await;
        }
        if notes.writers_done.load(Ordering::Relaxed) == u64::from(workload.writers) {
            return;
        }
        env.sleep(Duration::from_millis(u64::from(node.choose(8)) * 200)).await;
        if workload.spares > 0 && node.choose(2) == 0 {
            let any = || node.choose(places.0.len() as u32) as usize;
            let (old, new) = (any(), any());
            let wanted = match node.choose(4) {
                0 => VoterChange::Add(new),
                1 => VoterChange::Remove(old),
                _ => VoterChange::Replace { old, new },
            };
            change(&node, &workload, wanted, &places, &notes, &totals).await;
            continue;
        }
        let at = node.choose(places.0.len() as u32) as usize;
        let gate = &places.1[at];
        let time = Duration::from_millis(200 << node.choose(8));
        match node.choose(if workload.wipes { 3 } else { 2 }) {
            0 => {
                gate.shut.store(true, Ordering::Relaxed);
                totals.outages.fetch_add(1, Ordering::Relaxed);
                env.sleep(time).await;
                gate.shut.store(false, Ordering::Relaxed);
            }
            1 => {
                gate.slow_millis.store(700, Ordering::Relaxed);
                env.sleep(time).await;
                gate.slow_millis.store(0, Ordering::Relaxed);
            }
            _ => {
                wipe(&node, places.0[at]).await;
                totals.wipes.fetch_add(1, Ordering::Relaxed);
                mend(&node, &workload, &places, &notes, &totals).await;
            }
        }
    }
}

/// Adds, removes or replaces a voter, again until it is known to be done if it may have begun. One that is let go is wiped
/// as soon as that is done, and perhaps another one too.
async fn change(
    node: &Node,
    workload: &Workload,
    change: VoterChange,
    places: &(Vec<Place>, Vec<Arc<Gate>>),
    notes: &Notes,
    totals: &Totals,
) {
    let mut attempts = 0;
    loop {
        let log = match open(node, places, workload.proof).await {
            Ok(log) => log,
            Err(error) => return notes.wrong(format!("changing voters: {error}")),
        };
        let was_begun = notes.begun.lock().unwrap().replace(change).is_some();
        match log.change_voters(change, &|_| ()).await {
            Ok(true) => break,
            Ok(false) if was_begun => break,
            Err(Error::Storage(error))
                if error.kind() != ErrorKind::Misconfigured
                    || error.message().contains("name the providers") =>
            {
                attempts += 1;
                if attempts > 500 {
                    return notes.wrong(format!("{change:?} does not come to an end: {error}"));
                }
                node.env().sleep(Duration::from_secs(2)).await;
            }
            // There was nothing to do, or it cannot be.
            Ok(false) | Err(Error::Storage(_)) => {
                *notes.begun.lock().unwrap() = None;
                return;
            }
            Err(error) => return notes.wrong(format!("{change:?}: {error}")),
        }
    }
    *notes.begun.lock().unwrap() = None;
    totals.changed.fetch_add(1, Ordering::Relaxed);
    if let VoterChange::Remove(old) | VoterChange::Replace { old, .. } = change
        && workload.wipes
    {
        wipe(node, places.0[old]).await;
        if node.choose(2) == 0 {
            let other = node.choose(places.0.len() as u32) as usize;
            wipe(node, places.0[other]).await;
            totals.wipes.fetch_add(1, Ordering::Relaxed);
            mend(node, workload, places, notes, totals).await;
        }
    }
}

/// Deletes all that a voter has, its marker first.
async fn wipe(node: &Node, place: Place) {
    let provider = node.provider(place);
    let (env, all) = (node.env(), Prefix::all());
    let marker = storage_core::Key::new("voter").unwrap();
    while provider.delete(&marker).await.is_err() {
        env.sleep(Duration::from_millis(100)).await;
    }
    for _ in 0..50 {
        let Ok(page) = provider.list(List::new(&all)).await else { continue };
        if page.objects.is_empty() {
            break;
        }
        for object in page.objects {
            let _ = provider.delete(&object.key).await;
        }
    }
}

/// Puts a voter in the place of each that has no marker.
async fn mend(
    node: &Node,
    workload: &Workload,
    places: &(Vec<Place>, Vec<Arc<Gate>>),
    notes: &Notes,
    totals: &Totals,
) {
    let env = node.env();
    let mut attempts = 0;
    loop {
        let log = match open(node, places, workload.proof).await {
            Ok(log) => log,
            Err(error) => return notes.wrong(format!("mending: {error}")),
        };
        match mend_once(&log).await {
            Ok(admitted) => {
                totals.admitted.fetch_add(admitted, Ordering::Relaxed);
                return;
            }
            Err(Error::Storage(error)) => {
                attempts += 1;
                if attempts > 500 {
                    return notes.wrong(format!("mending does not come to an end: {error}"));
                }
                env.sleep(Duration::from_secs(2)).await;
            }
            Err(error) => return notes.wrong(format!("mending: {error}")),
        }
    }
}

async fn mend_once(log: &QuorumLog) -> Result<u64, Error> {
    let mut admitted = 0;
    for (voter, provider) in log.missing().await? {
        log.admit(provider, Some(voter)).await?;
        admitted += 1;
    }
    Ok(admitted)
}
