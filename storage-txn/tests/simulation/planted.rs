//! Mistakes that are put in on purpose, each of which the simulation has to find.
//!
//! They are in the code where they would be made, behind `planted("name")`, and are built in only with debug
//! assertions. `cargo xtask planted` looks for all of them.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use simulation::{Found, Plan, Sim, Simulator};

/// A mistake that is put in on purpose.
struct Bug {
    name: &'static str,
    /// What is done wrong.
    what: &'static str,
    /// Whether it is looked for in every run of the tests.
    is_easy: bool,
    /// Whether it is about how long large values are kept, and so is looked for where that is all there is.
    is_of_values: bool,
}

const fn bug(name: &'static str, what: &'static str) -> Bug {
    Bug { name, what, is_easy: false, is_of_values: false }
}

const fn easy(name: &'static str, what: &'static str) -> Bug {
    Bug { name, what, is_easy: true, is_of_values: false }
}

const fn of_values(name: &'static str, what: &'static str) -> Bug {
    Bug { name, what, is_easy: true, is_of_values: true }
}

const BUGS: &[Bug] = &[
    bug("log-overwrites", "a slot is written whether it is free or not"),
    bug("log-lost-is-failed", "a lost answer of an append is told as a failure"),
    bug("log-empty-is-failed", "a slot found empty after a lost answer is told as a failure"),
    bug("log-any-entry-is-ours", "whatever stands at the slot is taken for the handle's own"),
    bug("log-own-entry-is-anothers", "whatever stands at the slot is taken for another's"),
    bug("log-collects-without-tombstone", "a collected slot is deleted"),
    bug("commit-other-bytes-in-doubt", "after a lost answer other bytes are sent for the slot"),
    bug("commit-does-not-validate-again", "whoever lost a slot goes on without validating again"),
    bug("commit-unknown-is-failed", "an unknown outcome is told as a failure"),
    bug("commit-of-a-reaped-session", "a commit does not look whether its session was reaped"),
    bug("commit-time-goes-back", "an entry has the time of the clock, also where that is earlier"),
    easy("commit-receipt-of-the-batch", "all transactions of a batch are told the first's version"),
    bug("validation-ignores-ids", "nobody looks whether an id was committed or shut out already"),
    bug(
        "validation-ignores-the-batch",
        "transactions of one batch are not held against each other",
    ),
    bug("validation-ignores-what-is-required", "versions that were required are not looked at"),
    bug("validation-ignores-segments", "only what is in memory is validated against"),
    bug("validation-ignores-ranges-in-segments", "phantoms that are in segments are not seen"),
    bug("validation-ignores-ranges", "phantoms are not seen"),
    bug("validation-misses-the-next-version", "the first change after the snapshot is not seen"),
    bug("validation-asks-one-segment", "only the newest segment is validated against"),
    bug(
        "validation-passes-over-blocks",
        "a block whose last change is the next one is passed over",
    ),
    bug("absence-is-no-read", "a key that was found missing does not count as read"),
    bug("scan-of-nothing-is-no-read", "a range that was found empty does not count as read"),
    bug("scan-counts-the-wrong-end", "a scan with a limit counts the part it has not seen as read"),
    bug("scan-does-not-count-its-last-key", "the last key of a scan with a limit does not count"),
    bug(
        "reads-are-checked-against-what-is-known",
        "who only reads does not look for newer commits",
    ),
    bug("latest-is-what-is-known", "the latest snapshot is of what the handle knows already"),
    bug("probe-answers-who-came-later", "who asks for the end gets an answer that was under way"),
    bug("memory-knows-one-change-a-key", "what is below the newest change in memory is not seen"),
    easy("memory-forgets-versions", "a snapshot sees what was committed later"),
    bug("memory-is-let-go-early", "memory is dropped that is in no segment"),
    bug("read-stops-at-the-first-place", "segments are not asked where memory knows something"),
    easy("merges-in-any-order", "merges of a key are done in the wrong order"),
    easy("transaction-does-not-see-itself", "a transaction does not read what it has written"),
    bug("entry-is-applied-without-its-ids", "commit records and ids of an entry are not kept"),
    easy("scan-leaves-its-first-key-out", "a scan of memory begins with the second key"),
    bug("flush-leaves-deletions-out", "a deletion is not written into segments"),
    bug("flush-says-one-version-more", "a flush says that it holds a version which it does not"),
    bug("reaper-ignores-what-is-named", "segments of a reaped session are deleted, named or not"),
    bug(
        "commit-answers-are-mixed-up",
        "the transactions of a batch are told each other's versions",
    ),
    bug(
        "validation-ignores-the-first-key-of-a-range",
        "phantoms at the start of a range are not seen",
    ),
    bug("catch-up-stops-after-one", "the log is read one entry further, and not to its end"),
    easy("past-snapshot-is-the-present", "a snapshot of a version shows the newest one"),
    bug("outcome-only-reads", "a transaction that is not in the log is told as not committed"),
    bug("outcome-passes-over-the-fence", "a transaction that was shut out is told as committed"),
    bug("flush-leaves-the-first-out", "the first version after the last flush is in no segment"),
    bug("flush-deletes-in-doubt", "segments are deleted whose commit may yet appear"),
    bug("flush-names-what-was-not-stored", "a segment is committed though storing it failed"),
    bug("flush-keeps-one-change-a-key", "only the newest change of a key goes into segments"),
    bug("flush-forgets-the-oldest-memory", "only the newest memory is flushed"),
    bug(
        "checkpoint-opens-one-version-late",
        "who opens by a checkpoint counts one version too many",
    ),
    bug("checkpoint-of-more-than-is-flushed", "a checkpoint names a slot that is not in segments"),
    bug("filter-denies-what-is-there", "a filter says of one key in eight that it is not there"),
    bug("cache-mixes-segments", "blocks of all segments of a session are taken for each other"),
    bug(
        "reaper-deletes-before-it-has-reaped",
        "objects are deleted before the reaping is committed",
    ),
    bug("reaper-does-not-look-again", "what was unnamed before the reaping is deleted after it"),
    bug("collection-goes-beyond-the-checkpoint", "entries are collected that no checkpoint covers"),
    easy("compaction-drops-history", "what was superseded is not kept when segments are merged"),
    bug(
        "compaction-forgets-what-it-has-to-hide",
        "a deletion is dropped that still hides something",
    ),
    bug("compaction-forgets-emptied-ranges", "what is below an emptied range is taken for current"),
    easy(
        "compaction-merges-in-the-wrong-order",
        "what merges come to is made from the last to the first",
    ),
    bug(
        "compaction-takes-what-is-no-longer-there",
        "two compact the same segments, and both succeed",
    ),
    bug(
        "history-is-passed-over-too-early",
        "a segment of history is passed over one version early",
    ),
    bug("pack-goes-one-too-far", "the horizon is one version higher than what was asked for"),
    bug("pack-ignores-tags", "what a tag keeps is dropped"),
    bug("pack-does-not-look-for-new-tags", "what a tag keeps that was set meanwhile is dropped"),
    bug("pack-ignores-cursors", "the horizon passes cursors"),
    bug("pack-ignores-pins", "the horizon passes pins"),
    bug(
        "pack-forgets-who-was-shut-out",
        "that a transaction was shut out is dropped with its record",
    ),
    bug(
        "pack-deletes-values-that-have-copies",
        "a value is obsolete as soon as one key lets go of it",
    ),
    of_values("pack-does-not-look-for-new-copies", "a value is obsolete that was copied meanwhile"),
    bug("pack-leaves-records-of-values", "a value that was dropped is still said to be needed"),
    bug("pack-leaves-values-behind", "history is dropped without looking which values it puts"),
    bug("reads-go-below-the-horizon", "a version that is no longer kept is read all the same"),
    bug(
        "renewal-ignores-the-horizon",
        "who finds a segment gone goes on at a version that is no longer kept",
    ),
    bug(
        "checkpoint-forgets-the-horizon",
        "who opens by a checkpoint does not know what was packed away",
    ),
    bug(
        "reaper-ignores-values-that-are-named",
        "values of a reaped session are deleted, named or not",
    ),
    easy("undo-passes-over-what-came-after", "an undo takes back what others have put since"),
    easy("copy-is-no-read", "a copy does not depend on what it copies"),
    easy("parts-of-values-miss-their-end", "a part of a value is a byte too short"),
    bug("pin-trusts-what-it-knows", "a pin does not look whether its version is still kept"),
    of_values("collection-ignores-pins", "what a pinned version needs is deleted"),
    bug("combiner-silence-is-no", "what a combiner did not answer is taken for not done"),
    bug(
        "combiner-validates-from-the-end",
        "a combiner does not look what has changed since others have read",
    ),
    of_values(
        "uploads-are-put-twice",
        "a value that was committed is put again after it may be gone",
    ),
];

