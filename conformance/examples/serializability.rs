//! How long the checks of transactions take: `cargo run --release -p conformance --example serializability -- 100000`.

use std::time::Instant;

use conformance::serializability::database::{Isolation, Operations, Workload};
use conformance::serializability::{check, check_witness};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let transactions: usize = match std::env::args().nth(1) {
        Some(count) => count
            .parse()
            .map_err(|error| format!("the number of transactions, {count:?}: {error}"))?,
        None => 100_000,
    };
    println!("{transactions} transactions, seconds");
    println!(
        "{:<20}{:<12}{:>8}{:>8}{:>9}  verdict",
        "isolation", "operations", "run", "cycles", "witness"
    );
    for isolation in
        [Isolation::StrictSerializable, Isolation::Snapshot, Isolation::ReadUncommitted]
    {
        for operations in [Operations::Lists, Operations::Registers] {
            let workload = Workload {
                transactions,
                processes: 10,
                keys: 10,
                ..Workload::new(isolation, operations)
            };
            let (history, run) = timed(|| workload.run(1));
            let history = history?;
            let (cycles, checked) = timed(|| check(&history));
            let (_, replayed) = timed(|| check_witness(&history, None));
            let verdict = match cycles {
                Ok(()) => "valid".into(),
                Err(found) => {
                    format!("{} violations, {} worst", found.all().len(), found.all()[0].anomaly)
                }
            };
            let (isolation, operations) = (format!("{isolation:?}"), format!("{operations:?}"));
            println!(
                "{isolation:<20}{operations:<12}{run:>8.2}{checked:>8.2}{replayed:>9.2}  {verdict}"
            );
        }
    }
    Ok(())
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed().as_secs_f64())
}
