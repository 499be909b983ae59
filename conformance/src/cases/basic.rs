//! What goes in comes out.

use bytes::Bytes;
use storage_core::{ErrorKind, Get, PutIf, StorageProviderExt as _};

use crate::context::expect_kind;
use crate::{Case, CaseResult, Context, Level, ensure};

pub(crate) const CASES: &[Case] = &[
    Case {
        id: "basic.roundtrip.sizes",
        level: Level::Core,
        requires: "objects of 0 bytes, 1 byte and 1 KiB come back byte for byte",
        needs: &[],
        requests_max: 6,
        run: |context| Box::pin(sizes(context)),
    },
    Case {
        id: "basic.not-found",
        level: Level::Core,
        requires: "a missing key is `NotFound`, and so are a beginning of a key and what lies beneath one",
        needs: &[],
        requests_max: 12,
        run: |context| Box::pin(not_found(context)),
    },
];

async fn sizes(context: &Context) -> CaseResult {
    let mut rng = context.rng();
    for size in [0, 1, 1024] {
        let key = context.key(format!("{size}"));
        let body = context.bytes(&mut rng, size);
        roundtrip(context, &key, body).await?;
    }
    Ok(())
}

async fn roundtrip(context: &Context, key: &storage_core::Key, body: Bytes) -> CaseResult {
    let version = context.handle().put(key, body.clone(), PutIf::Always).await?;
    let object = context.other().get(key, Get::whole()).await?;
    let size = body.len();
    ensure!(object.body == body, "put {size} bytes, saw {} others", object.body.len());
    ensure!(object.size == size as u64, "expected the size {size}, saw {}", object.size);
    ensure!(
        object.version == version,
        "put answered version {version}, get answers {}",
        object.version
    );
    Ok(())
}

async fn not_found(context: &Context) -> CaseResult {
    let handle = context.handle();
    handle.put(&context.key("there/is/one"), "body".into(), PutIf::Always).await?;
    for name in ["missing", "there", "there/is", "there/is/on", "there/is/one/beneath"] {
        let key = context.key(name);
        for request in [Get::whole(), Get::meta_only()] {
            let what = format!("get {name}, where there is only there/is/one");
            expect_kind(what, handle.get(&key, request).await, ErrorKind::NotFound)?;
        }
    }
    let kept = handle.try_get(&context.key("there/is/one")).await?;
    ensure!(kept.is_some(), "expected the object itself to be there, saw none");
    Ok(())
}
