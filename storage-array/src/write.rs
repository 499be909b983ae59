//! Putting and deleting objects.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures_channel::oneshot;
use storage_core::{Effect, Error, ErrorKind, Key, Operation, PutIf, Result, Version};

use crate::cell::{self, First, Generation, Header, Kind};
use crate::core::Core;
use crate::gather::{Survey, Verdict};
use crate::look::Seen;
use crate::round::{Round, set_aside};

/// How often one cell is tried to be replaced while others replace it too.
const SWINGS_MAX: usize = 30;

/// Whom a put or delete is to tell how it ended.
pub(crate) struct Reply<T>(Option<oneshot::Sender<Result<T>>>);

impl<T> Reply<T> {
    pub(crate) fn tell(&mut self, answer: Result<T>) {
        if let Some(sender) = self.0.take() {
            // Whoever asked may have gone: the work is done all the same.
            let _ = sender.send(answer);
        }
    }
}

impl Core {
    pub(crate) async fn put(
        self: &Arc<Self>,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let refuse = |error: Error| error.during(Operation::Put, key);
        if when != PutIf::Always {
            return Err(refuse(Error::not_applied(
                ErrorKind::Unsupported,
                "an array keeps copies or pieces on several members and decides no conditions",
            )));
        }
        let max = self.info().capabilities.object_bytes_max;
        if body.len() as u64 > max {
            let size = body.len();
            return Err(refuse(Error::not_applied(
                ErrorKind::TooLarge,
                format!("{size} bytes, but an object has at most {max}"),
            )));
        }
        let inside = self.cell_key(key).map_err(refuse)?;
        self.run(|core, key, reply| core.put_now(key, inside, body, reply), key)
            .await
            .map_err(|error| error.renamed(key).during(Operation::Put, key))
    }

    pub(crate) async fn delete(self: &Arc<Self>, key: &Key) -> Result<()> {
        // What cannot be put is not there.
        let Ok(inside) = self.cell_key(key) else { return Ok(()) };
        self.run(|core, key, reply| core.delete_now(key, inside, reply), key)
            .await
            .map_err(|error| error.renamed(key).during(Operation::Delete, key))
    }

    /// Runs a mutation as a task of its own: once begun it goes on, whoever waits for it.
    async fn run<T, F>(
        self: &Arc<Self>,
        work: impl FnOnce(Arc<Self>, Key, Reply<T>) -> F,
        key: &Key,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        self.heads.forget(key);
        let task = work(self.clone(), key.clone(), Reply(Some(sender)));
        self.env.spawn(Box::pin(task));
        let answer = receiver.await.unwrap_or_else(|_| {
            Err(Error::unknown(ErrorKind::Unavailable, "the work on it was given up"))
        });
        self.heads.forget(key);
        answer
    }

    async fn put_now(
        self: Arc<Self>,
        key: Key,
        inside: Key,
        body: Bytes,
        mut reply: Reply<Version>,
    ) {
        let size = body.len() as u64;
        let pieces = self.coding.cut(&body);
        if self.optimistic && self.put_first(&key, &inside, size, &pieces, &mut reply).await {
            return;
        }
        self.put_over(&key, &inside, size, &pieces, &mut reply).await;
    }

    /// Puts where there is something: looks what, and then replaces it on every member.
    async fn put_over(
        self: &Arc<Self>,
        key: &Key,
        inside: &Key,
        size: u64,
        pieces: &[Bytes],
        reply: &mut Reply<Version>,
    ) {
        let survey = match self.survey(key, inside).await {
            Ok(survey) => survey,
            Err(error) => return reply.tell(Err(error)),
        };
        let generation = Generation { count: survey.last_count() + 1, nonce: self.nonce() };
        let replaced = replaced(&survey);
        let cells = if self.shape().data == 1 {
            self.cells_of(key, size, pieces, generation)
        } else {
            // The old pieces are needed until there are enough of the new ones.
            if let Err(error) = self.put_aside(key, size, pieces, generation).await {
                return reply.tell(Err(error));
            }
            self.same(key, self.header(Kind::Pointer, generation, size, 0))
        };
        let version = Version::new(generation.mark());
        if self.swing_all(key, inside, generation, cells, survey, reply, version).await {
            self.tidy_aside(&replaced).await;
        }
    }

