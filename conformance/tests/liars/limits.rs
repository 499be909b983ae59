//! Liars about a full disk, and a place that must not be written.

use conformance::Hooks;

use super::lie::place;
use super::prelude::*;

liars! {
    full_disk_is_swallowed: "crash.full-disk", full(Full::Swallowed),
        "says ok when the disk is full: the error of `close` or of a buffered write, ignored";
    full_disk_leaves_half: "crash.full-disk", full(Full::Half),
        "reports a full disk and leaves what fitted: a failed upload replaces the good object (rclone#3274)";
    full_disk_is_unavailable: "crash.full-disk", full(Full::TryLater),
        "asks to try again later when the disk is full: every I/O error is a hiccup";
    read_only_put_is_swallowed: "crash.read-only", read_only(ReadOnly { put: true, delete: false }),
        "says ok to a put that it may not do: rclone#5759, a silent failed overwrite found by a suite";
    read_only_delete_is_swallowed: "crash.read-only", read_only(ReadOnly { put: false, delete: true }),
        "says ok to a delete that it may not do: \"already gone\", without a look at the error";
}

/// What a place without room does with a body that does not fit.
#[derive(Clone, Copy)]
enum Full {
    Refused,
    Swallowed,
    Half,
    TryLater,
}

fn full(liar: Full) -> World {
    shared(Truth).hooks(move |lying, _| {
        let open = place(if lying { liar } else { Full::Refused });
        Hooks { full: Some(open), ..Hooks::default() }
    })
}

#[async_trait]
impl Lie for Full {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        if body.len() <= 16 << 10 {
            return honest.put(key, body, when).await;
        }
        match self {
            Self::Refused => Err(refusal(ErrorKind::StorageFull)),
            Self::Swallowed => Ok(Version::new("swallowed")),
            Self::TryLater => Err(refusal(ErrorKind::Unavailable)),
            Self::Half => {
                honest.put(key, body.slice(..16 << 10), when).await?;
                Err(refusal(ErrorKind::StorageFull))
            }
        }
    }
}

fn read_only(liar: ReadOnly) -> World {
    shared(Truth).hooks(move |lying, _| {
        let honest = ReadOnly { put: false, delete: false };
        let open = place(if lying { liar } else { honest });
        Hooks { read_only: Some(open), ..Hooks::default() }
    })
}

/// A place that cannot be written: whether it says ok all the same.
#[derive(Clone, Copy)]
struct ReadOnly {
    put: bool,
    delete: bool,
}

#[async_trait]
impl Lie for ReadOnly {
    async fn put(&self, _: &MemoryProvider, _: &Key, _: Bytes, _: PutIf) -> Result<Version> {
        if self.put {
            Ok(Version::new("swallowed"))
        } else {
            Err(refusal(ErrorKind::PermissionDenied))
        }
    }

    async fn delete(&self, _: &MemoryProvider, _: &Key) -> Result<()> {
        if self.delete { Ok(()) } else { Err(refusal(ErrorKind::PermissionDenied)) }
    }
}
