//! Answers lost on the wire, between an HTTP backend and its service.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use storage_core::{
    Atomicity, Created, Effect, ErrorKind, Get, Key, List, PutIf, Result, StorageProvider,
    StorageProviderExt as _,
};

use crate::resend::is_busy;
use crate::wire::{Delivery, Fault, Proxy};
use crate::words;
use crate::{CaseResult, Context, Failure, ensure};

const INTERNAL_ERROR: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>InternalError</Code>\
    <Message>We encountered an internal error. Please try again.</Message></Error>";
const SLOW_DOWN: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>SlowDown</Code>\
    <Message>Please reduce your request rate.</Message></Error>";
const BUSY: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>ConditionalRequestConflict</Code>\
    <Message>The conditional request cannot succeed due to a conflicting operation against this resource.\
    </Message></Error>";

/// How often a put is tried that a service may be too busy for.
const BUSY_MAX: usize = 5;

/// How large the bodies are whose answers are cut or slow, in bytes.
const BODY_BYTES: usize = 200_000;

pub(super) async fn closed(context: &Context) -> CaseResult {
    mutations(context, Fault::AppliedThenClosed).await
}

pub(super) async fn reset(context: &Context) -> CaseResult {
    mutations(context, Fault::AppliedThenReset).await
}

pub(super) async fn hung(context: &Context) -> CaseResult {
    mutations(context, Fault::AppliedThenHung).await
}

pub(super) async fn status_500(context: &Context) -> CaseResult {
    mutations(context, Fault::AppliedThenAnswered(500, INTERNAL_ERROR)).await
}

pub(super) async fn status_503(context: &Context) -> CaseResult {
    mutations(context, Fault::AppliedThenAnswered(503, SLOW_DOWN)).await
}

pub(super) async fn request(context: &Context) -> CaseResult {
    mutations(context, Fault::LostThenClosed).await
}

pub(super) async fn busy(context: &Context) -> CaseResult {
    mutations(context, Fault::Refused(409, BUSY)).await
}

/// A proxy, and a handle that goes through it.
struct Line {
    proxy: Proxy,
    /// Sends each request once: what is judged is what a single answer is made into.
    handle: Arc<dyn StorageProvider>,
    /// The same, for what only has to get through in the end.
    patient: Arc<dyn StorageProvider>,
}

impl Line {
    async fn open(context: &Context) -> Result<Self, Failure> {
        let hook = context.hooks().wire;
        let hook = hook.ok_or_else(|| context.skip("the harness offers no hook on the wire"))?;
        let proxy = Proxy::start(hook.upstream()).await;
        let proxy = proxy.map_err(|error| Failure::new(format!("no proxy: {error}")))?;
        let opened = hook.open_through(proxy.address()).await?;
        let (handle, patient) = (context.once(opened.clone()), context.counted(opened));
        Ok(Self { proxy, handle, patient })
    }

    /// Makes the next request of this method for an object go wrong. The last segment of the key must
    /// be letters and digits, which no service escapes.
    fn fail(&self, method: &'static str, key: &Key, fault: Fault) {
        let name = key.as_str().rsplit('/').next().unwrap_or_default().to_owned();
        self.proxy.fail(
            0,
            move |head| head.method == method && head.target.contains(name.as_str()),
            fault,
        );
    }

    /// What became of the request that was to go wrong.
    fn failed(&self) -> Result<Delivery, Failure> {
        let failed = self.proxy.deliveries().into_iter().rev().find(|it| it.fault.is_some());
        failed.ok_or_else(|| Failure::new("expected a request to meet the fault, saw none"))
    }
}

fn was_applied(delivery: &Delivery) -> bool {
    delivery.statuses.iter().any(|status| (200..300).contains(status))
}

/// Each kind of put, and a delete, each with this fault once.
async fn mutations(context: &Context, fault: Fault) -> CaseResult {
    let capabilities = context.capabilities();
    let line = Line::open(context).await?;
    lost_put(context, &line, "always", PutIf::Always, fault).await?;
    if capabilities.absent != Atomicity::Unsupported {
        lost_put(context, &line, "absent", PutIf::Absent, fault).await?;
    }
    if capabilities.matches != Atomicity::Unsupported {
        let key = context.key("matches");
        let version = context.handle().put(&key, "the first body".into(), PutIf::Always).await?;
        lost_put(context, &line, "matches", PutIf::Matches(version), fault).await?;
    }
    lost_delete(context, &line, fault).await
}

