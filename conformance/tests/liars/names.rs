//! Liars about keys: which one is meant, and what lies beside it.

use super::prelude::*;

liars! {
    keys_collide_at_128_bytes: "key.boundaries", shared(Names(|key| key[..key.len().min(128)].to_owned())),
        "tells keys apart by their first 128 bytes only: VARCHAR(128), truncated in silence";
    keys_lose_their_specials: "key.boundaries", shared(Names(|key| key.replace(['=', '~'], "_"))),
        "puts `_` for the characters it does not like: sanitised file names";
    keys_segments_run_together: "key.nested", shared(Names(|key| key.replace('/', "_"))),
        "flattens folders with `_`, so that `a/b` is `a_b`: one folder for everything";
    keys_number_segments_lose_zeros: "key.boundaries", shared(Names(|key| {
            let trim = |part: &str| match part.trim_start_matches('0') {
                "" => "0".to_owned(),
                rest => rest.to_owned(),
            };
            key.split('/').map(trim).collect::<Vec<_>>().join("/")
        })),
        "takes `007` and `7` for one key: YAML, spreadsheets, numeric columns";
    keys_longer_than_declared_are_taken: "key.boundaries",
        shared(KeyLimit { declared: 300, kept: 512 }).honest(KeyLimit { declared: 300, kept: 300 }),
        "takes keys longer than it declares: a limit of the wrapper that only its documentation knows";
    keys_shorter_than_declared_are_refused: "key.boundaries", shared(KeyLimit { declared: 512, kept: 250 }),
        "refuses keys that it declares to take: 255 bytes of a file name, object_store's 253";
    prefix_of_a_key_can_be_got: "basic.not-found", shared(PrefixIsThere),
        "answers a get of `a` when only `a/b` exists: folders shown as empty objects";
    key_hides_what_is_beneath: "key.nested", shared(Hidden { parent: false }),
        "cannot find `a/b` once `a` exists: a file where a folder should be";
    key_is_hidden_by_what_is_beneath: "model.nested-keys", shared(Hidden { parent: true }),
        "cannot find `a` once `a/b` exists: the name is a folder now (EISDIR taken for absent)";
    key_beneath_a_key_is_refused: "key.nested", shared(Beneath),
        "cannot put `a/b` beneath `a`: object_store's LocalFileSystem answers ENOTDIR";
    key_beneath_a_key_conflicts: "put.absent.beneath", shared(FolderConflicts),
        "answers `Conflict` to `Absent` on `a` when only `a/b` exists: object_store's LocalFileSystem";
    missing_is_unexpected: "basic.not-found", shared(MissingIsUnexpected),
        "has an error for a missing object, but not the one to act on: Generic in object_store, ENOTDIR";
}

/// Stores under another name than the one given.
struct Names(fn(&str) -> String);

impl Names {
    fn real(&self, key: &Key) -> Key {
        Key::new((self.0)(key.as_str())).unwrap_or_else(|_| key.clone())
    }
}

#[async_trait]
impl Lie for Names {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let real = self.real(key);
        let version = honest.put(&real, body.clone(), when).await?;
        // Lists know the name as it was given.
        if real != *key {
            honest.put(key, body, PutIf::Always).await?;
        }
        Ok(version)
    }

    async fn get(&self, honest: &MemoryProvider, key: &Key, request: Get) -> Result<Object> {
        honest.get(&self.real(key), request).await
    }

    async fn delete(&self, honest: &MemoryProvider, key: &Key) -> Result<()> {
        honest.delete(key).await?;
        honest.delete(&self.real(key)).await
    }
}

async fn has_beneath(honest: &MemoryProvider, key: &Key) -> bool {
    // Nothing lies beneath the longest keys.
    let Ok(folder) = Prefix::new(format!("{key}/")) else { return false };
    honest.list(List::new(&folder)).await.is_ok_and(|page| !page.objects.is_empty())
}

async fn has_above(honest: &MemoryProvider, key: &Key) -> bool {
    for (at, _) in key.as_str().match_indices('/') {
        if exists(honest, &Key::new(&key.as_str()[..at]).expect("segments make a key")).await {
            return true;
        }
    }
    false
}

struct PrefixIsThere;

#[async_trait]
impl Lie for PrefixIsThere {
    async fn get(&self, honest: &MemoryProvider, key: &Key, request: Get) -> Result<Object> {
        match honest.get(key, request).await {
            Err(error) if error.kind() == ErrorKind::NotFound && has_beneath(honest, key).await => {
                Ok(Object { body: Bytes::new(), size: 0, version: Version::new("folder") })
            }
            result => result,
        }
    }
}

struct Hidden {
    parent: bool,
}

#[async_trait]
impl Lie for Hidden {
    async fn get(&self, honest: &MemoryProvider, key: &Key, request: Get) -> Result<Object> {
        let hidden =
            if self.parent { has_beneath(honest, key).await } else { has_above(honest, key).await };
        if hidden { Err(refusal(ErrorKind::NotFound)) } else { honest.get(key, request).await }
    }
}

struct Beneath;

#[async_trait]
impl Lie for Beneath {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        if has_above(honest, key).await {
            return Err(refusal(ErrorKind::Unexpected));
        }
        honest.put(key, body, when).await
    }
}

struct FolderConflicts;

#[async_trait]
impl Lie for FolderConflicts {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        if when == PutIf::Absent && has_beneath(honest, key).await {
            return Err(refusal(ErrorKind::Conflict));
        }
        honest.put(key, body, when).await
    }
}

struct MissingIsUnexpected;

#[async_trait]
impl Lie for MissingIsUnexpected {
    async fn get(&self, honest: &MemoryProvider, key: &Key, request: Get) -> Result<Object> {
        match honest.get(key, request).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(refusal(ErrorKind::Unexpected))
            }
            result => result,
        }
    }
}

/// The longest key that is declared, and the longest that is taken.
struct KeyLimit {
    declared: usize,
    kept: usize,
}

#[async_trait]
impl Lie for KeyLimit {
    fn info(&self, honest: &MemoryProvider) -> ProviderInfo {
        let mut info = honest.info();
        info.capabilities.key_bytes_max = self.declared;
        info
    }

    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        if key.as_str().len() > self.kept {
            return Err(refusal(ErrorKind::InvalidKey));
        }
        honest.put(key, body, when).await
    }
}
