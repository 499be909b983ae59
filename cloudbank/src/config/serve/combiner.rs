//! The table `[combiner]`: whom this server hands its commits to, and where it takes those of others.

use std::path::PathBuf;
use std::time::Duration;

use storage_txn::CombineKey;

use super::{Address, Problem, Section, addresses};

/// How long the combiner is waited for, unless the configuration says otherwise.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// The table `[combiner]`.
#[derive(Debug)]
pub(crate) struct CombinerSettings {
    /// Where the server is that this one hands its commits to: `http://` or `https://`, without a path.
    pub(crate) address: Option<String>,
    /// Whose certificates are trusted there, besides those that the machine trusts.
    pub(crate) certificate_authority: Option<PathBuf>,
    /// Where this server takes the commits of others.
    pub(crate) listen: Option<Address>,
    /// A certificate with its chain, and its private key.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    pub(crate) key: CombineKey,
    pub(crate) wait_max: Duration,
}

impl CombinerSettings {
    /// `None` when something is wrong with them, which is noted.
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let address = section.url("address").optional();
        let address = address.map(|address| address.trim_end_matches('/').to_owned());
        if let Some((_, rest)) = address.as_deref().and_then(|address| address.split_once("://"))
            && rest.contains(['/', '?', '#'])
        {
            let problem = Problem::error("`address` has a path, which this server adds itself");
            section.problem(
                "address",
                problem.expected("an address such as \"http://10.0.0.1:9002\""),
            );
        }
        let certificate_authority = section.path("certificate_authority").optional();
        section.only_together("certificate_authority", &["address"]);
        let listen = section.text("listen").optional();
        let listen =
            listen.and_then(|text| addresses(section, "listen", std::slice::from_ref(&text)).pop());
        section.only_together("tls_certificate", &["tls_key", "listen"]);
        section.only_together("tls_key", &["tls_certificate", "listen"]);
        let certificate = section.path("tls_certificate").optional();
        let tls_key = section.path("tls_key").optional();
        if !section.has("address") && !section.has("listen") {
            let problem = Problem::error("`[combiner]` has neither `address` nor `listen`");
            section.problem(
                "address",
                problem.help(
                    "add `address` to hand commits to another server, `listen` to take those of others",
                ),
            );
        }
        let wait_max = section.time("wait_max").or(WAIT_MAX);
        let secret = section.secret("secret").required();
        match CombineKey::new(secret.reveal().as_bytes()) {
            Ok(key) => Some(Self {
                address,
                certificate_authority,
                listen,
                tls: certificate.zip(tls_key),
                key,
                wait_max,
            }),
            Err(_) if secret.reveal().is_empty() => None,
            Err(_) => {
                let problem = Problem::error("`secret` can be guessed")
                    .expected("at least 16 characters, the same for all servers")
                    .help("make one with `openssl rand -hex 32`")
                    .hidden(true);
                section.problem("secret", problem);
                None
            }
        }
    }
}
