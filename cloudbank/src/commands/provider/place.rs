//! `provider create|destroy`: the bucket, container or folder itself.

use serde_json::json;

use super::Place;
use crate::error::{Error, Result};
use crate::output::confirm;
use crate::run::Context;

pub(super) async fn create(context: &Context, place: &Place) -> Result<()> {
    let provider = place.provider();
    let creating = provider.backend().create().ok_or_else(|| cannot(place, "made"))?;
    creating.await.map_err(place.explain())?;
    let name = place.name();
    context
        .output
        .done(format_args!("made the place of provider `{name}`"), &json!({ "created": name }))
}

pub(super) async fn destroy(context: &Context, place: &Place, yes: bool) -> Result<()> {
    let provider = place.provider();
    let destroying = provider.backend().destroy().ok_or_else(|| cannot(place, "removed"))?;
    let name = place.name();
    if !yes {
        match confirm(&format!("remove the place of provider `{name}`?")) {
            Some(true) => {}
            Some(false) => return Err(Error::Failed("nothing was removed".into())),
            None => {
                return Err(Error::Usage(format!(
                    "this would remove the place of provider `{name}`\n  = add --yes: there is no terminal to ask on"
                )));
            }
        }
    }
    destroying.await.map_err(place.explain())?;
    context
        .output
        .done(format_args!("removed the place of provider `{name}`"), &json!({ "destroyed": name }))
}

fn cannot(place: &Place, done: &str) -> Error {
    let (name, kind) = (place.name(), place.provider().kind());
    Error::Usage(format!("provider `{name}` of type `{kind}` has no place that could be {done}"))
}
