//! Every rule of every wrapper, in virtual time: no test here waits or needs a runtime.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

mod concurrency_limit;
mod counted;
mod faulty;
mod guarded;
mod metered;
mod never_twice;
mod prefixed;
mod retry;
mod script;
mod stack;
mod time_limit;
mod tokio_env;
