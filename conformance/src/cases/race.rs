//! Many at once on one key, through several handles and processes.

mod counter;
mod histories;
mod torn;
mod winner;

use std::sync::Arc;

use storage_core::{Atomicity, StorageProvider};

use crate::{Case, Context, Failure, Level, Need};

pub(crate) const CASES: &[Case] = &[
    Case {
        id: "put.absent.race",
        level: Level::Txn,
        requires: "of 64 writers that create one key through several handles exactly one wins, every other is \
                   told `Conflict`, and what is stored is the winner's",
        needs: &[Need::Absent],
        requests_max: 25 * (64 * 3 + 40),
        run: |context| Box::pin(winner::absent(context)),
    },
    Case {
        id: "put.absent.race-processes",
        level: Level::Txn,
        requires: "of 64 writers in two processes that create one key exactly one wins",
        needs: &[Need::Absent, Need::SharedHost, Need::SecondProcess],
        requests_max: 25 * (64 * 3 + 40),
        run: |context| Box::pin(winner::absent_processes(context)),
    },
    Case {
        id: "put.matches.race",
        level: Level::Txn,
        requires: "of 64 writers that replace one version through several handles exactly one wins, every other \
                   is told `Conflict`, and what is stored is the winner's",
        needs: &[Need::Matches],
        requests_max: 25 * (64 * 3 + 40),
        run: |context| Box::pin(winner::matches(context)),
    },
    Case {
        id: "put.matches.race-processes",
        level: Level::Txn,
        requires: "of 64 writers in two processes that replace one version exactly one wins",
        needs: &[Need::Matches, Need::SharedHost, Need::SecondProcess],
        requests_max: 25 * (64 * 3 + 40),
        run: |context| Box::pin(winner::matches_processes(context)),
    },
    Case {
        id: "put.matches.counter",
        level: Level::Txn,
        requires: "a counter that several handles raise on condition of its version ends at the number of puts \
                   that were told to have succeeded",
        needs: &[Need::Matches],
        requests_max: 2000,
        run: |context| Box::pin(counter::counter(context)),
    },
    Case {
        id: "put.matches.counter-processes",
        level: Level::Txn,
        requires: "a counter that two processes raise on condition of its version ends at the number of puts \
                   that were told to have succeeded",
        needs: &[Need::Matches, Need::SharedHost, Need::SecondProcess],
        requests_max: 2000,
        run: |context| Box::pin(counter::counter_processes(context)),
    },
    Case {
        id: "race.create-delete",
        level: Level::Txn,
        requires: "puts on absence against deletes of the same key have an order that explains every answer",
        needs: &[Need::Absent],
        requests_max: 4000,
        run: |context| Box::pin(histories::create_delete(context)),
    },
    Case {
        id: "race.put-delete",
        level: Level::Core,
        requires: "puts against deletes of the same key have an order that explains every answer",
        needs: &[],
        requests_max: 4000,
        run: |context| Box::pin(histories::put_delete(context)),
    },
    Case {
        id: "race.torn-read",
        level: Level::Core,
        requires: "a reader during overwrites sees one whole body, its size and its version, never parts of two",
        needs: &[],
        requests_max: 2000,
        run: |context| Box::pin(torn::torn_read(context)),
    },
    Case {
        id: "race.linearizable",
        level: Level::Txn,
        requires: "random operations on few keys through several handles have an order, key by key, that explains \
                   every answer",
        needs: &[],
        requests_max: 4000,
        run: |context| Box::pin(histories::mixed(context)),
    },
    Case {
        id: "race.linearizable-processes",
        level: Level::Txn,
        requires: "random operations on few keys through two processes have an order, key by key, that explains \
                   every answer",
        needs: &[Need::SharedHost, Need::SecondProcess],
        requests_max: 4000,
        run: |context| Box::pin(histories::mixed_processes(context)),
    },
];

type Handles = Vec<Arc<dyn StorageProvider>>;

/// Three handles in this process.
async fn handles(context: &Context) -> Result<Handles, Failure> {
    Ok(vec![context.handle().clone(), context.other().clone(), context.open().await?])
}

/// A handle in this process and one in another.
async fn handles_of_two_processes(context: &Context) -> Result<Handles, Failure> {
    let child = context.counted(context.second_process().await?);
    Ok(vec![context.handle().clone(), child])
}

/// Skips the case where a condition is decided within one process only.
fn ensure_between_processes(context: &Context, declared: Atomicity) -> Result<(), Failure> {
    if declared < Atomicity::OneHost {
        return Err(context.skip("declared: decided among the handles of one process only"));
    }
    Ok(())
}