async fn lost_put(
    context: &Context,
    line: &Line,
    name: &str,
    when: PutIf,
    fault: Fault,
) -> CaseResult {
    let key = context.key(name);
    let body = Bytes::from(format!("the body of the put whose answer is lost: {name}"));
    line.fail("PUT", &key, fault);
    let answer = line.handle.put(&key, body.clone(), when.clone()).await;
    let delivery = line.failed()?;
    let stored = context.handle().try_get(&key).await?;
    let ours = stored.as_ref().is_some_and(|object| object.body == body);
    let said = format!("put {name}, which the service answered with {:?}", delivery.statuses);
    ensure!(
        ours == was_applied(&delivery),
        "{said}: expected the object to be there if it was applied, saw otherwise"
    );
    match answer {
        Ok(version) => {
            let same = stored.is_some_and(|object| object.version == version);
            ensure!(ours && same, "{said}: expected no Ok for what is not there as put, saw Ok");
        }
        Err(error) => {
            let kind = error.kind();
            ensure!(
                kind != ErrorKind::Conflict,
                "{said}: nobody else writes the key, but it was told {error}"
            );
            ensure!(
                error.effect() == Effect::Unknown || !ours,
                "{said}: it was applied, but it was told that it was not: {error}"
            );
            if let Fault::Refused(..) = fault {
                // It may simply be sent again, and then succeeds.
                line.patient.put(&key, body.clone(), when.clone()).await?;
            }
        }
    }
    // The next request fares well.
    line.patient.try_get(&key).await?;
    Ok(())
}

async fn lost_delete(context: &Context, line: &Line, fault: Fault) -> CaseResult {
    let key = context.key("deleted");
    context.handle().put(&key, "to be deleted".into(), PutIf::Always).await?;
    line.fail("DELETE", &key, fault);
    let answer = line.handle.delete(&key).await;
    let delivery = line.failed()?;
    let gone = context.handle().try_get(&key).await?.is_none();
    let said = format!("delete, which the service answered with {:?}", delivery.statuses);
    match answer {
        Ok(()) => ensure!(gone, "{said}: expected no Ok while the object is there, saw Ok"),
        Err(error) => {
            ensure!(
                error.kind() != ErrorKind::Conflict,
                "{said}: a delete has no condition, but it was told {error}"
            );
            ensure!(
                error.effect() == Effect::Unknown || !gone,
                "{said}: it was applied, but it was told that it was not: {error}"
            );
        }
    }
    line.patient.try_get(&key).await?;
    Ok(())
}

pub(super) async fn truncated(context: &Context) -> CaseResult {
    reads(context, Fault::AnswerTruncated).await
}

pub(super) async fn slow(context: &Context) -> CaseResult {
    reads(context, Fault::AnswerSlow(Duration::from_millis(20))).await
}

async fn reads(context: &Context, fault: Fault) -> CaseResult {
    let line = Line::open(context).await?;
    let key = context.key("object");
    let body = context.bytes(&mut context.rng(), BODY_BYTES);
    context.handle().put(&key, body.clone(), PutIf::Always).await?;
    for number in 0..20 {
        let key = context.key(format!("listed/{number:02}"));
        context.handle().put(&key, "listed".into(), PutIf::Always).await?;
    }
    let all = (BODY_BYTES / 2) as u64;
    for (request, expected) in
        [(Get::whole(), body.clone()), (Get::range(0..all), body.slice(0..BODY_BYTES / 2))]
    {
        line.fail("GET", &key, fault);
        let what = words::get(&request);
        match line.handle.get(&key, request).await {
            Ok(object) => ensure!(
                object.body == expected,
                "{what}: expected {} bytes or an error, saw {} bytes",
                expected.len(),
                object.body.len()
            ),
            Err(error) => ensure!(
                error.kind() == ErrorKind::Unavailable,
                "{what}: expected it to be unavailable, saw {error}"
            ),
        }
        line.failed()?;
    }
    let listed = context.prefix_of("listed/");
    // Prefixes are in the query of a list, in whatever spelling.
    line.proxy.fail(
        0,
        |head| head.method == "GET" && head.target.contains("listed") && head.target.contains('?'),
        fault,
    );
    match line.handle.list(List::new(&listed)).await {
        Ok(page) => ensure!(
            page.objects.len() == 20 && !page.more,
            "list: expected 20 objects or an error, saw {}",
            page.objects.len()
        ),
        Err(error) => ensure!(
            error.kind() == ErrorKind::Unavailable,
            "list: expected it to be unavailable, saw {error}"
        ),
    }
    Ok(())
}

pub(super) async fn twice(context: &Context) -> CaseResult {
    all_delivered_twice(context, Fault::Twice).await
}

pub(super) async fn twice_second_answer(context: &Context) -> CaseResult {
    all_delivered_twice(context, Fault::TwiceThenSecondAnswer).await
}

