//! Buckets.

use http::Method;
use serde::Deserialize;

use super::client::{Call, Client, Result};
use super::xml::escaped;

/// A bucket.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Bucket {
    pub(crate) name: String,
    /// When it was made, as the service says it.
    #[serde(default)]
    pub(crate) creation_date: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct All {
    #[serde(default)]
    buckets: Buckets,
}

#[derive(Debug, Default, Deserialize)]
struct Buckets {
    #[serde(default, rename = "Bucket")]
    list: Vec<Bucket>,
}

/// Whether a bucket can be called so, as far as all services agree.
pub(super) fn is_bucket_name(name: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    (3..=63).contains(&name.len()) && name.bytes().all(plain)
}

impl Client {
    /// All buckets of whose key it is.
    pub(crate) async fn buckets(&self) -> Result<Vec<Bucket>> {
        let all: All = self.read(Call::new(Method::GET, "", "")).await?;
        Ok(all.buckets.list)
    }

    /// Makes a bucket in the region of the settings.
    pub(crate) async fn create_bucket(&self, bucket: &str) -> Result<()> {
        let region = self.region();
        // The one region that must not be named.
        let body = match region {
            "us-east-1" => String::new(),
            region => format!(
                "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                 <LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>",
                escaped(region)
            ),
        };
        self.text(Call::new(Method::PUT, bucket, "").body(body)).await.map(drop)
    }

    /// Removes a bucket, which must be empty.
    pub(crate) async fn delete_bucket(&self, bucket: &str) -> Result<()> {
        self.text(Call::new(Method::DELETE, bucket, "")).await.map(drop)
    }

    /// Where a bucket is, if there is one and it says so.
    pub(crate) async fn head_bucket(&self, bucket: &str) -> Result<Option<String>> {
        let answer = self.call(Call::new(Method::HEAD, bucket, "")).await?;
        let region = answer.headers().get("x-amz-bucket-region");
        Ok(region.and_then(|region| region.to_str().ok()).map(str::to_owned))
    }
}
