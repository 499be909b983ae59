//! What all arrays of pieces share: their members, what makes a quorum, and what happened.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use storage_core::{
    Atomicity, Capabilities, Durability, Env, Error, ErrorKind, KEY_BYTES_MAX, Key,
    ListConsistency, Prefix, ProviderInfo, Result, Sharing, Versions,
};

use crate::cell::{BLOCK_BYTES, Generation, Header, Shape};
use crate::coding::Coding;
use crate::health::Work;
use crate::member::{Member, Worker};
use crate::owed::Owed;

/// What the cells of objects begin with on a member, and the pieces that have names of their own, and marks.
pub(crate) const OBJECTS: &str = "o/";
pub(crate) const ASIDE: &str = "s/";
pub(crate) const MARKS: &str = "m/";

/// One in so many reads is in the budget of those that may ask one member more than needed.
const HEDGE_ONE_IN: u64 = 20;
/// How many such requests may be saved up.
const HEDGES_MAX: u64 = 20;
/// How many events are kept.
const EVENTS_MAX: usize = 1000;

/// The members and rules of an array.
pub(crate) struct Core {
    pub(crate) what: &'static str,
    pub(crate) workers: Vec<Worker>,
    pub(crate) coding: Coding,
    pub(crate) env: Arc<dyn Env>,
    /// How many members a put or delete must reach.
    pub(crate) quorum: usize,
    /// Of how many cells of generation 0 a decided object consists.
    pub(crate) agree: usize,
    /// Whether puts may begin without looking.
    pub(crate) optimistic: bool,
    pub(crate) owed: Owed,
    pub(crate) heads: Heads,
    /// Whether any member says what a read costs.
    priced: bool,
    hedges: Mutex<u64>,
    events: Mutex<Events>,
}

#[derive(Default)]
struct Events {
    counts: Counts,
    /// Pieces of each member that were found damaged.
    damaged: BTreeMap<usize, u64>,
    recent: VecDeque<Event>,
}

/// How often what happened, since the array was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Pieces found damaged.
    pub damaged: u64,
    /// Pieces written again, or for the first time, after the put that should have.
    pub repaired: u64,
    /// Reads that asked one member more than needed because another was late.
    pub hedged: u64,
    /// Reads answered by fewer members than can rule out something later, or of what too few could be brought,
    /// because the others were away.
    pub unvouched: u64,
    /// Pieces that a put or delete left to be brought later.
    pub owed: u64,
}

/// Something that an operator should know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When, since the Unix epoch, by this machine's clock.
    pub time: Duration,
    /// The member it happened on.
    pub member: Arc<str>,
    /// The object it happened to.
    pub key: Key,
    /// What it was.
    pub what: Happening,
}

/// What happened to a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Happening {
    /// It was found damaged: what the member answered is not what was put there.
    Damaged,
    /// It was made anew from others.
    Repaired,
}

impl Core {
    pub(crate) fn new(
        what: &'static str,
        shape: Shape,
        mut members: Vec<Member>,
        quorum: Option<usize>,
        env: Arc<dyn Env>,
    ) -> Result<Arc<Self>> {
        let (data, total) = (usize::from(shape.data), members.len());
        members.sort_by(|a, b| a.name().cmp(b.name()));
        if let Some(twice) = members.windows(2).find(|pair| pair[0].name() == pair[1].name()) {
            return Err(wrong(format!("`members` has \"{}\" twice", twice[0].name())));
        }
        let optimistic_possible = members.iter().all(|member| {
            let capabilities = member.provider().info().capabilities;
            capabilities.absent != Atomicity::Unsupported
                && capabilities.matches != Atomicity::Unsupported
        });
        let quorum = match quorum {
            Some(quorum) if (data..=total).contains(&quorum) => quorum,
            Some(quorum) => {
                return Err(wrong(format!(
                    "`quorum` is {quorum}, but must be from {data} to {total}"
                )));
            }
            None => (data + 1).min(total - 1).max(data),
        };
        let agree = data.max(total / 2 + 1);
        let optimistic = optimistic_possible && quorum >= agree;
        let priced = members.iter().any(|member| member.prices().rank() > 0);
        let workers = members.into_iter().map(|member| Worker::new(member, env.clone())).collect();
        Ok(Arc::new(Self {
            what,
            workers,
            coding: Coding::new(shape)?,
            owed: Owed::new(total),
            heads: Heads::default(),
            env,
            quorum,
            agree,
            optimistic,
            priced,
            hedges: Mutex::new(HEDGES_MAX * HEDGE_ONE_IN),
            events: Mutex::default(),
        }))
    }

