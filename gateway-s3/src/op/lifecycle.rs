//! Rules of what becomes of objects as they age: which is for what, and when.
//!
//! A rule is looked at when answers tell of it, and by the sweep that does what is due.

mod check;
mod sweep;

pub(crate) use check::check_rules;
pub use sweep::{Sweep, Swept};

use crate::record::{Filter, LifecycleRule, Object, Pair, Transition};

/// A day, in microseconds.
pub(crate) const DAY: u64 = 24 * 60 * 60 * 1_000_000;

/// Storage classes that objects can be moved to, from the warmest to the coldest. They only ever become colder.
pub(crate) const COLDER: [&str; 6] =
    ["STANDARD_IA", "INTELLIGENT_TIERING", "ONEZONE_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"];

/// When something ends by a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expires {
    /// In microseconds since the Unix epoch.
    pub(crate) at: u64,
    /// The id of the rule.
    pub(crate) rule: String,
}

/// What is to become of a version now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    /// It goes.
    Expire,
    /// It gets this storage class.
    Class(String),
}

/// When rules are looked at, and how long their days are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clock {
    /// In microseconds since the Unix epoch.
    pub(crate) now: u64,
    /// In microseconds.
    pub(crate) day: u64,
}

/// A version that is not the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Past {
    /// When a newer one was put, in microseconds since the Unix epoch.
    pub(crate) since: u64,
    /// How many there are that are newer than this one, but not the newest.
    pub(crate) newer: u32,
}

/// When the newest version of an object goes, by the rule that is the first to take it.
pub(crate) fn expires(rules: &[LifecycleRule], key: &str, object: &Object) -> Option<Expires> {
    let ends = applying(rules, key, object).filter_map(|rule| {
        let at = ends(rule, object.modified, DAY)?;
        Some(Expires { at, rule: rule.id.clone() })
    });
    ends.min_by_key(|expires| expires.at)
}

/// When an upload that began then ends, if it is not completed before.
pub(crate) fn aborts(rules: &[LifecycleRule], key: &str, initiated: u64) -> Option<Expires> {
    aborts_by(rules, key, initiated, DAY)
}

/// What is to become of the newest version of an object.
pub(crate) fn due(rules: &[LifecycleRule], key: &str, object: &Object, clock: Clock) -> Due {
    let over = |rule: &LifecycleRule| {
        ends(rule, object.modified, clock.day).is_some_and(|at| at <= clock.now)
    };
    if applying(rules, key, object).any(over) {
        return Due::Expire;
    }
    let transitions = applying(rules, key, object).flat_map(|rule| &rule.transitions);
    colder(object, transitions.filter(|one| starts(one, object.modified, clock)))
}

/// What is to become of a version that is no longer the newest, or of a delete marker that is not.
pub(crate) fn due_past(
    rules: &[LifecycleRule],
    key: &str,
    object: &Object,
    past: Past,
    clock: Clock,
) -> Due {
    let over = |rule: &LifecycleRule| {
        rule.noncurrent.is_some_and(|noncurrent| {
            past.newer >= noncurrent.newer
                && after(past.since, noncurrent.days, clock.day) <= clock.now
        })
    };
    if applying(rules, key, object).any(over) {
        return Due::Expire;
    }
    if object.delete_marker {
        return Due::Nothing;
    }
    let transitions = applying(rules, key, object).flat_map(|rule| &rule.noncurrent_transitions);
    let started = |one: &&Transition| past.newer >= one.newer && starts(one, past.since, clock);
    colder(object, transitions.filter(started))
}

/// Whether a delete marker is to go that is all that is left of a key.
pub(crate) fn due_marker(
    rules: &[LifecycleRule],
    key: &str,
    marker: &Object,
    clock: Clock,
) -> bool {
    applying(rules, key, marker).any(|rule| {
        let said = rule.expiration.is_some_and(|one| one.delete_marker == Some(true));
        said || ends(rule, marker.modified, clock.day).is_some_and(|at| at <= clock.now)
    })
}

/// Whether an upload is to end that began then.
pub(crate) fn due_upload(rules: &[LifecycleRule], key: &str, initiated: u64, clock: Clock) -> bool {
    aborts_by(rules, key, initiated, clock.day).is_some_and(|ends| ends.at <= clock.now)
}

