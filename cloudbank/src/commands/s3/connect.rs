//! Which service, and with which keys: the first that is said.

#[cfg(feature = "gateway-s3")]
mod own;

use backend_s3::{Config as S3Config, Credentials, KeySource, ProfileSettings};
use storage_core::Secret;

use crate::cli::{Connection, Style};
use crate::error::{Error, Result};
use crate::run::Context;
use crate::s3::client::{Client, Settings};
use crate::s3::endpoint::{Addressing, Endpoint};
use crate::s3::wire::Trust;

/// Where it comes from, for who asks.
struct Found {
    endpoint: Endpoint,
    credentials: Credentials,
    region: Option<String>,
    trust: Trust,
    from: String,
}

/// The service that is meant.
///
/// # Errors
///
/// [`Error::Usage`] and [`Error::Config`], for what does not say which it is.
pub(super) fn connect(
    context: &Context,
    connection: &Connection,
    connections: u16,
) -> Result<Client> {
    let mut found = find(context, connection)?;
    if connection.anonymous {
        found.credentials = Credentials::Anonymous;
    }
    if let (Some(access_key_id), Some(secret)) = (&connection.access_key, &connection.secret_key) {
        found.credentials = keys(access_key_id, read_secret(secret)?, None);
    }
    found.trust.files.extend(connection.ca_certificate.clone());
    found.trust.anybody |= connection.no_verify_tls;
    let region = connection.region.clone().or(found.region);
    // The bucket does not matter: only what signs is taken.
    let config = S3Config { region, credentials: found.credentials, ..S3Config::new("any-bucket") };
    let keys = KeySource::new(&config).map_err(|error| Error::Usage(error.message().into()))?;
    let region = keys.region().to_owned();
    tracing::info!("service: {} ({}), region {region}", found.endpoint, found.from);
    if !found.endpoint.is_encrypted() {
        tracing::info!("the way to it is not encrypted");
    }
    Client::new(Settings {
        endpoint: found.endpoint,
        keys,
        region,
        trust: found.trust,
        retries: connection.retries,
        silence_max: connection.timeout,
        connections: connections.into(),
    })
    .map_err(Error::Usage)
}

/// Without a server there is none of our own.
#[cfg(not(feature = "gateway-s3"))]
mod own {
    use super::{Connection, Context, Found, Result};

    pub(super) fn server(_: &Context, _: &Connection) -> Result<Option<Found>> {
        Ok(None)
    }
}

fn find(context: &Context, connection: &Connection) -> Result<Found> {
    if let Some(name) = &connection.provider {
        return provider(context, connection, name);
    }
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let environment =
        ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_ACCESS_KEY_ID"]
            .into_iter()
            .find(|name| variable(name).is_some());
    let typed = connection.endpoint.is_some() || connection.profile.is_some();
    if !typed
        && environment.is_none()
        && let Some(own) = own::server(context, connection)?
    {
        return Ok(own);
    }
    let name = connection.profile.clone().or_else(|| variable("AWS_PROFILE"));
    let profile = ProfileSettings::find(name.as_deref().unwrap_or("default"))
        .map_err(|error| Error::Usage(error.message().into()))?;
    if let (Some(name), None) = (&connection.profile, &profile) {
        return Err(Error::Usage(format!(
            "there is no profile `{name}` in the files of the AWS command line"
        )));
    }
    let profile = profile.unwrap_or_default();
    let style = addressing(connection).or(match profile.addressing_style.as_deref() {
        Some("path") => Some(Addressing::Path),
        Some("virtual") => Some(Addressing::Virtual),
        _ => None,
    });
    let of_variables = || {
        let ignored = variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").as_deref() == Some("true");
        let found = variable("AWS_ENDPOINT_URL_S3").or_else(|| variable("AWS_ENDPOINT_URL"));
        found.or(profile.endpoint_url).filter(|_| !ignored)
    };
    let (endpoint, from) = match connection.endpoint.clone().or_else(of_variables) {
        Some(url) => (parse(&url, style)?, "--endpoint, the environment or a profile"),
        None => (Endpoint::aws(style), "nothing else is said"),
    };
    let credentials = match &connection.profile {
        Some(name) if profile.has_keys => {
            Credentials::Profile { name: name.clone(), credentials_file: None, config_file: None }
        }
        _ => match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
            (Some(id), Some(secret)) => {
                keys(&id, Secret::new(secret), variable("AWS_SESSION_TOKEN").map(Secret::new))
            }
            _ => Credentials::Chain,
        },
    };
    let region = variable("AWS_REGION")
        .or_else(|| variable("AWS_DEFAULT_REGION"))
        .filter(|_| connection.profile.is_none())
        .or(profile.region);
    let mut trust = Trust::default();
    trust.files.extend(variable("AWS_CA_BUNDLE").map(Into::into).or(profile.ca_bundle));
    let from = match (&connection.profile, environment) {
        (Some(name), _) => format!("profile {name}; {from}"),
        (None, Some(variable)) => format!("{variable} is set; {from}"),
        (None, None) => from.to_owned(),
    };
    Ok(Found { endpoint, credentials, region, trust, from })
}

/// A provider of the configuration.
fn provider(context: &Context, connection: &Connection, name: &str) -> Result<Found> {
    let config = context.config()?;
    let provider = config.provider(Some(name))?;
    let Some(s3) = provider.backend().s3() else {
        return Err(Error::Usage(format!(
            "provider `{name}` is of type {}, which is no S3 service\n  = `cloudbank provider` works with any type",
            provider.kind()
        )));
    };
    let style = addressing(connection).or(s3.virtual_hosted_style.then_some(Addressing::Virtual));
    let endpoint = match &s3.endpoint {
        Some(url) => parse(url, style)?,
        None => Endpoint::aws(style),
    };
    let trust = Trust {
        files: Vec::new(),
        pem: s3.http.ca_certificate.clone(),
        anybody: s3.http.allow_invalid_certificates,
    };
    Ok(Found {
        endpoint,
        credentials: s3.credentials.clone(),
        region: s3.region.clone(),
        trust,
        from: format!("provider {name}"),
    })
}

fn keys(access_key_id: &str, secret: Secret, session_token: Option<Secret>) -> Credentials {
    Credentials::Keys {
        access_key_id: access_key_id.to_owned(),
        secret_access_key: secret,
        session_token,
    }
}

/// A secret as typed, or in a file.
fn read_secret(text: &str) -> Result<Secret> {
    let Some(path) = text.strip_prefix("file:") else { return Ok(Secret::new(text)) };
    let read = std::fs::read_to_string(path);
    let secret = read.map_err(Error::file(format!("read the secret key in {path}")))?;
    Ok(Secret::new(secret.trim_end()))
}

fn parse(url: &str, style: Option<Addressing>) -> Result<Endpoint> {
    Endpoint::parse(url, style).map_err(Error::Usage)
}

fn addressing(connection: &Connection) -> Option<Addressing> {
    connection.addressing.map(|style| match style {
        Style::Path => Addressing::Path,
        Style::Virtual => Addressing::Virtual,
    })
}
