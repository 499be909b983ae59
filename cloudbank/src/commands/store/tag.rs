//! `store tag`: versions with names.

use serde_json::json;

use super::open::OpenStore;
use crate::cli::Read;
use crate::error::{Error, Result};
use crate::output::Grid;
use crate::run::Context;

pub(super) async fn run(
    context: &Context,
    read: &Read,
    name: Option<&str>,
    delete: bool,
) -> Result<()> {
    let Some(name) = name else {
        if read.at.is_some() {
            return Err(Error::Usage(
                "--at says which version to name, and there is no name".into(),
            ));
        }
        return list(context, &OpenStore::find_to_read(context, &read.which).await?).await;
    };
    check(name)?;
    let opened = OpenStore::find(context, &read.which).await?;
    let output = &context.output;
    if delete {
        let tags = opened.store.tags().await.map_err(opened.explain())?;
        if !tags.iter().any(|(tag, _)| tag == name) {
            return Err(Error::NotFound(format!(
                "store on `{}`: there is no tag `{name}`",
                opened.name
            )));
        }
        opened.store.untag(name).await.map_err(opened.explain())?;
        return output.done(
            format_args!("took the tag {name} away"),
            &json!({ "tag": name, "deleted": true }),
        );
    }
    let version = opened.snapshot(read.at.as_deref()).await?.version();
    opened.store.tag(name, version).await.map_err(opened.explain())?;
    opened.warn(context);
    output.done(
        format_args!("version {version} is {name}"),
        &json!({ "tag": name, "version": version.0 }),
    )
}

async fn list(context: &Context, opened: &OpenStore) -> Result<()> {
    let tags = opened.store.tags().await.map_err(opened.explain())?;
    let output = &context.output;
    if output.json {
        for (name, version) in tags {
            output.json(&json!({ "tag": name, "version": version.0 }))?;
        }
        return Ok(());
    }
    if tags.is_empty() {
        return Ok(());
    }
    let mut table = Grid::new(&["version", "tag"], &[0]);
    for (name, version) in tags {
        table.row([version.to_string(), name]);
    }
    table.lines().try_for_each(|line| output.line(line))
}

/// A name that `--at` can tell from a version, on a line of its own.
fn check(name: &str) -> Result<()> {
    let why = if name.is_empty() {
        "it is empty"
    } else if name.chars().any(|c| c.is_control() || c.is_whitespace()) {
        "it has a blank or a control character in it"
    } else if name.bytes().all(|byte| byte.is_ascii_digit()) || name == "latest" {
        "--at would take it for a version"
    } else {
        return Ok(());
    };
    Err(Error::Usage(format!("`{}` is not a name for a tag: {why}", name.escape_debug())))
}
