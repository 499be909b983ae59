//! What rules may say of what becomes of objects as they age.

use std::collections::BTreeSet;

use crate::error::{Code, Error, Result};
use crate::op::lifecycle::{COLDER, DAY};
use crate::record::{LifecycleRule, Transition};

/// The most rules of a bucket.
const RULES_MAX: usize = 1000;
/// The most letters of the id of a rule.
const ID_LETTERS_MAX: usize = 255;
/// The most versions that a rule leaves that are not the newest.
const NEWER_MAX: u32 = 100;

/// # Errors
///
/// [`Code::MalformedXML`], [`Code::InvalidArgument`], [`Code::InvalidRequest`].
pub(crate) fn check_rules(rules: &[LifecycleRule]) -> Result<()> {
    if rules.is_empty() || rules.len() > RULES_MAX {
        return Err(malformed(format!("from 1 to {RULES_MAX} rules are taken")));
    }
    let mut ids = BTreeSet::new();
    for rule in rules {
        if rule.id.chars().count() > ID_LETTERS_MAX {
            return Err(invalid(format!("the id of a rule has {ID_LETTERS_MAX} letters at most")));
        }
        if !ids.insert(&rule.id) {
            return Err(invalid(format!("there are several rules with the id {:?}", rule.id)));
        }
        check_rule(rule)?;
    }
    Ok(())
}

fn check_rule(rule: &LifecycleRule) -> Result<()> {
    if rule.prefix.is_some() && rule.filter.is_some() {
        return Err(malformed("a rule has a prefix or a filter"));
    }
    if rule.prefix.is_none() && rule.filter.is_none() {
        return Err(malformed(
            "a rule says which objects it is for: with a filter, if an empty one",
        ));
    }
    let acts = rule.expiration.is_some()
        || rule.noncurrent.is_some()
        || rule.abort_days > 0
        || !rule.transitions.is_empty()
        || !rule.noncurrent_transitions.is_empty();
    if !acts {
        return Err(Error::new(Code::InvalidRequest, "a rule says at least one thing to do"));
    }
    if rule.abort_days > 0 && rule.is_choosy() {
        let why = "uploads have neither tags nor a size, so a rule for those cannot end them";
        return Err(Error::new(Code::InvalidRequest, why));
    }
    if let Some(expiration) = &rule.expiration {
        let said = usize::from(expiration.days > 0)
            + usize::from(expiration.date.is_some())
            + usize::from(expiration.delete_marker.is_some());
        if said != 1 {
            return Err(malformed(
                "an expiration has days, a date, or says what of delete markers",
            ));
        }
        if expiration.delete_marker == Some(true) && rule.is_choosy() {
            let why =
                "delete markers have neither tags nor a size, so a rule for those cannot end them";
            return Err(Error::new(Code::InvalidRequest, why));
        }
        check_date(expiration.date)?;
    }
    if let Some(noncurrent) = rule.noncurrent {
        if noncurrent.days == 0 {
            return Err(invalid("NoncurrentDays is a positive number"));
        }
        if noncurrent.newer > NEWER_MAX {
            return Err(invalid(format!("NewerNoncurrentVersions is from 1 to {NEWER_MAX}")));
        }
    }
    rule.transitions.iter().try_for_each(check_transition)?;
    for one in &rule.noncurrent_transitions {
        check_transition(one)?;
        if one.newer > NEWER_MAX {
            return Err(invalid(format!("NewerNoncurrentVersions is from 1 to {NEWER_MAX}")));
        }
    }
    let dates = rule.transitions.iter().any(|one| one.date.is_some())
        || rule.expiration.is_some_and(|one| one.date.is_some());
    let days = rule.transitions.iter().any(|one| one.days.is_some())
        || rule.expiration.is_some_and(|one| one.days > 0);
    if dates && days {
        let why = "a rule has days or dates, not both";
        return Err(Error::new(Code::InvalidRequest, why));
    }
    check_order(rule)
}

fn check_transition(transition: &Transition) -> Result<()> {
    if transition.days.is_some() == transition.date.is_some() {
        return Err(malformed("a transition has days or a date"));
    }
    if !COLDER.contains(&&transition.storage_class[..]) {
        let class = &transition.storage_class;
        return Err(malformed(format!("nothing can be moved to the storage class {class:?}")));
    }
    check_date(transition.date)
}

/// What is moved after it is gone would not be moved.
fn check_order(rule: &LifecycleRule) -> Result<()> {
    let days = rule.expiration.map_or(0, |expiration| expiration.days);
    let late = |days: u32, all: &[Transition]| {
        days > 0 && all.iter().any(|one| one.days.is_some_and(|moved| moved >= days))
    };
    let past = rule.noncurrent.map_or(0, |noncurrent| noncurrent.days);
    if late(days, &rule.transitions) || late(past, &rule.noncurrent_transitions) {
        return Err(invalid("the days of an expiration are more than those of the transitions"));
    }
    Ok(())
}

fn check_date(date: Option<u64>) -> Result<()> {
    if date.is_some_and(|date| !date.is_multiple_of(DAY)) {
        return Err(invalid("a date is at midnight of UTC"));
    }
    Ok(())
}

fn malformed(why: impl Into<String>) -> Error {
    Error::new(Code::MalformedXML, why)
}

fn invalid(why: impl Into<String>) -> Error {
    Error::new(Code::InvalidArgument, why)
}
