//! `provider stat`: size and version of an object.

use serde_json::json;
use storage_core::{Get, Key, StorageProvider};

use super::Place;
use crate::config::human_size;
use crate::error::Result;
use crate::run::Context;

pub(super) async fn run(context: &Context, place: &Place, key: &Key) -> Result<()> {
    let provider = place.open_to_read().await?;
    let object = provider.get(key, Get::meta_only()).await.map_err(place.explain())?;
    let output = &context.output;
    if output.json {
        return output.json(&json!({
            "key": key.as_str(),
            "size": object.size,
            "version": object.version.as_str(),
        }));
    }
    let human = match object.size {
        0..1024 => String::new(),
        size => format!(" ({})", human_size(size)),
    };
    output.line(format_args!("key      {key}"))?;
    output.line(format_args!("size     {}{human}", object.size))?;
    output.line(format_args!("version  {}", object.version))
}
