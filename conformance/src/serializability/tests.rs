use super::*;

mod anomalies;
mod differential;
mod planted;
mod text;
mod witness;

/// The anomalies that a check found, as text.
fn named(verdict: Result<(), Violations>) -> String {
    let violations = match verdict {
        Ok(()) => return "valid".into(),
        Err(violations) => violations,
    };
    let names: Vec<String> = violations.anomalies().iter().map(ToString::to_string).collect();
    names.join(", ")
}
