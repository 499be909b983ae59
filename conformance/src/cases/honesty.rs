//! Honesty: a provider is what it says, and says nothing it should keep to itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use storage_core::{
    Atomicity, Capabilities, Error, ErrorKind, Get, List, Prefix, PutIf, Result, Sharing,
    StorageProvider, Version, Versions,
};

use crate::{Case, CaseResult, Context, Failure, Level, Need, Opener, ensure};

/// Shorter secrets are not looked for: `b` is in every other word.
const SECRET_BYTES_MIN: usize = 6;

pub(crate) const CASES: &[Case] = &[
    Case {
        id: "honesty.info-stable",
        level: Level::Core,
        requires: "`info` always answers the same, from every handle and whatever happened in between",
        needs: &[],
        requests_max: 20,
        run: |context| Box::pin(info_stable(context)),
    },
    Case {
        id: "honesty.no-secret",
        level: Level::Core,
        requires: "neither secrets nor bodies show in `Debug`, names or errors",
        needs: &[],
        requests_max: 60,
        run: |context| Box::pin(no_secret(context)),
    },
    Case {
        id: "honesty.versions",
        level: Level::Core,
        requires: "equal versions mean equal contents, and where declared each write has a version of its own",
        needs: &[],
        requests_max: 80,
        run: |context| Box::pin(versions(context)),
    },
    Case {
        id: "honesty.missing-bucket",
        level: Level::Core,
        requires: "where the place does not exist, every operation is `Misconfigured` and names the setting to fix",
        needs: &[Need::Missing],
        requests_max: 16,
        run: |context| Box::pin(missing_bucket(context)),
    },
    Case {
        id: "honesty.bad-credentials",
        level: Level::Core,
        requires: "where credentials are refused, every operation is `PermissionDenied` and names the setting to fix",
        needs: &[Need::Denied],
        requests_max: 16,
        run: |context| Box::pin(bad_credentials(context)),
    },
];

async fn info_stable(context: &Context) -> CaseResult {
    let first = context.handle().info();
    ensure!(!first.name.trim().is_empty(), "expected a name, saw {:?}", first.name);
    let control = first.name.chars().any(char::is_control);
    ensure!(!control, "expected a name of one line, saw {:?}", first.name);
    let Capabilities { absent, matches, sharing, .. } = first.capabilities;
    let widest = match sharing {
        Sharing::OneProcess => Atomicity::OneProcess,
        Sharing::OneHost => Atomicity::OneHost,
        Sharing::AllClients => Atomicity::AllClients,
    };
    if absent.max(matches) > widest {
        return Err(Failure::over_claim(format!(
            "expected conditions that reach no further than the sharing, {sharing:?}, saw absent \
             {absent:?} and matches {matches:?}"
        )));
    }
    let key = context.key("object");
    for round in 0..3 {
        let third = context.open().await?;
        for (which, handle) in
            [("one", context.handle()), ("another", context.other()), ("a new", &third)]
        {
            let info = handle.info();
            ensure!(
                info == first,
                "round {round}: {which} handle: expected {first:?} as at first, saw {info:?}"
            );
        }
        context.handle().put(&key, "body".into(), PutIf::Always).await?;
        context.other().get(&key, Get::whole()).await?;
        third.delete(&key).await?;
    }
    Ok(())
}

async fn no_secret(context: &Context) -> CaseResult {
    // Plain text, so that it shows however it is printed.
    let canary = "conformance canary body never to be shown";
    let hooks = context.hooks();
    let mut words: Vec<String> = vec![canary.into(), format!("{:?}", canary.as_bytes())];
    let secrets =
        hooks.secrets.iter().map(storage_core::Secret::reveal).filter(|it| !it.is_empty());
    let (short, long): (Vec<_>, Vec<_>) = secrets.partition(|text| text.len() < SECRET_BYTES_MIN);
    for secret in long {
        words.push(secret.into());
        words.push(percent_encoded(secret));
    }
    if !short.is_empty() {
        context.note(format!(
            "not looked for: {} of the secrets, of fewer than {SECRET_BYTES_MIN} bytes, which any text may \
             contain",
            short.len()
        ));
    }
    words.dedup();

    let handle = context.handle();
    let mut texts = BTreeMap::new();
    let key = context.key("object");
    handle.put(&key, canary.into(), PutIf::Always).await?;
    let object = handle.get(&key, Get::whole()).await?;
    texts.insert("Debug of an object", format!("{object:?} {object:#?}"));
    provoke(handle, context, canary, &mut texts).await;
    for (what, place) in [
        ("in a missing place", hooks.missing.map(|missing| missing.open)),
        ("with bad credentials", hooks.denied.map(|denied| denied.open)),
    ] {
        let Some(open) = place else { continue };
        match open().await {
            Ok(handle) => {
                let mut errors = BTreeMap::new();
                provoke(&context.counted(handle), context, canary, &mut errors).await;
                texts.insert(what, errors.into_values().collect());
            }
            Err(error) => {
                texts.insert(what, said(&error));
            }
        }
    }
    texts.insert("Debug of a handle", format!("{handle:?} {handle:#?}"));
    texts.insert("the name", handle.info().name.into_owned());
    for (what, text) in &texts {
        for (at, word) in words.iter().enumerate() {
            let kind = if at < 2 { "a body" } else { "a secret" };
            // The text itself is not repeated: a report is a place where secrets do not belong.
            ensure!(
                !text.contains(word.as_str()),
                "{what}: saw {kind} in {} bytes of text",
                text.len()
            );
        }
    }
    if hooks.secrets.is_empty() {
        context.note("the harness names no secrets; only bodies were looked for");
    }
    Ok(())
}

