//! `s3 presign`: an address that anybody may use for a while.

use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use http::Method;
use serde_json::json;

use super::failed;
use super::place::S3Place;
use crate::cli::{PresignMethod, WhichVersion};
use crate::error::{Error, Result};
use crate::run::Context;
use crate::s3::client::{Call, Client};
use crate::s3::object::Name;

/// No service takes one for longer.
const EXPIRES_IN_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

pub(super) struct Presign {
    name: Name,
    call: Call,
    expires_in: Duration,
}

impl Presign {
    pub(super) fn new(
        object: &str,
        which: &WhichVersion,
        method: PresignMethod,
        expires_in: &str,
    ) -> Result<Self> {
        let name = S3Place::object(object, which)?;
        let method = match method {
            PresignMethod::Get => Method::GET,
            PresignMethod::Put => Method::PUT,
            PresignMethod::Head => Method::HEAD,
            PresignMethod::Delete => Method::DELETE,
        };
        let call = name.call(method);
        Ok(Self { name, call, expires_in: parse(expires_in)? })
    }

    pub(super) async fn run(self, context: &Context, client: Client) -> Result<()> {
        let until = Utc::now() + self.expires_in;
        let url = client
            .presign(&self.call, self.expires_in)
            .await
            .map_err(failed(format!("presign {}", self.name)))?;
        match context.output.json {
            true => context.output.json(&json!({
                "url": url,
                "method": self.call.method.as_str(),
                "expires": until.to_rfc3339_opts(SecondsFormat::Secs, true),
            })),
            false => context.output.line(url),
        }
    }
}

/// A time as typed; a number alone is seconds, as other tools have it.
fn parse(text: &str) -> Result<Duration> {
    let wrong = |why: String| {
        Error::Usage(format!(
            "--expires-in `{}` {why}\n  = expected a time such as 1h or 7days, from 1s to 7days",
            text.escape_debug()
        ))
    };
    let time = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => humantime::parse_duration(text)
            .map_err(|error| wrong(format!("is no time: {error}")))?,
    };
    if time < Duration::from_secs(1) {
        return Err(wrong("is over at once".into()));
    }
    if time > EXPIRES_IN_MAX {
        return Err(wrong("is longer than a week, which no service takes".into()));
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_lasts_a_second_to_a_week() {
        for (text, seconds) in [
            ("1h", Some(3600)),
            ("60", Some(60)),
            ("604800", Some(604_800)),
            ("7days", Some(604_800)),
            ("604801", None),
            ("8days", None),
            ("0", None),
            ("1ms", None),
            ("-5", None),
            ("soon", None),
        ] {
            assert_eq!(parse(text).ok(), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
