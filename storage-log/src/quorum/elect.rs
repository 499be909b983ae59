//! Adding, removing and replacing a voter by its provider: what is looked at before, and finished where it stopped.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;
use storage_core::{ErrorKind, List, StorageProviderExt};

use super::core::{Core, QuorumLog, marker_key, misconfigured};
use super::known::voters_prefix;
use super::marker::Marker;
use super::{VoterId, VoterState, Voters};
use crate::Result;

/// With fewer voters than this the loss of none is survived.
const VOTERS_MIN: usize = 3;

/// How those who vote are to be changed: one voter at a time. Numbers are of the providers that the log was opened with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoterChange {
    /// This provider votes too.
    Add(usize),
    /// This provider votes no more.
    Remove(usize),
    /// One provider votes in the place of another.
    Replace {
        /// Who votes, or did before it was lost.
        old: usize,
        /// Who does not vote yet.
        new: usize,
    },
}

/// How far a new voter has been brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopyProgress {
    /// Up to which decision it has everything.
    pub copied: u64,
    /// How many there were when that was last looked at.
    pub decided: u64,
}

impl QuorumLog {
    /// Changes who votes, while the log is in use: see [`CommitLog::change_voters`](crate::CommitLog::change_voters).
    pub(super) async fn change(
        &self,
        change: VoterChange,
        tell: &(dyn Fn(CopyProgress) + Send + Sync),
    ) -> Result<bool> {
        let core = &self.core;
        core.refresh().await?;
        let voters = self.voters();
        let found = core.find_all().await?;
        let is_voter = |at: usize| found.voter(at).filter(|it| voters.members.contains(it));
        let is_changed = match change {
            VoterChange::Add(new) if is_voter(new).is_some() => false,
            VoterChange::Add(new) => self.admit_telling(new, None, tell).await.map(|_| true)?,
            VoterChange::Remove(old) => match found.leaving(old, &voters, &self.name(old))? {
                Some(_) if voters.members.len() <= VOTERS_MIN => {
                    return Err(misconfigured(format!(
                        "{VOTERS_MIN} voters survive the loss of one, and fewer of none; replace {}, or add another \
                         voter first",
                        self.name(old)
                    )));
                }
                Some(voter) => self.dismiss(voter).await.map(|()| true)?,
                None => false,
            },
            VoterChange::Replace { old, new } => {
                let leaving = found.leaving(old, &voters, &self.name(old))?;
                match (leaving, is_voter(new)) {
                    (Some(voter), None) => {
                        self.admit_telling(new, Some(voter), tell).await.map(|_| true)?
                    }
                    (None, Some(_)) => false,
                    (Some(_), Some(_)) => {
                        let (old, new) = (self.name(old), self.name(new));
                        return Err(misconfigured(format!(
                            "{old} and {new} are both voters; remove {old}, or name another to take its place"
                        )));
                    }
                    (None, None) => {
                        let old = self.name(old);
                        return Err(misconfigured(format!("{old} is no voter of this log")));
                    }
                }
            }
        };
        if !is_changed {
            // Whoever did it may have stopped before all of it was done.
            self.settle_in().await?;
        }
        Ok(is_changed)
    }

    /// Whether the providers of these numbers vote, and no others.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`](crate::Error::Storage) when too few voters answer, or one of these does not.
    ///
    /// # Panics
    ///
    /// If there is no provider of a number.
    pub async fn votes_on(&self, providers: &[usize]) -> Result<bool> {
        self.core.refresh().await?;
        let voters: BTreeSet<_> = self.voters().members.into_iter().collect();
        let found = self.core.find_all().await?;
        let mut named = BTreeSet::new();
        for at in providers {
            match found.providers[*at] {
                Some(voter) => named.extend(voter),
                None => {
                    let message = format!("{} does not say whether it votes", self.name(*at));
                    let silent = storage_core::Error::not_applied(ErrorKind::Unavailable, message);
                    return Err(silent.into());
                }
            }
        }
        Ok(named == voters && named.len() == providers.len())
    }

    fn name(&self, at: usize) -> String {
        self.core.providers[at].info().name.into_owned()
    }
}

