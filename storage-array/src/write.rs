//! Putting and deleting objects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use storage_core::{BoxFuture, Effect, Error, ErrorKind, Key, Operation, PutIf, Result, Version};

use crate::cell::{Generation, Header, Kind};
use crate::core::Core;
use crate::gather::{Survey, Verdict};
use crate::health::Work;
use crate::look::Seen;
use crate::member::{Stuck, is_not_applied};

/// How often one cell is tried to be replaced while others replace it too.
const SWINGS_MAX: usize = 30;

/// Whom a put or delete is to tell how it ended.
pub(crate) struct Reply<T>(Option<oneshot::Sender<Result<T>>>);

impl<T> Reply<T> {
    fn tell(&mut self, answer: Result<T>) {
        if let Some(sender) = self.0.take() {
            // Whoever asked may have gone: the work is done all the same.
            let _ = sender.send(answer);
        }
    }
}

/// A request to each of several members.
struct Round<'a> {
    waiting: FuturesUnordered<BoxFuture<'a, (usize, Result<()>)>>,
    began: Duration,
    done: Vec<bool>,
    errors: Vec<(usize, Error)>,
    /// Those that are later than usual, and nobody waits for.
    stuck: BTreeMap<usize, Stuck>,
}

impl<'a> Round<'a> {
    fn new(core: &Core) -> Self {
        Self {
            waiting: FuturesUnordered::new(),
            began: core.env.monotonic(),
            done: vec![false; core.workers.len()],
            errors: Vec::new(),
            stuck: BTreeMap::new(),
        }
    }

    fn send(&mut self, member: usize, request: impl Future<Output = Result<()>> + Send + 'a) {
        self.waiting.push(Box::pin(async move { (member, request.await) }));
    }

    fn reached(&self) -> usize {
        self.done.iter().filter(|done| **done).count()
    }

    fn conflicts(&self) -> usize {
        self.errors.iter().filter(|(_, error)| error.kind() == ErrorKind::Conflict).count()
    }

    /// Requests that may have been applied, or may yet be.
    fn doubtful(&self) -> usize {
        self.errors.iter().filter(|(_, error)| !is_not_applied(error)).count() + self.waiting.len()
    }

    fn missing(&self) -> Vec<usize> {
        (0..self.done.len()).filter(|member| !self.done[*member]).collect()
    }

    /// Members that have it.
    fn have(&self) -> Vec<usize> {
        (0..self.done.len()).filter(|member| self.done[*member]).collect()
    }

    /// Waits until enough members are done, and for the others as long as they usually take; or until it is
    /// certain that not enough will be.
    async fn until_quorum(&mut self, core: &Core) {
        loop {
            let met = core.is_safe(&self.done) && core.survives_a_domain(&self.done);
            let hopeless = self.conflicts() > 0 && self.reached() + self.doubtful() < core.agree;
            if self.waiting.is_empty() {
                return;
            }
            let next = if met || hopeless {
                let patience = core.grace(&self.done, Work::Write);
                let passed = core.env.monotonic().saturating_sub(self.began);
                let sleep = core.env.sleep(patience.saturating_sub(passed));
                match select(self.waiting.next(), sleep).await {
                    Either::Left((next, _)) => next,
                    Either::Right(_) => {
                        for member in self.missing() {
                            if !self.errors.iter().any(|(at, _)| *at == member) {
                                self.stuck.insert(member, core.workers[member].stuck());
                            }
                        }
                        return;
                    }
                }
            } else {
                self.waiting.next().await
            };
            self.note(next);
        }
    }

    async fn until_the_end(&mut self) {
        while !self.waiting.is_empty() {
            let next = self.waiting.next().await;
            self.note(next);
        }
    }

    fn note(&mut self, next: Option<(usize, Result<()>)>) {
        if let Some((member, _)) = &next {
            self.stuck.remove(member);
        }
        match next {
            Some((member, Ok(()))) => self.done[member] = true,
            Some((member, Err(error))) => self.errors.push((member, error)),
            None => {}
        }
    }

