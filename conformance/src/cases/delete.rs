//! Deletes: gone, only what was named, and free to be made anew.

use storage_core::{Atomicity, ErrorKind, Get, List, PutIf, StorageProviderExt as _};

use crate::context::{at_once, expect_kind};
use crate::words;
use crate::{Case, CaseResult, Context, Failure, Level, ensure};

pub(crate) const CASES: &[Case] = &[
    Case {
        id: "delete.removes",
        level: Level::Core,
        requires: "a deleted object is gone for every handle and from lists, and no older one comes back",
        needs: &[],
        requests_max: 16,
        run: |context| Box::pin(removes(context)),
    },
    Case {
        id: "delete.missing",
        level: Level::Core,
        requires: "deleting a missing key is `Ok`, also twice, beneath a key and for the beginning of one",
        needs: &[],
        requests_max: 12,
        run: |context| Box::pin(missing(context)),
    },
    Case {
        id: "delete.then-create",
        level: Level::Core,
        requires: "a deleted key can be created again, and the new object stays",
        needs: &[],
        requests_max: 60,
        run: |context| Box::pin(then_create(context)),
    },
    Case {
        id: "delete.neighbours",
        level: Level::Core,
        requires: "a delete leaves what lies beneath the key, beside it and what begins like it",
        needs: &[],
        requests_max: 60,
        run: |context| Box::pin(neighbours(context)),
    },
    Case {
        id: "delete.many",
        level: Level::Core,
        requires: "two hundred deletes at once all happen",
        needs: &[],
        requests_max: 700,
        run: |context| Box::pin(many(context)),
    },
];

async fn removes(context: &Context) -> CaseResult {
    let key = context.key("object");
    let handle = context.handle();
    handle.put(&key, "first".into(), PutIf::Always).await?;
    handle.put(&key, "second".into(), PutIf::Always).await?;
    handle.delete(&key).await?;
    for reader in [handle, context.other()] {
        for request in [Get::whole(), Get::meta_only()] {
            expect_kind("a deleted key", reader.get(&key, request).await, ErrorKind::NotFound)?;
        }
        if !context.lists_lag() {
            let page = reader.list(List::new(context.prefix())).await?;
            let saw = words::listed(&page.objects);
            ensure!(page.objects.is_empty(), "expected an empty list, saw {saw}");
        }
    }
    Ok(())
}

async fn missing(context: &Context) -> CaseResult {
    let handle = context.handle();
    let there = context.key("a/b");
    handle.put(&there, "kept".into(), PutIf::Always).await?;
    for name in ["never", "a", "a/b/c", "a/", "never"] {
        let key = context.key(name.trim_end_matches('/'));
        let deleted = handle.delete(&key).await;
        deleted.map_err(|error| Failure::from(error).during(format!("delete {name}, missing")))?;
    }
    let kept = handle.try_get(&there).await?;
    ensure!(kept.is_some(), "expected a/b to be there still, saw none");
    handle.delete(&there).await?;
    handle.delete(&there).await?;
    Ok(())
}

async fn then_create(context: &Context) -> CaseResult {
    let key = context.key("object");
    let handle = context.handle();
    let absent = context.capabilities().absent != Atomicity::Unsupported;
    handle.put(&key, "first".into(), PutIf::Always).await?;
    for round in 0..10 {
        handle.delete(&key).await?;
        let body = format!("round {round}");
        let when = if absent { PutIf::Absent } else { PutIf::Always };
        handle.put(&key, body.clone().into(), when).await?;
        for reader in [context.other(), handle] {
            let object = reader.get(&key, Get::whole()).await?;
            ensure!(object.body == body, "created again in {body}, saw {}", words::object(&object));
        }
    }
    Ok(())
}

async fn neighbours(context: &Context) -> CaseResult {
    let handle = context.handle();
    let mut names = vec!["a", "a/b", "a/b/c", "a0", "a_b", "aa", "b", "only/one", "only/two"];
    for name in &names {
        handle.put(&context.key(name), (*name).into(), PutIf::Always).await?;
    }
    // `_` first, while there is still what it would stand for in a pattern.
    for deleted in ["a_b", "a", "only/one", "a/b", "a0"] {
        handle.delete(&context.key(deleted)).await?;
        names.retain(|name| *name != deleted);
        for name in &names {
            let kept = context.other().try_get(&context.key(name)).await?;
            let kept = kept.is_some_and(|object| object.body == *name);
            ensure!(kept, "deleted {deleted}: expected {name} to stay, saw it gone or changed");
        }
    }
    Ok(())
}

async fn many(context: &Context) -> CaseResult {
    const KEYS: usize = 200;
    let handle = context.handle();
    let keys: Vec<_> = (0..KEYS).map(|n| context.key(format!("{}/{n}", n % 7))).collect();
    let put = |key| async move { handle.put(&key, "body".into(), PutIf::Always).await };
    at_once(keys.clone(), 16, put).await?;
    at_once(keys.clone(), 64, |key| async move { handle.delete(&key).await }).await?;
    let other = context.other();
    let found = at_once(keys, 16, |key| async move { other.try_get(&key).await }).await?;
    let left = found.iter().flatten().count();
    ensure!(left == 0, "deleted {KEYS} objects at once, {left} of them are still there");
    if !context.lists_lag() {
        let page = handle.list(List::new(context.prefix())).await?;
        let left = page.objects.len();
        ensure!(left == 0, "deleted {KEYS} objects at once, a list still shows {left}");
    }
    Ok(())
}
