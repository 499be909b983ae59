//! Which tests come by which mutant, and whether they notice it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::list::Mutant;
use super::process::{Ended, run};
use super::tree::Binary;

/// How much CPU time a test may take without a mutant.
const SECONDS_MAX: u64 = 600;
/// The CPU time that tests may take more than without the mutant: so many times as much, and so many seconds.
const SLOWER_TIMES_MAX: u32 = 4;
const SLOWER_SECONDS_MAX: u64 = 3;
/// How much CPU time the tests of one process may take, at first and at most; one test may take more. Starting a process
/// takes some too, and one that hangs is only noticed after several times as much.
const BATCH_MIN: Duration = Duration::from_millis(100);
const BATCH_MAX: Duration = Duration::from_secs(3);

/// What became of a mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// A test failed.
    Caught,
    /// The tests did not end.
    Hung,
    /// Tests came by and did not notice.
    Missed,
    /// No test comes by.
    Unreached,
}

/// A test of a binary.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Test {
    /// Which binary, and of when.
    built: (PathBuf, SystemTime),
    name: String,
    /// CPU time.
    pub(super) takes: Duration,
    reaches: BTreeSet<u32>,
}

/// Runs every test of `binaries` by itself, to know how long it takes and which mutants it comes by. What is known already
/// of a binary, from the file `tests` in `folder`, is not done again.
pub(super) fn tests(binaries: &[Binary], folder: &Path, jobs: usize) -> Result<Vec<Test>> {
    let path = folder.join("tests");
    let known: Vec<Test> =
        fs::read(&path).ok().and_then(|it| serde_json::from_slice(&it).ok()).unwrap_or_default();
    let (mut tests, mut unknown) = (Vec::new(), Vec::new());
    for binary in binaries {
        let built = (binary.program.clone(), fs::metadata(&binary.program)?.modified()?);
        let before = tests.len();
        tests.extend(known.iter().filter(|test| test.built == built).cloned());
        if tests.len() == before {
            unknown.extend(names(binary)?.into_iter().map(|name| (binary, built.clone(), name)));
        }
    }
    tests.extend(in_parallel(&unknown, jobs, |at, (binary, built, name)| {
        let note = folder.join(format!("reached-{at}"));
        fs::remove_file(&note).ok();
        let variables = [("MUTANTS_REACHED", &*note)];
        let (ended, takes) = run(binary, &[name], SECONDS_MAX, &variables)?;
        if ended != Ended::Passed {
            bail!("{} {name} fails without any mutant: {ended:?}", binary.name);
        }
        let text = fs::read_to_string(&note).unwrap_or_default();
        fs::remove_file(&note).ok();
        let reaches = text.lines().filter_map(|line| line.parse().ok()).collect();
        Ok(Test { built: built.clone(), name: name.clone(), takes, reaches })
    })?);
    fs::write(&path, serde_json::to_vec(&tests)?)?;
    tests.sort_by_key(|test| test.takes);
    Ok(tests)
}

fn names(binary: &Binary) -> Result<Vec<String>> {
    let mut list = Command::new(&binary.program);
    list.args(["--list", "--format=terse"]).current_dir(&binary.folder);
    let output = list.output().with_context(|| format!("list the tests of {}", binary.name))?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().filter_map(|line| Some(line.strip_suffix(": test")?.to_owned())).collect())
}

/// Tries every mutant of `chosen`. `told` is called with each, as it is known.
pub(super) fn outcomes(
    binaries: &[Binary],
    tests: &[Test],
    chosen: &[&Mutant],
    jobs: usize,
    told: impl Fn(usize, &Mutant, Outcome) + Sync,
) -> Result<BTreeMap<u32, Outcome>> {
    let done = AtomicUsize::new(0);
    let found = in_parallel(chosen, jobs, |_, mutant| {
        let outcome = try_out(binaries, tests, mutant.number)?;
        told(done.fetch_add(1, Ordering::Relaxed) + 1, mutant, outcome);
        Ok((mutant.number, outcome))
    })?;
    Ok(found.into_iter().collect())
}

/// The quickest tests first, and so many at once that starting a process is not what takes the time.
fn try_out(binaries: &[Binary], tests: &[Test], number: u32) -> Result<Outcome> {
    let mut coming: Vec<_> = tests.iter().filter(|test| test.reaches.contains(&number)).collect();
    if coming.is_empty() {
        return Ok(Outcome::Unreached);
    }
    let mut batch_max = BATCH_MIN;
    while !coming.is_empty() {
        let (mut batch, mut takes) = (Vec::new(), Duration::ZERO);
        let program = coming[0].built.0.clone();
        let binary = binaries.iter().find(|binary| binary.program == program);
        let binary = binary.context("every test is of a binary")?;
        coming.retain(|test| {
            let now =
                test.built.0 == program && (batch.is_empty() || takes + test.takes <= batch_max);
            if now {
                takes += test.takes;
                batch.push(&*test.name);
            }
            !now
        });
        batch_max = BATCH_MAX.min(batch_max * 2);
        let seconds_max = (takes * SLOWER_TIMES_MAX).as_secs() + SLOWER_SECONDS_MAX;
        let on = number.to_string();
        match run(binary, &batch, seconds_max, &[("MUTANT_ON", Path::new(&on))])?.0 {
            Ended::Passed => {}
            Ended::Failed => return Ok(Outcome::Caught),
            Ended::Hung => return Ok(Outcome::Hung),
        }
    }
    Ok(Outcome::Missed)
}

/// Does it for all, `jobs` at a time; the answers are in the order of `all`.
fn in_parallel<T: Sync, U: Send>(
    all: &[T],
    jobs: usize,
    task: impl Fn(usize, &T) -> Result<U> + Sync,
) -> Result<Vec<U>> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(one) = all.get(at) else { return };
                    let answer = task(at, one);
                    if answer.is_err() {
                        next.store(all.len(), Ordering::Relaxed);
                    }
                    done.lock().expect("no task panics while it holds this").insert(at, answer);
                }
            });
        }
    });
    done.into_inner().expect("no task panics while it holds this").into_values().collect()
}
