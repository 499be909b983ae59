//! What the services on HTTP have in common: settings, and handles that the suite asks for.

use std::time::Duration;

#[cfg(all(feature = "azure", not(feature = "s3")))]
pub(super) use backend_azure::{ConditionalPut, Http, Names, Probe};
#[cfg(feature = "s3")]
pub(super) use backend_s3::{ConditionalPut, Http, Names, Probe};
use std::net::SocketAddr;
use std::sync::Arc;

use conformance::WireHook;
use storage_core::{Prefix, Result, StorageProvider, async_trait};

use crate::config::{Problem, Section};

/// How long the suite waits for an answer that never comes.
const LOST_ANSWER: Duration = Duration::from_secs(2);

pub(super) fn http(section: &mut Section<'_>) -> Http {
    let default = Http::default();
    Http {
        allow_http: section.switch("allow_http").or(default.allow_http),
        allow_invalid_certificates: section
            .switch("allow_invalid_certificates")
            .or(default.allow_invalid_certificates),
        ca_certificate: section.content("ca_certificate").optional(),
        connect_timeout: section.time("connect_timeout").or(default.connect_timeout),
        idle_timeout: section.time("idle_timeout").or(default.idle_timeout),
        request_timeout: section.time("request_timeout").or(default.request_timeout),
    }
}

pub(super) fn conditional_put(section: &mut Section<'_>) -> ConditionalPut {
    let words = [("etag", ConditionalPut::Etag), ("unsupported", ConditionalPut::Unsupported)];
    section.choice("conditional_put", &words).or("etag", ConditionalPut::Etag)
}

/// How keys are spelled as names of objects.
pub(super) fn names(section: &mut Section<'_>) -> Names {
    let words = [("folders", Names::Folders), ("plain", Names::Plain)];
    section.choice("names", &words).or("folders", Names::Folders)
}

pub(super) fn probe(section: &mut Section<'_>) -> Probe {
    let words = [("full", Probe::Full), ("off", Probe::Off)];
    section.choice("probe", &words).or("full", Probe::Full)
}

/// The prefix of all keys, `""` by default.
pub(super) fn prefix(section: &mut Section<'_>) -> Prefix {
    let Some(text) = section.text("prefix").optional() else { return Prefix::all() };
    Prefix::new(&text).unwrap_or_else(|problem| {
        let problem = Problem::error(format!("`prefix` is no prefix of keys: {problem}"))
            .expected("0-9 a-z _ = ~ in segments joined by /, such as \"backup/\"");
        section.problem("prefix", problem);
        Prefix::all()
    })
}

/// The same HTTP with less patience, for handles whose answers get lost on purpose.
pub(super) fn impatient(http: &Http) -> Http {
    Http { request_timeout: LOST_ANSWER, ..http.clone() }
}

/// Host and port of a service that speaks plain HTTP, if it does.
pub(super) fn plain_upstream(endpoint: &str) -> Option<String> {
    let rest = endpoint.strip_prefix("http://")?;
    let host = rest.split('/').next()?;
    Some(if host.contains(':') { host.to_owned() } else { format!("{host}:80") })
}

/// A service behind the suite's proxy.
pub(super) struct Wire<F> {
    pub(super) upstream: String,
    pub(super) open: F,
}

#[async_trait]
impl<F, P, O> WireHook for Wire<F>
where
    F: Fn(SocketAddr) -> O + Send + Sync + 'static,
    O: Future<Output = Result<P>> + Send + 'static,
    P: StorageProvider,
{
    fn upstream(&self) -> String {
        self.upstream.clone()
    }

    async fn open_through(&self, proxy: SocketAddr) -> Result<Arc<dyn StorageProvider>> {
        Ok(Arc::new((self.open)(proxy).await?))
    }
}
