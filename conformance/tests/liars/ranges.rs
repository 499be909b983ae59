//! Liars about the part of an object that was asked for.

use storage_core::ByteRange;

use super::prelude::*;

liars! {
    range_end_is_inclusive: "range.middle",
        shared(Ranges(|range, _| Ok(Some((range.start, end(range).saturating_add(1)))))),
        "reads one byte too many: HTTP's inclusive ends, copied without the minus one";
    range_drops_its_last_byte: "range.middle",
        shared(Ranges(|range, _| Ok(Some((range.start, end(range) - 1))))),
        "reads one byte too few: the minus one, done twice";
    range_is_ignored: "range.middle", shared(Ranges(|_, _| Ok(None))),
        "sends the whole object for a part: 200 in place of 206, servers without Range";
    range_is_capped_at_1_kib: "range.random",
        shared(Ranges(|range, _| Ok(Some((range.start, end(range).min(range.start + 1024)))))),
        "answers a short read: one `read` call for one request, without the loop (restic calls it permanent)";
    range_stops_at_a_chunk: "range.random", shared(Ranges(|range, _| {
            let chunk = 64 << 10;
            let edge = (range.start / chunk + 1) * chunk;
            Ok(Some((range.start, end(range).min(edge))))
        })),
        "reads up to the next 64 KiB and no further: chunked storage, and a range across two chunks";
    range_end_past_the_object_fails: "range.clamped", shared(Ranges(|range, size| {
            let past = range.end.is_some_and(|end| end > size);
            if past { Err(ErrorKind::InvalidRange) } else { as_asked(range) }
        })),
        "refuses an end past the object in place of clamping it: `slice[a..b]` with a bounds check";
    range_huge_end_overflows: "range.clamped", shared(Ranges(|range, _| {
            let huge = range.end.is_some_and(|end| end > u64::MAX / 2);
            if huge { Err(ErrorKind::Unexpected) } else { as_asked(range) }
        })),
        "fails on ends beyond 63 bits: signed offsets in a header or a seek";
    range_past_the_end_is_empty: "range.past-end", shared(Ranges(|range, size| {
            if range.start >= size { Ok(Some((0, 0))) } else { as_asked(range) }
        })),
        "answers an empty body where nothing can be read: Python's slices; thanos left it out of its suite, since its providers differ";
    range_of_an_empty_object_is_empty: "range.empty-object", shared(Ranges(|range, size| {
            if size == 0 { Ok(None) } else { as_asked(range) }
        })),
        "answers any range of an empty object with nothing: a special case for the whole of it";
    range_reversed_is_empty: "range.reversed", shared(Ranges(|range, _| {
            if range.is_empty() { Ok(Some((0, 0))) } else { as_asked(range) }
        })),
        "answers an empty or reversed range with nothing: `max(0, end - start)` bytes";
    range_reversed_panics: "range.reversed", shared(Ranges(|range, _| {
            assert!(!range.is_empty(), "attempt to subtract with overflow");
            as_asked(range)
        })),
        "panics on a reversed range: `end - start` on unsigned numbers";
    range_reversed_is_turned_round: "range.reversed", shared(Ranges(|range, _| {
            let (start, end) = (range.start, end(range));
            Ok(Some((start.min(end), start.max(end))))
        })),
        "swaps the ends of a reversed range: being liberal in what one accepts";
    range_spoils_metadata: "range.meta-only", shared(MetaWithRange),
        "refuses metadata for a range that selects nothing: HEAD made of GET with `Range: bytes=0-0`";
    range_size_is_of_the_part: "range.middle", shared(PartSize),
        "says the size of the part, not of the object: Content-Length in place of Content-Range";
}

/// The bytes to read, as start and end; `None` is the whole object.
type Reading = Result<Option<(u64, u64)>, ErrorKind>;

fn end(range: ByteRange) -> u64 {
    range.end.unwrap_or(u64::MAX)
}

fn as_asked(range: ByteRange) -> Reading {
    if range.is_empty() {
        Err(ErrorKind::InvalidRange)
    } else {
        Ok(Some((range.start, end(range))))
    }
}

/// Reads other bytes than those asked for, of an object of that size.
struct Ranges(fn(ByteRange, u64) -> Reading);

#[async_trait]
impl Lie for Ranges {
    async fn get(&self, honest: &MemoryProvider, key: &Key, mut request: Get) -> Result<Object> {
        let Some(range) = request.range.take_if(|_| !request.meta_only) else {
            return honest.get(key, request).await;
        };
        let object = honest.get(key, request).await?;
        let Some((start, end)) = (self.0)(range, object.size).map_err(refusal)? else {
            return Ok(object);
        };
        let within = match (start, end) {
            (0, 0) => 0..0,
            _ => ByteRange::from(start..end).within(object.size)?,
        };
        let body = object.body.slice(within.start as usize..within.end as usize);
        Ok(Object { body, ..object })
    }
}

struct MetaWithRange;

#[async_trait]
impl Lie for MetaWithRange {
    async fn get(&self, honest: &MemoryProvider, key: &Key, request: Get) -> Result<Object> {
        let range = request.range.filter(|_| request.meta_only);
        let object = honest.get(key, request).await?;
        range.map_or(Ok(()), |range| range.within(object.size).map(drop))?;
        Ok(object)
    }
}

struct PartSize;

#[async_trait]
impl Lie for PartSize {
    async fn get(&self, honest: &MemoryProvider, key: &Key, request: Get) -> Result<Object> {
        let meta_only = request.meta_only;
        let mut object = honest.get(key, request).await?;
        object.size = if meta_only { object.size } else { object.body.len() as u64 };
        Ok(object)
    }
}
