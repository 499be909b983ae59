//! That what is found is told so that a person can follow it: shown on mistakes put in on purpose.

use simulation::Plan;

/// Mistakes of different kinds: of the log, of what is told, of what is validated.
const MISTAKES: [&str; 3] =
    ["log-overwrites", "log-lost-is-failed", "commit-does-not-validate-again"];

#[test]
#[ignore = "takes long, and needs debug assertions"]
fn a_mistake_among_two_processes_is_told_in_sixty_lines_with_nothing_left_out() {
    for mistake in MISTAKES {
        storage_log::planted::plant(mistake);
        let report = crate::script::simulator().soak(crate::seeds(20_000), &Plan::rough());
        storage_log::planted::plant("");
        let found = report.found.unwrap_or_else(|| panic!("{mistake} is not found"));
        let told = found.to_string();
        println!("{mistake}: {told}");
        // The message has lines of its own.
        let lines = told.lines().count() - found.failure.to_string().lines().count();
        assert!(lines <= 62 && !told.contains("left out"), "{mistake} is told in {lines} lines");
    }
}