    /// Puts pieces under the name of their generation.
    async fn put_aside(
        self: &Arc<Self>,
        key: &Key,
        size: u64,
        pieces: &[Bytes],
        generation: Generation,
    ) -> Result<()> {
        let aside = &self.aside_key(generation);
        let cells = self.cells_of(key, size, pieces, generation);
        let round = self.put_each(aside, cells, &PutIf::Always).await;
        if !self.is_safe(&round.done) {
            // Nothing leads to these pieces, so nothing has happened.
            let error = round.error(self);
            let kind = error.kind();
            return Err(Error::not_applied(kind, error.message().to_owned()));
        }
        let missing = round.missing();
        missing.iter().for_each(|member| self.owe(*member, key, false));
        self.mark_behind(&missing, &round.have()).await.map(drop)
    }

    /// Removes the pieces of generations that nothing leads to any more.
    pub(crate) async fn tidy_aside(&self, replaced: &[Generation]) {
        for generation in replaced {
            let aside = self.aside_key(*generation);
            for worker in self.workers.iter().filter(|worker| !worker.is_aside()) {
                // What stays behind takes room and does no harm.
                let _ = worker.delete(&aside).await;
            }
        }
    }

    async fn delete_now(self: Arc<Self>, key: Key, inside: Key, mut reply: Reply<()>) {
        let survey = match self.survey(&key, &inside).await {
            Ok(survey) => survey,
            Err(error) => return reply.tell(Err(error)),
        };
        let absent = |seen: &Option<Seen>| matches!(seen, Some(Seen::Absent));
        if survey.seen.iter().all(absent) {
            return reply.tell(Ok(()));
        }
        if let Verdict::Present(generation) = survey.verdict(&self)
            && survey.header(generation).is_some_and(|it| it.kind == Kind::Tombstone)
        {
            return reply.tell(Ok(()));
        }
        let generation = Generation { count: survey.last_count() + 1, nonce: self.nonce() };
        let replaced = replaced(&survey);
        let cells = self.same(&key, self.header(Kind::Tombstone, generation, 0, 0));
        if self.swing_all(&key, &inside, generation, cells, survey, &mut reply, ()).await {
            self.tidy_aside(&replaced).await;
        }
    }

