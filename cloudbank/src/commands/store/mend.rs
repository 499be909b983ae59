//! `store mend`: others vote in the place of voters that were lost.

use serde_json::json;

use super::open::OpenStore;
use crate::cli::StoreWhich;
use crate::error::Result;
use crate::output::count;
use crate::run::Context;

pub(super) async fn run(context: &Context, which: &StoreWhich) -> Result<()> {
    let opened = OpenStore::find(context, which).await?;
    let mended = opened.store.mend_voters().await.map_err(opened.explain())?;
    let mended: Vec<_> = mended.iter().map(ToString::to_string).collect();
    let words = match mended.len() {
        0 => "no voter is lost".to_owned(),
        number => format!("{} in the place of lost ones", count(number as u64, "new voter")),
    };
    context.output.done(words, &json!({ "admitted": mended }))
}
