//! `store rm`: takes values away, by key or by prefix, in one transaction.

use std::ffi::{OsStr, OsString};

use bytes::Bytes;
use serde_json::{Value, json};
use storage_txn::{ErrorKind, KeyRange, Receipt, Scan, Version};

use super::commit::Label;
use super::open::OpenStore;
use super::text;
use crate::cli::Write;
use crate::error::{Error, Result};
use crate::output::{confirm, count};
use crate::run::Context;

pub(super) enum What {
    Keys(Vec<Bytes>),
    IfVersion(Bytes, Version),
    Prefix(Bytes),
}

impl What {
    pub(super) fn parse(
        keys: &[OsString],
        prefix: Option<&OsStr>,
        if_version: Option<u64>,
    ) -> Result<Self> {
        if let Some(prefix) = prefix {
            return Ok(Self::Prefix(text::key(prefix)?));
        }
        let keys = text::keys(keys)?;
        match (if_version, &keys[..]) {
            (None, _) => Ok(Self::Keys(keys)),
            (Some(version), [key]) => Ok(Self::IfVersion(key.clone(), Version(version))),
            (Some(_), keys) => Err(Error::Usage(format!(
                "--if-version is for one key, and there are {}",
                keys.len()
            ))),
        }
    }
}

pub(super) async fn run(context: &Context, write: &Write, what: What, yes: bool) -> Result<()> {
    let label = Label::new(write)?;
    let opened = OpenStore::find(context, &write.which).await?;
    let receipt = match &what {
        What::Keys(keys) => {
            let removed = opened.commit(&label, async |transaction| {
                let mut removed = false;
                for key in keys {
                    if is_there(transaction.size(key).await)? {
                        transaction.delete(key)?;
                        removed = true;
                    }
                }
                Ok(removed)
            });
            let (removed, receipt) = removed.await?;
            removed.then_some(receipt)
        }
        What::IfVersion(key, version) => {
            let removed = opened.commit(&label, async |transaction| {
                transaction.require(key, Some(*version))?;
                transaction.delete(key)
            });
            Some(removed.await?.1)
        }
        What::Prefix(prefix) => {
            let found = count_under(&opened, prefix).await?;
            if !yes {
                ask(&opened, prefix, found)?;
            }
            if found == 0 {
                None
            } else {
                let removed = opened.commit(&label, async |transaction| {
                    transaction.delete_range(KeyRange::prefix(prefix))
                });
                Some(removed.await?.1)
            }
        }
    };
    let Some(receipt) = receipt else {
        return context.output.done("removed 0 keys", &json!({ "removed": 0 }));
    };
    // What really was there, also when somebody has written just before.
    let removed = removed_by(&opened, &receipt).await?;
    opened.tidy(context, receipt.version).await;
    let mut object = OpenStore::receipt(&receipt);
    object.insert("removed".into(), removed.into());
    let (keys, version) = (count(removed, "key"), receipt.version);
    context.output.done(format_args!("removed {keys}, version {version}"), &Value::Object(object))
}

async fn count_under(opened: &OpenStore, prefix: &[u8]) -> Result<u64> {
    let snapshot = opened.snapshot(None).await?;
    let scan = Scan::new(KeyRange::prefix(prefix));
    let mut items = snapshot.scan_meta(&scan).await.map_err(opened.explain())?;
    let mut found = 0;
    while is_there(items.next().await).map_err(opened.explain())? {
        found += 1;
    }
    Ok(found)
}

async fn removed_by(opened: &OpenStore, receipt: &Receipt) -> Result<u64> {
    let before = Version(receipt.version.0 - 1);
    let changes = opened.store.changes(before, receipt.version).await;
    let mut changes = changes.map_err(opened.explain())?;
    let mut removed = 0;
    while let Some(commit) = changes.next().await.map_err(opened.explain())? {
        let mut keys = commit.keys().map_err(opened.explain())?;
        while is_there(keys.next().await).map_err(opened.explain())? {
            removed += 1;
        }
    }
    Ok(removed)
}

/// Whether something was found; what is no number although one was added to it is something too.
fn is_there<T>(found: storage_txn::Result<Option<T>>) -> storage_txn::Result<bool> {
    match found {
        Err(error) if error.kind() == ErrorKind::NotANumber => Ok(true),
        found => Ok(found?.is_some()),
    }
}

fn ask(opened: &OpenStore, prefix: &[u8], found: u64) -> Result<()> {
    let (keys, name) = (count(found, "key"), &opened.name);
    let under = match prefix {
        b"" => "everything".to_owned(),
        prefix => format!("under `{}`", text::shown(prefix)),
    };
    match confirm(&format!("remove {keys}, {under}, from the store on `{name}`?")) {
        Some(true) => Ok(()),
        Some(false) => Err(Error::Failed("nothing was removed".into())),
        None => Err(Error::Usage(format!(
            "this would remove {keys}, {under}, from the store on `{name}`\n  = add --yes: there is no terminal to ask on"
        ))),
    }
}
