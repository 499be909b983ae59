//! The runner: opens handles, runs cases one by one, cleans up, and reports.

use std::collections::BTreeSet;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{self, Either};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use rand::RngExt as _;
use storage_core::{
    Atomicity, Error, ErrorKind, Key, ListConsistency, Prefix, ProviderInfo, Sharing,
    StorageProvider, StorageProviderExt as _, Versions,
};

use crate::case::Verdict;
use crate::measure::Tally;
use crate::report::{CLEANING_UP, CaseReport, Outcome, Report};
use crate::resend::Patient;
use crate::{Case, Context, Failure, Harness, Need};
use crate::{Progress, Settings, cases};

/// How long tidying up after a case, or after the run, may take.
const SWEEP_TIME_MAX: Duration = Duration::from_secs(600);
/// How long a put that was under way when the run was interrupted is given to land.
const LANDING_TIME: Duration = Duration::from_millis(300);
/// How often the place is looked at again before what is still listed counts as left behind.
const SWEEPS_MAX: u32 = 5;

/// Runs every case that `settings` asks for and says what came of it.
///
/// Must be called within a Tokio runtime with time and I/O enabled. It works under one random prefix
/// and deletes what it put, whatever the outcome.
pub async fn run(
    harness: Arc<dyn Harness>,
    settings: &Settings,
    progress: &mut dyn Progress,
) -> Report {
    run_until(harness, settings, progress, future::pending()).await
}

/// As [`run`], but stops when `cancelled` ends: the case under way is dropped, everything is cleaned
/// up, and the report says that it was interrupted.
pub async fn run_until(
    harness: Arc<dyn Harness>,
    settings: &Settings,
    progress: &mut dyn Progress,
    cancelled: impl Future<Output = ()>,
) -> Report {
    run_these(cases(), harness, settings, progress, cancelled).await
}

async fn run_these(
    catalogue: &[Case],
    harness: Arc<dyn Harness>,
    settings: &Settings,
    progress: &mut dyn Progress,
    cancelled: impl Future<Output = ()>,
) -> Report {
    let start = Instant::now();
    let session = match Session::open(harness, settings.clone()).await {
        Ok(session) => session,
        Err(error) => return Report::not_opened(settings, &error),
    };
    let wanted: Vec<_> = catalogue.iter().copied().filter(|case| settings.asks_for(case)).collect();
    progress.planned(&session.info, settings, wanted.len());
    let progress = Mutex::new(progress);
    let finished = Mutex::new(Vec::new());
    let all = stream::iter(&wanted).for_each_concurrent(settings.cases_at_once.max(1), |case| {
        let (session, progress, finished) = (&session, &progress, &finished);
        async move {
            progress.lock().unwrap_or_else(PoisonError::into_inner).started(case);
            let report = session.run_case(case).await;
            progress.lock().unwrap_or_else(PoisonError::into_inner).finished(&report);
            finished.lock().unwrap_or_else(PoisonError::into_inner).push(report);
        }
    });
    let interrupted = match future::select(pin!(all), pin!(cancelled)).await {
        Either::Left(_) => false,
        Either::Right(_) => true,
    };
    let mut cases = finished.into_inner().unwrap_or_else(PoisonError::into_inner);
    // In the order of the catalogue, whatever ran side by side.
    let place = |id: &str| wanted.iter().position(|case| case.id == id);
    cases.sort_by_key(|report| place(report.id));
    let mut problems = Vec::new();
    if interrupted {
        problems.push(format!("interrupted after {} of {} cases", cases.len(), wanted.len()));
    } else if cases.is_empty() {
        problems.push("no case ran: nothing matches the filter and the levels".into());
    }
    problems.extend(session.close().await);
    Report {
        provider: Some(session.info.clone()),
        seed: settings.seed,
        level: settings.levels_label(),
        cases,
        problems,
        elapsed: start.elapsed(),
    }
}

/// One prefix in one place, and the handles that all cases share.
pub(crate) struct Session {
    harness: Arc<dyn Harness>,
    handles: [Arc<dyn StorageProvider>; 2],
    pub(crate) info: ProviderInfo,
    settings: Settings,
    prefix: Prefix,
    /// Keys put by cases that have not been cleaned up yet.
    dirty: Mutex<Vec<Arc<Tally>>>,
}

impl Session {
    pub(crate) async fn open(harness: Arc<dyn Harness>, settings: Settings) -> Result<Self, Error> {
        let handles = [harness.open().await?, harness.open().await?];
        let info = handles[0].info();
        // Not from the seed: two runs with one seed may meet in one place.
        let run: u32 = rand::rng().random();
        let prefix = Prefix::new(format!("cb~{run:08x}/")).expect("hexadecimal makes a prefix");
        Ok(Self { harness, handles, info, settings, prefix, dirty: Mutex::default() })
    }

