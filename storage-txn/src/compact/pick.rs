//! Which segments are worth compacting.

use storage_log::planted::planted;

use crate::compact::kept::Kept;
use crate::format::segment::{SegmentId, SegmentRef};
use crate::{Version, space};

/// A segment as it is named, with the version that named it.
pub(super) type Named = (SegmentId, Version, SegmentRef);

/// Segments that were made together, and so have no key in common.
#[derive(Debug, Default)]
struct Run {
    segments: Vec<Named>,
    bytes: u64,
    last_version: u64,
}

/// How many times as large as what is merged already the next run may be to be merged too. Found by trying: with it
/// the least is written, from 10 flushes to 1,000.
const GROWTH_MAX: u64 = 2;

/// The segments of the newest runs, if there are more than `runs_max`: of so many that no more are left, and of older ones
/// that are not much larger than these together, as they would be merged soon.
pub(super) fn surplus(segments: Vec<Named>, runs_max: usize) -> Option<Vec<Named>> {
    let runs = runs_of(segments);
    let needed = (runs.len() + 1).checked_sub(runs_max.max(1)).filter(|needed| *needed >= 2)?;
    let (mut bytes, mut picked) = (0_u64, Vec::new());
    for (at, run) in runs.into_iter().enumerate() {
        if at >= needed && run.bytes > bytes.saturating_mul(GROWTH_MAX) {
            break;
        }
        bytes = bytes.saturating_add(run.bytes);
        picked.extend(run.segments);
    }
    Some(picked)
}

/// How many runs segments belong to.
pub(crate) fn count_runs(segments: impl Iterator<Item = (SegmentId, u32)>) -> u64 {
    let runs: std::collections::BTreeSet<(u64, u32)> =
        segments.map(|(id, run)| (id.session, run)).collect();
    runs.len() as u64
}

/// The runs that segments belong to, the newest first.
fn runs_of(segments: Vec<Named>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut names: Vec<(u64, u32)> = Vec::new();
    for segment in segments {
        let name = (segment.0.session, segment.2.run);
        let at = names.iter().position(|known| *known == name).unwrap_or_else(|| {
            names.push(name);
            runs.push(Run::default());
            runs.len() - 1
        });
        let run = &mut runs[at];
        run.bytes += segment.2.bytes;
        run.last_version = run.last_version.max(segment.2.last_version);
        run.segments.push(segment);
    }
    runs.sort_by_key(|run| std::cmp::Reverse(run.last_version));
    runs
}

/// The segments of what is current that say more than they need to: those that are not plain, that share keys with
/// another, or that hold records of commits which nobody is told of any more.
pub(super) fn untidy(segments: &[Named], kept: &Kept) -> Vec<Named> {
    let overlap = |a: &SegmentRef, b: &SegmentRef| {
        a.spans.iter().any(|a| b.spans.iter().any(|b| a.first <= b.last && b.first <= a.last))
    };
    let below = space::commit(kept.horizon);
    let has_old_records = |about: &SegmentRef| {
        about.spans.iter().any(|span| span.first[..1] == [space::COMMIT] && span.first < below)
    };
    let untidy = |segment: &&Named| {
        let about = &segment.2;
        let others = segments.iter().filter(|other| other.0 != segment.0);
        !about.plain
            || has_old_records(about)
            || others.into_iter().any(|other| overlap(about, &other.2))
    };
    segments.iter().filter(untidy).cloned().collect()
}

/// What is to be done with segments of history so that they hold no more than is kept.
#[derive(Debug, Default)]
pub(super) struct Thinning {
    /// Nobody asks for anything in them.
    pub(super) dropped: Vec<Named>,
    /// Some of what is in them may be.
    pub(super) thinned: Vec<Named>,
}

pub(super) fn thinning(segments: Vec<Named>, kept: &Kept) -> Thinning {
    let mut thinning = Thinning::default();
    for segment in segments {
        let first = Version(segment.2.first_version);
        // What it holds was so at most in between, and ended no later.
        let is_asked_for = kept.asks_for(first, Version(segment.2.superseded));
        // Which large values it puts has to be seen.
        let has_no_values = segment.2.references == 0 || planted("pack-leaves-values-behind");
        if !is_asked_for && has_no_values {
            thinning.dropped.push(segment);
        } else if first < kept.horizon || !is_asked_for {
            thinning.thinned.push(segment);
        }
    }
    thinning
}

#[cfg(test)]
mod tests;
