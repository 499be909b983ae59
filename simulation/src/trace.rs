//! What happened in a run, line by line.

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
    /// Whether that is a node to which nothing can happen: one that only prepares, or looks.
    pub safe: bool,
    /// What it did, or what befell it.
    pub what: String,
    /// Whether it is part of something.
    pub about: About,
}

/// What a line of a trace is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// A request with this number is sent.
    Sent {
        /// Its number.
        request: u64,
        /// Whether something is going to befall it.
        faulty: bool,
    },
    /// It is carried out, which may happen twice, or long after its sender gave up.
    Applied {
        /// Its number.
        request: u64,
    },
    /// Its sender is told what came of it.
    Answered {
        /// Its number.
        request: u64,
    },
    /// None of these.
    Event,
}

impl fmt::Display for TraceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.at.as_secs(), self.at.subsec_micros());
        write!(f, "{seconds:>6}.{micros:06}  {:<12}  {}", self.who, self.what)
    }
}
