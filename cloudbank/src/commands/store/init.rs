//! `store init`: a store where there is none.

use serde_json::json;
use storage_txn::ErrorKind;

use super::open::Site;
use crate::cli::StoreWhich;
use crate::error::{Error, Result};
use crate::run::Context;

pub(super) async fn run(context: &Context, which: &StoreWhich, if_absent: bool) -> Result<()> {
    let site = Site::find(context, which)?;
    let place = site.place().await?;
    let (opened, made) = match site.init_on(place.clone()).await {
        Err(Error::Store { error, .. }) if if_absent && error.kind() == ErrorKind::StoreExists => {
            (site.open_on(place).await?, false)
        }
        made => (made?, true),
    };
    let info = opened.store.info().await.map_err(opened.explain())?;
    opened.warn(context);
    let (name, id) = (site.name(), &info.id);
    let words = match made {
        true => format!("made store {id} on provider `{name}`"),
        false => format!("store {id} is on provider `{name}` already"),
    };
    context.output.done(words, &json!({ "id": id, "provider": name, "made": made }))
}
