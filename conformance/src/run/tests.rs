//! The runner, with cases made for it.

use std::sync::atomic::{AtomicUsize, Ordering};

use backend_memory::MemoryProvider;
use storage_core::{Effect, Get, List, Object, Operation, Page, PutIf, Version, async_trait};

use super::*;
use crate::{CaseResult, Level, ensure};

fn case(id: &'static str, run: crate::CaseFn) -> Case {
    Case { id, level: Level::Core, requires: "something", needs: &[], requests_max: 10, run }
}

fn memory() -> (MemoryProvider, Arc<dyn Harness>) {
    let shared = MemoryProvider::new();
    let handle = shared.clone();
    let harness = crate::harness(move || {
        let handle = handle.clone();
        async move { Ok(handle) }
    });
    (shared, Arc::new(harness))
}

fn settings() -> Settings {
    Settings { seed: 1, case_time_max: Duration::from_millis(50), ..Settings::default() }
}

async fn left(provider: &MemoryProvider) -> usize {
    provider.list(List::new(&Prefix::all())).await.unwrap().objects.len()
}

async fn puts(context: &Context) -> CaseResult {
    for name in ["a", "b/c"] {
        context.handle().put(&context.key(name), "x".into(), PutIf::Always).await?;
    }
    Ok(())
}

/// Runs one case and checks what came of it, and that nothing is left.
async fn check(run: crate::CaseFn, outcome: Outcome, detail: &str) {
    let (provider, harness) = memory();
    let case = case("made.up-case", run);
    let report = run_these(&[case], harness, &settings(), &mut (), future::pending()).await;
    let saw = &report.cases[0];
    assert_eq!(saw.outcome, outcome, "{}", saw.detail);
    assert!(saw.detail.contains(detail), "{}", saw.detail);
    assert_eq!(report.failed(), outcome.is_failure());
    assert_eq!(left(&provider).await, 0);
}

#[tokio::test]
async fn a_case_ends_as_it_says_and_what_it_put_is_gone() {
    check(|context| Box::pin(puts(context)), Outcome::Pass, "").await;
    check(
        |context| {
            Box::pin(async {
                puts(context).await?;
                context.note("only so far");
                Ok(())
            })
        },
        Outcome::Pass,
        "only so far",
    )
    .await;
    check(
        |context| {
            Box::pin(async {
                puts(context).await?;
                ensure!(1 > 2, "expected one, saw two");
                Ok(())
            })
        },
        Outcome::Fail,
        "expected one, saw two",
    )
    .await;
    check(
        |context| {
            Box::pin(async {
                puts(context).await?;
                Err(context.skip("no such thing"))
            })
        },
        Outcome::Skipped,
        "no such thing",
    )
    .await;
    let over: crate::CaseFn = |_| Box::pin(async { Err(Failure::over_claim("two winners")) });
    check(over, Outcome::OverClaim, "two winners").await;
    let under: crate::CaseFn = |_| Box::pin(async { Err(Failure::under_claim("it holds")) });
    check(under, Outcome::UnderClaim, "it holds").await;
}

#[tokio::test]
async fn a_panic_an_endless_wait_and_too_many_requests_fail_their_case_only() {
    check(
        |context| {
            Box::pin(async {
                puts(context).await?;
                panic!("a mistake in the case")
            })
        },
        Outcome::Fail,
        "panicked: a mistake in the case",
    )
    .await;
    check(
        |context| {
            Box::pin(async {
                puts(context).await?;
                future::pending().await
            })
        },
        Outcome::Fail,
        "expected an end within 50ms, saw none after 2 requests",
    )
    .await;
    check(
        |context| {
            Box::pin(async {
                for _ in 0..6 {
                    puts(context).await?;
                }
                Ok(())
            })
        },
        Outcome::Fail,
        "expected at most 10 requests, saw 12",
    )
    .await;
}

#[tokio::test]
async fn an_error_of_the_provider_is_a_failure_with_its_causes() {
    check(
        |context| {
            Box::pin(async {
                context.handle().get(&context.key("missing"), Get::whole()).await?;
                Ok(())
            })
        },
        Outcome::Fail,
        "unexpected error: get \"cb~",
    )
    .await;
}

/// Answers so many requests with an error of this effect, and then as it should.
#[derive(Debug)]
struct Busy(MemoryProvider, Effect, AtomicUsize);

