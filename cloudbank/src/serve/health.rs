//! Whether the server lives, and whether it can serve.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Method, Response, StatusCode};
use storage_txn::{At, Store};

/// How old an answer of the provider may be that shows that it can be reached.
const SEEN_WITHIN: Duration = Duration::from_secs(5);
/// How long the provider may take to show it.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// What is known of the server's health. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Health(Arc<Known>);

struct Known {
    store: Store,
    stopping: AtomicBool,
}

impl Health {
    pub(crate) fn new(store: Store) -> Self {
        Self(Arc::new(Known { store, stopping: AtomicBool::new(false) }))
    }

    /// From now on it is not ready: it stops.
    pub(crate) fn stop(&self) {
        self.0.stopping.store(true, Ordering::Relaxed);
    }

    /// The answer to a request for `/-/healthy` or `/-/ready`; `None` to any other.
    pub(crate) async fn answer(&self, method: &Method, path: &str) -> Option<Response<String>> {
        let problem = match path {
            "/-/healthy" => None,
            "/-/ready" => self.problem().await,
            _ => return None,
        };
        let (status, text) = match problem {
            None => (StatusCode::OK, "ok\n"),
            Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, problem),
        };
        let text = if *method == Method::HEAD { String::new() } else { text.to_owned() };
        let mut response = Response::new(text);
        *response.status_mut() = status;
        Some(response)
    }

    /// Why it cannot serve. Without details: anybody may ask.
    async fn problem(&self) -> Option<&'static str> {
        if self.0.stopping.load(Ordering::Relaxed) {
            return Some("stopping\n");
        }
        let seen = self.0.store.snapshot(At::Within(SEEN_WITHIN));
        match tokio::time::timeout(ANSWER_TIME_MAX, seen).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => {
                tracing::warn!("not ready: {error}");
                Some("the store cannot be read\n")
            }
            Err(_) => {
                tracing::warn!("not ready: the store gives no answer within {ANSWER_TIME_MAX:?}");
                Some("the store gives no answer\n")
            }
        }
    }
}
