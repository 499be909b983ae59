//! Requests that S3 does not know: batches. They are signed as all others are.

use std::sync::Arc;

use http::{Extensions, HeaderMap, Method, Uri};
use s3s::route::S3Route;
use s3s::{Body, S3Request, S3Response, S3Result};

use crate::door::Inner;

/// What stands in the query of a batch.
const BATCH: &str = "batch";

/// Our own requests.
pub(super) struct Own(pub(super) Arc<Inner>);

#[async_trait::async_trait]
impl S3Route for Own {
    fn is_match(&self, method: &Method, uri: &Uri, _: &HeaderMap, _: &mut Extensions) -> bool {
        *method == Method::POST && uri.path() == "/" && asks(uri, BATCH)
    }

    /// Asked later, as of all others.
    async fn check_access(&self, _: &mut S3Request<Body>) -> S3Result<()> {
        Ok(())
    }

    async fn call(&self, request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        Ok(self.0.batch(request).await)
    }
}

/// Whether a word stands in the query, with or without a value.
fn asks(uri: &Uri, word: &str) -> bool {
    let query = uri.query().unwrap_or_default();
    query.split('&').any(|part| part.split('=').next() == Some(word))
}
