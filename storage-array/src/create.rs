//! Putting without a look at what is there, which is right where there is nothing yet.
//!
//! Such a put counts once [`Core::agree`] members have it. One that is beaten on some members puts again over
//! what is there, but only when it is certain that it never counted: else readers could meet it twice, before
//! and after what replaced it. What replaces a cell therefore says which such put was there ([`First`]).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use storage_core::{Error, ErrorKind, Key, PutIf, Version};

use crate::cell::{First, Generation};
use crate::core::Core;
use crate::gather::Survey;
use crate::look::Seen;
use crate::round::Round;
use crate::write::Reply;

/// How long a put that was beaten on some members waits for those that have not said what they have.
const SETTLE_MAX: Duration = Duration::from_secs(60);

/// What became of a put that did not look.
enum Fate {
    /// It counted, and counts until it is replaced.
    Counted(Survey),
    /// It never counted and never will.
    Beaten,
    /// Nobody can say.
    Unknown,
}

impl Core {
    /// Puts where there is nothing yet: one round. Says whether that settled it.
    pub(crate) async fn put_first<'a>(
        self: &'a Arc<Self>,
        key: &Key,
        inside: &'a Key,
        size: u64,
        pieces: &[Bytes],
        reply: &mut Reply<Version>,
    ) -> bool {
        let generation = Generation { count: 0, nonce: self.nonce() };
        let version = Version::new(generation.mark());
        let cells = self.cells_of(key, size, pieces, generation);
        let mut round = self.put_each(inside, cells.clone(), &PutIf::Absent).await;
        if self.is_safe(&round.done) {
            let again = |round: &mut Round<'a>, member: usize| {
                let cell = cells[member].clone();
                round.send(member, async move {
                    self.workers[member].put(inside, cell, PutIf::Absent).await.map(drop)
                });
            };
            self.acknowledge(key, &mut round, reply, version, again).await;
            return true;
        }
        if round.conflicts() == 0 {
            reply.tell(Err(round.error(self)));
            return true;
        }
        let fate = {
            let fate = std::pin::pin!(self.fate(key, inside, generation, &cells, &mut round));
            match select(fate, self.env.sleep(SETTLE_MAX)).await {
                Either::Left((fate, _)) => fate,
                Either::Right(_) => Fate::Unknown,
            }
        };
        drop(round);
        match fate {
            Fate::Counted(survey) => {
                self.swing_all(key, inside, generation, cells, survey, reply, version).await;
                true
            }
            Fate::Beaten => false,
            Fate::Unknown => {
                let what = "some members gave no answer, and others have what somebody else put at the \
                            same time";
                reply.tell(Err(Error::unknown(ErrorKind::Unavailable, what)));
                true
            }
        }
    }

    /// Finds out what became of a put that was beaten on some members: a reader may have brought it to others.
    async fn fate<'a>(
        &'a self,
        key: &Key,
        inside: &'a Key,
        generation: Generation,
        cells: &[Bytes],
        round: &mut Round<'a>,
    ) -> Fate {
        let mut again = true;
        loop {
            let settled = |survey: &Survey| {
                let (was, may_be) = survey.spread(generation, &round.done);
                was >= self.agree || was + may_be < self.agree
            };
            let survey = self.survey_until(key, inside, &settled).await;
            if settled(&survey) {
                return match survey.spread(generation, &round.done) {
                    (was, _) if was >= self.agree => Fate::Counted(survey),
                    _ => Fate::Beaten,
                };
            }
            if round.is_under_way() {
                round.one_more().await;
                continue;
            }
            // Where nothing is, a reader may yet bring it: it is brought there now, so that it is known.
            let empty = |member: &usize| matches!(survey.seen[*member], Some(Seen::Absent));
            let empty: Vec<usize> = round.missing().into_iter().filter(empty).collect();
            if empty.is_empty() || !std::mem::take(&mut again) {
                return Fate::Unknown;
            }
            for member in empty {
                let cell = cells[member].clone();
                round.send(member, async move {
                    self.workers[member].put(inside, cell, PutIf::Absent).await.map(drop)
                });
            }
        }
    }
}

impl Survey {
    /// On how many members a put that did not look is or was, and on how many more it may be or come to be;
    /// `done` are those that said so themselves.
    fn spread(&self, generation: Generation, done: &[bool]) -> (usize, usize) {
        let (mut was, mut may_be) = (0, 0);
        for (seen, done) in self.seen.iter().zip(done) {
            let first = match seen {
                Some(Seen::Cell(cell)) => cell.header.first_put(),
                Some(Seen::Absent | Seen::Damaged(_) | Seen::Failed(_)) | None => First::Unknown,
            };
            if *done || first == First::of(generation) {
                was += 1;
            } else if first == First::Unknown {
                may_be += 1;
            }
        }
        (was, may_be)
    }
}
