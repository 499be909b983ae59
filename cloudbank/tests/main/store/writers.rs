//! Processes that commit all the while that a test changes where the log is.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::Bench;

/// How often it is looked, each ten milliseconds, whether others have gone on: some minutes.
const LOOKS_MAX: u32 = 30_000;

/// Runs commands one after the other under two loops of `store put`, none of which may be refused, and goes on with the next
/// when both had time to commit. Then everything that they were told is committed has to be there, and the store sound:
/// first comes `at_last`.
pub(super) fn under_writers(bench: &Bench, commands: &[&str], at_last: impl FnOnce()) {
    let ended = AtomicBool::new(false);
    let done = Mutex::new(Vec::new());
    let count = || done.lock().unwrap().len();
    std::thread::scope(|scope| {
        for writer in 0..2 {
            let (ended, done) = (&ended, &done);
            scope.spawn(move || {
                for nth in 0.. {
                    if ended.load(Ordering::Relaxed) {
                        return;
                    }
                    let key = format!("{writer}-{nth}");
                    let output = bench.feed(&format!("store put {key} -"), key.as_bytes());
                    assert!(output.status.success(), "{}", bench.shown(&output));
                    done.lock().unwrap().push(key);
                }
            });
        }
        for command in commands {
            let before = count();
            bench.ok(command);
            let mut looks = 0;
            while count() < before + 2 && looks < LOOKS_MAX {
                std::thread::sleep(Duration::from_millis(10));
                looks += 1;
            }
            if looks == LOOKS_MAX {
                // Or the writers would go on for ever.
                ended.store(true, Ordering::Relaxed);
                panic!("nobody commits after {command}");
            }
        }
        ended.store(true, Ordering::Relaxed);
    });
    at_last();
    let done = done.into_inner().unwrap();
    assert!(done.len() >= 2 * commands.len(), "{}", done.len());
    for key in &done {
        assert_eq!(bench.ok(&format!("store cat {key}")), *key);
    }
    let verified = bench.ok("store verify");
    assert!(verified.contains(&format!("sound: version {}", done.len())), "{verified}");
}
