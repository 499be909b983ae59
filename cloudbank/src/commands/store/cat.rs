//! `store cat`: values flow to standard output.

use bytes::Bytes;

use super::get::find;
use super::open::OpenStore;
use crate::cli::Read;
use crate::error::Result;
use crate::run::Context;

pub(super) async fn run(context: &Context, read: &Read, keys: &[Bytes]) -> Result<()> {
    let opened = OpenStore::find_to_read(context, &read.which).await?;
    let snapshot = opened.snapshot(read.at.as_deref()).await?;
    for key in keys {
        let (_, mut value) = find(&opened, &snapshot, key).await?;
        while let Some(piece) = value.next().await.map_err(opened.explain())? {
            context.output.bytes(&piece)?;
        }
    }
    Ok(())
}
