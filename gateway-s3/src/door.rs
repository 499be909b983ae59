//! The door: HTTP, signatures and XML, which `s3s` reads and writes. Nothing behind it knows of that crate.

mod acls;
mod auth;
mod batch;
mod buckets;
mod convert;
mod cors;
mod form;
mod lists;
mod objects;
mod puts;
mod refuse;
mod route;
mod s3;
mod settings;
mod uploads;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, Request, Response, StatusCode};
use s3s::Body;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use storage_txn::Store;

use crate::error::{Code, Error};
use crate::op::caller::Caller;
use crate::op::{Core, Moment};
use crate::{Access, Options, OptionsError};

/// The header that says as of when a bucket is read.
const AT: &str = "x-cloudbank-at";

/// How many bytes of fields a form may have before its file.
const FORM_FIELDS_BYTES_MAX: usize = 1 << 20;

/// All that is behind one endpoint.
#[derive(Clone)]
pub(crate) struct Door {
    inner: Arc<Inner>,
    service: S3Service,
}

/// What answers are made with.
#[derive(Clone)]
struct Inner {
    core: Core,
    access: Arc<dyn Access>,
    options: Arc<Options>,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").field("options", &self.inner.options).finish_non_exhaustive()
    }
}

impl Door {
    pub(crate) fn new(
        store: Store,
        access: Arc<dyn Access>,
        options: Options,
    ) -> Result<Self, OptionsError> {
        let options = Arc::new(options);
        let core = Core { store, options: options.clone() };
        let inner = Arc::new(Inner { core, access, options: options.clone() });
        let mut config = S3Config::default();
        config.xml_max_body_size = options.xml_bytes_max;
        config.post_object_max_file_size = options.form_bytes_max;
        config.form_max_fields_size = FORM_FIELDS_BYTES_MAX;
        config.form_max_field_size = 64 << 10;
        config.form_max_parts = 100;
        config.presigned_url_max_skew_time_secs =
            u32::try_from(options.clock_skew_max.as_secs()).unwrap_or(u32::MAX);
        let mut builder = S3ServiceBuilder::new(s3::Protocol(inner.clone()));
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        // Without this nobody would be asked for a signature.
        builder.set_auth(auth::Keys(inner.clone()));
        builder.set_access(auth::AskedLater);
        builder.set_route(route::Own(inner.clone()));
        builder.set_host(auth::Hosts(options.clone()));
        builder.set_validation(auth::Names);
        Ok(Self { inner, service: builder.build() })
    }

    pub(crate) async fn call(&self, request: Request<Body>) -> Response<Body> {
        let id = crate::op::random().map_or_else(|_| String::new(), |id| format!("{id:016X}"));
        let origin = request.headers().get(http::header::ORIGIN).cloned();
        let method = request.method().clone();
        // A browser says so only before a request; where it is said with one it counts.
        let asked = puts::header(request.headers(), "access-control-request-method");
        let bucket = auth::bucket_of(&request, &self.inner.options);
        let mut answer = self.answer(request, bucket.as_deref()).await;
        if let (Some(origin), Some(bucket)) = (origin, bucket)
            && method != Method::OPTIONS
        {
            self.inner
                .add_cors(
                    &bucket,
                    &origin,
                    asked.as_deref().unwrap_or(method.as_str()),
                    answer.headers_mut(),
                )
                .await;
        }
        if answer.status() == StatusCode::NOT_MODIFIED {
            *answer.body_mut() = Body::empty();
            answer.headers_mut().remove(http::header::CONTENT_TYPE);
        }
        if let Ok(id) = HeaderValue::from_str(&id) {
            answer.headers_mut().insert("x-amz-request-id", id);
        }
        answer
    }

