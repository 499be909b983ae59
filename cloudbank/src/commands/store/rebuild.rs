//! `store rebuild`: makes segments and a checkpoint again, from the log.

use std::sync::Arc;

use serde_json::json;
use storage_txn::{Options, Store};
use storage_wrappers::TokioEnv;

use super::open::Site;
use crate::cli::StoreWhich;
use crate::error::{Error, Result};
use crate::output::count;
use crate::run::Context;

pub(super) async fn run(context: &Context, which: &StoreWhich) -> Result<()> {
    let site = Site::find(context, which)?;
    let place = site.place().await?;
    let rebuilt = Store::rebuild_index(place, Arc::new(TokioEnv::new()), Options::default()).await;
    let rebuilt = rebuilt.map_err(|error| Error::store(site.name(), error))?;
    let (made, version) = (count(rebuilt.segments_made, "segment"), rebuilt.version);
    context.output.done(
        format_args!("made {made}, kept {}, up to version {version}", rebuilt.segments_kept),
        &json!({
            "version": version.0,
            "segments_made": rebuilt.segments_made,
            "segments_kept": rebuilt.segments_kept,
        }),
    )
}
