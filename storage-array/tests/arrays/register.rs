//! What several clients do to one key of an array, in simulated worlds: there must be an order that explains
//! every answer.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use conformance::history::Recorder;
use conformance::linearizability;
use futures_util::future::join_all;
use simulation::{Fault, Faults, Node, Place, Plan, Sim, SimProvider, Simulator};
use storage_array::{Erasure, Member, Mirror};
use storage_core::{
    ErrorKind, Get, Key, List, Object, Page, ProviderInfo, PutIf, Result, StorageProvider, Version,
    Versions, async_trait,
};

use crate::rig::key;

/// How many processes there are, each with a handle of its own.
const NODES: usize = 3;
/// How many clients each has.
const CLIENTS: usize = 2;
/// How many operations a client does.
const OPERATIONS: u32 = 6;
/// One in so many requests stalls, on each of its ways; drawn for each run.
const STALL_ONE_IN: [u32; 3] = [4, 12, 40];

/// Makes an array, and says how many of its reads had to be answered by too few members.
type Make = fn(Vec<Member>, &Node) -> (Arc<dyn StorageProvider>, Unvouched);
type Unvouched = Box<dyn Fn() -> u64 + Send + Sync>;

fn mirror(members: Vec<Member>, node: &Node) -> (Arc<dyn StorageProvider>, Unvouched) {
    let array = Arc::new(Mirror::new(members, None, node.env()).unwrap());
    (array.clone(), Box::new(move || array.known_status().counts.unvouched))
}

fn erasure(members: Vec<Member>, node: &Node) -> (Arc<dyn StorageProvider>, Unvouched) {
    let array = Arc::new(Erasure::new(2, 1, members, None, node.env()).unwrap());
    (array.clone(), Box::new(move || array.known_status().counts.unvouched))
}

fn open(
    node: &Node,
    places: &[Place],
    one_in: u32,
    make: Make,
) -> (Arc<dyn StorageProvider>, Unvouched) {
    let members = places.iter().enumerate();
    let members = members.map(|(at, place)| {
        let provider = Stalling::new(node, *place, one_in);
        Member::new(format!("m{at}"), Arc::new(provider))
    });
    make(members.collect(), node)
}

/// A member that now and then takes far longer than it usually does, on the way there or back.
struct Stalling {
    inner: SimProvider,
    node: Node,
    one_in: u32,
    /// How much later than others it gets what is put.
    puts_wait: Duration,
}

impl fmt::Debug for Stalling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stalling").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Stalling {
    fn new(node: &Node, place: Place, one_in: u32) -> Self {
        let (inner, node) = (node.provider(place), node.clone());
        Self { inner, node, one_in, puts_wait: Duration::ZERO }
    }

    async fn stall(&self) {
        if self.node.choose(self.one_in) == 1 {
            let time = Duration::from_millis(u64::from(self.node.choose(10) + 1) * 300);
            self.node.env().sleep(time).await;
        }
    }

    async fn stalled<T>(&self, request: impl Future<Output = T>) -> T {
        self.stall().await;
        let answer = request.await;
        self.stall().await;
        answer
    }
}

#[async_trait]
impl StorageProvider for Stalling {
    fn info(&self) -> ProviderInfo {
        self.inner.info()
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        self.node.env().sleep(self.puts_wait).await;
        self.stalled(self.inner.put(key, body, when)).await
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        self.stalled(self.inner.get(key, request)).await
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        self.stalled(self.inner.list(request)).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.stalled(self.inner.delete(key)).await
    }
}

/// What all nodes of a run share.
struct World {
    recorder: Recorder,
    /// Whether a read was answered by fewer members than can rule out something later.
    in_doubt: AtomicBool,
    /// Whether something may fail.
    rough: bool,
}

/// Puts, gets and deletes of one key from several nodes; everybody reads it at the end.
fn one_key(sim: &mut Sim, make: Make, rough: bool) -> std::result::Result<(), String> {
    let places: Arc<[Place]> = ["a", "b", "c"].map(|name| sim.place(name)).into();
    let one_in = STALL_ONE_IN[sim.choose(STALL_ONE_IN.len() as u32) as usize];
    let world =
        Arc::new(World { recorder: Recorder::new(), in_doubt: AtomicBool::new(false), rough });
    for number in 0..NODES {
        let (places, world) = (places.clone(), world.clone());
        sim.node(&format!("node {number}"), move |node| {
            let (array, unvouched) = open(&node, &places, one_in, make);
            let world = world.clone();
            async move {
                let clients = (0..CLIENTS).map(|client| {
                    work(&node, number * CLIENTS + client, &*array, &unvouched, &world)
                });
                join_all(clients).await;
            }
        });
    }
    sim.run()?;
    for reader in 0..2 {
        let (places, world) = (places.clone(), world.clone());
        sim.ask(&format!("reader {reader}"), move |node| async move {
            let (array, _) = open(&node, &places, one_in, make);
            // A missing object is an answer too, and one that cannot be read says nothing.
            let _ = world.recorder.get(NODES * CLIENTS + reader, &*array, &the_key()).await;
        })?;
    }
    sim.settle()?;
    // Where one of three is all that is left, what it has is returned, though it may be old.
    if world.in_doubt.load(Ordering::Relaxed) { Ok(()) } else { judge(&world.recorder) }
}

