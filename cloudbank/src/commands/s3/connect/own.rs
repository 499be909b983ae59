//! The server that `cloudbank serve` starts here.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use super::{Found, addressing, keys, parse};
use crate::cli::Connection;
use crate::config::{KeyEntry, S3Settings, read_keys_file};
use crate::error::Result;
use crate::run::Context;
use crate::s3::wire::Trust;

/// The server that the configuration describes, if there are keys of it here.
pub(super) fn server(context: &Context, connection: &Connection) -> Result<Option<Found>> {
    let config = match context.config() {
        Ok(config) => config,
        // Who has not named one has no use for one that is wrong.
        Err(_) if context.global.config.is_none() => return Ok(None),
        Err(error) => return Err(error),
    };
    let s3 = &config.serving()?.s3;
    let Some(key) = first_key(s3)? else { return Ok(None) };
    let style = addressing(connection);
    let Some(listen) = s3.listen.first() else { return Ok(None) };
    let mut socket = listen.socket;
    if socket.ip().is_unspecified() {
        socket.set_ip(if socket.is_ipv4() {
            Ipv4Addr::LOCALHOST.into()
        } else {
            Ipv6Addr::LOCALHOST.into()
        });
    }
    let mut trust = Trust::default();
    let url = match &s3.tls {
        None => format!("http://{socket}"),
        Some((certificate, _)) => {
            trust.files.push(certificate.clone());
            let host = s3.domains.first().map_or("localhost", String::as_str);
            format!("https://{host}:{}", socket.port())
        }
    };
    let from = format!("[s3] of {}", config.source().name);
    Ok(Some(Found {
        endpoint: parse(&url, style)?,
        credentials: keys(&key.access_key, key.secret_key, None),
        region: Some(s3.region.clone()),
        trust,
        from,
    }))
}

/// The first key there is, which is the operator's where `serve` has made it.
fn first_key(s3: &S3Settings) -> Result<Option<KeyEntry>> {
    if let Some(key) = s3.keys.first() {
        return Ok(Some(key.clone()));
    }
    if !Path::new(&s3.keys_file).exists() {
        return Ok(None);
    }
    let (keys, _) = read_keys_file(&s3.keys_file, &|name| std::env::var_os(name))?;
    Ok(keys.into_iter().next())
}
