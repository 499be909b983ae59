//! `s3 mb`, `s3 rb`: buckets made and removed.

use serde_json::json;

use super::failed;
use super::rm::Removal;
use crate::error::{Error, Result};
use crate::output::{confirm, count};
use crate::run::Context;
use crate::s3::client::Client;
use crate::s3::list::{Entry, Listing};
use crate::s3::multipart::Upload;
use crate::s3::object::Name;

pub(super) async fn make(
    context: &Context,
    client: Client,
    bucket: &str,
    if_absent: bool,
) -> Result<()> {
    // In some regions a service says that it made a bucket which was there, so that is asked first.
    let is_there = client.head_bucket(bucket).await.is_ok();
    if is_there && !if_absent {
        return Err(Error::Conflict(format!("make s3://{bucket}: the bucket is there already")));
    }
    let made = match is_there {
        true => Ok(false),
        false => client.create_bucket(bucket).await.map(|()| true),
    };
    let made = match made {
        Ok(made) => made,
        Err(failure) if if_absent && failure.code == "BucketAlreadyOwnedByYou" => false,
        Err(failure) => return Err(failed(format!("make s3://{bucket}"))(failure)),
    };
    let words = if made { "made" } else { "there already:" };
    context
        .output
        .done(format_args!("{words} s3://{bucket}"), &json!({ "bucket": bucket, "made": made }))
}

pub(super) async fn remove(
    context: &Context,
    client: Client,
    bucket: &str,
    force: bool,
    yes: bool,
) -> Result<()> {
    let mut removed = 0;
    if force {
        let question = format!("remove s3://{bucket} and all that is in it, all versions too?");
        if !yes && confirm(&question) == Some(false) {
            return Err(Error::Failed("nothing was removed".into()));
        }
        removed = empty(context, &client, bucket).await?;
    } else {
        check_empty(&client, bucket).await?;
    }
    client.delete_bucket(bucket).await.map_err(failed(format!("remove s3://{bucket}")))?;
    let more = match removed {
        0 => String::new(),
        removed => format!(", with {} in it", count(removed, "version")),
    };
    context.output.done(
        format_args!("removed s3://{bucket}{more}"),
        &json!({ "bucket": bucket, "removed": true, "versions": removed }),
    )
}

/// Some services remove a bucket with all that is in it.
async fn check_empty(client: &Client, bucket: &str) -> Result<()> {
    let mut lister = client.list(Listing { bucket: bucket.to_owned(), ..Listing::default() });
    let page = lister.page().await.map_err(failed(format!("remove s3://{bucket}")))?;
    match page.is_some_and(|entries| !entries.is_empty()) {
        true => Err(Error::Conflict(format!(
            "s3://{bucket} is not empty\n  = `cloudbank s3 rb --force` removes what is in it first"
        ))),
        false => Ok(()),
    }
}

/// Takes out all that keeps a bucket from being removed; how many versions there were.
async fn empty(context: &Context, client: &Client, bucket: &str) -> Result<u64> {
    let list = || failed(format!("list s3://{bucket}"));
    for upload in client.uploads(bucket, "").await.map_err(list())? {
        let name = Name::new(bucket, &upload.key);
        let upload = Upload { name, id: upload.upload_id };
        client.abort(&upload).await.map_err(failed(format!("give up {}", upload.name)))?;
    }
    let mut removal = Removal::new(context, client, bucket, false);
    removal.silent();
    let listing = Listing { bucket: bucket.to_owned(), versions: true, ..Listing::default() };
    let mut lister = client.list(listing);
    loop {
        let page = lister.page().await.map_err(list())?;
        let Some(entries) = page else { break };
        for entry in entries {
            if let Entry::Object(object) = entry {
                removal.add(object.key, object.version_id).await?;
            }
        }
    }
    removal.finish().await
}
