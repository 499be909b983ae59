//! Requests that a browser makes for pages from elsewhere: what it may do is said before, and with the answer.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderName, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Request, Response};
use s3s::Body;

use crate::door::puts::header;
use crate::door::{Inner, refuse};
use crate::error::{Code, Error, Result};
use crate::op::Moment;
use crate::op::settings::cors_rule;
use crate::record::CorsRule;

impl Inner {
    /// Answers what a browser asks before it makes a request.
    pub(super) async fn preflight(
        &self,
        request: &Request<Body>,
        bucket: Option<&str>,
    ) -> Response<Body> {
        let answer = async {
            let header = |name: HeaderName| header(request.headers(), name.as_str());
            let missing =
                |what: &str| Error::new(Code::InvalidRequest, format!("the request has no {what}"));
            let origin = header(ORIGIN).ok_or_else(|| missing("Origin"))?;
            let method = header(ACCESS_CONTROL_REQUEST_METHOD)
                .ok_or_else(|| missing("Access-Control-Request-Method"))?;
            let headers: Vec<String> = header(ACCESS_CONTROL_REQUEST_HEADERS)
                .unwrap_or_default()
                .split(',')
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty())
                .collect();
            let rules = self.rules(bucket.unwrap_or_default()).await?;
            let Some(rule) = cors_rule(&rules, &origin, &method, &headers) else {
                return Err(Error::new(Code::AccessDenied, "no rule of the bucket allows this"));
            };
            let mut answer = Response::new(Body::empty());
            allow(rule, &origin, answer.headers_mut());
            if !headers.is_empty() {
                insert(
                    answer.headers_mut(),
                    ACCESS_CONTROL_ALLOW_HEADERS,
                    &headers.join(", ").to_lowercase(),
                );
            }
            if let Some(age) = rule.max_age_seconds {
                insert(answer.headers_mut(), ACCESS_CONTROL_MAX_AGE, &age.to_string());
            }
            Ok(answer)
        };
        answer.await.unwrap_or_else(refuse::answer)
    }

    /// Says with an answer which pages may read it.
    pub(super) async fn add_cors(
        &self,
        bucket: &str,
        origin: &HeaderValue,
        method: &str,
        headers: &mut HeaderMap,
    ) {
        let (Ok(origin), Ok(rules)) = (origin.to_str(), self.rules(bucket).await) else { return };
        if let Some(rule) = cors_rule(&rules, origin, method, &[]) {
            allow(rule, origin, headers);
        }
    }

    async fn rules(&self, bucket: &str) -> Result<Vec<CorsRule>> {
        let name = bucket.split('@').next().unwrap_or_default();
        Ok(self.core.open(name, Moment::Now).await?.bucket.cors)
    }
}

fn allow(rule: &CorsRule, origin: &str, headers: &mut HeaderMap) {
    if rule.origins.iter().any(|one| one == "*") {
        insert(headers, ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    } else {
        insert(headers, ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        insert(headers, ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
    }
    insert(headers, ACCESS_CONTROL_ALLOW_METHODS, &rule.methods.join(", "));
    if !rule.expose.is_empty() {
        insert(headers, ACCESS_CONTROL_EXPOSE_HEADERS, &rule.expose.join(", "));
    }
    insert(headers, VARY, "Origin, Access-Control-Request-Headers, Access-Control-Request-Method");
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