    /// The error of a round that did not reach enough members.
    fn error(mut self, core: &Core) -> Error {
        let reached = self.reached();
        let nothing = reached == 0 && self.doubtful() == 0;
        let total = core.workers.len();
        let worst = self.errors.iter().position(|(_, error)| error.kind() != ErrorKind::Conflict);
        let message = |because: String| {
            format!("{reached} of {total} members took it, {} are needed{because}", core.quorum)
        };
        let (kind, message) = match worst.map(|at| self.errors.swap_remove(at)) {
            Some((member, error)) => {
                let name = core.workers[member].member.name();
                (error.kind(), message(format!("; \"{name}\": {error}")))
            }
            None => (ErrorKind::Unavailable, message(String::new())),
        };
        let kind = if kind.is_refusal() && kind != ErrorKind::TooLarge {
            ErrorKind::Unavailable
        } else {
            kind
        };
        if nothing { Error::not_applied(kind, message) } else { Error::unknown(kind, message) }
    }
}

impl Core {
    /// Whether what these members have is acknowledged: a quorum of them.
    pub(crate) fn is_safe(&self, done: &[bool]) -> bool {
        let have = done.iter().filter(|done| **done).count();
        have >= self.quorum
    }

    /// Whether enough is left when the failure domain with the most of these members is lost; not asked for
    /// where the members cannot give it.
    fn survives_a_domain(&self, done: &[bool]) -> bool {
        let data = usize::from(self.shape().data);
        let in_domain = |domain: &str, counts: &dyn Fn(usize) -> bool| {
            (0..done.len())
                .filter(|at| counts(*at) && self.workers[*at].member.domain() == domain)
                .count()
        };
        let lost = |counts: &dyn Fn(usize) -> bool| {
            let most = self.workers.iter().map(|it| in_domain(it.member.domain(), counts)).max();
            (0..done.len()).filter(|at| counts(*at)).count() - most.unwrap_or(0)
        };
        let usable = |at: usize| done[at] || !self.workers[at].is_aside();
        // Where no member may be missed, none is waited for longer than it usually takes.
        self.quorum <= data || lost(&usable) < data || lost(&|at| done[at]) >= data
    }

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
        if self.optimistic {
            let generation = Generation { count: 0, nonce: self.nonce() };
            if self.put_first(&key, &inside, size, &pieces, generation, &mut reply).await {
                return;
            }
        }
        self.put_over(&key, &inside, size, &pieces, &mut reply).await;
    }

    /// Puts where there is nothing yet: one round. Says whether that settled it.
    async fn put_first(
        self: &Arc<Self>,
        key: &Key,
        inside: &Key,
        size: u64,
        pieces: &[Bytes],
        generation: Generation,
        reply: &mut Reply<Version>,
    ) -> bool {
        let cells = self.cells_of(key, size, pieces, generation);
        let mut round = self.put_each(inside, cells, &PutIf::Absent).await;
        if self.is_safe(&round.done) {
            let version = Version::new(generation.mark());
            self.acknowledge(key, &mut round, reply, version).await;
            return true;
        }
        if round.conflicts() == 0 {
            reply.tell(Err(round.error(self)));
            return true;
        }
        // It may have won on enough members all the same, or a reader may have finished it.
        drop(round);
        let Ok(survey) = self.survey(key, inside).await else {
            reply.tell(Err(lost_among_members()));
            return true;
        };
        if survey.holders(generation) < self.agree {
            if survey.holders(generation) + survey.unknown() < self.agree {
                return false;
            }
            reply.tell(Err(lost_among_members()));
            return true;
        }
        let cells = self.cells_of(key, size, pieces, generation);
        let version = Version::new(generation.mark());
        self.swing_all(key, inside, generation, cells, survey, reply, version).await;
        true
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
        if !missing.is_empty() {
            self.mark_behind(&missing, &round.have()).await?;
            missing.iter().for_each(|member| self.owe(*member, key, false));
        }
        Ok(())
    }

    /// Puts to each member its cell, but to those set aside, until enough have theirs or never will.
    async fn put_each<'a>(
        &'a self,
        inside: &'a Key,
        cells: Vec<Bytes>,
        when: &'a PutIf,
    ) -> Round<'a> {
        let mut round = Round::new(self);
        for (member, (cell, usable)) in cells.into_iter().zip(self.usable()).enumerate() {
            if !usable {
                round.errors.push((member, set_aside()));
                continue;
            }
            round.send(member, async move {
                self.workers[member].put(inside, cell, when.clone()).await.map(drop)
            });
        }
        round.until_quorum(self).await;
        round
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
    async fn swing_all<T>(
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
                self.swing(member, key, inside, generation, cell, seen, false).await
            });
        }
        round.until_quorum(self).await;
        if !self.is_safe(&round.done) {
            reply.tell(Err(round.error(self).into_unknown()));
            return false;
        }
        self.acknowledge(key, &mut round, reply, answer).await;
        true
    }

    /// Tells that enough members have it, after it is on record who has not, and waits for those.
    async fn acknowledge<T>(
        self: &Arc<Self>,
        key: &Key,
        round: &mut Round<'_>,
        reply: &mut Reply<T>,
        answer: T,
    ) {
        let missing = round.missing();
        // Owed before it is on record, so that nobody takes the record back meanwhile.
        missing.iter().for_each(|member| self.owed.add(*member, key, false));
        if !missing.is_empty()
            && let Err(error) = self.mark_behind(&missing, &round.have()).await
        {
            missing.iter().for_each(|member| self.owe(*member, key, false));
            reply.tell(Err(error));
            return;
        }
        reply.tell(Ok(answer));
        let mut owed = 0;
        loop {
            for (member, _) in &round.errors[owed..] {
                self.owe(*member, key, false);
            }
            owed = round.errors.len();
            if round.waiting.is_empty() {
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

    /// Brings one member to a generation, unless it has that or a later one. With `anew` also one that has it,
    /// but damaged.
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
    ) -> Result<()> {
        let worker = &self.workers[member];
        let mut lost = None;
        for _ in 0..SWINGS_MAX {
            let now = match seen.take() {
                Some(seen @ (Seen::Absent | Seen::Cell(_) | Seen::Damaged(Some(_)))) => seen,
                _ => self.look(member, key, inside, false).await,
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
                        return Ok(());
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
            match worker.put(inside, cell.clone(), when).await {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) if error.effect() == Effect::Unknown => lost = Some(error),
                Err(error) => return Err(lost.unwrap_or(error)),
            }
        }
        Err(lost.unwrap_or_else(|| {
            Error::not_applied(ErrorKind::Unavailable, "the piece is being replaced all the time")
        }))
    }

    /// Finishes what somebody else began, so that what is read stays so. Says whether what was seen of it is
    /// still what counts.
    pub(crate) async fn help(
        &self,
        key: &Key,
        inside: &Key,
        generation: Generation,
        survey: &Survey,
    ) -> Result<bool> {
        let Some(header) = survey.header(generation).cloned() else { return Ok(false) };
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
                    self.swing(member, key, inside, generation, cell, None, false).await
                });
            }
        }
        round.until_quorum(self).await;
        // Another put may be about to win: what is seen now may never have been. But with too few members
        // left to finish anything, what is there is all there is.
        let outrun = generation.count == 0 && round.conflicts() > 0;
        Ok(!outrun || round.reached() >= self.agree)
    }

    fn header(&self, kind: Kind, generation: Generation, size: u64, index: u8) -> Header {
        let (shape, written) = (self.shape(), self.wall_millis());
        Header { kind, shape, index, generation, size, written, blocks: Vec::new() }
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
    fn cells_of(
        &self,
        key: &Key,
        size: u64,
        pieces: &[Bytes],
        generation: Generation,
    ) -> Vec<Bytes> {
        let members = 0..self.workers.len();
        members.map(|member| self.piece(key, size, pieces, member, generation)).collect()
    }

    /// The members to ask: all but those set aside, unless that leaves too few.
    fn usable(&self) -> Vec<bool> {
        let usable: Vec<bool> = self.workers.iter().map(|worker| !worker.is_aside()).collect();
        if usable.iter().filter(|usable| **usable).count() >= self.quorum {
            usable
        } else {
            vec![true; self.workers.len()]
        }
    }
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

fn set_aside() -> Error {
    Error::not_applied(ErrorKind::Unavailable, "the member is set aside after failures")
}

fn lost_among_members() -> Error {
    Error::unknown(
        ErrorKind::Unavailable,
        "some members gave no answer, and others have what somebody else put at the same time",
    )
}
