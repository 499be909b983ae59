//! What happened, for a person to follow.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One thing that happened in a run.
///
/// Prints as a line: seconds of virtual time, who, what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceLine {
    /// When, in virtual time since the beginning.
    pub at: Duration,
    /// The node or provider.
    pub who: Arc<str>,
    /// What it did, or what befell it.
    pub what: String,
}

impl fmt::Display for TraceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.at.as_secs(), self.at.subsec_micros());
        write!(f, "{seconds:>6}.{micros:06}  {:<12}  {}", self.who, self.what)
    }
}
