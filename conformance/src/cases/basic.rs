//! What goes in comes out: bodies, sizes and versions.

use bytes::Bytes;
use storage_core::{ErrorKind, Get, Key, List, PutIf, StorageProviderExt as _};

use crate::context::expect_kind;
use crate::words;
use crate::{Case, CaseResult, Context, Failure, Level, ensure};

pub(crate) const CASES: &[Case] = &[
    Case {
        id: "basic.roundtrip.sizes",
        level: Level::Core,
        requires: "objects of no byte, one, 1 KiB, 64 KiB and one, and of the declared maximum come back byte for byte, whatever the bytes",
        needs: &[],
        requests_max: 24,
        run: |context| Box::pin(roundtrip(context)),
    },
    Case {
        id: "basic.overwrite.shorter",
        level: Level::Core,
        requires: "a shorter body put over a longer one leaves no tail",
        needs: &[],
        requests_max: 12,
        run: |context| Box::pin(shorter(context)),
    },
    Case {
        id: "basic.too-large",
        level: Level::Core,
        requires: "one byte more than the declared maximum is `TooLarge`, stores nothing and leaves what was there",
        needs: &[],
        requests_max: 8,
        run: |context| Box::pin(too_large(context)),
    },
    Case {
        id: "basic.not-found",
        level: Level::Core,
        requires: "a missing key is `NotFound`, and so are a beginning of a key and what lies beneath one",
        needs: &[],
        requests_max: 16,
        run: |context| Box::pin(not_found(context)),
    },
    Case {
        id: "basic.version.same",
        level: Level::Core,
        requires: "the version that a put answers is the one that every kind of get answers, from every handle",
        needs: &[],
        requests_max: 16,
        run: |context| Box::pin(same_version(context)),
    },
    Case {
        id: "basic.size.same",
        level: Level::Core,
        requires: "the size is the same in lists and in every kind of get, and a get of metadata brings no body",
        needs: &[],
        requests_max: 16,
        run: |context| Box::pin(same_size(context)),
    },
];

async fn roundtrip(context: &Context) -> CaseResult {
    let mut rng = context.rng();
    let mut bodies: Vec<(String, Bytes)> = [0, 1, 1024, (64 << 10) + 1]
        .map(|size| (format!("random/{size}"), context.bytes(&mut rng, size)))
        .into();
    // What text modes, line readers and C strings get wrong.
    bodies.push(("every_byte".into(), (0..=u8::MAX).collect()));
    bodies.push(("newline".into(), Bytes::from_static(b"line\n")));
    bodies.push(("blanks".into(), Bytes::from_static(b" \t\r\n\0 \r\n\x1a")));
    let max = context.largest_object();
    bodies.retain(|(_, body)| body.len() <= max);
    for (name, body) in bodies {
        comes_back(context, &context.key(name), body).await?;
    }
    let (key, largest) = (context.key("largest"), context.bytes(&mut rng, max));
    match context.handle().put(&key, largest.clone(), PutIf::Always).await {
        Err(error) if error.kind() == ErrorKind::TooLarge => Err(Failure::over_claim(format!(
            "declared: objects of at least {max} bytes; put one of {max}, saw the error {error}"
        ))),
        _ => comes_back(context, &key, largest).await,
    }
}

/// Puts with one handle and reads with another.
async fn comes_back(context: &Context, key: &Key, body: Bytes) -> CaseResult {
    let size = body.len();
    context.handle().put(key, body.clone(), PutIf::Always).await?;
    let object = context.other().get(key, Get::whole()).await?;
    ensure!(
        object.body.len() == size && object.size == size as u64,
        "put {size} bytes, got {} of a size of {}",
        object.body.len(),
        object.size
    );
    let differs = object.body.iter().zip(&body).position(|(got, put)| got != put);
    match differs {
        Some(from) => {
            Err(Failure::new(format!("put {size} bytes, got others from byte {from} on")))
        }
        None => Ok(()),
    }
}

