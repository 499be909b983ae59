//! Test binaries: named targets, each case of each a test of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{OnceCell, watch};

use crate::run::Session;
use crate::settings::random_seed;
use crate::{Case, Harness, KnownIssue, Level, Outcome, Settings, cases, child};

/// The environment variable that replays a run of a test binary.
pub const SEED_VARIABLE: &str = "CONFORMANCE_SEED";
/// The environment variable with [`Settings::rounds`] for a test binary.
pub const ROUNDS_VARIABLE: &str = "CONFORMANCE_ROUNDS";

/// How long a provider may take to open while tests are listed.
const OPENING_TIME_MAX: Duration = Duration::from_secs(10);

/// A provider to test under a name, or the reason why it cannot be tested here.
pub struct Target {
    name: String,
    harness: Result<Arc<dyn Harness>, String>,
    settings: Settings,
}

impl Target {
    /// A provider to test.
    pub fn new(name: impl Into<String>, harness: impl Harness) -> Self {
        Self {
            name: name.into(),
            harness: Ok(Arc::new(harness)),
            settings: Settings { seed: 0, ..Settings::default() },
        }
    }

    /// A provider that cannot be tested here. Its cases are listed as ignored, each with the reason.
    pub fn unavailable(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            harness: Err(reason.into()),
            settings: Settings { seed: 0, ..Settings::default() },
        }
    }

    /// Leaves the target out where `left_out` holds: its cases are listed as ignored, each with the reason.
    #[must_use]
    pub fn ignored_if(mut self, left_out: bool, reason: impl Into<String>) -> Self {
        if left_out {
            self.harness = Err(reason.into());
        }
        self
    }

    /// Runs cases of these levels by default; those of others are listed as ignored, and run with
    /// `--include-ignored`.
    #[must_use]
    pub fn levels(mut self, levels: &[Level]) -> Self {
        self.settings.levels = levels.to_vec();
        self
    }

    /// Accepts for now that `case` fails, as written down at `link`.
    #[must_use]
    pub fn known_issue(mut self, case: impl Into<String>, link: impl Into<String>) -> Self {
        self.settings.known_issues.push(KnownIssue { case: case.into(), link: link.into() });
        self
    }

    /// Tests objects of at most so many bytes, where the provider declares more.
    #[must_use]
    pub fn object_bytes_max_tested(mut self, bytes: u64) -> Self {
        self.settings.object_bytes_max_tested = bytes;
        self
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target")
            .field("name", &self.name)
            .field("unavailable", &self.harness.as_ref().err())
            .finish_non_exhaustive()
    }
}

