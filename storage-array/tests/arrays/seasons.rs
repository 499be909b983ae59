//! Several processes on one array through many seasons of harm: members that are down, slow, wiped, damaged, or come
//! back with what they had long ago. One at a time, each repaired before the next: nothing may be lost, come back, or
//! fail.
//!
//! `SIMULATION_SEEDS` says how many seeds are run, `SIMULATION_SEED` which is the first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use futures_util::future::{join, join_all};
use storage_core::{
    Env, ErrorKind, Get, Key, Prefix, PutIf, Result, StorageProvider as _, StorageProviderExt as _,
};
use storage_wrappers::ManualEnv;

use crate::rig::{Array, Place, body, key, places};

/// Data pieces and members.
const SHAPES: [(usize, usize); 5] = [(1, 3), (2, 3), (2, 4), (4, 6), (3, 5)];
const PROCESSES: usize = 3;
const SEASONS: usize = 6;
/// What each process does in a season.
const STEPS: usize = 8;

#[test]
fn what_is_acknowledged_outlasts_whatever_befalls_one_member_at_a_time() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().unwrap())
    };
    let (first, seeds) = (number("SIMULATION_SEED", 0), number("SIMULATION_SEEDS", 25));
    let mut seen = BTreeMap::new();
    for seed in first..first + seeds {
        let env = Arc::new(ManualEnv::new(seed));
        let told = env.block_on(World::new(&env, seed).live());
        let harms = told.unwrap_or_else(|problem| panic!("SIMULATION_SEED={seed}: {problem}"));
        for harm in harms {
            *seen.entry(harm).or_insert(0) += 1;
        }
    }
    println!("{seeds} seeds: {seen:?}");
}

/// What becomes of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Harm {
    Down,
    Slow,
    Wiped,
    Damaged,
    /// It comes back with what it had some seasons ago.
    Old,
}

/// What an object must be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    There(Bytes),
    /// It is being deleted: there, or not.
    Going(Bytes),
    Gone,
}

type Known = BTreeMap<Key, State>;

struct World {
    env: Arc<ManualEnv>,
    shape: (usize, usize),
    places: Vec<Place>,
    arrays: Vec<Array>,
    known: Mutex<Known>,
    /// What a member had, and which.
    past: Option<(usize, Vec<(Key, Bytes)>)>,
}

impl World {
    fn new(env: &Arc<ManualEnv>, seed: u64) -> Self {
        let shape = SHAPES[seed as usize % SHAPES.len()];
        let places = places(env, shape.1);
        let arrays = (0..PROCESSES).map(|_| Array::new(shape, &places, env)).collect();
        Self { env: env.clone(), shape, places, arrays, known: Mutex::default(), past: None }
    }

    fn below(&self, bound: usize) -> usize {
        (self.env.random() % bound as u64) as usize
    }

    async fn live(mut self) -> Result<Vec<Harm>, String> {
        for place in &self.places {
            place.set_latency(Duration::from_micros(500 + self.env.random() % 4000));
        }
        self.work("in the beginning").await?;
        let mut harms = Vec::new();
        for season in 0..SEASONS {
            self.make_whole().await?;
            if self.past.is_none() || self.below(3) == 0 {
                let at = self.below(self.places.len());
                self.past = Some((at, self.places[at].contents().await));
            }
            let harm =
                [Harm::Down, Harm::Slow, Harm::Wiped, Harm::Damaged, Harm::Old][self.below(5)];
            harms.push(harm);
            let at = self.harm(harm).await;
            let what = format!("season {season}, m{at} is {harm:?}, {:?}", self.shape);
            // A process that ends and another that begins know nothing of what was.
            let fresh = self.below(PROCESSES);
            self.arrays[fresh] = Array::new(self.shape, &self.places, &self.env);
            let repairing = async {
                // Somebody repairs while it goes on, or nobody does yet.
                if harm != Harm::Down && self.env.random() % 2 == 0 {
                    let _ = self.arrays[fresh].mend().await;
                }
                Ok(())
            };
            let (worked, repaired) = join(self.work(&what), repairing).await;
            worked.and::<()>(repaired)?;
            self.places[at].set_down(false);
            self.places[at].set_latency(Duration::from_micros(500 + self.env.random() % 4000));
        }
        self.make_whole().await?;
        self.check_any_loss().await?;
        Ok(harms)
    }

