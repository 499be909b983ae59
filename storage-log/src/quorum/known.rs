//! Copies of who votes: for those who know only voters of long ago, of whom too few may be left to ask.

use std::sync::Arc;

use futures_util::future::join_all;
use storage_core::{ErrorKind, Key, List, Prefix, PutIf, StorageProvider, StorageProviderExt};

use super::core::{Core, key};
use super::marker::Marker;
use super::{Base, Point, VoterId, Voters};
use crate::{LogId, Result};

impl Core {
    /// Tells all providers who votes, if that was changed since this handle last did: for those who know only voters of
    /// long ago, of whom too few may be left to ask.
    pub(super) fn tell_voters(self: &Arc<Self>) {
        let voters = {
            let mut state = self.state();
            let voters = state.proposer.voters().clone();
            if std::mem::replace(&mut state.told, voters.version) >= voters.version {
                return;
            }
            voters
        };
        let core = self.clone();
        self.env.spawn(Box::pin(async move {
            // Whoever sees them next tells them again.
            let _ = core.copy_voters(voters).await;
        }));
    }

    /// Puts a copy of who votes on all providers; as many of the voters as decide have to take it.
    pub(super) async fn copy_voters(&self, voters: Voters) -> Result<()> {
        let key = voters_key(&self.prefix, voters.version)?;
        let base = Base { position: 0, point: Point::genesis(self.log), voters: voters.clone() };
        let bytes = Marker { voter: VoterId([0; 16]), base }.encode(self.log);
        let puts = self.providers.iter();
        let puts = puts.map(|each| each.put(&key, bytes.clone(), PutIf::Absent));
        let mut taken = Vec::new();
        for (at, put) in join_all(puts).await.into_iter().enumerate() {
            if put.map_or_else(|error| error.kind() == ErrorKind::Conflict, |_| true) {
                taken.push(at);
            }
        }
        let places = self.state().places.clone();
        let has_it = |voter: &&VoterId| places.get(*voter).is_some_and(|at| taken.contains(at));
        if voters.members.iter().filter(has_it).count() < voters.quorum {
            return Err(self.unreachable().into());
        }
        Ok(())
    }

    /// Looks for changes of the voters that providers were told of. Whether there were any.
    pub(super) async fn find_voters(&self) -> Result<bool> {
        let known = self.state().proposer.voters().version;
        let (after, prefix) = (voters_key(&self.prefix, known)?, voters_prefix(&self.prefix)?);
        let request = List::new(&prefix).start_after(&after);
        let asked = self.providers.iter().map(|provider| last_told(self.log, &**provider, request));
        let told = join_all(asked).await;
        // One that does not answer may know of voters whose providers are known here.
        self.state().is_told = told.iter().all(Result::is_ok);
        let told = told.into_iter().flatten().flatten();
        let Some(voters) = told.max_by_key(|voters| voters.version) else {
            return Ok(false);
        };
        self.state().proposer.adopt(&voters);
        Ok(voters.version > known)
    }
}

/// Who votes, as far as a provider was told. One that was wiped has only those of later changes, so the last one counts,
/// wherever it is.
pub(super) async fn last_told(
    log: LogId,
    provider: &dyn StorageProvider,
    request: List<'_>,
) -> Result<Option<Voters>> {
    let page = provider.list(request).await?;
    let Some(listed) = page.objects.last() else { return Ok(None) };
    let Some(object) = provider.try_get(&listed.key).await? else { return Ok(None) };
    Ok(Some(Marker::decode(log, &object.body)?.base.voters))
}

pub(super) fn voters_prefix(prefix: &Prefix) -> Result<Prefix> {
    Prefix::new(format!("{prefix}voters/")).map_err(|problem| {
        let message = format!("the prefix {prefix:?} leaves no room: {problem}");
        storage_core::Error::not_applied(ErrorKind::InvalidKey, message).into()
    })
}

fn voters_key(prefix: &Prefix, version: u64) -> Result<Key> {
    key(prefix, format!("voters/{version:016x}"))
}