/// The `main` of a test binary with `harness = false`: each case of each target is a test called
/// `target::case.id`, or only `case.id` where the target's name is empty.
///
/// Takes the arguments of Rust's own test runner. The seed is printed, and taken from
/// `CONFORMANCE_SEED` where that is set.
#[must_use]
pub fn run_targets(targets: Vec<Target>) -> ExitCode {
    if let Ok(name) = env::var(child::TARGET_VARIABLE) {
        return be_second_process(&name, targets);
    }
    let arguments = Arguments::from_args();
    let (seed, rounds) = match (number_from(SEED_VARIABLE), number_from(ROUNDS_VARIABLE)) {
        (Ok(seed), Ok(rounds)) => (seed.unwrap_or_else(random_seed), rounds.unwrap_or(1)),
        (Err(problem), _) | (_, Err(problem)) => {
            say(format_args!("{problem}"));
            return ExitCode::from(2);
        }
    };
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => Arc::new(runtime),
        Err(error) => {
            say(format_args!("no runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let all_unavailable = targets.iter().all(|target| target.harness.is_err());
    if !arguments.list {
        say(format_args!("seed {seed}; replay with {SEED_VARIABLE}={seed}"));
        for target in &targets {
            if let Err(reason) = &target.harness {
                say(format_args!("{} is ignored: {reason}", target.name));
            }
        }
    }
    let (stop, stopped) = watch::channel(false);
    runtime.spawn(async move {
        // The first time, cases end and are cleaned up after; the second time, this does.
        for last in [false, true] {
            if tokio::signal::ctrl_c().await.is_err() {
                return;
            }
            if last {
                std::process::exit(130);
            }
            say(format_args!("interrupted: cleaning up"));
            // Nobody waits when all cases have ended.
            let _ = stop.send(true);
        }
    });
    // Nextest asks a test for its exit code only, in which a skipped case looks like one that passed: so it
    // is told beforehand what will be skipped.
    let asked_by_nextest = arguments.list && env::var_os("NEXTEST").is_some();
    let mut trials = Vec::new();
    let mut sessions = BTreeMap::new();
    for target in targets {
        let session: SharedSession = Arc::default();
        if let Ok(harness) = &target.harness {
            sessions.insert(target.name.clone(), (session.clone(), harness.clone()));
        }
        let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
        let settings = Settings { seed, rounds, ..target.settings };
        let mut skipped = BTreeSet::new();
        if let (true, Ok(harness)) = (asked_by_nextest, &target.harness) {
            skipped = runtime.block_on(skipped_by(harness.clone(), settings.clone()));
        }
        for case in cases() {
            let unavailable = asked_by_nextest && target.harness.is_err();
            let ignored = unavailable || skipped.contains(case.id);
            let trial = trial(
                &target.name,
                case,
                target.harness.clone(),
                settings.clone(),
                session.clone(),
                runtime.clone(),
                stopped.clone(),
            );
            let ignored = ignored || trial.has_ignored_flag();
            trials.push(trial.with_ignored_flag(ignored));
        }
    }
    let narrowed = arguments.filter.is_some() || !arguments.skip.is_empty() || arguments.ignored;
    let conclusion = libtest_mimic::run(&arguments, trials);
    if arguments.list {
        return ExitCode::SUCCESS;
    }
    let mut failed = conclusion.has_failed();
    // `cargo test NAME` asks every test binary, also those that have nothing of that name.
    if conclusion.num_passed + conclusion.num_failed == 0 && !narrowed && !all_unavailable {
        say(format_args!("no case ran"));
        failed = true;
    }
    for (name, (session, harness)) in sessions {
        let problems = match session.get() {
            None => Vec::new(),
            Some(Ok(session)) => runtime.block_on(session.close()),
            // It may have got as far as to set something up.
            Some(Err(_)) => {
                runtime.block_on(harness.close()).err().iter().map(ToString::to_string).collect()
            }
        };
        for problem in problems {
            say(format_args!("{name}: {problem}"));
            failed = true;
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn number_from(variable: &str) -> Result<Option<u64>, String> {
    match env::var(variable).map(|text| text.parse()) {
        Ok(Ok(number)) => Ok(Some(number)),
        Ok(Err(_)) => Err(format!("{variable} must be a whole number")),
        Err(_) => Ok(None),
    }
}

/// What a test binary does when the suite has started it as a second process.
fn be_second_process(name: &str, targets: Vec<Target>) -> ExitCode {
    let found = targets.into_iter().find(|target| target.name == name);
    let served = match found.map(|target| target.harness) {
        None => Err(format!("there is no target called {name:?}")),
        Some(Err(reason)) => Err(reason),
        Some(Ok(harness)) => Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())
            .and_then(|runtime| {
                let served = runtime.block_on(child::serve(harness));
                // Threads that were told to stop for ever must not keep the process.
                runtime.shutdown_background();
                served.map_err(|error| error.to_string())
            }),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            say(format_args!("second process: {problem}"));
            ExitCode::FAILURE
        }
    }
}

/// The cases that the provider or the harness rules out. None when that cannot be found out in time: the
/// cases themselves will tell.
async fn skipped_by(harness: Arc<dyn Harness>, settings: Settings) -> BTreeSet<&'static str> {
    let opening = tokio::time::timeout(OPENING_TIME_MAX, Session::open(harness, settings));
    let Ok(Ok(session)) = opening.await else { return BTreeSet::new() };
    let ruled_out = |case: &&Case| session.reason_to_skip(case).is_some();
    let skipped = cases().iter().filter(ruled_out).map(|case| case.id).collect();
    // Nothing was put; a harness that cannot take down what it set up says so after the run.
    session.close().await;
    skipped
}

/// Opened by the first case that needs it.
type SharedSession = Arc<OnceCell<Result<Session, String>>>;

fn trial(
    target: &str,
    case: &'static Case,
    harness: Result<Arc<dyn Harness>, String>,
    settings: Settings,
    session: SharedSession,
    runtime: Arc<Runtime>,
    mut stopped: watch::Receiver<bool>,
) -> Trial {
    let name =
        if target.is_empty() { case.id.to_owned() } else { format!("{target}::{}", case.id) };
    // One that is unavailable is run, to the point where it gives the reason.
    let ignored = harness.is_ok() && !settings.asks_for(case);
    Trial::ignorable_test(name, move || {
        let harness = match harness {
            Ok(harness) => harness,
            Err(reason) => return Ok(Completion::ignored_with(reason)),
        };
        let seed = settings.seed;
        let case_run = async {
            let opening = || async {
                let opened = Session::open(harness, settings).await;
                opened.map_err(|error| format!("the provider could not be opened: {error}"))
            };
            match session.get_or_init(opening).await {
                Ok(session) => Ok(session.run_case(case).await),
                Err(problem) => Err(Failed::from(problem)),
            }
        };
        let report = runtime.block_on(async {
            tokio::select! {
                report = case_run => report,
                _ = stopped.wait_for(|stopped| *stopped) => Err(Failed::from("interrupted")),
            }
        })?;
        match report.outcome {
            Outcome::Pass => Ok(Completion::Completed),
            Outcome::Skipped => Ok(Completion::ignored_with(report.detail)),
            Outcome::UnderClaim | Outcome::KnownIssue | Outcome::UnexpectedPass => {
                Ok(Completion::ignored_with(format!("{}: {}", report.outcome, report.detail)))
            }
            Outcome::Fail | Outcome::OverClaim => Err(Failed::from(format!(
                "{}: {}\nrequired: {}\nseed: {seed}",
                report.outcome, report.detail, case.requires
            ))),
        }
    })
    .with_ignored_flag(ignored)
}

/// Tests print; libraries do not. This one is a test's `main`.
fn say(line: std::fmt::Arguments<'_>) {
    // Nobody to tell when standard error is gone.
    let _ = writeln!(std::io::stderr(), "conformance: {line}");
}

/// Writes the `main` of a test binary with `harness = false` that runs the suite on a provider.
///
/// With one closure, called once per handle wanted; or with a list of targets, each a [`Target`].
///
/// ```no_run
/// use backend_memory::MemoryProvider;
/// use std::sync::LazyLock;
///
/// static SHARED: LazyLock<MemoryProvider> = LazyLock::new(MemoryProvider::new);
///
/// conformance::main!(|| async { Ok(SHARED.clone()) });
/// ```
#[macro_export]
macro_rules! main {
    ([$($target:expr),+ $(,)?]) => {
        fn main() -> ::std::process::ExitCode {
            $crate::run_targets(::std::vec![$($target),+])
        }
    };
    ($open:expr) => {
        fn main() -> ::std::process::ExitCode {
            $crate::run_targets(::std::vec![$crate::Target::new("", $crate::harness($open))])
        }
    };
}
