//! Servers that go on while members leave and come back: as soon as a repair says that all is whole, the next member
//! may be lost, whatever the servers know of the last one by then.
//!
//! `SIMULATION_SEEDS` says how many seeds are run, `SIMULATION_SEED` which is the first.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};
use storage_core::{Env, ErrorKind, Get, Key, PutIf};
use storage_wrappers::ManualEnv;

use crate::rig::{Array, Place, body, key, places};

/// Data pieces and members.
const SHAPES: [(usize, usize); 4] = [(2, 3), (1, 3), (2, 4), (4, 6)];
const SERVERS: usize = 2;
const ROUNDS: usize = 3;
/// How often a repair is run again that does not find everything whole.
const REPAIRS_MAX: usize = 100;
/// How long clients wait for what they read.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn once_a_repair_says_that_all_is_whole_the_next_member_may_be_lost() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().unwrap())
    };
    let (first, seeds) = (number("SIMULATION_SEED", 0), number("SIMULATION_SEEDS", 16));
    let mut puts = 0;
    for seed in first..first + seeds {
        let env = Arc::new(ManualEnv::new(seed));
        let told = env.block_on(World::new(&env, seed).live());
        puts += told.unwrap_or_else(|problem| panic!("SIMULATION_SEED={seed}: {problem}"));
    }
    println!("{seeds} seeds, {puts} objects");
}

struct World {
    env: Arc<ManualEnv>,
    shape: (usize, usize),
    places: Vec<Place>,
    servers: Vec<Array>,
    /// What was acknowledged.
    puts: Mutex<Vec<(Key, usize)>>,
    over: AtomicBool,
}

impl World {
    fn new(env: &Arc<ManualEnv>, seed: u64) -> Self {
        let shape = SHAPES[seed as usize % SHAPES.len()];
        let places = places(env, shape.1);
        let servers = (0..SERVERS).map(|_| Array::new(shape, &places, env)).collect();
        let (puts, over) = (Mutex::default(), AtomicBool::new(false));
        Self { env: env.clone(), shape, places, servers, puts, over }
    }

    fn below(&self, bound: usize) -> usize {
        (self.env.random() % bound as u64) as usize
    }

    async fn some_time(&self, longest: Duration) {
        // As often short as long.
        let longest = longest.as_millis() as u64 >> self.below(10);
        self.env.sleep(Duration::from_millis(self.env.random() % longest.max(1))).await;
    }

    async fn live(self) -> Result<usize, String> {
        for place in &self.places {
            place.set_latency(Duration::from_micros(500 + self.env.random() % 40_000));
        }
        let serving = join_all(self.servers.iter().enumerate().map(|(at, it)| self.serve(at, it)));
        let harming = async {
            let harmed = self.harm().await;
            self.over.store(true, Ordering::SeqCst);
            harmed
        };
        let (served, harmed) = join(serving, harming).await;
        harmed?;
        served.into_iter().collect::<Result<(), String>>()?;
        let array = Array::new(self.shape, &self.places, &self.env);
        self.places[self.below(self.places.len())].set_down(true);
        let puts = self.puts.lock().unwrap().clone();
        for (name, size) in &puts {
            self.read(&array, name, *size).await.map_err(|it| format!("in the end: {it}"))?;
        }
        Ok(puts.len())
    }

    /// Puts objects and reads them until it is over. Nothing may fail.
    async fn serve(&self, server: usize, array: &Array) -> Result<(), String> {
        let busy = Duration::from_millis([500, 3_000, 20_000][self.below(3)]);
        for number in 0.. {
            if self.over.load(Ordering::SeqCst) {
                break;
            }
            self.some_time(busy).await;
            let name = key(&format!("s{server}/{number}"));
            let size = self.below(3) * 40_000 + self.below(100);
            let put = array.provider().put(&name, body(size), PutIf::Always).await;
            put.map_err(|error| format!("put by s{server}: {error}"))?;
            self.puts.lock().unwrap().push((name, size));
            let (name, size) = {
                let puts = self.puts.lock().unwrap();
                puts[self.below(puts.len())].clone()
            };
            self.read(array, &name, size).await.map_err(|it| format!("read by s{server}: {it}"))?;
        }
        Ok(())
    }

    async fn read(&self, array: &Array, name: &Key, size: usize) -> Result<(), String> {
        let until = self.env.monotonic() + PATIENCE;
        loop {
            match array.provider().get(name, Get::whole()).await {
                Ok(object) if object.body == body(size) => return Ok(()),
                Ok(_) => return Err(format!("{name} is another")),
                // It waits; but what is there is never said to be missing.
                Err(error)
                    if error.kind() == ErrorKind::Unavailable && self.env.monotonic() < until => {}
                Err(error) => return Err(error.to_string()),
            }
            self.env.sleep(Duration::from_millis(100)).await;
        }
    }

    /// One member is away for a while, or slow; when that is repaired, another is wiped.
    async fn harm(&self) -> Result<(), String> {
        for round in 0..ROUNDS {
            self.some_time(Duration::from_secs(30)).await;
            let away = self.below(self.places.len());
            let place = &self.places[away];
            let usual = Duration::from_micros(500 + self.env.random() % 40_000);
            match self.below(3) {
                0 => place.set_latency(Duration::from_secs(1 + self.env.random() % 20)),
                _ => place.set_down(true),
            }
            self.some_time(Duration::from_secs(150)).await;
            place.set_latency(usual);
            place.set_down(false);
            let what =
                |wiped: &str| format!("round {round}, {:?}, m{away} was away{wiped}", self.shape);
            self.repair().await.map_err(|it| format!("{}: {it}", what("")))?;
            let wiped = (away + 1 + self.below(self.places.len() - 1)) % self.places.len();
            let place = &self.places[wiped];
            place.set_down(true);
            place.replace_all(&[]).await;
            self.some_time(Duration::from_secs(60)).await;
            place.set_down(false);
            let wiped = format!(", m{wiped} is wiped");
            self.repair().await.map_err(|it| format!("{}: {it}", what(&wiped)))?;
        }
        Ok(())
    }

    /// Another process brings the array back to its full redundancy.
    async fn repair(&self) -> Result<(), String> {
        let mut last = String::new();
        for _ in 0..REPAIRS_MAX {
            let array = Array::new(self.shape, &self.places, &self.env);
            let whole = match self.below(4) {
                0 => array.scrub().await.map(|it| (it.is_whole(), format!("{it:?}"))),
                _ => array.mend().await.map(|it| (it.is_whole(), format!("{it:?}"))),
            };
            match whole {
                Ok((true, _)) => return Ok(()),
                Ok((false, found)) => last = found,
                Err(error) => last = error.to_string(),
            }
            self.env.sleep(Duration::from_secs(1)).await;
        }
        Err(format!("it does not become whole: {last}"))
    }
}
