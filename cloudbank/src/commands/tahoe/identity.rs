//! `tahoe identity`: who the server is, kept and restored.

use std::io::Read as _;
use std::path::Path;

use gateway_tahoe::{Identity, stock};
use serde_json::json;

use super::place::{Place, failed};
use crate::cli::TahoeWhich;
use crate::error::{Error, Result};
use crate::run::Context;

pub(super) async fn export(context: &Context, which: &TahoeWhich, file: &Path) -> Result<()> {
    let place = Place::find_to_read(context, which).await?;
    let identity = place.identity().await?;
    if file == Path::new("-") {
        return context.output.bytes(identity.to_text().as_bytes());
    }
    identity.write(file).map_err(failed)?;
    context.output.done(
        format_args!(
            "wrote the identity of the server to {}; only you can read it",
            file.display()
        ),
        &json!({ "file": file, "tub_id": identity.tub_id() }),
    )
}

pub(super) async fn import(
    context: &Context,
    which: &TahoeWhich,
    file: &Path,
    replace: bool,
) -> Result<()> {
    let given = match file {
        file if file == Path::new("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(Error::file("standard input"))?;
            Identity::parse(&text).map_err(failed)?
        }
        node if node.is_dir() => stock::identity(node).map_err(failed)?.ok_or_else(|| {
            let node = node.display();
            Error::NotFound(format!("{node} is no folder of a node: there is no private/node.pem"))
        })?,
        file => Identity::read(file)
            .map_err(failed)?
            .ok_or_else(|| Error::NotFound(format!("there is no file {}", file.display())))?,
    };
    let place = Place::find_or_make(context, which).await?;
    keep(&place, &given, replace).await?;
    context.output.done(
        format_args!("the server is {} from its next start on", given.tub_id()),
        &json!({ "tub_id": given.tub_id() }),
    )
}

/// Makes a server who it is to be, in its store and its folder. A stock node's is made anew with each reading but for what
/// clients know it by, so that is what counts.
pub(super) async fn keep(place: &Place, given: &Identity, replace: bool) -> Result<()> {
    let kept = place.shares.keep_identity(given, replace).await.map_err(failed)?;
    if !kept.is_same_server(given) {
        return Err(Error::Conflict(format!(
            "the server is {} already, and its clients know it by that\n  = `cloudbank tahoe identity import --replace` \
             makes it {} instead: who was given the other one does not find it then, and cannot write to mutable files on it",
            kept.tub_id(),
            given.tub_id()
        )));
    }
    std::fs::create_dir_all(&place.folder)
        .map_err(Error::file(format!("make the folder {}", place.folder.display())))?;
    kept.write(&place.folder.join("identity.json")).map_err(failed)
}