    pub(crate) fn shape(&self) -> Shape {
        self.coding.shape()
    }

    /// How many pieces make an object.
    pub(crate) fn data(&self) -> usize {
        usize::from(self.shape().data)
    }

    /// How many answers no finished put or delete can hide from.
    pub(crate) fn answers_needed(&self) -> usize {
        self.workers.len() - self.quorum + 1
    }

    /// Which piece a member has of an object: they take turns, so that none has only the pieces that are
    /// rarely read.
    pub(crate) fn index_of(&self, key: &Key, member: usize) -> u8 {
        let total = self.workers.len();
        let turn =
            crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, key.as_str().as_bytes());
        ((member + turn as usize % total) % total) as u8
    }

    /// The members, the likely fastest first; those set aside last. Where prices are declared, the cheapest of
    /// those first that are not slow.
    pub(crate) fn order(&self, key: &Key) -> Vec<usize> {
        let now = self.env.monotonic();
        let data = self.shape().data;
        let slow_from = if self.priced { self.slow_from() } else { Duration::ZERO };
        let rank = |member: usize| {
            let health = self.workers[member].health();
            let usual = health.usual(Work::Read);
            // To make an object of other than its own bytes takes time too.
            let usual = if self.index_of(key, member) < data { usual } else { usual * 5 / 4 };
            let behind = self.owed.is_behind(member);
            let (slow, price) = match self.priced {
                true => (usual > slow_from, self.workers[member].member.prices().rank()),
                false => (false, 0),
            };
            (health.is_aside(now), health.is_doubtful(), behind, slow, price, usual, member)
        };
        let mut order: Vec<_> = (0..self.workers.len()).collect();
        order.sort_by_cached_key(|member| rank(*member));
        order
    }

    /// From what on a member's usual time to read counts as slow: three times the median.
    pub(crate) fn slow_from(&self) -> Duration {
        let mut usual: Vec<_> =
            self.workers.iter().map(|worker| worker.health().usual(Work::Read)).collect();
        usual.sort();
        usual[usual.len() / 2] * 3
    }

    /// Takes a request beyond what is needed out of the budget.
    pub(crate) fn may_hedge(&self) -> bool {
        let mut hedges = lock(&self.hedges);
        if *hedges < HEDGE_ONE_IN {
            return false;
        }
        *hedges -= HEDGE_ONE_IN;
        drop(hedges);
        lock(&self.events).counts.hedged += 1;
        true
    }

    pub(crate) fn read_unvouched(&self) {
        lock(&self.events).counts.unvouched += 1;
    }

    pub(crate) fn earn_hedge(&self) {
        let mut hedges = lock(&self.hedges);
        *hedges = (*hedges + 1).min(HEDGES_MAX * HEDGE_ONE_IN);
    }

    pub(crate) fn happened(&self, member: usize, key: &Key, what: Happening) {
        let mut events = lock(&self.events);
        match what {
            Happening::Damaged => {
                events.counts.damaged += 1;
                *events.damaged.entry(member).or_default() += 1;
            }
            Happening::Repaired => events.counts.repaired += 1,
        }
        if events.recent.len() == EVENTS_MAX {
            events.recent.pop_front();
        }
        let member = self.workers[member].member.name().into();
        events.recent.push_back(Event { time: self.env.wall(), member, key: key.clone(), what });
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts { owed: self.owed.ever(), ..lock(&self.events).counts }
    }

    /// How many pieces of a member were found damaged.
    pub(crate) fn damaged_on(&self, member: usize) -> u64 {
        lock(&self.events).damaged.get(&member).copied().unwrap_or_default()
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        lock(&self.events).recent.iter().cloned().collect()
    }

    pub(crate) fn nonce(&self) -> u128 {
        u128::from(self.env.random()) << 64 | u128::from(self.env.random())
    }

    pub(crate) fn wall_millis(&self) -> u64 {
        u64::try_from(self.env.wall().as_millis()).unwrap_or(u64::MAX)
    }

    /// Where the cell of an object is.
    pub(crate) fn cell_key(&self, key: &Key) -> Result<Key> {
        let max = self.info().capabilities.key_bytes_max;
        let length = key.as_str().len();
        let too_long =
            || Error::not_applied(ErrorKind::InvalidKey, format!("{length} bytes, at most {max}"));
        if length > max {
            return Err(too_long());
        }
        Key::new(format!("{OBJECTS}{key}")).map_err(|_| too_long())
    }

    /// Where the pieces of a generation are that has a name of its own.
    pub(crate) fn aside_key(&self, generation: Generation) -> Key {
        Key::new(format!("{ASIDE}{}", generation.mark())).expect("hexadecimal digits make a key")
    }

    pub(crate) fn info(&self) -> ProviderInfo {
        let all = || self.workers.iter().map(|worker| worker.member.provider().info());
        let least = |what: fn(&Capabilities) -> u64| {
            all().map(|info| what(&info.capabilities)).min().unwrap_or_default()
        };
        let piece_max = least(|it| it.object_bytes_max);
        let overhead = 1024 + piece_max / BLOCK_BYTES * 4;
        let object_max =
            piece_max.saturating_sub(overhead).saturating_mul(u64::from(self.shape().data));
        let names: Vec<_> = self.workers.iter().map(|worker| worker.member.name()).collect();
        ProviderInfo {
            name: format!("{}({})", self.what, names.join(",")).into(),
            capabilities: Capabilities {
                absent: Atomicity::Unsupported,
                matches: Atomicity::Unsupported,
                list: all()
                    .map(|info| info.capabilities.list)
                    .min()
                    .unwrap_or(ListConsistency::Eventual),
                durability: all()
                    .map(|info| info.capabilities.durability)
                    .min()
                    .unwrap_or(Durability::Volatile),
                versions: Versions::PerWrite,
                sharing: all()
                    .map(|info| info.capabilities.sharing)
                    .min()
                    .unwrap_or(Sharing::OneProcess),
                key_bytes_max: (least(|it| it.key_bytes_max as u64) as usize)
                    .min(KEY_BYTES_MAX)
                    .saturating_sub(OBJECTS.len()),
                // A whole object is held in memory.
                object_bytes_max: object_max.min(u64::from(u32::MAX)),
            },
        }
    }

    /// The prefix of cells for a prefix of keys.
    pub(crate) fn cells_prefix(prefix: &Prefix) -> Result<Prefix> {
        Prefix::new(format!("{OBJECTS}{prefix}"))
            .map_err(|problem| Error::not_applied(ErrorKind::InvalidKey, problem.to_string()))
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members: Vec<_> = self.workers.iter().map(|worker| &worker.member).collect();
        f.debug_struct("Core")
            .field("what", &self.what)
            .field("shape", &self.shape())
            .field("quorum", &self.quorum)
            .field("members", &members)
            .finish_non_exhaustive()
    }
}