    /// Whatever number of members it survives is lost in the end: everything is there.
    async fn check_any_loss(&self) -> Result<(), String> {
        let (data, total) = self.shape;
        let first = self.below(total);
        for lost in 0..total - data {
            self.places[(first + lost) % total].set_down(true);
        }
        let array = Array::new(self.shape, &self.places, &self.env);
        let known = self.known.lock().unwrap().clone();
        for (name, expected) in &known {
            let found = array.provider().get(name, Get::whole()).await;
            match (found, expected) {
                (Ok(object), State::There(content)) if object.body == *content => {}
                (Err(error), State::Gone)
                    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unavailable) => {}
                (found, _) => {
                    let found = found.map(|object| object.body.len());
                    return Err(format!("{name}, with all lost that may be: {found:?}"));
                }
            }
        }
        Ok(())
    }

    async fn harm(&self, harm: Harm) -> usize {
        let at = match (harm, &self.past) {
            (Harm::Old, Some((at, _))) => *at,
            _ => self.below(self.places.len()),
        };
        let place = &self.places[at];
        match harm {
            Harm::Down => place.set_down(true),
            Harm::Slow => place.set_latency(Duration::from_secs(1 + self.env.random() % 20)),
            Harm::Wiped => place.replace_all(&[]).await,
            Harm::Old => {
                let (_, then) = self.past.as_ref().expect("it was kept");
                place.replace_all(then).await;
            }
            Harm::Damaged => {
                for (name, bytes) in place.contents().await {
                    if name.as_str().starts_with("m/") || self.below(3) > 0 {
                        continue;
                    }
                    let mut bytes = bytes.to_vec();
                    let bit = self.below(bytes.len() * 8);
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    place.objects().put(&name, bytes.into(), PutIf::Always).await.unwrap();
                }
            }
        }
        at
    }

    /// Until every member has everything. The processes are at rest.
    async fn make_whole(&self) -> Result<(), String> {
        for _ in 0..20 {
            // Longer than any member is left alone.
            self.env.sleep(Duration::from_secs(90)).await;
            let mut owed = 0;
            for array in &self.arrays {
                owed += array.settle().await;
            }
            let array = &self.arrays[self.below(PROCESSES)];
            let scrubbed = array.scrub().await.map_err(|error| format!("scrub: {error}"))?;
            let mended = array.mend().await.map_err(|error| format!("repair: {error}"))?;
            if owed == 0 && scrubbed.is_whole() && mended.is_whole() {
                return Ok(());
            }
        }
        let scrubbed = self.arrays[0].scrub().await;
        Err(format!("it does not become whole: {scrubbed:?}"))
    }

    /// All processes put, read, list and delete for a while.
    async fn work(&self, what: &str) -> Result<(), String> {
        let working = self.arrays.iter().enumerate().map(|(process, array)| async move {
            for _ in 0..STEPS {
                self.step(process, array).await.map_err(|problem| format!("{what}: {problem}"))?;
            }
            Ok(())
        });
        join_all(working).await.into_iter().collect()
    }

    async fn step(&self, process: usize, array: &Array) -> Result<(), String> {
        let provider = array.provider();
        match self.below(10) {
            0..4 => {
                let name = key(&format!("p{process}/{:016x}", self.env.random()));
                let content = body(self.below(3) * 40_000 + self.below(100));
                let put = provider.put(&name, content.clone(), PutIf::Always).await;
                put.map_err(|error| error.to_string())?;
                self.known.lock().unwrap().insert(name, State::There(content));
            }
            4..8 => {
                let known = self.known.lock().unwrap().clone();
                // Another process may delete it meanwhile; what is deleted stays so.
                let Some((name, before)) = known.iter().nth(self.below(known.len().max(1))) else {
                    return Ok(());
                };
                let found = provider.get(name, Get::whole()).await;
                let now = self.known.lock().unwrap()[name].clone();
                match (found, before) {
                    (Ok(object), State::There(content) | State::Going(content))
                        if object.body == *content => {}
                    (Err(error), _)
                        if error.kind() == ErrorKind::NotFound
                            && !matches!(now, State::There(_)) => {}
                    (found, before) => {
                        let found = found.map(|object| object.body.len());
                        let was = !matches!(before, State::Gone);
                        return Err(format!("get {name}: {found:?}, and it was there: {was}"));
                    }
                }
            }
            8 => {
                let before = self.known.lock().unwrap().clone();
                let listed: Result<Vec<_>> = provider.list_all(&Prefix::all()).try_collect().await;
                let now = self.known.lock().unwrap().clone();
                let listed = match listed {
                    Ok(listed) => listed,
                    // Of what is being put or deleted, with a member down, nobody can tell whether it is there.
                    Err(error) if error.kind() == ErrorKind::Unavailable => {
                        let problem = error.to_string();
                        let named = |name: &&Key| problem.contains(name.as_str());
                        let settled = match before.keys().find(named) {
                            Some(name) => {
                                before[name] == now[name]
                                    && !matches!(before[name], State::Going(_))
                            }
                            None => false,
                        };
                        return if settled { Err(format!("list: {problem}")) } else { Ok(()) };
                    }
                    Err(error) => return Err(format!("list: {error}")),
                };
                for (name, content) in &before {
                    let found = listed.iter().find(|object| object.key == *name);
                    let is_there = |state: &State| matches!(state, State::There(_));
                    let lost = is_there(content) && is_there(&now[name]) && found.is_none();
                    if lost || (*content == State::Gone && found.is_some()) {
                        return Err(format!("list: {name} is {found:?}"));
                    }
                }
            }
            _ => {
                let known = self.known.lock().unwrap().clone();
                let prefix = format!("p{process}/");
                let mine = known.iter().find_map(|(name, state)| match state {
                    State::There(content) if name.as_str().starts_with(&prefix) => {
                        Some((name.clone(), content.clone()))
                    }
                    _ => None,
                });
                let Some((name, content)) = mine else { return Ok(()) };
                self.known.lock().unwrap().insert(name.clone(), State::Going(content));
                provider.delete(&name).await.map_err(|error| error.to_string())?;
                self.known.lock().unwrap().insert(name, State::Gone);
            }
        }
        Ok(())
    }
}
