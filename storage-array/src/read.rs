//! Reading an object, or a range of it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, select, try_join_all};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use storage_core::{ByteRange, Error, ErrorKind, Get, Key, Object, Operation, Result, Version};

use crate::cell::{BLOCK_BYTES, Generation, Header, Kind};
use crate::core::{Core, KnownHead};
use crate::gather::{Survey, Verdict, Want};
use crate::look::Seen;
use crate::write::Helped;

/// How often a read begins again because somebody else changed the object meanwhile.
const READS_MAX: usize = 30;
/// How long to wait at first, and at the longest, before members that failed are asked again while too few have
/// answered.
const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(320);
/// A range of an object with smaller pieces is cut out of the whole.
const RANGED_BYTES_MIN: u64 = 2 * BLOCK_BYTES;

/// An object as it was found.
pub(crate) struct Found {
    pub(crate) header: Header,
    /// Its bytes, unless only its head was wanted.
    pub(crate) body: Option<Bytes>,
    pub(crate) survey: Survey,
}

impl Core {
    pub(crate) async fn get(self: &Arc<Self>, key: &Key, request: Get) -> Result<Object> {
        self.get_now(key, request)
            .await
            .map_err(|error| error.renamed(key).during(Operation::Get, key))
    }

    async fn get_now(self: &Arc<Self>, key: &Key, request: Get) -> Result<Object> {
        let inside = self.cell_key(key).map_err(|_| not_found())?;
        let range = request.range.filter(|_| !request.meta_only);
        if let Some(range) = range {
            if range.is_empty() {
                // Refused in any case, but what is missing is missing first.
                let found = self.find(key, &inside, Want::Head, None).await?;
                request.check(&version_of(&found.header))?;
                range.within(found.header.size)?;
            }
            if let Some(object) = self.get_range(key, &inside, range, &request).await? {
                return Ok(object);
            }
        }
        let want = if request.meta_only { Want::Head } else { Want::Pieces };
        let Found { header, body, survey } = self.find(key, &inside, want, None).await?;
        self.notice(key, &header, &survey);
        let version = version_of(&header);
        request.check(&version)?;
        let size = header.size;
        let body = match (body, range) {
            (None, _) => Bytes::new(),
            (Some(body), None) => body,
            (Some(body), Some(range)) => {
                let Range { start, end } = range.within(size)?;
                body.slice(start as usize..end as usize)
            }
        };
        Ok(Object { body, size, version })
    }

    /// Finds out what the object is, and what is wanted of it.
    pub(crate) async fn find(
        &self,
        key: &Key,
        inside: &Key,
        want: Want,
        first: Option<usize>,
    ) -> Result<Found> {
        // Of this generation too little was found once: it may have been replaced and tidied away meanwhile.
        let mut short = None;
        let mut pause = PAUSE_FIRST;
        for _ in 0..READS_MAX {
            let (mut survey, verdict) = self.gather(key, inside, want, first).await;
            let vouched = survey.seen.len() - survey.unknown() >= self.answers_needed();
            let (generation, helped) = match verdict {
                Verdict::Nothing => {
                    if !self.may_be_missed(&mut survey).await {
                        return Err(not_found());
                    }
                    // It may be on its way.
                    if pause > PAUSE_MAX {
                        return Err(self.unreadable(&survey, key));
                    }
                    self.env.sleep(pause).await;
                    pause *= 2;
                    continue;
                }
                Verdict::Present(generation) => (generation, false),
                Verdict::Begun(generation) => (generation, true),
                Verdict::Open => match survey.only_possible(self) {
                    Some(generation) => (generation, true),
                    None => return Err(self.unreadable(&survey, key)),
                },
            };
            let mut finished = true;
            if helped {
                match self.help(key, inside, generation, &survey).await {
                    Ok(Helped::Finished) => {}
                    Ok(Helped::Unfinished) => finished = false,
                    Ok(Helped::Outrun) => continue,
                    Err(error) if short.replace(generation) == Some(generation) => {
                        return Err(error);
                    }
                    Err(_) => continue,
                }
            }
            let Some(header) = survey.header(generation).cloned() else { continue };
            if !vouched || !finished {
                if pause <= PAUSE_MAX && self.may_yet_answer() {
                    self.env.sleep(pause).await;
                    pause *= 2;
                    continue;
                }
                // What there is is returned while enough is left of it; that it is deleted is not believed of
                // members that may have missed something later.
                if header.kind == Kind::Tombstone && !vouched {
                    return Err(self.unreadable(&survey, key));
                }
                self.read_unvouched();
            }
            let pieces = match (header.kind, want) {
                (Kind::Tombstone, _) => return Err(not_found()),
                (_, Want::Head) => return Ok(Found { header, body: None, survey }),
                (Kind::Piece, Want::Pieces) => Ok(survey.pieces(generation)),
                (Kind::Pointer, Want::Pieces) => self.pieces_aside(key, generation).await,
            };
            match pieces {
                Ok(pieces) if pieces.len() >= self.data() => {
                    let body = Some(self.coding.join(header.size, &pieces)?);
                    return Ok(Found { header, body, survey });
                }
                _ if short.replace(generation) != Some(generation) => {}
                Ok(_) => return Err(self.unreadable(&survey, key)),
                Err(error) => return Err(error),
            }
        }
        Err(Error::not_applied(ErrorKind::Unavailable, "it is being overwritten all the time"))
    }

