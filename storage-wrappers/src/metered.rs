//! Metrics and traces of every request.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use metrics::{Key as Name, Label, Level, Metadata, SharedString, Unit, with_recorder};
use storage_core::{
    Env, Get, Key, List, Object, Operation, Page, ProviderInfo, PutIf, Result, StorageProvider,
    Version, async_trait,
};
use tracing::Instrument;

const REQUESTS: &str = "cloudbank_provider_requests_total";
const SECONDS: &str = "cloudbank_provider_request_seconds";
const BYTES: &str = "cloudbank_provider_bytes_total";

static METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// Reports every request to the [`metrics`] recorder and the [`tracing`] subscriber in use.
///
/// | metric | type | labels |
/// |---|---|---|
/// | `cloudbank_provider_requests_total` | counter | `provider`, `operation`, `outcome` |
/// | `cloudbank_provider_request_seconds` | histogram | `provider`, `operation`, `outcome` |
/// | `cloudbank_provider_bytes_total` | counter | `provider`, `operation`: bodies put, bodies got |
///
/// The outcome is `ok`, the [label of an error's kind](storage_core::ErrorKind::label), or `dropped` for a
/// call whose future was dropped. A span `provider_request` and an event at its end are made at the level
/// debug. No label and no field ever holds a key, so their number is bounded.
///
/// [`describe_metrics`] tells a recorder what they are; without a recorder nothing is kept.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use backend_memory::MemoryProvider;
/// use storage_core::{Key, PutIf, StorageProvider};
/// use storage_wrappers::{ManualEnv, Metered};
///
/// # futures_executor::block_on(async {
/// let provider = Metered::new(MemoryProvider::new(), "local", Arc::new(ManualEnv::new(0)));
/// provider.put(&Key::new("a")?, "body".into(), PutIf::Always).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Metered<P> {
    inner: P,
    label: SharedString,
    names: [Names; 4],
    env: Arc<dyn Env>,
}

/// The names with their labels for one operation, made once: a request allocates none.
#[derive(Debug)]
struct Names {
    operation: Operation,
    ok: Outcome,
    bytes: Name,
}

/// The names with their labels for one outcome.
#[derive(Debug)]
struct Outcome {
    requests: Name,
    seconds: Name,
}

/// Tells the recorder in use the units and meanings of the metrics. Once, when it is installed.
pub fn describe_metrics() {
    metrics::describe_counter!(REQUESTS, Unit::Count, "requests to a provider, by outcome");
    metrics::describe_histogram!(SECONDS, Unit::Seconds, "time from a request to its answer");
    metrics::describe_counter!(
        BYTES,
        Unit::Bytes,
        "bytes of bodies put to and got from a provider"
    );
}

impl<P: StorageProvider> Metered<P> {
    /// Reports what goes to `inner` under the label `provider` with this value: the name the provider has
    /// in the configuration, say.
    #[must_use]
    pub fn new(inner: P, label: impl Into<Arc<str>>, env: Arc<dyn Env>) -> Self {
        let label = SharedString::from_shared(label.into());
        let names = Operation::ALL.map(|operation| Names {
            operation,
            ok: Outcome::new(&label, operation, "ok"),
            bytes: Name::from_parts(BYTES, labels(&label, operation)),
        });
        Self { inner, label, names, env }
    }

    async fn metered<T>(
        &self,
        operation: Operation,
        body_bytes: u64,
        work: impl Future<Output = Result<T>>,
        answer_bytes: impl FnOnce(&T) -> u64,
    ) -> Result<T> {
        let span = tracing::debug_span!(
            "provider_request",
            provider = &*self.label,
            operation = operation.label()
        );
        let names = &self.names[operation as usize];
        let mut report = Report {
            names,
            label: &self.label,
            env: &*self.env,
            began: self.env.monotonic(),
            outcome: "dropped",
            bytes: body_bytes,
        };
        let answer = work.instrument(span.clone()).await;
        report.outcome = match &answer {
            Ok(_) => "ok",
            Err(error) => error.kind().label(),
        };
        if let Ok(answer) = &answer {
            report.bytes += answer_bytes(answer);
        }
        span.in_scope(|| drop(report));
        answer
    }
}

/// Reports a request when it goes out of scope, so that one that is dropped midway is seen too.
struct Report<'a> {
    names: &'a Names,
    label: &'a SharedString,
    env: &'a dyn Env,
    began: Duration,
    outcome: &'static str,
    bytes: u64,
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        let took = self.env.monotonic().saturating_sub(self.began);
        let Names { operation, ok, bytes } = self.names;
        with_recorder(|recorder| {
            let other;
            let outcome = if self.outcome == "ok" {
                ok
            } else {
                other = Outcome::new(self.label, *operation, self.outcome);
                &other
            };
            recorder.register_counter(&outcome.requests, &METADATA).increment(1);
            recorder.register_histogram(&outcome.seconds, &METADATA).record(took.as_secs_f64());
            if self.bytes > 0 {
                recorder.register_counter(bytes, &METADATA).increment(self.bytes);
            }
        });
        tracing::debug!(
            outcome = self.outcome,
            micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            bytes = self.bytes,
            "provider request done"
        );
    }
}

impl Outcome {
    fn new(label: &SharedString, operation: Operation, outcome: &'static str) -> Self {
        let mut labels = labels(label, operation);
        labels.push(Label::from_static_parts("outcome", outcome));
        Self {
            requests: Name::from_parts(REQUESTS, labels.clone()),
            seconds: Name::from_parts(SECONDS, labels),
        }
    }
}

fn labels(label: &SharedString, operation: Operation) -> Vec<Label> {
    vec![
        Label::new("provider", label.clone()),
        Label::from_static_parts("operation", operation.label()),
    ]
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<P: StorageProvider> StorageProvider for Metered<P> {
    fn info(&self) -> ProviderInfo {
        self.inner.info()
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        let bytes = body.len() as u64;
        self.metered(Operation::Put, bytes, self.inner.put(key, body, when), |_| 0).await
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        let bytes = |object: &Object| object.body.len() as u64;
        self.metered(Operation::Get, 0, self.inner.get(key, request), bytes).await
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        self.metered(Operation::List, 0, self.inner.list(request), |_| 0).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.metered(Operation::Delete, 0, self.inner.delete(key), |()| 0).await
    }
}
