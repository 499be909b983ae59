//! How the voters of a log are, each asked by itself.

use std::fmt;
use std::sync::Arc;

use futures_util::future::join_all;

use super::core::Core;
use super::member::Member;
use super::{Asked, Event, Lost, Point, Request, VoterId};
use crate::Result;

/// One voter of a log, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoterStatus {
    /// Who it is.
    pub voter: VoterId,
    /// The name of its provider; `None` if none of those that answer is this voter.
    pub provider: Option<String>,
    /// How it is.
    pub state: VoterState,
}

/// How a voter is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VoterState {
    /// It has everything that was decided when it was asked.
    Current,
    /// It lacks so many decisions, which it gets as soon as a leader has to do with it.
    Behind(u64),
    /// It does not answer, for this reason.
    Silent(String),
    /// It is no voter any more, and another has to be admitted in its place.
    Lost(Lost),
}

impl fmt::Display for VoterState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Current => f.write_str("current"),
            Self::Behind(1) => f.write_str("1 decision behind"),
            Self::Behind(count) => write!(f, "{count} decisions behind"),
            Self::Silent(why) => write!(f, "does not answer: {why}"),
            Self::Lost(lost) => write!(f, "lost: {lost}"),
        }
    }
}

impl Core {
    /// How each voter is now.
    pub(super) async fn voters_now(self: &Arc<Self>) -> Result<Vec<VoterStatus>> {
        self.refresh().await?;
        let (members, decided) = {
            let state = self.state();
            let council = state.proposer.council();
            let members: Vec<_> = council.members.iter().map(Member::known).collect();
            (members, council.decided)
        };
        let asked = members.into_iter().map(|member| self.voter_now(member, decided));
        Ok(join_all(asked).await)
    }

    async fn voter_now(&self, mut member: Member, decided: Point) -> VoterStatus {
        let voter = member.voter();
        let state = self.look_at(&mut member, decided).await;
        let known = self.state();
        let provider = known.places.contains_key(&voter).then(|| self.name(&known, voter));
        VoterStatus { voter, provider, state }
    }

    async fn look_at(&self, member: &mut Member, decided: Point) -> VoterState {
        let voter = member.voter();
        let silent = || {
            let troubles = &self.state().troubles;
            VoterState::Silent(troubles.get(&voter).cloned().unwrap_or_default())
        };
        match self.perform(Request::Mark { voter }).await {
            Event::Marked { base, asked, .. } => member.marked(base.map(|base| *base), asked),
            _ => return silent(),
        }
        while member.lost.is_none() {
            let Some(position) = member.read_next() else {
                let lacks = decided.index.saturating_sub(member.accepted().0.index);
                return if lacks == 0 { VoterState::Current } else { VoterState::Behind(lacks) };
            };
            let mut requests = Vec::new();
            member.read(position, &mut requests);
            for request in requests {
                match self.perform(request).await {
                    Event::Answer(_, Asked::Failed) => return silent(),
                    Event::Answer(_, asked) => member.answered(asked, &mut Vec::new()),
                    _ => {}
                }
            }
        }
        VoterState::Lost(member.lost.clone().unwrap_or(Lost::Wiped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_voter_is_is_told_in_words() {
        let lost = |lost| VoterState::Lost(lost);
        for (state, words) in [
            (VoterState::Current, "current"),
            (VoterState::Behind(1), "1 decision behind"),
            (VoterState::Behind(2), "2 decisions behind"),
            (VoterState::Silent("refused".into()), "does not answer: refused"),
            (
                lost(Lost::Wiped),
                "lost: its marker is gone or another's, so it was wiped or replaced",
            ),
            (lost(Lost::Damaged("cell 3".into())), "lost: its chain is damaged: cell 3"),
        ] {
            assert_eq!(state.to_string(), words);
        }
    }
}