async fn all_delivered_twice(context: &Context, fault: Fault) -> CaseResult {
    let capabilities = context.capabilities();
    let line = Line::open(context).await?;
    let mut kinds = Vec::new();
    if capabilities.absent != Atomicity::Unsupported {
        kinds.push("absent");
    }
    if capabilities.matches != Atomicity::Unsupported {
        kinds.push("matches");
    }
    if kinds.is_empty() {
        return Err(context.skip("declared: no conditional put"));
    }
    for kind in kinds {
        let mut attempts = 0..BUSY_MAX;
        while !delivered_twice(context, &line, kind, attempts.next(), fault).await? {}
    }
    Ok(())
}

/// Whether it could be tried; not where the service was busy, unless this was the last attempt.
async fn delivered_twice(
    context: &Context,
    line: &Line,
    kind: &str,
    attempt: Option<usize>,
    fault: Fault,
) -> Result<bool, Failure> {
    let Some(attempt) = attempt else {
        return Err(Failure::new(format!(
            "expected an answer, saw {BUSY_MAX} times that it is busy"
        )));
    };
    let key = context.key(format!("{kind}{attempt}"));
    let when = match kind {
        "absent" => PutIf::Absent,
        _ => PutIf::Matches(
            context.handle().put(&key, "the first body".into(), PutIf::Always).await?,
        ),
    };
    let body = Bytes::from(format!("delivered twice to {key}"));
    line.fail("PUT", &key, fault);
    let answer = line.handle.put(&key, body.clone(), when).await;
    let delivery = line.failed()?;
    let statuses = &delivery.statuses;
    if matches!(&answer, Err(error) if is_busy(error)) && !was_applied(&delivery) {
        return Ok(false);
    }
    let said = format!("put {key}, which the service answered with {statuses:?}");
    let applied = statuses.iter().filter(|status| (200..300).contains(*status)).count();
    ensure!(applied == 1, "{said}: expected one delivery to be applied");
    let stored = context.handle().get(&key, Get::whole()).await?;
    ensure!(stored.body == body, "{said}: expected the {} bytes put, saw others", body.len());
    match answer {
        Ok(version) => ensure!(
            stored.version == version,
            "{said}: it was told version {version}, and the object has {}",
            stored.version
        ),
        // Whose the object is cannot be told from the second answer alone: to say so is honest.
        Err(error) if fault == Fault::TwiceThenSecondAnswer => ensure!(
            error.effect() == Effect::Unknown,
            "{said}: its first delivery was applied, but it was told that it was not: {error}"
        ),
        Err(error) => return Err(Failure::from(error).during(said)),
    }
    Ok(true)
}

pub(super) async fn late_landing(context: &Context) -> CaseResult {
    let line = Line::open(context).await?;

    // A writer gives up; somebody else makes sure that it never lands.
    let key = context.key("fenced");
    line.fail("PUT", &key, Fault::Late);
    let answer = line.handle.put(&key, "late".into(), PutIf::Absent).await;
    let Err(error) = answer else {
        return Err(Failure::new("expected no Ok for a put that has not been applied, saw Ok"));
    };
    ensure!(
        error.effect() == Effect::Unknown,
        "a put whose answer was lost will land later, but it was told {error}"
    );
    let seen = context.handle().try_get(&key).await?;
    ensure!(seen.is_none(), "expected nothing there yet, saw {}", words::found(&seen));
    let fence = context.handle().create_exact(&key, "the fence".into()).await?;
    ensure!(matches!(fence, Created::Ours(_)), "expected to create the fence, saw {fence:?}");
    still(context, &line, &key, b"the fence").await?;

    // A writer resolves its own lost answer.
    let key = context.key("resolved");
    line.fail("PUT", &key, Fault::Late);
    let created = line.handle.create_exact(&key, "ours".into()).await?;
    ensure!(matches!(created, Created::Ours(_)), "expected the object to be ours, saw {created:?}");
    still(context, &line, &key, b"ours").await
}

/// Lets the late request land, which must change nothing.
async fn still(context: &Context, line: &Line, key: &Key, body: &[u8]) -> CaseResult {
    let before = context.handle().get(key, Get::whole()).await?;
    let statuses = line.proxy.release_late().await;
    let statuses = statuses.map_err(|error| Failure::new(format!("late request: {error}")))?;
    ensure!(statuses.len() == 1, "expected one late request, saw {}", statuses.len());
    let after = context.handle().get(key, Get::whole()).await?;
    ensure!(
        after == before && after.body == body,
        "{key}: expected a late put on absence to change nothing, saw {} (the service answered it with \
         {statuses:?})",
        words::object(&after)
    );
    Ok(())
}
