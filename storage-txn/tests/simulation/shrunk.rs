//! That what is found is told so that a person can follow it: shown on mistakes put in on purpose.

use simulation::{Plan, Sim, Simulator};

/// Mistakes of different kinds: of the log, of what is validated, of reading, of storing.
const MISTAKES: [&str; 4] = [
    "log-lost-is-failed",
    "validation-ignores-ranges",
    "memory-forgets-versions",
    "commit-receipt-of-the-batch",
];

#[test]
#[ignore = "takes long, and needs debug assertions"]
fn a_mistake_among_three_processes_is_told_in_sixty_lines_with_nothing_left_out() {
    for mistake in MISTAKES {
        storage_log::planted::plant(mistake);
        let simulator = Simulator::new(|sim: &mut Sim| crate::processes(sim, 3));
        let report = simulator.soak(crate::seeds(20_000), &Plan::rough());
        storage_log::planted::plant("");
        let found = report.found.unwrap_or_else(|| panic!("{mistake} is not found"));
        let told = found.to_string();
        println!("{mistake}: {told}");
        let lines = told.lines().filter(|line| line.starts_with("    ")).count();
        assert!(lines <= 60 && !told.contains("left out"), "{mistake} is told in {lines} lines");
    }
}
