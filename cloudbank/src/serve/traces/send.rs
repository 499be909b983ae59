//! Sending spans to a collector, some at a time. When it is down they are dropped: nothing waits for it.

use std::time::Duration;

use reqwest::{Client, ClientBuilder};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{DROPPED, SENT, Span, Spans, TraceSettings, otlp};
use crate::error::{Error, Result};

/// The most spans of one request.
const SPANS_MAX: usize = 512;
/// How long a span waits for others to be sent with.
const GATHER_TIME: Duration = Duration::from_secs(1);
/// How long a collector may take to answer.
const SEND_TIME_MAX: Duration = Duration::from_secs(10);
/// How long what is left may take at the end.
const END_TIME_MAX: Duration = Duration::from_secs(2);

/// What sends spans, in the background.
#[derive(Debug)]
pub(crate) struct Sender {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Where they go.
struct Collector {
    client: Client,
    settings: TraceSettings,
    /// Whether the last request failed: said once, not each time.
    failing: bool,
}

/// What makes requests to collectors.
fn client() -> ClientBuilder {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Should another be faster, that is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    Client::builder().no_proxy()
}

impl Sender {
    /// Begins to send: what gathers spans, and what sends them.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`], when there can be no requests at all.
    pub(crate) fn start(settings: TraceSettings) -> Result<(Spans, Self)> {
        let client = client().timeout(SEND_TIME_MAX).build();
        let client =
            client.map_err(|error| Error::Failed(format!("traces cannot be sent: {error}")))?;
        let (spans, ended) = Spans::new(settings.share);
        let collector = Collector { client, settings, failing: false };
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(collector.run(ended, stopped));
        Ok((spans, Self { stop, task }))
    }

    /// Sends what is left, for a short while at most.
    pub(crate) async fn finish(self) {
        drop(self.stop);
        let abort = self.task.abort_handle();
        if tokio::time::timeout(END_TIME_MAX, self.task).await.is_err() {
            abort.abort();
        }
    }
}

impl Collector {
    async fn run(mut self, mut ended: mpsc::Receiver<Span>, mut stopped: oneshot::Receiver<()>) {
        let mut spans = Vec::with_capacity(SPANS_MAX);
        let mut stopping = false;
        while !stopping {
            tokio::select! {
                count = ended.recv_many(&mut spans, SPANS_MAX) => stopping = count == 0,
                _ = &mut stopped => stopping = true,
            }
            let until = Instant::now() + GATHER_TIME;
            while !stopping && spans.len() < SPANS_MAX {
                let room = SPANS_MAX - spans.len();
                tokio::select! {
                    count = ended.recv_many(&mut spans, room) => stopping = count == 0,
                    _ = &mut stopped => stopping = true,
                    () = tokio::time::sleep_until(until) => break,
                }
            }
            self.send(&mut spans).await;
        }
        while let Ok(span) = ended.try_recv() {
            spans.push(span);
            if spans.len() == SPANS_MAX {
                self.send(&mut spans).await;
            }
        }
        self.send(&mut spans).await;
    }

