//! Requests that S3 does not know: batches and change feeds. They are signed as all others are.

use std::sync::Arc;

use http::{Extensions, HeaderMap, Method, Uri};
use s3s::route::S3Route;
use s3s::{Body, S3Request, S3Response, S3Result};

use crate::door::Inner;
use crate::door::auth::only_bucket_of;

/// What stands in the query of a batch.
const BATCH: &str = "batch";
/// What stands in that of a change feed.
const CHANGES: &str = "changes";

/// Our own requests.
pub(super) struct Own(pub(super) Arc<Inner>);

#[async_trait::async_trait]
impl S3Route for Own {
    fn is_match(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        _: &mut Extensions,
    ) -> bool {
        match *method {
            Method::POST => {
                self.bucket(uri, headers).is_none() && uri.path() == "/" && asks(uri, BATCH)
            }
            Method::GET | Method::DELETE => {
                asks(uri, CHANGES) && self.bucket(uri, headers).is_some()
            }
            _ => false,
        }
    }

    /// Asked later, as of all others.
    async fn check_access(&self, _: &mut S3Request<Body>) -> S3Result<()> {
        Ok(())
    }

    async fn call(&self, request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        Ok(match self.bucket(&request.uri, &request.headers) {
            Some(bucket) => self.0.changes(&bucket, request).await,
            None => self.0.batch(request).await,
        })
    }
}

impl Own {
    fn bucket(&self, uri: &Uri, headers: &HeaderMap) -> Option<String> {
        only_bucket_of(uri, headers, &self.0.options)
    }
}

/// Whether a word stands in the query, with or without a value.
fn asks(uri: &Uri, word: &str) -> bool {
    let query = uri.query().unwrap_or_default();
    query.split('&').any(|part| part.split('=').next() == Some(word))
}
