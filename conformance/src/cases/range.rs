//! Parts of objects: exactly the bytes asked for, or `InvalidRange`.

use bytes::Bytes;
use rand::RngExt as _;
use storage_core::{ByteRange, ErrorKind, Get, Key, PutIf};

use crate::context::expect_kind;
use crate::words;
use crate::{Case, CaseResult, Context, Level, ensure};

pub(crate) const CASES: &[Case] = &[
    Case {
        id: "range.middle",
        level: Level::Core,
        requires: "a range within an object brings exactly its bytes, with size and version of the whole",
        needs: &[],
        requests_max: 10,
        run: |context| Box::pin(middle(context)),
    },
    Case {
        id: "range.clamped",
        level: Level::Core,
        requires: "an end past the object, however far, is clamped to it",
        needs: &[],
        requests_max: 10,
        run: |context| Box::pin(clamped(context)),
    },
    Case {
        id: "range.past-end",
        level: Level::Core,
        requires: "a range that starts at the end of an object or past it is `InvalidRange`",
        needs: &[],
        requests_max: 10,
        run: |context| Box::pin(past_end(context)),
    },
    Case {
        id: "range.reversed",
        level: Level::Core,
        requires: "an empty or reversed range is `InvalidRange`",
        needs: &[],
        requests_max: 10,
        run: |context| Box::pin(reversed(context)),
    },
    Case {
        id: "range.empty-object",
        level: Level::Core,
        requires: "any range of an empty object is `InvalidRange`",
        needs: &[],
        requests_max: 10,
        run: |context| Box::pin(empty_object(context)),
    },
    Case {
        id: "range.random",
        level: Level::Core,
        requires: "fifty random ranges of an object of 100,000 bytes bring exactly their bytes",
        needs: &[],
        requests_max: 60,
        run: |context| Box::pin(random(context)),
    },
    Case {
        id: "range.stale-if-match",
        level: Level::Core,
        requires: "a range with a stale `if_match` is `Conflict`, and with the current version brings its bytes",
        needs: &[],
        requests_max: 10,
        run: |context| Box::pin(stale_if_match(context)),
    },
    Case {
        id: "range.meta-only",
        level: Level::Core,
        requires: "a get of metadata ignores its range, also one that selects no byte",
        needs: &[],
        requests_max: 10,
        run: |context| Box::pin(meta_only(context)),
    },
];

const SIZE: u64 = 1000;

async fn object(context: &Context, size: u64) -> Result<(Key, Bytes), crate::Failure> {
    let key = context.key("object");
    let body = context.bytes(&mut context.rng(), size as usize);
    context.handle().put(&key, body.clone(), PutIf::Always).await?;
    Ok((key, body))
}

/// Checks that a range brings what the same range of the body is.
async fn brings(context: &Context, key: &Key, body: &Bytes, range: ByteRange) -> CaseResult {
    let size = body.len() as u64;
    let expected = range.within(size)?;
    let expected = body.slice(expected.start as usize..expected.end as usize);
    let object = context.other().get(key, Get::range(range)).await?;
    let (saw, wanted, range) = (object.body.len(), expected.len(), words::range(&range));
    ensure!(saw == wanted, "{range} of {size} bytes: expected {wanted} bytes, saw {saw}");
    ensure!(object.body == expected, "{range} of {size} bytes: saw {saw} bytes, but others");
    let whole = object.size;
    ensure!(whole == size, "{range} of {size} bytes: expected the size {size}, saw {whole}");
    Ok(())
}

async fn is_invalid(context: &Context, key: &Key, range: ByteRange, size: u64) -> CaseResult {
    let what = format!("{} of an object of {size} bytes", words::range(&range));
    let answer = context.handle().get(key, Get::range(range)).await;
    expect_kind(what, answer, ErrorKind::InvalidRange)?;
    Ok(())
}

