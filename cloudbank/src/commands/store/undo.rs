//! `store undo`: puts back what was there before a transaction.

use serde_json::Value;
use storage_txn::CommitRef;

use super::commit::Label;
use super::open::OpenStore;
use crate::cli::Write;
use crate::error::{Error, Result};
use crate::output::count;
use crate::run::Context;

pub(super) async fn run(context: &Context, write: &Write, what: &str) -> Result<()> {
    let label = Label::new(write)?;
    let what = parse(what)?;
    let opened = OpenStore::find(context, &write.which).await?;
    // Looks further than what is known, so that the transaction below finds it.
    let undone = opened.store.commit_info(what).await.map_err(opened.explain())?;
    let message = match (&write.message, &undone.message[..]) {
        (Some(message), _) => message.clone(),
        (None, "") => format!("undo version {}", undone.version),
        (None, before) => format!("undo version {}: {before}", undone.version),
    };
    let label = Label { message, ..label };
    let (_, receipt) =
        opened.commit(&label, async |transaction| transaction.undo(undone.version).await).await?;
    let made = opened.store.commit_info(receipt.version).await.map_err(opened.explain())?;
    opened.tidy(context, receipt.version).await;
    let mut object = OpenStore::receipt(&receipt);
    object.insert("undone".into(), undone.version.0.into());
    object.insert("keys".into(), made.keys.len().into());
    let (keys, version) = (count(made.keys.len() as u64, "key"), receipt.version);
    context.output.done(
        format_args!("undid version {}: {keys} put back, version {version}", undone.version),
        &Value::Object(object),
    )
}

/// A version or an id.
pub(super) fn parse(text: &str) -> Result<CommitRef> {
    if let Ok(id) = text.parse() {
        return Ok(CommitRef::Transaction(id));
    }
    super::at::version(text).map(CommitRef::Version).map_err(|_| {
        Error::Usage(format!(
            "`{}` is not a transaction\n  = expected a version or an id of 32 hexadecimal digits, as `cloudbank store log` shows them",
            text.escape_debug()
        ))
    })
}