/// Which voter each provider is, or was.
struct Found {
    /// `None` where it does not answer; of those that do, `None` for one that was never a voter, or was wiped.
    providers: Vec<Option<Option<VoterId>>>,
}

impl Found {
    fn voter(&self, at: usize) -> Option<VoterId> {
        self.providers[at]?
    }

    /// The voter that this provider is or was before it was wiped or went silent; `None` if it is known to be none.
    fn leaving(&self, at: usize, voters: &Voters, name: &str) -> Result<Option<VoterId>> {
        let is_voter = |voter: &VoterId| voters.members.contains(voter);
        match &self.providers[at] {
            Some(Some(voter)) if is_voter(voter) => return Ok(Some(*voter)),
            // It was let go, and still knows who it was.
            Some(Some(_)) => return Ok(None),
            Some(None) | None => {}
        }
        // It cannot tell, so it is who nobody else is.
        let others = (0..self.providers.len()).filter(|other| *other != at);
        let known: BTreeSet<_> = others.filter_map(|other| self.voter(other)).collect();
        let mut left = voters.members.iter().filter(|voter| !known.contains(*voter));
        let like = |found: Option<Option<VoterId>>| {
            self.providers.iter().filter(|other| **other == found).count()
        };
        // One that is silent may be the missing voter, one that has no marker too if it alone has none.
        let is_only = match self.providers[at] {
            None => like(None) == 1,
            Some(_) => like(None) == 0 && like(Some(None)) == 1,
        };
        match (left.next(), left.next()) {
            (None, _) => Ok(None),
            (Some(voter), None) if is_only => Ok(Some(*voter)),
            _ => {
                let message = format!(
                    "{name} does not say which voter it is, and neither do others: mend first where one was wiped, and do it \
                     again when all answer"
                );
                Err(storage_core::Error::not_applied(ErrorKind::Unavailable, message).into())
            }
        }
    }
}

impl Core {
    /// Which voter each provider says it is.
    async fn find_all(&self) -> Result<Found> {
        let key = &marker_key(&self.prefix)?;
        let asked = self.providers.iter().map(|provider| provider.try_get(key));
        let providers = join_all(asked).await.into_iter().map(|found| {
            let marker = found.ok()?.map(|object| Marker::decode(self.log, &object.body));
            Some(marker.and_then(|marker| Some(marker.ok()?.voter)))
        });
        Ok(Found { providers: providers.collect() })
    }

    /// Refuses what would leave a log that cannot go on: of these voters as many as decide have to answer.
    pub(super) async fn check_able(
        self: &Arc<Self>,
        next: &Voters,
        new: Option<VoterId>,
    ) -> Result<()> {
        let now = self.voters_now().await?;
        let mut able = usize::from(new.is_some());
        let mut unable = String::new();
        for status in now.into_iter().filter(|status| next.members.contains(&status.voter)) {
            match &status.state {
                VoterState::Current | VoterState::Behind(_) => able += 1,
                VoterState::Silent(_) | VoterState::Lost(_) => {
                    let name = status.provider.unwrap_or_else(|| status.voter.to_string());
                    unable += &format!("; {name}: {}", status.state);
                }
            }
        }
        if able >= next.quorum {
            return Ok(());
        }
        let message = format!(
            "{} of the {} voters there would be have to answer, and {able} do{unable}",
            next.quorum,
            next.members.len()
        );
        Err(storage_core::Error::not_applied(ErrorKind::Unavailable, message).into())
    }

    /// All who ever voted, as far as copies of who votes tell.
    pub(super) async fn ever_voted(&self) -> Result<BTreeSet<VoterId>> {
        let prefix = &voters_prefix(&self.prefix)?;
        let mut all: BTreeSet<_> = self.state().proposer.voters().members.iter().copied().collect();
        for provider in &self.providers {
            let Ok(page) = provider.list(List::new(prefix)).await else { continue };
            for listed in page.objects {
                let Ok(Some(object)) = provider.try_get(&listed.key).await else { continue };
                let Ok(marker) = Marker::decode(self.log, &object.body) else { continue };
                all.extend(marker.base.voters.members);
            }
        }
        Ok(all)
    }
}
