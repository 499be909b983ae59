//! `shard`: more room, by keeping each object on one of several members.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use storage_core::{
    Atomicity, Capabilities, Error, ErrorKind, Get, Key, List, Object, Operation, Page, Prefix,
    ProviderInfo, PutIf, Result, StorageProvider, Version, async_trait,
};

use crate::core::wrong;
use crate::member::Member;
use crate::merge::merged;
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

    /// Moves an object to where it belongs, unless there is a newer one already. Says how many bytes it has.
    async fn move_one(&self, key: &Key, from: usize, to: usize) -> Result<u64> {
        let object = match self.providers[from].get(key, Get::whole()).await {
            Ok(object) => object,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
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
        Ok(object.size)
    }

    /// Moves every object under `prefix` to where it belongs, and does not stop at one that fails.
    /// `progress` is told after each page of keys, and stops the walk by answering false; to go on later, call
    /// it again.
    ///
    /// An object that is deleted at the very moment it is moved may stay: delete it again.
    ///
    /// # Errors
    ///
    /// A member that cannot list what it has.
    pub async fn rebalance(
        &self,
        prefix: &Prefix,
        progress: &mut (dyn FnMut(&Rebalanced) -> bool + Send),
    ) -> Result<Rebalanced> {
        let mut report = Rebalanced::default();
        for from in 0..self.members.len() {
            let mut after = None;
            loop {
                let request = List { prefix, start_after: after.as_ref(), limit: 1000 };
                let page = self.providers[from].list(request).await?;
                for object in &page.objects {
                    report.objects += 1;
                    let to = self.choose(&self.now, &object.key);
                    if to == from {
                        continue;
                    }
                    match self.move_one(&object.key, from, to).await {
                        Ok(bytes) => {
                            report.moved += 1;
                            report.bytes += bytes;
                        }
                        Err(error) => {
                            report.failures += 1;
                            if report.failed.len() < 100 {
                                report.failed.push((object.key.clone(), error.to_string()));
                            }
                        }
                    }
                }
                after = page.objects.last().map(|object| object.key.clone());
                if !progress(&report) {
                    return Ok(report);
                }
                if !page.more {
                    break;
                }
            }
        }
        Ok(report)
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