async fn work(
    node: &Node,
    client: usize,
    array: &dyn StorageProvider,
    unvouched: &Unvouched,
    world: &World,
) {
    let key = the_key();
    for operation in 0..OPERATIONS {
        if !node.does(client as u32 * OPERATIONS + operation) {
            continue;
        }
        let said = match node.choose(7) {
            0..3 => {
                let body = format!("{operation} of {client} of life {}", node.restarts());
                let put = world.recorder.put(client, array, &key, Bytes::from(body), PutIf::Always);
                put.await.map(drop)
            }
            3..5 => world.recorder.delete(client, array, &key).await,
            _ => world.recorder.get(client, array, &key).await.map(drop),
        };
        node.say(|| format!("client {client}, operation {operation}: {said:?}"));
        world.in_doubt.fetch_or(unvouched() > 0, Ordering::Relaxed);
        if let Err(error) = said {
            let kind = error.kind();
            assert!(kind != ErrorKind::Corrupt, "nothing was damaged: {error}");
            assert!(world.rough || kind == ErrorKind::NotFound, "everybody answers: {error}");
        }
    }
}

/// A put reaches the first member at once and the others late. Meanwhile a reader may bring it to them, so that it
/// counts, and somebody else deletes it: then it must not be put a second time.
fn beaten_after_it_was_read(sim: &mut Sim, make: Make) -> std::result::Result<(), String> {
    let places: Arc<[Place]> = ["a", "b", "c"].map(|name| sim.place(name)).into();
    let recorder = Arc::new(Recorder::new());
    let is_read = sim.choose(2) == 1;
    let steps: [(u64, u8, bool); 5] =
        [(0, b'p', true), (2, b'g', is_read), (5, b'd', true), (8, b'g', true), (30, b'g', true)];
    for (client, (second, what, _)) in steps.into_iter().enumerate().filter(|(_, step)| step.2) {
        let (places, recorder) = (places.clone(), recorder.clone());
        sim.node(&format!("client {client}"), move |node| {
            let members = places.iter().enumerate().map(|(at, place)| {
                let mut member = Stalling::new(&node, *place, STALL_ONE_IN[2]);
                if what == b'p' && at > 0 {
                    member.puts_wait = Duration::from_secs(10);
                }
                Member::new(format!("m{at}"), Arc::new(member))
            });
            let (array, _) = make(members.collect(), &node);
            let recorder = recorder.clone();
            async move {
                node.env().sleep(Duration::from_secs(second)).await;
                let key = the_key();
                let said = match what {
                    b'p' => {
                        let put = recorder.put(client, &*array, &key, "a".into(), PutIf::Always);
                        put.await.map(drop)
                    }
                    b'd' => recorder.delete(client, &*array, &key).await,
                    _ => recorder.get(client, &*array, &key).await.map(drop),
                };
                if let Err(error) = said {
                    assert!(error.kind() == ErrorKind::NotFound, "everybody answers: {error}");
                }
            }
        });
    }
    sim.run()?;
    sim.settle()?;
    judge(&recorder)
}

fn judge(recorder: &Recorder) -> std::result::Result<(), String> {
    let histories = recorder.so_far();
    assert!(!histories.is_empty(), "somebody did something");
    for history in histories.values() {
        linearizability::check(history, Versions::PerWrite).map_err(|what| {
            let mut t = what.to_string();
            for x in history {
                t += &format!("\nH {x}");
            }
            t
        })?;
    }
    Ok(())
}

fn the_key() -> Key {
    key("k")
}

fn seeds(usual: u64) -> std::ops::Range<u64> {
    let from = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = from("SIMULATION_SEED").unwrap_or(0);
    first..first + from("SIMULATION_SEEDS").unwrap_or(usual)
}

fn check(make: Make, plan: &Plan, rough: bool) {
    Simulator::new(move |sim: &mut Sim| one_key(sim, make, rough))
        .soak(seeds(150), plan)
        .assert_clean();
}

#[test]
fn puts_and_deletes_of_one_key_in_a_mirror_have_an_order() {
    check(mirror, &Plan::calm(), false);
}

#[test]
fn puts_and_deletes_of_one_key_in_pieces_have_an_order() {
    check(erasure, &Plan::calm(), false);
}

#[test]
fn a_put_that_was_read_and_deleted_before_its_last_requests_land_is_not_put_again() {
    for make in [mirror, erasure] {
        let scenario = move |sim: &mut Sim| beaten_after_it_was_read(sim, make);
        Simulator::new(scenario).soak(seeds(150), &Plan::calm()).assert_clean();
    }
}

#[test]
fn answers_that_are_lost_and_requests_that_land_late_leave_an_order_in_a_mirror() {
    check(mirror, &rough(), true);
}

#[test]
fn answers_that_are_lost_and_requests_that_land_late_leave_an_order_in_pieces() {
    check(erasure, &rough(), true);
}

/// All that may happen to an honest provider but that a list is old, which these operations do not ask for.
fn rough() -> Plan {
    Plan { faults: Faults::swarm(&Fault::HONEST), ..Plan::rough() }
}
