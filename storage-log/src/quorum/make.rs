//! Making a log on a quorum, and opening it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use futures_util::future::{FutureExt, join, join_all};
use futures_util::stream::{FuturesUnordered, StreamExt};
use storage_core::{
    Atomicity, Env, ErrorKind, Get, List, Prefix, PutIf, StorageProvider, StorageProviderExt,
};

use super::core::{Core, QuorumLog, QuorumOptions, State, marker_key, misconfigured};
use super::known::{last_told, voters_prefix};
use super::marker::Marker;
use super::{Base, Point, Proposer, VoterId, Voters};
use crate::{LogId, Result, Slot};

impl QuorumLog {
    /// Makes the log `id`, which no provider may have yet, with each of the providers as a voter. Doing it again with
    /// the same providers in the same order does no harm.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`](crate::Error::Storage): [`Misconfigured`](ErrorKind::Misconfigured) for too few or too many providers and for one
    /// that is a voter already, [`Unsupported`](ErrorKind::Unsupported) for one that cannot be, and what a provider
    /// fails with.
    pub async fn create(
        id: LogId,
        providers: &[Arc<dyn StorageProvider>],
        prefix: &Prefix,
    ) -> Result<()> {
        let members: Vec<_> = (0..providers.len()).map(|nth| first_voter(id, nth)).collect();
        let voters = Voters::majority(0, members.clone());
        if let Some(problem) = voters.problem() {
            return Err(misconfigured(problem));
        }
        providers.iter().try_for_each(|provider| check(&**provider))?;
        let key = marker_key(prefix)?;
        let puts = providers.iter().zip(members).map(|(provider, voter)| {
            let base = Base { position: 0, point: Point::genesis(id), voters: voters.clone() };
            let bytes = Marker { voter, base }.encode(id);
            let key = &key;
            async move {
                match provider.put(key, bytes.clone(), PutIf::Absent).await {
                    Err(error) if error.kind() == ErrorKind::Conflict => {
                        let found = provider.get(key, Get::whole()).await?;
                        let name = provider.info().name;
                        let taken = format!("{name} is a voter of another log, or another voter");
                        (found.body == bytes).then_some(()).ok_or_else(|| misconfigured(taken))
                    }
                    other => Ok(other.map(drop)?),
                }
            }
        });
        join_all(puts).await.into_iter().collect()
    }

    /// A handle on the log `id` of these providers, in any order: those who vote, and those who may one day. Waits for
    /// as many of the voters as decide, but not for the others.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`](crate::Error::Storage): [`NotFound`](ErrorKind::NotFound) when no provider that answers is a voter,
    /// [`Misconfigured`](ErrorKind::Misconfigured) when two are the same one, or one is a voter of another log, and what all
    /// of them fail with.
    pub async fn open(
        id: LogId,
        providers: Vec<Arc<dyn StorageProvider>>,
        prefix: Prefix,
        env: Arc<dyn Env>,
        options: QuorumOptions,
    ) -> Result<Self> {
        providers.iter().try_for_each(|provider| check(&**provider))?;
        let writer = u128::from(env.random()) << 64 | u128::from(env.random());
        let (places, voters) = find(id, &providers, &prefix).await?;
        let state = State {
            told: voters.version,
            proposer: Proposer::new(id, options.proof, voters, writer),
            waiting: VecDeque::new(),
            current: None,
            places,
            cells: BTreeMap::new(),
            asked_for: Slot(0),
            strangers: BTreeSet::new(),
            is_told: false,
            troubles: BTreeMap::new(),
            probing: false,
            probes: Vec::new(),
        };
        let state = Mutex::new(state);
        let core = Core { log: id, providers, prefix, env, options, state };
        Ok(Self { core: Arc::new(core) })
    }
}

/// Which providers are voters of the log, and who votes, as far as a majority of the providers was told: one that is slow
/// or does not answer keeps nobody waiting.
async fn find(
    id: LogId,
    providers: &[Arc<dyn StorageProvider>],
    prefix: &Prefix,
) -> Result<(BTreeMap<VoterId, usize>, Voters)> {
    let (key, all) = (&marker_key(prefix)?, &voters_prefix(prefix)?);
    let asked = providers.iter().enumerate().map(|(at, provider)| async move {
        let told = last_told(id, &**provider, List::new(all));
        (at, join(provider.try_get(key), told).await)
    });
    let mut asked: FuturesUnordered<_> = asked.collect();
    let (mut places, mut failed) = (BTreeMap::new(), None);
    let mut voters = None::<Voters>;
    loop {
        // Some of the providers may only be there to vote later.
        let is_enough = voters.as_ref().is_some_and(|voters| {
            let found = voters.members.iter().filter(|member| places.contains_key(*member));
            found.count() >= voters.quorum
        });
        let next = match is_enough {
            // Those that have answered meanwhile.
            true => asked.next().now_or_never().flatten(),
            false => asked.next().await,
        };
        let Some((at, (found, told))) = next else { break };
        let name = providers[at].info().name;
        let marker = match found {
            Ok(None) => continue,
            Ok(Some(object)) => match Marker::decode(id, &object.body) {
                Ok(marker) => marker,
                Err(_) if Marker::log_of(&object.body).is_some_and(|log| log != id) => {
                    return Err(misconfigured(format!("{name} is a voter of another log")));
                }
                Err(error) => {
                    failed = Some(error);
                    continue;
                }
            },
            Err(error) => {
                failed = Some(error.into());
                continue;
            }
        };
        if let Some(other) = places.insert(marker.voter, at) {
            let other = providers[other].info().name;
            return Err(misconfigured(format!("{other} and {name} are the same voter")));
        }
        for told in [Some(marker.base.voters), told.ok().flatten()].into_iter().flatten() {
            if voters.as_ref().is_none_or(|known| known.version < told.version) {
                voters = Some(told);
            }
        }
    }
    let none = || {
        let message = "none of the providers is a voter of this log";
        storage_core::Error::not_applied(ErrorKind::NotFound, message).into()
    };
    match voters {
        Some(voters) => Ok((places, voters)),
        None => Err(failed.unwrap_or_else(none)),
    }
}

/// The voters that a log begins with are named after it, so that whoever makes it twice makes the same.
fn first_voter(log: LogId, nth: usize) -> VoterId {
    let mut hasher = blake3::Hasher::new_derive_key("cloudbank quorum first voter 1");
    hasher.update(&log.0).update(&(nth as u64).to_le_bytes());
    let mut id = [0; 16];
    id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    VoterId(id)
}

fn check(provider: &dyn StorageProvider) -> Result<()> {
    let info = provider.info();
    if info.capabilities.absent != Atomicity::Unsupported {
        return Ok(());
    }
    let message = format!(
        "{} cannot put on condition that the key is absent, which a voter has to; let another vote",
        info.name
    );
    Err(storage_core::Error::not_applied(ErrorKind::Unsupported, message).into())
}
