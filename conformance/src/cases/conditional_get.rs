//! Gets on condition of a version.

use storage_core::{ErrorKind, Get, PutIf, Version};

use crate::context::expect_kind;
use crate::words;
use crate::{Case, CaseResult, Context, Level, ensure};

pub(crate) const CASES: &[Case] = &[
    Case {
        id: "get.if-match",
        level: Level::Core,
        requires: "a get with `if_match` brings the object while it has that version, and is `Conflict` afterwards",
        needs: &[],
        requests_max: 12,
        run: |context| Box::pin(if_match(context)),
    },
    Case {
        id: "get.if-changed",
        level: Level::Core,
        requires: "a get with `if_changed` is `NotModified` while the object has that version, and brings it afterwards",
        needs: &[],
        requests_max: 20,
        run: |context| Box::pin(if_changed(context)),
    },
    Case {
        id: "get.nonsense-version",
        level: Level::Core,
        requires: "versions that no put has answered match nothing: `if_match` is `Conflict`, `if_changed` brings the object",
        needs: &[],
        requests_max: 16,
        run: |context| Box::pin(nonsense(context)),
    },
];

/// Versions that no put of ours has answered. The empty one is a condition that a careless header
/// drops, the asterisk one that means "any" in HTTP, the number one that another kind of provider gives.
pub(crate) fn nonsense_versions() -> [Version; 4] {
    ["\"00000000000000000000000000000000\"", "", "*", "17000000000"].map(Version::new)
}

async fn if_match(context: &Context) -> CaseResult {
    let key = context.key("object");
    let handle = context.handle();
    let first = handle.put(&key, "first".into(), PutIf::Always).await?;
    for reader in [handle, context.other()] {
        let object = reader.get(&key, Get::whole().if_match(first.clone())).await?;
        ensure!(object.body == "first", "expected the first body, saw {}", words::object(&object));
    }
    let second = handle.put(&key, "second".into(), PutIf::Always).await?;
    for mut request in [Get::whole(), Get::meta_only()] {
        request.if_match = Some(first.clone());
        let what = format!("{}, a stale version", words::get(&request));
        expect_kind(what, handle.get(&key, request).await, ErrorKind::Conflict)?;
    }
    let object = handle.get(&key, Get::whole().if_match(second.clone())).await?;
    ensure!(object.body == "second", "expected the second body, saw {}", words::object(&object));

    let missing = handle.get(&context.key("missing"), Get::whole().if_match(second)).await;
    expect_kind("a missing key with if_match", missing, ErrorKind::NotFound)?;
    Ok(())
}

async fn if_changed(context: &Context) -> CaseResult {
    let key = context.key("object");
    let handle = context.handle();
    let first = handle.put(&key, "first".into(), PutIf::Always).await?;
    for reader in [handle, context.other()] {
        for mut request in [Get::whole(), Get::meta_only()] {
            request.if_changed = Some(first.clone());
            let what = format!("{}, the current version", words::get(&request));
            expect_kind(what, reader.get(&key, request).await, ErrorKind::NotModified)?;
        }
    }
    // The version that a get answers is as good as the one that the put answered.
    let seen = handle.get(&key, Get::whole()).await?.version;
    let answer = handle.get(&key, Get::whole().if_changed(seen)).await;
    expect_kind("if_changed with the version a get answered", answer, ErrorKind::NotModified)?;

    handle.put(&key, "second".into(), PutIf::Always).await?;
    let object = handle.get(&key, Get::whole().if_changed(first.clone())).await?;
    ensure!(object.body == "second", "expected the second body, saw {}", words::object(&object));

    let missing = handle.get(&context.key("missing"), Get::whole().if_changed(first)).await;
    expect_kind("a missing key with if_changed", missing, ErrorKind::NotFound)?;
    Ok(())
}

async fn nonsense(context: &Context) -> CaseResult {
    let key = context.key("object");
    let handle = context.handle();
    handle.put(&key, "body".into(), PutIf::Always).await?;
    for version in nonsense_versions() {
        let what = format!("if_match {:?}", version.as_str());
        let answer = handle.get(&key, Get::whole().if_match(version.clone())).await;
        expect_kind(what, answer, ErrorKind::Conflict)?;
        let what = format!("if_changed {:?}", version.as_str());
        let answer = handle.get(&key, Get::whole().if_changed(version)).await;
        let object = answer.map_err(|error| crate::Failure::from(error).during(what))?;
        ensure!(object.body == "body", "expected the body, saw {}", words::object(&object));
    }
    Ok(())
}
