//! Lost answers: what was applied is never called a conflict, and what is called not applied was not.

mod at_the_trait;
mod wire;

use crate::{Case, Level, Need};

pub(crate) const CASES: &[Case] = &[
    Case {
        id: "lost.trait.retry",
        level: Level::Chaos,
        requires: "under faults a retrying caller is never told `Conflict` for its own write, and what it is told \
                   was not applied never lands",
        needs: &[Need::Absent],
        requests_max: 2000,
        run: |context| Box::pin(at_the_trait::retry(context)),
    },
    Case {
        id: "lost.trait.create-exact",
        level: Level::Chaos,
        requires: "`create_exact` under faults says whose object is there, and late requests do not change it",
        needs: &[Need::Absent],
        requests_max: 3000,
        run: |context| Box::pin(at_the_trait::create_exact(context)),
    },
    Case {
        id: "lost.trait.linearizable",
        level: Level::Chaos,
        requires: "histories with lost and late requests have an order in which each unknown one lands once or never",
        needs: &[],
        requests_max: 4000,
        run: |context| Box::pin(at_the_trait::linearizable(context)),
    },
    Case {
        id: "lost.wire.closed",
        level: Level::Chaos,
        requires: "a mutation that is applied before the connection closes is not called refused",
        needs: &[Need::Wire],
        requests_max: 100,
        run: |context| Box::pin(wire::closed(context)),
    },
    Case {
        id: "lost.wire.reset",
        level: Level::Chaos,
        requires: "a mutation that is applied before the connection is reset is not called refused",
        needs: &[Need::Wire],
        requests_max: 100,
        run: |context| Box::pin(wire::reset(context)),
    },
    Case {
        id: "lost.wire.hung",
        level: Level::Chaos,
        requires: "a mutation that is applied and never answered is not called refused",
        needs: &[Need::Wire],
        requests_max: 100,
        run: |context| Box::pin(wire::hung(context)),
    },
    Case {
        id: "lost.wire.500",
        level: Level::Chaos,
        requires: "a mutation that is applied and answered with status 500 is not called refused",
        needs: &[Need::Wire],
        requests_max: 100,
        run: |context| Box::pin(wire::status_500(context)),
    },
    Case {
        id: "lost.wire.503",
        level: Level::Chaos,
        requires: "a mutation that is applied and answered with status 503 is not called refused",
        needs: &[Need::Wire],
        requests_max: 100,
        run: |context| Box::pin(wire::status_503(context)),
    },
    Case {
        id: "lost.wire.request",
        level: Level::Chaos,
        requires: "a mutation that never arrives is not called a conflict",
        needs: &[Need::Wire],
        requests_max: 100,
        run: |context| Box::pin(wire::request(context)),
    },
    Case {
        id: "lost.wire.busy",
        level: Level::Chaos,
        requires: "a service that is busy with the key (status 409, ConditionalRequestConflict) is not called a \
                   conflict",
        needs: &[Need::Wire],
        requests_max: 100,
        run: |context| Box::pin(wire::busy(context)),
    },
    Case {
        id: "lost.wire.truncated",
        level: Level::Chaos,
        requires: "an answer that breaks off is an error, never a shorter object or list",
        needs: &[Need::Wire],
        requests_max: 100,
        run: |context| Box::pin(wire::truncated(context)),
    },
    Case {
        id: "lost.wire.slow",
        level: Level::Chaos,
        requires: "an answer that comes slowly is whole, or an error",
        needs: &[Need::Wire],
        requests_max: 100,
        run: |context| Box::pin(wire::slow(context)),
    },
    Case {
        id: "lost.wire.twice",
        level: Level::Chaos,
        requires: "a conditional put that is delivered twice is applied once",
        needs: &[Need::Wire],
        requests_max: 100,
        run: |context| Box::pin(wire::twice(context)),
    },
    Case {
        id: "lost.wire.twice-second-answer",
        level: Level::Chaos,
        requires: "a conditional put that is delivered twice and answered with what became of the second is not \
                   called a conflict with itself",
        needs: &[Need::Wire],
        requests_max: 100,
        run: |context| Box::pin(wire::twice_second_answer(context)),
    },
    Case {
        id: "lost.late-landing",
        level: Level::Chaos,
        requires: "a put on absence that lands late, after the key was seen absent and created anew, changes nothing",
        needs: &[Need::Wire, Need::Absent],
        requests_max: 100,
        run: |context| Box::pin(wire::late_landing(context)),
    },
];
