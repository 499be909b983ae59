//! `shard`: more room, by keeping each object on one of several members.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream::{FuturesOrdered, StreamExt as _};
use storage_core::{
    Atomicity, Capabilities, Env, Error, ErrorKind, Get, Key, List, Object, Operation, Page,
    Prefix, ProviderInfo, PutIf, Result, StorageProvider, Version, async_trait,
};

use crate::core::wrong;
use crate::member::Member;
use crate::merge::merged;
use crate::pace::time_for;
use crate::price::Prices;
use crate::rendezvous::score;

/// Keeps each object on one of its members, chosen by weighted rendezvous from the key alone: there is no
/// index.
///
/// A member that is added takes its share of new objects at once, and moves nothing: objects are found where
/// the earlier placement ([`growing_from`](Self::growing_from)) put them until
/// [`rebalance`](Self::rebalance) has moved them.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use backend_memory::MemoryProvider;
/// use storage_array::{Member, Shard};
/// use storage_core::{Get, Key, PutIf, StorageProvider};
///
/// # futures_executor::block_on(async {
/// let bucket = |name: &str| (Member::new(name, Arc::new(MemoryProvider::new())), 1.0);
/// let shard = Shard::new(["a", "b", "c"].map(bucket))?;
/// let key = Key::new("value/1")?;
/// shard.put(&key, "body".into(), PutIf::Absent).await?;
/// assert_eq!(&shard.get(&key, Get::whole()).await?.body[..], b"body");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Shard {
    /// All members of both placements, each once.
    members: Vec<Member>,
    providers: Vec<Arc<dyn StorageProvider>>,
    now: Placement,
    before: Option<Placement>,
}

/// Which members keep what: each by its place among all members, with its weight.
type Placement = Vec<(usize, f64)>;

/// What to move, and how fast.
#[derive(Debug, Clone)]
pub struct Rebalance {
    /// Only objects whose keys begin so.
    pub prefix: Prefix,
    /// How many objects are moved together. Each is held in memory.
    pub at_once: usize,
    /// How many bytes a second may be moved, from and to members together.
    pub bytes_per_second_max: Option<u64>,
}

impl Default for Rebalance {
    fn default() -> Self {
        Self { prefix: Prefix::all(), at_once: 4, bytes_per_second_max: None }
    }
}

/// How a shard was found.
#[derive(Debug, Clone, PartialEq)]
pub struct ShardInspection {
    /// Its members, those of the earlier placement too.
    pub members: Vec<ShardMember>,
    /// Whether there is an earlier placement in which objects are looked for.
    pub growing: bool,
}

/// How a member of a shard was found.
#[derive(Debug, Clone, PartialEq)]
pub struct ShardMember {
    /// Its name.
    pub name: String,
    /// What it charges.
    pub prices: Prices,
    /// Its weight; `None` if nothing belongs on it any more.
    pub weight: Option<f64>,
    /// Its weight in the earlier placement.
    pub weight_before: Option<f64>,
    /// Whether it listed what it has, or why not.
    pub answer: Result<(), String>,
    /// Objects on it.
    pub objects: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// How many of the objects belong elsewhere.
    pub to_move: u64,
    /// Bytes of those.
    pub bytes_to_move: u64,
}

/// What a rebalancing has done so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rebalanced {
    /// Objects looked at.
    pub objects: u64,
    /// Objects moved.
    pub moved: u64,
    /// Bytes moved.
    pub bytes: u64,
    /// Objects that could not be moved, and why: the first hundred.
    pub failed: Vec<(Key, String)>,
    /// How many of those there are.
    pub failures: u64,
}

impl Rebalanced {
    fn note(&mut self, key: &Key, moved: Result<Option<u64>>) {
        match moved {
            Ok(Some(bytes)) => {
                self.moved += 1;
                self.bytes += bytes;
            }
            Ok(None) => {}
            Err(error) => {
                self.failures += 1;
                if self.failed.len() < 100 {
                    self.failed.push((key.clone(), error.to_string()));
                }
            }
        }
    }
}

