//! The door: HTTP, signatures and XML, which `s3s` reads and writes. Nothing behind it knows of that crate.

mod acls;
mod auth;
mod batch;
mod buckets;
mod changes;
mod convert;
mod cors;
mod encryption;
mod form;
mod lifecycle;
mod lists;
mod locks;
mod objects;
mod policies;
mod puts;
mod refuse;
mod route;
mod s3;
mod settings;
mod uploads;
mod version_2;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use s3s::Body;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use storage_txn::Store;

use crate::error::{Code, Error};
use crate::op::caller::Caller;
use crate::op::said::Said;
use crate::op::{Core, Moment};
use crate::{Access, Options, OptionsError, Origin};

/// The header that says as of when a bucket is read.
const AT: &str = "x-cloudbank-at";

/// How many bytes of fields a form may have before its file.
const FORM_FIELDS_BYTES_MAX: usize = 1 << 20;

/// The most bytes of a body whose length was not said.
const UNSAID_BYTES_MAX: usize = 1 << 20;

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
    /// How many wait for changes.
    waiting: Arc<AtomicUsize>,
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
        let core = Core::new(store, options.clone());
        let inner =
            Arc::new(Inner { core, access, options: options.clone(), waiting: Arc::default() });
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

    /// What is done on behalf of nobody.
    pub(crate) fn core(&self) -> &Core {
        &self.inner.core
    }

    pub(crate) async fn call(&self, request: Request<Body>) -> Response<Body> {
        let known = request.extensions().get::<Origin>().map(|origin| origin.id.clone());
        let id = known.filter(|id| !id.is_empty()).unwrap_or_else(|| {
            crate::op::random().map_or_else(|_| String::new(), |id| format!("{id:016X}"))
        });
        let path = request.uri().path().to_owned();
        let origin = request.headers().get(http::header::ORIGIN).cloned();
        let method = request.method().clone();
        // A browser says so only before a request; where it is said with one it counts.
        let asked = puts::header(request.headers(), "access-control-request-method");
        let bucket = auth::bucket_of(request.uri(), request.headers(), &self.inner.options);
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
        if answer.status().is_client_error() || answer.status().is_server_error() {
            refuse::name(&mut answer, &path, &id);
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
        if let Err(refused) = self.inner.check_owners(request.headers(), bucket).await {
            return refuse::answer(refused);
        }
        let form = request.method() == Method::POST;
        let request = auth::dated(version_2::as_signed(request, &self.inner.options));
        let access = &self.inner.access;
        if let Err(refused) = version_2::check_request(&request, &self.inner.options, &**access) {
            return refuse::answer(refused);
        }
        let request = form::expand(request, FORM_FIELDS_BYTES_MAX, access.clone());
        let noted = request.extensions().get::<form::Noted>().cloned();
        let query = request.uri().query().unwrap_or_default();
        let attributes = query.split('&').any(|pair| pair.trim_end_matches('=') == "attributes");
        let request = match whole(request).await {
            Ok(request) => request,
            Err(refused) => return refuse::answer(refused),
        };
        match self.service.call(request).await {
            Ok(answer) if form && refuse::is_failed_policy(&answer) => {
                if noted.is_some_and(|noted| !noted.fields().signature) {
                    return refuse::answer(puts::unsigned_form());
                }
                let why = "the form is not what its policy allows";
                refuse::answer(Error::new(Code::AccessDenied, why))
            }
            Ok(answer) if form => quoted_etag(answer),
            Ok(answer) if attributes => bare_etag(answer),
            Ok(answer) => answer,
            Err(error) => {
                tracing::error!(?error, "a request could not be answered");
                refuse::answer(Code::InternalError.into())
            }
        }
    }
}

impl Inner {
    /// Clients can say whose buckets they take them for.
    ///
    /// # Errors
    ///
    /// [`Code::AccessDenied`], [`Code::NoSuchBucket`].
    async fn check_owners(
        &self,
        headers: &http::HeaderMap,
        bucket: Option<&str>,
    ) -> Result<(), Error> {
        let source = puts::header(headers, "x-amz-copy-source").unwrap_or_default();
        let source = source.trim_start_matches('/').split('/').next().map(str::to_owned);
        let said = [
            ("x-amz-expected-bucket-owner", bucket),
            ("x-amz-source-expected-bucket-owner", source.as_deref()),
        ];
        for (name, bucket) in said {
            let (Some(owner), Some(bucket)) = (puts::header(headers, name), bucket) else {
                continue;
            };
            let (bucket, moment) = place(bucket, headers)?;
            if self.core.open(&bucket, moment).await?.bucket.owner.id != owner {
                let why = format!("the bucket is not of {owner:?}");
                return Err(Error::new(Code::AccessDenied, why));
            }
        }
        Ok(())
    }

    /// Who has signed a request.
    fn caller<T>(&self, request: &s3s::S3Request<T>) -> Caller {
        let credentials = request.credentials.as_ref();
        let key = credentials.and_then(|credentials| self.access.key(&credentials.access_key));
        let origin = request.extensions.get::<Origin>().cloned().unwrap_or_default();
        let query = request.uri.query();
        let said = Said::new(request.headers.clone(), query, origin.address, origin.tls);
        Caller { key, request: said }
    }
}

/// A body whose length was not said is taken in before it is looked at, if it is small.
async fn whole(request: Request<Body>) -> Result<Request<Body>, Error> {
    let headers = request.headers();
    let unsaid = headers.contains_key(http::header::TRANSFER_ENCODING)
        && !headers.contains_key("x-amz-decoded-content-length");
    if request.method() != Method::PUT || !unsaid {
        return Ok(request);
    }
    let (mut parts, body) = request.into_parts();
    let limited = http_body_util::Limited::new(body, UNSAID_BYTES_MAX);
    let body = limited.collect().await.map_err(|_| Error::from(Code::MissingContentLength))?;
    let body = body.to_bytes();
    parts.headers.remove(http::header::TRANSFER_ENCODING);
    parts.headers.insert(http::header::CONTENT_LENGTH, body.len().into());
    Ok(Request::from_parts(parts, Body::from(body)))
}

/// Where a form is answered with a redirection, the entity tag has quotes.
fn quoted_etag(mut answer: Response<Body>) -> Response<Body> {
    let location = puts::header(answer.headers(), "location").unwrap_or_default();
    if let Some((before, etag)) = location.split_once("&etag=")
        && etag.bytes().all(|byte| byte.is_ascii_hexdigit())
        && let Ok(location) = HeaderValue::from_str(&format!("{before}&etag=%22{etag}%22"))
    {
        answer.headers_mut().insert(http::header::LOCATION, location);
    }
    answer
}

/// Among the attributes of an object the entity tag has none.
fn bare_etag(mut answer: Response<Body>) -> Response<Body> {
    let Some(text) = answer.body().bytes() else { return answer };
    let Ok(text) = std::str::from_utf8(&text) else { return answer };
    let Some((before, rest)) = text.split_once("<ETag>") else { return answer };
    let Some((etag, after)) = rest.split_once("</ETag>") else { return answer };
    let etag = etag.replace("&quot;", "").replace('"', "");
    let text = format!("{before}<ETag>{etag}</ETag>{after}");
    answer.headers_mut().remove(http::header::CONTENT_LENGTH);
    *answer.body_mut() = Body::from(text);
    answer
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