    /// Whether there may be an object after all: some members have something, or do not answer, and of those that
    /// have nothing some are behind. They are then taken for members that do not answer.
    async fn may_be_missed(&self, survey: &mut Survey) -> bool {
        let something = |seen: &Option<Seen>| !matches!(seen, Some(Seen::Absent));
        if !survey.seen.iter().any(something) {
            return false;
        }
        let answered = |seen: &Option<Seen>| matches!(seen, Some(Seen::Absent | Seen::Cell(_)));
        let members = 0..self.workers.len();
        let asked: Vec<usize> = members.filter(|at| answered(&survey.seen[*at])).collect();
        // Without their records, nobody is known to be behind but by this process.
        let marks = self.marks_on(&asked).await.unwrap_or_default();
        let marked: BTreeSet<usize> =
            marks.iter().filter_map(|mark| self.member_of_mark(mark)).collect();
        for (member, seen) in survey.seen.iter_mut().enumerate() {
            let behind = marked.contains(&member) || self.owed.is_behind(member);
            if behind && matches!(seen, Some(Seen::Absent)) {
                *seen = None;
            }
        }
        survey.verdict(self) != Verdict::Nothing
    }

    /// Whether there are enough members that are not known to be away.
    fn may_yet_answer(&self) -> bool {
        self.workers.iter().filter(|worker| !worker.is_aside()).count() >= self.answers_needed()
    }

    /// The pieces that have the name of their generation, if there are enough.
    async fn pieces_aside(&self, key: &Key, generation: Generation) -> Result<Vec<(u8, Bytes)>> {
        let aside = self.aside_key(generation);
        let (survey, pieces) = self.fetch(key, &aside, generation, self.order(key)).await;
        if pieces.len() < self.data() {
            return Err(self.unreadable(&survey, key));
        }
        Ok(pieces)
    }

    /// Reads pieces of a generation, as many as are needed and no more, from these members in turn; the
    /// next one where one fails or is late.
    pub(crate) async fn fetch(
        &self,
        key: &Key,
        inside: &Key,
        generation: Generation,
        from: Vec<usize>,
    ) -> (Survey, Vec<(u8, Bytes)>) {
        let data = usize::from(self.shape().data);
        let mut survey = Survey::new(self.workers.len());
        let mut left = from.into_iter();
        let mut waiting = FuturesUnordered::new();
        loop {
            let pieces = survey.pieces(generation);
            while pieces.len() + waiting.len() < data
                && let Some(member) = left.next()
            {
                waiting.push(async move { (member, self.look(member, key, inside, true).await) });
            }
            if pieces.len() >= data || waiting.is_empty() {
                return (survey, pieces);
            }
            if let Some((member, seen)) = waiting.next().await {
                survey.seen[member] = Some(seen);
            }
        }
    }

    /// A range from the members that have its bytes, one request each; `None` where the whole must be read.
    async fn get_range(
        self: &Arc<Self>,
        key: &Key,
        inside: &Key,
        range: ByteRange,
        request: &Get,
    ) -> Result<Option<Object>> {
        let Some(known) = self.known_head(key, inside, range.start).await? else { return Ok(None) };
        let header = &known.header;
        let version = version_of(header);
        request.check(&version)?;
        let size = header.size;
        let wanted = range.within(size)?;
        let piece = header.piece_bytes();
        let parts = (wanted.start / piece..=(wanted.end - 1) / piece).map(|index| {
            let within = wanted.start.max(index * piece) - index * piece
                ..wanted.end.min((index + 1) * piece) - index * piece;
            (index as u8, within)
        });
        let reads = parts.map(|(index, within)| {
            let generation = header.generation;
            async move { self.part(key, inside, index, generation, within).await }
        });
        let parts = try_join_all(reads).await?;
        let mut body = BytesMut::new();
        for part in &parts {
            match part {
                Some(part) => body.extend_from_slice(part),
                None => {
                    self.heads.forget(key);
                    return Ok(None);
                }
            }
        }
        Ok(Some(Object { body: body.freeze(), size, version }))
    }