    async fn answer(&self, request: Request<Body>, bucket: Option<&str>) -> Response<Body> {
        if request.method() == Method::OPTIONS {
            return self.inner.preflight(&request, bucket).await;
        }
        if let Err(refused) = refuse::unwelcome(&request, &self.inner.options) {
            return refuse::answer(refused);
        }
        let form = request.method() == Method::POST;
        let request = form::expand(request, FORM_FIELDS_BYTES_MAX);
        match self.service.call(request).await {
            Ok(answer) if form && refuse::is_failed_policy(&answer) => {
                let why = "the form is not what its policy allows";
                refuse::answer(Error::new(Code::AccessDenied, why))
            }
            Ok(answer) => answer,
            Err(error) => {
                tracing::error!(?error, "a request could not be answered");
                refuse::answer(Code::InternalError.into())
            }
        }
    }
}

impl Inner {
    /// Who has signed a request.
    fn caller(&self, credentials: Option<&s3s::auth::Credentials>) -> Caller {
        Caller(credentials.and_then(|credentials| self.access.key(&credentials.access_key)))
    }
}

/// The bucket that a request names, and as of when: `bucket@time`, `bucket@v7`, or the header beside it.
fn place(bucket: &str, headers: &http::HeaderMap) -> Result<(String, Moment), Error> {
    let (name, suffix) = match bucket.split_once('@') {
        Some((name, suffix)) => (name, Some(suffix.to_owned())),
        None => (bucket, None),
    };
    let header = headers.get(AT).map(|value| value.to_str().unwrap_or_default().to_owned());
    let moment = match suffix.or(header) {
        Some(text) => moment(&text)?,
        None => Moment::Now,
    };
    Ok((name.to_owned(), moment))
}

/// A bucket that is to be changed, so only as it is now.
fn present(bucket: &str, headers: &http::HeaderMap) -> Result<String, Error> {
    match place(bucket, headers)? {
        (name, Moment::Now) => Ok(name),
        _ => Err(Error::new(Code::MethodNotAllowed, "what is past cannot be changed")),
    }
}

/// `v7` is a version of the store; `2026-01-31T12:00:00Z`, or seconds since the Unix epoch, a time.
fn moment(text: &str) -> Result<Moment, Error> {
    use s3s::dto::{Timestamp, TimestampFormat};
    if let Some(version) = text.strip_prefix('v').and_then(|digits| digits.parse().ok()) {
        return Ok(Moment::Version(version));
    }
    if let Ok(seconds) = text.parse() {
        return Ok(Moment::Time(Duration::from_secs(seconds)));
    }
    let time = Timestamp::parse(TimestampFormat::DateTime, text).ok();
    let time = time.and_then(|time| u64::try_from(convert::micros(time)).ok());
    time.map(|micros| Moment::Time(Duration::from_micros(micros))).ok_or_else(|| {
        Error::new(Code::InvalidArgument, format!("{text:?} is no time and no version"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_version_or_a_time() {
        let cases = [
            ("v7", Some(Moment::Version(7))),
            ("0", Some(Moment::Time(Duration::ZERO))),
            ("1700000000", Some(Moment::Time(Duration::from_secs(1_700_000_000)))),
            ("2023-11-14T22:13:20Z", Some(Moment::Time(Duration::from_secs(1_700_000_000)))),
            (
                "2023-11-14T22:13:20.5Z",
                Some(Moment::Time(Duration::from_millis(1_700_000_000_500))),
            ),
            ("v", None),
            ("yesterday", None),
            ("", None),
            ("1900-01-01T00:00:00Z", None),
        ];
        for (text, expected) in cases {
            assert_eq!(moment(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn the_suffix_of_a_bucket_comes_before_the_header_and_the_past_stays() {
        let mut headers = http::HeaderMap::new();
        assert_eq!(place("b", &headers).unwrap(), ("b".to_owned(), Moment::Now));
        headers.insert(AT, HeaderValue::from_static("v3"));
        assert_eq!(place("b", &headers).unwrap().1, Moment::Version(3));
        assert_eq!(place("b@v4", &headers).unwrap(), ("b".to_owned(), Moment::Version(4)));
        assert_eq!(present("b", &headers).unwrap_err().code(), Some(Code::MethodNotAllowed));
    }
}