fn aborts_by(rules: &[LifecycleRule], key: &str, initiated: u64, day: u64) -> Option<Expires> {
    let enabled = rules.iter().filter(|rule| rule.abort_days > 0 && rule.is_for_all_of(key));
    let ends = enabled
        .map(|rule| Expires { at: after(initiated, rule.abort_days, day), rule: rule.id.clone() });
    ends.min_by_key(|expires| expires.at)
}

/// The rules that are for a version.
fn applying<'a>(
    rules: &'a [LifecycleRule],
    key: &'a str,
    object: &'a Object,
) -> impl Iterator<Item = &'a LifecycleRule> {
    rules.iter().filter(move |rule| match object.delete_marker {
        // Markers have neither a size nor tags.
        true => rule.is_for_all_of(key),
        false => rule.is_for(key, &object.tags, object.size),
    })
}

/// When a rule ends what was put then.
fn ends(rule: &LifecycleRule, modified: u64, day: u64) -> Option<u64> {
    let expiration = rule.expiration?;
    match expiration.days {
        0 => expiration.date,
        days => Some(after(modified, days, day)),
    }
}

fn starts(transition: &Transition, since: u64, clock: Clock) -> bool {
    let at = transition.days.map(|days| after(since, days, clock.day)).or(transition.date);
    at.is_some_and(|at| at <= clock.now)
}

/// The coldest class of those, if it is colder than that of the object.
fn colder<'a>(object: &Object, started: impl Iterator<Item = &'a Transition>) -> Due {
    let rank = |class: &str| COLDER.iter().position(|one| *one == class);
    let own = object.headers.as_ref().and_then(|headers| rank(&headers.storage_class));
    let coldest = started.max_by_key(|one| rank(&one.storage_class));
    match coldest {
        Some(one) if rank(&one.storage_class) > own => Due::Class(one.storage_class.clone()),
        _ => Due::Nothing,
    }
}

/// So many days later, and then the next midnight of UTC, as in S3. Days that are shorter than days have no midnight.
fn after(since: u64, days: u32, day: u64) -> u64 {
    let at = since.saturating_add(u64::from(days).saturating_mul(day));
    if day == DAY { at.checked_next_multiple_of(DAY).unwrap_or(u64::MAX) } else { at }
}

impl LifecycleRule {
    /// What all keys begin with that it is for.
    pub(crate) fn key_prefix(&self) -> &str {
        let own = self.prefix.as_deref();
        let filter = self.filter.as_ref();
        let and = filter.and_then(|filter| filter.and.as_deref());
        let all = [
            own,
            filter.and_then(|one| one.prefix.as_deref()),
            and.and_then(|one| one.prefix.as_deref()),
        ];
        // Where several are said, all of them must hold, so the longest leaves no more than any.
        all.into_iter().flatten().max_by_key(|prefix| prefix.len()).unwrap_or_default()
    }

    /// Whether it asks for more of an object than how its key begins.
    pub(crate) fn is_choosy(&self) -> bool {
        let chooses = |filter: &Filter| {
            !filter.tags.is_empty() || filter.larger_than.is_some() || filter.smaller_than.is_some()
        };
        let filter = self.filter.as_ref();
        filter.is_some_and(chooses)
            || filter.and_then(|filter| filter.and.as_deref()).is_some_and(chooses)
    }

    fn is_for(&self, key: &str, tags: &[Pair], size: u64) -> bool {
        !self.disabled
            && self.prefix.as_ref().is_none_or(|prefix| key.starts_with(prefix))
            && self.filter.as_ref().is_none_or(|filter| filter.holds(key, tags, size))
    }

    /// Whether it is for everything that has this key.
    fn is_for_all_of(&self, key: &str) -> bool {
        !self.is_choosy() && self.is_for(key, &[], 0)
    }
}

impl Filter {
    fn holds(&self, key: &str, tags: &[Pair], size: u64) -> bool {
        self.prefix.as_ref().is_none_or(|prefix| key.starts_with(prefix))
            && self.tags.iter().all(|tag| tags.contains(tag))
            && self.larger_than.is_none_or(|bytes| size > bytes)
            && self.smaller_than.is_none_or(|bytes| size < bytes)
            && self.and.as_ref().is_none_or(|and| and.holds(key, tags, size))
    }
}

#[cfg(test)]
mod tests;
