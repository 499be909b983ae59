//! Changing who votes, by a decision like any other: one voter at a time.

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use storage_core::{ErrorKind, PutIf, StorageProvider, StorageProviderExt};

use super::core::{Core, QuorumLog, marker_key, misconfigured};
use super::elect::CopyProgress;
use super::lookup::Target;
use super::marker::Marker;
use super::member::Member;
use super::{Asked, Base, Cell, Event, Goal, Outcome, Point, Request, VoterId, Voters};
use crate::planted::planted;
use crate::{Error, Result};

/// How often a new voter may fail to take a cell before the change is given up.
const FAILURES_MAX: u32 = 8;
/// How often a new voter is brought up to date before it votes, while others go on committing.
const ROUNDS_MAX: u32 = 8;
/// How many decisions are read at once for a new voter, which takes one after the other.
const READ_AHEAD: usize = 16;

impl QuorumLog {
    /// Makes the provider with this number, of those that the log was opened with, a voter: beside the others, or
    /// instead of one of them. Whatever was decided is copied to it first. A provider that was wiped comes back in this
    /// way, as another voter in its own place.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], with nothing decided: [`Misconfigured`](ErrorKind::Misconfigured) when the provider votes
    /// already, or the other does not; what providers fail with; [`Conflict`](ErrorKind::Conflict) when somebody else has
    /// changed the voters meanwhile. [`Unavailable`](ErrorKind::Unavailable) when too few voters answer: then it may be
    /// decided all the same.
    ///
    /// # Panics
    ///
    /// If there is no such provider.
    pub async fn admit(&self, provider: usize, instead: Option<VoterId>) -> Result<VoterId> {
        self.admit_telling(provider, instead, &|_| ()).await
    }

    /// As [`admit`](Self::admit), telling how far it is.
    pub(super) async fn admit_telling(
        &self,
        provider: usize,
        instead: Option<VoterId>,
        tell: &(dyn Fn(CopyProgress) + Send + Sync),
    ) -> Result<VoterId> {
        let core = &self.core;
        core.refresh().await?;
        let voters = self.voters();
        let mut members = voters.members.clone();
        if let Some(gone) = instead {
            let Some(at) = members.iter().position(|member| *member == gone) else {
                return Err(misconfigured(format!("{gone} is no voter of this log")));
            };
            members.remove(at);
        }
        let place = &core.providers[provider];
        let Marker { voter, base } = core.enrol(&**place, &voters).await?;
        if voters.members.contains(&voter) {
            return Err(misconfigured(format!("{} is a voter already", place.info().name)));
        }
        members.push(voter);
        let next = Voters::majority(voters.version + 1, members);
        if let Some(problem) = next.problem() {
            return Err(misconfigured(problem));
        }
        core.state().places.insert(voter, provider);
        core.copy(voter, base, tell).await?;
        core.check_able(&next, Some(voter)).await?;
        self.decide(next).await?;
        Ok(voter)
    }

    /// The voters that none of the providers is any more, each with the number of a provider that is no voter and could be
    /// [admitted](Self::admit) in its place: what was wiped, with itself.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`] when too few voters answer, or a provider does not: it may be the one that is missing.
    pub async fn missing(&self) -> Result<Vec<(VoterId, usize)>> {
        let core = &self.core;
        core.refresh().await?;
        let key = marker_key(&core.prefix)?;
        let asked = core.providers.iter().map(|provider| provider.try_get(&key));
        // Whoever changed them may have stopped before it was finished.
        self.settle_in().await?;
        let voters = self.voters();
        // A provider whose voter was let go is not one that was wiped.
        let mut gone = core.ever_voted().await?;
        let mut missing = voters.members;
        let mut free = Vec::new();
        let mut places = Vec::new();
        for found in join_all(asked).await {
            let marker = found?.and_then(|object| Marker::decode(core.log, &object.body).ok());
            places.push(marker.as_ref().map(|marker| marker.voter));
            gone.extend(marker.into_iter().flat_map(|marker| marker.base.voters.members));
        }
        for (at, voter) in places.into_iter().enumerate() {
            match missing.iter().position(|member| Some(*member) == voter) {
                Some(found) => drop(missing.remove(found)),
                None if voter.is_some_and(|voter| gone.contains(&voter)) => {}
                None => free.push(at),
            }
        }
        Ok(missing.into_iter().zip(free).collect())
    }

    /// Lets a voter go, of at least two.
    ///
    /// # Errors
    ///
    /// As for [`admit`](Self::admit).
    pub async fn dismiss(&self, voter: VoterId) -> Result<()> {
        self.core.refresh().await?;
        let Voters { version, mut members, .. } = self.voters();
        let Some(at) = members.iter().position(|member| *member == voter) else {
            return Err(misconfigured(format!("{voter} is no voter of this log")));
        };
        members.remove(at);
        let next = Voters::majority(version + 1, members);
        if let Some(problem) = next.problem() {
            return Err(misconfigured(problem));
        }
        self.core.check_able(&next, None).await?;
        self.decide(next).await
    }

    async fn decide(&self, next: Voters) -> Result<()> {
        match self.core.submit(Goal::Change(next)).await {
            Some(Outcome::Done(_)) => self.settle_in().await,
            Some(Outcome::Unreachable { maybe: true }) | None => {
                Err(self.core.unreachable().into_unknown().into())
            }
            Some(Outcome::Unreachable { maybe: false }) => Err(self.core.unreachable().into()),
            Some(Outcome::Taken(_) | Outcome::Passed(_) | Outcome::Misplaced { .. }) => {
                let message = "somebody else has changed the voters meanwhile";
                Err(storage_core::Error::not_applied(ErrorKind::Conflict, message).into())
            }
        }
    }