/// The names in `planted("...")`, in all of our code that is simulated here: logs on many providers are by tests of their own.
fn places(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("quorum") {
            continue;
        }
        if path.is_dir() {
            places(&path, found);
        } else {
            let text = std::fs::read_to_string(&path).unwrap();
            for after in text.split("planted(\"").skip(1) {
                found.extend(after.split('"').next().map(str::to_owned));
            }
        }
    }
}

#[test]
fn every_planted_mistake_is_in_the_table_and_in_the_code() {
    let mut found = BTreeSet::new();
    for folder in ["../storage-log/src", "src"] {
        places(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut found);
    }
    let table: BTreeSet<String> = BUGS.iter().map(|bug| bug.name.to_owned()).collect();
    assert_eq!(table, found);
}

/// How many seeds a mistake that is easily found may take: most take a tenth.
const EASY_SEEDS: u64 = 400;

/// The run of a seed that shows a mistake, and how many runs that took. Lists are whole in the second half. Mistakes of
/// those who combine are looked for where they do, and so are those of how long values are kept.
fn find(bug: &Bug, seeds: &Range<u64>, shrink_runs_max: u64) -> (Option<Found>, u64) {
    storage_log::planted::plant(bug.name);
    if bug.name.starts_with("combiner-") {
        let combining = Simulator::new(|sim: &mut Sim| crate::combining_processes(sim, 3));
        let combining = combining.shrink_runs_max(shrink_runs_max);
        let report = combining.soak(seeds.clone(), &Plan::rough());
        storage_log::planted::plant("");
        return (report.found, report.tally.runs);
    }
    if bug.is_of_values {
        let keeping = Simulator::new(|sim: &mut Sim| crate::keeping_processes(sim, 2));
        let report = keeping.shrink_runs_max(shrink_runs_max).soak(seeds.clone(), &Plan::calm());
        storage_log::planted::plant("");
        return (report.found, report.tally.runs);
    }
    let rough = Simulator::new(|sim: &mut Sim| crate::processes(sim, 3));
    let mut report = rough.shrink_runs_max(shrink_runs_max).soak(seeds.clone(), &Plan::rough());
    let mut runs = report.tally.runs;
    if report.found.is_none() {
        let whole = Simulator::new(|sim: &mut Sim| crate::pinning_processes(sim, 3));
        let plan = crate::rough_with_whole_lists();
        report = whole.shrink_runs_max(shrink_runs_max).soak(seeds.clone(), &plan);
        runs += report.tally.runs;
    }
    storage_log::planted::plant("");
    (report.found, runs)
}

