//! `provider ls`: keys in order, as they come.

use std::io::IsTerminal;

use futures_util::TryStreamExt;
use serde_json::json;
use storage_core::{Key, Prefix, StorageProviderExt};

use super::Place;
use crate::error::Result;
use crate::run::Context;

/// Wide enough for the sizes of all but the largest objects, so that lines need not wait for each other.
const SIZE_WIDTH: usize = 13;

pub(super) struct Ls {
    pub(super) prefix: Prefix,
    pub(super) long: bool,
    pub(super) limit: Option<u64>,
    pub(super) start_after: Option<Key>,
}

impl Ls {
    pub(super) async fn run(self, context: &Context, place: &Place) -> Result<()> {
        let provider = place.open_to_read().await?;
        let output = &context.output;
        let to_terminal = std::io::stdout().is_terminal();
        let mut left = self.limit.unwrap_or(u64::MAX);
        let mut listing = provider.list_all_after(&self.prefix, self.start_after.as_ref());
        while left > 0 {
            let Some(object) = listing.try_next().await.map_err(place.explain())? else { break };
            left -= 1;
            if output.json {
                output.json(&json!({ "key": object.key.as_str(), "size": object.size }))?;
            } else if self.long {
                output.line(format_args!("{:>SIZE_WIDTH$}  {}", object.size, object.key))?;
            } else {
                output.line(&object.key)?;
            }
            if to_terminal {
                output.flush()?;
            }
        }
        Ok(())
    }
}