    /// The header of a piece that a range begins in, known or read; `None` if ranges of this object are to
    /// be cut out of the whole.
    async fn known_head(&self, key: &Key, inside: &Key, start: u64) -> Result<Option<KnownHead>> {
        let now = self.env.monotonic();
        let known = (0..self.shape().total).find_map(|index| self.heads.get(key, index, now));
        if known.is_some() {
            return Ok(known);
        }
        // Whoever it may be: the piece is known once the size is.
        let guess = (0..self.workers.len()).find(|member| self.index_of(key, *member) == 0);
        let first = guess.filter(|_| start < RANGED_BYTES_MIN && self.shape().data > 1);
        let found = self.find(key, inside, Want::Head, first).await?;
        let ranged =
            found.header.kind == Kind::Piece && found.header.piece_bytes() >= RANGED_BYTES_MIN;
        if !ranged {
            return Ok(None);
        }
        self.keep_heads(key, &found.survey, found.header.generation);
        let any = found.survey.seen.iter().enumerate().find_map(|(member, seen)| match seen {
            Some(Seen::Cell(cell)) if cell.header.generation == found.header.generation => {
                Some(KnownHead {
                    member,
                    header: cell.header.clone(),
                    version: cell.version.clone(),
                    seen: now,
                })
            }
            _ => None,
        });
        Ok(any)
    }

    /// Remembers what was read of an object's pieces. Those that were overwritten are asked for anew each
    /// time.
    fn keep_heads(&self, key: &Key, survey: &Survey, generation: Generation) {
        if generation.count > 0 {
            return;
        }
        let now = self.env.monotonic();
        for (member, seen) in survey.seen.iter().enumerate() {
            if let Some(Seen::Cell(cell)) = seen
                && cell.header.generation == generation
            {
                let (header, version) = (cell.header.clone(), cell.version.clone());
                self.heads.keep(key, KnownHead { member, header, version, seen: now });
            }
        }
    }

    /// Bytes of one data piece, checked block by block; `None` if that cannot be had from its member, now or
    /// in good time.
    async fn part(
        &self,
        key: &Key,
        inside: &Key,
        index: u8,
        generation: Generation,
        within: Range<u64>,
    ) -> Result<Option<Bytes>> {
        let Some(head) = self.head_of_piece(key, inside, index, generation).await else {
            return Ok(None);
        };
        let KnownHead { member, header, version, .. } = head;
        if self.workers[member].is_aside() || self.owed.is_behind(member) {
            return Ok(None);
        }
        let piece = header.piece_bytes();
        let first = within.start / BLOCK_BYTES;
        let blocks =
            first * BLOCK_BYTES..(within.end.div_ceil(BLOCK_BYTES) * BLOCK_BYTES).min(piece);
        let from = header.bytes(key);
        let request = Get::range(from + blocks.start..from + blocks.end).if_match(version);
        let late = self.workers[member].health().late_after(crate::health::Work::Read);
        let reading = self.workers[member].get(inside, request);
        let reading = std::pin::pin!(reading);
        let answer = match select(reading, self.env.sleep(late)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(((), reading)) => {
                if self.may_hedge() {
                    return Ok(None);
                }
                reading.await
            }
        };
        let Ok(object) = answer else { return Ok(None) };
        if object.body.len() as u64 != blocks.end - blocks.start
            || header.check_blocks(first as usize, &object.body).is_err()
        {
            self.happened(member, key, crate::core::Happening::Damaged);
            return Ok(None);
        }
        let skipped = (within.start - blocks.start) as usize;
        Ok(Some(object.body.slice(skipped..skipped + (within.end - within.start) as usize)))
    }

    /// The header of one data piece of a generation, known or read from its member.
    async fn head_of_piece(
        &self,
        key: &Key,
        inside: &Key,
        index: u8,
        generation: Generation,
    ) -> Option<KnownHead> {
        let now = self.env.monotonic();
        let known = if self.shape().data == 1 {
            // Any copy will do: the first in order that is known.
            let order = self.order(key);
            order
                .into_iter()
                .find_map(|member| self.heads.get(key, self.index_of(key, member), now))
        } else {
            self.heads.get(key, index, now)
        };
        if let Some(known) = known.filter(|known| known.header.generation == generation) {
            return Some(known);
        }
        let member = (0..self.workers.len()).find(|member| self.index_of(key, *member) == index)?;
        if self.workers[member].is_aside() {
            return None;
        }
        match self.look(member, key, inside, false).await {
            Seen::Cell(cell) if cell.header.generation == generation => {
                let (header, version) = (cell.header, cell.version);
                let head = KnownHead { member, header, version, seen: now };
                if generation.count == 0 {
                    self.heads.keep(key, head.clone());
                }
                Some(head)
            }
            _ => None,
        }
    }
}

/// The version that callers see.
pub(crate) fn version_of(header: &Header) -> Version {
    Version::new(header.generation.mark())
}

pub(crate) fn not_found() -> Error {
    Error::not_applied(ErrorKind::NotFound, "there is no object")
}
