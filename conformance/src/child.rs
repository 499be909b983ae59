//! A second process on the same objects: its handle here, its work there, and what they say to each other.
//!
//! A test binary made with [`main!`](crate::main!) is its own second process. Its author makes the harness of a
//! target work on [`place`] where that is set, and offers [`this_binary`] as the hook:
//!
//! ```no_run
//! use std::path::PathBuf;
//! # use backend_memory::MemoryProvider as FsProvider;
//! use conformance::{Hooks, Target, child, harness};
//!
//! conformance::main!([target()]);
//!
//! fn target() -> Target {
//!     let folder = child::place().unwrap_or_else(|| "a new temporary folder".into());
//!     let hooks = Hooks {
//!         second_process: Some(child::this_binary("fs", &folder)),
//!         ..Hooks::default()
//!     };
//!     let open = move || {
//!         let folder = PathBuf::from(&folder);
//!         async move { Ok(FsProvider::new(/* folder */)) }
//!     };
//!     Target::new("fs", harness(open).with_hooks(hooks))
//! }
//! ```

mod handle;
mod protocol;
mod serve;

use std::env;
use std::process::Command;
use std::sync::Arc;

use crate::ProcessHook;

pub use handle::{Child, Ended};
pub use serve::serve;

/// The environment variable that makes a test binary the second process of the target it names.
pub const TARGET_VARIABLE: &str = "CONFORMANCE_CHILD_TARGET";
/// The environment variable that tells the second process where the objects are.
pub const PLACE_VARIABLE: &str = "CONFORMANCE_CHILD_PLACE";

/// Where the objects are, in the words of the target's author; `None` in the first process.
#[must_use]
pub fn place() -> Option<String> {
    env::var(PLACE_VARIABLE).ok()
}

/// A hook that starts the running test binary once more as a second process of `target`, which finds
/// its objects at `place`.
#[must_use]
pub fn this_binary(target: &str, place: &str) -> Arc<dyn ProcessHook> {
    Arc::new(ThisBinary { target: target.to_owned(), place: place.to_owned() })
}

struct ThisBinary {
    target: String,
    place: String,
}

impl ProcessHook for ThisBinary {
    fn command(&self) -> Command {
        let by_name = || env::args_os().next().unwrap_or_default();
        let binary = env::current_exe().map_or_else(|_| by_name(), Into::into);
        let mut command = Command::new(binary);
        command.env(TARGET_VARIABLE, &self.target).env(PLACE_VARIABLE, &self.place);
        command
    }
}