/// The headers that were read of late, for ranges of the same objects.
#[derive(Default)]
pub(crate) struct Heads(Mutex<BTreeMap<(Key, u8), KnownHead>>);

/// The header of the piece of one member.
#[derive(Debug, Clone)]
pub(crate) struct KnownHead {
    pub(crate) member: usize,
    pub(crate) header: Header,
    pub(crate) version: storage_core::Version,
    pub(crate) seen: Duration,
}

/// How many headers are kept.
const HEADS_MAX: usize = 1024;
/// For how long a header is taken for the present one.
pub(crate) const HEAD_TIME_MAX: Duration = Duration::from_secs(10);

impl Heads {
    /// What is known of an object's pieces, by their index.
    pub(crate) fn get(&self, key: &Key, index: u8, now: Duration) -> Option<KnownHead> {
        let heads = lock(&self.0);
        let found = heads.get(&(key.clone(), index)).cloned();
        found.filter(|head| now.saturating_sub(head.seen) <= HEAD_TIME_MAX)
    }

    pub(crate) fn keep(&self, key: &Key, head: KnownHead) {
        let mut heads = lock(&self.0);
        if heads.len() >= HEADS_MAX {
            heads.clear();
        }
        heads.insert((key.clone(), head.header.index), head);
    }

    pub(crate) fn forget(&self, key: &Key) {
        let mut heads = lock(&self.0);
        let all = (key.clone(), 0)..=(key.clone(), u8::MAX);
        let names: Vec<_> = heads.range(all).map(|(name, _)| name.clone()).collect();
        for name in &names {
            heads.remove(name);
        }
    }
}

pub(crate) fn wrong(message: String) -> Error {
    Error::not_applied(ErrorKind::Misconfigured, message)
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code that holds one of these locks can panic halfway through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
