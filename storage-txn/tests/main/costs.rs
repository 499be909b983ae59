//! The table of the design, held: what a store costs in requests and bytes. `flush.rs` has the costs of opening and reading
//! small stores, and the conformance suite those of committing on each provider.

#[path = "costs/rows.rs"]
mod rows;

use rows::Row;
use storage_txn::Result;

/// Holds a row to its bound, and to be at least what is certainly needed, so that nothing goes uncounted.
#[track_caller]
fn check(row: Result<Row>, least: f64) {
    let row = row.unwrap();
    println!("{:52} {:8.3} {:8.3}", row.what, row.most, row.counted);
    assert!(
        (least..=row.most).contains(&row.counted),
        "{}: {:.3}, and it has to be from {least} to {}",
        row.what,
        row.counted,
        row.most
    );
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_transactions_costs_a_put() {
    check(rows::puts_of_a_batch().await, 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_small_commit_takes_one_round_trip() {
    check(rows::round_trips_of_a_commit().await, 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_point_takes_as_many_gets_as_the_caches_leave() {
    let [warm, indexed, first, absent] = rows::gets_of_a_point().await.unwrap();
    check(Ok(warm), 0.0);
    check(Ok(indexed), 0.9);
    check(Ok(first), 2.0);
    check(Ok(absent), 0.0);
}

#[tokio::test(start_paused = true)]
async fn opening_takes_three_requests_and_the_tail_at_once() {
    let [requests, trips, trips_of_tail] = rows::opening().await.unwrap();
    check(Ok(requests), 6.0);
    check(Ok(trips), 3.0);
    check(Ok(trips_of_tail), 4.0);
}

#[tokio::test(start_paused = true)]
async fn a_cold_point_takes_a_get_for_each_run_and_one_more() {
    let [now, most, then, compacted, most_then] = rows::gets_of_a_cold_point().await.unwrap();
    check(Ok(now), 1.5);
    check(Ok(most), 4.0);
    check(Ok(then), 2.0);
    check(Ok(compacted), 2.0);
    check(Ok(most_then), 3.0);
}

#[tokio::test(start_paused = true)]
async fn a_scan_reads_ever_more_blocks_at_once() {
    let [forward, backward, first] = rows::gets_of_a_scan().await.unwrap();
    check(Ok(forward), 5.0);
    check(Ok(backward), 5.0);
    check(Ok(first), 2.0);
}

#[tokio::test(start_paused = true)]
async fn a_small_value_is_written_about_five_times() {
    let [least, compacted] = rows::bytes_written().await.unwrap();
    check(Ok(least), 2.0);
    check(Ok(compacted), 3.0);
}

#[tokio::test(start_paused = true)]
async fn a_large_value_is_written_once() {
    check(rows::bytes_written_of_large_values().await, 1.0);
}

#[tokio::test(start_paused = true)]
async fn what_is_live_or_history_is_stored_once_and_nothing_else_is() {
    for row in rows::bytes_stored().await.unwrap() {
        // Names of keys and times pack.
        check(Ok(row), 0.9);
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_store_asks_for_nothing() {
    check(rows::requests_when_idle().await, 0.0);
}

#[tokio::test(start_paused = true)]
async fn transactions_on_different_keys_never_abort_each_other() {
    check(rows::aborts_without_a_conflict().await, 0.0);
}
