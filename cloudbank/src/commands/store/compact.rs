//! `store compact` and `store pack`: segments are merged, and history is dropped.

use serde_json::json;
use storage_txn::At;

use super::open::OpenStore;
use crate::cli::StoreWhich;
use crate::config::human_size;
use crate::error::{Error, Result};
use crate::output::{confirm, count};
use crate::run::Context;

pub(super) async fn compact(context: &Context, which: &StoreWhich) -> Result<()> {
    let opened = OpenStore::find(context, which).await?;
    let before = opened.store.info().await.map_err(opened.explain())?;
    opened.store.compact().await.map_err(opened.explain())?;
    let after = opened.store.info().await.map_err(opened.explain())?;
    context.output.done(
        format_args!(
            "{}, {}; before: {}, {}",
            count(after.segments, "segment"),
            human_size(after.segment_bytes),
            count(before.segments, "segment"),
            human_size(before.segment_bytes),
        ),
        &json!({
            "version": after.version.0,
            "segments": after.segments,
            "segment_bytes": after.segment_bytes,
            "segments_before": before.segments,
            "segment_bytes_before": before.segment_bytes,
        }),
    )
}

pub(super) async fn pack(
    context: &Context,
    which: &StoreWhich,
    before: &str,
    yes: bool,
) -> Result<()> {
    let opened = OpenStore::find(context, which).await?;
    let version = opened.snapshot(Some(before)).await?.version();
    if !yes {
        let name = &opened.name;
        let what = format!("drop what was before version {version} from the store on `{name}`");
        match confirm(&format!("{what}, for good?")) {
            Some(true) => {}
            Some(false) => return Err(Error::Failed("nothing was dropped".into())),
            None => {
                return Err(Error::Usage(format!(
                    "this would {what}, for good\n  = add --yes: there is no terminal to ask on"
                )));
            }
        }
    }
    let horizon = opened.store.pack(At::Version(version)).await.map_err(opened.explain())?;
    let mut words = format!("every version from {horizon} on can be read, and those of tags");
    if horizon < version {
        words += &format!(
            "\nnot only from {version} on: a cursor or somebody who reads holds version {horizon}"
        );
    }
    context.output.done(words, &json!({ "asked_for": version.0, "horizon": horizon.0 }))
}
