//! Keys that come into what a scan has covered, or leave it.

use storage_txn::{ErrorKind, KeyRange, Scan};

use super::{Handle, Tx, expect, handles, latest, put, transact};
use crate::{CaseResult, Context, ensure};

/// What a transaction scans, how many keys it finds, what another does then, and whether that is a conflict.
struct Row {
    what: &'static str,
    scan: fn() -> Scan,
    finds: usize,
    key: &'static str,
    conflicts: bool,
}

pub(super) async fn inserted(context: &Context) -> CaseResult {
    let handles: [Handle; 2] = handles(context).await?;
    for key in ["b", "d", "f"] {
        put(&handles[0], key, "0").await?;
    }
    let row = |what, scan, finds, key, conflicts| Row { what, scan, finds, key, conflicts };
    for row in [
        row("into an empty range", || Scan::new("p".."r"), 0, "q", true),
        row("into an empty range, backward", || Scan::new("p".."r").backward(), 0, "q", true),
        row("into an empty range with a limit", || Scan::new("p".."r").limit(1), 0, "q", true),
        row("into an empty prefix", || Scan::new(KeyRange::prefix("q")), 0, "q1", true),
        row("between two", || Scan::new("a".."g"), 3, "c", true),
        row("before the first", || Scan::new("a".."g"), 3, "a", true),
        row("after the last", || Scan::new("a".."g"), 3, "fz", true),
        row("before the end of the limit", || Scan::new("a".."g").limit(2), 2, "c", true),
        row("beyond the limit", || Scan::new("a".."g").limit(2), 2, "e", false),
        row("before the limit, backward", || Scan::new("a".."g").limit(2).backward(), 2, "e", true),
        row(
            "beyond the limit, backward",
            || Scan::new("a".."g").limit(2).backward(),
            2,
            "c",
            false,
        ),
        row("outside the range", || Scan::new("a".."g"), 3, "g", false),
    ] {
        check(&handles, &row, |tx| tx.put(row.key, "new".into())).await?;
        transact(&handles[1], async |tx: Tx| tx.delete(row.key)).await?;
    }
    Ok(())
}

pub(super) async fn deleted(context: &Context) -> CaseResult {
    let handles: [Handle; 2] = handles(context).await?;
    for key in ["b", "d", "f"] {
        put(&handles[0], key, "0").await?;
    }
    let row = |what, scan, finds, key, conflicts| Row { what, scan, finds, key, conflicts };
    for row in [
        row("deleted from the range", || Scan::new("a".."g"), 3, "d", true),
        row("deleted from the range, backward", || Scan::new("a".."g").backward(), 3, "d", true),
        row("deleted at the end of the limit", || Scan::new("a".."g").limit(2), 2, "d", true),
        row("deleted beyond the limit", || Scan::new("a".."g").limit(2), 2, "f", false),
    ] {
        check(&handles, &row, |tx| tx.delete(row.key)).await?;
        put(&handles[1], row.key, "0").await?;
        // The same with a range that begins before the key and ends after it.
        let range = || KeyRange::new(row.key.to_owned()..format!("{}0", row.key));
        check(&handles, &row, |tx| tx.delete_range(range())).await?;
        put(&handles[1], row.key, "0").await?;
    }
    Ok(())
}

async fn check(
    [one, two]: &[Handle; 2],
    row: &Row,
    change: impl Fn(&Tx) -> storage_txn::Result<()>,
) -> CaseResult {
    latest(one).await?;
    let reader = one.begin();
    let found = reader.scan(&(row.scan)()).await?.len();
    ensure!(found == row.finds, "{}: expected {} keys, saw {found}", row.what, row.finds);
    reader.put("~seen", found.to_string().into())?;
    let writer = two.begin();
    change(&writer)?;
    writer.commit().await?;
    match (row.conflicts, reader.commit().await) {
        (true, answer) => expect(&format!("a key {}", row.what), ErrorKind::Conflict, answer),
        (false, answer) => {
            let error = answer.err().map(|error| error.to_string());
            ensure!(
                error.is_none(),
                "a key {}: expected a commit, saw {}",
                row.what,
                error.unwrap_or_default()
            );
            Ok(())
        }
    }
}