    /// Runs one case and cleans up after it.
    pub(crate) async fn run_case(&self, case: &Case) -> CaseReport {
        let start = Instant::now();
        let tally = Arc::new(Tally::default());
        let result = match self.reason_to_skip(case) {
            Some(reason) => Err(Failure::skipped(reason)),
            None => self.run_now(case, &tally).await,
        };
        let requests = tally.requests();
        let result = result.and_then(|notes| {
            let most = case.requests_max.saturating_mul(self.settings.rounds.max(1).into());
            // One request of the log is one of each voter there, and now and then a few more.
            let voters = self.harness.hooks().voters as u64;
            let most = if voters == 0 { most } else { most.saturating_mul(voters + 2) };
            if requests > most {
                return Err(Failure::new(format!(
                    "expected at most {most} requests, saw {requests}: the suite itself is wrong"
                )));
            }
            Ok(notes)
        });
        let (outcome, detail) = self.judge(case, result);
        CaseReport {
            id: case.id,
            level: case.level,
            requires: case.requires,
            outcome,
            requests,
            elapsed: start.elapsed(),
            detail,
            times: tally.times(),
        }
    }

    /// What the case found, and what it has to say about passing.
    async fn run_now(&self, case: &Case, tally: &Arc<Tally>) -> Result<String, Failure> {
        let prefix = self.prefix_of(case);
        let context = Context {
            harness: self.harness.clone(),
            handles: self.handles.each_ref().map(|handle| tally.patient(handle.clone())),
            bare: self.handles[0].clone(),
            tally: tally.clone(),
            prefix: prefix.clone(),
            seed: seed_of(self.settings.seed, case.id),
            settings: self.settings.clone(),
            notes: Mutex::default(),
        };
        self.dirty().push(tally.clone());
        let limit = self.settings.case_time_max * self.settings.rounds.max(1);
        let running = AssertUnwindSafe((case.run)(&context)).catch_unwind();
        let result = match tokio::time::timeout(limit, running).await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => Err(Failure::new(format!("panicked: {}", panic_text(&*panic)))),
            Err(_) => Err(Failure::new(format!(
                "expected an end within {limit:?}, saw none after {} requests",
                tally.requests()
            ))),
        };
        let swept = self.sweep(&prefix, tally.keys()).await;
        self.dirty().retain(|dirty| !Arc::ptr_eq(dirty, tally));
        let result = result.map_err(|failure| match tally.sent_again(&failure.detail) {
            Some(after) if failure.verdict != Verdict::Skipped => failure.and(after),
            _ => failure,
        });
        match (result, swept) {
            // The case's own finding is the more telling one.
            (Ok(()), Err(problem)) => Err(Failure::new(format!("{CLEANING_UP}{problem}"))),
            (result, _) => {
                let mut notes = context.notes.into_inner().unwrap_or_else(PoisonError::into_inner);
                if tally.resends() > 0 {
                    notes.push(format!("busy, and asked again: {} times", tally.resends()));
                }
                result.map(|()| notes.join("; "))
            }
        }
    }

    fn dirty(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Tally>>> {
        self.dirty.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `.` and `-` are not in the alphabet of keys.
    fn prefix_of(&self, case: &Case) -> Prefix {
        let name = case.id.replace('.', "=").replace('-', "_");
        Prefix::new(format!("{}{name}/", self.prefix)).expect("the id of a case makes a prefix")
    }

    fn judge(&self, case: &Case, result: Result<String, Failure>) -> (Outcome, String) {
        let known = self.settings.known_issues.iter().find(|known| known.case == case.id);
        let (outcome, detail) = match result {
            Ok(notes) => (Outcome::Pass, notes),
            Err(failure) => {
                let outcome = match failure.verdict {
                    Verdict::Fail => Outcome::Fail,
                    Verdict::OverClaim => Outcome::OverClaim,
                    Verdict::UnderClaim => Outcome::UnderClaim,
                    Verdict::Skipped => Outcome::Skipped,
                };
                (outcome, failure.detail)
            }
        };
        match (known, outcome) {
            (Some(known), Outcome::Fail | Outcome::OverClaim) => {
                (Outcome::KnownIssue, format!("{}: {detail}", known.link))
            }
            (Some(known), Outcome::Pass) => {
                (Outcome::UnexpectedPass, format!("{} seems to be solved", known.link))
            }
            _ => (outcome, detail),
        }
    }

    /// Why the case cannot be tried here, if it cannot.
    pub(crate) fn reason_to_skip(&self, case: &Case) -> Option<String> {
        let capabilities = &self.info.capabilities;
        let hooks = self.harness.hooks();
        if hooks.voters > 0 && !case.id.starts_with("store.") {
            return Some(
                "this is several providers, and only stores know which is for what".into(),
            );
        }
        case.needs.iter().find_map(|need| {
            let (there, reason) = match need {
                Need::Absent => (
                    capabilities.absent != Atomicity::Unsupported,
                    "declared: no put on condition that the key is absent",
                ),
                Need::Matches => (
                    capabilities.matches != Atomicity::Unsupported,
                    "declared: no put on condition that the version matches",
                ),
                Need::StrongList => (
                    capabilities.list == ListConsistency::Strong,
                    "declared: lists show changes some time later",
                ),
                Need::VersionPerWrite => (
                    capabilities.versions == Versions::PerWrite,
                    "declared: versions tell contents apart, not writes",
                ),
                Need::SharedHost => (
                    capabilities.sharing >= Sharing::OneHost,
                    "declared: only one process can open the objects",
                ),
                Need::SecondProcess => {
                    (hooks.second_process.is_some(), "the harness offers no second process")
                }
                Need::Wire => (hooks.wire.is_some(), "the harness offers no hook on the wire"),
                Need::Crash => (hooks.crash.is_some(), "the harness offers no crash hook"),
                Need::Missing => (hooks.missing.is_some(), "the harness offers no missing place"),
                Need::Denied => (hooks.denied.is_some(), "the harness offers no bad credentials"),
                Need::Full => (hooks.full.is_some(), "the harness offers no full place"),
                Need::ReadOnly => {
                    (hooks.read_only.is_some(), "the harness offers no read-only place")
                }
            };
            (!there).then(|| reason.to_owned())
        })
    }

    /// Cleans up after cases that were interrupted, looks whether anything is left, and lets the harness
    /// take down what it made. The answer is what went wrong.
    pub(crate) async fn close(&self) -> Vec<String> {
        let interrupted: Vec<_> = self.dirty().drain(..).collect();
        let mut problems = Vec::new();
        let keys = interrupted.iter().flat_map(|tally| tally.keys()).collect();
        let mut swept = self.sweep(&self.prefix, keys).await;
        if !interrupted.is_empty() {
            // A put whose future was dropped may land a little later.
            tokio::time::sleep(LANDING_TIME).await;
            let keys = interrupted.iter().flat_map(|tally| tally.keys()).collect();
            swept = self.sweep(&self.prefix, keys).await;
        }
        if let Err(problem) = swept {
            problems.push(format!("{CLEANING_UP}{problem}"));
        }
        if let Err(error) = self.harness.close().await {
            problems.push(format!("closing the harness: {error}"));
        }
        problems
    }

    /// Deletes `keys` and all that is listed under `prefix`, until nothing is.
    async fn sweep(&self, prefix: &Prefix, keys: BTreeSet<Key>) -> Result<(), String> {
        let sweeping = self.sweep_now(prefix, keys);
        tokio::time::timeout(SWEEP_TIME_MAX, sweeping)
            .await
            .unwrap_or_else(|_| Err(format!("it did not end within {SWEEP_TIME_MAX:?}")))
    }

    async fn sweep_now(&self, prefix: &Prefix, keys: BTreeSet<Key>) -> Result<(), String> {
        // Who is busy now may have time to clean up in a moment.
        let provider = Patient::new(self.handles[0].clone(), Arc::new(|_| ()));
        let mut failure = None;
        if let Err(error) = provider.delete_many(keys).await {
            // Where a key is refused nothing was put either.
            let refused = |error: &Error| error.kind() == ErrorKind::InvalidKey;
            let serious = error.failures.iter().find(|(_, error)| !refused(error));
            failure = serious.map(|(_, error)| error.to_string());
        }
        for sweep in 0..SWEEPS_MAX {
            let mut left = Vec::new();
            let mut listing = provider.list_all(prefix);
            while let Some(listed) = listing.next().await {
                match listed {
                    Ok(listed) => left.push(listed.key),
                    Err(error) => {
                        failure = Some(error.to_string());
                        break;
                    }
                }
            }
            // A list that breaks the contract may name what is not ours.
            left.retain(|key| key.starts_with(prefix));
            match left.first() {
                None => return failure.map_or(Ok(()), Err),
                Some(first) => {
                    failure =
                        Some(format!("objects that stay: {}, the first is {first}", left.len()));
                }
            }
            if sweep > 0 {
                tokio::time::sleep(Duration::from_millis(50 << sweep)).await;
            }
            if let Err(error) = provider.delete_many(left).await {
                failure = Some(error.to_string());
            } else if sweep + 1 < SWEEPS_MAX {
                failure = None;
            }
        }
        Err(failure.unwrap_or_else(|| "objects stay".into()))
    }
}

/// Draws of one case do not depend on which others run.
fn seed_of(seed: u64, id: &str) -> u64 {
    // FNV-1a, which is the same on every platform and in every release.
    id.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests;