/// Makes a handle fail in every way it can be made to, and keeps what it says.
async fn provoke(
    handle: &Arc<dyn StorageProvider>,
    context: &Context,
    canary: &str,
    texts: &mut BTreeMap<&'static str, String>,
) {
    let (key, missing) = (context.key("object"), context.key("missing"));
    let stale = || Version::new("\"00000000000000000000000000000000\"");
    let mut keep = |what, error: Option<Error>| {
        if let Some(error) = error {
            texts.insert(what, said(&error));
        }
    };
    let put = |when| handle.put(&key, canary.to_owned().into(), when);
    keep("error of a put with Absent", put(PutIf::Absent).await.err());
    keep("error of a put with Matches", put(PutIf::Matches(stale())).await.err());
    keep("error of a put", put(PutIf::Always).await.err());
    keep("error of a get of a missing key", handle.get(&missing, Get::whole()).await.err());
    let range = Get::range(1 << 40..);
    keep("error of a get past the end", handle.get(&key, range).await.err());
    let if_match = Get::whole().if_match(stale());
    keep("error of a get with if_match", handle.get(&key, if_match).await.err());
    keep("error of a list", handle.list(List::new(&Prefix::from(&key))).await.err());
    keep("error of a delete", handle.delete(&missing).await.err());
}

/// Everything an error shows, its causes included.
fn said(error: &Error) -> String {
    let mut text = format!("{error} {error:?} {error:#?}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(" {cause} {cause:?}"));
        source = cause.source();
    }
    text
}

fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => {
            (byte as char).into()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

async fn versions(context: &Context) -> CaseResult {
    let key = context.key("object");
    let handle = context.handle();
    // Of one length, and written as fast as it goes: lengths and coarse times are no versions.
    let bodies = ["aaaa", "bbbb", "aaaa", "aaaa", "cccc", "bbbb", "aaaa"];
    let mut content: BTreeMap<Version, &str> = BTreeMap::new();
    let mut repeated = None;
    for round in 0..6 {
        for body in bodies {
            let version = handle.put(&key, body.into(), PutIf::Always).await?;
            match content.insert(version.clone(), body) {
                Some(before) if before != body => {
                    return Err(Failure::new(format!(
                        "expected another version for other content, saw {version} for {before:?} and for {body:?}"
                    )));
                }
                Some(_) => repeated = Some((version, body)),
                None => {}
            }
        }
        if round == 3 {
            handle.delete(&key).await?;
        }
    }
    match (context.capabilities().versions, repeated) {
        (Versions::PerWrite, Some((version, body))) => Err(Failure::over_claim(format!(
            "declared: a version for each write; saw {version} twice, for {body:?} written again"
        ))),
        (Versions::PerContent, None) => Err(Failure::under_claim(
            "declared: writing the same content again may repeat a version; none was repeated",
        )),
        (Versions::PerWrite, None) | (Versions::PerContent, Some(_)) => Ok(()),
    }
}

async fn missing_bucket(context: &Context) -> CaseResult {
    let Some(missing) = context.hooks().missing else {
        return Err(context.skip("the harness offers no missing place"));
    };
    refuses(context, &missing.open, missing.setting, ErrorKind::Misconfigured).await
}

async fn bad_credentials(context: &Context) -> CaseResult {
    let Some(denied) = context.hooks().denied else {
        return Err(context.skip("the harness offers no bad credentials"));
    };
    refuses(context, &denied.open, denied.setting, ErrorKind::PermissionDenied).await
}

/// Checks that opening fails as it should, or else every operation does.
async fn refuses(context: &Context, open: &Opener, setting: &str, kind: ErrorKind) -> CaseResult {
    let handle = match open().await {
        Ok(handle) => context.counted(handle),
        Err(error) => return says("opening", Err::<(), _>(error), setting, kind),
    };
    let key = context.key("object");
    says("put", handle.put(&key, "body".into(), PutIf::Always).await, setting, kind)?;
    if handle.info().capabilities.absent != Atomicity::Unsupported {
        let answer = handle.put(&key, "body".into(), PutIf::Absent).await;
        says("put with Absent", answer, setting, kind)?;
    }
    says("get", handle.get(&key, Get::whole()).await, setting, kind)?;
    says("get of a range", handle.get(&key, Get::range(0..1)).await, setting, kind)?;
    says("get of metadata", handle.get(&key, Get::meta_only()).await, setting, kind)?;
    says("list", handle.list(List::new(context.prefix())).await, setting, kind)?;
    says("delete", handle.delete(&key).await, setting, kind)
}

fn says<T: std::fmt::Debug>(
    what: &str,
    answer: Result<T>,
    setting: &str,
    kind: ErrorKind,
) -> CaseResult {
    let error = crate::expect_kind(what, answer, kind)?;
    ensure!(
        error.to_string().contains(setting),
        "{what}: expected the message to name the setting {setting:?}, saw: {error}"
    );
    Ok(())
}
