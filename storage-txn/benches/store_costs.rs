//! The costs of a store in requests and bytes, counted: a row for each bound of the design. Nothing is timed.
//!
//! `cargo xtask bench store_costs`. The test `costs` of this crate holds the same rows to their bounds.

#[path = "../tests/main/costs/rows.rs"]
mod rows;

use rows::Row;
use storage_txn::Result;

fn main() -> Result<()> {
    // `cargo test --benches` comes without.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true);
    let rows = runtime.build().expect("a runtime can be made").block_on(all())?;
    println!("{:52} {:>8} {:>8}", "", "at most", "counted");
    for row in rows {
        println!("{:52} {:8.3} {:8.3}", row.what, row.most, row.counted);
    }
    Ok(())
}

/// All rows, in the order of the table.
async fn all() -> Result<Vec<Row>> {
    let mut all = vec![rows::puts_of_a_batch().await?, rows::round_trips_of_a_commit().await?];
    all.extend(rows::gets_of_a_point().await?);
    all.extend(rows::gets_of_a_cold_point().await?);
    all.extend(rows::gets_of_a_scan().await?);
    all.extend(rows::opening().await?);
    all.extend(rows::bytes_written().await?);
    all.push(rows::bytes_written_of_large_values().await?);
    all.extend(rows::bytes_stored().await?);
    all.push(rows::requests_when_idle().await?);
    all.push(rows::aborts_without_a_conflict().await?);
    Ok(all)
}
