//! `s3 ls`: buckets, and what is in one.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value, json};

use super::failed;
use super::filter::Pattern;
use super::place::{S3Place, as_of};
use crate::cli::LsArgs;
use crate::commands::shown_line;
use crate::config::human_size;
use crate::error::{Error, Result};
use crate::output::{count, grouped};
use crate::run::Context;
use crate::s3::client::Client;
use crate::s3::list::{Entry, Listing, Object};

/// How wide a size is shown: no human one is wider, and few in bytes.
const SIZE_WIDTH: usize = 10;
const BYTES_WIDTH: usize = 15;
/// How wide a time is.
const TIME_WIDTH: usize = 20;

pub(super) struct Ls {
    arguments: LsArgs,
    place: S3Place,
    pattern: Option<Pattern>,
}

impl Ls {
    pub(super) fn new(arguments: LsArgs) -> Result<Self> {
        let mut place = match arguments.address.contains("://") {
            true => S3Place::parse(&arguments.address)?,
            false => {
                return Err(Error::Usage(format!(
                    "`{0}` is no address of an S3 service\n  = s3://{0} would be one",
                    arguments.address.escape_debug()
                )));
            }
        };
        let pattern = Pattern::of(&place.key, arguments.literal)?;
        if place.bucket.is_empty() && (arguments.versions || arguments.uploads) {
            return Err(Error::Usage("name a bucket: s3://BUCKET".into()));
        }
        place.bucket = as_of(&place.bucket, arguments.at.as_deref())?;
        Ok(Self { arguments, place, pattern })
    }

    pub(super) async fn run(self, context: &Context, client: Client) -> Result<()> {
        if self.place.bucket.is_empty() {
            return self.buckets(context, &client).await;
        }
        if self.arguments.uploads {
            return self.uploads(context, &client).await;
        }
        let (objects, bytes) = self.objects(context, &client).await?;
        if self.arguments.total {
            let words = format!("{}, {}", count(objects, "object"), self.size(bytes));
            let value = json!({ "objects": objects, "bytes": bytes });
            match context.output.json {
                true => context.output.json(&value)?,
                false => context.output.line(words)?,
            }
        }
        // Of what was named, nothing is there. A bucket alone may well be empty.
        if objects == 0 && !self.place.key.is_empty() {
            return Err(Error::NotFound(format!("there is nothing at {}", self.place.shown())));
        }
        Ok(())
    }

    async fn buckets(&self, context: &Context, client: &Client) -> Result<()> {
        let buckets = client.buckets().await.map_err(failed("list the buckets"))?;
        let limit = usize::try_from(self.arguments.limit.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        for bucket in buckets.iter().take(limit) {
            match context.output.json {
                true => context
                    .output
                    .json(&json!({ "bucket": bucket.name, "created": bucket.creation_date }))?,
                false => context.output.line(format_args!(
                    "{:TIME_WIDTH$}  s3://{}",
                    time(&bucket.creation_date),
                    shown_line(&bucket.name)
                ))?,
            }
        }
        Ok(())
    }

    async fn uploads(&self, context: &Context, client: &Client) -> Result<()> {
        let (bucket, prefix) = (&self.place.bucket, &self.place.key);
        let list = failed(format!("list the uploads of {}", self.place.shown()));
        for upload in client.uploads(bucket, prefix).await.map_err(list)? {
            match context.output.json {
                true => context.output.json(&json!({
                    "key": upload.key,
                    "upload_id": upload.upload_id,
                    "initiated": upload.initiated,
                }))?,
                false => context.output.line(format_args!(
                    "{:TIME_WIDTH$}  {}  {}",
                    time(&upload.initiated),
                    shown_line(&upload.key),
                    upload.upload_id
                ))?,
            }
        }
        Ok(())
    }

    /// How many objects were listed, folders counted too, and how large they are.
    async fn objects(&self, context: &Context, client: &Client) -> Result<(u64, u64)> {
        let prefix = self.pattern.as_ref().map_or(&self.place.key, |pattern| &pattern.prefix);
        let mut lister = client.list(Listing {
            bucket: self.place.bucket.clone(),
            prefix: prefix.clone(),
            folders: !self.arguments.recursive && self.pattern.is_none(),
            versions: self.arguments.versions,
            start_after: self.arguments.start_after.clone(),
        });
        let (mut listed, mut bytes) = (0, 0);
        let limit = self.arguments.limit.unwrap_or(u64::MAX);
        while let Some(entries) =
            lister.page().await.map_err(failed(format!("list {}", self.place.shown())))?
        {
            for entry in &entries {
                if self.pattern.as_ref().is_some_and(|pattern| !pattern.matches(entry.name())) {
                    continue;
                }
                if listed == limit {
                    return Ok((listed, bytes));
                }
                listed += 1;
                match entry {
                    Entry::Folder(prefix) => self.folder(context, prefix)?,
                    Entry::Object(object) => {
                        bytes += object.size;
                        self.object(context, object)?;
                    }
                }
            }
        }
        Ok((listed, bytes))
    }

    fn folder(&self, context: &Context, prefix: &str) -> Result<()> {
        let width = self.width();
        match context.output.json {
            true => context.output.json(&json!({ "prefix": prefix })),
            false => context.output.line(format_args!(
                "{:TIME_WIDTH$}  {:>width$}  {}",
                "",
                "folder",
                shown_line(prefix)
            )),
        }
    }

    fn object(&self, context: &Context, object: &Object) -> Result<()> {
        if context.output.json {
            return context.output.json(&json_of(object));
        }
        let width = self.width();
        let size = match object.is_delete_marker {
            true => "deleted".to_owned(),
            false => self.size(object.size),
        };
        let version = match &object.version_id {
            Some(version) => {
                let latest = if object.is_latest == Some(true) { "  (latest)" } else { "" };
                format!("  {version}{latest}")
            }
            None => String::new(),
        };
        context.output.line(format_args!(
            "{:TIME_WIDTH$}  {size:>width$}  {}{version}",
            time(&object.last_modified),
            shown_line(&object.key)
        ))
    }

    fn width(&self) -> usize {
        if self.arguments.bytes { BYTES_WIDTH } else { SIZE_WIDTH }
    }

    fn size(&self, bytes: u64) -> String {
        if self.arguments.bytes { grouped(bytes) } else { human_size(bytes) }
    }
}

fn json_of(object: &Object) -> Value {
    let mut value = Map::new();
    value.insert("key".into(), object.key.clone().into());
    if !object.is_delete_marker {
        value.insert("size".into(), object.size.into());
        value.insert("etag".into(), object.etag.clone().into());
    }
    value.insert("last_modified".into(), object.last_modified.clone().into());
    if let Some(class) = &object.storage_class {
        value.insert("storage_class".into(), class.clone().into());
    }
    if let Some(version) = &object.version_id {
        value.insert("version_id".into(), version.clone().into());
        value.insert("is_latest".into(), object.is_latest.into());
        value.insert("delete_marker".into(), object.is_delete_marker.into());
    }
    Value::Object(value)
}

/// A time to the second, as it came if it is none.
fn time(text: &str) -> String {
    DateTime::parse_from_rfc3339(text).map_or_else(
        |_| text.to_owned(),
        |time| time.to_utc().to_rfc3339_opts(SecondsFormat::Secs, true),
    )
}