impl Busy {
    fn check(&self) -> Result<(), Error> {
        let busy = |left: usize| left.checked_sub(1);
        if self.2.fetch_update(Ordering::Relaxed, Ordering::Relaxed, busy).is_err() {
            return Ok(());
        }
        Err(match self.1 {
            Effect::NotApplied => Error::not_applied(ErrorKind::Throttled, "slow down"),
            Effect::Unknown => Error::unknown(ErrorKind::Unavailable, "no answer"),
        })
    }
}

#[async_trait]
impl StorageProvider for Busy {
    fn info(&self) -> ProviderInfo {
        self.0.info()
    }
    async fn put(&self, key: &Key, body: bytes::Bytes, when: PutIf) -> Result<Version, Error> {
        self.check().map_err(|error| error.during(Operation::Put, key))?;
        self.0.put(key, body, when).await
    }
    async fn get(&self, key: &Key, request: Get) -> Result<Object, Error> {
        self.0.get(key, request).await
    }
    async fn list(&self, request: List<'_>) -> Result<Page, Error> {
        self.0.list(request).await
    }
    async fn delete(&self, key: &Key) -> Result<(), Error> {
        self.check().map_err(|error| error.during(Operation::Delete, key))?;
        self.0.delete(key).await
    }
}

/// The report on a case, on a provider that is busy for so many requests.
async fn on_busy(effect: Effect, times: usize, run: crate::CaseFn) -> CaseReport {
    let busy = Arc::new(Busy(MemoryProvider::new(), effect, AtomicUsize::new(times)));
    let handle = busy.clone();
    let harness = crate::harness(move || {
        let handle = handle.clone();
        async move { Ok(handle) }
    });
    let settings = Settings { case_time_max: Duration::from_secs(600), ..settings() };
    let case = case("made.up", run);
    let report = run_these(&[case], Arc::new(harness), &settings, &mut (), future::pending()).await;
    assert_eq!(left(&busy.0).await, 0);
    report.cases.into_iter().next().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_refused_for_the_moment_is_sent_again_and_counts_once() {
    let report = on_busy(Effect::NotApplied, 20, |context| Box::pin(puts(context))).await;
    assert_eq!((report.outcome, report.requests), (Outcome::Pass, 2), "{}", report.detail);
    assert_eq!(report.detail, "busy, and asked again: 20 times");
    // It gives up at some time, and then has nothing left but to clean up.
    let report = on_busy(Effect::NotApplied, 25, |context| Box::pin(puts(context))).await;
    assert_eq!((report.outcome, report.requests), (Outcome::Fail, 1));
    let (first, after) = report.detail.split_once(" (").unwrap();
    assert!(first.ends_with("throttled: slow down"), "{first}");
    assert!(after.starts_with("sent again after: put \"cb~"), "{after}");
    assert!(after.ends_with("throttled: slow down; 20 times in this case)"), "{after}");
}

#[tokio::test]
async fn a_request_that_may_have_been_applied_is_not_sent_again() {
    let report = on_busy(Effect::Unknown, 1, |context| Box::pin(puts(context))).await;
    assert_eq!((report.outcome, report.requests), (Outcome::Fail, 1));
    assert!(report.detail.ends_with("no answer (it may have been applied)"), "{}", report.detail);
}

#[tokio::test]
async fn a_handle_that_asks_once_leaves_it_at_that() {
    let report = on_busy(Effect::NotApplied, 1, |context| {
        Box::pin(async {
            let handle = context.handle_once();
            handle.put(&context.key("a"), "x".into(), PutIf::Always).await?;
            Ok(())
        })
    })
    .await;
    assert_eq!((report.outcome, report.requests), (Outcome::Fail, 1), "{}", report.detail);
}

#[tokio::test]
async fn known_issues_do_not_fail_the_run_and_say_when_they_are_solved() {
    let fails = case("known.fails", |_| Box::pin(async { Err(Failure::new("as ever")) }));
    let passes = case("known.passes", |_| Box::pin(async { Ok(()) }));
    let known = |case: &Case| crate::KnownIssue { case: case.id.into(), link: "issue 1".into() };
    let settings = Settings { known_issues: vec![known(&fails), known(&passes)], ..settings() };
    let (_, harness) = memory();
    let report = run_these(&[fails, passes], harness, &settings, &mut (), future::pending()).await;
    assert!(!report.failed());
    let ends: Vec<_> = report.cases.iter().map(|case| (case.outcome, &*case.detail)).collect();
    assert_eq!(
        ends,
        [
            (Outcome::KnownIssue, "issue 1: as ever"),
            (Outcome::UnexpectedPass, "issue 1 seems to be solved")
        ]
    );
}

#[tokio::test]
async fn running_no_case_is_a_failure() {
    let (_, harness) = memory();
    let settings = Settings { filter: Some("no such case".into()), ..settings() };
    let report = run(harness, &settings, &mut ()).await;
    assert_eq!(report.problems, ["no case ran: nothing matches the filter and the levels"]);
    assert!(report.failed());
}

#[tokio::test]
async fn an_interrupted_run_says_so_and_leaves_nothing() {
    static PUT: tokio::sync::Notify = tokio::sync::Notify::const_new();
    let (provider, harness) = memory();
    let cases = [
        case("made.up", |context| Box::pin(puts(context))),
        case("made.endless", |context| {
            Box::pin(async {
                puts(context).await?;
                PUT.notify_one();
                future::pending().await
            })
        }),
    ];
    let settings = Settings { case_time_max: Duration::from_secs(600), ..settings() };
    let report = run_these(&cases, harness, &settings, &mut (), PUT.notified()).await;
    assert_eq!(report.problems, ["interrupted after 1 of 2 cases"]);
    assert_eq!(report.left_behind(), None);
    assert_eq!(left(&provider).await, 0);
}

/// Never deletes what is called so.
#[derive(Debug)]
struct Sticky(MemoryProvider, AtomicUsize);

#[async_trait]
impl StorageProvider for Sticky {
    fn info(&self) -> ProviderInfo {
        self.0.info()
    }
    async fn put(&self, key: &Key, body: bytes::Bytes, when: PutIf) -> Result<Version, Error> {
        self.0.put(key, body, when).await
    }
    async fn get(&self, key: &Key, request: Get) -> Result<Object, Error> {
        self.0.get(key, request).await
    }
    async fn list(&self, request: List<'_>) -> Result<Page, Error> {
        self.0.list(request).await
    }
    async fn delete(&self, _: &Key) -> Result<(), Error> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

#[tokio::test]
async fn what_cannot_be_cleaned_up_fails_the_case_and_the_run() {
    let shared = MemoryProvider::new();
    let harness = crate::harness(move || {
        let handle = Sticky(shared.clone(), AtomicUsize::new(0));
        async move { Ok(handle) }
    });
    let cases = [case("made.up", |context| Box::pin(puts(context)))];
    let report =
        run_these(&cases, Arc::new(harness), &settings(), &mut (), future::pending()).await;
    assert_eq!(report.cases[0].outcome, Outcome::Fail);
    assert!(report.cases[0].detail.contains("objects that stay: 2"), "{}", report.cases[0].detail);
    let left = report.left_behind().unwrap();
    assert!(left.contains("objects that stay: 2"), "{:?}", report.problems);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_suite_passes_the_model_and_touches_nothing_else_in_the_place() {
    let (provider, harness) = memory();
    let mut bystanders = Vec::new();
    for name in ["a", "cb~", "cb~0", "cb~ffffffff", "cb~ffffffff/a", "key", "zz/z"] {
        let key = Key::new(name).unwrap();
        let version = provider.put(&key, name.into(), PutIf::Always).await.unwrap();
        bystanders.push((key, version));
    }
    let settings = Settings {
        levels: vec![Level::Core, Level::Txn, Level::Chaos, Level::Durability],
        cases_at_once: 4,
        ..Settings::default()
    };
    let report = run(harness, &settings, &mut ()).await;
    assert!(!report.failed(), "{}", report.table());
    assert!(report.count(Outcome::Pass) > 40, "{}", report.table());
    assert_eq!(left(&provider).await, bystanders.len());
    for (key, version) in bystanders {
        assert_eq!(provider.get(&key, Get::whole()).await.unwrap().version, version, "{key}");
    }
}

#[tokio::test]
async fn a_seed_draws_the_same_again_whatever_else_runs() {
    static DRAWN: Mutex<Vec<u64>> = Mutex::new(Vec::new());
    let draw = |id| {
        case(id, |context| {
            Box::pin(async {
                DRAWN.lock().unwrap().push(context.rng().random());
                Ok(())
            })
        })
    };
    for cases in [vec![draw("made.one"), draw("made.two")], vec![draw("made.two")]] {
        let (_, harness) = memory();
        run_these(&cases, harness, &settings(), &mut (), future::pending()).await;
    }
    let drawn = DRAWN.lock().unwrap();
    assert_ne!(drawn[0], drawn[1]);
    assert_eq!(drawn[1], drawn[2]);
}