async fn shorter(context: &Context) -> CaseResult {
    let mut rng = context.rng();
    for (name, sizes) in [("small", [100, 7, 0]), ("large", [200_000, 1000, 1])] {
        let key = context.key(name);
        for size in sizes.map(|size| context.at_most(size)) {
            let body = context.bytes(&mut rng, size);
            comes_back(context, &key, body).await?;
        }
    }
    Ok(())
}

async fn too_large(context: &Context) -> CaseResult {
    let declared = context.capabilities().object_bytes_max;
    let tested = context.settings().object_bytes_max_tested;
    let Some(size) = usize::try_from(declared).ok().and_then(|max| max.checked_add(1)) else {
        return Err(context.skip("no body is larger than the declared maximum"));
    };
    if declared > tested {
        return Err(context.skip(format!(
            "the declared maximum of {declared} bytes is more than the {tested} that are tested"
        )));
    }
    let handle = context.handle();
    let body = context.bytes(&mut context.rng(), size);
    let what = format!("put {size} bytes where {declared} is declared the most");
    let (missing, there) = (context.key("missing"), context.key("there"));
    let answer = handle.put(&missing, body.clone(), PutIf::Always).await;
    expect_kind(&what, answer, ErrorKind::TooLarge)?;
    ensure!(handle.try_get(&missing).await?.is_none(), "{what}: expected no object, saw one");

    handle.put(&there, "kept".into(), PutIf::Always).await?;
    let answer = handle.put(&there, body, PutIf::Always).await;
    expect_kind(&what, answer, ErrorKind::TooLarge)?;
    let kept = handle.get(&there, Get::whole()).await?.body;
    ensure!(kept == "kept", "{what}: expected the object before, saw {} bytes", kept.len());
    Ok(())
}

async fn not_found(context: &Context) -> CaseResult {
    let handle = context.handle();
    handle.put(&context.key("there/is/one"), "body".into(), PutIf::Always).await?;
    for name in ["missing", "there", "there/is", "there/is/on", "there/is/one/beneath"] {
        let key = context.key(name);
        for request in [Get::whole(), Get::meta_only(), Get::range(0..1)] {
            let what = format!("get {name}, where there is only there/is/one");
            expect_kind(what, handle.get(&key, request).await, ErrorKind::NotFound)?;
        }
    }
    Ok(())
}

async fn same_version(context: &Context) -> CaseResult {
    let key = context.key("object");
    for body in ["first", "second"] {
        let put = context.handle().put(&key, body.into(), PutIf::Always).await?;
        for handle in [context.handle(), context.other()] {
            for request in [Get::whole(), Get::meta_only(), Get::range(1..3)] {
                let got = handle.get(&key, request.clone()).await?.version;
                let what = words::get(&request);
                ensure!(got == put, "the put answered version {put}, a {what} answers {got}");
            }
        }
    }
    Ok(())
}

async fn same_size(context: &Context) -> CaseResult {
    let handle = context.handle();
    for (name, size) in [("empty", 0_u64), ("some", 300)] {
        let key = context.key(name);
        handle.put(&key, vec![b'x'; size as usize].into(), PutIf::Always).await?;
        let whole = handle.get(&key, Get::whole()).await?;
        ensure!(whole.size == size, "put {size} bytes, a get says {}", whole.size);
        let meta = handle.get(&key, Get::meta_only()).await?;
        ensure!(meta.size == size, "put {size} bytes, a get of metadata says {}", meta.size);
        ensure!(meta.body.is_empty(), "a get of metadata brought {} bytes", meta.body.len());
        if size > 0 {
            let part = handle.get(&key, Get::range(10..20)).await?;
            ensure!(part.size == size, "put {size} bytes, a get of a part says {}", part.size);
        }
        // A list may lag behind where that is declared; a wrong size is wrong at any time.
        let prefix = context.prefix_of(name);
        let page = handle.list(List::new(&prefix)).await?;
        match page.objects.iter().find(|listed| listed.key == key) {
            Some(listed) => {
                ensure!(listed.size == size, "put {size} bytes, a list says {}", listed.size);
            }
            None => {
                let lags = context.lists_lag();
                ensure!(lags, "put an object of {size} bytes, a list does not show it");
            }
        }
    }
    Ok(())
}