fn check(bugs: &[&Bug], seeds: &Range<u64>, shrink_runs_max: u64) {
    let mut missed = Vec::new();
    for bug in bugs {
        let start = Instant::now();
        let (found, runs) = find(bug, seeds, shrink_runs_max);
        let time = start.elapsed().as_secs_f64();
        match found {
            Some(found) if shrink_runs_max > 0 => {
                println!("{}\nfound: {}, {found}", bug.what, bug.name);
            }
            Some(found) => {
                let why = found.failure.to_string();
                let why = why.lines().next().unwrap_or_default();
                let why: String = why.chars().take(100).collect();
                println!(
                    "found by {} in {runs} runs, {time:.1} s: {}: {why}",
                    found.origin, bug.name
                );
            }
            None => {
                println!("NOT FOUND in {runs} runs, {time:.1} s: {}", bug.name);
                missed.push(format!("{}: {}", bug.name, bug.what));
            }
        }
    }
    assert!(missed.is_empty(), "not found:\n  {}", missed.join("\n  "));
}

/// Those that show themselves in a few runs: the simulation still sees what it saw.
#[test]
#[cfg_attr(not(debug_assertions), ignore = "mistakes are built in with debug assertions only")]
fn planted_mistakes_that_are_easily_found_are_found() {
    let easy: Vec<_> = BUGS.iter().filter(|bug| bug.is_easy).collect();
    check(&easy, &(0..EASY_SEEDS), 0);
}

/// `SIMULATION_PLANTED` is the one to look for, or `all`.
#[test]
#[ignore = "takes long: cargo xtask planted runs it"]
fn every_planted_mistake_is_found() {
    let are_built_in = storage_log::planted::IS_BUILT_IN;
    assert!(are_built_in, "mistakes are built in with debug assertions only");
    let only = std::env::var("SIMULATION_PLANTED").unwrap_or_else(|_| "all".to_owned());
    let seeds = crate::seeds(20_000);
    // What goes wrong without a mistake says nothing of mistakes.
    let clean = Simulator::new(|sim: &mut Sim| crate::processes(sim, 3));
    clean.soak(seeds.start..seeds.end.min(seeds.start + 1000), &Plan::rough()).assert_clean();
    let wanted: Vec<_> = BUGS.iter().filter(|bug| only == "all" || only == bug.name).collect();
    assert!(!wanted.is_empty(), "there is no mistake with the name {only:?}");
    check(&wanted, &seeds, if only == "all" { 0 } else { 2000 });
}
