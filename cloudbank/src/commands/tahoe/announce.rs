//! `tahoe announce`: what clients are given.

use gateway_tahoe::Identity;
use serde_json::json;

use super::place::Place;
use crate::cli::TahoeWhich;
use crate::error::{Error, Result};
use crate::run::Context;

pub(super) async fn run(context: &Context, which: &TahoeWhich, locations: &[String]) -> Result<()> {
    let place = Place::find_to_read(context, which).await?;
    let identity = place.identity().await?;
    let nurls = nurls(&place, &identity, locations)?;
    let server_id = identity.server_id().map_err(super::failed)?;
    let nickname = &place.config.serving()?.tahoe.nickname;
    let output = &context.output;
    if output.json {
        return output.json(&json!({
            "server_id": server_id,
            "nickname": nickname,
            "anonymous-storage-FURL": identity.furl(),
            "anonymous-storage-NURLs": nurls,
            "permutation-seed-base32": identity.permutation_seed(),
        }));
    }
    // Strings of JSON are strings of YAML.
    let quoted = |text: &str| json!(text).to_string();
    let mut yaml = format!("storage:\n  {server_id}:\n    ann:\n");
    yaml += &format!("      nickname: {}\n", quoted(nickname));
    yaml += &format!("      anonymous-storage-FURL: {}\n", quoted(&identity.furl()));
    yaml += "      anonymous-storage-NURLs:\n";
    for nurl in &nurls {
        yaml += &format!("      - {}\n", quoted(nurl));
    }
    yaml += &format!("      permutation-seed-base32: {}", quoted(&identity.permutation_seed()));
    output.line(yaml)
}

/// Where clients reach the server: as the user says, as the running server has said, or as it is configured.
fn nurls(place: &Place, identity: &Identity, locations: &[String]) -> Result<Vec<String>> {
    let of = |text: &str| {
        let parts = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        let parts = parts.and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
        let expected =
            || Error::Usage(format!("{text:?} is no place of a server\n  = expected HOST:PORT"));
        parts.map(|(host, port)| identity.nurl(host, port)).ok_or_else(expected)
    };
    if !locations.is_empty() {
        return locations.iter().map(|text| of(text)).collect();
    }
    let written = place.folder.join("nurl");
    match std::fs::read_to_string(&written) {
        Ok(nurl) => {
            let ours = nurl.ends_with(&format!("/{}#v=1", identity.swissnum()));
            match ours {
                true => return Ok(vec![nurl.trim().to_owned()]),
                false => {
                    return Err(Error::Conflict(format!(
                        "{} is that of another server\n  = say where this one is with --location HOST:PORT",
                        written.display()
                    )));
                }
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(Error::file(written.display().to_string())(error)),
    }
    let tahoe = &place.config.serving()?.tahoe;
    let port = tahoe.listen.first().map_or(0, |address| address.socket.port());
    let host = tahoe.location.clone().ok_or_else(|| {
        Error::Usage(
            "it is not known where the server is\n  = start it, or add --location HOST:PORT, or `location` in [tahoe]"
                .into(),
        )
    })?;
    of(&host).or_else(|_| of(&format!("{host}:{port}"))).map(|nurl| vec![nurl])
}