async fn middle(context: &Context) -> CaseResult {
    let (key, body) = object(context, SIZE).await?;
    for range in [300..400, 0..1, SIZE - 1..SIZE, 0..SIZE, 255..257] {
        brings(context, &key, &body, range.into()).await?;
    }
    for from in [0, 1, SIZE - 1] {
        brings(context, &key, &body, (from..).into()).await?;
    }
    Ok(())
}

async fn clamped(context: &Context) -> CaseResult {
    let (key, body) = object(context, SIZE).await?;
    for end in [SIZE + 1, 2 * SIZE, 1 << 32, i64::MAX as u64, (1 << 63) + 5, u64::MAX] {
        brings(context, &key, &body, (990..end).into()).await?;
    }
    brings(context, &key, &body, (0..u64::MAX).into()).await
}

async fn past_end(context: &Context) -> CaseResult {
    let (key, _) = object(context, SIZE).await?;
    for start in [SIZE, SIZE + 1, 1 << 40, u64::MAX - 1] {
        is_invalid(context, &key, (start..u64::MAX).into(), SIZE).await?;
        is_invalid(context, &key, (start..).into(), SIZE).await?;
    }
    Ok(())
}

async fn reversed(context: &Context) -> CaseResult {
    let (key, _) = object(context, SIZE).await?;
    for (start, end) in [(0, 0), (3, 3), (5, 3), (SIZE, SIZE), (u64::MAX, 0), (SIZE - 1, 0)] {
        is_invalid(context, &key, ByteRange { start, end: Some(end) }, SIZE).await?;
    }
    Ok(())
}

async fn empty_object(context: &Context) -> CaseResult {
    let (key, _) = object(context, 0).await?;
    for range in [(0..1).into(), (0..u64::MAX).into(), (1..2).into(), (0..0).into(), (0..).into()] {
        is_invalid(context, &key, range, 0).await?;
    }
    let whole = context.handle().get(&key, Get::whole()).await?;
    ensure!(whole.body.is_empty(), "expected no byte, saw {}", whole.body.len());
    Ok(())
}

async fn random(context: &Context) -> CaseResult {
    let size = context.at_most(100_000) as u64;
    let (key, body) = object(context, size).await?;
    let mut rng = context.rng_of(1);
    for _ in 0..50 {
        let start = rng.random_range(0..size);
        let range = match rng.random_range(0..4) {
            0 => (start..).into(),
            1 => (start..start + rng.random_range(1..2 * size)).into(),
            _ => (start..rng.random_range(start + 1..=size)).into(),
        };
        brings(context, &key, &body, range).await?;
    }
    Ok(())
}

async fn stale_if_match(context: &Context) -> CaseResult {
    let key = context.key("object");
    let handle = context.handle();
    let stale = handle.put(&key, "0123456789".into(), PutIf::Always).await?;
    let current = handle.put(&key, "abcdefghij".into(), PutIf::Always).await?;
    let request = Get::range(2..5).if_match(stale);
    expect_kind(
        "a range of a stale version",
        handle.get(&key, request).await,
        ErrorKind::Conflict,
    )?;
    // Evaluated before the range: RFC 9110 §13.2.2.
    let request = Get::range(2..5).if_changed(current.clone());
    let answer = handle.get(&key, request).await;
    expect_kind("a range unless the version is current", answer, ErrorKind::NotModified)?;
    let part = handle.get(&key, Get::range(2..5).if_match(current)).await?;
    ensure!(
        part.body == "cde",
        "expected 3 bytes of the current version, saw {}",
        words::object(&part)
    );
    Ok(())
}

async fn meta_only(context: &Context) -> CaseResult {
    let (key, _) = object(context, SIZE).await?;
    for range in [(2..5).into(), (SIZE..).into(), ByteRange { start: 5, end: Some(3) }] {
        let request = Get { range: Some(range), ..Get::meta_only() };
        let object = context.handle().get(&key, request).await?;
        ensure!(
            object.size == SIZE && object.body.is_empty(),
            "metadata with the range of {}: expected the size {SIZE} and no body, saw {}",
            words::range(&range),
            words::object(&object)
        );
    }
    Ok(())
}