    /// Brings every member to a generation, acknowledges when enough have it, and goes on to the rest. Says
    /// whether it was acknowledged.
    #[expect(
        clippy::too_many_arguments,
        reason = "one place for what puts and deletes have in common"
    )]
    pub(crate) async fn swing_all<T>(
        self: &Arc<Self>,
        key: &Key,
        inside: &Key,
        generation: Generation,
        cells: Vec<Bytes>,
        survey: Survey,
        reply: &mut Reply<T>,
        answer: T,
    ) -> bool {
        let mut round = Round::new(self);
        let usable = self.usable();
        for (member, (cell, seen)) in cells.into_iter().zip(survey.seen).enumerate() {
            if !usable[member] {
                round.errors.push((member, set_aside()));
                continue;
            }
            round.send(member, async move {
                self.swing(member, key, inside, generation, cell, seen, false).await.map(drop)
            });
        }
        round.until_quorum(self).await;
        if !self.is_safe(&round.done) {
            reply.tell(Err(round.error(self).into_unknown()));
            return false;
        }
        self.acknowledge(key, &mut round, reply, answer, |_, _| ()).await;
        true
    }

    /// Tells that enough members have it, after it is on record who has not, and waits for those.
    ///
    /// `again` sends it once more to one that failed before there was a record of that: it may have come back
    /// since, and be taken for whole by somebody who found no record.
    pub(crate) async fn acknowledge<'a, T>(
        self: &Arc<Self>,
        key: &Key,
        round: &mut Round<'a>,
        reply: &mut Reply<T>,
        answer: T,
        again: impl Fn(&mut Round<'a>, usize),
    ) {
        let missing = round.missing();
        // Owed before it is on record, so that nobody takes the record back meanwhile.
        missing.iter().for_each(|member| self.owed.add(*member, key, false));
        let new = match self.mark_behind(&missing, &round.have()).await {
            Ok(new) => new,
            Err(error) => {
                missing.iter().for_each(|member| self.owe(*member, key, false));
                reply.tell(Err(error));
                return;
            }
        };
        for member in &missing {
            let failed = round.errors.iter().any(|(at, _)| at == member);
            if failed && (new.contains(member) || !round.on_record[*member]) {
                again(round, *member);
            }
        }
        reply.tell(Ok(answer));
        let mut owed = 0;
        loop {
            for (member, _) in &round.errors[owed..] {
                self.owe(*member, key, false);
            }
            owed = round.errors.len();
            if !round.is_under_way() {
                break;
            }
            round.until_the_end().await;
        }
        let late =
            missing.into_iter().filter(|member| round.done[*member]).collect::<BTreeSet<_>>();
        if !late.is_empty() {
            self.owed.remove(key, &late);
            self.take_back_marks().await;
        }
    }

    /// Brings one member to a generation, unless it has that or a later one; says whether it has a later one.
    /// With `anew` also one that has it, but damaged.
    #[expect(clippy::too_many_arguments, reason = "each says one thing about one cell")]
    pub(crate) async fn swing(
        &self,
        member: usize,
        key: &Key,
        inside: &Key,
        generation: Generation,
        cell: Bytes,
        mut seen: Option<Seen>,
        anew: bool,
    ) -> Result<bool> {
        let worker = &self.workers[member];
        let mut lost = None;
        for _ in 0..SWINGS_MAX {
            let now = match seen.take() {
                Some(seen @ (Seen::Absent | Seen::Cell(_) | Seen::Damaged(Some(_)))) => seen,
                _ => self.look(member, key, inside, false).await,
            };
            let first = match &now {
                Seen::Absent => First::None,
                Seen::Cell(cell) => cell.header.first_put(),
                Seen::Damaged(_) | Seen::Failed(_) => First::Unknown,
            };
            let when = match &now {
                Seen::Failed(error) => {
                    let failed = || Error::not_applied(error.kind(), error.message().to_owned());
                    return Err(lost.unwrap_or_else(failed));
                }
                Seen::Cell(cell) => {
                    let there = cell.header.generation;
                    let later =
                        if generation.count == 0 { there.count > 0 } else { there > generation };
                    if later || (there == generation && !(anew && lost.is_none())) {
                        return Ok(later);
                    }
                    PutIf::Matches(cell.version.clone())
                }
                Seen::Damaged(Some(version)) => PutIf::Matches(version.clone()),
                Seen::Damaged(None) => {
                    match worker.get(inside, storage_core::Get::meta_only()).await {
                        Ok(object) => PutIf::Matches(object.version),
                        Err(error) if error.kind() == ErrorKind::NotFound => PutIf::Absent,
                        Err(error) => return Err(error),
                    }
                }
                Seen::Absent => PutIf::Absent,
            };
            let when = if worker.conditional { when } else { PutIf::Always };
            let cell = match generation.count {
                0 => cell.clone(),
                _ => cell::with_first(&cell, first),
            };
            match worker.put(inside, cell, when).await {
                Ok(_) => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) if error.effect() == Effect::Unknown => lost = Some(error),
                Err(error) => return Err(lost.unwrap_or(error)),
            }
        }
        Err(lost.unwrap_or_else(|| {
            Error::not_applied(ErrorKind::Unavailable, "the piece is being replaced all the time")
        }))
    }

    /// Finishes what somebody else began, so that what is read stays so.
    pub(crate) async fn help(
        &self,
        key: &Key,
        inside: &Key,
        generation: Generation,
        survey: &Survey,
    ) -> Result<Helped> {
        let Some(header) = survey.header(generation).cloned() else { return Ok(Helped::Outrun) };
        let cells = match header.kind {
            Kind::Piece => {
                let mut pieces = survey.pieces(generation);
                if pieces.len() < usize::from(self.shape().data) {
                    let holders = self
                        .order(key)
                        .into_iter()
                        .filter(|member| {
                            survey.seen[*member].as_ref().and_then(Seen::generation)
                                == Some(generation)
                        })
                        .collect();
                    (_, pieces) = self.fetch(key, inside, generation, holders).await;
                    if pieces.len() < usize::from(self.shape().data) {
                        return Err(self.unreadable(survey, key));
                    }
                }
                let all: Vec<u8> = (0..self.shape().total).collect();
                let pieces = self.coding.rebuild(&pieces, &all)?;
                (0..self.workers.len())
                    .map(|member| self.piece(key, header.size, &pieces, member, generation))
                    .collect()
            }
            Kind::Pointer | Kind::Tombstone => {
                self.same(key, Header { blocks: Vec::new(), index: 0, ..header })
            }
        };
        let mut round = Round::new(self);
        let usable = self.usable();
        for (member, cell) in cells.into_iter().enumerate() {
            let there = survey.seen[member].as_ref().and_then(Seen::generation);
            if there == Some(generation) {
                round.done[member] = true;
            } else if usable[member] {
                round.send(member, async move {
                    // Generation 0 is helped only into cells that are empty: another one may be decided.
                    if generation.count == 0 {
                        match self.look(member, key, inside, false).await {
                            Seen::Absent => {
                                let put = self.workers[member].put(inside, cell, PutIf::Absent);
                                return put.await.map(drop);
                            }
                            Seen::Cell(found) if found.header.generation == generation => {
                                return Ok(());
                            }
                            Seen::Cell(_) => {
                                let what = "somebody else's is there";
                                return Err(Error::not_applied(ErrorKind::Conflict, what));
                            }
                            Seen::Damaged(_) | Seen::Failed(_) => {
                                let what = "there is no usable answer";
                                return Err(Error::not_applied(ErrorKind::Unavailable, what));
                            }
                        }
                    }
                    match self.swing(member, key, inside, generation, cell, None, false).await? {
                        false => Ok(()),
                        true => Err(Error::not_applied(ErrorKind::Conflict, "something later is")),
                    }
                });
            }
        }
        round.until_quorum(self).await;
        // Another put may be about to win, or has won: what is seen now may never have been, or is no more.
        if round.conflicts() > 0 && !(generation.count == 0 && round.reached() >= self.agree) {
            return Ok(Helped::Outrun);
        }
        let enough = if generation.count == 0 { self.agree } else { self.quorum };
        Ok(if round.reached() >= enough { Helped::Finished } else { Helped::Unfinished })
    }

    fn header(&self, kind: Kind, generation: Generation, size: u64, index: u8) -> Header {
        let (shape, written) = (self.shape(), self.wall_millis());
        Header {
            kind,
            shape,
            index,
            generation,
            size,
            written,
            first: First::None,
            blocks: Vec::new(),
        }
    }

    /// The same cell for every member.
    fn same(&self, key: &Key, header: Header) -> Vec<Bytes> {
        vec![header.cell(key, &[]); self.workers.len()]
    }

    /// The cell of a member with its piece.
    pub(crate) fn piece(
        &self,
        key: &Key,
        size: u64,
        pieces: &[Bytes],
        member: usize,
        generation: Generation,
    ) -> Bytes {
        let index = self.index_of(key, member);
        self.header(Kind::Piece, generation, size, index).cell(key, &pieces[usize::from(index)])
    }

    /// The cell of each member.
    pub(crate) fn cells_of(
        &self,
        key: &Key,
        size: u64,
        pieces: &[Bytes],
        generation: Generation,
    ) -> Vec<Bytes> {
        let members = 0..self.workers.len();
        members.map(|member| self.piece(key, size, pieces, member, generation)).collect()
    }
}

/// How far somebody else's put or delete was brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Helped {
    /// Enough members have it.
    Finished,
    /// Too few members could be reached.
    Unfinished,
    /// There is something else that counts, or may come to count.
    Outrun,
}

/// Generations whose pieces have a name of their own that will lead nowhere.
fn replaced(survey: &Survey) -> Vec<Generation> {
    let mut replaced: Vec<_> = survey
        .seen
        .iter()
        .flatten()
        .filter_map(|seen| match seen {
            Seen::Cell(cell) if cell.header.kind == Kind::Pointer => Some(cell.header.generation),
            _ => None,
        })
        .collect();
    replaced.sort();
    replaced.dedup();
    replaced
}
