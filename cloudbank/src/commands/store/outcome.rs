//! `store outcome`: whether a transaction was committed, for good.

use serde_json::json;
use storage_txn::Outcome;

use super::commit::transaction_id;
use super::open::OpenStore;
use crate::cli::StoreWhich;
use crate::error::{Code, Error, Result};
use crate::run::Context;

pub(super) async fn run(context: &Context, which: &StoreWhich, text: &str) -> Result<()> {
    let id = transaction_id(text)?;
    let opened = OpenStore::find(context, which).await?;
    let output = &context.output;
    match opened.store.outcome(id).await.map_err(opened.explain())? {
        Outcome::Committed(version) => output.done(
            format_args!("transaction {id} was committed, version {version}"),
            &json!({ "transaction_id": id.to_string(), "committed": true, "version": version.0 }),
        ),
        Outcome::NotCommitted => {
            output.done(
                format_args!("transaction {id} was not committed, and never will be"),
                &json!({ "transaction_id": id.to_string(), "committed": false, "version": null }),
            )?;
            Err(Error::Reported(Code::NotFound))
        }
    }
}