    /// Finishes a change that was decided: brings as many of those who vote now as decide everything up to it, so that those
    /// who were let go are needed no more, and tells everybody who votes.
    pub(super) async fn settle_in(&self) -> Result<()> {
        let core = &self.core;
        if self.voters().version == 0 {
            return Ok(());
        }
        let begun = core.decided().index;
        let mut failures = 0;
        while !planted("quorum-change-brings-nothing") {
            match core.submit(Goal::Spread(begun)).await {
                Some(Outcome::Done(_)) => break,
                _ if failures < FAILURES_MAX => {
                    failures += 1;
                    core.env.sleep(core.options.pause * failures).await;
                }
                _ => return Err(core.unfinished().into()),
            }
        }
        core.copy_voters(self.voters()).await.map_err(|_| core.unfinished().into())
    }
}

impl Core {
    /// What is decided and not yet finished.
    fn unfinished(&self) -> storage_core::Error {
        let why = self.unreachable();
        let message = format!(
            "who votes was changed, and too few of them have all that the others had: keep those, and do it again; {why}"
        );
        storage_core::Error::unknown(ErrorKind::Unavailable, message)
    }

    /// The marker of a provider: the one that it has, perhaps since somebody else is at it, or a new one. It is only ever
    /// put where there is none, so that a request which lands late cannot take another's name away.
    async fn enrol(&self, provider: &dyn StorageProvider, voters: &Voters) -> Result<Marker> {
        let key = marker_key(&self.prefix)?;
        let id = u128::from(self.env.random()) << 64 | u128::from(self.env.random());
        let point = Point::genesis(self.log);
        let base = Base { position: 0, point, voters: voters.clone() };
        let marker = Marker { voter: VoterId(id.to_le_bytes()), base };
        for _ in 0..2 {
            if let Some(object) = provider.try_get(&key).await? {
                return Marker::decode(self.log, &object.body);
            }
            match provider.put(&key, marker.encode(self.log), PutIf::Absent).await {
                Ok(_) => return Ok(marker),
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error.into()),
            }
        }
        let message = "its marker is reported to be there, and then not";
        Err(storage_core::Error::not_applied(ErrorKind::Unavailable, message).into())
    }

    /// Copies all that is decided onto the chain of a voter that does not vote yet, as its leaders put it elsewhere. Goes on
    /// where somebody else has stopped.
    async fn copy(
        self: &Arc<Self>,
        voter: VoterId,
        base: Base,
        tell: &(dyn Fn(CopyProgress) + Send + Sync),
    ) -> Result<()> {
        if planted("quorum-change-brings-nothing") {
            return Ok(());
        }
        let mut member = Member::new(voter, Some(base));
        let mut failures = 0;
        while let Some(position) = member.read_next() {
            self.ask(&mut member, |member, out| member.read(position, out), &mut failures).await?;
        }
        // The last of them may be one that was never decided.
        let mut index = member.accepted().0.index.saturating_sub(1);
        for _ in 0..ROUNDS_MAX {
            let decided = self.decided().index;
            if index >= decided {
                return Ok(());
            }
            let cells = stream::iter(index + 1..=decided).map(|next| self.find(next));
            let mut cells = pin!(cells.buffered(READ_AHEAD));
            while let Some(cell) = cells.next().await {
                self.copy_cell(&mut member, &cell?).await?;
                index += 1;
                tell(CopyProgress { copied: index, decided });
            }
            self.refresh().await?;
        }
        // The others go on too fast to be caught up with; the rest comes while it votes.
        Ok(())
    }

    async fn find(self: &Arc<Self>, index: u64) -> Result<Cell> {
        let mut failures = 0;
        loop {
            match self.look_up(Target::Index(index)).await {
                Err(Error::Storage(_)) if failures < FAILURES_MAX => {
                    failures += 1;
                    self.env.sleep(self.options.pause * failures).await;
                }
                other => return other,
            }
        }
    }

    async fn copy_cell(&self, member: &mut Member, cell: &Cell) -> Result<()> {
        let mut failures = 0;
        loop {
            if let Some(position) = member.read_next() {
                self.ask(member, |member, out| member.read(position, out), &mut failures).await?;
            } else if holds(&member.accepted().0, cell) {
                return Ok(());
            } else {
                let epoch = cell.epoch().max(member.promised());
                let put = |member: &mut Member, out: &mut Vec<_>| {
                    member.put(self.log, epoch, cell.said.clone(), out);
                };
                self.ask(member, put, &mut failures).await?;
            }
        }
    }

    /// Asks one thing of a voter, and takes in what it answers.
    async fn ask(
        &self,
        member: &mut Member,
        request: impl FnOnce(&mut Member, &mut Vec<Request>),
        failures: &mut u32,
    ) -> Result<()> {
        let mut requests = Vec::new();
        request(member, &mut requests);
        for request in requests {
            let Event::Answer(_, asked) = self.perform(request).await else { continue };
            let failed = asked == Asked::Failed;
            member.answered(asked, &mut Vec::new());
            if failed {
                *failures += 1;
                if *failures > FAILURES_MAX {
                    return Err(self.unreachable().into());
                }
                self.env.sleep(self.options.pause * *failures).await;
                member.resumed();
            }
        }
        match &member.lost {
            Some(lost) => Err(Error::corrupt(member.accepted().0.slot, lost.to_string())),
            None => Ok(()),
        }
    }
}

/// Whether a chain that has accepted this last needs a cell no more.
fn holds(accepted: &Point, cell: &Cell) -> bool {
    let is_same = cell.value().is_some_and(|value| value.point() == *accepted);
    is_same || accepted.index > cell.reach().0
}