impl Shard {
    /// Spreads objects over these members by weight.
    ///
    /// # Errors
    ///
    /// [`Misconfigured`](ErrorKind::Misconfigured), naming the setting: no member, a name twice, a weight
    /// that is not above zero.
    pub fn new(members: impl IntoIterator<Item = (Member, f64)>) -> Result<Self> {
        let mut shard =
            Self { members: Vec::new(), providers: Vec::new(), now: Vec::new(), before: None };
        shard.now = shard.placement("members", members)?;
        Ok(shard)
    }

    /// Says where objects were kept before the present members: they are looked for there too, until they have
    /// been moved. A member of both must be the same provider under the same name.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn growing_from(
        mut self,
        members: impl IntoIterator<Item = (Member, f64)>,
    ) -> Result<Self> {
        self.before = Some(self.placement("previous", members)?);
        Ok(self)
    }

    fn placement(
        &mut self,
        setting: &str,
        members: impl IntoIterator<Item = (Member, f64)>,
    ) -> Result<Placement> {
        let mut placement = Placement::new();
        for (member, weight) in members {
            let name = member.name().to_owned();
            if !(weight.is_finite() && weight > 0.0) {
                return Err(wrong(format!(
                    "`weights` gives \"{name}\" {weight}, which is not above 0"
                )));
            }
            let known = self.members.iter().position(|known| known.name() == name);
            let at = known.unwrap_or(self.members.len());
            if placement.iter().any(|(other, _)| *other == at) {
                return Err(wrong(format!("`{setting}` has \"{name}\" twice")));
            }
            if known.is_none() {
                self.providers.push(member.provider().clone());
                self.members.push(member);
            }
            placement.push((at, weight));
        }
        if placement.is_empty() {
            return Err(wrong(format!("`{setting}` has no names, but a shard needs one at least")));
        }
        Ok(placement)
    }

    /// The name of the member that a key belongs on.
    #[must_use]
    pub fn place_of(&self, key: &Key) -> &str {
        self.members[self.choose(&self.now, key)].name()
    }

    fn choose(&self, placement: &Placement, key: &Key) -> usize {
        let scored = placement.iter().map(|(at, weight)| {
            let name = self.members[*at].name();
            (*at, score(name, key.as_str(), *weight), name)
        });
        // Equal scores are as good as impossible; the names decide, so that all clients agree.
        let best = scored.max_by(|a, b| a.1.total_cmp(&b.1).then(a.2.cmp(b.2)));
        best.expect("a placement has members").0
    }

    /// Where a key belongs, and where it may still be.
    fn places(&self, key: &Key) -> (usize, Option<usize>) {
        let now = self.choose(&self.now, key);
        let before = self.before.as_ref().map(|placement| self.choose(placement, key));
        (now, before.filter(|before| *before != now))
    }

    /// A version that tells members apart: two of them may call different contents the same.
    fn outside(&self, at: usize, version: &Version) -> Version {
        Version::new(format!("{}={version}", self.mark(at)))
    }

    fn inside(&self, at: usize, version: &Version) -> Option<Version> {
        let (mark, version) = version.as_str().split_once('=')?;
        (mark == self.mark(at)).then(|| Version::new(version))
    }

    fn mark(&self, at: usize) -> String {
        let name = self.members[at].name().as_bytes();
        format!("{:08x}", crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, name))
    }

    async fn get_at(&self, at: usize, key: &Key, request: &Get) -> Result<Object> {
        let provider = &self.providers[at];
        let mut inner = Get { if_match: None, if_changed: None, ..request.clone() };
        if let Some(wanted) = &request.if_match {
            match self.inside(at, wanted) {
                Some(version) => inner.if_match = Some(version),
                None => {
                    let found = provider.get(key, Get::meta_only()).await?;
                    request.check(&self.outside(at, &found.version))?;
                }
            }
        }
        inner.if_changed = request.if_changed.as_ref().and_then(|it| self.inside(at, it));
        let object = provider.get(key, inner).await?;
        Ok(Object { version: self.outside(at, &object.version), ..object })
    }

    async fn is_at(&self, at: usize, key: &Key) -> Result<bool> {
        match self.providers[at].get(key, Get::meta_only()).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Moves an object to where it belongs, unless there is a newer one already. Says how many bytes it has;
    /// `None` if it is gone.
    async fn move_one(&self, key: &Key, from: usize, to: usize) -> Result<Option<u64>> {
        let object = match self.providers[from].get(key, Get::whole()).await {
            Ok(object) => object,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let decides = self.providers[to].info().capabilities.absent != Atomicity::Unsupported;
        if decides || !self.is_at(to, key).await? {
            let when = if decides { PutIf::Absent } else { PutIf::Always };
            match self.providers[to].put(key, object.body, when).await {
                Err(error) if error.kind() != ErrorKind::Conflict => return Err(error),
                _ => {}
            }
        }
        self.providers[from].delete(key).await?;
        Ok(Some(object.size))
    }

    /// Moves every object to where it belongs, and does not stop at one that fails. `progress` is told after
    /// each object that was moved and each page of keys, and stops the work by answering false. What is moved
    /// stays moved: begin anew to go on. `env` is for the pace.
    ///
    /// An object that is deleted at the very moment it is moved may stay: delete it again.
    ///
    /// # Errors
    ///
    /// A member that cannot list what it has.
    pub async fn rebalance(
        &self,
        how: &Rebalance,
        env: &dyn Env,
        progress: &mut (dyn FnMut(&Rebalanced) -> bool + Send),
    ) -> Result<Rebalanced> {
        let mut report = Rebalanced::default();
        let began = env.monotonic();
        let mut go_on = true;
        for from in 0..self.members.len() {
            let mut after = None;
            loop {
                let request =
                    List { prefix: &how.prefix, start_after: after.as_ref(), limit: 1000 };
                let page = self.providers[from].list(request).await?;
                report.objects += page.objects.len() as u64;
                let mut misplaced = page.objects.iter().filter_map(|object| {
                    let to = self.choose(&self.now, &object.key);
                    (to != from).then_some((&object.key, to))
                });
                let mut moving = FuturesOrdered::new();
                loop {
                    while go_on
                        && moving.len() < how.at_once.max(1)
                        && let Some((key, to)) = misplaced.next()
                    {
                        moving.push_back(async move { (key, self.move_one(key, from, to).await) });
                    }
                    let Some((key, moved)) = moving.next().await else { break };
                    report.note(key, moved);
                    go_on &= progress(&report);
                    if let Some(rate) = how.bytes_per_second_max {
                        // Each byte is read once and written once.
                        let due = began + time_for(report.bytes * 2, rate);
                        env.sleep(due.saturating_sub(env.monotonic())).await;
                    }
                }
                after = page.objects.last().map(|object| object.key.clone());
                go_on &= progress(&report);
                if !go_on {
                    return Ok(report);
                }
                if !page.more {
                    break;
                }
            }
        }
        Ok(report)
    }

    /// Asks every member whether it answers and, by the lists of those that do, what it has and how much of
    /// that belongs elsewhere. Reads no object and changes nothing.
    pub async fn inspect(&self) -> ShardInspection {
        let members = (0..self.members.len()).map(|at| self.inspect_member(at));
        ShardInspection { members: join_all(members).await, growing: self.before.is_some() }
    }

    async fn inspect_member(&self, at: usize) -> ShardMember {
        let member = &self.members[at];
        let weight = |placement: &Placement| {
            placement.iter().find(|(member, _)| *member == at).map(|(_, weight)| *weight)
        };
        let mut found = ShardMember {
            name: member.name().to_owned(),
            prices: *member.prices(),
            weight: weight(&self.now),
            weight_before: self.before.as_ref().and_then(weight),
            answer: Ok(()),
            objects: 0,
            bytes: 0,
            to_move: 0,
            bytes_to_move: 0,
        };
        let prefix = Prefix::all();
        let mut after = None;
        loop {
            let request = List { prefix: &prefix, start_after: after.as_ref(), limit: 1000 };
            let page = match self.providers[at].list(request).await {
                Ok(page) => page,
                Err(error) => {
                    found.answer = Err(error.to_string());
                    return found;
                }
            };
            for object in &page.objects {
                found.objects += 1;
                found.bytes += object.size;
                if self.choose(&self.now, &object.key) != at {
                    found.to_move += 1;
                    found.bytes_to_move += object.size;
                }
            }
            match page.objects.into_iter().next_back() {
                Some(last) if page.more => after = Some(last.key),
                _ => return found,
            }
        }
    }
}

#[async_trait]
impl StorageProvider for Shard {
    fn info(&self) -> ProviderInfo {
        let all: Vec<Capabilities> =
            self.providers.iter().map(|provider| provider.info().capabilities).collect();
        let capabilities = all.iter().skip(1).fold(all[0], |sum, one| Capabilities {
            absent: sum.absent.min(one.absent),
            matches: sum.matches.min(one.matches),
            list: sum.list.min(one.list),
            durability: sum.durability.min(one.durability),
            versions: sum.versions.min(one.versions),
            sharing: sum.sharing.min(one.sharing),
            key_bytes_max: sum.key_bytes_max.min(one.key_bytes_max),
            object_bytes_max: sum.object_bytes_max.min(one.object_bytes_max),
        });
        let names: Vec<_> = self.now.iter().map(|(at, _)| self.members[*at].name()).collect();
        ProviderInfo { name: format!("shard({})", names.join(",")).into(), capabilities }
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        let max = self.info().capabilities.object_bytes_max;
        if body.len() as u64 > max {
            let size = body.len();
            let what = format!("{size} bytes, but an object has at most {max}");
            return Err(Error::not_applied(ErrorKind::TooLarge, what).during(Operation::Put, key));
        }
        let (now, before) = self.places(key);
        let provider = &self.providers[now];
        let conflict = |what: &str| {
            Err(Error::not_applied(ErrorKind::Conflict, what).during(Operation::Put, key))
        };
        let when = match (when, before) {
            (PutIf::Absent, Some(before)) if self.is_at(before, key).await? => {
                return conflict("the object exists");
            }
            (PutIf::Matches(wanted), before) => {
                if let Some(before) = before {
                    // Only one place can decide; what was read elsewhere is moved, and read again.
                    self.move_one(key, before, now).await?;
                }
                match self.inside(now, &wanted) {
                    Some(version) => PutIf::Matches(version),
                    None if self.info().capabilities.matches == Atomicity::Unsupported => {
                        PutIf::Matches(wanted)
                    }
                    None => return conflict("the version is another one"),
                }
            }
            (when, _) => when,
        };
        let version = provider.put(key, body, when).await?;
        if let Some(before) = before {
            // What stays there is not read any more, and is removed when objects are moved.
            let _ = self.providers[before].delete(key).await;
        }
        Ok(self.outside(now, &version))
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        let (now, before) = self.places(key);
        let answer = self.get_at(now, key, &request).await;
        match (answer, before) {
            (Err(error), Some(before)) if error.kind() == ErrorKind::NotFound => {
                match self.get_at(before, key, &request).await {
                    // Moved between the two requests.
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        self.get_at(now, key, &request).await
                    }
                    answer => answer,
                }
            }
            (answer, _) => answer,
        }
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        let counts = |at: usize, key: &Key| {
            let (now, before) = self.places(key);
            at == now || before == Some(at)
        };
        merged(&self.providers, request, counts).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let (now, before) = self.places(key);
        // First where it is looked for last: else an older object would come to light.
        if let Some(before) = before {
            self.providers[before].delete(key).await?;
        }
        self.providers[now].delete(key).await
    }
}

/// How many objects of each member's share would have to move: what
/// [`rebalance`](Shard::rebalance) is about to do, without a request.
impl Shard {
    /// Of these keys, how many belong on another member than before.
    #[must_use]
    pub fn moving<'a>(&self, keys: impl IntoIterator<Item = &'a Key>) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for key in keys {
            if let (now, Some(_)) = self.places(key) {
                *counts.entry(self.members[now].name().to_owned()).or_insert(0) += 1;
            }
        }
        counts
    }
}
