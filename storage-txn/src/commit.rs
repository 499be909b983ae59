//! The commit loop: one for each handle, while there is anything to commit.

mod batch;
mod drive;
mod queue;

pub(crate) use queue::{Hands, Queue, Waiting};
