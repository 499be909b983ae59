//! Where traces go: what the configuration says, and the variables that all OpenTelemetry programs know
//! (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>).

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::{Error, Result};

/// Where a collector takes traces.
const PATH: &str = "/v1/traces";

/// Where traces go, and which.
#[derive(Debug, Clone)]
pub(crate) struct TraceSettings {
    /// The whole address.
    pub(super) endpoint: String,
    pub(super) service: String,
    /// Marked as secret: they are how a collector knows who sends.
    pub(super) headers: HeaderMap,
    /// Of traces that begin here, which share is kept.
    pub(super) share: f64,
}

impl TraceSettings {
    /// What there is to know; `None` when traces go nowhere. The configuration comes before the variables.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`], with the setting or the variable that is wrong.
    pub(crate) fn read(
        configured: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let below = |base: &str| format!("{}{PATH}", base.trim_end_matches('/'));
        let from = |name: &'static str, whole: bool| {
            let value = variable(name)?;
            Some((name, if whole { value } else { below(&value) }))
        };
        let endpoint = configured
            .map(|base| ("traces of [server]", below(base)))
            .or_else(|| from("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", true))
            .or_else(|| from("OTEL_EXPORTER_OTLP_ENDPOINT", false));
        let Some((setting, endpoint)) = endpoint else { return Ok(None) };
        let is_http = endpoint.starts_with("http://") || endpoint.starts_with("https://");
        if !is_http || endpoint.parse::<http::Uri>().is_err() {
            return Err(Error::Usage(format!(
                "{setting} is no address of a collector\n  = expected one like http://127.0.0.1:4318"
            )));
        }
        let mut headers = HeaderMap::new();
        for name in ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"] {
            add_headers(&mut headers, name, &variable(name).unwrap_or_default())?;
        }
        let service = variable("OTEL_SERVICE_NAME").unwrap_or_else(|| "cloudbank".to_owned());
        let share = share(
            variable("OTEL_TRACES_SAMPLER").as_deref(),
            variable("OTEL_TRACES_SAMPLER_ARG").as_deref(),
        )?;
        Ok(Some(Self { endpoint, service, headers, share }))
    }
}

/// `name=value,name=value`.
fn add_headers(headers: &mut HeaderMap, variable: &str, text: &str) -> Result<()> {
    for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
        let header = pair.split_once('=').and_then(|(name, value)| {
            let name: HeaderName = name.trim().parse().ok()?;
            Some((name, HeaderValue::from_str(value.trim()).ok()?))
        });
        // Not said which: there may be a secret in it.
        let wrong = || Error::Usage(format!("{variable} is not name=value, with commas between"));
        let (name, mut value) = header.ok_or_else(wrong)?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(())
}

fn share(sampler: Option<&str>, argument: Option<&str>) -> Result<f64> {
    match sampler.map(|name| name.strip_prefix("parentbased_").unwrap_or(name)) {
        None | Some("always_on") => Ok(1.0),
        Some("always_off") => Ok(0.0),
        Some("traceidratio") => {
            let share = argument.unwrap_or("1").parse::<f64>().ok();
            share.filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| {
                Error::Usage("OTEL_TRACES_SAMPLER_ARG is no number from 0 to 1".into())
            })
        }
        Some(_) => Err(Error::Usage(
            "OTEL_TRACES_SAMPLER is none that is known\n  = expected always_on, always_off or traceidratio, with or \
             without parentbased_ before it"
                .into(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(configured: Option<&str>, set: &[(&str, &str)]) -> Result<Option<TraceSettings>> {
        TraceSettings::read(configured, |name| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn traces_go_where_the_configuration_or_the_variables_say() {
        const ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        const OWN: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        type Case<'a> = (Option<&'a str>, &'a [(&'a str, &'a str)], Option<&'a str>);
        let cases: [Case<'_>; 6] = [
            (None, &[], None),
            (Some("http://a:4318/"), &[(ALL, "http://b")], Some("http://a:4318/v1/traces")),
            (None, &[(ALL, "https://b/otlp")], Some("https://b/otlp/v1/traces")),
            (None, &[(ALL, "http://b"), (OWN, "http://c/x")], Some("http://c/x")),
            (None, &[(ALL, "")], None),
            (Some("http://a"), &[("OTEL_SDK_DISABLED", "true")], None),
        ];
        for (configured, set, expected) in cases {
            let settings = read(configured, set).unwrap();
            assert_eq!(settings.map(|settings| settings.endpoint).as_deref(), expected, "{set:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_no_secret_is_shown() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://b");
        let headers = "OTEL_EXPORTER_OTLP_HEADERS";
        let good = read(None, &[endpoint, (headers, "api-key=hush, x=y=z")]).unwrap().unwrap();
        assert_eq!(good.headers["x"], "y=z");
        assert!(!format!("{good:?}").contains("hush"));
        let ratio = ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio");
        let wrong: [(&[(&str, &str)], &str); 4] = [
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "b:4318")], "OTEL_EXPORTER_OTLP_ENDPOINT"),
            (&[endpoint, (headers, "hush")], headers),
            (&[endpoint, ratio, ("OTEL_TRACES_SAMPLER_ARG", "2")], "OTEL_TRACES_SAMPLER_ARG"),
            (&[endpoint, ("OTEL_TRACES_SAMPLER", "some")], "OTEL_TRACES_SAMPLER"),
        ];
        for (set, named) in wrong {
            let message = read(None, set).unwrap_err().to_string();
            assert!(message.contains(named) && !message.contains("hush"), "{message}");
        }
    }
}
