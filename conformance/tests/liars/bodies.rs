//! Liars about what is stored: bodies, sizes and limits.

use std::sync::atomic::{AtomicU64, Ordering};

use super::prelude::*;

liars! {
    truncates_at_64_kib: "basic.roundtrip.sizes", shared(Truncates),
        "keeps the first 64 KiB and says ok: BLOB columns, single reads of a socket (mlcommons/storage#593)";
    keeps_text_only: "basic.roundtrip.sizes", shared(TextOnly),
        "replaces bytes that are not UTF-8: a TEXT column, a JSON envelope";
    strips_the_last_newline: "basic.roundtrip.sizes", shared(StripsNewline),
        "drops a newline at the end: values kept in lines of a file";
    empty_means_missing: "basic.roundtrip.sizes", shared(EmptyMeansMissing),
        "cannot tell an empty object from none: `if body:`, in any language";
    over_claims_the_size_limit: "basic.roundtrip.sizes", shared(OverClaimsLimit),
        "declares room for objects that it then refuses: a proxy's body limit in front of the service";
    too_large_is_stored_in_part: "basic.too-large", shared(TooLargeStoresPart),
        "answers `TooLarge` and leaves what fitted: a limit noticed while writing";
    too_large_is_accepted: "basic.too-large", shared(AcceptsTooLarge).config(|config| config.object_bytes_max += 1024),
        "declares a limit and does not hold to it: the limit of one path, not of the other";
    shorter_overwrite_leaves_a_tail: "basic.overwrite.shorter", shared(LeavesTail),
        "writes over the old bytes without cutting the rest off: open without O_TRUNC";
    empty_overwrite_changes_nothing: "basic.overwrite.shorter", shared(EmptyKeepsOld),
        "keeps the old object when the new one is empty: `if body { write(body) }`";
    meta_has_no_size: "basic.size.same", shared(MetaSizeZero),
        "says size 0 when no body is wanted: HEAD without Content-Length behind a proxy";
    meta_brings_the_body: "basic.size.same", shared(MetaWithBody),
        "sends the body although only size and version are wanted: HEAD made of GET";
    list_sizes_are_of_storage: "basic.size.same", shared(ListSizeStored),
        "lists the size as stored, with its header or cipher: encrypting and compressing layers";
    loses_every_thousandth_object: "list.order.1001", shared(LosesThousandth::default()),
        "acknowledges every put and keeps 999 of 1000: a batch flushed with an off-by-one";
}

struct Truncates;

#[async_trait]
impl Lie for Truncates {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        honest.put(key, body.slice(..body.len().min(64 << 10)), when).await
    }
}

struct TextOnly;

#[async_trait]
impl Lie for TextOnly {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        // Replaced byte by byte, so that the size and therefore the limit stays.
        let text = body.iter().map(|byte| if byte.is_ascii() { *byte } else { b'?' });
        honest.put(key, text.collect(), when).await
    }
}

struct StripsNewline;

#[async_trait]
impl Lie for StripsNewline {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let kept = body.strip_suffix(b"\n").map_or(body.len(), <[u8]>::len);
        honest.put(key, body.slice(..kept), when).await
    }
}

struct EmptyMeansMissing;

#[async_trait]
impl Lie for EmptyMeansMissing {
    async fn get(&self, honest: &MemoryProvider, key: &Key, request: Get) -> Result<Object> {
        match honest.get(key, request).await {
            Ok(object) if object.size == 0 => Err(refusal(ErrorKind::NotFound)),
            result => result,
        }
    }
}

struct OverClaimsLimit;

#[async_trait]
impl Lie for OverClaimsLimit {
    fn info(&self, honest: &MemoryProvider) -> ProviderInfo {
        let mut info = honest.info();
        info.capabilities.object_bytes_max *= 2;
        info
    }
}

struct TooLargeStoresPart;

#[async_trait]
impl Lie for TooLargeStoresPart {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let limit = honest.info().capabilities.object_bytes_max as usize;
        if body.len() > limit {
            honest.put(key, body.slice(..limit), when.clone()).await?;
        }
        honest.put(key, body, when).await
    }
}

struct AcceptsTooLarge;

#[async_trait]
impl Lie for AcceptsTooLarge {
    fn info(&self, honest: &MemoryProvider) -> ProviderInfo {
        let mut info = honest.info();
        info.capabilities.object_bytes_max -= 1024;
        info
    }
}

struct LeavesTail;

#[async_trait]
impl Lie for LeavesTail {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let old = body_of(honest, key).await;
        let tail = old.slice(body.len().min(old.len())..);
        honest.put(key, [body, tail].concat().into(), when).await
    }
}

struct EmptyKeepsOld;

#[async_trait]
impl Lie for EmptyKeepsOld {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let kept = if body.is_empty() { body_of(honest, key).await } else { body };
        honest.put(key, kept, when).await
    }
}

struct MetaSizeZero;

#[async_trait]
impl Lie for MetaSizeZero {
    async fn get(&self, honest: &MemoryProvider, key: &Key, request: Get) -> Result<Object> {
        let meta_only = request.meta_only;
        let mut object = honest.get(key, request).await?;
        object.size = if meta_only { 0 } else { object.size };
        Ok(object)
    }
}

struct MetaWithBody;

#[async_trait]
impl Lie for MetaWithBody {
    async fn get(&self, honest: &MemoryProvider, key: &Key, mut request: Get) -> Result<Object> {
        if request.meta_only {
            (request.meta_only, request.range) = (false, None);
        }
        honest.get(key, request).await
    }
}

struct ListSizeStored;

#[async_trait]
impl Lie for ListSizeStored {
    async fn list(&self, honest: &MemoryProvider, request: List<'_>) -> Result<Page> {
        let mut page = honest.list(request).await?;
        page.objects.iter_mut().for_each(|object| object.size += 16);
        Ok(page)
    }
}

#[derive(Default)]
struct LosesThousandth(AtomicU64);

#[async_trait]
impl Lie for LosesThousandth {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let version = honest.put(key, body, when).await?;
        if self.0.fetch_add(1, Ordering::Relaxed) % 1000 == 999 {
            honest.delete(key).await?;
        }
        Ok(version)
    }
}
