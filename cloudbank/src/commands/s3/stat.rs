//! `s3 stat`: what is known of an object or a bucket.

use serde_json::{Map, Value, json};

use super::failed;
use super::place::S3Place;
use crate::cli::WhichVersion;
use crate::config::human_size;
use crate::error::{Error, Result};
use crate::output::{Grid, grouped};
use crate::run::Context;
use crate::s3::client::Client;
use crate::s3::object::{Head, text};

/// Words of one's own begin so.
const METADATA: &str = "x-amz-meta-";
/// Headers that say something of an object, and what they are called here.
const HEADERS: [(&str, &str); 14] = [
    ("content-type", "content_type"),
    ("x-amz-version-id", "version_id"),
    ("x-amz-storage-class", "storage_class"),
    ("cache-control", "cache_control"),
    ("content-disposition", "content_disposition"),
    ("content-encoding", "content_encoding"),
    ("content-language", "content_language"),
    ("expires", "expires"),
    ("x-amz-checksum-crc64nvme", "crc64nvme"),
    ("x-amz-checksum-crc32c", "crc32c"),
    ("x-amz-checksum-crc32", "crc32"),
    ("x-amz-checksum-sha256", "sha256"),
    ("x-amz-checksum-sha1", "sha1"),
    ("x-amz-server-side-encryption", "encryption"),
];

pub(super) async fn run(
    context: &Context,
    connect: &impl Fn() -> Result<Client>,
    address: &str,
    which: &WhichVersion,
) -> Result<()> {
    let place = S3Place::parse(address)?;
    if place.bucket.is_empty() {
        return Err(Error::Usage(format!("`{address}` names no bucket")));
    }
    let name = place.name(which)?;
    let client = connect()?;
    if name.key.is_empty() {
        let region = client
            .head_bucket(&name.bucket)
            .await
            .map_err(failed(format!("stat s3://{}", name.bucket)))?;
        return match context.output.json {
            true => context.output.json(&json!({ "bucket": name.bucket, "region": region })),
            false => {
                context.output.line(format_args!("bucket  {}", name.bucket))?;
                region
                    .map_or(Ok(()), |region| context.output.line(format_args!("region  {region}")))
            }
        };
    }
    let head = client.head(&name).await.map_err(failed(format!("stat {name}")))?;
    let facts = facts(&head);
    if context.output.json {
        let mut object = Map::new();
        object.insert("bucket".into(), name.bucket.clone().into());
        object.insert("key".into(), name.key.clone().into());
        object.insert("size".into(), head.size.into());
        object.insert("etag".into(), head.etag.clone().into());
        let modified = head.modified.map(|time| time.to_rfc3339());
        object.insert("last_modified".into(), modified.into());
        object.extend(facts.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into())));
        let metadata: Map<_, Value> =
            metadata(&head).into_iter().map(|(name, value)| (name, value.into())).collect();
        object.insert("metadata".into(), metadata.into());
        return context.output.json(&Value::Object(object));
    }
    let mut grid = Vec::new();
    let mut row = |name: &str, value: String| grid.push((name.to_owned(), value));
    row("object", format!("s3://{}/{}", name.bucket, crate::commands::shown_line(&name.key)));
    row("size", format!("{} ({})", grouped(head.size), human_size(head.size)));
    row("etag", head.etag.clone());
    if let Some(time) = head.modified {
        row("modified", time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
    }
    for (name, value) in facts {
        row(&name.replace('_', " "), value);
    }
    for (name, value) in metadata(&head) {
        row(&format!("metadata {name}"), value);
    }
    let mut rows = grid.into_iter();
    let Some((first, value)) = rows.next() else { return Ok(()) };
    let mut table = Grid::new(&[&first, &value], &[]);
    rows.for_each(|(name, value)| table.row([name, value]));
    table.lines().try_for_each(|line| context.output.line(line))
}

fn facts(head: &Head) -> Vec<(&'static str, String)> {
    let found = HEADERS.iter().map(|(header, name)| (*name, text(&head.headers, header)));
    found.filter(|(_, value)| !value.is_empty()).collect()
}

fn metadata(head: &Head) -> Vec<(String, String)> {
    let mut found: Vec<_> = head
        .headers
        .iter()
        .filter_map(|(name, value)| {
            let name = name.as_str().strip_prefix(METADATA)?.to_owned();
            Some((name, String::from_utf8_lossy(value.as_bytes()).into_owned()))
        })
        .collect();
    found.sort();
    found
}