    /// Sends them once: who could not take them then does not get them.
    async fn send(&mut self, spans: &mut Vec<Span>) {
        if spans.is_empty() {
            return;
        }
        let body = otlp::encode(&self.settings.service, spans);
        let request = self.client.post(&self.settings.endpoint);
        let request = request.headers(self.settings.headers.clone());
        let request = request.header(http::header::CONTENT_TYPE, "application/json").body(body);
        let answer = request.send().await.and_then(reqwest::Response::error_for_status);
        let count = spans.len() as u64;
        spans.clear();
        let failed = match answer {
            Ok(_) => {
                metrics::counter!(SENT).increment(count);
                None
            }
            Err(error) => {
                metrics::counter!(DROPPED, "reason" => "refused").increment(count);
                // Without the address, in which there may be a secret.
                Some(error.without_url())
            }
        };
        match (&failed, self.failing) {
            (Some(error), false) => tracing::warn!("the collector takes no traces: {error}"),
            (None, true) => tracing::info!("the collector takes traces again"),
            _ => {}
        }
        self.failing = failed.is_some();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::serve::traces::TARGET;

    /// Takes one request: its head, and its body as JSON.
    async fn take(listener: &TcpListener, status: &str) -> (String, serde_json::Value) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut read = Vec::new();
        loop {
            let mut bytes = [0; 4096];
            let count = stream.read(&mut bytes).await.unwrap();
            assert!(count > 0, "the request ends early");
            read.extend_from_slice(&bytes[..count]);
            let text = String::from_utf8_lossy(&read).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
            });
            if Some(body.len()) == length {
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
                return (head.to_lowercase(), serde_json::from_str(body).unwrap());
            }
        }
    }

    fn settings(listener: &TcpListener) -> TraceSettings {
        let base = format!("http://{}", listener.local_addr().unwrap());
        let headers =
            |name: &str| (name == "OTEL_EXPORTER_OTLP_HEADERS").then(|| "api-key=k".into());
        TraceSettings::read(Some(&base), headers).unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_collector_gets_spans_as_otlp_has_them() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (spans, sender) = Sender::start(settings(&listener)).unwrap();
        let subscriber = tracing_subscriber::registry().with(spans);
        tracing::subscriber::with_default(subscriber, || {
            let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
            let request = tracing::info_span!(
                target: TARGET, "request", otel.name = "GetObject", traceparent = parent,
                aws.s3.bucket = "photos", http.response.status_code = 500,
            );
            request.in_scope(|| drop(tracing::debug_span!("provider_request", operation = "get")));
        });
        let ((head, body), ()) = tokio::join!(take(&listener, "200 OK"), sender.finish());
        assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
        assert!(
            head.contains("content-type: application/json") && head.contains("api-key: k"),
            "{head}"
        );
        let of = &body["resourceSpans"][0];
        let service = &of["resource"]["attributes"][0];
        assert_eq!(service["key"], "service.name");
        assert_eq!(service["value"]["stringValue"], "cloudbank");
        let [get, request] = &of["scopeSpans"][0]["spans"].as_array().unwrap()[..] else {
            panic!("{body}")
        };
        assert_eq!(request["name"], "GetObject");
        assert_eq!(request["traceId"], "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(
            (&request["parentSpanId"], &request["kind"]),
            (&"b7ad6b7169203331".into(), &2.into())
        );
        assert_eq!(request["status"]["code"], 2);
        let bucket =
            serde_json::json!({"key": "aws.s3.bucket", "value": {"stringValue": "photos"}});
        assert!(request["attributes"].as_array().unwrap().contains(&bucket), "{request}");
        assert_eq!(
            (&get["parentSpanId"], &get["traceId"]),
            (&request["spanId"], &request["traceId"])
        );
        let nanos = |field: &str| request[field].as_str().unwrap().parse::<u64>().unwrap();
        assert!(nanos("endTimeUnixNano") >= nanos("startTimeUnixNano"));
    }

    #[tokio::test]
    async fn a_collector_that_is_down_costs_spans_and_nothing_else() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut collector = Collector {
            client: client().build().unwrap(),
            settings: settings(&listener),
            failing: false,
        };
        let (spans, mut ended) = Spans::new(1.0);
        let one = |ended: &mut mpsc::Receiver<Span>| vec![ended.try_recv().unwrap()];
        tracing::subscriber::with_default(tracing_subscriber::registry().with(spans), || {
            for _ in 0..2 {
                drop(tracing::info_span!(target: TARGET, "request"));
            }
        });
        let mut refused = one(&mut ended);
        tokio::join!(take(&listener, "503 Busy"), collector.send(&mut refused));
        assert!(refused.is_empty() && collector.failing);
        drop(listener);
        let mut nobody = one(&mut ended);
        collector.send(&mut nobody).await;
        assert!(nobody.is_empty() && collector.failing);
    }
}
